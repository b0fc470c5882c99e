//! Virtual time: waiting takes none, unless the world has a pace.
use crate::ports::Clock;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// A clock that only advances while the program waits. Clones show the same time. Counts whole nanoseconds, up to 584 years.
#[derive(Clone, Debug, Default)]
pub struct SimClock {
    nanos: Arc<AtomicU64>,
    /// Real time that passes per simulated time.
    pace: u32,
}

impl SimClock {
    /// A clock that shows `start`.
    pub fn new(start: Duration) -> SimClock {
        SimClock { nanos: Arc::new(AtomicU64::new(nanos(start))), pace: 0 }
    }

    /// The same clock, on which waiting takes as much real time, times `pace`.
    #[must_use]
    pub fn at_pace(self, pace: u32) -> SimClock {
        SimClock { pace, ..self }
    }

    /// What it shows.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Duration {
        self.time()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the port, and it sleeps only where the world says so"
    )]
    fn wait(&self, time: Duration) {
        if self.pace > 0 {
            thread::sleep(time.saturating_mul(self.pace));
        }
        let later = |now: u64| Some(now.saturating_add(nanos(time)));
        // The closure never declines, so this can't fail.
        let _ = self.nanos.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_time_and_it_never_wraps() {
        let clock = SimClock::new(Duration::from_secs(3));
        let other = clock.clone();
        clock.wait(Duration::from_millis(1500));
        assert_eq!(other.now(), Duration::from_millis(4500));
        clock.wait(Duration::MAX);
        assert_eq!(other.time(), Duration::from_nanos(u64::MAX));
    }
}
