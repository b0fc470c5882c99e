//! What can go wrong with the simulated machine itself.
use crate::{board::CardError, ports::Fault};
use std::{io, path::PathBuf};

/// Why the simulated machine can't continue.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The card can't be used.
    #[error(transparent)]
    Card(#[from] CardError),
    /// A port failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The machine is switched off.
    #[error("the simulated Pi has no power: `bistable sim power on --card {}` switches it on", .card.display())]
    Off {
        /// The card.
        card: PathBuf,
    },
    /// It is to be switched on and is on.
    #[error("the simulated Pi is on already")]
    OnAlready,
    /// Nothing boots.
    #[error("the simulated Pi does not boot: {0}")]
    Dead(String),
    /// The files beside the card can't be used.
    #[error("{}: {source}", .path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// One of them makes no sense.
    #[error("{}: {problem}; delete it to begin with a new machine", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}
