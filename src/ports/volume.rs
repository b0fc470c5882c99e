use super::Fault;
use bistable_boot::{Blocks, Lba, OutOfRange, SECTOR, layout::Partition};
use std::sync::Arc;

/// One partition's bytes. Shared between threads: every access names its place.
pub trait Volume: Send + Sync {
    /// Bytes in it. Never changes.
    fn bytes(&self) -> u64;

    /// Read whole sectors from the medium, past any cache of the system; sees every earlier write.
    ///
    /// # Errors
    /// When the medium fails, or the access leaves the volume or isn't whole sectors.
    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault>;

    /// Write whole sectors. Durable only after [`flush`](Self::flush).
    ///
    /// # Errors
    /// As for reading. A refused write changes nothing.
    fn write(&self, at: u64, from: &[u8]) -> Result<(), Fault>;

    /// Make every earlier write durable.
    ///
    /// # Errors
    /// When the medium fails: nothing is known then about the writes since the last flush.
    fn flush(&self) -> Result<(), Fault>;

    /// Whether another process uses it, so that a write would be refused: as far as that can be seen without claiming it,
    /// and just now. A file of this program is never in use by another process.
    ///
    /// # Errors
    /// [`Fault::InUse`] when another process does; another when that can't be found out.
    fn check_use(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// The card, by partitions.
pub trait Partitions {
    /// Open one.
    ///
    /// # Errors
    /// When there is none of that name, or it can't be opened.
    fn open(&mut self, partition: Partition) -> Result<Arc<dyn Volume>, Fault>;

    /// Whether the disk as a whole is one that an update may be written to: the next boot finds its partitions, and the firmware
    /// booted it. Writes nothing.
    ///
    /// # Errors
    /// [`Fault::Unfit`] with what is wrong and what to do; [`Fault::InUse`] when it can't be written just now.
    fn check_disk(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// A volume as [`Blocks`], for journal and FAT.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the volume is a trait object")]
pub struct Sectors(pub Arc<dyn Volume>);

impl Blocks for Sectors {
    type Error = Fault;
    fn sectors(&self) -> u64 {
        self.0.bytes() / SECTOR as u64
    }
    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), Fault> {
        self.0.read(byte(at, into.len(), self.sectors())?, into)
    }
    fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), Fault> {
        self.0.write(byte(at, from.len(), self.sectors())?, from)
    }
    fn flush(&mut self) -> Result<(), Fault> {
        self.0.flush()
    }
}

fn byte(at: Lba, bytes: usize, sectors: u64) -> Result<u64, Fault> {
    OutOfRange::check(at, bytes, sectors).map_err(|e| Fault::Unfit(e.to_string()))?;
    Ok(at.0 * SECTOR as u64)
}
