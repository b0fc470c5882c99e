//! The firmware: reads the real bytes of `autoboot.txt` and looks for something that boots.
use super::machine::SimError;
use crate::{
    boot_flag::BootFlag,
    ports::{Partitions, Sectors},
};
use bistable_boot::{
    Slot,
    autoboot::Reading,
    fat::Fat,
    layout::{BOOT_PARTITIONS, Partition},
};

/// What the firmware chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The slot that is started.
    pub slot: Slot,
    /// What it would say on the console.
    pub note: String,
}

/// Choose a slot: the one that `autoboot.txt` names, in its `[tryboot]` section if the one-shot flag is set; if that
/// one doesn't look bootable, the first one that does (`PARTITION_WALK` of the EEPROM, on since 2025-08).
///
/// # Errors
/// [`SimError::Dead`] when no slot looks bootable; [`SimError::Fault`] when the card is gone.
pub fn choose(card: &mut dyn Partitions, once: bool) -> Result<Choice, SimError> {
    let reading = BootFlag::new(card.open(Partition::Bootconfig)?, BOOT_PARTITIONS).read();
    let wanted = wanted(reading.as_ref().ok(), once);
    let said = match &reading {
        Ok(_) => format!("firmware: autoboot.txt{}", if once { ", one-shot flag set" } else { "" }),
        Err(e) => format!("firmware: {e}; looking for a slot that boots"),
    };
    let order = wanted.into_iter().chain(Slot::ALL);
    for slot in order {
        if looks_bootable(card, slot)? {
            let walked = match wanted {
                Some(w) if w != slot => format!(" (partition {} does not look bootable)", BOOT_PARTITIONS[w]),
                _ => String::new(),
            };
            let note = format!("{said}: boots partition {}, slot {slot}{walked}", BOOT_PARTITIONS[slot]);
            return Ok(Choice { slot, note });
        }
    }
    Err(SimError::Dead(format!("{said}: no boot partition looks bootable")))
}

fn wanted(reading: Option<&Reading>, once: bool) -> Option<Slot> {
    let reading = reading?;
    let tryboot = reading.tryboot_slot(BOOT_PARTITIONS).filter(|_| once && reading.tryboot_a_b);
    tryboot.or(reading.default_slot(BOOT_PARTITIONS))
}

fn looks_bootable(card: &mut dyn Partitions, slot: Slot) -> Result<bool, SimError> {
    let volume = card.open(Partition::Boot(slot))?;
    Ok(Fat::open(&mut Sectors(volume)).is_ok())
}
