//! The system calls that no crate wraps. All `unsafe` of the boards but the pins' and the serial ports' is here.
#![expect(unsafe_code, reason = "system calls that neither std nor nix has")]
use nix::{errno::Errno, libc, sys::signal::SigSet, unistd::setsid};
use std::{
    ffi::CStr,
    fs::File,
    io,
    os::{fd::AsRawFd, unix::process::CommandExt},
    process::Command,
};

/// `BLKFLSBUF` (linux/fs.h): write a block device's cached pages, then drop them.
///
/// # Errors
/// The system's: only root may.
pub(super) fn drop_cache(device: &File) -> io::Result<()> {
    // linux/fs.h: _IO(0x12, 97).
    const BLKFLSBUF: libc::Ioctl = 0x1261;
    // SAFETY: the descriptor is open for as long as `device` is borrowed, and this request reads no third argument.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), BLKFLSBUF, 0) })?;
    Ok(())
}

/// Reboot at once, with an argument for the firmware: `LINUX_REBOOT_CMD_RESTART2` (reboot(2)). The C library's `reboot`
/// has no argument. What isn't written yet is lost: sync first.
///
/// # Errors
/// The system's: only root may.
pub(super) fn restart_with(argument: &CStr) -> io::Result<()> {
    // SAFETY: the magic numbers are reboot(2)'s, and the kernel reads the argument up to its NUL before it returns.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_reboot,
            libc::LINUX_REBOOT_MAGIC1,
            libc::LINUX_REBOOT_MAGIC2,
            libc::LINUX_REBOOT_CMD_RESTART2,
            argument.as_ptr(),
        )
    })?;
    Ok(())
}

/// The sockets that the service manager passed to this process, with their names (`FileDescriptorName=`).
///
/// # Errors
/// When what it says of it makes no sense, or there is none.
#[cfg(feature = "daemon")]
pub(super) fn passed_sockets() -> io::Result<Vec<(String, std::os::unix::net::UnixListener)>> {
    use std::os::fd::{FromRawFd, OwnedFd};
    let passed = sd_notify::listen_fds_with_names()?.map(|(descriptor, name)| {
        // SAFETY: `listen_fds_with_names` has just found it open. It is this process's alone, for nothing else here knows of
        // descriptors that are passed (sd_listen_fds(3)), and the daemon asks once.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        (name, owned.into())
    });
    Ok(passed.collect())
}

/// Send process 1 a real-time signal, which nix has no names for.
///
/// # Errors
/// The system's: only root may.
pub(super) fn signal_init(signal: i32) -> io::Result<()> {
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    Errno::result(unsafe { libc::kill(1, signal) })?;
    Ok(())
}

/// Start a program in its own session and with no signal blocked.
pub(super) fn in_new_session(command: &mut Command) {
    // SAFETY: between fork and exec only setsid(2) is called: it is async-signal-safe (signal-safety(7)), and neither the call nor
    // its error allocates.
    unsafe {
        command.pre_exec(|| Ok(setsid().map(drop)?));
    }
    unblock_signals(command);
}

/// Start a program with no signal blocked; it would inherit the signals that this program blocks.
pub(super) fn unblock_signals(command: &mut Command) {
    // SAFETY: as in `in_new_session`, with pthread_sigmask(3).
    unsafe {
        command.pre_exec(|| Ok(SigSet::empty().thread_set_mask()?));
    }
}

/// Whether the kernel's wall clock is synchronized with another one: adjtimex(2), without changing anything.
///
/// # Errors
/// The system's.
pub(super) fn clock_is_synchronized() -> io::Result<bool> {
    // SAFETY: `timex` is made of integers, for which zero is a value; with `modes` 0 the call only fills it in.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex.status)
    };
    Errno::result(state)?;
    Ok(state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_can_be_asked() {
        clock_is_synchronized().unwrap();
    }

    #[test]
    fn a_file_has_no_block_cache() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(drop_cache(&file).unwrap_err().raw_os_error(), Some(libc::ENOTTY));
    }
}
