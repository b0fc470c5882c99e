//! The daemon: does by itself what the configuration wants, when [the schedule](crate::app::schedule) says so, and what others
//! ask for over [the API](crate::serve).
//!
//! It decides no trial: that is for the boot's own service, and nothing of the daemon is on the way of a boot. Between two acts
//! it holds nothing: killed at any moment, it leaves what a power cut leaves.
//!
//! | file | noun |
//! |---|---|
//! | [`works`](Works) | the port to the device |
//! | [`errand`](Errand) | a job as the loop takes it |
//! | [`front`](Front) | what it shares with whoever asks |
//! | [`bell`](Bell) | wakes threads that wait for something to happen |
//! | [`health`](Health) | the health of the running release, as it is known now |
//! | [`vitals`](Vitals) | what follows from that |
//! | `turn` | one turn of its loop: an act, or a sleep |
//! | `inhibitors` | what holds a switch off |
//! | `reporter` | how far a job is |
//! | `watchdog` | what systemd is told |
//! | `watch` | files whose change makes it look again |
mod bell;
mod errand;
mod front;
mod health;
pub(crate) mod inhibitors;
mod past;
mod reporter;
mod turn;
mod vitals;
#[cfg(target_os = "linux")]
pub(crate) mod watch;
pub(crate) mod watchdog;
mod works;

pub use bell::Bell;
pub use errand::Errand;
pub use front::{DEPTH, Front, Letter, Report, Window};
pub use health::{Health, Sick};
pub use turn::{Daemon, Turn};
pub use vitals::{Follows, Vitals};
pub use works::{Survey, Works};

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

/// Nothing is looked at more often than this, unless somebody says that it changed. A clock that is set, or a window that opens,
/// is noticed so late at most.
pub const TICK: Duration = Duration::from_secs(60);

/// Turn until the machine goes down, or nobody is left who could ask.
pub fn run<W: Works>(mut daemon: Daemon<W>, letters: &Receiver<Letter>) {
    loop {
        match daemon.turn() {
            Turn::Acted => {
                // Who asked goes before what comes next by itself.
                if let Ok(letter) = letters.try_recv() {
                    daemon.take(letter);
                }
            }
            Turn::Sleep(time) => match letters.recv_timeout(time.min(TICK)) {
                Ok(letter) => daemon.take(letter),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            },
            Turn::Down => return,
        }
    }
}
