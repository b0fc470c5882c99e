//! Any bytes as a FAT volume: looking for a file is total, bounded, and never reads outside the volume.
#![no_main]
use bistable_boot::{Blocks, Lba, OutOfRange, SECTOR, fat::Fat};
use libfuzzer_sys::fuzz_target;

/// A volume of any claimed size of which only the first sectors hold anything.
struct Volume<'a> {
    head: &'a [u8],
    sectors: u64,
    reads: u64,
}

impl Blocks for Volume<'_> {
    type Error = OutOfRange;
    fn sectors(&self) -> u64 {
        self.sectors
    }
    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), OutOfRange> {
        OutOfRange::check(at, into.len(), self.sectors).expect("a read outside the volume");
        self.reads += 1;
        assert!(self.reads < 10_000, "reads without an end");
        into.fill(0x41);
        let start = usize::try_from(at.0).unwrap().saturating_mul(SECTOR).min(self.head.len());
        let part = &self.head[start..self.head.len().min(start + into.len())];
        into[..part.len()].copy_from_slice(part);
        Ok(())
    }
    fn write(&mut self, _: Lba, _: &[u8]) -> Result<(), OutOfRange> {
        panic!("nothing here writes");
    }
    fn flush(&mut self) -> Result<(), OutOfRange> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    // The signature and the sector's size are given, or else most of the time goes into guessing them.
    let mut head = data.to_vec();
    if head.len() >= SECTOR {
        head[0] = 0xEB;
        head[11..13].copy_from_slice(&512u16.to_le_bytes());
        head[510..SECTOR].copy_from_slice(&[0x55, 0xAA]);
    }
    for sectors in [64, u64::from(u32::MAX)] {
        let mut volume = Volume { head: &head, sectors, reads: 0 };
        if let Ok(fat) = Fat::open(&mut volume)
            && let Ok(found) = fat.find(&mut volume, b"AUTOBOOTTXT")
        {
            assert!(found.first.0 > 0 && found.first.0 < sectors);
        }
    }
});
