//! Where a repository's or a bundle's bytes come from. Nothing here is trusted: whoever asks verifies.
//!
//! | file | noun |
//! |---|---|
//! | `breaker` | a source that fails again and again is left alone for a while |
//! | `dir` | a folder: a USB stick, a network drive |
//! | `github` | a bundle that is attached to a release at GitHub |
//! | `http` | a web server: ranges, resuming, minimum rate, redirects |
//! | `memory` | files in memory that go wrong as they are told to: for tests |
//! | `mirrors` | several sources with the same files |
//! | `retry` | a source asked again, with growing pauses |
//! | `location` | what an owner writes: an address or a path |
//! | `stream` | one file as a stream from its beginning |
mod breaker;
mod dir;
mod error;
mod github;
pub mod http;
mod location;
mod memory;
mod mirrors;
mod retry;
mod stream;

pub use breaker::{Breaker, Gate, Guarded, OPEN_FOR, close_all};
pub use dir::Dir;
pub use error::SourceError;
pub use github::Github;
pub use http::{Http, Limits};
pub use location::Location;
pub use memory::{Flaw, Memory, Served};
pub use mirrors::Mirrors;
pub use retry::{Retry, RetryPolicy, random};
pub use stream::Stream;

use std::ops::DerefMut;

/// A range of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub from: u64,
    /// One past the last; `None` for as many as there are.
    pub to: Option<u64>,
}

impl Span {
    /// Bytes `from..to`.
    pub fn new(from: u64, to: u64) -> Span {
        Span { from, to: Some(to) }
    }

    /// The whole file, however long it is.
    pub const WHOLE: Span = Span { from: 0, to: None };
}

/// Whether what was wrong here may be right elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Another source, one that wasn't wrong as often, is asked next.
    Next,
    /// There is no other.
    None,
}

/// A place with files: a folder, a web server, several of these.
///
/// Paths are relative, with `/` between plain names (see [`is_plain`]). What comes from a source is at most as many
/// bytes as were asked for, and every call ends in bounded time; apart from that a source may say and give anything.
///
/// A range is read as from a tape: [`open_range`](Self::open_range) names it, [`read`](Self::read) gives its next bytes.
pub trait Source {
    /// Address or path, human-readable.
    fn name(&self) -> String;

    /// A whole small file of at most `limit` bytes; `None` when it isn't there.
    ///
    /// # Errors
    /// [`SourceError::TooLarge`] for more; otherwise what went wrong on the way.
    fn get(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError>;

    /// Go to a range of a file. An earlier range is left, wherever it was. Does not wait for data.
    ///
    /// # Errors
    /// [`SourceError::NotThere`] when there is no such file; otherwise what went wrong on the way.
    fn open_range(&mut self, path: &str, span: Span) -> Result<(), SourceError>;

    /// The range's next bytes, at least one for an `into` that isn't empty. None at its end, and only there.
    ///
    /// # Errors
    /// What went wrong on the way; the range is left then, and has to be begun again where it ended.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError>;

    /// What kept a server from being asked for the last small file that wasn't there: it may have it.
    fn unasked(&mut self) -> Option<SourceError> {
        None
    }

    /// What was read last is corrupt: ask other servers first from now on, if there are any.
    fn report_corrupt(&mut self) -> Others {
        Others::None
    }
}

/// What leads to a source is one: a box, or a loan.
impl<S: Source + ?Sized, P: DerefMut<Target = S>> Source for P {
    fn name(&self) -> String {
        (**self).name()
    }
    fn get(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        (**self).get(path, limit)
    }
    fn open_range(&mut self, path: &str, span: Span) -> Result<(), SourceError> {
        (**self).open_range(path, span)
    }
    fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceError> {
        (**self).read(into)
    }
    fn unasked(&mut self) -> Option<SourceError> {
        (**self).unasked()
    }
    fn report_corrupt(&mut self) -> Others {
        (**self).report_corrupt()
    }
}

/// Read until `into` is full.
///
/// # Errors
/// [`SourceError::Short`] when the range ends before; otherwise as for reading.
pub fn fill(source: &mut impl Source, into: &mut [u8]) -> Result<(), SourceError> {
    let mut filled = 0;
    while filled < into.len() {
        match source.read(&mut into[filled..])? {
            0 => {
                return Err(SourceError::Short {
                    at: source.name(),
                    bytes: filled as u64,
                    wanted: into.len() as u64,
                });
            }
            n => filled += n,
        }
    }
    Ok(())
}

/// Whether a path is one that every source takes for the same file: names of ASCII letters, digits and `.`, `_`, `-`,
/// `+`, with `/` between them; none of them `.` or `..`, and none empty.
pub fn is_plain(path: &str) -> bool {
    let name = |name: &str| {
        !matches!(name, "" | "." | "..")
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+'))
    };
    path.split('/').all(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_elsewhere_are_not_plain() {
        for path in ["a", "blobs/sha256/00ff", "channels/beta-1.2_x+y/latest", "..a", "a..b/c"] {
            assert!(is_plain(path), "{path}");
        }
        let bad = [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a b", "a\\b", "a?b", "a%2e", "ä", "a\0",
        ];
        for path in bad {
            assert!(!is_plain(path), "{path:?}");
        }
    }
}
