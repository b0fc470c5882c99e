//! The write that every boot flow's flag is changed by: one sector, durable and read back.
use crate::ports::{Fault, Sectors};
use bistable_boot::{Blocks, Lba, SECTOR};

/// How often the sector is written before a card that gives back something else counts as failing.
const TRIES: u32 = 3;

/// Write it. `what` is its name for people.
///
/// # Errors
/// When the card fails, or gives back something else.
pub(super) fn put(sectors: &mut Sectors, at: Lba, text: &[u8; SECTOR], what: &str) -> Result<(), Fault> {
    // One lost write shall not cost a healthy release.
    for _ in 0..TRIES {
        sectors.write(at, text)?;
        sectors.flush()?;
        let mut there = [0; SECTOR];
        sectors.read(at, &mut there)?;
        if there == *text {
            return Ok(());
        }
    }
    Err(Fault::Unfit(format!("{what} reads back differently than it was written: the card is failing")))
}
