//! The client library's errors as ours.
use crate::source::SourceError;
use std::{fmt::Display, io};
use ureq::{Error, Timeout};

/// What went wrong at an address: before the answer, or at a byte of its body.
pub(super) fn of(e: Error, at: &dyn Display, byte: Option<u64>) -> SourceError {
    let at = at.to_string();
    match e {
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            SourceError::Unreachable { at, problem: "no connection in time".into() }
        }
        Error::Timeout(which) => SourceError::TimedOut { at, what: which.to_string() },
        Error::Io(e) if e.kind() == io::ErrorKind::TimedOut => {
            SourceError::TimedOut { at, what: "read".into() }
        }
        Error::HostNotFound => SourceError::Unreachable { at, problem: "there is no such host".into() },
        Error::Io(e) => match byte {
            Some(byte) => SourceError::Cut { at, byte, problem: e.to_string() },
            None => SourceError::Unreachable { at, problem: e.to_string() },
        },
        // The clock of a device without one may be before or after a certificate's time: that passes.
        e @ (Error::ConnectionFailed | Error::Tls(_) | Error::Rustls(_)) => {
            SourceError::Unreachable { at, problem: e.to_string() }
        }
        e => SourceError::Protocol { at, problem: e.to_string() },
    }
}
