//! The update state machine: one table.
use crate::{
    Failure, Reason, Target,
    attempt::{Asked, Boot, BootId, MAX_ATTEMPTS, Tries},
};
use serde::{Deserialize, Serialize};

/// Durable state. Each names exactly one thing to do, is saved *before* that thing is done, and the thing may be
/// done twice: after a power cut the agent loads the state and does it again. There is no recovery code.
///
/// What is saved is what was decided, never where the device is: that follows from what is stored and from the boot that
/// runs, each time again (see [`Event::is_derived`]). So [`Trial`](State::Trial) is never saved. Stored as armed and booted
/// from the target's slot, it is on trial; stored as armed and booted from the other one, the trial ended without a
/// verdict or never began: [`attempt`](crate::Tries) says which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
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
    /// Running from the new slot, not yet committed. Derived, never saved.
    Trial {
        /// What is tried.
        target: Target,
        /// Trials that began, this one included.
        attempts: u8,
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

/// The one thing that a state asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Wait for an offer.
    Wait,
    /// Fetch, verify, write and read back the image.
    Install,
    /// Run the self-tests on this system.
    SelfTest,
    /// Set the one-shot boot flag, reboot.
    Try,
    /// Run self-tests and health check up to the deadline.
    HealthCheck,
    /// Make the target's slot the default.
    Commit,
    /// Make sure that the other slot is default and running, and that the target's no longer looks bootable.
    Revert,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A release passed all checks and preflight.
    Offer(Target),
    /// An operator wants the release back that the other slot still holds.
    Return(Target),
    /// The image was written and read back.
    Installed,
    /// All required self-tests passed.
    SelfTestsPassed,
    /// The agent is about to reboot: into the trial, or back from it.
    Rebooting(Asked),
    /// That reboot did not happen, and is not asked for any more.
    RebootCanceled,
    /// The agent started, in this boot. Derived.
    Booted(Boot),
    /// The health check passed on this boot.
    Healthy,
    /// The verdict may be about another boot than this one, and the flag doesn't say yet that it counted. Derived.
    Unproven,
    /// The target's slot is now the default.
    Committed,
    /// The old slot is default and running, the failed one does not look bootable.
    Reverted,
    /// The current step failed for good.
    Failed(Failure),
}

/// An event that makes no sense in a state: nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} does not apply while {state}")]
pub struct Refused {
    /// Name of the state.
    pub state: &'static str,
    /// Name of the event.
    pub event: &'static str,
}

impl State {
    /// The update in flight, if any.
    pub fn target(&self) -> Option<&Target> {
        match self {
            State::Idle => None,
            State::Installing(target)
            | State::Staged(target)
            | State::Armed { target, .. }
            | State::Trial { target, .. }
            | State::Committing { target, .. }
            | State::Reverting { target, .. } => Some(target),
        }
    }

    /// Whether the boot loader refused the trial so often that the update waits for a person.
    pub const fn is_refused(&self) -> bool {
        matches!(self, State::Armed { tries, .. } if tries.are_refused())
    }

    /// What must be done now: a function of the state alone.
    pub fn todo(&self) -> Action {
        match self {
            State::Idle => Action::Wait,
            State::Installing(_) => Action::Install,
            State::Staged(_) => Action::SelfTest,
            State::Armed { .. } => Action::Try,
            State::Trial { .. } => Action::HealthCheck,
            State::Committing { .. } => Action::Commit,
            State::Reverting { .. } => Action::Revert,
        }
    }

    /// Which state an event leads to. Total: each pair is listed here or refused.
    pub fn on(self, event: Event) -> Result<State, Refused> {
        use {Event as E, State as S};
        Ok(match (self, event) {
            (S::Idle, E::Offer(t)) => S::Installing(t),
            // The other slot still holds what it was committed with: no writing, but all the proving.
            (S::Idle, E::Return(t)) => S::Staged(t),
            (S::Installing(t), E::Installed) => S::Staged(t),
            (S::Staged(target), E::SelfTestsPassed) => S::Armed { target, tries: Tries::default() },
            // A person looked into why the boot loader refused: it is asked again. The trials that happened still count.
            (S::Armed { target, tries }, E::SelfTestsPassed) if tries.are_refused() => {
                S::Armed { target, tries: Tries::after(tries.attempts) }
            }

            // One power cut must not condemn a good release, so it is tried again, as often as allowed (I11).
            (S::Armed { target, tries }, E::Rebooting(_)) if tries.are_used_up() => {
                revert(target, used_up(tries.attempts))
            }
            // Asking counts nothing (I16): whether the trial began is known after the reboot.
            (S::Armed { target, tries }, E::Rebooting(asked)) if !tries.are_refused() => {
                S::Armed { target, tries: tries.ask(asked) }
            }
            (S::Armed { target, tries }, E::RebootCanceled) => {
                S::Armed { target, tries: Tries { asked: None, ..tries } }
            }
            (S::Armed { target, tries }, E::Booted(boot)) if boot.slot == target.slot => {
                S::Trial { target, attempts: tries.begun() }
            }
            (S::Armed { target, tries }, E::Booted(boot)) => S::Armed { target, tries: tries.judged(boot) },

            (S::Trial { target, attempts }, E::Healthy) => S::Committing { target, attempts },
            // Power went between verdict and flag. The verdict was about another boot: prove it again, and keep counting,
            // so that a flag that can't be written doesn't repeat this forever.
            (S::Trial { target, attempts } | S::Committing { target, attempts }, E::Booted(boot))
                if boot.slot != target.slot =>
            {
                S::Armed { target, tries: Tries::after(attempts) }
            }
            (S::Committing { target, attempts }, E::Unproven) => S::Trial { target, attempts },
            (S::Committing { .. }, E::Committed) => S::Idle,
            (S::Reverting { .. }, E::Reverted) => S::Idle,
            // A firmware that finds nothing in the old slot walks to this one again. Bounded: better a system that
            // runs and says what is wrong than one that reboots forever.
            (S::Reverting { target, failure, reboots, .. }, E::Rebooting(asked))
                if reboots < MAX_ATTEMPTS =>
            {
                S::Reverting { target, failure, reboots, asked: Some(asked.boot) }
            }
            (S::Reverting { target, failure, reboots, .. }, E::RebootCanceled) => {
                S::Reverting { target, failure, reboots, asked: None }
            }
            (S::Reverting { target, failure, reboots, asked: Some(asked) }, E::Booted(boot))
                if boot.slot == target.slot && boot.id != asked =>
            {
                S::Reverting { target, failure, reboots: reboots.saturating_add(1), asked: None }
            }

            // The boot flag is untouched: giving up costs nothing.
            (S::Installing(_) | S::Staged(_), E::Failed(_)) => S::Idle,
            // The slot may be running or about to: the way back is a state of its own.
            (
                S::Armed { target, .. } | S::Trial { target, .. } | S::Committing { target, .. },
                E::Failed(why),
            ) => revert(target, why),

            // A restart of the agent changes nothing else.
            (state, E::Booted(_)) => state,
            (state, event) => return Err(Refused { state: state.name(), event: event.name() }),
        })
    }

    /// The state's name, as status and logs print it.
    pub fn name(&self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Installing(_) => "installing",
            State::Staged(_) => "staged",
            State::Armed { .. } => "armed",
            State::Trial { .. } => "on trial",
            State::Committing { .. } => "committing",
            State::Reverting { .. } => "reverting",
        }
    }
}

impl Event {
    /// Whether the event follows from what is stored and from the boot that runs. Such an event is applied to the state
    /// in memory whenever the agent starts, and what it leads to is not saved by itself: after a power cut the same
    /// event is applied to the same stored state again, or another one, if by then another slot runs. The next decision
    /// saves both.
    pub fn is_derived(&self) -> bool {
        matches!(self, Event::Booted(_) | Event::Unproven)
    }

    /// The event's name, as errors and logs print it.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Offer(_) => "an offer",
            Event::Return(_) => "a return to the other slot",
            Event::Installed => "\"installed\"",
            Event::SelfTestsPassed => "\"self-tests passed\"",
            Event::Rebooting(_) => "a reboot",
            Event::RebootCanceled => "a canceled reboot",
            Event::Booted(_) => "a boot",
            Event::Healthy => "\"healthy\"",
            Event::Unproven => "a verdict of another boot",
            Event::Committed => "\"committed\"",
            Event::Reverted => "\"reverted\"",
            Event::Failed(_) => "a failure",
        }
    }
}

fn revert(target: Target, failure: Failure) -> State {
    State::Reverting { target, failure, reboots: 0, asked: None }
}

fn used_up(attempts: u8) -> Failure {
    let text = alloc::format!("{attempts} trials ended without a verdict (crash, hang or power loss)");
    Failure::new(Reason::OutOfAttempts, &text)
}
