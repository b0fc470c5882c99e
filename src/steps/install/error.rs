//! Why an installation fails.
use crate::{error::BundleError, ports::Fault};
use bistable_format::VolumeKind;

/// Why an installation failed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The bundle is to blame.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The card is to blame.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// What was written reads back differently.
    #[error(
        "chunk {index} of the {volume} volume reads back differently than it was written: the card is failing"
    )]
    ReadBack {
        /// Which volume.
        volume: VolumeKind,
        /// Which chunk, from 0.
        index: usize,
    },
    /// What was right when it was read isn't any more.
    #[error(
        "chunk {index} of the {volume} volume was right, and a later write to the card changed it: the card puts data in \
         the wrong place, or has less room than it says"
    )]
    Overwritten {
        /// Which volume.
        volume: VolumeKind,
        /// Which chunk, from 0.
        index: usize,
    },
    /// Whoever asked for it took it back.
    #[error("the installation was cancelled")]
    Cancelled,
    /// A thread ended without saying why.
    #[error("the installer stopped unexpectedly")]
    Stopped,
}
