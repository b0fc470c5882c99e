//! Virtual time: waiting takes none.
use crate::ports::Clock;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A clock that only goes on when somebody waits. Clones show the same time. Counts whole nanoseconds, up to 584 years.
#[derive(Clone, Debug, Default)]
pub struct SimClock(Arc<AtomicU64>);

impl SimClock {
    /// A clock that shows `start`.
    pub fn new(start: Duration) -> SimClock {
        SimClock(Arc::new(AtomicU64::new(nanos(start))))
    }

    /// What it shows.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Duration {
        self.time()
    }

    fn wait(&self, time: Duration) {
        let later = |now: u64| Some(now.saturating_add(nanos(time)));
        // The closure never declines, so this can't fail.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
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
