//! The boot flag on the card: finding the one sector of `autoboot.txt`, and changing it.
use crate::ports::{Fault, Sectors, Volume};
use bistable_boot::{Autoboot, Blocks, BySlot, Lba, SECTOR, Slot, autoboot::Reading, fat::Fat};
use std::sync::Arc;

/// The file's name as FAT stores it.
const NAME: &[u8; 11] = b"AUTOBOOTTXT";

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
            .ok_or_else(|| Fault::Unfit("autoboot.txt names no boot partition of a slot".into()))
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
        self.sectors.write(at, &text)?;
        self.sectors.flush()?;
        let (_, there) = self.sector()?;
        if there == text { Ok(()) } else { Err(Fault::Unfit("autoboot.txt reads back differently".into())) }
    }

    /// Whether the sector holds what [`write`](Self::write) would overwrite.
    ///
    /// # Errors
    /// When the file can't be found or read, or somebody else wrote it.
    pub fn check(&mut self) -> Result<(), Fault> {
        let (_, there) = self.sector()?;
        self.recognise(&there)
    }

    // Never trust a place that one was led to: a damaged FAT could point anywhere.
    fn recognise(&self, there: &[u8; SECTOR]) -> Result<(), Fault> {
        match Autoboot::recognise(there, self.partitions) {
            Some(_) => Ok(()),
            None => Err(Fault::Unfit(
                "autoboot.txt was not written by Bistable, or is damaged: it is left alone. \
                 Put back the one that `bistable-image card` wrote"
                    .into(),
            )),
        }
    }

    fn sector(&mut self) -> Result<(Lba, [u8; SECTOR]), Fault> {
        let fat =
            Fat::open(&mut self.sectors).map_err(|e| Fault::Unfit(format!("partition bootconfig: {e}")))?;
        let found = fat
            .find(&mut self.sectors, NAME)
            .map_err(|e| Fault::Unfit(format!("autoboot.txt in partition bootconfig: {e}")))?;
        if found.bytes as usize != SECTOR {
            let text = format!("autoboot.txt has {} bytes and must have exactly {SECTOR}", found.bytes);
            return Err(Fault::Unfit(text));
        }
        let mut sector = [0; SECTOR];
        self.sectors.read(found.first, &mut sector)?;
        Ok((found.first, sector))
    }
}
