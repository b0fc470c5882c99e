//! What happens during an update, as owned data: numbered, for programs.
use crate::{
    component::ComponentStep,
    steps::{StepName, health, install::Stats, selftest},
};
use bistable_boot::{
    Failure, Outcome, Slot, Target,
    component::{Component, Ended, Lifecycle, State},
};
use serde::{Deserialize, Serialize};

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
    /// A component is in another state now, and that is saved.
    #[serde(rename = "component.state")]
    Component(ComponentShown),
    /// A step of a component's update ended.
    #[serde(rename = "component.step")]
    ComponentStep {
        /// The component.
        component: String,
        /// The step.
        step: ComponentStep,
        /// Milliseconds that it took.
        took_ms: u64,
        /// What is wrong, if it didn't end well.
        problem: Option<String>,
    },
    /// Something about a component that an operator should know.
    #[serde(rename = "component.remark")]
    ComponentRemark {
        /// The component.
        component: String,
        /// Human-readable.
        text: String,
    },
}

/// Where a component is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentShown {
    /// Its name.
    pub component: String,
    /// `registered`, `deploying`, `running`, `updating`, `stopped` or `failed`.
    pub lifecycle: String,
    /// The state of its update.
    pub state: String,
    /// The version that is committed; of a component that the booted image brings along, that one.
    pub version: Option<String>,
    /// Which image brings it along, if one does; in a status only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<BoundBy>,
    /// The version that an update is about.
    pub target: Option<String>,
    /// Trials of it that began.
    pub attempts: u8,
    /// Why it is given up.
    pub reason: Option<String>,
    /// Whether too many updates were rolled back, so that it is not updated until an operator resets it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub halted: bool,
    /// The update that ended with this, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<ComponentEnded>,
}

/// The image of this boot brings a component along: that version runs, whatever else was installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BoundBy {
    /// The image: its product and version.
    pub image: String,
    /// The version that was installed by itself, and runs again with an image that doesn't bring the component along.
    pub instead_of: Option<String>,
    /// Whether the version is not on this device, so that nothing runs.
    pub missing: bool,
}

impl BoundBy {
    /// One line, human-readable.
    pub fn text(&self) -> String {
        let mut text = format!("bound by {}", self.image);
        if let Some(other) = &self.instead_of {
            text.push_str(&format!(", instead of {other}"));
        }
        if self.missing {
            text.push_str("; it is not on this device: `bistable component update` with its version or its bundle puts it back");
        }
        text
    }

    /// `running`, or `failed` without a version that could run.
    pub fn lifecycle(&self) -> &'static str {
        if self.missing { Lifecycle::Failed.name() } else { Lifecycle::Running.name() }
    }
}

/// An update of a component that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ComponentEnded {
    /// The version that it was about.
    pub version: String,
    /// Its release: SHA-256 of the signed payload, in hexadecimal.
    pub release: String,
    /// How it ended.
    pub result: ComponentResult,
    /// Why, if it was not committed.
    pub reason: Option<String>,
}

/// How an update of a component ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ComponentResult {
    /// It is the current version.
    Committed,
    /// An older version runs again.
    RolledBack,
    /// It was given up before it was tried, or no version is healthy.
    Failed,
}

impl ComponentResult {
    /// Its name, as in JSON and as the label of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            ComponentResult::Committed => "committed",
            ComponentResult::RolledBack => "rolled_back",
            ComponentResult::Failed => "failed",
        }
    }
}

impl ComponentShown {
    /// What is shown of a component there, with the update that just ended.
    pub fn of(now: &Component, ended: Option<&Ended>) -> ComponentShown {
        let attempts = match now.state {
            State::Armed { attempts, .. } | State::Committing { attempts, .. } => attempts,
            _ => 0,
        };
        let reason = match &now.state {
            State::Reverting { failure, .. } | State::Failed(failure) => Some(failure.to_string()),
            _ => None,
        };
        ComponentShown {
            component: now.name.clone(),
            lifecycle: Lifecycle::from(now).name().into(),
            state: now.state.name().into(),
            version: now.current.as_ref().map(|held| held.version.to_string()),
            bound: None,
            target: now.state.target().map(|held| held.version.to_string()),
            attempts,
            reason,
            halted: now.is_halted(),
            ended: ended.map(|ended| ComponentEnded::of(ended, now)),
        }
    }
}

impl ComponentShown {
    /// The same with the version that the booted image brings along.
    #[must_use]
    pub fn bound_to(mut self, version: &str, by: BoundBy) -> ComponentShown {
        self.lifecycle = by.lifecycle().into();
        self.version = Some(version.into());
        self.bound = Some(by);
        self
    }
}

impl ComponentEnded {
    fn of(ended: &Ended, now: &Component) -> ComponentEnded {
        let result = match &ended.outcome {
            Outcome::Committed => ComponentResult::Committed,
            // One that is halted runs the version before.
            Outcome::Reverted(_) if now.is_halted() || !matches!(now.state, State::Failed(_)) => {
                ComponentResult::RolledBack
            }
            _ => ComponentResult::Failed,
        };
        ComponentEnded {
            version: ended.version.to_string(),
            release: ended.release.to_string(),
            result,
            reason: ended.outcome.failure().map(Failure::to_string),
        }
    }
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
