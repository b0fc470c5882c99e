//! Where the update is, as `status` shows it: the part of the fold that must agree with the journal.
use bistable_boot::{Failure, Now, Saved, Slot, Target};
use serde::{Deserialize, Serialize};

/// Where the update is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Shown {
    /// The state's name.
    pub state: String,
    /// The release that it is about.
    #[serde(default)]
    pub release: Option<Subject>,
    /// Trials that count, where the state says so.
    #[serde(default)]
    pub attempts: Option<u8>,
    /// Reboots in a row after which the boot loader had not begun the trial.
    #[serde(default)]
    pub refused: u8,
    /// Whether a reboot into the trial is asked for.
    #[serde(default)]
    pub asked: bool,
    /// Why it is given up.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A release in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Subject {
    /// Its version.
    pub version: String,
    /// Its identity: SHA-256 of the signed payload, in hexadecimal.
    pub identity: String,
    /// The slot.
    #[cfg_attr(test, schemars(with = "bistable_schema::Slot"))]
    pub slot: Slot,
}

impl From<&Target> for Subject {
    fn from(target: &Target) -> Subject {
        let (version, identity) = (target.version.to_string(), target.release.to_string());
        Subject { version, identity, slot: target.slot }
    }
}

impl Shown {
    /// What is shown of a device there.
    pub fn of(now: &Now) -> Shown {
        let tries = match now {
            Now::Saved(Saved::Armed { tries, .. }) => Some(*tries),
            _ => None,
        };
        Shown {
            state: now.name().into(),
            release: now.target().map(Subject::from),
            attempts: now.attempts(),
            refused: tries.map_or(0, |tries| tries.refused),
            asked: tries.is_some_and(|tries| tries.asked.is_some()),
            reason: failure(now).map(ToString::to_string),
        }
    }

    /// Whether nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.release.is_none()
    }
}

/// Why the update is given up.
fn failure(now: &Now) -> Option<&Failure> {
    match now {
        Now::Saved(Saved::Reverting { failure, .. }) => Some(failure),
        _ => None,
    }
}
