use bistable_format::health::Profile;
use std::{path::PathBuf, time::Duration};

/// What a component of the kind `directory` is on this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name: as in releases.
    pub name: String,
    /// The service that runs from it.
    pub unit: String,
    /// Where people and programs find it.
    pub path: PathBuf,
    /// The file in it that says its version.
    pub version_file: PathBuf,
    /// From its start to the first health check.
    pub start_wait: Duration,
    /// The owner's health profile, which counts instead of the release's.
    pub health: Option<Profile>,
}

impl Subject {
    /// One that is not declared any more: it can only be removed.
    pub fn undeclared(name: &str) -> Subject {
        Subject {
            name: name.into(),
            unit: String::new(),
            path: PathBuf::new(),
            version_file: PathBuf::new(),
            start_wait: Duration::ZERO,
            health: None,
        }
    }
}
