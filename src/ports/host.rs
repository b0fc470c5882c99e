use super::{Fault, Never};
use std::time::Duration;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The last line that it printed, for reports; at most 200 bytes.
    pub said: String,
}

/// A web server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The first 64 KiB of the body.
    pub body: Vec<u8>,
}

/// What the service manager says of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitState {
    /// Running, or done and counted as such.
    Active,
    /// Anything else, in the service manager's word: `activating`, `failed`, `inactive`, …
    Other(String),
    /// There is no such unit.
    Missing,
}

/// Why the host couldn't answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It took longer than allowed, and was ended.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// It couldn't be started or reached.
    #[error("{0}")]
    Failed(String),
}

/// The system around the agent.
pub trait Host {
    /// Run a program, without a shell, to its end; it and its children are killed after `timeout`.
    ///
    /// # Errors
    /// See [`HostError`].
    fn run(&mut self, command: &[String], timeout: Duration) -> Result<Exit, HostError>;

    /// What the service manager says of a unit.
    ///
    /// # Errors
    /// See [`HostError`].
    fn unit(&mut self, unit: &str, timeout: Duration) -> Result<UnitState, HostError>;

    /// Ask a web server on this device.
    ///
    /// # Errors
    /// See [`HostError`].
    fn http_get(&mut self, url: &str, timeout: Duration) -> Result<Answer, HostError>;

    /// An id that changes with each boot and never within one.
    fn boot_id(&self) -> String;

    /// Reboot, into what [`BootControl::switch`](super::BootControl::switch) chose. Ends as
    /// [`Fault::Stopping`] when it works.
    ///
    /// # Errors
    /// Always, as a reboot doesn't return.
    fn reboot(&mut self) -> Result<Never, Fault>;
}
