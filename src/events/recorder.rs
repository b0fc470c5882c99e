//! Writes into the log what the agent does, before anybody else hears of it.
use super::{End, Ended, Kind, Log, OfferedVersion, Priority, Shown, Subject, Transition};
use crate::{
    Device,
    agent::{AgentEvent, Observer},
    event::{ComponentResult, ComponentShown, Event},
};
use bistable_boot::{Entry, Now, Outcome, Reason, Saved, component::ComponentRecord};
use serde_json::{Value, json};
use std::{cell::RefCell, collections::BTreeMap, ops::ControlFlow, rc::Rc};

const AGENT: &str = "agent";

/// A log that several parts of one run write to. What waits is written when the last of them lets it go.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the ports are trait objects")]
pub struct SharedLog(Rc<RefCell<Log>>);

impl SharedLog {
    /// Share a log.
    pub fn new(log: Log) -> SharedLog {
        SharedLog(Rc::new(RefCell::new(log)))
    }

    /// Report something: see [`Log::append`].
    pub fn append(&self, kind: Kind, source: &str, data: Value) {
        self.0.borrow_mut().append(kind, source, data);
    }

    /// Whole seconds since some moment of this boot.
    pub fn uptime(&self) -> u64 {
        self.0.borrow_mut().now().uptime.as_secs()
    }

    /// The configuration that counts now: see [`Log::configured`].
    pub fn configured(&self, set: &BTreeMap<String, String>, files: &[String], by: &Value) {
        self.0.borrow_mut().configured(set, files, by);
    }

    /// How past updates ended; the oldest first.
    pub fn ends(&self) -> Vec<End> {
        self.0.borrow().fold().ends.clone()
    }

    /// What the channel offered of each component when it was last checked.
    pub fn offered(&self) -> BTreeMap<String, OfferedVersion> {
        self.0.borrow().fold().remembered.offered.clone()
    }

    /// Make the log agree with the journal and with this boot, before anything is done. A power cut may have come between a
    /// save of the journal and its event; and where the device is follows from each boot again.
    pub fn reconcile(&self, device: &Device) {
        let saved = Shown::of(&Now::Saved(device.record.state.clone()));
        let ended = device.record.history.last().and_then(ended);
        self.0.borrow_mut().reconcile(saved, ended);
        self.derived(device.now());
    }

    /// The same for the record of the components, before anything is done about one.
    pub fn reconcile_components(&self, record: &ComponentRecord) {
        let shown = record.components.iter().map(|now| ComponentShown::of(now, now.last.as_ref()));
        self.0.borrow_mut().reconcile_components(shown.collect());
    }

    fn derived(&self, now: &Now) {
        let update = Shown::of(now);
        if self.0.borrow().fold().update.as_ref() != Some(&update) {
            let reason = update.reason.clone();
            self.transition(kind_of(now), Transition { update, derived: true, ended: None, reason });
        }
    }

    fn transition(&self, kind: Kind, data: Transition) {
        self.append(kind, AGENT, serde_json::to_value(data).unwrap_or_default());
    }

    /// Why events couldn't be written, if they couldn't, and how many.
    pub fn trouble(&self) -> Option<(u64, String)> {
        let log = self.0.borrow();
        log.trouble().map(|(events, why)| (events, why.to_owned()))
    }
}

/// Listens to the agent, and passes on what it hears.
#[allow(missing_debug_implementations, reason = "the observer is a trait object")]
pub struct Recorder<'a> {
    log: SharedLog,
    inner: &'a mut dyn Observer,
    /// An update that ended: the state that is saved next says so.
    ended: Option<(Ended, Option<String>)>,
}

impl<'a> Recorder<'a> {
    /// Record into a log what `inner` hears, too.
    pub fn new(log: SharedLog, inner: &'a mut dyn Observer) -> Recorder<'a> {
        Recorder { log, inner, ended: None }
    }

    fn saved(&mut self, now: &Now) {
        let (ended, why) = self.ended.take().unzip();
        let kind = ended.as_ref().and_then(|ended: &Ended| Kind::named(&ended.kind)).unwrap_or(kind_of(now));
        let update = Shown::of(now);
        let reason = why.flatten().or_else(|| update.reason.clone());
        self.log.transition(kind, Transition { update, derived: false, ended, reason });
    }

    fn record(&mut self, event: AgentEvent<'_>) {
        match event {
            AgentEvent::Saved(now) => return self.saved(now),
            AgentEvent::State(now) => return self.log.derived(now),
            AgentEvent::Ended(entry) => {
                let why = entry.outcome.failure().map(ToString::to_string);
                self.ended = ended(entry).map(|ended| (ended, why));
                return;
            }
            AgentEvent::RollbackFailed(target, failure) => {
                let data = json!({ "release": Subject::from(target), "reason": failure.to_string() });
                return self.log.append(Kind::RollbackFailed, AGENT, data);
            }
            _ => {}
        }
        let Some(event) = event.event() else { return };
        let Some((kind, failed)) = kind(&event) else { return };
        let priority = if failed { Priority::Error } else { kind.traits().priority };
        let data =
            serde_json::to_value(&event).ok().and_then(|mut event| Some(event.get_mut("data")?.take()));
        self.log.0.borrow_mut().append_as(kind, priority, AGENT, data.unwrap_or_default());
    }
}

impl Observer for Recorder<'_> {
    fn on_event(&mut self, event: AgentEvent<'_>) {
        self.record(event);
        self.inner.on_event(event);
    }

    fn wants_more(&self) -> ControlFlow<()> {
        self.inner.wants_more()
    }
}

/// The type of the event that says where the device is.
fn kind_of(now: &Now) -> Kind {
    match now {
        Now::Trial { .. } => Kind::Trial,
        Now::Saved(saved) => match saved {
            Saved::Idle => Kind::Reconciled,
            Saved::Installing(_) => Kind::Installing,
            Saved::Staged(_) => Kind::Staged,
            Saved::Armed { .. } => Kind::Armed,
            Saved::Committing { .. } => Kind::Committing,
            Saved::Reverting { .. } => Kind::RollbackStarted,
        },
    }
}

/// An event's type in the log, and whether it says that something failed. What a state says already has none.
fn kind(event: &Event) -> Option<(Kind, bool)> {
    Some(match event {
        Event::State { .. } | Event::Committed(_) | Event::Reverted { .. } => return None,
        Event::Preflight { problem } => (Kind::Preflight, problem.is_some()),
        Event::Accepted(_) => (Kind::Accepted, false),
        Event::Writing { .. } => (Kind::Writing, false),
        Event::Remark { .. } => (Kind::Remark, false),
        Event::Written { .. } => (Kind::Written, false),
        Event::SelfTest { passed, .. } => (Kind::SelfTest, !passed),
        Event::Health { reason, .. } => (Kind::Health, reason.is_some()),
        Event::Slow { .. } => (Kind::Slow, false),
        Event::FlagRepaired { .. } => (Kind::FlagRepaired, false),
        Event::Rebooting { .. } => (Kind::Rebooting, false),
        Event::Component(shown) => {
            let kind = match shown.ended.as_ref().map(|ended| ended.result) {
                Some(_) if shown.halted => Kind::ComponentHalted,
                None => Kind::ComponentState,
                Some(ComponentResult::Committed) => Kind::ComponentCommitted,
                Some(ComponentResult::RolledBack) => Kind::ComponentRolledBack,
                Some(ComponentResult::Failed) => Kind::ComponentFailed,
            };
            (kind, kind == Kind::ComponentFailed)
        }
        Event::ComponentStep { problem, .. } => (Kind::ComponentStep, problem.is_some()),
        Event::ComponentRemark { .. } => (Kind::ComponentRemark, false),
    })
}

/// How a past update ended. What was no update isn't one.
pub fn ended(entry: &Entry) -> Option<Ended> {
    let kind = match entry.outcome {
        Outcome::Committed => Kind::Committed,
        Outcome::Abandoned(_) => Kind::Failed,
        Outcome::Reverted(_) => Kind::RollbackCompleted,
        Outcome::Provisioned | Outcome::Rebuilt | Outcome::Unknown { .. } => return None,
    };
    let release =
        Subject { version: entry.version.to_string(), identity: entry.release.to_string(), slot: entry.slot };
    let reason = entry.outcome.failure().map(|failure| word(failure.reason).to_owned());
    Some(Ended { release, kind: kind.traits().name.into(), reason })
}

/// A reason in one word, for metrics.
const fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Install => "install",
        Reason::SelfTest => "self_test",
        Reason::OutOfAttempts => "out_of_attempts",
        Reason::Health => "health",
        Reason::Operator => "operator",
        Reason::Environment => "environment",
        Reason::RollbackLimit => "rollback_limit",
        Reason::Unknown(_) => "other",
    }
}
