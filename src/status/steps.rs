use super::{Digest, Ending};
use crate::steps::{STEPS, StepName};
use bistable_boot::{Entry, Failure, MAX_ATTEMPTS, Now, Outcome, Reason, Record, Saved, Slot, Target};
use serde::Serialize;

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Mark {
    /// Done.
    Done,
    /// Failed; nothing after it was done but the way back.
    Failed,
    /// What the update is at.
    Running,
    /// Not reached.
    NotReached,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Step {
    /// Which one.
    pub step: StepName,
    /// How far it is.
    pub mark: Mark,
    /// Why it failed.
    pub reason: Option<String>,
}

/// The update in flight, or the newest past one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Update {
    /// The release's version.
    pub version: String,
    /// The release.
    pub release: Digest,
    /// The slot that it is about.
    #[cfg_attr(test, schemars(with = "bistable_schema::Slot"))]
    pub slot: Slot,
    /// How it ended; `None` while it is in flight.
    pub outcome: Option<Ending>,
    /// Trial boots so far.
    pub attempts: u8,
    /// Trial boots at most.
    pub attempts_allowed: u8,
    /// Its steps, in order. The last is `commit`, or `revert` for one that goes or went back.
    pub steps: Vec<Step>,
}

/// The update in flight, else the newest past one. What made the card is no update.
pub(super) fn last_update(record: &Record, now: &Now) -> Option<Update> {
    match now.target() {
        Some(target) => Some(in_flight(record, now, target)),
        None => record.history.last().and_then(|entry| past(record, entry)),
    }
}

fn in_flight(record: &Record, now: &Now, target: &Target) -> Update {
    let attempts = now.attempts().unwrap_or(record.attempts);
    let steps = match now {
        Now::Saved(Saved::Idle) => Vec::new(),
        Now::Saved(Saved::Installing(_)) => forward(StepName::Install),
        Now::Saved(Saved::Staged(_)) => forward(StepName::SelfTest),
        Now::Saved(Saved::Armed { .. }) => forward(StepName::TrialBoot),
        Now::Trial { .. } => forward(StepName::Health),
        Now::Saved(Saved::Committing { .. }) => forward(StepName::Commit),
        Now::Saved(Saved::Reverting { failure: why, .. }) => {
            back(failed_step(why, at_after_arming(attempts)), why, Mark::Running)
        }
    };
    Update {
        version: target.version.to_string(),
        release: Digest::from(&target.release),
        slot: target.slot,
        outcome: None,
        attempts,
        attempts_allowed: MAX_ATTEMPTS,
        steps,
    }
}

fn past(record: &Record, entry: &Entry) -> Option<Update> {
    // A release that was given up before it was armed is still in its slot if it was complete.
    let complete = record.slots[entry.slot].as_ref().is_some_and(|image| image.release == entry.release);
    let steps = match &entry.outcome {
        // What a newer agent calls an end is not known step by step.
        Outcome::Provisioned | Outcome::Rebuilt | Outcome::Unknown { .. } => return None,
        Outcome::Committed => steps(|_| Mark::Done, StepName::Commit),
        Outcome::Abandoned(why) => {
            let at = if complete { StepName::SelfTest } else { StepName::Install };
            failed(failed_step(why, at), why, StepName::Commit)
        }
        Outcome::Reverted(why) => back(failed_step(why, at_after_arming(entry.attempts)), why, Mark::Done),
    };
    Some(Update {
        version: entry.version.to_string(),
        release: Digest::from(&entry.release),
        slot: entry.slot,
        outcome: Some(Ending::from(&entry.outcome)),
        attempts: entry.attempts,
        attempts_allowed: MAX_ATTEMPTS,
        steps,
    })
}

/// The step that an update failed in; if a person stopped it, the step that it was at.
fn failed_step(why: &Failure, stopped_at: StepName) -> StepName {
    match why.reason {
        Reason::Install => StepName::Install,
        Reason::SelfTest => StepName::SelfTest,
        Reason::OutOfAttempts => StepName::TrialBoot,
        Reason::Health | Reason::Environment => StepName::Health,
        Reason::Operator | Reason::RollbackLimit | Reason::Unknown(_) => stopped_at,
    }
}

/// What an armed update was at.
fn at_after_arming(attempts: u8) -> StepName {
    if attempts == 0 { StepName::Arm } else { StepName::Health }
}

/// An update that is at a step.
fn forward(at: StepName) -> Vec<Step> {
    steps(
        |step| {
            if step < at {
                Mark::Done
            } else if step == at {
                Mark::Running
            } else {
                Mark::NotReached
            }
        },
        StepName::Commit,
    )
}

/// An update that goes or went back.
fn back(at: StepName, why: &Failure, revert: Mark) -> Vec<Step> {
    let mut steps = failed(at, why, StepName::Revert);
    if let Some(last) = steps.last_mut() {
        last.mark = revert;
    }
    steps
}

/// An update that failed at a step.
fn failed(at: StepName, why: &Failure, last: StepName) -> Vec<Step> {
    let mut steps = steps(
        |step| {
            if step < at {
                Mark::Done
            } else if step == at {
                Mark::Failed
            } else {
                Mark::NotReached
            }
        },
        last,
    );
    for step in steps.iter_mut().filter(|step| step.mark == Mark::Failed) {
        step.reason = Some(why.to_string());
    }
    steps
}

fn steps(mark: impl Fn(StepName) -> Mark, last: StepName) -> Vec<Step> {
    let ends = [StepName::Commit, StepName::Revert];
    STEPS
        .iter()
        .map(|row| row.id)
        .filter(|step| *step == last || !ends.contains(step))
        .map(|step| Step { step, mark: mark(step), reason: None })
        .collect()
}
