use super::Held;
use crate::{BootId, Failure};
use serde::{Deserialize, Serialize};

/// Durable state of a component's update. Each names exactly one thing to do, is saved *before* that thing is done, and the
/// thing may be done twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Nothing in flight.
    #[default]
    Idle,
    /// The new version is being unpacked beside the others; its folder is not named by anything.
    Installing(Held),
    /// The new version is complete, verified and durable; the old one runs (I14).
    Staged(Held),
    /// Self-tests passed; the new version is tried live.
    Armed {
        /// What is tried.
        target: Held,
        /// Trials that began.
        attempts: u8,
        /// The boot that the last one began in. It is over if the process that began it is gone: nothing of it is durable.
        begun: Option<BootId>,
    },
    /// Healthy; the durable name is being changed.
    Committing {
        /// What becomes the current version.
        target: Held,
        /// Trials that began.
        attempts: u8,
    },
    /// Going back.
    Reverting {
        /// What is given up.
        target: Held,
        /// Why.
        failure: Failure,
        /// Versions on the way back that were not healthy either: 0 as long as the way leads to the current one.
        skipped: u8,
    },
    /// No version of it is healthy. Waits for a person, or for another offer.
    Failed(Failure),
    /// Everything of it is being removed from the device.
    Removing,
}

/// The one thing that a state asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Have the current version run, and wait for an offer.
    Wait,
    /// Fetch, verify and unpack the new version, and make it durable.
    Install,
    /// Run the self-tests.
    SelfTest,
    /// Show the new version to its unit, restart that, and check its health up to the deadline.
    Try,
    /// Make the new version the one that the durable name leads to.
    Commit,
    /// Have an older version run again, and check its health.
    Revert,
    /// Have no name lead to a version, remove all of them, and forget the component.
    Remove,
}

impl State {
    /// The update in flight, if any.
    pub fn target(&self) -> Option<&Held> {
        match self {
            State::Idle | State::Failed(_) | State::Removing => None,
            State::Installing(target)
            | State::Staged(target)
            | State::Armed { target, .. }
            | State::Committing { target, .. }
            | State::Reverting { target, .. } => Some(target),
        }
    }

    /// What must be done now: a function of the state alone.
    pub const fn todo(&self) -> Action {
        match self {
            State::Idle | State::Failed(_) => Action::Wait,
            State::Installing(_) => Action::Install,
            State::Staged(_) => Action::SelfTest,
            State::Armed { .. } => Action::Try,
            State::Committing { .. } => Action::Commit,
            State::Reverting { .. } => Action::Revert,
            State::Removing => Action::Remove,
        }
    }

    /// Whether a commit, a revert or a removal has to be finished before anything else may begin.
    pub const fn is_undecided(&self) -> bool {
        matches!(self, State::Committing { .. } | State::Reverting { .. } | State::Removing)
    }

    /// The state's name, as status and logs print it.
    pub const fn name(&self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Installing(_) => "installing",
            State::Staged(_) => "staged",
            State::Armed { .. } => "armed",
            State::Committing { .. } => "committing",
            State::Reverting { .. } => "reverting",
            State::Failed(_) => "failed",
            State::Removing => "removing",
        }
    }
}
