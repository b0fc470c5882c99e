use super::{HostError, UnitState};
use std::time::Duration;

/// A service, as the service manager knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its state.
    pub state: UnitState,
    /// How often the service manager restarted it by itself since it was started.
    pub restarts: u32,
}

/// The service manager of the system.
pub trait ServiceManager {
    /// What it knows of a service.
    ///
    /// # Errors
    /// See [`HostError`].
    fn service(&mut self, unit: &str, timeout: Duration) -> Result<Service, HostError>;

    /// Start a service, and wait until it has started or failed to.
    ///
    /// # Errors
    /// When it did not start; see [`HostError`].
    fn start(&mut self, unit: &str, timeout: Duration) -> Result<(), HostError>;

    /// Stop a service, and wait until it has stopped. One that doesn't run is no error.
    ///
    /// # Errors
    /// When it can't be stopped; see [`HostError`].
    fn stop(&mut self, unit: &str, timeout: Duration) -> Result<(), HostError>;

    /// The last lines that a service printed, the newest last: at most some 100 KiB, of this boot and of earlier ones.
    ///
    /// # Errors
    /// See [`HostError`].
    fn logs(&mut self, unit: &str, lines: u32, timeout: Duration) -> Result<String, HostError>;
}
