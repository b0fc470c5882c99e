//! Boards: implementations of all ports together.
#[cfg(target_os = "linux")]
mod calls;
mod card;
mod card_file;
mod event_folder;
mod file_volume;
mod meter;
#[cfg(target_os = "linux")]
pub mod pi;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
#[cfg(test)]
mod tests;

pub use card::{Card, CardError};
pub use card_file::{Access, CardFile};
pub use file_volume::FileVolume;
pub use meter::{Cut, Meter};

/// What this machine's wall clock shows, in seconds since 1970.
pub(crate) fn unix_time() -> Result<u64, crate::ports::HostError> {
    #[expect(clippy::disallowed_methods, reason = "this is what implements the port")]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    since.map(|d| d.as_secs()).map_err(|_| crate::ports::HostError::Failed("the clock is before 1970".into()))
}
