//! What systemd is told: that the daemon is ready, that it lives, and what it waits for.
use sd_notify::NotifyState;

/// The daemon can be asked.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The daemon lives: `WatchdogSec=` of its unit counts from here.
pub(crate) fn beat() {
    tell(&[NotifyState::Watchdog]);
}

/// What is told is told to whoever started the program; it may not be listening.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        log::debug!(reason:% = e; "systemd_not_told");
    }
}
