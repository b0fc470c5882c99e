//! Real time: the machines that a rig drives run by themselves.
use std::time::{Duration, Instant};

/// The time since it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// From now on.
    #[expect(clippy::disallowed_methods, reason = "a rig watches machines that run in real time")]
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Since the start.
    pub fn now(self) -> Duration {
        self.0.elapsed()
    }
}
