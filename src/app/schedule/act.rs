//! What a device does by itself, and how long it rests.
use super::why::Why;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "next", rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Next {
    /// Do that now.
    Do {
        /// What.
        act: Act,
    },
    /// Nothing; ask again then, or as soon as a fact changes.
    Sleep {
        /// In time since the boot; always later than now.
        #[serde(rename = "until_uptime_s", serialize_with = "seconds")]
        #[cfg_attr(test, schemars(with = "u64"))]
        until: Duration,
        /// Why nothing is done.
        why: Why,
    },
}

// In whole seconds, rounded up, so that a caller that sleeps that long does not ask too early.
fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

/// What a device does by itself. Each is one request to the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Act {
    /// Look at what the channel offers, and download, verify and stage it.
    Look,
    /// Look at what the channel offers, and report it. Nothing is written.
    Report,
    /// Continue the installation into the slot.
    Resume,
    /// Test the staged release, arm it and reboot into its trial.
    Switch,
    /// Download, verify and stage what is on offer of a component.
    StageComponent {
        /// The component.
        component: String,
    },
    /// Continue the update of a component: its trial, its commit, or its way back.
    SwitchComponent {
        /// The component.
        component: String,
    },
}
