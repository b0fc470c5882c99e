//! Time since the boot, asleep or awake.
use crate::ports::Clock;
use nix::time::{ClockId, clock_gettime};
use std::{thread, time::Duration};

/// The kernel's `CLOCK_BOOTTIME`: never set, never slewed back, keeps counting in suspend.
#[derive(Clone, Copy, Debug, Default)]
pub struct PiClock;

impl Clock for PiClock {
    fn now(&self) -> Duration {
        // Every Linux since 2.6.39 has it; a kernel without it would be one in which no time passes, and what waits for
        // a deadline ends with the watchdog.
        clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    fn wait(&self, time: Duration) {
        thread::sleep(time);
        crate::clock::waited();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_and_waiting_takes_it() {
        let start = PiClock.now();
        assert!(start > Duration::ZERO);
        PiClock.wait(Duration::from_millis(2));
        assert!(PiClock.now() >= start + Duration::from_millis(2));
    }
}
