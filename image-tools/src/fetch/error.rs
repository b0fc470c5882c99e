//! What can go wrong between this computer and another's.
use crate::oci::Platform;
use crate::output::OutputError;
use crate::size::Bytes;
use bistable_format::Digest;
use bistable_format::tag::TagError;
use std::time::Duration;

/// Why something can't be had from a server. Addresses are without their query strings, where secrets can be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Not an address.
    #[error("{text:?} is not an address that can be used: {problem}")]
    Address {
        /// What was given.
        text: String,
        /// What is wrong.
        problem: String,
    },
    /// No answer. Passes.
    #[error("{at}: {problem}")]
    Unreachable {
        /// The address.
        at: String,
        /// What happened.
        problem: String,
    },
    /// The server has trouble of its own. Passes.
    #[error("{at}: the server answers {status}; try again later")]
    Server {
        /// The address.
        at: String,
        /// The status, 500 or more.
        status: u16,
    },
    /// The server asks to be left alone. Passes.
    #[error("{host} asks to be left alone for {} more{hint}", seconds(*.pause))]
    Limited {
        /// The server.
        host: String,
        /// For how long.
        pause: Duration,
        /// What would help.
        hint: &'static str,
    },
    /// It isn't there.
    #[error("{at}: there is no such thing, or it is private{hint}")]
    NotThere {
        /// The address.
        at: String,
        /// What would help.
        hint: &'static str,
    },
    /// Access is refused.
    #[error("{at}: access is refused ({status}){hint}")]
    Refused {
        /// The address.
        at: String,
        /// The status, 401 or 403.
        status: u16,
        /// What would help.
        hint: &'static str,
    },
    /// An answer that makes no sense.
    #[error("{at}: {problem}")]
    Protocol {
        /// The address.
        at: String,
        /// What is wrong.
        problem: String,
    },
    /// A secret would be readable on its way.
    #[error("{host}: a token or password is sent by https only: give an https:// address")]
    Plain {
        /// The server.
        host: String,
    },
    /// An answer is too large.
    #[error("{at}: has more than {limit}", limit = Bytes(*.limit))]
    TooLarge {
        /// The address.
        at: String,
        /// The most.
        limit: u64,
    },
    /// A file stays incomplete.
    #[error(
        "{at}: the connection ends after {have} of {wanted} bytes, again and again; run the same command again to resume"
    )]
    Cut {
        /// The address.
        at: String,
        /// Bytes that came.
        have: u64,
        /// Bytes that there are.
        wanted: u64,
    },
    /// A file isn't what it was said to be.
    #[error(
        "{what}: its SHA-256 is {found} instead of {wanted}: it is damaged, or not the file that was published"
    )]
    Digest {
        /// The file.
        what: String,
        /// What was said.
        wanted: Digest,
        /// What came.
        found: Digest,
    },
    /// No release fits.
    #[error("{repository} has no release that fits: {why}")]
    NoRelease {
        /// The repository.
        repository: String,
        /// What there is instead.
        why: String,
    },
    /// Not published yet.
    #[error("{release} is a draft: publish it first")]
    Draft {
        /// The release.
        release: String,
    },
    /// A pre-release that wasn't asked for.
    #[error("{release} is a pre-release: give --prereleases to take it")]
    Prerelease {
        /// The release.
        release: String,
    },
    /// A tag without a version.
    #[error("tag {tag:?} {why}: give --version")]
    Tag {
        /// The tag.
        tag: String,
        /// Why not.
        why: TagError,
    },
    /// No asset fits.
    #[error("{release} has no file that fits{}: {}", .pattern.as_ref().map(|p| format!(" {p:?}")).unwrap_or_default(), none_or(.names))]
    NoAsset {
        /// The release.
        release: String,
        /// What was asked for.
        pattern: Option<String>,
        /// What there is.
        names: Vec<String>,
    },
    /// Several assets fit.
    #[error("{release} has several files that fit: {}; choose one with --asset", .names.join(", "))]
    Assets {
        /// The release.
        release: String,
        /// Which.
        names: Vec<String>,
    },
    /// An image for other platforms only.
    #[error(
        "{image}: no image for {wanted}; it has {}: build it for {wanted}, or give --platform",
        if .found.is_empty() { "none at all".into() } else { .found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ") }
    )]
    Platform {
        /// The image.
        image: String,
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        found: Vec<Platform>,
    },
    /// What was downloaded can't be kept.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl FetchError {
    /// Whether the same question may succeed later.
    pub fn passes(&self) -> bool {
        matches!(
            self,
            FetchError::Unreachable { .. }
                | FetchError::Server { .. }
                | FetchError::Limited { .. }
                | FetchError::Cut { .. }
        )
    }
}

fn none_or(names: &[String]) -> String {
    if names.is_empty() {
        return "it has only the archives of the source that GitHub makes, whose bytes may change: attach what was built".into();
    }
    format!("it has {}; choose one with --asset", names.join(", "))
}

fn seconds(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..=119 => format!("{s} s"),
        s => format!("{} min", s.div_ceil(60)),
    }
}
