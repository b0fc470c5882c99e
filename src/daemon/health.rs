//! The health of the running release, as it is known now.
use crate::steps::health::CheckReport;
use std::time::Duration;

/// The health of the running release, as of the last round of its checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether all required checks are good; `None` if that is not known.
    pub healthy: Option<bool>,
    /// Why it is not, or why it is not known.
    pub reason: Option<String>,
    /// The version that runs.
    pub version: Option<String>,
    /// How long the last round took.
    pub took: Duration,
    /// Each check.
    pub checks: Vec<CheckReport>,
}

impl Health {
    /// Nothing is known of it.
    pub fn unknown(why: &str) -> Health {
        Health {
            healthy: None,
            reason: Some(why.into()),
            version: None,
            took: Duration::ZERO,
            checks: Vec::new(),
        }
    }

    /// There is nothing to check: no profile says what healthy means.
    pub fn without_checks(version: Option<String>) -> Health {
        let reason = Some("no checks are configured".into());
        Health { healthy: Some(true), reason, version, ..Health::unknown("") }
    }
}

/// A release that has been unhealthy for longer than `health.revert_after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sick {
    /// Its version.
    pub version: String,
    /// Its identity.
    pub release: String,
    /// Why it is unhealthy.
    pub reason: String,
}
