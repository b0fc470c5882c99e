//! Reads an archive from any pieces of it, strictly: there is one way to write each entry, and each byte is compared with it.
use super::entry::{Entry, Read, padding};
use super::{ArchiveError, ArchiveRules, EntryKind, Totals};
use crate::{bundle::BLOCK, limits};
use alloc::vec::Vec;

/// Blocks of zeros at an archive's end.
const END_BLOCKS: usize = 2;
/// Bytes of an entry's PAX header at most: two long names, two numbers.
const PAX_MAX: usize = 2 * limits::ARCHIVE_PATH + 256;

/// Takes what is in an archive: it unpacks, lists, or only counts it.
pub trait Sink {
    /// Why it fails.
    type Error;

    /// An entry begins. A folder or a link is all there; a file's content follows.
    ///
    /// # Errors
    /// When it can't be taken.
    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Self::Error>;

    /// The next bytes of the file that began last.
    ///
    /// # Errors
    /// When they can't be taken.
    fn content(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// That file is all there.
    ///
    /// # Errors
    /// When it can't be finished.
    fn end(&mut self) -> Result<(), Self::Error>;
}

/// Why an archive can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError<E> {
    /// Bytes that no archive has at this place.
    #[error("byte {at} of the archive: not an entry as archives of components have them")]
    Form {
        /// Where the entry begins.
        at: u64,
    },
    /// An entry that may not be there.
    #[error(transparent)]
    Rules(#[from] ArchiveError),
    /// It ends too early.
    #[error("the archive ends too early, at byte {at}")]
    Truncated {
        /// Its length.
        at: u64,
    },
    /// It continues after its end.
    #[error("byte {at} of the archive follows its end")]
    Trailing {
        /// Where.
        at: u64,
    },
    /// Whoever takes it failed.
    #[error("the archive can't be unpacked")]
    Sink(E),
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// Blocks before a content: a header, or a PAX header with its records.
    Blocks,
    /// A file's content, and the zeros that follow it.
    Content(u64, usize),
    /// Zeros after a content.
    Padding(usize),
    /// Zeros at the end: how many are missing.
    End(usize),
}

/// Reads an archive that comes in pieces. Memory is bounded by an entry's headers.
#[derive(Debug)]
pub struct ArchiveReader {
    rules: ArchiveRules,
    next: Next,
    /// The blocks of the entry that is being read.
    blocks: Vec<u8>,
    /// Bytes of the blocks that are needed to continue.
    wanted: usize,
    /// Bytes of its PAX records.
    records: usize,
    /// Bytes before the next one.
    at: u64,
}

impl Default for ArchiveReader {
    fn default() -> Self {
        ArchiveReader::new()
    }
}

impl ArchiveReader {
    /// For an archive of which nothing has been read.
    pub fn new() -> ArchiveReader {
        ArchiveReader {
            rules: ArchiveRules::new(),
            next: Next::Blocks,
            blocks: Vec::new(),
            wanted: BLOCK,
            records: 0,
            at: 0,
        }
    }

    /// The next piece of the archive: any number of bytes.
    ///
    /// # Errors
    /// See [`ReadError`]; after one, nothing that follows means anything.
    pub fn push<S: Sink>(&mut self, mut bytes: &[u8], sink: &mut S) -> Result<(), ReadError<S::Error>> {
        while !bytes.is_empty() {
            let most = match self.next {
                Next::Blocks => self.wanted - self.blocks.len(),
                Next::Content(left, _) => usize::try_from(left).unwrap_or(usize::MAX),
                Next::Padding(left) => left,
                Next::End(0) => return Err(ReadError::Trailing { at: self.at }),
                Next::End(left) => left,
            };
            let (piece, rest) = bytes.split_at(most.min(bytes.len()));
            bytes = rest;
            let at = self.at;
            self.at += piece.len() as u64;
            match self.next {
                Next::Blocks => {
                    self.blocks.extend_from_slice(piece);
                    if self.blocks.len() == self.wanted {
                        self.blocks(sink)?;
                    }
                }
                Next::Content(left, padding) => {
                    sink.content(piece).map_err(ReadError::Sink)?;
                    self.next = Next::Content(left - piece.len() as u64, padding);
                }
                Next::Padding(left) | Next::End(left) => {
                    if let Some(wrong) = piece.iter().position(|byte| *byte != 0) {
                        return Err(ReadError::Form { at: at + wrong as u64 });
                    }
                    self.next = match self.next {
                        Next::End(_) => Next::End(left - piece.len()),
                        _ => Next::Padding(left - piece.len()),
                    };
                }
            }
            self.settle(sink)?;
        }
        Ok(())
    }

    /// What there was, after the last piece.
    ///
    /// # Errors
    /// [`ReadError::Truncated`], or an archive without an entry.
    pub fn finish<E>(self) -> Result<Totals, ReadError<E>> {
        match self.next {
            Next::End(0) => Ok(self.rules.finish()?),
            _ => Err(ReadError::Truncated { at: self.at }),
        }
    }

    /// Pass over what has no bytes.
    fn settle<S: Sink>(&mut self, sink: &mut S) -> Result<(), ReadError<S::Error>> {
        if let Next::Content(0, padding) = self.next {
            sink.end().map_err(ReadError::Sink)?;
            self.next = Next::Padding(padding);
        }
        if let Next::Padding(0) = self.next {
            (self.next, self.records, self.wanted) = (Next::Blocks, 0, BLOCK);
        }
        Ok(())
    }

    /// All blocks that were wanted are there.
    fn blocks<S: Sink>(&mut self, sink: &mut S) -> Result<(), ReadError<S::Error>> {
        let form = ReadError::Form { at: self.at - self.blocks.len() as u64 };
        let Some((before, block)) = self.blocks.split_last_chunk::<BLOCK>() else { return Err(form) };
        if before.is_empty() && block.iter().all(|byte| *byte == 0) {
            self.blocks.clear();
            self.next = Next::End((END_BLOCKS - 1) * BLOCK);
            return Ok(());
        }
        if before.is_empty() && block[156] == b'x' {
            // Its records, in whole blocks, and the header that they are about.
            let bytes =
                usize::try_from(Read::new(block, &[]).bytes).ok().filter(|b| (1..=PAX_MAX).contains(b));
            self.records = bytes.ok_or(form)?;
            self.wanted = BLOCK + self.records.next_multiple_of(BLOCK) + BLOCK;
            return Ok(());
        }
        let records = before.get(BLOCK..).and_then(|rest| rest.get(..self.records)).unwrap_or_default();
        let read = Read::new(block, records);
        let Some(entry) = read.entry() else { return Err(form) };
        self.rules.entry(entry.path, entry.kind, entry.mode, entry.bytes)?;
        if entry.encode() != self.blocks {
            return Err(form);
        }
        sink.begin(&entry).map_err(ReadError::Sink)?;
        self.blocks.clear();
        // A file without content has an end, too; what has no content at all has none.
        self.next = match entry.kind {
            EntryKind::File => Next::Content(entry.bytes, padding(entry.bytes)),
            EntryKind::Directory | EntryKind::Symlink(_) => Next::Padding(0),
        };
        Ok(())
    }
}
