//! What can go wrong with a place for files, and what to do about it.
use std::fmt;
use std::io;

/// What the backend said.
#[derive(Debug)]
pub struct Cause(String);

impl Cause {
    /// With these words.
    pub fn new(words: impl fmt::Display) -> Cause {
        Cause(words.to_string())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

/// Why a file can't be read or written. `place` is the whole path or URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No place for files can be called that.
    #[error(
        "{place:?} can't hold a repository: give a directory, file:///DIR, s3://BUCKET/PREFIX, gs://… or az://…"
    )]
    Place {
        /// What was given.
        place: String,
    },
    /// This program was built without it.
    #[error("this bistable-image was built without {scheme}:// : build it with `--features {feature}`")]
    Feature {
        /// The URL's scheme.
        scheme: String,
        /// The cargo feature that has it.
        feature: &'static str,
    },
    /// The settings for the bucket make no sense.
    #[error("{place} can't be used with these settings: check {settings} in the environment")]
    Settings {
        /// The bucket.
        place: String,
        /// Names of the settings.
        settings: &'static str,
        /// What is wrong.
        source: Cause,
    },
    /// No such directory.
    #[error("there is no directory {place}: `bistable-image repo init` makes a repository")]
    NoDirectory {
        /// The directory.
        place: String,
    },
    /// No such bucket.
    #[error("there is no bucket for {place}: make it first, or correct its name")]
    NoBucket {
        /// The file.
        place: String,
        /// What the backend said.
        source: Cause,
    },
    /// A file name that isn't plain.
    #[error("{path:?} can't be a file's name in a repository")]
    Name {
        /// The name.
        path: String,
    },
    /// Something else than a folder or an ordinary file.
    #[error(
        "{place} is {found}: a repository has only folders and ordinary files, and nothing in it may lead elsewhere; remove it"
    )]
    Irregular {
        /// What was met.
        place: String,
        /// What it is.
        found: &'static str,
    },
    /// A file with more bytes than such a file can have.
    #[error("{place} has more than the {limit} bytes that such a file can have")]
    TooLarge {
        /// The file.
        place: String,
        /// Most bytes allowed.
        limit: usize,
    },
    /// A file that should be there isn't.
    #[error("{place} is missing")]
    NotFound {
        /// The file.
        place: String,
    },
    /// A name that is taken, but no file has it.
    #[error("{place} is listed but can't be read: does something else remove files there?")]
    Vanished {
        /// The file.
        place: String,
    },
    /// The stream to be uploaded has another length.
    #[error("{place} was not written: its content has {found} bytes instead of {wanted}")]
    Length {
        /// The file.
        place: String,
        /// Bytes announced.
        wanted: u64,
        /// Bytes that came, or one more than announced.
        found: u64,
    },
    /// The stream to be uploaded can't be read.
    #[error("{place} was not written: its content can't be read")]
    Content {
        /// The file.
        place: String,
        /// What the stream said.
        source: io::Error,
    },
    /// A file that is never changed would have been.
    #[error("{place} is there with other content, and such a file never changes")]
    Immutable {
        /// The file.
        place: String,
    },
    /// The backend doesn't know who asks.
    #[error(
        "{place} needs other credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or what the store wants instead)"
    )]
    Credentials {
        /// The file.
        place: String,
        /// What the backend said.
        source: Cause,
    },
    /// It knows, and says no.
    #[error("can't {action} {place}: not allowed")]
    Denied {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        place: String,
        /// What the backend said.
        source: Cause,
    },
    /// No space left.
    #[error("the disk is full: {place} can't be written; free some space there")]
    Full {
        /// The file.
        place: String,
        /// What the system said.
        source: Cause,
    },
    /// A file system that can't give a file a name without replacing what has it.
    #[error(
        "{place} can't be created: that file system has neither hard links nor a rename that replaces nothing, and commits need one of \
         them; use ext4, XFS, Btrfs, APFS, a FAT that Linux itself mounts (not FUSE), or a bucket"
    )]
    NoLinks {
        /// The file.
        place: String,
        /// What the system said.
        source: Cause,
    },
    /// The server doesn't answer, or not properly.
    #[error("can't reach {place}: check the network and the endpoint (AWS_ENDPOINT), then try again")]
    Unreachable {
        /// The file.
        place: String,
        /// What was heard.
        source: Cause,
    },
    /// Something else.
    #[error("can't {action} {place}")]
    Other {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        place: String,
        /// What the backend said.
        source: Cause,
    },
}

impl StoreError {
    /// Whether the same request can succeed later, or has succeeded and only its answer got lost.
    pub fn may_pass(&self) -> bool {
        matches!(self, StoreError::Unreachable { .. } | StoreError::Other { .. })
    }
}

/// A file's whole name, for messages.
pub(super) fn at(place: &str, path: &str) -> String {
    if path.is_empty() { place.to_owned() } else { format!("{}/{path}", place.trim_end_matches('/')) }
}

/// What `object_store` says, told apart.
pub(super) fn told(action: &'static str, place: String, error: &object_store::Error) -> StoreError {
    let source = Cause::new(error);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut network = false;
    while let Some(e) = cause {
        if let Some(io) = e.downcast_ref::<io::Error>() {
            match io.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    return StoreError::Full { place, source };
                }
                // What link(2) says on file systems without hard links.
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
                    if action == "create" && io.raw_os_error() != Some(EACCES) =>
                {
                    return StoreError::NoLinks { place, source };
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    return StoreError::Denied { action, place, source };
                }
                _ => {}
            }
        }
        network |= e.is::<object_store::client::HttpError>();
        cause = e.source();
    }
    let words = source.0.as_str();
    let says = |codes: &[&str]| codes.iter().any(|code| words.contains(code));
    match error {
        _ if says(&["NoSuchBucket"]) => StoreError::NoBucket { place, source },
        _ if says(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "169.254.169.254"]) => {
            StoreError::Credentials { place, source }
        }
        object_store::Error::Unauthenticated { .. } => StoreError::Credentials { place, source },
        object_store::Error::PermissionDenied { .. } => StoreError::Denied { action, place, source },
        object_store::Error::NotFound { .. } => StoreError::NotFound { place },
        _ if network => StoreError::Unreachable { place, source },
        _ => StoreError::Other { action, place, source },
    }
}

/// The system's number for "permission denied", which isn't "operation not permitted". The same on Linux and macOS.
const EACCES: i32 = 13;
