//! The boot flag on the card: finding the one sector of `autoboot.txt`, and changing it.
use super::sector;
use crate::ports::{Content, Fault, Flag, Sectors, Volume, Writable};
use bistable_boot::{
    Autoboot, Blocks, BySlot, Lba, SECTOR, Slot,
    autoboot::Reading,
    fat::{Fat, FatError},
};
use std::sync::Arc;

/// The file's name as FAT stores it.
const NAME: &[u8; 11] = b"AUTOBOOTTXT";
/// What a person can do about a flag that isn't ours.
const REPAIR: &str = "`bistable repair` recreates it, with the running slot as the default";

/// The sector of `autoboot.txt` in the `bootconfig` partition.
#[allow(missing_debug_implementations, reason = "the volume is a trait object")]
pub struct BootFlag {
    sectors: Sectors,
    partitions: BySlot<u8>,
}

impl BootFlag {
    /// On the `bootconfig` partition, for slots that boot from these partition numbers.
    pub fn new(bootconfig: Arc<dyn Volume>, partitions: BySlot<u8>) -> BootFlag {
        BootFlag { sectors: Sectors(bootconfig), partitions }
    }

    /// What the firmware makes of it.
    ///
    /// # Errors
    /// When the file can't be found or read.
    pub fn reading(&mut self) -> Result<Reading, Fault> {
        self.sector().map(|(_, sector)| Autoboot::read(&sector))
    }

    /// What the flag holds.
    ///
    /// # Errors
    /// When the card fails.
    pub fn read(&mut self) -> Result<Flag, Fault> {
        let content = match self.sector() {
            Ok((_, sector)) => self.content(&sector),
            Err(Fault::Unfit(why)) => Content::Unreadable(why),
            Err(e) => return Err(e),
        };
        let writable = match self.sectors.0.check_use() {
            Ok(()) => Writable::Yes,
            Err(Fault::InUse(by)) => Writable::InUse(by),
            Err(e) if e.stopping().is_some() => return Err(e),
            Err(e) => Writable::Unknown(e.to_string()),
        };
        Ok(Flag { content, writable })
    }

    fn content(&self, sector: &[u8; SECTOR]) -> Content {
        let reading = Autoboot::read(sector);
        match (reading.default_slot(self.partitions), self.recognize(sector)) {
            (Some(default), Ok(())) if reading.is_torn() => Content::Torn { default },
            (Some(default), Ok(())) => Content::Whole { default },
            (default @ Some(_), Err(e)) => Content::Foreign { default, why: e.to_string() },
            (None, _) => {
                let why = format!("autoboot.txt names no boot partition of a slot: {REPAIR}");
                Content::Foreign { default: None, why }
            }
        }
    }

    /// Make `slot` the default: one sector, durable and read back. Writes nothing when it is so already, but flushes.
    ///
    /// # Errors
    /// When the sector holds something that Bistable didn't write, or can't be written.
    pub fn write(&mut self, slot: Slot) -> Result<(), Fault> {
        let (at, there) = self.sector()?;
        let text = Autoboot { partitions: self.partitions, default: slot }.render();
        if there == text {
            // It may have been written by a program that was killed before its flush.
            return self.sectors.flush();
        }
        self.recognize(&there)?;
        self.put(at, &text)
    }

    /// Make `slot` the default, whatever the sector holds, even if it can't be read: durable and read back. The place
    /// is trusted as far as the directory says that a file of that name and of exactly one sector lies there.
    ///
    /// # Errors
    /// When the file can't be found or written, or doesn't read back.
    pub fn rewrite(&mut self, slot: Slot) -> Result<(), Fault> {
        let at = self.locate()?;
        self.put(at, &Autoboot { partitions: self.partitions, default: slot }.render())
    }

    fn put(&mut self, at: Lba, text: &[u8; SECTOR]) -> Result<(), Fault> {
        sector::put(&mut self.sectors, at, text, "autoboot.txt")
    }

    // Never trust a place that one was led to: a damaged FAT could point anywhere.
    fn recognize(&self, there: &[u8; SECTOR]) -> Result<(), Fault> {
        match Autoboot::recognize(there, self.partitions) {
            Some(_) => Ok(()),
            None => Err(Fault::Unfit(format!(
                "autoboot.txt was not written by Bistable, or is damaged, so it is left alone: {REPAIR}"
            ))),
        }
    }

    fn sector(&mut self) -> Result<(Lba, [u8; SECTOR]), Fault> {
        let at = self.locate()?;
        let mut sector = [0; SECTOR];
        self.sectors.read(at, &mut sector)?;
        Ok((at, sector))
    }

    /// Where the sector is: says nothing about what it holds.
    fn locate(&mut self) -> Result<Lba, Fault> {
        let fat = Fat::open(&mut self.sectors).map_err(|e| fault("partition bootconfig", e))?;
        let found = fat
            .find(&mut self.sectors, NAME)
            .map_err(|e| fault("autoboot.txt in partition bootconfig", e))?;
        if found.bytes as usize != SECTOR {
            let text = format!(
                "autoboot.txt has {} bytes and must have exactly {SECTOR}: put back the one that \
                 `bistable-image card` wrote",
                found.bytes
            );
            return Err(Fault::Unfit(text));
        }
        Ok(found.first)
    }
}

/// A card that fails for a moment is no damaged FAT.
fn fault(what: &str, e: FatError<Fault>) -> Fault {
    match e {
        FatError::Io(fault) => fault,
        e => Fault::Unfit(format!("{what}: {e}")),
    }
}
