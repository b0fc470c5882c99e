//! Which exit code says what went wrong.
use super::{BundleError, CheckError, Error};
use crate::{board::CardError, ports::Fault};
use std::time::Duration;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Wrong usage.
    Usage,
    /// Nothing to do.
    NothingToDo,
    /// A reboot is needed to continue.
    RebootNeeded,
    /// A signature or digest is wrong.
    Untrusted,
    /// The release may not go onto this device.
    Incompatible,
    /// A self-test failed.
    SelfTest,
    /// The health check failed.
    Health,
    /// Try again later.
    TryLater,
}

impl Exit {
    /// All of them.
    pub const ALL: [Exit; 10] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::NothingToDo,
        Exit::RebootNeeded,
        Exit::Untrusted,
        Exit::Incompatible,
        Exit::SelfTest,
        Exit::Health,
        Exit::TryLater,
    ];

    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NothingToDo => 3,
            Exit::RebootNeeded => 4,
            Exit::Untrusted => 5,
            Exit::Incompatible => 6,
            Exit::SelfTest => 7,
            Exit::Health => 8,
            Exit::TryLater => 75,
        }
    }
}

impl Error {
    /// How long a server asks to be left alone, if that is why.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Check(CheckError::Source(e)) | Error::Bundle(BundleError::Source(e)) => e.retry_after(),
            _ => None,
        }
    }

    /// The exit code that says what kind of error this is.
    pub fn exit(&self) -> Exit {
        match self {
            Error::NothingToDo(_) => Exit::NothingToDo,
            Error::Usage(_) => Exit::Usage,
            Error::NoRoot(_) | Error::Root(_) | Error::ForeignRoot { .. } | Error::SystemRoot(_) => {
                Exit::Untrusted
            }
            Error::Bundle(e) if e.is_passing() => Exit::TryLater,
            Error::Bundle(e) if e.is_incompatible() => Exit::Incompatible,
            Error::Bundle(e) if e.is_untrusted() => Exit::Untrusted,
            // Something is missing or expired in the repository: it may still be on its way there.
            Error::Check(e) if e.is_passing() => Exit::TryLater,
            Error::Check(e) if e.needs_update() => Exit::Incompatible,
            Error::Check(e) if e.is_untrusted() => Exit::Untrusted,
            Error::Check(CheckError::NoSource) => Exit::Usage,
            Error::Incompatible { .. } | Error::Rejected(_) | Error::Withdrawn { .. } => Exit::Incompatible,
            Error::SelfTest(_) => Exit::SelfTest,
            Error::Health(_) | Error::UntrustedCheck { .. } => Exit::Health,
            Error::StoredRelease { .. } => Exit::Untrusted,
            Error::Component(e) => e.exit(),
            Error::Card(CardError::Busy { .. } | CardError::ReadOnly(_))
            | Error::Fault(Fault::InUse(_))
            | Error::PreflightWaits(_)
            | Error::NotNow(_)
            | Error::NotTried { .. }
            | Error::TimedOut { .. }
            | Error::NotRebooted(_)
            | Error::Environment(_) => Exit::TryLater,
            _ => Exit::Failed,
        }
    }
}
