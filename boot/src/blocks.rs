//! The only way in which persistent bytes are read and written.
use alloc::{vec, vec::Vec};
use core::fmt;

/// Bytes in a sector: the unit of addressing, and the most that a card might write at once.
pub const SECTOR: usize = 512;

/// The number of a sector, counted from the start of the medium or partition that the [`Blocks`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lba(pub u64);

impl Lba {
    /// The sector that starts at a byte offset, which must be a multiple of [`SECTOR`].
    pub const fn at_byte(offset: u64) -> Lba {
        debug_assert!(offset.is_multiple_of(SECTOR as u64));
        Lba(offset / SECTOR as u64)
    }
}

impl fmt::Display for Lba {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sector {}", self.0)
    }
}

/// A run of sectors: a card, a partition, a file, or memory in tests.
///
/// Every implementation passes [`contract::blocks`](crate::contract::blocks).
pub trait Blocks {
    /// What can go wrong. An access outside the run is an error and changes nothing.
    type Error: core::error::Error + 'static;

    /// Number of sectors. Never changes.
    fn sectors(&self) -> u64;

    /// Read whole sectors: `into` is a multiple of [`SECTOR`] long. Sees every earlier write.
    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), Self::Error>;

    /// Write whole sectors: `from` is a multiple of [`SECTOR`] long. Durable only after [`flush`](Self::flush);
    /// until then a power cut may keep, drop, reorder or tear it.
    fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), Self::Error>;

    /// Make every earlier write durable. After an error nothing is known about them: write again, don't only
    /// flush again.
    fn flush(&mut self) -> Result<(), Self::Error>;
}

impl<B: Blocks + ?Sized> Blocks for &mut B {
    type Error = B::Error;
    fn sectors(&self) -> u64 {
        (**self).sectors()
    }
    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(at, into)
    }
    fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), Self::Error> {
        (**self).write(at, from)
    }
    fn flush(&mut self) -> Result<(), Self::Error> {
        (**self).flush()
    }
}

/// An access that leaves the run of sectors, or isn't whole sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes at {at} are not whole sectors within {sectors} sectors")]
pub struct OutOfRange {
    /// First sector of the access.
    pub at: Lba,
    /// Its length in bytes.
    pub bytes: usize,
    /// Sectors there are.
    pub sectors: u64,
}

impl OutOfRange {
    /// Check an access; what each implementation does first.
    pub fn check(at: Lba, bytes: usize, sectors: u64) -> Result<(), OutOfRange> {
        let inside = at.0.checked_add((bytes / SECTOR) as u64).is_some_and(|end| end <= sectors);
        if bytes.is_multiple_of(SECTOR) && inside { Ok(()) } else { Err(OutOfRange { at, bytes, sectors }) }
    }
}

/// Sectors in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory(Vec<u8>);

impl Memory {
    /// That many sectors of zeros.
    pub fn new(sectors: usize) -> Self {
        Memory(vec![0; sectors * SECTOR])
    }

    /// The bytes, for a test to look at or to damage.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// The bytes, for a test to compare.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn range(&self, at: Lba, bytes: usize) -> Result<core::ops::Range<usize>, OutOfRange> {
        OutOfRange::check(at, bytes, self.sectors())?;
        // The check has just shown that both ends lie within a `Vec`, so they fit.
        let start = usize::try_from(at.0).unwrap_or(usize::MAX).saturating_mul(SECTOR);
        Ok(start..start + bytes)
    }
}

impl Blocks for Memory {
    type Error = OutOfRange;
    fn sectors(&self) -> u64 {
        (self.0.len() / SECTOR) as u64
    }
    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), OutOfRange> {
        let range = self.range(at, into.len())?;
        into.copy_from_slice(&self.0[range]);
        Ok(())
    }
    fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), OutOfRange> {
        let range = self.range(at, from.len())?;
        self.0[range].copy_from_slice(from);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), OutOfRange> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_keeps_the_contract() {
        crate::contract::blocks(|| super::Memory::new(64));
    }
}
