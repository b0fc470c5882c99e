//! What happens during an update, as owned data: numbered, for programs.
use crate::steps::{StepName, health, install::Stats, selftest};
use bistable_boot::{Slot, Target};
use serde::Serialize;

/// Version of the form of events. Types and fields may be added.
pub const SCHEMA: u32 = 1;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "data")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Event {
    /// The update is in another state now. That is saved, unless it only follows from the slot that runs.
    #[serde(rename = "update.state")]
    State {
        /// The state.
        state: String,
        /// The release that it is about.
        version: Option<String>,
        /// That release's slot.
        #[cfg_attr(test, schemars(with = "Option<bistable_schema::Slot>"))]
        slot: Option<Slot>,
    },
    /// The preflight ran.
    #[serde(rename = "update.preflight")]
    Preflight {
        /// Why no update may begin, if so.
        problem: Option<String>,
    },
    /// A release was verified and fits this device.
    #[serde(rename = "update.accepted")]
    Accepted(At),
    /// Its volumes are about to be written.
    #[serde(rename = "update.writing")]
    Writing {
        /// The release, and its slot.
        #[serde(flatten)]
        at: At,
        /// Bytes of all volumes.
        bytes: u64,
    },
    /// Something about how the release is fetched.
    #[serde(rename = "update.remark")]
    Remark {
        /// Human-readable.
        text: String,
    },
    /// All of it is on the card, and was read back.
    #[serde(rename = "update.written")]
    Written {
        /// The release, and its slot.
        #[serde(flatten)]
        at: At,
        /// What was fetched, reused and written.
        stats: Stats,
    },
    /// The self-tests ran.
    #[serde(rename = "update.self_test")]
    SelfTest {
        /// Whether all required ones passed.
        passed: bool,
        /// What was measured.
        report: selftest::Report,
    },
    /// The health check ran.
    #[serde(rename = "update.health")]
    Health {
        /// Why the system is unhealthy, if it is.
        reason: Option<String>,
        /// What was seen.
        report: health::Report,
    },
    /// A step took longer than expected.
    #[serde(rename = "update.slow")]
    Slow {
        /// The step.
        step: StepName,
        /// Seconds that it took.
        took_s: u64,
        /// Seconds that it takes at most if nothing is unusual.
        expected_s: u64,
    },
    /// The boot flag was written whole again after a power cut in its write.
    #[serde(rename = "boot_flag.repaired")]
    FlagRepaired {
        /// The default slot.
        #[cfg_attr(test, schemars(with = "bistable_schema::Slot"))]
        slot: Slot,
    },
    /// The machine reboots into a slot.
    #[serde(rename = "update.rebooting")]
    Rebooting {
        /// The slot.
        #[cfg_attr(test, schemars(with = "bistable_schema::Slot"))]
        slot: Slot,
    },
    /// The new slot is the default.
    #[serde(rename = "update.committed")]
    Committed(At),
    /// The old slot is the default and runs again.
    #[serde(rename = "rollback.completed")]
    Reverted {
        /// The release that was given up, and its slot.
        #[serde(flatten)]
        at: At,
        /// Why.
        reason: String,
        /// Whether this device rejects that release from now on.
        rejected: bool,
    },
}

/// A release in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct At {
    /// Its version.
    pub version: String,
    /// Its identity: SHA-256 of the signed payload, in hexadecimal.
    pub release: String,
    /// The slot.
    #[cfg_attr(test, schemars(with = "bistable_schema::Slot"))]
    pub slot: Slot,
}

impl From<&Target> for At {
    fn from(target: &Target) -> At {
        At { version: target.version.to_string(), release: target.release.to_string(), slot: target.slot }
    }
}

/// An event with its number: the first of a run of the program is 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Numbered {
    /// Version of this form.
    pub schema: u32,
    /// The number.
    pub seq: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Numbers events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter(u64);

impl Counter {
    /// The event with the next number.
    pub fn number(&mut self, event: Event) -> Numbered {
        self.0 = self.0.saturating_add(1);
        Numbered { schema: SCHEMA, seq: self.0, event }
    }
}
