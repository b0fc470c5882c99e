//! Now and then, by the clocks that can tell.
//!
//! The boot clock (`CLOCK_BOOTTIME`) runs evenly and starts at zero with each boot. The wall clock continues from boot to boot, may
//! jump, and is used only while it is synchronized. Times within this boot are measured by the boot clock alone.
use std::time::Duration;

/// Now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time since the boot.
    pub uptime: Duration,
    /// Seconds since 1970, while the clock is synchronized.
    pub wall: Option<u64>,
    /// Seconds since 1970 by the clock as it is, synchronized or not; `None` if the device has none. Only windows that need
    /// no synchronized clock go by it.
    pub unverified: Option<u64>,
}

/// When something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Seconds since 1970, if the clock was synchronized.
    pub wall: Option<u64>,
    /// Time since this boot; `None` if it happened in a former one.
    pub uptime: Option<Duration>,
}

impl When {
    /// How long ago that was. `None` if no clock knows: it happened in a former boot and one of both times wasn't
    /// synchronized, or the clock was set back behind it.
    pub fn age(&self, now: &Moment) -> Option<Duration> {
        match (self.uptime, self.wall, now.wall) {
            (Some(uptime), ..) => Some(now.uptime.saturating_sub(uptime)),
            // It was before this boot, whatever the wall clock did since.
            (None, Some(then), Some(wall)) => {
                wall.checked_sub(then).map(|s| Duration::from_secs(s).max(now.uptime))
            }
            (None, ..) => None,
        }
    }

    /// At least how long ago that was.
    pub fn least_age(&self, now: &Moment) -> Duration {
        self.age(now).unwrap_or(now.uptime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_of_the_boot_clock_where_it_was_the_same_boot() {
        let s = Duration::from_secs;
        let now = Moment { uptime: s(100), wall: Some(5_000), unverified: Some(5_000) };
        let offline = Moment { wall: None, ..now };
        let when = |wall, uptime: Option<u64>| When { wall, uptime: uptime.map(s) };
        // What happened; its age with and without a synchronized clock.
        let table = [
            (when(Some(1), Some(40)), Some(60), Some(60)),
            (when(None, Some(40)), Some(60), Some(60)),
            (when(Some(9_000), Some(40)), Some(60), Some(60)),
            (when(None, Some(900)), Some(0), Some(0)),
            (when(Some(4_000), None), Some(1_000), None),
            (when(Some(4_990), None), Some(100), None),
            (when(Some(5_001), None), None, None),
            (when(None, None), None, None),
        ];
        for (when, known, unknown) in table {
            assert_eq!((when.age(&now), when.age(&offline)), (known.map(s), unknown.map(s)), "{when:?}");
            assert_eq!(when.least_age(&now), s(known.unwrap_or(100)), "{when:?}");
        }
    }
}
