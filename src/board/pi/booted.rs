//! What was booted, and by which boot loader.
//!
//! | flow | how it is recognized | what says which slot was booted |
//! |---|---|---|
//! | tryboot | no word of U-Boot | `/proc/device-tree/chosen/bootloader/partition` |
//! | uboot | `bistable.slot=` on the kernel's command line | that, with `bistable.trial=` |
use super::{PiError, Sysroot, device_tree::DeviceTree, eeprom};
use crate::{date::utc_date, flow::command_line};
use bistable_boot::{Flow, Slot, layout::BOOT_PARTITIONS};

const COMMAND_LINE: &str = "/proc/cmdline";

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
        let by_uboot = command_line::slot(&line).map_err(|found| PiError::CommandLine { found })?;
        if let Some(slot) = by_uboot {
            return Ok(Booted { slot, flow: Flow::Uboot });
        }
        let partition = tree.partition()?;
        if partition == 0 {
            let built = tree.bootloader("build-timestamp")?.map(|built| utc_date(built.into()));
            return Err(PiError::UnknownPartition { built, advice: eeprom::advice(&tree.compatible()?) });
        }
        let slot = Slot::ALL.into_iter().find(|s| u32::from(BOOT_PARTITIONS[*s]) == partition);
        let not_a_slot = PiError::NotASlot { partition, slots: [BOOT_PARTITIONS.a, BOOT_PARTITIONS.b] };
        Ok(Booted { slot: slot.ok_or(not_a_slot)?, flow: Flow::Tryboot })
    }
}
