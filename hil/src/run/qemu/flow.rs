//! What the two boot flows need that differs: what is beside the kernel, and where a card keeps its boot flag.
use super::firmware::Card;
use anyhow::{Context, Result};
use bistable_boot::{
    Autoboot, Flow, SECTOR, Slot,
    bootblock::{BootBlock, newest},
    layout::{BOOT_BLOCK, BOOT_PARTITIONS, Partition},
};
use std::{fs::File, os::unix::fs::FileExt as _, path::Path};

/// The slot that the boot flag of a card names.
///
/// # Errors
/// When the card has none, or it names no slot.
pub fn default_slot(card: &Path, flow: Flow) -> Result<Slot> {
    let opened = Card::open(card)?;
    match flow {
        Flow::Tryboot => {
            let text = opened.read(Partition::Bootconfig.number(), "autoboot.txt");
            let text = text.context("the card has no autoboot.txt")?;
            Autoboot::read(&text).default_slot(BOOT_PARTITIONS).context("autoboot.txt names no slot")
        }
        Flow::Uboot => {
            let state = opened.place(Partition::State.number()).context("the card has no state partition")?;
            let file = File::open(card).with_context(|| card.display().to_string())?;
            let copies = BOOT_BLOCK.map(|at| {
                let mut sector = [0; SECTOR];
                file.read_exact_at(&mut sector, state.start + at.0 * SECTOR as u64).ok()?;
                BootBlock::parse(&sector).ok()
            });
            Ok(newest(copies).context("the card has no boot block")?.1.default)
        }
    }
}

/// More arguments for `card`.
pub fn card_arguments(flow: Flow) -> &'static [&'static str] {
    match flow {
        Flow::Tryboot => &[],
        Flow::Uboot => &["--boot-flow", "uboot"],
    }
}
