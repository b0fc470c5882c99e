//! Boards: implementations of all ports together.
#[cfg(target_os = "linux")]
mod calls;
mod card;
mod card_file;
mod component_folder;
mod compose_folder;
#[cfg(test)]
pub(crate) mod engine_contract;
mod event_folder;
mod file_volume;
#[cfg(any(test, feature = "sim"))]
pub mod memory;
mod meter;
#[cfg(target_os = "linux")]
pub mod pi;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
#[cfg(test)]
mod store_contract;
#[cfg(test)]
mod tests;
#[cfg(target_os = "linux")]
mod watches;

pub use card::{Card, CardError};
pub use card_file::{Access, CardFile};
pub use component_folder::ComponentFolder;
pub use compose_folder::ComposeFolder;
pub use file_volume::FileVolume;
pub use meter::{Cut, Meter};
#[cfg(all(target_os = "linux", feature = "daemon"))]
pub(crate) use watches::Watches;

/// Bytes that are free in the file system of a folder, without those that are kept for root.
fn free_bytes(folder: &std::path::Path) -> std::io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(folder)?;
    #[allow(clippy::useless_conversion, reason = "both are 32 bits wide on a 32-bit Pi")]
    let (blocks, bytes) = (u64::from(stat.blocks_available()), u64::from(stat.fragment_size()));
    Ok(blocks.saturating_mul(bytes))
}

/// Waits for writes into a folder. Only Linux says when there are any; elsewhere, and when it has no watches left, a second passes.
pub(crate) fn writes_in(folders: &[std::path::PathBuf]) -> Box<dyn crate::ports::Wake> {
    #[cfg(target_os = "linux")]
    if !folders.is_empty() {
        match watches::Watches::new(folders, watches::any_write()) {
            Ok(watches) => return Box::new(watches),
            Err(e) => log::warn!(reason:% = e; "changes_not_watched"),
        }
    }
    let _ = folders;
    Box::new(crate::clock::EachSecond)
}

/// Start a program with no signal blocked, as it would inherit those that this program blocks.
#[cfg(feature = "daemon")]
pub(crate) fn unblock_signals(command: &mut std::process::Command) {
    #[cfg(target_os = "linux")]
    calls::unblock_signals(command);
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// Run a program of this machine's to its end, without a shell, with something to read and an environment of ours; it and all
/// that it started are killed after `timeout`. Only Linux ends the latter, so only Linux runs it.
///
/// # Errors
/// When it can't be started, or its time is over.
#[cfg(feature = "daemon")]
pub(crate) fn run_program(
    program: &std::path::Path,
    input: &str,
    timeout: std::time::Duration,
) -> Result<crate::ports::Exit, crate::ports::HostError> {
    #[cfg(target_os = "linux")]
    return pi::run_program(program, input, timeout);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (input, timeout);
        Err(crate::ports::HostError::Failed(format!("{}: only Linux runs it", program.display())))
    }
}

/// The sockets that the service manager passed to this process, with their names. Only Linux has one that does.
///
/// # Errors
/// When what it says of it makes no sense, or there is none.
#[cfg(feature = "daemon")]
pub(crate) fn passed_sockets() -> std::io::Result<Vec<(String, std::os::unix::net::UnixListener)>> {
    #[cfg(target_os = "linux")]
    return calls::passed_sockets();
    #[cfg(not(target_os = "linux"))]
    Ok(Vec::new())
}

/// What this machine's wall clock shows, in seconds since 1970.
pub(crate) fn unix_time() -> Result<u64, crate::ports::HostError> {
    #[expect(clippy::disallowed_methods, reason = "this is what implements the port")]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    since.map(|d| d.as_secs()).map_err(|_| crate::ports::HostError::Failed("the clock is before 1970".into()))
}
