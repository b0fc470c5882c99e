use std::time::Duration;

/// Monotonic time. There is no wall clock in it: a Pi has none that could be trusted.
pub trait Clock {
    /// Time since some fixed moment of this boot.
    fn now(&self) -> Duration;

    /// Let time pass.
    fn wait(&self, time: Duration);
}
