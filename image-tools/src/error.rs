//! Everything that can go wrong, and the exit code that it means.
use crate::build::BuildError;
use crate::bundle::BundleError;
use crate::card::CardError;
use crate::inspect::InspectError;
use crate::keys::KeyError;
use crate::output::OutputError;
use crate::root::RootError;
use crate::verify::VerifyError;

/// How the program ends. Part of its interface: scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// It was called wrongly.
    Usage = 2,
    /// A signature or digest is wrong: don't use the file.
    Untrusted = 5,
    /// Things don't fit together: a slot too small for an image.
    Incompatible = 6,
}

/// Any verb's failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Of a root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// While building.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// While verifying.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// While inspecting.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// While making a card.
    #[error(transparent)]
    Card(#[from] CardError),
    /// While writing.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Arguments that contradict each other or can't be used.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// The exit code that tells it to scripts.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Usage(_) => Exit::Usage,
            Error::Root(RootError::Invalid { .. }) | Error::Build(BuildError::Untrusted(_)) => {
                Exit::Untrusted
            }
            Error::Root(RootError::NoKey { .. }) | Error::Build(BuildError::NoKey) => Exit::Usage,
            Error::Key(KeyError::Label { .. }) => Exit::Usage,
            Error::Verify(VerifyError::Bundle { source, .. })
            | Error::Card(CardError::Bundle(VerifyError::Bundle { source, .. }))
            | Error::Inspect(InspectError::Bundle { source, .. }) => bundle(source),
            Error::Inspect(InspectError::Untrusted { .. }) => Exit::Untrusted,
            Error::Card(CardError::Demo(_)) => Exit::Untrusted,
            Error::Card(CardError::SlotTooSmall { .. } | CardError::TooSmall { .. }) => Exit::Incompatible,
            Error::Card(CardError::BadSize { .. }) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

fn bundle(error: &BundleError) -> Exit {
    match error {
        BundleError::Read { .. } | BundleError::Sink { .. } => Exit::Failed,
        BundleError::Delta { .. } => Exit::Incompatible,
        _ => Exit::Untrusted,
    }
}
