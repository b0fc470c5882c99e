//! What events say of where the update is.
use super::{Shown, Subject};
use serde::{Deserialize, Serialize};

/// The data of an event that says where the update is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Transition {
    /// Where the update is now.
    pub update: Shown,
    /// Whether that only follows from the boot that runs: the journal holds something else.
    #[serde(default)]
    pub derived: bool,
    /// The update that ended with this, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// Why, where something was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An update that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ended {
    /// The release.
    pub release: Subject,
    /// The type of event that says so: that of this event, unless it is `reconciled`.
    pub kind: String,
    /// Why, in a word of a short list, where it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
