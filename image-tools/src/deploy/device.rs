//! What is needed of a device's `status --json`. Fields that are not known here are ignored: the device may be newer.
use serde::Deserialize;

/// A device as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Device {
    /// The product; `None` if the device lost its journal.
    pub product: Option<String>,
    /// The kind of board.
    pub board: String,
    /// Where the update is, in one word.
    pub state: String,
    /// The slot that runs: `A` or `B`.
    pub booted: String,
    /// Whether the running slot isn't the default one.
    #[serde(default)]
    pub pending: Option<bool>,
    /// The slots.
    pub slots: Slots,
    /// The update in flight, or the newest past one.
    #[serde(default)]
    pub update: Option<Update>,
    /// The journal; `None` if it is lost.
    #[serde(default)]
    pub journal: Option<Journal>,
    /// Why the update waits for a person.
    #[serde(default)]
    pub waits: Option<String>,
    /// What to do next.
    #[serde(default)]
    pub advice: String,
}

/// Both slots.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Slots {
    /// Slot A.
    #[serde(alias = "A")]
    pub a: Slot,
    /// Slot B.
    #[serde(alias = "B")]
    pub b: Slot,
}

/// A slot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Slot {
    /// The version in it.
    #[serde(default)]
    pub version: Option<String>,
    /// The release in it.
    #[serde(default)]
    pub release: Option<Id>,
    /// Whether it runs.
    pub booted: bool,
}

/// A release's identity.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Id {
    /// All 64 hexadecimal digits.
    pub full: String,
}

/// An update.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Update {
    /// The version.
    pub version: String,
    /// The release.
    pub release: Id,
    /// How it ended; `None` while it is in flight.
    #[serde(default)]
    pub outcome: Option<String>,
    /// Trials so far.
    #[serde(default)]
    pub attempts: u8,
    /// Its steps.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// A step of an update.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Step {
    /// Which.
    pub step: String,
    /// How far it is.
    pub mark: String,
    /// Why it failed.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Journal {
    /// How often it was saved.
    pub seq: u64,
}

impl Device {
    /// The slot that runs.
    pub fn running(&self) -> Option<&Slot> {
        [&self.slots.a, &self.slots.b].into_iter().find(|slot| slot.booted)
    }

    /// Whether it runs a release by default. Until the next reboot, a device that went back may still run another one.
    pub fn keeps(&self, release: &str) -> bool {
        let runs = self.running().and_then(|slot| slot.release.as_ref());
        runs.is_some_and(|id| id.full == release) && self.pending != Some(true)
    }
}
