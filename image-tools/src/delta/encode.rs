//! One artifact of a release becomes a chunk list and data that make it from a base.
use super::codec;
use super::index::Index;
use super::matching::{Matcher, Way};
use super::ranges::Most;
use super::raw::Raw;
use super::{Counts, DeltaError, Level};
use crate::parallel::{self, Stopped, Threads};
use crate::progress::{Progress, Stage};
use bistable_format::chunklist::Range;
use bistable_format::delta::ArtifactDelta;
use bistable_format::{Artifact, ArtifactId, Chunk, ChunkList, Digest, Encoding, Hasher, limits};
use std::ops;

/// An artifact of the release that is made.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) kind: ArtifactId,
    pub(super) artifact: &'a Artifact,
    pub(super) list: &'a ChunkList,
    /// Its raw bytes.
    pub(super) raw: &'a dyn Raw,
    /// Its data: all frames, one after another.
    pub(super) data: &'a dyn Raw,
}

/// An artifact of the release that is there.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) artifact: &'a Artifact,
    pub(super) raw: &'a dyn Raw,
}

/// How an artifact is made from a base; its data went elsewhere.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) delta: ArtifactDelta,
    pub(super) list: Vec<u8>,
    pub(super) counts: Counts,
}

/// One chunk.
#[derive(Debug)]
pub(super) struct Packed {
    encoding: Encoding,
    frame: Vec<u8>,
    /// Pieces of the chunk that are nowhere in the base.
    pub(super) unmatched: Vec<ops::Range<usize>>,
}

impl Packed {
    /// Bytes that a device fetches for it.
    pub(super) fn bytes(&self) -> u64 {
        self.frame.len() as u64
    }
}

/// How hard to look and to compress, and by how many.
#[derive(Clone, Copy)]
pub(super) struct Effort<'a> {
    pub(super) level: Level,
    pub(super) threads: Threads,
    pub(super) progress: &'a dyn Progress,
}

/// Find every chunk of the target in the base, in order. What comes to `consume` depends on neither threads nor time.
pub(super) fn chunks(
    target: Target<'_>,
    base: Base<'_>,
    effort: Effort<'_>,
    mut consume: impl FnMut(usize, Packed) -> Result<(), DeltaError> + Send,
) -> Result<(), DeltaError> {
    let (kind, progress) = (target.kind, effort.progress);
    let stage = Stage::Index(kind);
    progress.begin(stage, base.raw.bytes());
    let index = Index::of(base.raw, effort.threads, &mut |done| progress.advance(stage, done))
        .map_err(DeltaError::Raw)?;
    progress.end(stage);
    let stage = Stage::Delta(kind);
    progress.begin(stage, target.artifact.bytes);
    let count = target.list.chunks.len();
    let most = Most {
        bytes: limits::CHUNK_MAX.into(),
        // A list has a limit of its own.
        ranges: limits::RANGES.min(limits::LIST_RANGES / count.max(1)),
    };
    let (mut number, mut done) = (0, 0);
    parallel::ordered(
        effort.threads,
        |feed| {
            let mut at = 0;
            for (i, chunk) in target.list.chunks.iter().enumerate() {
                let place = Place { index: i, chunk, frame_at: at };
                at += u64::from(chunk.encoding.data_bytes());
                if let Err(Stopped) = feed.send(place) {
                    // Whoever stopped tells why.
                    break;
                }
            }
            Ok(())
        },
        || {
            let mut matcher = Matcher::new(base.raw, &index, most);
            move |place: Place<'_>| pack(target, base, &place, effort.level, &mut matcher)
        },
        |packed: Packed| {
            consume(number, packed)?;
            done += u64::from(target.list.raw_bytes(number, target.artifact.bytes));
            number += 1;
            progress.advance(stage, done);
            Ok(())
        },
    )?;
    progress.end(stage);
    Ok(())
}

/// Encode one artifact. Its data goes to `write`, in order.
pub(super) fn artifact(
    target: Target<'_>,
    base: Base<'_>,
    effort: Effort<'_>,
    mut write: impl FnMut(&[u8]) -> Result<(), DeltaError> + Send,
) -> Result<Encoded, DeltaError> {
    let mut list = ChunkList { base: Some(base.artifact.digest), ..target.list.clone() };
    let (mut hasher, mut data_bytes) = (Hasher::new(), 0);
    if is_base(target, base) {
        for (i, chunk) in list.chunks.iter_mut().enumerate() {
            let offset = i as u64 * u64::from(target.list.chunk_bytes);
            chunk.encoding =
                Encoding::Copy(Range { offset, bytes: target.list.raw_bytes(i, target.artifact.bytes) });
        }
    } else {
        let mut encodings = Vec::with_capacity(list.chunks.len());
        chunks(target, base, effort, |_, packed| {
            hasher.update(&packed.frame);
            data_bytes += packed.bytes();
            write(&packed.frame)?;
            encodings.push(packed.encoding);
            Ok(())
        })?;
        for (chunk, encoding) in list.chunks.iter_mut().zip(encodings) {
            chunk.encoding = encoding;
        }
    }
    let encoded = list.encode(target.artifact.bytes, data_bytes).map_err(DeltaError::List)?;
    let delta = ArtifactDelta {
        name: target.kind.to_string(),
        list: Digest::of(&encoded),
        list_bytes: u32::try_from(encoded.len()).unwrap_or(u32::MAX),
        data: hasher.finish(),
        data_bytes,
    };
    Ok(Encoded { delta, list: encoded, counts: Counts::of(&list) })
}

/// Whether the base has the very bytes: then nothing has to be looked for.
pub(super) fn is_base(target: Target<'_>, base: Base<'_>) -> bool {
    target.artifact.digest == base.artifact.digest && target.artifact.bytes == base.artifact.bytes
}

/// A chunk of the target, and where its frame is in the data.
struct Place<'a> {
    index: usize,
    chunk: &'a Chunk,
    frame_at: u64,
}

/// The cheapest way to make a chunk.
fn pack(
    target: Target<'_>,
    base: Base<'_>,
    place: &Place<'_>,
    level: Level,
    matcher: &mut Matcher<'_>,
) -> Result<Packed, DeltaError> {
    let offset = place.index as u64 * u64::from(target.list.chunk_bytes);
    let mut raw = vec![0; target.list.raw_bytes(place.index, target.artifact.bytes) as usize];
    target.raw.read_at(offset, &mut raw).map_err(DeltaError::Raw)?;
    let (prefix, unmatched) = match matcher.find(offset, &raw).map_err(DeltaError::Raw)? {
        Way::Zero => return full(target, place, Vec::new()),
        Way::Copy(range) => {
            return Ok(Packed { encoding: Encoding::Copy(range), frame: Vec::new(), unmatched: Vec::new() });
        }
        Way::Patch { prefix, unmatched } => (prefix, unmatched),
    };
    if prefix.is_empty() {
        return full(target, place, unmatched);
    }
    let bytes = read_ranges(base.raw, &prefix).map_err(DeltaError::Raw)?;
    let zstd = |code| DeltaError::Zstd(codec::name(code));
    let frame = codec::compress(&raw, &bytes, level.number()).map_err(zstd)?;
    if frame.len() >= place.chunk.encoding.data_bytes() as usize {
        return full(target, place, unmatched);
    }
    // Devices can't ask again: what doesn't give the chunk back here must not leave the house.
    let again =
        codec::check_form(&frame, raw.len()).and_then(|()| codec::decompress(&frame, &bytes, raw.len()));
    match again {
        Ok(again) if again == raw => {}
        Ok(_) => return Err(DeltaError::Zstd("a patch gives other bytes than it was made from".into())),
        Err(problem) => return Err(DeltaError::Zstd(problem)),
    }
    let encoding = Encoding::Patch {
        bytes: u32::try_from(frame.len()).unwrap_or(u32::MAX),
        digest: Digest::of(&frame),
        prefix,
    };
    Ok(Packed { encoding, frame, unmatched })
}

/// The release's own frame.
fn full(
    target: Target<'_>,
    place: &Place<'_>,
    unmatched: Vec<ops::Range<usize>>,
) -> Result<Packed, DeltaError> {
    let encoding = place.chunk.encoding.clone();
    let (Encoding::Zero { bytes, digest } | Encoding::Zstd { bytes, digest }) = &encoding else {
        return Err(DeltaError::Changed);
    };
    let mut frame = vec![0; *bytes as usize];
    target.data.read_at(place.frame_at, &mut frame).map_err(DeltaError::Raw)?;
    if Digest::of(&frame) != *digest {
        return Err(DeltaError::Changed);
    }
    Ok(Packed { encoding, frame, unmatched })
}

/// A patch's prefix: these ranges of the base, one after another.
pub(super) fn read_ranges(base: &dyn Raw, ranges: &[Range]) -> std::io::Result<Vec<u8>> {
    let total = ranges.iter().map(|r| r.bytes as usize).sum();
    let mut bytes = vec![0; total];
    let mut rest = bytes.as_mut_slice();
    for range in ranges {
        let Some((piece, behind)) = rest.split_at_mut_checked(range.bytes as usize) else { break };
        base.read_at(range.offset, piece)?;
        rest = behind;
    }
    Ok(bytes)
}
