//! What a delta makes: every byte, as a device would make it.
use super::codec;
use super::encode::read_ranges;
use super::raw::Raw;
use crate::parallel::{self, Stopped, Threads};
use crate::progress::{Progress, Stage};
use crate::zero::is_zero;
use bistable_format::{Artifact, ArtifactId, Chunk, ChunkList, Digest, Encoding, Hasher};
use std::io;

/// Why a delta doesn't make its target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Base or data can't be read.
    #[error("the base or the delta's data can't be read")]
    Read(#[source] io::Error),
    /// A chunk is not what it has to be.
    #[error("chunk {index} of the {kind:#}: {problem}")]
    Chunk {
        /// Which artifact.
        kind: ArtifactId,
        /// Which chunk, counted from 0.
        index: usize,
        /// What is wrong with it.
        problem: ApplyProblem,
    },
    /// All chunks are as listed, and the whole isn't.
    #[error("the {kind:#} that it makes does not have the digest that the release names")]
    Volume {
        /// Which artifact.
        kind: ArtifactId,
    },
}

/// What is wrong with a chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyProblem {
    /// The frame isn't the listed one.
    #[error("its data does not have the listed digest")]
    Digest,
    /// The frame has a form that devices refuse.
    #[error("its frame has a form that devices refuse: {0}")]
    Form(String),
    /// The frame can't be decompressed with its prefix.
    #[error("its data can't be decompressed with these bytes of the base: {0}")]
    Zstd(String),
    /// It is made of other bytes.
    #[error("it is made of other bytes than the release has")]
    Raw,
}

/// What makes an artifact.
#[derive(Clone, Copy)]
pub(crate) struct Making<'a> {
    pub(crate) kind: ArtifactId,
    pub(crate) target: &'a Artifact,
    /// Decoded for the target and the base.
    pub(crate) list: &'a ChunkList,
    /// The delta's data.
    pub(crate) data: &'a dyn Raw,
    pub(crate) base: &'a dyn Raw,
}

struct Job<'a> {
    index: usize,
    chunk: &'a Chunk,
    frame_at: u64,
}

/// Make the artifact, and compare it with what the release says. Its bytes go to `sink`, in order; they must not be relied
/// on before this returns `Ok`.
///
/// # Errors
/// See [`ApplyError`].
pub(crate) fn apply(
    making: Making<'_>,
    threads: Threads,
    progress: &dyn Progress,
    sink: &mut (dyn FnMut(u64, &[u8]) -> io::Result<()> + Send),
) -> Result<(), ApplyError> {
    let (kind, list) = (making.kind, making.list);
    let stage = Stage::Verify(kind);
    progress.begin(stage, making.target.bytes);
    let (mut hasher, mut done) = (Hasher::new(), 0);
    parallel::ordered(
        threads,
        |feed| {
            let mut frame_at = 0;
            for (index, chunk) in list.chunks.iter().enumerate() {
                if let Err(Stopped) = feed.send(Job { index, chunk, frame_at }) {
                    // Whoever stopped tells why.
                    break;
                }
                frame_at += u64::from(chunk.encoding.data_bytes());
            }
            Ok(())
        },
        || move |job: Job<'_>| chunk(making, &job),
        |raw: Vec<u8>| {
            hasher.update(&raw);
            sink(done, &raw).map_err(ApplyError::Read)?;
            done += raw.len() as u64;
            progress.advance(stage, done);
            Ok(())
        },
    )?;
    if hasher.finish() != making.target.digest {
        return Err(ApplyError::Volume { kind });
    }
    progress.end(stage);
    Ok(())
}

fn chunk(making: Making<'_>, job: &Job<'_>) -> Result<Vec<u8>, ApplyError> {
    let wrong = |problem| ApplyError::Chunk { kind: making.kind, index: job.index, problem };
    let bytes = making.list.raw_bytes(job.index, making.target.bytes) as usize;
    // Hash, and only then decompress.
    let frame = |bytes: u32, digest: &Digest| {
        let mut frame = vec![0; bytes as usize];
        making.data.read_at(job.frame_at, &mut frame).map_err(ApplyError::Read)?;
        if Digest::of(&frame) == *digest { Ok(frame) } else { Err(wrong(ApplyProblem::Digest)) }
    };
    let raw = match &job.chunk.encoding {
        Encoding::Zero { bytes: size, digest } | Encoding::Zstd { bytes: size, digest } => {
            let frame = frame(*size, digest)?;
            codec::decompress(&frame, &[], bytes).map_err(|e| wrong(ApplyProblem::Zstd(e)))?
        }
        Encoding::Copy(range) => {
            read_ranges(making.base, std::slice::from_ref(range)).map_err(ApplyError::Read)?
        }
        Encoding::Patch { bytes: size, digest, prefix } => {
            let frame = frame(*size, digest)?;
            codec::check_form(&frame, bytes).map_err(|e| wrong(ApplyProblem::Form(e)))?;
            let prefix = read_ranges(making.base, prefix).map_err(ApplyError::Read)?;
            codec::decompress(&frame, &prefix, bytes).map_err(|e| wrong(ApplyProblem::Zstd(e)))?
        }
    };
    let zero = matches!(job.chunk.encoding, Encoding::Zero { .. });
    if Digest::of(&raw) != job.chunk.digest || (zero && !is_zero(&raw)) {
        return Err(wrong(ApplyProblem::Raw));
    }
    Ok(raw)
}
