//! The daemon: does by itself what the configuration wants, when [the schedule](crate::app::schedule) says so, and what others
//! ask for over [the API](crate::serve).
//!
//! It decides no trial: that is for the boot's own service, and nothing of the daemon is on the way of a boot. Between two acts
//! it holds nothing: killed at any moment, it leaves what a power cut leaves.
//!
//! | file | noun |
//! |---|---|
//! | [`device_port`](DevicePort) | the port to the device |
//! | [`queued_job`](QueuedJob) | a job as the loop takes it |
//! | [`handle`](Handle) | what it shares with whoever asks |
//! | [`bell`](Bell) | wakes threads that wait for something to happen |
//! | [`health`](Health) | the health of the running release, as it is known now |
//! | [`vitals`](Vitals) | what follows from that |
//! | `turn` | one turn of its loop: an act, or a sleep |
//! | `inhibitors` | what holds a switch off |
//! | `holds` | what is reported of that |
//! | `tries` | what was tried in vain for components |
//! | `reporter` | how far a job is |
//! | `watchdog` | what systemd is told |
//! | `watch` | files whose change makes it look again |
mod bell;
mod device_port;
mod handle;
mod health;
mod holds;
pub(crate) mod inhibitors;
mod past;
mod queued_job;
mod reporter;
mod tries;
mod turn;
mod vitals;
#[cfg(target_os = "linux")]
pub(crate) mod watch;
pub(crate) mod watchdog;

pub use bell::Bell;
pub use device_port::{DevicePort, Survey};
pub use handle::{DEPTH, Handle, Message, Queries, Report};
pub use health::{Health, Sick};
pub use inhibitors::Held;
pub use queued_job::QueuedJob;
pub use turn::{Daemon, Turn};
pub use vitals::{Follows, Vitals};

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

/// Nothing is looked at more often than this, unless a change is reported. A clock that is set, or a window that opens,
/// is noticed so late at most.
pub const TICK: Duration = Duration::from_secs(60);

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The machine goes down, or no client is left that could ask.
    Down,
    /// The program's file was replaced, and nothing is being done: the new one may take over.
    Replaced,
}

/// Turn until the machine goes down, no client is left that could ask, or the program was replaced. That is asked only when there is
/// nothing to do: an upgrade of the package disturbs no installation.
pub fn run<W: DevicePort>(
    mut daemon: Daemon<W>,
    messages: &Receiver<Message>,
    is_replaced: impl Fn() -> bool,
) -> Ended {
    loop {
        match daemon.turn() {
            Turn::Acted => {
                // Requests go before what comes next by itself.
                if let Ok(message) = messages.try_recv() {
                    daemon.take(message);
                }
            }
            Turn::Sleep(_) if is_replaced() => {
                // Callers from now on get the answer to ask again.
                daemon.close();
                return Ended::Replaced;
            }
            Turn::Sleep(time) => match messages.recv_timeout(time.min(TICK)) {
                Ok(message) => daemon.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ended::Down,
            },
            Turn::Down => return Ended::Down,
        }
    }
}
