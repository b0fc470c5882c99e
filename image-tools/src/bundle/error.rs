//! What can be wrong with a bundle, and where.
use bistable_format::bundle::{Kind, Part, ReadError};
use bistable_format::{ArtifactId, DecodeError, TrustError};
use std::io;

/// What is wrong with a bundle, and where. Offsets count bytes of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It can't be read.
    #[error("reading failed at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// It ends too early.
    #[error("it is truncated: it ends at byte {offset}, within the {part}; copy or fetch it again")]
    Truncated {
        /// Its length.
        offset: u64,
        /// What is missing.
        part: Part,
    },
    /// It starts as something else.
    #[error("it is neither a bundle nor a delta: the {part} at byte {offset} is not as they have it")]
    NotBundle {
        /// Where.
        offset: u64,
        /// What is wrong.
        part: Part,
    },
    /// The release isn't trusted.
    #[error("its release is not trusted")]
    Trust(#[source] TrustError),
    /// The delta isn't trusted.
    #[error("its delta is not trusted")]
    TrustDelta(#[source] TrustError),
    /// The release in it isn't the one that the delta makes.
    #[error(
        "its delta makes another release than the one in it; make the delta again with `bistable-image delta`"
    )]
    OtherTarget,
    /// A delta where a release is wanted.
    #[error("it is a delta, which makes a release from another one: give the bundle of the release")]
    IsDelta,
    /// A release where a delta is wanted.
    #[error("it is the bundle of a release, not a delta: give a file that `bistable-image delta` made")]
    NotDelta,
    /// Bytes that follow from the release are others.
    #[error(
        "the {part} differs from what is signed, at byte {offset}: the file is damaged or was changed; copy or fetch it again"
    )]
    Differs {
        /// Which part.
        part: Part,
        /// The first byte of it that differs.
        offset: u64,
    },
    /// The chunk list isn't the one that the release names.
    #[error(
        "the chunk list of the {kind:#}, at byte {offset}, is not the one that the release names: the file is damaged or was changed; copy or fetch it again"
    )]
    ListDigest {
        /// Which artifact's.
        kind: ArtifactId,
        /// Where the list begins.
        offset: u64,
    },
    /// A delta's chunk list or data is not what the signed delta names.
    #[error(
        "the {part} is not what the delta names: the file is damaged or was changed; copy or fetch the delta again, or make it again with `bistable-image delta`"
    )]
    DeltaPart {
        /// Which part.
        part: Part,
    },
    /// The chunk list is the signed one, and makes no sense.
    #[error(
        "the chunk list of the {kind:#}, at byte {offset}, is signed but can't be right; build the bundle again"
    )]
    List {
        /// Which artifact's.
        kind: ArtifactId,
        /// Where the list begins.
        offset: u64,
        /// What is wrong.
        source: DecodeError,
    },
    /// It holds something that this version doesn't know.
    #[error(
        "its content is of kind {kind}, which this version of bistable-image can't read: use a newer one"
    )]
    Unreadable {
        /// The kind's number.
        kind: u16,
    },
    /// It is a delta, which needs its base.
    #[error(
        "the {kind:#} is a delta against another release's, so it can't be read alone; use the full bundle"
    )]
    Delta {
        /// Which artifact.
        kind: ArtifactId,
    },
    /// A chunk is wrong.
    #[error("chunk {index} of the {kind:#}, at byte {offset}: {problem}")]
    Chunk {
        /// Which artifact.
        kind: ArtifactId,
        /// Which chunk, counted from 0.
        index: usize,
        /// Where its frame begins.
        offset: u64,
        /// What is wrong with it.
        problem: ChunkProblem,
    },
    /// All chunks are right, and the whole isn't.
    #[error(
        "the chunks of the {kind:#} are as listed, but its {what} does not have the digest that the release names; build the bundle again"
    )]
    Artifact {
        /// Which artifact.
        kind: ArtifactId,
        /// `content` or `data`.
        what: &'static str,
    },
    /// Bytes follow the end.
    #[error("bytes that do not belong to it follow its end at byte {offset}; copy or fetch it again")]
    Trailing {
        /// Where they begin.
        offset: u64,
    },
    /// Whoever takes the artifacts failed.
    #[error("the {kind:#} can't be written")]
    Sink {
        /// Which artifact.
        kind: ArtifactId,
        /// What the system said.
        source: io::Error,
    },
}

impl From<ReadError<io::Error>> for BundleError {
    fn from(e: ReadError<io::Error>) -> BundleError {
        match e {
            ReadError::Input { at, source } => BundleError::Read { offset: at, source },
            ReadError::Truncated { at, part } => BundleError::Truncated { offset: at, part },
            ReadError::NotAnEntry { at, part } => BundleError::NotBundle { offset: at, part },
            ReadError::Kind(Kind::Delta) => BundleError::IsDelta,
            ReadError::Kind(Kind::Full) => BundleError::NotDelta,
            ReadError::Release(e) => BundleError::Trust(e),
            ReadError::Delta(e) => BundleError::TrustDelta(e),
            ReadError::OtherTarget { .. } => BundleError::OtherTarget,
            ReadError::Differs { at, part } => BundleError::Differs { offset: at, part },
            ReadError::Digest { at, part: Part::List(kind) } => BundleError::ListDigest { kind, offset: at },
            ReadError::Digest { at, part: part @ (Part::Blob(_) | Part::Sbom) } => {
                BundleError::Differs { offset: at, part }
            }
            ReadError::Digest { part, .. } => BundleError::DeltaPart { part },
            ReadError::Trailing { at } => BundleError::Trailing { offset: at },
        }
    }
}

/// What is wrong with a chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkProblem {
    /// The frame isn't the listed one.
    #[error("its data does not have the listed digest: the file is damaged; copy or fetch it again")]
    Digest,
    /// The frame is the listed one, and doesn't decompress to a chunk.
    #[error("its data is as listed but does not decompress ({0}); build the bundle again")]
    Zstd(String),
    /// It decompresses to something else.
    #[error("it decompresses to other bytes than listed; build the bundle again")]
    Raw,
    /// It is listed as zero, and isn't.
    #[error("it is listed as all zero and is not; build the bundle again")]
    NotZero,
}
