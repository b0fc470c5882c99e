//! The firmware: reads the real bytes of `autoboot.txt` and looks for something that boots. Where it finds U-Boot's
//! script instead, it starts U-Boot, which reads the real bytes of the boot block, and counts a try down on the card.
use super::SimError;
use crate::{
    flow::boot_flag::BootFlag,
    flow::uboot::BootBlocks,
    ports::{Fault, Partitions, Sectors},
};
use bistable_boot::{
    Flow, Slot,
    autoboot::Reading,
    bootblock::{self, Start},
    fat::{Fat, FatError},
    layout::{BOOT_PARTITIONS, Partition},
};

/// The boot script's name as FAT stores it.
const SCRIPT: &[u8; 11] = b"BOOT    SCR";

/// Which boot loader a card has: the boot configuration holds U-Boot's script, or it doesn't. Damaged tables hold none.
///
/// # Errors
/// When the card can't be read.
pub fn flow(card: &mut dyn Partitions) -> Result<Flow, Fault> {
    let mut sectors = Sectors(card.open(Partition::Bootconfig)?);
    let found = Fat::open(&mut sectors).and_then(|fat| fat.find(&mut sectors, SCRIPT));
    match found {
        Ok(_) => Ok(Flow::Uboot),
        Err(FatError::Io(e)) => Err(e),
        Err(_) => Ok(Flow::Tryboot),
    }
}

/// What the firmware chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The slot that is started.
    pub slot: Slot,
    /// What it would say on the console.
    pub note: String,
}

/// Choose a slot as that boot loader does.
///
/// # Errors
/// [`SimError::Dead`] when no slot looks bootable; [`SimError::Fault`] when the card is gone.
pub fn choose(card: &mut dyn Partitions, flow: Flow, once: bool) -> Result<Choice, SimError> {
    match flow {
        Flow::Tryboot => tryboot(card, once),
        Flow::Uboot => uboot(card),
    }
}

/// What `boot.cmd` does, with the decision that it shares with the script.
fn uboot(card: &mut dyn Partitions) -> Result<Choice, SimError> {
    let mut blocks = BootBlocks::new(card.open(Partition::State)?);
    let copies = match blocks.copies() {
        Err(e) if e.stopping().is_some() => return Err(e.into()),
        read => read.unwrap_or([None; 2]),
    };
    let mut start = bootblock::start(copies);
    if let Some((copy, counted)) = start.count
        && let Err(e) = blocks.put(copy, &counted)
    {
        if e.stopping().is_some() {
            return Err(e.into());
        }
        start = bootblock::uncounted(copies);
    }
    let Start { order: [first, second], trial, .. } = start;
    let said = match (bootblock::newest(copies), trial) {
        (None, _) => "U-Boot: no valid boot block",
        (Some(_), true) => "U-Boot: boot block, a try counted",
        (Some(_), false) => "U-Boot: boot block",
    };
    for slot in [first, second] {
        // The script tries each read twice.
        if looks_bootable(card, slot)? || looks_bootable(card, slot)? {
            let fell = if slot == first { String::new() } else { format!(" (slot {first} has no kernel)") };
            return Ok(Choice { slot, note: format!("{said}: boots slot {slot}{fell}") });
        }
    }
    Err(SimError::Dead(format!("{said}: neither slot has a kernel")))
}

/// The firmware's own choice: the one that `autoboot.txt` names, in its `[tryboot]` section if the one-shot flag is set; if that
/// one doesn't look bootable, the first one that does (`PARTITION_WALK` of the EEPROM, on since 2025-08).
///
/// # Errors
/// [`SimError::Dead`] when no slot looks bootable; [`SimError::Fault`] when the card is gone.
fn tryboot(card: &mut dyn Partitions, once: bool) -> Result<Choice, SimError> {
    let reading = BootFlag::new(card.open(Partition::Bootconfig)?, BOOT_PARTITIONS).reading();
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
