//! An artifact's raw bytes become chunks, and each chunk one zstd frame.
use super::data::Data;
use super::plan::Raw;
use super::{BuildError, BuildOptions};
use crate::parallel::{self, Feed};
use crate::progress::{Progress, Stage};
use crate::zero::is_zero;
use bistable_format::{Artifact, ArtifactId, Chunk, ChunkList, Digest, Encoding, Hasher, limits};
use std::io::{self, Write};
use zstd::bulk::Compressor;

/// Raw bytes in a chunk: a power of two between 256 KiB and 4 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSize(u32);

impl ChunkSize {
    /// If it is allowed.
    pub fn new(bytes: u64) -> Option<ChunkSize> {
        let bytes = u32::try_from(bytes).ok()?;
        let fine = bytes.is_power_of_two() && (limits::CHUNK_MIN..=limits::CHUNK_MAX).contains(&bytes);
        fine.then_some(ChunkSize(bytes))
    }

    /// In bytes.
    pub fn bytes(self) -> u32 {
        self.0
    }

    /// The next larger one that cuts a volume of that size into no more chunks than allowed.
    fn fitting(self, volume: u64) -> ChunkSize {
        let mut size = self.0;
        while size < limits::CHUNK_MAX && volume.div_ceil(u64::from(size)) > limits::CHUNKS {
            size *= 2;
        }
        ChunkSize(size)
    }
}

impl Default for ChunkSize {
    fn default() -> Self {
        ChunkSize(1 << 20)
    }
}

/// How hard to compress: zstd's levels 1 to 19.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(i32);

impl Level {
    /// If it is allowed. Levels above 19 would cost the device more memory for nothing.
    pub fn new(level: i32) -> Option<Level> {
        (1..=19).contains(&level).then_some(Level(level))
    }

    /// The best.
    pub const BEST: Level = Level(19);

    pub(crate) fn number(self) -> i32 {
        self.0
    }
}

impl Default for Level {
    fn default() -> Self {
        Level(12)
    }
}

/// An artifact whose data is written.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) id: ArtifactId,
    pub(super) artifact: Artifact,
    pub(super) list: ChunkList,
    pub(super) list_bytes: Vec<u8>,
}

impl Encoded {
    pub(super) fn zero_chunks(&self) -> usize {
        self.list.chunks.iter().filter(|c| matches!(c.encoding, Encoding::Zero { .. })).count()
    }
}

/// Most bytes that the chunk list of a volume of that size can have.
pub(super) fn list_bound(volume: u64, options: &BuildOptions) -> u64 {
    let chunks = volume.div_ceil(u64::from(options.chunk_size.fitting(volume).0));
    // Two digests, an enum's number and a length; the list's own head.
    chunks * (32 + 1 + 5 + 32) + 64
}

/// One compressed chunk.
struct Packed {
    chunk: Chunk,
    frame: Vec<u8>,
    raw: usize,
}

pub(super) fn artifact(
    id: ArtifactId,
    plan: &Raw,
    options: &BuildOptions,
    progress: &dyn Progress,
    mut data: Data<'_>,
) -> Result<Encoded, BuildError> {
    let stage = Stage::Compress(id);
    let total = plan.size();
    progress.begin(stage, total);
    let size = options.chunk_size.fitting(total);
    let level = options.level.0;
    let (mut raw_hash, mut data_hash) = (Hasher::new(), Hasher::new());
    let mut list = ChunkList { chunk_bytes: size.0, base: None, chunks: Vec::new() };
    let (mut raw_bytes, mut data_bytes) = (0, 0);
    let mut produced = 0;

    parallel::ordered(
        options.threads,
        |feed| {
            let mut chunker =
                Chunker { feed, whole: &mut raw_hash, filling: Vec::new(), size: size.0 as usize, seen: 0 };
            let written = plan.write_to(id, &mut chunker);
            let finished =
                written.and_then(|()| chunker.finish().map_err(|e| BuildError::Zstd(e.to_string())));
            produced = chunker.seen;
            finished
        },
        || {
            let mut compressor = None;
            move |raw: Vec<u8>| pack(&raw, level, &mut compressor)
        },
        |packed: Packed| {
            data_hash.update(&packed.frame);
            data_bytes += packed.frame.len() as u64;
            raw_bytes += packed.raw as u64;
            if data_bytes > limits::VOLUME_DATA {
                return Err(BuildError::TooMuchData { id });
            }
            data.write(&packed.frame)?;
            list.chunks.push(packed.chunk);
            progress.advance(stage, raw_bytes);
            Ok(())
        },
    )?;
    if produced != total {
        return Err(BuildError::Length { id, announced: total, found: produced });
    }
    let list_bytes = list.encode(total, data_bytes).map_err(|source| BuildError::List { id, source })?;
    let artifact = Artifact {
        bytes: total,
        digest: raw_hash.finish(),
        chunk_bytes: list.chunk_bytes,
        chunks: list.chunks_digest(),
        list_bytes: u32::try_from(list_bytes.len()).unwrap_or(u32::MAX),
        list: Digest::of(&list_bytes),
        data_bytes,
        data: data_hash.finish(),
    };
    progress.end(stage);
    Ok(Encoded { id, artifact, list, list_bytes })
}

/// Compress one chunk into one frame of its own. Deterministic: a fresh frame per chunk, nothing carried over.
fn pack(raw: &[u8], level: i32, compressor: &mut Option<Compressor<'static>>) -> Result<Packed, BuildError> {
    let failed = |e: io::Error| BuildError::Zstd(e.to_string());
    let compressor = match compressor {
        Some(c) => c,
        none => none.insert(Compressor::new(level).map_err(failed)?),
    };
    let frame = compressor.compress(raw).map_err(failed)?;
    let bytes = u32::try_from(frame.len()).map_err(|e| BuildError::Zstd(e.to_string()))?;
    let digest = Digest::of(&frame);
    let encoding =
        if is_zero(raw) { Encoding::Zero { bytes, digest } } else { Encoding::Zstd { bytes, digest } };
    Ok(Packed { chunk: Chunk { digest: Digest::of(raw), encoding }, frame, raw: raw.len() })
}

/// Cuts a stream into chunks, and hashes it as it passes.
struct Chunker<'a, 'f> {
    feed: &'a mut Feed<'f, Vec<u8>>,
    whole: &'a mut Hasher,
    filling: Vec<u8>,
    size: usize,
    seen: u64,
}

impl Chunker<'_, '_> {
    fn finish(&mut self) -> io::Result<()> {
        if self.filling.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.filling);
        self.whole.update(&chunk);
        self.feed.send(chunk).map_err(|parallel::Stopped| io::Error::other("stopped"))
    }
}

impl Write for Chunker<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.filling.capacity() == 0 {
            self.filling.reserve_exact(self.size);
        }
        let taken = bytes.len().min(self.size - self.filling.len());
        self.filling.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        self.seen += taken as u64;
        if self.filling.len() == self.size {
            self.finish()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
