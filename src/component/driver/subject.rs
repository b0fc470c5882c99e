use bistable_format::health::Profile;
use std::time::Duration;

/// What a component is on this device, whatever its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name: as in releases.
    pub name: String,
    /// From its start to the first health check.
    pub start_wait: Duration,
    /// The owner's health profile, which counts instead of the release's.
    pub health: Option<Profile>,
}
