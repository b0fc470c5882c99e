//! The only place that asks what time it is: durations for people, and the build time when nobody gave one.
use std::time::{Duration, Instant, SystemTime};

/// Counts from when it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the port: it measures for people, nothing waits for it"
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
