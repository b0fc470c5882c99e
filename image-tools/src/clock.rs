//! The only place that asks what time it is: durations shown to people, the build time when none was given, and when something was
//! done to a repository.
use std::time::{Duration, Instant, SystemTime};

/// Counts from when it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the port: it measures what is shown, nothing waits for it"
    )]
    pub(crate) fn start() -> Self {
        Stopwatch(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Seconds since 1970 by the host's clock; 0 if it stands before that.
#[expect(clippy::disallowed_methods, reason = "a host's clock, for a build time that decides nothing")]
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// The time, and waiting: a port, so that tests neither depend on the one nor do the other.
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// Seconds since 1970.
    fn now(&self) -> u64;
    /// Let this much time pass.
    fn wait(&self, time: Duration);
}

/// The host's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostClock;

impl Clock for HostClock {
    fn now(&self) -> u64 {
        unix_now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the port: a writer lets others go first")]
    fn wait(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// How long to wait before try `n` (1, 2, …): at random, so that those who collided once don't again, and longer with each try.
pub(crate) fn back_off(tries: u32) -> Duration {
    let most = 10_u64 << tries.min(7);
    // Without randomness the longest is right, too.
    let random = getrandom::u64().unwrap_or(most);
    Duration::from_millis(random % (most + 1))
}
