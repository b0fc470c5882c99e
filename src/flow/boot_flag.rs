//! The boot flag on the card: finding the one sector of `autoboot.txt`, and changing it.
use crate::ports::{Fault, Sectors, Volume};
use bistable_boot::{
    Autoboot, Blocks, BySlot, Lba, SECTOR, Slot,
    autoboot::Reading,
    fat::{Fat, FatError},
};
use std::sync::Arc;

/// How often the sector is written before a card that gives back something else counts as failing.
const TRIES: u32 = 3;
/// The file's name as FAT stores it.
const NAME: &[u8; 11] = b"AUTOBOOTTXT";
/// What a person can do about a flag that isn't ours.
const REPAIR: &str = "`bistable repair` writes it anew, with the running slot as the default";

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

    /// What the flag says, as the firmware reads it.
    ///
    /// # Errors
    /// When the file can't be found or read.
    pub fn read(&mut self) -> Result<Reading, Fault> {
        let (_, sector) = self.sector()?;
        Ok(Autoboot::read(&sector))
    }

    /// The default slot.
    ///
    /// # Errors
    /// When the file can't be read or names no slot.
    pub fn default_slot(&mut self) -> Result<Slot, Fault> {
        self.read()?
            .default_slot(self.partitions)
            .ok_or_else(|| Fault::Unfit(format!("autoboot.txt names no boot partition of a slot: {REPAIR}")))
    }

    /// Make `slot` the default: one sector, durable and read back. Writes nothing when it is so already, but flushes.
    ///
    /// # Errors
    /// When the sector holds something that nobody of ours wrote, or can't be written.
    pub fn write(&mut self, slot: Slot) -> Result<(), Fault> {
        let (at, there) = self.sector()?;
        let text = Autoboot { partitions: self.partitions, default: slot }.render();
        if there == text {
            // It may have been written by a program that was killed before its flush.
            return self.sectors.flush();
        }
        self.recognise(&there)?;
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
        // One lost write shall not cost a healthy release.
        for _ in 0..TRIES {
            self.sectors.write(at, text)?;
            self.sectors.flush()?;
            let mut there = [0; SECTOR];
            self.sectors.read(at, &mut there)?;
            if there == *text {
                return Ok(());
            }
        }
        Err(Fault::Unfit(
            "autoboot.txt reads back differently than it was written: the card is failing".into(),
        ))
    }

    /// Whether the sector holds what [`write`](Self::write) would overwrite.
    ///
    /// # Errors
    /// When the file can't be found or read, or somebody else wrote it; [`Fault::InUse`] when all is well with it but
    /// that somebody else uses the partition.
    pub fn check(&mut self) -> Result<(), Fault> {
        let (_, there) = self.sector()?;
        self.recognise(&there)?;
        self.sectors.0.check_use()
    }

    // Never trust a place that one was led to: a damaged FAT could point anywhere.
    fn recognise(&self, there: &[u8; SECTOR]) -> Result<(), Fault> {
        match Autoboot::recognise(there, self.partitions) {
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
