use super::{Fault, HostError};
use std::path::PathBuf;

/// A service of a Compose project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceOf<'a> {
    /// The project.
    pub project: &'a str,
    /// Its service.
    pub service: &'a str,
}

/// The Compose file of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposeFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes; `None` if it isn't there.
    pub text: Option<Vec<u8>>,
}

/// Compose projects: the durable file of each, and in memory, for each service that is updated, the file that it runs from in this boot.
///
/// The file in memory never has the engine start the service by itself, whatever the durable one says: what runs after a power cut is for
/// the next boot to decide, and the engine is up before that.
pub trait ComposeProject {
    /// The version of Compose.
    ///
    /// # Errors
    /// When there is none; see [`HostError`].
    fn version(&mut self) -> Result<String, HostError>;

    /// The durable file.
    ///
    /// # Errors
    /// When it can't be read, or several files could be meant.
    fn file(&mut self, project: &str) -> Result<ComposeFile, Fault>;

    /// Replace the durable file. After a power cut it is the old or the new one; after `Ok` the new one.
    ///
    /// # Errors
    /// When it can't be written, or there is none.
    fn set_file(&mut self, project: &str, text: &[u8]) -> Result<(), Fault>;

    /// Keep a copy of the durable file, of this date, beside it, durably. A few are kept, the newest; and one that is there already is not
    /// made again.
    ///
    /// # Errors
    /// When it can't be written, or there is none.
    fn keep_copy(&mut self, project: &str, date: &str) -> Result<(), Fault>;

    /// The file that a service runs from in this boot.
    ///
    /// # Errors
    /// When it can't be read.
    fn shown(&mut self, of: ServiceOf<'_>) -> Result<Option<Vec<u8>>, Fault>;

    /// Have a service run from this file from its next [`up`](Self::up). It doesn't outlive the boot.
    ///
    /// # Errors
    /// When it can't be written.
    fn show(&mut self, of: ServiceOf<'_>, text: &[u8]) -> Result<(), Fault>;

    /// Whether the engine is to start a service by itself, as its file says: see [`Container::restart`](super::Container::restart).
    ///
    /// # Errors
    /// See [`HostError`].
    fn restart(&mut self, of: ServiceOf<'_>) -> Result<String, HostError>;

    /// Run one service from the file that is shown, and none that it depends on. A container that is as the file says stays; another one is
    /// replaced. Nothing is pulled.
    ///
    /// # Errors
    /// When it doesn't start; see [`HostError`].
    fn up(&mut self, of: ServiceOf<'_>) -> Result<(), HostError>;

    /// Stop a service. One that doesn't run is no error.
    ///
    /// # Errors
    /// See [`HostError`].
    fn stop(&mut self, of: ServiceOf<'_>) -> Result<(), HostError>;

    /// The last lines that a service printed.
    ///
    /// # Errors
    /// See [`HostError`].
    fn logs(&mut self, of: ServiceOf<'_>, lines: u32) -> Result<String, HostError>;
}
