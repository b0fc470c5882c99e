use super::{Digest, Facts};
use crate::ports::Power;
use bistable_boot::{Now, Outcome, Saved, Slot};
use serde::Serialize;
use std::fmt;

/// The one word for a slot: what it is to the device right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum SlotState {
    /// Nothing that could boot.
    Empty,
    /// Being written.
    Installing,
    /// Holds a verified release that is not yet armed.
    Staged,
    /// The next reboot tries it once.
    Armed,
    /// Being tried.
    #[serde(rename = "on trial")]
    OnTrial,
    /// Healthy, and being made the default.
    Committing,
    /// Being gone back from.
    Reverting,
    /// Holds a release that was rejected before it was tried.
    Rejected,
    /// Running, and no update is about it.
    Running,
    /// Boots when nothing is tried, but another slot is running now.
    Default,
    /// Holds what ran before: one can go back to it.
    Previous,
}

impl fmt::Display for SlotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SlotState::Empty => "empty",
            SlotState::Installing => "installing",
            SlotState::Staged => "staged",
            SlotState::Armed => "armed",
            SlotState::OnTrial => "on trial",
            SlotState::Committing => "committing",
            SlotState::Reverting => "reverting",
            SlotState::Rejected => "rejected",
            SlotState::Running => "running",
            SlotState::Default => "default",
            SlotState::Previous => "previous",
        })
    }
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SlotStatus {
    /// The version in it, or being written into it.
    pub version: Option<String>,
    /// The release in it, or being written into it.
    pub release: Option<Digest>,
    /// What it is right now.
    pub state: SlotState,
    /// Whether it is running.
    pub booted: bool,
    /// Whether the boot flag names it; `None` if the flag can't be read.
    pub default: Option<bool>,
    /// Whether it is being tried.
    pub on_trial: bool,
    /// What became of its last content, if it is empty for a reason; that it holds an unknown release, after a repair.
    pub note: Option<String>,
}

/// One slot, as the facts have it.
pub(super) fn status(facts: &Facts<'_>, slot: Slot) -> SlotStatus {
    let record = facts.record;
    let target = facts.now.target().filter(|target| target.slot == slot);
    let image = record.slots[slot].as_ref();
    let named = target.map(|t| (&t.version, &t.release)).or(image.map(|i| (&i.version, &i.release)));
    let state = word(facts, slot);
    SlotStatus {
        version: named.map(|(version, _)| version.to_string()),
        release: named.map(|(_, release)| Digest::from(release)),
        state,
        booted: facts.power == Power::On && facts.booted == slot,
        default: facts.default.as_ref().ok().map(|default| *default == slot),
        on_trial: state == SlotState::OnTrial,
        note: match state {
            SlotState::Empty => what_was(facts, slot),
            SlotState::Running | SlotState::Default if named.is_none() => Some("unknown release".into()),
            _ => None,
        },
    }
}

fn word(facts: &Facts<'_>, slot: Slot) -> SlotState {
    let record = facts.record;
    let about_it = facts.now.target().is_some_and(|target| target.slot == slot);
    let image = record.slots[slot].as_ref();
    match facts.now {
        Now::Saved(Saved::Installing(_)) if about_it => SlotState::Installing,
        Now::Saved(Saved::Staged(_)) if about_it => SlotState::Staged,
        Now::Saved(Saved::Armed { .. }) if about_it => SlotState::Armed,
        Now::Trial { .. } if about_it => SlotState::OnTrial,
        Now::Saved(Saved::Committing { .. }) if about_it => SlotState::Committing,
        Now::Saved(Saved::Reverting { .. }) if about_it => SlotState::Reverting,
        _ if facts.booted == slot && facts.power == Power::On => SlotState::Running,
        _ if facts.default.as_ref() == Ok(&slot) => SlotState::Default,
        _ => match image {
            Some(image) if record.rejection(&image.release).is_some() => SlotState::Rejected,
            Some(_) => SlotState::Previous,
            None => SlotState::Empty,
        },
    }
}

/// What became of an empty slot's last content.
fn what_was(facts: &Facts<'_>, slot: Slot) -> Option<String> {
    let entry = facts.record.history.iter().rev().find(|entry| entry.slot == slot)?;
    let version = &entry.version;
    match &entry.outcome {
        Outcome::Reverted(_) => Some(format!("{version} was reverted")),
        Outcome::Abandoned(_) => Some(format!("{version} was not completed")),
        Outcome::Provisioned | Outcome::Committed | Outcome::Rebuilt | Outcome::Unknown { .. } => None,
    }
}
