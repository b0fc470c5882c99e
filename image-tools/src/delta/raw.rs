//! Raw bytes of images, read at any place: two images of a GiB are never in memory.
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that can be read at any place, by many threads.
pub trait Raw: Sync {
    /// How many there are.
    fn bytes(&self) -> u64;

    /// Fill `into` with those from `offset` on.
    ///
    /// # Errors
    /// When they can't be read, or there are too few.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
}

impl Raw for Vec<u8> {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        if into.is_empty() {
            return Ok(());
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(into.len());
        let from = self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(from);
        Ok(())
    }
}

/// A part of a file.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) file: &'a File,
    pub(crate) at: u64,
    pub(crate) bytes: u64,
}

impl Raw for Part<'_> {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(into.len() as u64).is_none_or(|end| end > self.bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(into, self.at.saturating_add(offset))
    }
}

/// A raw image in a temporary file without a name: it is gone when this is, however the program ends.
#[derive(Debug)]
pub(crate) struct Image {
    file: File,
    bytes: u64,
}

impl Image {
    /// One of zeros in that folder, or where temporary files are. Zeros take no room.
    pub(crate) fn create(folder: Option<&Path>, bytes: u64) -> io::Result<Image> {
        let file = match folder {
            Some(folder) => tempfile::tempfile_in(folder)?,
            None => tempfile::tempfile()?,
        };
        file.set_len(bytes)?;
        Ok(Image { file, bytes })
    }

    /// Write a piece, once.
    pub(crate) fn write_at(&self, offset: u64, piece: &[u8]) -> io::Result<()> {
        if crate::zero::is_zero(piece) { Ok(()) } else { self.file.write_all_at(piece, offset) }
    }
}

impl Raw for Image {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }
}
