//! SIGTERM, SIGINT and SIGHUP end the program in order: everything pending is undone, then it ends as killed by that
//! signal, so that a shell shows 128+n and systemd reports the signal.
//!
//! The three are blocked in all threads, and one thread waits for them, so it works while the others block in system calls.
//! One that was ignored when the program was started (`nohup`, a background job of a script) stays ignored. SIGPIPE is
//! left alone.
use super::end_if_free;
use nix::sys::signal::{SigSet, Signal, raise};
use std::{
    fs, io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Undoing is short: a few calls, and a walk through `/proc`.
const STACK: usize = 256 << 10;

/// Whether the system was asked to stop this process with the others, so that the answer comes after the signal.
static AWAITED: AtomicBool = AtomicBool::new(false);
static TOLD: AtomicBool = AtomicBool::new(false);

/// Handle them from now on. For `main`, before it starts a thread: threads inherit the blocked signals.
///
/// # Errors
/// The system's: they then end the program at once, as they do by default.
pub fn handle() -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored(&status);
    let mut handled = SigSet::empty();
    for signal in ENDING.into_iter().filter(|signal| ignored >> (*signal as i32 - 1) & 1 == 0) {
        handled.add(signal);
    }
    handled.thread_block()?;
    let waiter = thread::Builder::new().name("signals".into()).stack_size(STACK);
    let spawned = waiter.spawn(move || {
        // It fails for a set that makes no sense only.
        while let Ok(signal) = handled.wait() {
            match act(signal, AWAITED.load(Ordering::SeqCst)) {
                Act::Tell => TOLD.store(true, Ordering::SeqCst),
                Act::End => die(signal),
            }
        }
    });
    if spawned.is_err() {
        handled.thread_unblock()?;
    }
    spawned.map(drop)
}

/// A reboot was asked for: SIGTERM and SIGHUP are now the news that it has begun, and no reason to end before the answer
/// was given.
pub(crate) fn expect_end() {
    TOLD.store(false, Ordering::SeqCst);
    AWAITED.store(true, Ordering::SeqCst);
}

/// There is no reboot after all: whoever runs on can be ended again.
pub(crate) fn expect_no_end() {
    AWAITED.store(false, Ordering::SeqCst);
}

/// Whether the news has come since [`expect_end`].
pub(crate) fn is_told_to_end() -> bool {
    TOLD.load(Ordering::SeqCst)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    End,
    Tell,
}

fn act(signal: Signal, awaited: bool) -> Act {
    match signal {
        Signal::SIGTERM | Signal::SIGHUP if awaited => Act::Tell,
        _ => Act::End,
    }
}

/// The mask of ignored signals in `/proc/PID/status` (proc(5)); bit 0 is signal 1.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[expect(clippy::disallowed_methods, reason = "everything that a destructor would undo is undone")]
fn die(signal: Signal) -> ! {
    end_if_free();
    let mut this = SigSet::empty();
    this.add(signal);
    if this.thread_unblock().is_ok() {
        let _ = raise(signal);
    }
    // Process 1 of a container is not ended by a signal.
    std::process::exit(128 + signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_ends_the_program_unless_a_reboot_is_awaited() {
        for signal in ENDING {
            assert_eq!(act(signal, false), Act::End, "{signal}");
        }
        let awaited = ENDING.map(|signal| act(signal, true));
        assert_eq!(awaited, [Act::Tell, Act::End, Act::Tell], "Ctrl-C still ends the wait");
    }

    #[test]
    fn ignored_signals_are_read_from_the_status_of_the_process() {
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"), 0x1001);
        assert_eq!(ignored("SigIgn:\t-\n"), 0);
        assert_eq!(ignored(""), 0);
    }
}
