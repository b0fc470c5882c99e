//! From a file, compressed or not, to a disk that can be read at any place.
use super::DiskError;
use super::content::{self, Content};
use crate::output::OutputError;
use crate::progress::{Progress, Stage};
use crate::volume::{Compression, decoder, decoder_failed};
use crate::zero::is_zero;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The largest disk that is taken, in bytes: 64 GiB. More than that from a file of a few MB is an attack or a mistake.
pub(super) const LIMIT: u64 = 64 << 30;
/// What is read, and left out if it is zero, at a time.
const PIECE: usize = 64 << 10;
/// After how many bytes the progress is told.
const TELL: u64 = 16 << 20;

/// A disk.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) file: File,
    pub(crate) bytes: u64,
}

/// Open an image of which a system is taken. One that is compressed is unpacked to a nameless sparse file in `folder`.
pub(super) fn open(path: &Path, folder: &Path, progress: &dyn Progress) -> Result<Disk, DiskError> {
    let disk = unpacked(path, folder, progress)?;
    if disk.bytes > LIMIT {
        return Err(DiskError::TooLarge { path: path.into(), limit: LIMIT });
    }
    let found = content::sniff(&disk.file, 0, disk.bytes).map_err(DiskError::read("read", path))?;
    match (found, found.option()) {
        (_, Some(option)) => Err(DiskError::PlainVolume { path: path.into(), found: found.name(), option }),
        (Content::Zeros, _) => {
            Err(DiskError::NotAnImage { path: path.into(), found: "empty: it begins with zeros" })
        }
        _ => Ok(disk),
    }
}

/// Open an image, whatever it holds. One that is compressed is unpacked to a nameless sparse file in `folder`.
pub(crate) fn unpacked(path: &Path, folder: &Path, progress: &dyn Progress) -> Result<Disk, DiskError> {
    let meta = std::fs::metadata(path).map_err(DiskError::read("read", path))?;
    let refuse = |found| Err(DiskError::NotAnImage { path: path.into(), found });
    if meta.is_dir() {
        return refuse("a directory");
    }
    if !meta.is_file() {
        return refuse("no regular file");
    }
    let file = File::open(path).map_err(DiskError::read("open", path))?;
    let mut head = [0; 8];
    let got = read_full(&mut &file, &mut head).map_err(DiskError::read("read", path))?;
    let head = head.get(..got).unwrap_or_default();
    let compression = if head.is_empty() {
        return refuse("an empty file");
    } else if let Some(compression) = Compression::of(head) {
        compression
    } else if head.starts_with(b"PK\x03\x04") {
        return refuse("a zip archive: unpack it and give the .img in it");
    } else if head.starts_with(b"BZh") {
        return refuse("compressed by bzip2: unpack it first");
    } else if head.starts_with(b"\x3a\xff\x26\xed") {
        return refuse("an Android sparse image: unpack it with simg2img");
    } else {
        Compression::None
    };
    match compression {
        Compression::None => Ok(Disk { file, bytes: meta.len() }),
        // Opened again: the first bytes were read from this one.
        _ => unpack(path, compression, folder, progress),
    }
}

fn unpack(
    path: &Path,
    compression: Compression,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<Disk, DiskError> {
    let file = File::open(path).map_err(DiskError::read("open", path))?;
    let total = file.metadata().map_err(DiskError::read("read", path))?.len();
    // Shares the place where the decoder reads, so that it tells how far that is.
    let mut place = file.try_clone().map_err(DiskError::read("read", path))?;
    let (mut input, format) = decoder(path, file, compression).map_err(DiskError::Damaged)?;
    let output =
        tempfile::tempfile_in(folder).map_err(OutputError::io("make a temporary file in", folder))?;
    progress.begin(Stage::Unpack, total);
    let mut buffer = vec![0; PIECE];
    let mut bytes = 0;
    loop {
        let got = read_full(&mut input, &mut buffer).map_err(|source| {
            // An error of the operating system has a number; one of a decoder hasn't.
            match source.raw_os_error() {
                Some(_) => DiskError::read("read", path)(source),
                None => DiskError::Damaged(decoder_failed(path, format, source)),
            }
        })?;
        let piece = buffer.get(..got).unwrap_or_default();
        if !is_zero(piece) {
            output.write_all_at(piece, bytes).map_err(OutputError::io("write", folder))?;
        }
        bytes += got as u64;
        if bytes > LIMIT {
            return Err(DiskError::TooLarge { path: path.into(), limit: LIMIT });
        }
        if bytes % TELL == 0 {
            let read = place.stream_position().map_err(DiskError::read("read", path))?;
            progress.advance(Stage::Unpack, read.min(total));
        }
        if got < PIECE {
            break;
        }
    }
    output.set_len(bytes).map_err(OutputError::io("write", folder))?;
    progress.end(Stage::Unpack);
    Ok(Disk { file: output, bytes })
}

/// Copy a part of a disk to a file, leaving out what is zero.
pub(super) fn copy(
    disk: &Disk,
    path: &Path,
    start: u64,
    bytes: u64,
    to: &File,
    out: &Path,
) -> Result<(), DiskError> {
    let mut buffer = vec![0; PIECE];
    let mut done = 0;
    while done < bytes {
        let len = usize::try_from(bytes - done).map_or(PIECE, |rest| rest.min(PIECE));
        let piece = buffer.get_mut(..len).unwrap_or_default();
        disk.file.read_exact_at(piece, start + done).map_err(DiskError::read("read", path))?;
        if !is_zero(piece) {
            to.write_all_at(piece, done).map_err(OutputError::io("write", out))?;
        }
        done += len as u64;
    }
    to.set_len(bytes).map_err(OutputError::io("write", out))?;
    Ok(())
}

/// Read until the buffer is full or the input ends.
fn read_full(input: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(got) => done += got,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}
