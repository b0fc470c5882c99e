//! What the agent reports while it works, and to whom.
use crate::{
    component::ComponentEvent,
    event::{ComponentShown, Event},
    steps::{StepName, health, install::Stats, preflight, selftest},
};
use bistable_boot::{Entry, Failure, Now, Slot, Target};
use bistable_format::Release;
use std::{ops::ControlFlow, time::Duration};

/// What the agent reports while it works: borrowed for the moment. [`Event`] is the owned form.
#[allow(missing_debug_implementations, reason = "reports are borrowed for a moment only")]
#[derive(Clone, Copy)]
pub enum AgentEvent<'a> {
    /// The state changed. The change is saved, unless it only says where the device is.
    State(&'a Now),
    /// The preflight ran.
    Preflight(&'a preflight::Report),
    /// A release was verified and accepted.
    Accepted(&'a Target, &'a Release),
    /// Its data is about to be written.
    Writing(&'a Target, &'a Release),
    /// Bytes of the slot that were finished since the last such event.
    Read(u64),
    /// Something about how the release is fetched.
    Remark(&'a str),
    /// The image is on the card, and was read back.
    Installed(&'a Target, &'a Stats),
    /// The self-tests ran.
    SelfTests(&'a selftest::Report),
    /// The health check ran.
    Health(&'a health::Verdict),
    /// The boot flag was written whole again after a power cut in its write; this slot is the default.
    Repaired(Slot),
    /// The one-shot boot flag is set; the reboot follows.
    Rebooting(Slot),
    /// The slot is the default now.
    Committed(&'a Target),
    /// The old slot is default and running again.
    Reverted(&'a Target, &'a Failure),
    /// The old slot doesn't boot: the device stays in the slot of the release that failed.
    RollbackFailed(&'a Target, &'a Failure),
    /// The update in flight ended, and the history says how; the state that follows comes next.
    Ended(&'a Entry),
    /// A step took longer than expected.
    Slow {
        /// The step.
        step: StepName,
        /// How long it took.
        took: Duration,
        /// How long it takes at most if nothing is unusual.
        expected: Duration,
    },
    /// The state was saved. It comes before [`State`](AgentEvent::State), and before anything is done about it.
    Saved(&'a Now),
    /// Something happened to the component of that name.
    Component(&'a str, ComponentEvent<'a>),
}

impl AgentEvent<'_> {
    /// The owned event; `None` for progress.
    pub fn event(self) -> Option<Event> {
        Some(match self {
            AgentEvent::Read(_)
            | AgentEvent::RollbackFailed(..)
            | AgentEvent::Ended(_)
            | AgentEvent::Saved(_) => return None,
            AgentEvent::Component(name, event) => return component(name, event),
            AgentEvent::State(now) => {
                let target = now.target();
                Event::State {
                    state: now.name().into(),
                    version: target.map(|target| target.version.to_string()),
                    slot: target.map(|target| target.slot),
                }
            }
            AgentEvent::Preflight(report) => Event::Preflight { problem: report.problem() },
            AgentEvent::Accepted(target, _) => Event::Accepted(target.into()),
            AgentEvent::Writing(target, release) => {
                Event::Writing { at: target.into(), bytes: release.content.bytes() }
            }
            AgentEvent::Remark(text) => Event::Remark { text: text.into() },
            AgentEvent::Installed(target, stats) => Event::Written { at: target.into(), stats: *stats },
            AgentEvent::SelfTests(report) => {
                Event::SelfTest { passed: report.passed(), report: report.clone() }
            }
            AgentEvent::Health(verdict) => Event::Health {
                reason: verdict.unhealthy().map(ToOwned::to_owned),
                report: verdict.report().clone(),
            },
            AgentEvent::Slow { step, took, expected } => {
                Event::Slow { step, took_s: took.as_secs(), expected_s: expected.as_secs() }
            }
            AgentEvent::Repaired(slot) => Event::FlagRepaired { slot },
            AgentEvent::Rebooting(slot) => Event::Rebooting { slot },
            AgentEvent::Committed(target) => Event::Committed(target.into()),
            AgentEvent::Reverted(target, why) => {
                Event::Reverted { at: target.into(), reason: why.to_string(), rejected: why.reason.rejects() }
            }
        })
    }
}

/// The owned event of a component; `None` for progress, and for what its state says.
fn component(name: &str, event: ComponentEvent<'_>) -> Option<Event> {
    let component = name.to_owned();
    Some(match event {
        ComponentEvent::Saved(now, ended) => Event::Component(ComponentShown::of(now, ended)),
        ComponentEvent::Step(step, took, problem) => Event::ComponentStep {
            component,
            step,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            problem: problem.map(ToOwned::to_owned),
        },
        ComponentEvent::Remark(text) => Event::ComponentRemark { component, text: text.into() },
        ComponentEvent::Begun(..)
        | ComponentEvent::Read(_)
        | ComponentEvent::Committed(_)
        | ComponentEvent::Reverted(..) => return None,
    })
}

/// Receives agent events.
pub trait Observer {
    /// Handles one event.
    fn on_event(&mut self, event: AgentEvent<'_>);

    /// Whether the agent continues an installation; it asks after each [`AgentEvent::Read`]. On a break it returns
    /// [`Error::Cancelled`](crate::Error::Cancelled) and gives the release up without rejecting it.
    fn wants_more(&self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Discards all events.
#[derive(Clone, Copy, Debug)]
pub struct Silence;

impl Observer for Silence {
    fn on_event(&mut self, _: AgentEvent<'_>) {}
}
