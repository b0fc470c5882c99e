//! Where the machine is that a verb runs on.
use super::machine::{self, Machine};
#[cfg(feature = "sim")]
use super::sim;
use crate::{
    Error,
    board::Access,
    cli::{BoardKind, GlobalArgs},
    config::BoardSettings,
};
#[cfg(feature = "sim")]
use std::path::Path;
use std::{path::PathBuf, time::Duration};

/// Where a machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A simulated Pi with this card.
    #[cfg(feature = "sim")]
    Sim(PathBuf),
    /// This machine.
    Pi,
}

impl Place {
    /// Where the command line says.
    pub(super) fn of(at: &GlobalArgs) -> Result<Place, Error> {
        match at.board() {
            BoardKind::Pi => Ok(Place::Pi),
            #[cfg(feature = "sim")]
            BoardKind::Sim => at.card.clone().map(Place::Sim).ok_or_else(|| {
                let text = "no card given: pass --card FILE or set BISTABLE_CARD";
                Error::Usage(text.into())
            }),
        }
    }

    /// The card of a simulated Pi.
    #[cfg(feature = "sim")]
    pub(super) fn card(&self) -> Option<&Path> {
        match self {
            Place::Sim(card) => Some(card),
            Place::Pi => None,
        }
    }

    /// Where the running system's configuration is.
    pub(super) fn root(&self, at: &GlobalArgs) -> PathBuf {
        at.root.clone().unwrap_or_else(|| match self {
            #[cfg(feature = "sim")]
            Place::Sim(card) => crate::board::sim::folder(card).join("root"),
            Place::Pi => "/".into(),
        })
    }

    /// Where the partition that outlives updates is.
    pub(super) fn persistent(&self, at: &GlobalArgs) -> PathBuf {
        match self {
            #[cfg(feature = "sim")]
            Place::Sim(card) => crate::board::sim::folder(card).join("persistent"),
            Place::Pi => at.sysroot.clone().unwrap_or_else(|| "/".into()).join("persistent"),
        }
    }

    /// Open the machine there, to work on it or to look at it.
    /// `patience` is how long it waits for another process that works on it.
    pub(super) fn open(
        &self,
        at: &GlobalArgs,
        patience: Duration,
        board: &BoardSettings,
        access: Access,
    ) -> Result<Machine, Error> {
        match self {
            #[cfg(feature = "sim")]
            Place::Sim(card) => sim::open(card, access),
            Place::Pi => machine::pi(at, patience, board, access),
        }
    }
}
