//! Writes an image's ranges to a disk and reads them back.
//!
//! The disk's first MiB, with the partition table, is zeroed before anything else and written after all the rest was read back: a card
//! that is interrupted or that lies never looks like a finished one.
use super::block_map::BlockMap;
use super::medium::Medium;
use crate::progress::{Progress, Stage};
use crate::zero::is_zero;
use bistable_format::{Digest, Hasher};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes with the partition table, in front.
pub(super) const HEAD: usize = 1 << 20;
/// What is read and written at a time.
const PIECE: usize = 1 << 20;
/// After how many bytes they have to be on the disk, so that the progress is the disk's and an end is never far.
const SYNC: u64 = 16 << 20;
/// Without a block map: bytes with a digest of their own.
const RANGE: u64 = 64 << 20;

/// Why the disk doesn't hold the image.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The image can't be read.
    #[error("can't read the image at byte {at}")]
    Image {
        /// Where.
        at: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The image isn't the one that the map is of.
    #[error("bytes {} to {} of the image are not those of its block map", .0.start, .0.end)]
    NotOfTheMap(Range<u64>),
    /// The image was changed meanwhile.
    #[error("bytes {} to {} of the image changed while it was written", .0.start, .0.end)]
    Changed(Range<u64>),
    /// The disk refuses.
    #[error("can't {action} the disk at byte {at}")]
    Disk {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        at: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The disk holds something else than what was written.
    #[error(
        "bytes {} to {} read back differ from what was written: the card is faulty or smaller than it claims, or the reader is faulty", .0.start, .0.end
    )]
    Differs(Range<u64>),
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Bytes that the disk holds of the image now.
    pub(super) mapped: u64,
    /// Bytes that were written. The others were zeros that the disk had already.
    pub(super) written: u64,
}

/// What is to be written: an image, and which parts of it.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: &'a File,
    bytes: u64,
    /// In order. With a digest if that is known before.
    ranges: Vec<(Range<u64>, Option<Digest>)>,
}

impl<'a> Source<'a> {
    /// With a map, what it names; otherwise all bytes, holes too: what they hold may matter.
    pub(super) fn new(file: &'a File, bytes: u64, map: Option<&BlockMap>) -> Source<'a> {
        let ranges = match map {
            Some(map) => map.ranges.iter().map(|(range, digest)| (range.clone(), Some(*digest))).collect(),
            None => {
                let starts = (0..bytes.div_ceil(RANGE)).map(|n| n * RANGE);
                starts.map(|start| (start..(start + RANGE).min(bytes), None)).collect()
            }
        };
        Source { file, bytes, ranges }
    }

    fn mapped(&self) -> u64 {
        self.ranges.iter().map(|(range, _)| range.end - range.start).sum()
    }

    /// Check the image against the map's digests, before anything is written.
    pub(super) fn check(&self, progress: &dyn Progress) -> Result<(), WriteError> {
        progress.begin(Stage::CheckImage, self.mapped());
        let (mut buffer, mut done) = (vec![0; PIECE], 0);
        for (range, expected) in &self.ranges {
            let digest = self.each_piece(range, &mut buffer, |piece, _| {
                done += piece.len() as u64;
                progress.advance(Stage::CheckImage, done);
                Ok(())
            })?;
            if expected.is_some_and(|expected| expected != digest) {
                return Err(WriteError::NotOfTheMap(range.clone()));
            }
        }
        progress.end(Stage::CheckImage);
        Ok(())
    }

    /// Read a range in pieces. Gives its digest.
    fn each_piece(
        &self,
        range: &Range<u64>,
        buffer: &mut [u8],
        mut act: impl FnMut(&[u8], u64) -> Result<(), WriteError>,
    ) -> Result<Digest, WriteError> {
        let mut hasher = Hasher::new();
        for (at, piece) in pieces(range) {
            let piece = buffer.get_mut(..piece).unwrap_or_default();
            self.file.read_exact_at(piece, at).map_err(|source| WriteError::Image { at, source })?;
            hasher.update(piece);
            act(piece, at)?;
        }
        Ok(hasher.finish())
    }

    /// Write it all and read it back.
    pub(super) fn write(&self, disk: &dyn Medium, progress: &dyn Progress) -> Result<Written, WriteError> {
        let mut head = vec![0; HEAD.min(usize::try_from(self.bytes).unwrap_or(HEAD))];
        put(disk, &head, 0)?;
        sync(disk, 0)?;

        let total = self.mapped();
        let mut done = Written { mapped: total, written: head.len() as u64 };
        let (mut buffer, mut other) = (vec![0; PIECE], vec![0; PIECE]);
        let (mut passed, mut unsynced) = (0, 0);
        let mut digests = Vec::new();
        progress.begin(Stage::WriteCard, total);
        for (range, expected) in &self.ranges {
            let digest = self.each_piece(range, &mut buffer, |piece, at| {
                // Pieces don't cross the head's end.
                if let Some(kept) = part_of(&mut head, at, piece.len()) {
                    kept.copy_from_slice(piece);
                } else if !(is_zero(piece) && has_zeros(disk, &mut other, at, piece.len())) {
                    put(disk, piece, at)?;
                    done.written += piece.len() as u64;
                    unsynced += piece.len() as u64;
                }
                if unsynced >= SYNC {
                    sync(disk, at)?;
                    unsynced = 0;
                }
                passed += piece.len() as u64;
                progress.advance(Stage::WriteCard, passed);
                Ok(())
            })?;
            if expected.is_some_and(|expected| expected != digest) {
                return Err(WriteError::Changed(range.clone()));
            }
            digests.push(digest);
        }
        sync(disk, self.bytes)?;
        progress.end(Stage::WriteCard);

        progress.begin(Stage::ReadBack, total);
        forget(disk)?;
        passed = 0;
        for ((range, _), expected) in self.ranges.iter().zip(&digests) {
            let mut hasher = Hasher::new();
            for (at, len) in pieces(range) {
                let piece = buffer.get_mut(..len).unwrap_or_default();
                match part_of(&mut head, at, len) {
                    Some(kept) => piece.copy_from_slice(kept),
                    None => get(disk, piece, at)?,
                }
                hasher.update(piece);
                passed += len as u64;
                progress.advance(Stage::ReadBack, passed);
            }
            if hasher.finish() != *expected {
                return Err(WriteError::Differs(range.clone()));
            }
        }
        // A card that claims to be larger than it is has other bytes of the image there now.
        let mut found = vec![0; head.len()];
        get(disk, &mut found, 0)?;
        if !is_zero(&found) {
            return Err(WriteError::Differs(0..head.len() as u64));
        }
        if let Err(e) = put_verified(disk, &head, &mut found) {
            // The card failed already, so that this may fail, too.
            let _ = put(disk, &vec![0; head.len()], 0).and_then(|()| sync(disk, 0));
            return Err(e);
        }
        progress.end(Stage::ReadBack);
        Ok(done)
    }
}

/// Write the head, and read it back.
fn put_verified(disk: &dyn Medium, head: &[u8], found: &mut [u8]) -> Result<(), WriteError> {
    put(disk, head, 0)?;
    sync(disk, 0)?;
    forget(disk)?;
    get(disk, found, 0)?;
    if found == head { Ok(()) } else { Err(WriteError::Differs(0..head.len() as u64)) }
}

/// Where each piece of a range begins, and its bytes. None crosses the head's end.
fn pieces(range: &Range<u64>) -> impl Iterator<Item = (u64, usize)> + use<> {
    let (mut at, end) = (range.start, range.end);
    std::iter::from_fn(move || {
        let start = at;
        let stop = if start < HEAD as u64 { HEAD as u64 } else { start + PIECE as u64 };
        let len = usize::try_from(stop.min(end).saturating_sub(start)).unwrap_or(PIECE);
        at += len as u64;
        (len > 0).then_some((start, len))
    })
}

/// The place of a piece in the head, if it lies there.
fn part_of(head: &mut [u8], at: u64, len: usize) -> Option<&mut [u8]> {
    let start = usize::try_from(at).ok().filter(|start| *start < HEAD)?;
    head.get_mut(start..start.checked_add(len)?)
}

/// Whether the disk has zeros there. If it can't say, they are written.
fn has_zeros(disk: &dyn Medium, buffer: &mut [u8], at: u64, len: usize) -> bool {
    let piece = buffer.get_mut(..len).unwrap_or_default();
    disk.read_at(piece, at).is_ok() && is_zero(piece)
}

fn put(disk: &dyn Medium, bytes: &[u8], at: u64) -> Result<(), WriteError> {
    disk.write_at(bytes, at).map_err(|source| WriteError::Disk { action: "write", at, source })
}

fn get(disk: &dyn Medium, bytes: &mut [u8], at: u64) -> Result<(), WriteError> {
    disk.read_at(bytes, at).map_err(|source| WriteError::Disk { action: "read back", at, source })
}

fn sync(disk: &dyn Medium, at: u64) -> Result<(), WriteError> {
    disk.sync().map_err(|source| WriteError::Disk { action: "write", at, source })
}

fn forget(disk: &dyn Medium) -> Result<(), WriteError> {
    disk.forget().map_err(|source| WriteError::Disk { action: "read back", at: 0, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::cell::{Cell, RefCell};
    use std::io::Write;

    /// A card in memory, full of old data, and what is wrong with it.
    struct Card {
        bytes: RefCell<Vec<u8>>,
        /// It has that many; what is beyond lands in front again.
        real: usize,
        /// After that many writes it refuses.
        writes_left: Cell<u32>,
        /// Writes there are lost.
        loses: Option<u64>,
    }

    impl Card {
        fn new(bytes: usize) -> Card {
            Card {
                bytes: RefCell::new(vec![0xaa; bytes]),
                real: bytes,
                writes_left: Cell::new(u32::MAX),
                loses: None,
            }
        }

        fn place(&self, at: u64) -> usize {
            usize::try_from(at).unwrap() % self.real
        }
    }

    impl Medium for Card {
        fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
            let at = self.place(at);
            buffer.copy_from_slice(&self.bytes.borrow()[at..at + buffer.len()]);
            Ok(())
        }

        fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
            let left = self.writes_left.get().checked_sub(1).ok_or(io::ErrorKind::WriteZero)?;
            self.writes_left.set(left);
            if self.loses != Some(at) {
                let at = self.place(at);
                self.bytes.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
            }
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        fn forget(&self) -> io::Result<()> {
            Ok(())
        }
    }

    const MIB: usize = 1 << 20;

    /// An image of 5 MiB and a bit: data, zeros, data.
    fn image() -> (File, Vec<u8>) {
        let mut bytes: Vec<u8> = (0..5 * MIB + 512).map(|n| u8::try_from(n / 7 % 251).unwrap()).collect();
        bytes[2 * MIB..4 * MIB].fill(0);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    fn map(bytes: &[u8]) -> BlockMap {
        // The first range lies across the head's end.
        let ranges = [4096..(3 * MIB / 2), (4 * MIB)..bytes.len()];
        let ranges = ranges.map(|range| {
            let digest = Digest::of(&bytes[range.clone()]);
            (range.start as u64..range.end as u64, digest)
        });
        BlockMap { image_bytes: bytes.len() as u64, ranges: ranges.into() }
    }

    #[test]
    fn without_a_map_the_disk_holds_the_image_byte_for_byte_even_its_holes() {
        let (file, bytes) = image();
        let card = Card::new(6 * MIB);
        let done = Source::new(&file, bytes.len() as u64, None).write(&card, &Silent).unwrap();
        assert_eq!(card.bytes.borrow()[..bytes.len()], bytes[..]);
        assert_eq!(done.mapped, bytes.len() as u64);
        assert!(card.bytes.borrow()[bytes.len()..].iter().all(|byte| *byte == 0xaa));
        // Zeros are not written where the disk has them.
        let again = Source::new(&file, bytes.len() as u64, None).write(&card, &Silent).unwrap();
        assert_eq!(done.written - again.written, 2 * MIB as u64);
    }

    #[test]
    fn with_a_map_only_its_ranges_are_written() {
        let (file, bytes) = image();
        let card = Card::new(6 * MIB);
        let map = map(&bytes);
        let source = Source::new(&file, bytes.len() as u64, Some(&map));
        source.check(&Silent).unwrap();
        source.write(&card, &Silent).unwrap();
        let found = card.bytes.borrow();
        assert_eq!(found[4096..3 * MIB / 2], bytes[4096..3 * MIB / 2]);
        assert_eq!(found[4 * MIB..bytes.len()], bytes[4 * MIB..]);
        assert!(found[3 * MIB / 2..4 * MIB].iter().all(|byte| *byte == 0xaa));
        assert!(is_zero(&found[..4096]), "an old partition table would stay");
    }

    #[test]
    fn an_image_that_is_not_the_maps_is_found_before_anything_is_written() {
        let (file, bytes) = image();
        let mut map = map(&bytes);
        map.ranges[1].1 = Digest::of(b"other");
        let source = Source::new(&file, bytes.len() as u64, Some(&map));
        assert!(
            matches!(source.check(&Silent), Err(WriteError::NotOfTheMap(range)) if range.start == 4 * MIB as u64)
        );
        let changed = source.write(&Card::new(6 * MIB), &Silent);
        assert!(matches!(changed, Err(WriteError::Changed(_))), "{changed:?}");
    }

    /// Whatever ends it, the card has no partition table: it can't be taken for a finished one.
    #[test]
    fn a_card_that_lies_or_fails_at_any_write_is_found_and_left_without_a_table() {
        let (file, bytes) = image();
        let source = Source::new(&file, bytes.len() as u64, None);
        let fake = Card { real: 4 * MIB, ..Card::new(6 * MIB) };
        // Only the head's place is hit by what lies beyond.
        let fake_by_a_head = Card { real: 5 * MIB, ..Card::new(6 * MIB) };
        let lossy = Card { loses: Some(4 * MIB as u64), ..Card::new(6 * MIB) };
        for card in [fake, fake_by_a_head, lossy] {
            let found = source.write(&card, &Silent);
            assert!(matches!(found, Err(WriteError::Differs(_))), "{found:?}");
            assert_ne!(card.bytes.borrow()[..512], bytes[..512]);
        }
        // Head, five pieces and a bit, head.
        for writes in 1..7 {
            let card = Card { writes_left: Cell::new(writes), ..Card::new(6 * MIB) };
            let found = source.write(&card, &Silent);
            assert!(matches!(found, Err(WriteError::Disk { action: "write", .. })), "{writes}: {found:?}");
            assert!(is_zero(&card.bytes.borrow()[..HEAD]), "{writes}");
        }
    }
}
