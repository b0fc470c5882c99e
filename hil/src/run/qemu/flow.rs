//! What the two boot flows need that differs: arguments for the host's program, and where a card keeps its boot flag.
use super::{firmware::Card, machine::Flow};
use anyhow::{Context, Result, bail};
use bistable_boot::{
    Autoboot, Slot,
    layout::{BOOT_PARTITIONS, Partition},
};
use std::path::Path;

/// The slot that the boot flag of a card names.
///
/// # Errors
/// When the card has none, or it names no slot.
pub fn default_slot(card: &Path, flow: Flow) -> Result<Slot> {
    match flow {
        Flow::Tryboot => {
            let text = Card::open(card)?.read(Partition::Bootconfig.number(), "autoboot.txt");
            let text = text.context("the card has no autoboot.txt")?;
            Autoboot::read(&text).default_slot(BOOT_PARTITIONS).context("autoboot.txt names no slot")
        }
        Flow::Uboot => bail!("not yet"),
    }
}

/// More arguments for `card`.
///
/// # Errors
/// When the boot script can't be made.
pub fn card_arguments(flow: Flow, _folder: &Path) -> Result<Vec<String>> {
    match flow {
        Flow::Tryboot => Ok(Vec::new()),
        Flow::Uboot => Ok(Vec::new()),
    }
}

/// More arguments for `build`.
pub const BUILD: &str = "";
