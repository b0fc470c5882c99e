//! Why a release can't be installed from a bundle or a repository.
use crate::source::SourceError;
use bistable_format::{
    ArtifactId, DecodeError, Digest, TrustError, VolumeKind,
    bundle::{BLOCK, LAYOUT, Part, ReadError},
};
use semver::Version;
use std::io;

/// Why a bundle can't be installed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The stream failed.
    #[error("reading the bundle at byte {at}: {source}")]
    Read {
        /// Where.
        at: u64,
        /// Why.
        source: io::Error,
    },
    /// The way to the bundle or repository failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A repository lacks something that its metadata names.
    #[error("the {what} ({digest:.12}) is not in {from}: the repository is incomplete")]
    Missing {
        /// What it is.
        what: String,
        /// Its digest.
        digest: Digest,
        /// Address or path of the repository.
        from: String,
    },
    /// Whoever was asked gave other bytes than those of that digest.
    #[error("the {what} ({digest:.12}) is damaged in {from}, and no other mirror has a valid copy")]
    Blob {
        /// What it is.
        what: String,
        /// Its digest.
        digest: Digest,
        /// Address or path of the repository.
        from: String,
    },
    /// The stream ended early.
    #[error("the bundle ends at byte {at}, in the {within}: fetch or copy it again")]
    Truncated {
        /// Where.
        at: u64,
        /// In which part.
        within: Part,
    },
    /// It doesn't begin as a bundle does.
    #[error("this is not a bundle (byte {at}): `bistable-image build` makes them")]
    NotABundle {
        /// Where.
        at: u64,
    },
    /// A byte around the data isn't as it must be.
    #[error("the bundle is damaged at byte {at}, in the {within}: fetch or copy it again")]
    Damaged {
        /// Where the damaged part begins.
        at: u64,
        /// Which part.
        within: Part,
    },
    /// The release isn't signed as this device demands, or doesn't make sense.
    #[error("{0}")]
    Untrusted(#[from] TrustError),
    /// A chunk list makes no sense, though its digest is right: the release was built wrongly.
    #[error("the chunk list of the {volume} volume: {source}")]
    List {
        /// Which volume.
        volume: VolumeKind,
        /// What is wrong.
        source: DecodeError,
    },
    /// A chunk's encoded bytes have another digest.
    #[error(
        "chunk {index} of the {volume} volume is damaged (bundle byte {at}): fetch or copy the bundle again"
    )]
    Chunk {
        /// Which volume.
        volume: VolumeKind,
        /// Which chunk, from 0.
        index: usize,
        /// Where it begins in the bundle.
        at: u64,
    },
    /// A chunk that was verified doesn't decode to what the list says: the release was built wrongly.
    #[error(
        "chunk {index} of the {volume} volume does not decode to what its list says: the release was built wrongly"
    )]
    Content {
        /// Which volume.
        volume: VolumeKind,
        /// Which chunk, from 0.
        index: usize,
    },
    /// A delta's list makes no sense, though its digest is right.
    #[error("the delta's chunk list of the {volume} volume: {source}")]
    DeltaList {
        /// Which volume.
        volume: VolumeKind,
        /// What is wrong.
        source: DecodeError,
    },
    /// A signed delta is not one between these releases.
    #[error("{0}")]
    DeltaOfOthers(DecodeError),
    /// A delta from another release than the one that runs.
    #[error("this delta takes {base} to {target}; this device runs {running}: use the full bundle")]
    OtherBase {
        /// What it takes: the version if this device knows that release, else its identity.
        base: String,
        /// What it makes.
        target: Version,
        /// What runs.
        running: String,
    },
    /// A delta without a part of the release.
    #[error("this delta does not make the {volume} volume: use the full bundle")]
    Partial {
        /// Which volume.
        volume: VolumeKind,
    },
    /// Parts of the running system are not as they were installed, and their full data is not to be had.
    #[error(
        "{chunks} chunk{} can't be made by the delta, because the running system changed since it was installed; all others \
         are in place: `bistable install` with the full bundle or a repository fetches only what is missing{}",
        if *.chunks == 1 { "" } else { "s" },
        .problem.as_ref().map_or_else(String::new, |problem| format!(" (the configured repository: {problem})"))
    )]
    Stale {
        /// How many.
        chunks: usize,
        /// Why the configured repository was no help, if there is one.
        problem: Option<String>,
    },
    /// More would have to be fetched than is allowed.
    #[error(
        "up to {bytes} bytes have to be fetched, and `update.max_download` allows {most}: name the version to install it anyway"
    )]
    TooMuch {
        /// Bytes at most.
        bytes: u64,
        /// Bytes allowed.
        most: u64,
    },
    /// There is no delta, and only a delta is allowed.
    #[error(
        "there is no usable delta from what runs, so up to {bytes} bytes have to be fetched, and `update.deltas_only` or `update.metered` is set: name \
         the version to install it anyway"
    )]
    NoDelta {
        /// Bytes at most.
        bytes: u64,
    },
    /// A release of something else than a system.
    #[error("this release is not an image, and this version installs images only: update Bistable first")]
    NotAnImage,
    /// It is not a component's release, or only a delta of one.
    #[error("this is not the full bundle of a component")]
    NotAComponent,
    /// The chunk list of a component's part can't be used.
    #[error("the chunk list of the {artifact:#}: {source}")]
    PartList {
        /// The part.
        artifact: ArtifactId,
        /// Why.
        source: DecodeError,
    },
    /// A chunk of a component's part isn't what it has to be.
    #[error(
        "chunk {index} of the {artifact:#}, at byte {at} of the bundle, is damaged: fetch or copy it again"
    )]
    PartChunk {
        /// The part.
        artifact: ArtifactId,
        /// Which.
        index: usize,
        /// Where it begins.
        at: u64,
    },
    /// Bytes follow the end.
    #[error("bytes follow the end of the bundle (byte {at}): it was not made by `bistable-image build`")]
    Trailing {
        /// Where.
        at: u64,
    },
}

impl BundleError {
    /// Whether a signature or digest is what's wrong. A stream that ends early isn't: what came was right.
    pub fn is_untrusted(&self) -> bool {
        !matches!(
            self,
            BundleError::Read { .. }
                | BundleError::Truncated { .. }
                | BundleError::Source(_)
                | BundleError::Missing { .. }
                | BundleError::OtherBase { .. }
                | BundleError::Partial { .. }
                | BundleError::Stale { .. }
                | BundleError::TooMuch { .. }
                | BundleError::NoDelta { .. }
                | BundleError::NotAnImage
                | BundleError::NotAComponent
                | BundleError::NotABundle { .. }
        )
    }

    /// Whether only the way to the bytes failed: what was written stays, and the same release continues from there.
    pub fn is_resumable(&self) -> bool {
        matches!(
            self,
            BundleError::Truncated { .. }
                | BundleError::Read { .. }
                | BundleError::Source(_)
                | BundleError::Missing { .. }
                | BundleError::Blob { .. }
                | BundleError::Stale { .. }
                | BundleError::TooMuch { .. }
                | BundleError::NoDelta { .. }
        )
    }

    /// Whether this device can't take it, whoever signed it.
    pub fn is_incompatible(&self) -> bool {
        match self {
            BundleError::OtherBase { .. } | BundleError::Partial { .. } | BundleError::NotAComponent => true,
            BundleError::Untrusted(e) => e.needs_update(),
            _ => false,
        }
    }

    /// Whether something that is missing now may be there later.
    pub fn is_passing(&self) -> bool {
        let waits = matches!(
            self,
            BundleError::Stale { .. } | BundleError::TooMuch { .. } | BundleError::NoDelta { .. }
        );
        waits || self.is_transport()
    }

    /// Whether the same may work later.
    pub fn is_transport(&self) -> bool {
        matches!(self, BundleError::Source(e) if e.is_transport())
    }
}

impl From<ReadError<io::Error>> for BundleError {
    fn from(e: ReadError<io::Error>) -> BundleError {
        // Until its first entry is right, it is something else, not a damaged bundle.
        let begins = (BLOCK + LAYOUT.len()) as u64;
        match e {
            ReadError::Truncated { at, part: Part::Layout }
            | ReadError::NotAnEntry { at, part: Part::Layout }
            | ReadError::Differs { at, part: Part::Layout }
                if at < begins =>
            {
                BundleError::NotABundle { at }
            }
            ReadError::Input { at, source } => match source.downcast::<SourceError>() {
                Ok(e) => BundleError::Source(e),
                Err(source) => BundleError::Read { at, source },
            },
            ReadError::Truncated { at, part } => BundleError::Truncated { at, within: part },
            ReadError::NotAnEntry { at, part }
            | ReadError::Differs { at, part }
            | ReadError::Digest { at, part } => BundleError::Damaged { at, within: part },
            ReadError::Kind(_) => BundleError::NotABundle { at: 0 },
            ReadError::Release(e) | ReadError::Delta(e) => BundleError::Untrusted(e),
            ReadError::OtherTarget { made, there } => {
                let problem = format!("it makes release {made:.12}, not {there:.12}");
                BundleError::DeltaOfOthers(DecodeError::Invalid { what: "delta", problem })
            }
            ReadError::Trailing { at } => BundleError::Trailing { at },
        }
    }
}
