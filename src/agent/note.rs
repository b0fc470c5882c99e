//! What the agent tells while it works, and who listens.
use crate::{
    event::Event,
    steps::{health, install::Stats, preflight, selftest},
};
use bistable_boot::{Entry, Failure, Now, Slot, Target};
use bistable_format::Release;
use std::ops::ControlFlow;

/// What the agent tells while it works.
#[allow(missing_debug_implementations, reason = "reports are borrowed for a moment only")]
#[derive(Clone, Copy)]
pub enum Note<'a> {
    /// The state changed. The change is saved, unless it only says where the device is.
    State(&'a Now),
    /// The preflight ran.
    Preflight(&'a preflight::Report),
    /// A release was verified and accepted.
    Accepted(&'a Target, &'a Release),
    /// Its data is about to be written.
    Writing(&'a Target, &'a Release),
    /// Bytes of the slot that were done with since the last time.
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
    /// The state was saved. It comes before [`State`](Note::State), and before anything is done about it.
    Saved(&'a Now),
}

impl Note<'_> {
    /// The same as an event; progress is none.
    pub fn event(self) -> Option<Event> {
        Some(match self {
            Note::Read(_) | Note::RollbackFailed(..) | Note::Ended(_) | Note::Saved(_) => return None,
            Note::State(now) => {
                let target = now.target();
                Event::State {
                    state: now.name().into(),
                    version: target.map(|target| target.version.to_string()),
                    slot: target.map(|target| target.slot),
                }
            }
            Note::Preflight(report) => Event::Preflight { problem: report.problem() },
            Note::Accepted(target, _) => Event::Accepted(target.into()),
            Note::Writing(target, release) => {
                Event::Writing { at: target.into(), bytes: release.content.bytes() }
            }
            Note::Remark(text) => Event::Remark { text: text.into() },
            Note::Installed(target, stats) => Event::Written { at: target.into(), stats: *stats },
            Note::SelfTests(report) => Event::SelfTest { passed: report.passed(), report: report.clone() },
            Note::Health(verdict) => Event::Health {
                reason: verdict.unhealthy().map(ToOwned::to_owned),
                report: verdict.report().clone(),
            },
            Note::Repaired(slot) => Event::FlagRepaired { slot },
            Note::Rebooting(slot) => Event::Rebooting { slot },
            Note::Committed(target) => Event::Committed(target.into()),
            Note::Reverted(target, why) => {
                Event::Reverted { at: target.into(), reason: why.to_string(), rejected: why.reason.rejects() }
            }
        })
    }
}

/// Who listens.
pub trait Listener {
    /// Hear a note.
    fn hear(&mut self, note: Note<'_>);

    /// Whether the agent continues an installation; it asks after each [`Note::Read`]. On a break it returns
    /// [`Error::Cancelled`](crate::Error::Cancelled) and gives the release up without rejecting it.
    fn wants_more(&self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct Silence;

impl Listener for Silence {
    fn hear(&mut self, _: Note<'_>) {}
}
