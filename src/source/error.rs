//! What can go wrong on the way to a file.
use std::{io, path::PathBuf, time::Duration};

/// Why bytes can't be had from a source.
///
/// None of these says anything about a release: they are trouble of the way to it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// What was given is no address.
    #[error("{text:?} is not an address of a repository or bundle: {problem}")]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It isn't there.
    #[error("{at} is not there")]
    NotThere {
        /// Address or path.
        at: String,
    },
    /// No connection.
    #[error("{at} can't be reached: {problem}")]
    Unreachable {
        /// Address.
        at: String,
        /// Why not.
        problem: String,
    },
    /// The connection broke.
    #[error("{at} was cut off at byte {byte}: {problem}")]
    Cut {
        /// Address.
        at: String,
        /// The first byte that didn't come.
        byte: u64,
        /// How.
        problem: String,
    },
    /// Nothing came for too long.
    #[error("{at} stopped answering ({what})")]
    TimedOut {
        /// Address.
        at: String,
        /// Which limit was reached.
        what: String,
    },
    /// Something came, but too slowly.
    #[error("{at} is too slow: {bytes} bytes in {} s", .time.as_secs())]
    TooSlow {
        /// Address.
        at: String,
        /// Bytes that came.
        bytes: u64,
        /// In this time of waiting for them.
        time: Duration,
    },
    /// The server said no.
    #[error("{at}: the server answers {status}")]
    Status {
        /// Address.
        at: String,
        /// Its status code.
        status: u16,
        /// How long it asks to be left alone (`Retry-After`), if it does.
        retry_after: Option<Duration>,
    },
    /// An address with a signature in it is not valid any more.
    #[error("{at}: the server refuses (403): has the address expired?")]
    Expired {
        /// Address.
        at: String,
    },
    /// A web page came instead of the file.
    #[error("{at} answers with a web page: a login page of this network? Log in, or connect another way")]
    WebPage {
        /// Address.
        at: String,
    },
    /// It failed so often that it is not asked for a while.
    #[error("{at} failed {failures} times in a row and is left alone for {} more s", .left.as_secs())]
    LeftAlone {
        /// Its name.
        at: String,
        /// How often it failed in a row.
        failures: u32,
        /// For so long.
        left: Duration,
    },
    /// There is more of it than there may be.
    #[error("{at} has more than the {limit} bytes allowed")]
    TooLarge {
        /// Address or path.
        at: String,
        /// Bytes allowed.
        limit: u64,
    },
    /// There is less of it than there must be.
    #[error("{at} ends at byte {bytes}, before byte {wanted}: it was not copied completely")]
    Short {
        /// Address or path.
        at: String,
        /// Bytes in it.
        bytes: u64,
        /// Where the wanted range ends.
        wanted: u64,
    },
    /// It is another file than it was a moment ago.
    #[error("{at} was replaced on the server while it was being read: start again")]
    Changed {
        /// Address.
        at: String,
    },
    /// The server doesn't keep to the protocol, or not to what is needed of it.
    #[error("{at}: {problem}")]
    Protocol {
        /// Address.
        at: String,
        /// What is wrong.
        problem: String,
    },
    /// What has the name of a file in the repository is something else, or leads out of it.
    #[error("{}: {problem}", .path.display())]
    Refused {
        /// Where it is.
        path: PathBuf,
        /// What was found instead of a file of the repository.
        problem: &'static str,
    },
    /// A file can't be read.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl SourceError {
    /// How long the other side asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            SourceError::Status { retry_after, .. } => *retry_after,
            SourceError::LeftAlone { left, .. } => Some(*left),
            _ => None,
        }
    }

    /// Whether it may pass by itself: the same question, asked later, may be answered.
    pub fn is_transport(&self) -> bool {
        match self {
            SourceError::Unreachable { .. }
            | SourceError::Cut { .. }
            | SourceError::TimedOut { .. }
            | SourceError::TooSlow { .. }
            | SourceError::LeftAlone { .. }
            | SourceError::WebPage { .. }
            | SourceError::File { .. } => true,
            // RFC 9110: 408 request timeout; RFC 8470: 425 too early; RFC 6585: 429 too many requests.
            SourceError::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            SourceError::Address { .. }
            | SourceError::NotThere { .. }
            | SourceError::Expired { .. }
            | SourceError::Refused { .. }
            | SourceError::TooLarge { .. }
            | SourceError::Short { .. }
            | SourceError::Changed { .. }
            | SourceError::Protocol { .. } => false,
        }
    }
}
