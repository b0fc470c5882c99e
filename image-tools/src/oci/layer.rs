//! Layers, uncompressed, in a temporary file: each once, whichever images have it.
use super::error::{ImageProblem, OciError};
use super::store::{LAYER_MAX, Store, shown};
use crate::volume::data::FileData;
use crate::volume::{Compression, InputKind, VolumeError, ZSTD_WINDOW, looks_like_header};
use crate::zero::is_zero;
use bistable_format::{Digest, Hasher};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of all layers at most.
const LAYERS_MAX: u64 = 16 << 30;
/// What is copied at a time.
const PIECE: usize = 256 << 10;
/// Bytes of a tar's first header.
const HEADER: usize = 512;

/// The temporary file, with the folder it is in.
type Spool = Arc<(PathBuf, File)>;

/// A layer, verified.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// SHA-256 of its uncompressed bytes.
    pub(crate) diff_id: Digest,
    /// Its uncompressed bytes.
    pub(crate) size: u64,
    /// How it was compressed.
    compression: Compression,
    spool: Spool,
    at: u64,
}

impl Layer {
    /// What it was.
    pub(crate) fn input(&self) -> InputKind {
        InputKind::Tar(self.compression)
    }

    /// Write its bytes.
    pub(crate) fn write_to(&self, out: &mut dyn Write) -> Result<(), VolumeError> {
        let (folder, file) = &*self.spool;
        let (mut done, mut piece) = (0, vec![0; PIECE]);
        while done < self.size {
            let want = usize::try_from(self.size - done).map_or(PIECE, |left| left.min(PIECE));
            let piece = piece.get_mut(..want).unwrap_or_default();
            file.read_exact_at(piece, self.at + done)
                .map_err(VolumeError::io("read a temporary file in", folder))?;
            out.write_all(piece).map_err(VolumeError::Output)?;
            done += want as u64;
        }
        Ok(())
    }
}

/// All layers so far.
#[derive(Default)]
pub(super) struct Layers {
    list: Vec<Layer>,
    spool: Option<Spool>,
    bytes: u64,
}

impl Layers {
    /// One that is there.
    pub(super) fn get(&self, diff_id: Digest) -> Option<&Layer> {
        self.list.iter().find(|layer| layer.diff_id == diff_id)
    }

    pub(super) fn finish(self) -> Vec<Layer> {
        self.list
    }

    /// Take a file as the layer with this digest.
    pub(super) fn add(
        &mut self,
        store: &Store,
        name: &str,
        data: &FileData,
        diff_id: Digest,
    ) -> Result<(), OciError> {
        let spool = match &self.spool {
            Some(spool) => Arc::clone(spool),
            None => {
                let folder = std::env::temp_dir();
                let file = tempfile::tempfile_in(&folder)
                    .map_err(VolumeError::io("make a temporary file in", &folder))?;
                Arc::clone(self.spool.insert(Arc::new((folder, file))))
            }
        };
        let mut head = [0; 18];
        let got = read_up_to(&mut store.stream(data)?, &mut head).map_err(|e| store.unreadable(name, &e))?;
        let compression = Compression::of(head.get(..got).unwrap_or_default()).unwrap_or(Compression::None);
        let raw = BufReader::with_capacity(PIECE, store.stream(data)?);
        let damaged = |e: io::Error| store.unreadable(name, &e);
        let mut from: Box<dyn Read + '_> = match compression {
            Compression::None => Box::new(raw),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(raw).map_err(damaged)?;
                decoder.window_log_max(ZSTD_WINDOW).map_err(damaged)?;
                Box::new(decoder)
            }
            Compression::Xz => {
                return Err(store.wrong(ImageProblem::Compression { path: shown(name) }));
            }
        };
        let (folder, file) = &*spool;
        let (mut hasher, mut size, mut piece) = (Hasher::new(), 0, vec![0; PIECE]);
        loop {
            let got = read_up_to(&mut from, &mut piece).map_err(damaged)?;
            let bytes = piece.get(..got).unwrap_or_default();
            if size == 0 && !begins_a_tar(bytes) {
                return Err(store.wrong(ImageProblem::NotATar { path: shown(name) }));
            }
            if got == 0 {
                break;
            }
            if size + got as u64 > LAYER_MAX || self.bytes + size + got as u64 > LAYERS_MAX {
                let limit = if size + got as u64 > LAYER_MAX { LAYER_MAX } else { LAYERS_MAX };
                return Err(store.wrong(ImageProblem::LayerTooLarge { path: shown(name), limit }));
            }
            file.write_all_at(bytes, self.bytes + size)
                .map_err(VolumeError::io("write a temporary file in", folder))?;
            hasher.update(bytes);
            size += got as u64;
        }
        let found = hasher.finish();
        if found != diff_id {
            return Err(store.wrong(ImageProblem::DiffId { path: shown(name), wanted: diff_id, found }));
        }
        let at = self.bytes;
        self.bytes += size;
        drop(from);
        self.list.push(Layer { diff_id, size, compression, spool, at });
        Ok(())
    }
}

/// Whether a tar begins like this: with a header, or with the blocks that end one.
fn begins_a_tar(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(2 * HEADER)).unwrap_or_default();
    head.len() >= HEADER && (looks_like_header(head) || (head.len() == 2 * HEADER && is_zero(head)))
}

/// Reads until `into` is full or nothing is left.
fn read_up_to(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(got) => done += got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}
