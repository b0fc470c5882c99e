//! The two boot flows, and which of them started this system.
//!
//! | flow | how it is recognised | what says which slot was booted |
//! |---|---|---|
//! | tryboot | no word of U-Boot | `/proc/device-tree/chosen/bootloader/partition` |
//! | uboot | `bistable.slot=` on the kernel's command line | that, with `bistable.trial=` |
use super::{PiError, Sysroot, device_tree::DeviceTree};
use bistable_boot::{Slot, layout::BOOT_PARTITIONS};

const COMMAND_LINE: &str = "/proc/cmdline";

/// How this system was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// By the firmware, which read `autoboot.txt`.
    Tryboot,
    /// By U-Boot, which read the boot block.
    Uboot,
}

/// What was booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booted {
    /// The slot.
    pub slot: Slot,
    /// How.
    pub flow: Flow,
}

impl Booted {
    pub(super) fn read(sysroot: &Sysroot, tree: &DeviceTree) -> Result<Booted, PiError> {
        let line = sysroot.text(COMMAND_LINE)?.unwrap_or_default();
        if let Some(slot) = by_uboot(&line)? {
            return Ok(Booted { slot, flow: Flow::Uboot });
        }
        let partition = tree.partition()?;
        let slot = Slot::ALL.into_iter().find(|s| u32::from(BOOT_PARTITIONS[*s]) == partition);
        let not_a_slot = PiError::NotASlot { partition, slots: [BOOT_PARTITIONS.a, BOOT_PARTITIONS.b] };
        Ok(Booted { slot: slot.ok_or(not_a_slot)?, flow: Flow::Tryboot })
    }
}

/// The slot that U-Boot booted, if it was U-Boot. Both words have to be there, once, and make sense.
fn by_uboot(line: &str) -> Result<Option<Slot>, PiError> {
    let words: Vec<&str> = line.split_ascii_whitespace().filter(|w| w.starts_with("bistable.")).collect();
    let values = |key: &str| -> Vec<&str> { words.iter().filter_map(|w| w.strip_prefix(key)).collect() };
    let slots = values("bistable.slot=");
    let trials = values("bistable.trial=");
    match (slots.as_slice(), trials.as_slice()) {
        ([], []) => Ok(None),
        (["A"], ["0" | "1"]) => Ok(Some(Slot::A)),
        (["B"], ["0" | "1"]) => Ok(Some(Slot::B)),
        _ => Err(PiError::CommandLine { found: crate::text::shorten(&words.join(" "), 100) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_uboot_says() {
        #[rustfmt::skip]
        let good = [
            ("", None),
            ("console=ttyS1 root=PARTLABEL=system_a quiet\n", None),
            ("root=x bistable.slot=A bistable.trial=0 quiet", Some(Slot::A)),
            ("bistable.trial=1 bistable.slot=B\n", Some(Slot::B)),
            ("xbistable.slot=C", None),
        ];
        for (line, slot) in good {
            assert_eq!(by_uboot(line).unwrap(), slot, "{line}");
        }
        for line in [
            "bistable.slot=A",
            "bistable.trial=0",
            "bistable.slot=a bistable.trial=0",
            "bistable.slot=C bistable.trial=0",
            "bistable.slot= bistable.trial=0",
            "bistable.slot=A bistable.trial=2",
            "bistable.slot=A bistable.slot=B bistable.trial=0",
            "bistable.slot=A bistable.trial=0 bistable.trial=1",
        ] {
            assert!(matches!(by_uboot(line), Err(PiError::CommandLine { .. })), "{line}");
        }
    }
}
