//! Reading the contents that a tree refers to, and finding what of them is zero.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::data::{FileData, Range, Source};
use super::error::VolumeError;
use crate::zero::is_zero;

/// Files below this size, in bytes, have no holes.
pub(crate) const SPARSE_FROM: u64 = 1 << 20;
/// The unit of holes, in bytes.
pub(crate) const PIECE: u64 = 64 << 10;
/// The same, as a length.
pub(crate) const PIECE_LEN: usize = 64 << 10;

/// The files that [`Source::Archive`] and [`Source::Spool`] point into.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// The archive with its path.
    pub(crate) archive: Option<(PathBuf, File)>,
    /// The nameless temporary file with the folder it is in.
    pub(crate) spool: Option<(PathBuf, File)>,
}

/// One file's contents, opened.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    file: Opened<'a>,
    path: &'a Path,
    base: u64,
    size: u64,
}

#[derive(Debug)]
enum Opened<'a> {
    Own(File),
    Shared(&'a File),
    None,
}

impl Contents {
    /// Writes bytes behind what the temporary file has, and says where they are.
    pub(crate) fn append(&mut self, bytes: &[u8], temp_dir: Option<&Path>) -> Result<Source, VolumeError> {
        let (folder, file) = match &mut self.spool {
            Some(spool) => spool,
            none => {
                let folder = temp_dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
                let file = tempfile::tempfile_in(&folder)
                    .map_err(VolumeError::io("make a temporary file in", &folder))?;
                none.insert((folder, file))
            }
        };
        let failed = VolumeError::io("write a temporary file in", &*folder);
        let written = file.metadata().and_then(|meta| {
            file.write_all_at(bytes, meta.len())?;
            Ok(meta.len())
        });
        written.map(Source::Spool).map_err(failed)
    }

    /// Writes a whole file's bytes to the temporary file.
    pub(crate) fn store(&mut self, bytes: &[u8], temp_dir: Option<&Path>) -> Result<FileData, VolumeError> {
        let source = if bytes.is_empty() { Source::Empty } else { self.append(bytes, temp_dir)? };
        Ok(FileData { size: bytes.len() as u64, source, data: None })
    }

    /// Opens a file's contents.
    ///
    /// A file of the host is opened without following a link and must still have the size it had.
    pub(crate) fn open<'a>(&'a self, data: &'a FileData) -> Result<Reader<'a>, VolumeError> {
        let shared = |stored: &'a Option<(PathBuf, File)>, base| match stored {
            Some((path, file)) => Ok(Reader { file: Opened::Shared(file), path, base, size: data.size }),
            None => Err(VolumeError::Internal("a file's contents are in no archive".into())),
        };
        match &data.source {
            Source::Empty => Ok(Reader { file: Opened::None, path: Path::new(""), base: 0, size: 0 }),
            Source::Archive(base) => shared(&self.archive, *base),
            Source::Spool(base) => shared(&self.spool, *base),
            Source::Disk(path) => {
                let file = OpenOptions::new()
                    .read(true)
                    .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
                    .open(path)
                    .map_err(VolumeError::io("open", &**path))?;
                let meta = file.metadata().map_err(VolumeError::io("read", &**path))?;
                if !meta.is_file() || meta.len() != data.size {
                    return Err(VolumeError::Changed { path: path.to_path_buf() });
                }
                Ok(Reader { file: Opened::Own(file), path, base: 0, size: data.size })
            }
        }
    }
}

impl Reader<'_> {
    /// Fills `buffer` from `offset` on; a file that is shorter than it was is [`VolumeError::Changed`].
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), VolumeError> {
        let file = match &self.file {
            Opened::Own(file) => file,
            Opened::Shared(file) => file,
            Opened::None if buffer.is_empty() => return Ok(()),
            Opened::None => return Err(VolumeError::Internal("read from an empty file".into())),
        };
        file.read_exact_at(buffer, self.base + offset).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                VolumeError::Changed { path: self.path.into() }
            } else {
                VolumeError::Io { action: "read", path: self.path.into(), source }
            }
        })
    }

    /// Which pieces hold data. `None` if there are no holes. With `known`, only those ranges are looked at:
    /// all else is known to be zero.
    pub(crate) fn data_ranges(&self, known: Option<&[Range]>) -> Result<Option<Box<[Range]>>, VolumeError> {
        if self.size < SPARSE_FROM {
            return Ok(None);
        }
        let everything = [Range { offset: 0, len: self.size }];
        let mut buffer = vec![0; PIECE_LEN];
        let mut found: Vec<Range> = Vec::new();
        let mut next = 0;
        for range in known.unwrap_or(&everything) {
            let mut at = next.max(range.offset - range.offset % PIECE);
            let end = range.offset.saturating_add(range.len).min(self.size);
            while at < end {
                let len = PIECE.min(self.size - at);
                let piece = buffer.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
                self.read_at(at, piece)?;
                if !is_zero(piece) {
                    match found.last_mut() {
                        Some(last) if last.offset + last.len == at => last.len += len,
                        _ => found.push(Range { offset: at, len }),
                    }
                }
                at += len;
            }
            next = next.max(at);
        }
        let dense = matches!(&found[..], [one] if one.offset == 0 && one.len == self.size);
        Ok((!dense).then(|| found.into()))
    }
}

/// [`Reader::data_ranges`] of a part of a file that is just being written.
pub(crate) fn file_data_ranges(
    file: &File,
    path: &Path,
    base: u64,
    size: u64,
    known: &[Range],
) -> Result<Option<Box<[Range]>>, VolumeError> {
    Reader { file: Opened::Shared(file), path, base, size }.data_ranges(Some(known))
}

/// Where a sparse file of the host may have data, if its file system can tell. A mere shortcut: what is
/// found to be zero doesn't depend on it.
#[cfg(target_os = "linux")]
pub(crate) fn allocated(path: &Path, size: u64) -> Option<Vec<Range>> {
    use nix::unistd::{Whence, lseek};
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .ok()?;
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < size {
        let data = match lseek(&file, i64::try_from(at).ok()?, Whence::SeekData) {
            Ok(data) => u64::try_from(data).ok()?,
            Err(nix::errno::Errno::ENXIO) => break,
            Err(_) => return None,
        };
        let hole = lseek(&file, i64::try_from(data).ok()?, Whence::SeekHole).ok()?;
        let hole = u64::try_from(hole).ok()?;
        if hole <= at {
            return None;
        }
        ranges.push(Range { offset: data, len: hole.saturating_sub(data) });
        at = hole;
    }
    Some(ranges)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn allocated(_path: &Path, _size: u64) -> Option<Vec<Range>> {
    None
}
