//! The bytes of an archive, decompressed and counted, and the temporary file that takes contents.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::compression::Compression;
use super::header::{Header, TAR_BLOCK, looks_like_header};
use super::join;
use crate::volume::content::{self, PIECE, PIECE_LEN, SPARSE_FROM};
use crate::volume::data::Range;
use crate::volume::error::VolumeError;

/// The most memory that an xz stream may ask for, in bytes: `xz -9` needs 65 MiB.
pub(crate) const XZ_MEMORY: u64 = 256 << 20;
/// The largest zstd window that is accepted, as a power of two: 128 MiB.
pub(crate) const ZSTD_WINDOW: u32 = 27;
/// Read buffer in bytes.
const BUFFER: usize = 256 << 10;

/// An archive's decompressed bytes.
pub(super) struct Stream {
    path: PathBuf,
    input: Input,
    format: &'static str,
    /// How many bytes were read.
    offset: u64,
    /// Bytes that were looked at and come next.
    next: Vec<u8>,
}

enum Input {
    /// A plain archive and its length.
    Plain(BufReader<File>, u64),
    Compressed(Box<dyn Read>),
}

/// What reads a compressed file's contents, with a bound on its memory, and the format's name.
pub(crate) fn decoder(
    path: &Path,
    file: File,
    compression: Compression,
) -> Result<(Box<dyn Read>, &'static str), VolumeError> {
    let raw = BufReader::with_capacity(BUFFER, file);
    let format = compression.name();
    let damaged = |source: io::Error| VolumeError::Damaged { path: path.into(), format, source };
    let decoder: Box<dyn Read> = match compression {
        Compression::None => Box::new(raw),
        Compression::Gzip => Box::new(super::gzip::Members::new(raw)),
        Compression::Xz => {
            let stream =
                liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                    .map_err(|error| damaged(error.into()))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(raw, stream))
        }
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(raw).map_err(damaged)?;
            decoder.window_log_max(ZSTD_WINDOW).map_err(damaged)?;
            Box::new(decoder)
        }
    };
    Ok((decoder, format))
}

/// What a decoder of xz says of a dictionary that is too large (`LZMA_MEMLIMIT_ERROR` in liblzma), and one of zstd of a window
/// (`ZSTD_error_frameParameter_windowTooLarge`): neither has a number of its own on the way here.
const TOO_LARGE: [&str; 3] = ["memory limit", "memory usage limit", "requires too much memory"];

/// An error of a decoder: the data is damaged, or asks for more memory than it gets.
pub(crate) fn decoder_failed(path: &Path, format: &'static str, source: io::Error) -> VolumeError {
    let said = source.to_string().to_lowercase();
    let path = path.into();
    if TOO_LARGE.iter().any(|words| said.contains(words)) {
        let limit = if format == "xz" { XZ_MEMORY } else { 1 << ZSTD_WINDOW };
        return VolumeError::Window { path, format, limit: limit >> 20 };
    }
    VolumeError::Damaged { path, format, source }
}

impl Stream {
    pub(super) fn open(path: &Path, compression: Compression) -> Result<Self, VolumeError> {
        let file = File::open(path).map_err(VolumeError::io("open", path))?;
        let len = file.metadata().map_err(VolumeError::io("read", path))?.len();
        if compression == Compression::None {
            let raw = BufReader::with_capacity(BUFFER, file);
            return Ok(Self {
                path: path.into(),
                input: Input::Plain(raw, len),
                format: "tar",
                offset: 0,
                next: Vec::new(),
            });
        }
        let (decoder, format) = decoder(path, file, compression)?;
        // Many small reads follow; a decoder is slow on those.
        let input = Input::Compressed(Box::new(BufReader::with_capacity(BUFFER, decoder)));
        Ok(Self { path: path.into(), input, format, offset: 0, next: Vec::new() })
    }

    /// Reads until `buffer` is full or the archive ends.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, VolumeError> {
        let mut done = buffer.len().min(self.next.len());
        for (to, from) in buffer.iter_mut().zip(self.next.drain(..done)) {
            *to = from;
        }
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let got = match &mut self.input {
                Input::Plain(file, _) => file.read(rest),
                Input::Compressed(decoder) => decoder.read(rest),
            };
            match got {
                Ok(0) => break,
                Ok(got) => done += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.failed(source)),
            }
        }
        self.offset += done as u64;
        Ok(done)
    }

    fn failed(&self, source: io::Error) -> VolumeError {
        let path = self.path.clone();
        // An error of the operating system has a number; one of a decoder hasn't.
        if source.raw_os_error().is_some() {
            VolumeError::Io { action: "read", path, source }
        } else {
            decoder_failed(&path, self.format, source)
        }
    }

    fn exact(&mut self, buffer: &mut [u8], what: &str) -> Result<(), VolumeError> {
        if self.fill(buffer)? < buffer.len() {
            return Err(self.truncated(what));
        }
        Ok(())
    }

    fn truncated(&self, what: &str) -> VolumeError {
        VolumeError::Truncated {
            path: self.path.clone(),
            what: format!("the archive ends at byte {} of its tar data, {what}", self.offset),
        }
    }

    /// An error at the place that was just read.
    pub(super) fn invalid(&self, why: &str) -> VolumeError {
        let offset = self.offset.saturating_sub(TAR_BLOCK as u64);
        VolumeError::Tar { path: self.path.clone(), offset, why: why.into() }
    }

    /// Whether data of that many bytes follows a hard link that names a size: GNU tar's and most others' have none, those of POSIX
    /// (pax, cpio -H ustar) may. Known by what comes next: a header or the end mark, or something else.
    pub(super) fn has_data(&mut self, size: u64) -> Result<bool, VolumeError> {
        if size == 0 {
            return Ok(false);
        }
        let mut next = [0; TAR_BLOCK];
        let got = self.fill(&mut next)?;
        self.offset -= got as u64;
        self.next = next.get(..got).unwrap_or_default().to_vec();
        Ok(!(got < TAR_BLOCK || crate::zero::is_zero(&next) || looks_like_header(&next)))
    }

    /// The next block.
    pub(super) fn block(&mut self) -> Result<[u8; TAR_BLOCK], VolumeError> {
        let mut block = [0; TAR_BLOCK];
        self.exact(&mut block, "within an entry's header")?;
        Ok(block)
    }

    /// The next header; `None` at the end mark.
    pub(super) fn header(&mut self) -> Result<Option<Header>, VolumeError> {
        let mut block = [0; TAR_BLOCK];
        self.exact(&mut block, "before its end mark")?;
        if crate::zero::is_zero(&block) {
            return Ok(None);
        }
        Header::decode(&block).map(Some).map_err(|why| self.invalid(&why))
    }

    /// An extension header's data and its padding; nothing is allocated beyond `limit`.
    pub(super) fn bytes(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, VolumeError> {
        let size = match usize::try_from(size) {
            Ok(small) if size <= limit => small,
            _ => {
                return Err(
                    self.invalid(&format!("an extended header of {size} bytes; at most {limit} are read"))
                );
            }
        };
        let mut bytes = vec![0; size];
        self.exact(&mut bytes, "within an extended header")?;
        self.pad(size as u64)?;
        Ok(bytes)
    }

    /// Reads over the padding behind `size` bytes of data.
    pub(super) fn pad(&mut self, size: u64) -> Result<(), VolumeError> {
        let over = size % TAR_BLOCK as u64;
        if over == 0 { Ok(()) } else { self.skip_bytes(TAR_BLOCK as u64 - over) }
    }

    /// Reads over data and its padding.
    pub(super) fn skip(&mut self, size: u64) -> Result<(), VolumeError> {
        self.skip_bytes(size)?;
        self.pad(size)
    }

    fn skip_bytes(&mut self, mut size: u64) -> Result<(), VolumeError> {
        let mut buffer = [0; 4096];
        while size > 0 {
            let want = usize::try_from(size).map_or(buffer.len(), |size| size.min(buffer.len()));
            self.exact(buffer.get_mut(..want).unwrap_or_default(), "within an entry")?;
            size -= want as u64;
        }
        Ok(())
    }

    /// In a plain archive: passes over data and padding and says where the data begins. `None` in a
    /// compressed one, where nothing is passed over.
    pub(super) fn skip_in_place(&mut self, size: u64) -> Result<Option<u64>, VolumeError> {
        let Input::Plain(file, len) = &mut self.input else {
            return Ok(None);
        };
        let start = self.offset;
        let padded = size.checked_next_multiple_of(TAR_BLOCK as u64);
        let end = padded.and_then(|padded| start.checked_add(padded)).filter(|end| end <= len);
        let Some(end) = end else {
            return Err(VolumeError::Truncated {
                path: self.path.clone(),
                what: format!("an entry at byte {start} claims {size} bytes, the archive has {len} in all"),
            });
        };
        let step = i64::try_from(end - start).unwrap_or(i64::MAX);
        file.seek_relative(step).map_err(VolumeError::io("read", &self.path))?;
        self.offset = end;
        Ok(Some(start))
    }

    /// Reads what is behind the end mark: only zeros may be there. So a compressed archive's own checksum is
    /// always checked, too.
    pub(super) fn finish(&mut self) -> Result<(), VolumeError> {
        let mut buffer = [0; 8192];
        loop {
            let got = self.fill(&mut buffer)?;
            if !crate::zero::is_zero(buffer.get(..got).unwrap_or_default()) {
                return Err(self.invalid(
                    "there is data behind the archive's end; if these are archives one after another, unpack \
                     and pack them as one",
                ));
            }
            if got < buffer.len() {
                break;
            }
        }
        if let Input::Plain(file, _) = &mut self.input {
            debug_assert!(file.fill_buf().is_ok_and(<[u8]>::is_empty) && file.stream_position().is_ok());
        }
        Ok(())
    }
}

/// The temporary file.
pub(super) struct Spool {
    file: File,
    folder: PathBuf,
    len: u64,
}

impl Spool {
    /// The temporary file, made at the first use.
    pub(super) fn get<'a>(
        spool: &'a mut Option<Self>,
        folder: Option<&Path>,
    ) -> Result<&'a mut Self, VolumeError> {
        match spool {
            Some(spool) => Ok(spool),
            None => {
                let folder = folder.map_or_else(std::env::temp_dir, Path::to_path_buf);
                let file = tempfile::tempfile_in(&folder)
                    .map_err(VolumeError::temporary("make a temporary file in", &folder))?;
                Ok(spool.insert(Self { file, folder, len: 0 }))
            }
        }
    }

    pub(super) fn into_file(self) -> Result<(PathBuf, File), VolumeError> {
        self.extend()?;
        Ok((self.folder, self.file))
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> VolumeError {
        VolumeError::temporary("write a temporary file in", &self.folder)
    }

    /// Room for `size` bytes; returns where it begins.
    fn reserve(&mut self, size: u64) -> Result<u64, VolumeError> {
        let start = self.len;
        let end = start.checked_add(size).and_then(|end| end.checked_next_multiple_of(8));
        let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
        self.len = end.ok_or_else(too_large).map_err(self.failed())?;
        Ok(start)
    }

    /// Takes `size` bytes of the stream; returns where they begin and which of them are data.
    #[expect(clippy::type_complexity, reason = "a place and an optional list; a name would hide it")]
    pub(super) fn append(
        &mut self,
        stream: &mut Stream,
        size: u64,
    ) -> Result<(u64, Option<Box<[Range]>>), VolumeError> {
        let start = self.reserve(size)?;
        let mut buffer = vec![0; usize::try_from(size.min(PIECE)).unwrap_or(0)];
        let mut data = Vec::new();
        let mut at = 0;
        while at < size {
            let len = PIECE.min(size - at);
            let piece = buffer.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
            stream.exact(piece, "within a file")?;
            if !crate::zero::is_zero(piece) {
                self.file.write_all_at(piece, start + at).map_err(self.failed())?;
                join(&mut data, at, len);
            }
            at += len;
        }
        let dense = matches!(&data[..], [one] if one.len == size);
        Ok((start, (size >= SPARSE_FROM && !dense).then(|| data.into())))
    }

    /// Takes the ranges of a sparse file; returns as [`Spool::append`].
    #[expect(clippy::type_complexity, reason = "as append")]
    pub(super) fn append_sparse(
        &mut self,
        stream: &mut Stream,
        size: u64,
        ranges: &[Range],
    ) -> Result<(u64, Option<Box<[Range]>>), VolumeError> {
        let start = self.reserve(size)?;
        let mut buffer = vec![0; PIECE_LEN];
        for range in ranges {
            let mut at = 0;
            while at < range.len {
                let len = PIECE.min(range.len - at);
                let piece = buffer.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
                stream.exact(piece, "within a sparse file")?;
                self.file.write_all_at(piece, start + range.offset + at).map_err(self.failed())?;
                at += len;
            }
        }
        self.extend()?;
        let data = content::file_data_ranges(&self.file, &self.folder, start, size, ranges)?;
        Ok((start, data))
    }

    /// Makes the file as long as what was promised of it: zeros at its end are not written.
    fn extend(&self) -> Result<(), VolumeError> {
        self.file.set_len(self.len).map_err(self.failed())
    }
}
