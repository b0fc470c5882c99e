//! From a frame in the file to verified raw bytes.
use super::{BundleError, ChunkProblem, Part, Stream};
use crate::parallel::{Feed, Stopped};
use bistable_format::bundle::Reader;
use bistable_format::{ArtifactId, Chunk, ChunkList, Digest, Encoding};
use std::io::{self, Read};
use zstd::bulk::Decompressor;

/// A frame to be checked.
pub(super) struct Job<'a> {
    index: usize,
    offset: u64,
    chunk: &'a Chunk,
    frame: Vec<u8>,
    raw_bytes: usize,
}

/// A chunk that is right.
pub(super) struct Checked {
    pub(super) frame: Vec<u8>,
    pub(super) raw: Vec<u8>,
}

pub(super) fn read_frames<'a, R: Read>(
    bundle: &mut Reader<Stream<R>>,
    kind: ArtifactId,
    list: &'a ChunkList,
    volume: u64,
    feed: &mut Feed<'_, Job<'a>>,
) -> Result<(), BundleError> {
    for (index, chunk) in list.chunks.iter().enumerate() {
        let offset = bundle.at();
        let mut frame = vec![0; chunk.encoding.data_bytes() as usize];
        bundle.fill(&mut frame, Part::Data(kind))?;
        let raw_bytes = list.raw_bytes(index, volume) as usize;
        if let Err(Stopped) = feed.send(Job { index, offset, chunk, frame, raw_bytes }) {
            // Whoever stopped tells why.
            return Ok(());
        }
    }
    Ok(())
}

/// Hash, and only then decompress, to no more than the chunk's bytes.
pub(super) fn unpack(
    kind: ArtifactId,
    job: Job<'_>,
    decompressor: &mut Option<Decompressor<'static>>,
) -> Result<Checked, BundleError> {
    let Job { index, offset, chunk, frame, raw_bytes } = job;
    let wrong = |problem| BundleError::Chunk { kind, index, offset, problem };
    let zstd = |e: io::Error| wrong(ChunkProblem::Zstd(e.to_string()));
    let (digest, zero) = match &chunk.encoding {
        Encoding::Zero { digest, .. } => (digest, true),
        Encoding::Zstd { digest, .. } => (digest, false),
        Encoding::Copy(_) | Encoding::Patch { .. } => return Err(BundleError::Delta { kind }),
    };
    if Digest::of(&frame) != *digest {
        return Err(wrong(ChunkProblem::Digest));
    }
    let decompressor = match decompressor {
        Some(d) => d,
        none => none.insert(Decompressor::new().map_err(zstd)?),
    };
    let raw = decompressor.decompress(&frame, raw_bytes).map_err(zstd)?;
    if raw.len() != raw_bytes || Digest::of(&raw) != chunk.digest {
        return Err(wrong(ChunkProblem::Raw));
    }
    if zero && !crate::zero::is_zero(&raw) {
        return Err(wrong(ChunkProblem::NotZero));
    }
    Ok(Checked { frame, raw })
}
