//! The contract of `Blocks` is worth something only if it catches what breaks it: each mutant here breaks one clause.
#![allow(missing_docs, clippy::unwrap_used)]
use bistable_boot::{Blocks, Lba, Memory, OutOfRange, SECTOR, contract};
use std::panic::{AssertUnwindSafe, catch_unwind};

const SECTORS: u64 = 64;

/// What a mutant does otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    None,
    /// A write past the end is refused only after the part inside was written.
    WritesThePartInside,
    /// A write past the end is cut short and reported as done.
    CutsAtTheEnd,
    /// Sector numbers wrap at the end of the medium.
    WrapsSectorNumbers,
    /// Byte offsets wrap at 64 bits.
    WrapsByteOffsets,
    /// Only the low five bits of a sector's number reach the medium.
    LosesAnAddressBit,
    /// The second write of a run of blocks gets lost.
    LosesAWrite,
    /// Of a write of several sectors, only the first is written.
    WritesOneSector,
    /// Of a read of several sectors, only the first is read.
    ReadsOneSector,
    /// Reads show only what was flushed.
    HidesUnflushedWrites,
    /// A flush drops what was written since the last one.
    FlushDrops,
    /// A second flush in a row fails.
    FlushNeedsAReason,
    /// Part sectors are filled up with zeros.
    PadsPartSectors,
    /// Part sectors are rounded down.
    RoundsDown,
    /// A write clears the sector behind it.
    ErasesTheNeighbor,
    /// A read past the end gives zeros.
    ReadsZerosPastTheEnd,
    /// An empty write is an error.
    RefusesNothing,
    /// A write at the end makes the medium larger.
    Grows,
}

const DEFECTS: [Defect; 17] = [
    Defect::WritesThePartInside,
    Defect::CutsAtTheEnd,
    Defect::WrapsSectorNumbers,
    Defect::WrapsByteOffsets,
    Defect::LosesAnAddressBit,
    Defect::LosesAWrite,
    Defect::WritesOneSector,
    Defect::ReadsOneSector,
    Defect::HidesUnflushedWrites,
    Defect::FlushDrops,
    Defect::FlushNeedsAReason,
    Defect::PadsPartSectors,
    Defect::RoundsDown,
    Defect::ErasesTheNeighbor,
    Defect::ReadsZerosPastTheEnd,
    Defect::RefusesNothing,
    Defect::Grows,
];

struct Mutant {
    defect: Defect,
    seen: Memory,
    flushed: Memory,
    writes: u32,
    dirty: bool,
    grown: u64,
}

impl Mutant {
    fn new(defect: Defect) -> Self {
        let memory = Memory::new(usize::try_from(SECTORS).unwrap());
        Mutant { defect, seen: memory.clone(), flushed: memory, writes: 0, dirty: false, grown: 0 }
    }

    fn place(&self, at: Lba) -> Lba {
        match self.defect {
            Defect::WrapsSectorNumbers => Lba(at.0 % SECTORS),
            Defect::WrapsByteOffsets => Lba(at.0.wrapping_mul(SECTOR as u64) / SECTOR as u64),
            Defect::LosesAnAddressBit if at.0 < SECTORS => Lba(at.0 % 32),
            _ => at,
        }
    }
}

impl Blocks for Mutant {
    type Error = OutOfRange;

    fn sectors(&self) -> u64 {
        SECTORS + self.grown
    }

    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), OutOfRange> {
        let at = self.place(at);
        let end = at.0.saturating_add((into.len() / SECTOR) as u64);
        match self.defect {
            Defect::HidesUnflushedWrites => self.flushed.read(at, into),
            Defect::ReadsZerosPastTheEnd if end > SECTORS => {
                into.fill(0);
                Ok(())
            }
            Defect::ReadsOneSector if into.len() > SECTOR && into.len().is_multiple_of(SECTOR) => {
                self.seen.read(at, &mut into[..SECTOR])
            }
            Defect::RoundsDown => {
                let whole = into.len() / SECTOR * SECTOR;
                self.seen.read(at, &mut into[..whole])
            }
            _ => self.seen.read(at, into),
        }
    }

    fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), OutOfRange> {
        let at = self.place(at);
        self.writes += 1;
        self.dirty = true;
        let inside = usize::try_from(SECTORS.saturating_sub(at.0)).unwrap() * SECTOR;
        match self.defect {
            Defect::LosesAWrite if self.writes == 2 => Ok(()),
            Defect::RefusesNothing if from.is_empty() => Err(OutOfRange { at, bytes: 0, sectors: SECTORS }),
            Defect::WritesOneSector if from.len() > SECTOR && from.len().is_multiple_of(SECTOR) => {
                OutOfRange::check(at, from.len(), SECTORS)?;
                self.seen.write(at, &from[..SECTOR])
            }
            Defect::WritesThePartInside if inside > 0 && from.len() > inside => {
                self.seen.write(at, &from[..inside])?;
                OutOfRange::check(at, from.len(), SECTORS)
            }
            Defect::CutsAtTheEnd if inside > 0 && from.len() > inside => self.seen.write(at, &from[..inside]),
            Defect::PadsPartSectors => {
                let mut whole = from.to_vec();
                whole.resize(from.len().next_multiple_of(SECTOR), 0);
                self.seen.write(at, &whole)
            }
            Defect::RoundsDown => self.seen.write(at, &from[..from.len() / SECTOR * SECTOR]),
            Defect::ErasesTheNeighbor => {
                self.seen.write(at, from)?;
                self.seen.write(Lba(at.0 + (from.len() / SECTOR) as u64), &[0; SECTOR]).or(Ok(()))
            }
            Defect::Grows if at.0 == SECTORS => {
                self.grown = 1;
                Err(OutOfRange { at, bytes: from.len(), sectors: SECTORS })
            }
            _ => self.seen.write(at, from),
        }
    }

    fn flush(&mut self) -> Result<(), OutOfRange> {
        match self.defect {
            Defect::FlushDrops => self.seen = self.flushed.clone(),
            Defect::FlushNeedsAReason if !self.dirty => {
                return Err(OutOfRange { at: Lba(0), bytes: 0, sectors: SECTORS });
            }
            _ => self.flushed = self.seen.clone(),
        }
        self.dirty = false;
        Ok(())
    }
}

#[test]
fn each_defect_is_caught() {
    contract::blocks(|| Mutant::new(Defect::None));
    // The panics below are what is wanted: their messages would only be noise.
    std::panic::set_hook(Box::new(|_| {}));
    let missed: Vec<Defect> = DEFECTS
        .into_iter()
        .filter(|d| catch_unwind(AssertUnwindSafe(|| contract::blocks(|| Mutant::new(*d)))).is_ok())
        .collect();
    let _ = std::panic::take_hook();
    assert_eq!(missed, []);
}

#[test]
fn a_borrowed_medium_keeps_the_contract() {
    struct Owned(Memory);
    impl Blocks for Owned {
        type Error = OutOfRange;
        fn sectors(&self) -> u64 {
            self.0.sectors()
        }
        fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), OutOfRange> {
            Blocks::read(&mut &mut self.0, at, into)
        }
        fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), OutOfRange> {
            Blocks::write(&mut &mut self.0, at, from)
        }
        fn flush(&mut self) -> Result<(), OutOfRange> {
            Blocks::flush(&mut &mut self.0)
        }
    }
    contract::blocks(|| Owned(Memory::new(16)));
}
