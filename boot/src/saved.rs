//! What the journal holds of an update.
use crate::{
    Failure, Target,
    attempt::{BootId, Tries},
};
use serde::{Deserialize, Serialize};

/// Durable state. Each names exactly one thing to do, is saved *before* that thing is done, and the thing may be
/// done twice: after a power cut the agent loads the state and does it again. There is no recovery code.
///
/// What is saved is what was decided, never where the device is: that follows from what is saved and from the boot that
/// runs, each time again. So a trial isn't among these states: it is a [`Now`](crate::Now).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Saved {
    /// Nothing in flight.
    Idle,
    /// The inactive slot is being written; it does not look bootable.
    Installing(Target),
    /// The inactive slot holds a verified image; the boot flag is untouched.
    Staged(Target),
    /// Self-tests passed; the next reboot tries the slot once.
    Armed {
        /// What is tried.
        target: Target,
        /// Its trials so far.
        tries: Tries,
    },
    /// Healthy; the slot is being made the default.
    Committing {
        /// What becomes the default.
        target: Target,
        /// Trials that began.
        attempts: u8,
    },
    /// Going back to the old slot.
    Reverting {
        /// What is given up.
        target: Target,
        /// Why.
        failure: Failure,
        /// Reboots that were to bring the old slot back and came up in this one again.
        reboots: u8,
        /// The boot that asked for the next one.
        asked: Option<BootId>,
    },
}

impl Saved {
    /// The update in flight, if any.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Saved::Idle => None,
            Saved::Installing(target)
            | Saved::Staged(target)
            | Saved::Armed { target, .. }
            | Saved::Committing { target, .. }
            | Saved::Reverting { target, .. } => Some(target),
        }
    }

    /// Trials of the update in flight that count, where the state says so.
    pub(crate) fn attempts(&self) -> Option<u8> {
        match self {
            Saved::Armed { tries, .. } => Some(tries.attempts),
            Saved::Committing { attempts, .. } => Some(*attempts),
            Saved::Idle | Saved::Installing(_) | Saved::Staged(_) | Saved::Reverting { .. } => None,
        }
    }

    /// Whether the boot loader refused the trial so often that the update waits for a person.
    pub const fn is_refused(&self) -> bool {
        matches!(self, Saved::Armed { tries, .. } if tries.are_refused())
    }

    /// The state's name, as status and logs print it.
    pub const fn name(&self) -> &'static str {
        match self {
            Saved::Idle => "idle",
            Saved::Installing(_) => "installing",
            Saved::Staged(_) => "staged",
            Saved::Armed { .. } => "armed",
            Saved::Committing { .. } => "committing",
            Saved::Reverting { .. } => "reverting",
        }
    }
}
