use super::Held;
use crate::{BootId, Failure};

/// A decision about a component, to be saved before anything is done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A release of the component passed all checks.
    Offer(Held),
    /// An operator wants a version back that is kept on the device, or the current one with another configuration.
    Return(Held),
    /// The new version is unpacked, verified and durable.
    Installed,
    /// All required self-tests passed.
    SelfTestsPassed,
    /// A trial is about to begin in this boot.
    Trying(BootId),
    /// The trial of this boot that was to begin did not, or was broken off in good order by an operator or the end of the
    /// program.
    Canceled(BootId),
    /// The new version was healthy in the trial that began last, which this process began in this boot.
    Healthy(BootId),
    /// The durable name leads to the new version.
    Committed,
    /// The version on the way back runs, and is healthy.
    Reverted,
    /// The same, and too many updates were rolled back: no other one begins until an operator has looked into it.
    Halted(Failure),
    /// The version on the way back is not healthy either.
    StillUnhealthy(Failure),
    /// The current step failed for good.
    Failed(Failure),
    /// An operator looked into a component that failed: it may be updated again.
    Reset,
    /// An operator wants it stopped, across reboots.
    Stop,
    /// An operator wants it running again.
    Start,
    /// An operator wants nothing of it on the device.
    Remove,
}

impl Event {
    /// The event's name, as errors and logs print it.
    pub const fn name(&self) -> &'static str {
        match self {
            Event::Offer(_) => "an offer",
            Event::Return(_) => "a return to a kept version",
            Event::Installed => "\"installed\"",
            Event::SelfTestsPassed => "\"self-tests passed\"",
            Event::Trying(_) => "a trial",
            Event::Canceled(_) => "a canceled trial",
            Event::Healthy(_) => "\"healthy\"",
            Event::Committed => "\"committed\"",
            Event::Reverted => "\"reverted\"",
            Event::Halted(_) => "too many rollbacks",
            Event::StillUnhealthy(_) => "\"still unhealthy\"",
            Event::Failed(_) => "a failure",
            Event::Reset => "a reset",
            Event::Stop => "a stop",
            Event::Start => "a start",
            Event::Remove => "a removal",
        }
    }
}
