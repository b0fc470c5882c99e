//! What the device is like, human-readable and for programs: one plain value, made by a pure function.
//!
//! | file | noun |
//! |---|---|
//! | [`facts`](Facts) | what a status is made from |
//! | [`lost`](Lost) | the status of a device that lost its memory |
//! | [`slots`](SlotStatus) | one slot, and the one word for it |
//! | [`steps`](Step) | the last update's steps, each with its mark |
//! | `advice` | the one line that says what to do next |
//! | [`picture`] | the status as a drawing of the two slots |
//! | [`history`] | the past updates, as data and as a table |
//! | [`style`](Style) | what the terminal can show |
//! | `text` | wrapping and measuring |
mod advice;
mod facts;
mod history;
mod lost;
mod picture;
mod slots;
mod steps;
mod style;
mod text;

#[cfg(test)]
mod tests;

pub use crate::steps::StepName;
pub use facts::{Facts, RootFacts};
pub use history::{Date, Ending, History, Past, history, history_text};
pub use lost::{Lost, LostFacts, LostSlot};
pub use picture::picture;
pub use slots::{SlotState, SlotStatus};
pub use steps::{Mark, Step, Update};
pub use style::{Charset, Color, Style};

use crate::SystemRootState;
use crate::event::ComponentShown;
use crate::ports::Power;
use bistable_boot::{BySlot, Floors, Now, ReleaseId, Saved, Slot};
use serde::Serialize;

/// Everything worth knowing about the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Status {
    /// The product that this device is.
    pub product: String,
    /// The kind of board.
    pub board: String,
    /// Whether the board has power.
    pub power: Power,
    /// Where the device is, in one word.
    pub state: &'static str,
    /// Whether the running slot isn't the default one; `None` if the boot flag can't be read or nothing runs.
    pub pending: Option<bool>,
    /// The slot that is running; without power, the one that ran last.
    #[cfg_attr(test, schemars(with = "bistable_schema::Slot"))]
    pub booted: Slot,
    /// The slot that boots when nothing is tried; `None` if the boot flag can't be read.
    #[cfg_attr(test, schemars(with = "Option<bistable_schema::Slot>"))]
    pub default: Option<Slot>,
    /// What is wrong with the boot flag.
    pub default_problem: Option<String>,
    /// The slot that the next reboot tries, once.
    #[cfg_attr(test, schemars(with = "Option<bistable_schema::Slot>"))]
    pub once: Option<Slot>,
    /// The two slots.
    #[cfg_attr(test, schemars(with = "bistable_schema::BySlot<SlotStatus>"))]
    pub slots: BySlot<SlotStatus>,
    /// The update in flight, else the newest past one; `None` if there was none since the card was made.
    pub update: Option<Update>,
    /// What must not be undercut.
    #[cfg_attr(test, schemars(with = "bistable_schema::Floors"))]
    pub floors: Floors,
    /// The channel that `floors.channel_sequence` is of; empty as long as none was seen.
    pub channel: String,
    /// What that channel was caught at, until a higher number is accepted.
    pub equivocation: Option<Equivocation>,
    /// Releases that are not installed again by themselves, newest first.
    pub rejected: Vec<RejectedRelease>,
    /// The root of trust.
    pub root: RootStatus,
    /// Whether the running system carries a root, which the stored one must descend from.
    pub system_root: bool,
    /// The agent's memory.
    pub journal: JournalStatus,
    /// What is updated beside the slots, and was installed here at least once; absent if that is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentShown>,
    /// Why the update waits for a person, if it does.
    pub waits: Option<String>,
    /// What to do next.
    pub advice: String,
}

/// A rejected release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RejectedRelease {
    /// Its version.
    pub version: String,
    /// Its digest.
    pub release: Digest,
    /// Why it was rejected.
    pub reason: String,
}

/// Two files of one channel with the same number were signed, and the second one was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Equivocation {
    /// The number of both.
    pub sequence: u64,
    /// SHA-256 of the payload that was refused.
    pub refused: Digest,
}

impl From<&bistable_boot::Equivocation> for Equivocation {
    fn from(found: &bistable_boot::Equivocation) -> Self {
        Equivocation { sequence: found.sequence, refused: Digest::from(&ReleaseId(found.refused.0)) }
    }
}

impl Equivocation {
    /// One line, human-readable.
    pub fn text(&self, channel: &str) -> String {
        format!(
            "EQUIVOCATION: a second file of channel {channel} is signed as number {} (payload {}); it was refused: find \
             out who signed it, then `bistable repair` acknowledges it",
            self.sequence, self.refused.short
        )
    }
}

/// A digest, long and short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Digest {
    /// The first 12 hexadecimal digits: enough for people.
    pub short: String,
    /// All 64.
    pub full: String,
}

impl From<&ReleaseId> for Digest {
    fn from(id: &ReleaseId) -> Self {
        Digest { short: format!("{id:.12}"), full: id.to_string() }
    }
}

/// The root of trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RootStatus {
    /// Its version; `None` if there is none that may be trusted.
    pub version: Option<u32>,
    /// Whether its keys are the public demo keys.
    pub demo: bool,
    /// Why there is none.
    pub problem: Option<String>,
}

impl RootStatus {
    fn new(root: Result<RootFacts, String>) -> RootStatus {
        RootStatus {
            version: root.as_ref().ok().map(|root| root.version),
            demo: root.as_ref().is_ok_and(|root| root.demo),
            problem: root.err(),
        }
    }
}

/// The agent's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JournalStatus {
    /// How often it was saved.
    pub seq: u64,
    /// Each copy's number; `None` for one that can't be read.
    pub copies: [Option<u64>; 2],
}

impl Status {
    /// What the facts say. Pure: the same facts give the same status.
    pub fn new(facts: Facts<'_>) -> Status {
        let record = facts.record;
        let default = facts.default.as_ref().ok().copied();
        let once = match facts.now {
            // Running from the target already means that the one shot was fired.
            // Power loss forgets it.
            Now::Saved(Saved::Armed { target, tries })
                if facts.booted != target.slot && facts.power == Power::On && !tries.are_refused() =>
            {
                Some(target.slot)
            }
            _ => None,
        };
        let mut rejected: Vec<_> = record
            .rejected
            .iter()
            .map(|r| RejectedRelease {
                version: r.version.to_string(),
                release: Digest::from(&r.release),
                reason: r.failure.to_string(),
            })
            .collect();
        rejected.reverse();
        let slots = BySlot::new(|slot| slots::status(&facts, slot));
        let advice = advice::advice(&facts);
        Status {
            product: record.product.clone(),
            board: facts.board.to_owned(),
            power: facts.power,
            state: facts.now.name(),
            pending: default.filter(|_| facts.power == Power::On).map(|default| default != facts.booted),
            booted: facts.booted,
            default,
            default_problem: facts.default.err().or(facts.foreign_flag),
            once,
            slots,
            update: steps::last_update(record, facts.now),
            floors: record.floors,
            channel: record.channel.clone(),
            equivocation: record.equivocation.as_ref().map(Equivocation::from),
            rejected,
            root: RootStatus::new(facts.root),
            system_root: facts.system_root == SystemRootState::Present,
            journal: JournalStatus { seq: record.seq, copies: facts.journal_copies },
            components: facts.components,
            waits: facts.waits,
            advice,
        }
    }
}
