//! How slow a server may be.
use std::time::Duration;

/// This many bytes in each window, or the server is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes.
    pub bytes: u64,
    /// In this time of waiting for them.
    pub window: Duration,
}

impl Rate {
    /// The longest that this many bytes may take, with room for pauses of our own.
    pub(super) fn longest(&self, bytes: u64) -> Duration {
        let windows = (bytes / self.bytes.max(1)).saturating_add(10);
        self.window.saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX))
    }
}

/// Measures one window after the other. Only waiting for the server counts: a slow card isn't its fault.
#[derive(Debug)]
pub(super) struct Meter {
    rate: Rate,
    time: Duration,
    bytes: u64,
}

impl Meter {
    pub(super) fn new(rate: Rate) -> Meter {
        Meter { rate, time: Duration::ZERO, bytes: 0 }
    }

    /// This many bytes came after waiting for this long. What came in a window that was too slow is the error.
    pub(super) fn add(&mut self, waited: Duration, bytes: u64) -> Result<(), (u64, Duration)> {
        self.time += waited;
        self.bytes += bytes;
        if self.time < self.rate.window {
            return Ok(());
        }
        let window = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.time));
        if window.0 < self.rate.bytes { Err(window) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { bytes: 1000, window: Duration::from_secs(10) };

    #[test]
    fn each_window_counts_for_itself() {
        let second = Duration::from_secs(1);
        let mut meter = Meter::new(RATE);
        // A fast start doesn't make up for a slow end.
        for _ in 0..10 {
            meter.add(second, 100_000).unwrap();
        }
        for _ in 0..9 {
            meter.add(second, 99).unwrap();
        }
        assert_eq!(meter.add(second, 99), Err((990, 10 * second)));
        for _ in 0..100 {
            meter.add(second, 100).unwrap();
        }
        // Nothing for the whole window, then a lot: fast enough for that window.
        meter.add(30 * second, 1000).unwrap();
    }

    #[test]
    fn even_the_largest_file_has_an_end() {
        assert_eq!(RATE.longest(0), Duration::from_secs(100));
        assert_eq!(RATE.longest(90_000), Duration::from_secs(1000));
        assert!(RATE.longest(u64::MAX) < Duration::MAX);
        assert!(Rate { bytes: 0, ..RATE }.longest(5) > Duration::ZERO);
    }
}
