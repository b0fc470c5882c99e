//! The card image's file: sparse, and it knows which blocks matter.
use crate::output::{NewFile, OutputError};
use crate::zero::is_zero;
use bistable_boot::{Blocks, Lba, OutOfRange, SECTOR};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::plan::{BLOCK, Place};

/// A card image in the making. All of it is zero, and a hole, until something is written.
#[derive(Debug)]
pub(super) struct CardImage {
    output: NewFile,
    bytes: u64,
    /// Byte ranges, of whole blocks, that a flashing tool must write, be they zero or not.
    mapped: Vec<Range<u64>>,
}

impl CardImage {
    pub(super) fn create(output: NewFile, bytes: u64) -> Result<CardImage, OutputError> {
        output.file().set_len(bytes).map_err(OutputError::io("write", output.path()))?;
        Ok(CardImage { output, bytes, mapped: Vec::new() })
    }

    pub(super) fn file(&self) -> &File {
        self.output.file()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// For `map_err`.
    pub(super) fn error(&self, source: io::Error) -> OutputError {
        OutputError::io("write", self.output.path())(source)
    }

    /// Write to where nothing was written yet: blocks of zeros stay holes.
    pub(super) fn fill(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut run: Option<Range<usize>> = None;
        let mut from = 0;
        while from < bytes.len() {
            let in_block = BLOCK - (at + from as u64) % BLOCK;
            let to = bytes.len().min(from.saturating_add(usize::try_from(in_block).unwrap_or(usize::MAX)));
            let piece = bytes.get(from..to).unwrap_or_default();
            match (&mut run, is_zero(piece)) {
                (Some(run), false) => run.end = to,
                (None, false) => run = Some(from..to),
                (_, true) => self.flush_run(at, bytes, run.take())?,
            }
            from = to;
        }
        self.flush_run(at, bytes, run)
    }

    fn flush_run(&self, at: u64, bytes: &[u8], run: Option<Range<usize>>) -> io::Result<()> {
        match run {
            Some(run) => {
                let start = at + run.start as u64;
                self.file().write_all_at(bytes.get(run).unwrap_or_default(), start)
            }
            None => Ok(()),
        }
    }

    /// Say that these bytes matter: a flashing tool must write them even where they are zero, since a card isn't
    /// empty when it comes.
    pub(super) fn map(&mut self, at: u64, bytes: u64) {
        let start = at / BLOCK * BLOCK;
        let end = (at + bytes).next_multiple_of(BLOCK).min(self.bytes);
        self.mapped.push(start..end);
    }

    /// The mapped ranges in order, joined where they meet.
    pub(super) fn mapped(&self) -> Vec<Range<u64>> {
        let mut ranges = self.mapped.clone();
        ranges.sort_by_key(|r| r.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        joined
    }

    pub(super) fn commit(self) -> Result<(), OutputError> {
        self.output.commit()
    }
}

/// One partition of the image, as the boot crate wants to see it.
#[derive(Debug)]
pub(super) struct PartitionBlocks<'a> {
    pub(super) file: &'a File,
    pub(super) place: Place,
}

/// Why a partition of the image can't be accessed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccessError {
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl PartitionBlocks<'_> {
    fn offset(&self, at: Lba, bytes: usize) -> Result<u64, AccessError> {
        OutOfRange::check(at, bytes, self.sectors())?;
        Ok(self.place.start + at.0 * SECTOR as u64)
    }
}

impl Blocks for PartitionBlocks<'_> {
    type Error = AccessError;

    fn sectors(&self) -> u64 {
        self.place.bytes / SECTOR as u64
    }

    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), AccessError> {
        Ok(self.file.read_exact_at(into, self.offset(at, into.len())?)?)
    }

    fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), AccessError> {
        Ok(self.file.write_all_at(from, self.offset(at, from.len())?)?)
    }

    /// The whole image becomes durable at once, when it gets its name.
    fn flush(&mut self) -> Result<(), AccessError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Access, Existing};
    use std::os::unix::fs::MetadataExt;

    fn image(folder: &tempfile::TempDir, bytes: u64) -> CardImage {
        let new = NewFile::create(&folder.path().join("card"), Existing::Refuse, Access::Public).unwrap();
        CardImage::create(new, bytes).unwrap()
    }

    #[test]
    fn what_is_filled_reads_back_and_zeros_are_holes() {
        let folder = tempfile::tempdir().unwrap();
        let card = image(&folder, 64 << 20);
        let mut bytes = vec![0; 8 << 20];
        for at in [0, 1, 4096, 5000, 3 << 20, (8 << 20) - 1] {
            bytes[at] = 7;
        }
        for at in [0, 12 << 20, (24 << 20) + 512] {
            card.fill(at, &bytes).unwrap();
            let mut back = vec![1; bytes.len()];
            card.file().read_exact_at(&mut back, at).unwrap();
            assert!(back == bytes, "at {at}");
        }
        let used = card.file().metadata().unwrap().blocks() * 512;
        assert!(used <= 256 << 10, "{used} bytes are used");
    }

    #[test]
    fn mapped_ranges_are_whole_blocks_and_joined() {
        let folder = tempfile::tempdir().unwrap();
        let mut card = image(&folder, 1 << 20);
        for (at, bytes) in [(9000, 10), (0, 512), (4096, 1), (100_000, 5000), (1_048_575, 1)] {
            card.map(at, bytes);
        }
        assert_eq!(card.mapped(), [0..12288, 98304..106_496, 1_044_480..1_048_576]);
    }

    #[test]
    fn a_partition_keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let card = image(&folder, 1 << 20);
        bistable_boot::contract::blocks(|| {
            let place = Place { start: 65536, bytes: 64 * 512 };
            card.file().write_all_at(&vec![0; 64 * 512], place.start).unwrap();
            PartitionBlocks { file: card.file(), place }
        });
    }
}
