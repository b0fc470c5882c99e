//! What is decided, and what a state asks for.
use crate::{Asked, Failure, Target};

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

/// A decision, to be saved before anything is done about it.
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
    /// The health check passed on this boot.
    Healthy,
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

impl Event {
    /// The event's name, as errors and logs print it.
    pub const fn name(&self) -> &'static str {
        match self {
            Event::Offer(_) => "an offer",
            Event::Return(_) => "a return to the other slot",
            Event::Installed => "\"installed\"",
            Event::SelfTestsPassed => "\"self-tests passed\"",
            Event::Rebooting(_) => "a reboot",
            Event::RebootCanceled => "a canceled reboot",
            Event::Healthy => "\"healthy\"",
            Event::Committed => "\"committed\"",
            Event::Reverted => "\"reverted\"",
            Event::Failed(_) => "a failure",
        }
    }
}
