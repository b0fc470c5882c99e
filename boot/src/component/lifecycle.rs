use super::{Component, State};
use core::fmt;

/// A component's state in the words of people who run services. Nothing is decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// Declared, and no version of it is on the device.
    Registered,
    /// Its first version is being installed, tried or committed.
    Deploying,
    /// Its current version runs.
    Running,
    /// Its current version runs, and another one is being installed, tried or committed; or was, and it goes back.
    Updating,
    /// An operator stopped it.
    Stopped,
    /// No version of it is healthy.
    Failed,
}

impl Lifecycle {
    /// Its name, as answers have it.
    pub const fn name(self) -> &'static str {
        match self {
            Lifecycle::Registered => "registered",
            Lifecycle::Deploying => "deploying",
            Lifecycle::Running => "running",
            Lifecycle::Updating => "updating",
            Lifecycle::Stopped => "stopped",
            Lifecycle::Failed => "failed",
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<&Component> for Lifecycle {
    fn from(component: &Component) -> Lifecycle {
        match (&component.state, &component.current) {
            _ if component.is_stopped => Lifecycle::Stopped,
            (State::Failed(_), _) => Lifecycle::Failed,
            (State::Removing, _) => Lifecycle::Stopped,
            (State::Idle, None) => Lifecycle::Registered,
            (State::Idle, Some(_)) => Lifecycle::Running,
            (_, None) => Lifecycle::Deploying,
            (_, Some(_)) => Lifecycle::Updating,
        }
    }
}
