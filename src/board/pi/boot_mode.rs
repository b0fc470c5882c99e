//! From where the firmware booted: `boot-mode` in the device tree (Raspberry Pi documentation, `BOOT_ORDER`).
use super::{PiError, device_tree::DeviceTree};

/// What it booted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BootMode {
    /// An SD card, or the eMMC of a module.
    Sd,
    /// A server.
    Network,
    /// A computer at the USB port.
    Rpiboot,
    /// A USB disk.
    Usb,
    /// An NVMe disk.
    Nvme,
}

impl BootMode {
    /// `None` where the firmware says nothing, or something that isn't known.
    pub(super) fn read(tree: &DeviceTree) -> Result<Option<BootMode>, PiError> {
        Ok(tree.bootloader("boot-mode")?.and_then(BootMode::of))
    }

    fn of(number: u32) -> Option<BootMode> {
        match number {
            1 => Some(BootMode::Sd),
            2 | 7 => Some(BootMode::Network),
            3 => Some(BootMode::Rpiboot),
            4 | 5 => Some(BootMode::Usb),
            6 => Some(BootMode::Nvme),
            _ => None,
        }
    }

    /// Whether a disk that the kernel calls so may be what was booted.
    pub(super) fn may_be(self, disk: &str) -> bool {
        let kinds = [("mmcblk", BootMode::Sd), ("nvme", BootMode::Nvme), ("sd", BootMode::Usb)];
        // A kind of disk that isn't known may be anything.
        kinds.into_iter().find(|(prefix, _)| disk.starts_with(prefix)).is_none_or(|(_, kind)| kind == self)
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            BootMode::Sd => "an SD card or eMMC",
            BootMode::Network => "the network",
            BootMode::Rpiboot => "a computer (rpiboot)",
            BootMode::Usb => "a USB disk",
            BootMode::Nvme => "an NVMe disk",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_told_by_its_name() {
        for (number, disks, others) in [
            (1, ["mmcblk0", "mmcblk1"], ["sda", "nvme0n1"]),
            (4, ["sda", "sdb"], ["mmcblk0", "nvme0n1"]),
            (5, ["sda", "vda"], ["mmcblk0", "nvme0n1"]),
            (6, ["nvme0n1", "nvme1n1"], ["mmcblk0", "sda"]),
        ] {
            let mode = BootMode::of(number).unwrap();
            assert!(disks.iter().all(|disk| mode.may_be(disk)), "{number}");
            assert!(!others.iter().any(|disk| mode.may_be(disk)), "{number}");
        }
        for number in [2, 3, 7] {
            assert!(
                !["mmcblk0", "sda", "nvme0n1"].iter().any(|disk| BootMode::of(number).unwrap().may_be(disk))
            );
        }
        assert!([0, 8, 14, u32::MAX].into_iter().all(|number| BootMode::of(number).is_none()));
    }
}
