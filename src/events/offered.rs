//! A version of a component that the channel had on offer when it was last checked.
use bistable_boot::component::Component;
use serde::{Deserialize, Serialize};

/// A version of a component that is on offer, and that the device takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OfferedVersion {
    /// The version.
    pub version: String,
    /// Its release: SHA-256 of the signed payload, in hexadecimal.
    pub release: String,
    /// Bytes that have to be fetched.
    #[serde(default)]
    pub bytes: u64,
    /// Whether it fixes a security problem.
    #[serde(default)]
    pub urgent: bool,
    /// Why it is not fetched unless its version is named, if it is not.
    #[serde(default)]
    pub refused: Option<String>,
}

impl OfferedVersion {
    /// Whether there is still something to do about it: it is neither the current version, nor was it rejected since.
    pub fn is_open(&self, component: &Component) -> bool {
        let current = component.current.iter().map(|held| held.release);
        let rejected = component.rejected.iter().map(|rejected| rejected.release);
        current.chain(rejected).all(|release| release.to_string() != self.release)
    }
}
