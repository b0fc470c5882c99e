//! When the next look at the channel is due.
//!
//! - **The grid.** Points lie `interval` apart, moved by a constant of the device (its offset), and each by up to a tenth of the
//!   interval (its jitter). They are points of the wall clock while it is synchronized, else of the boot clock. After a look,
//!   the next point counts, but not before a tenth of the interval.
//! - **After a boot** a look that is overdue, or of which nothing is known, waits for a time that is drawn evenly from the first
//!   hour (the interval, if that is shorter) without its first minute (fifth): a region that gets its power back doesn't look at once.
//! - **After failures** the next look waits for a time that is drawn evenly from 30 s to a limit that doubles with each failure
//!   (full jitter), at most 6 h and the interval. A server may ask for more (`Retry-After`), up to the longer of the two.
//!
//! From a look on, its successor is measured by the boot clock; the wall clock only says which point of the grid it is. So a
//! jump of the wall clock can neither bring two looks closer together than a tenth of the interval, nor move them further
//! apart than 1.2 intervals. Of a look in a former boot only the wall clock knows; a jump then costs one look, once.
use super::{
    draw::{Draw, millis},
    moment::{Moment, When},
};
use bistable_boot::BootId;
use serde::Serialize;
use std::time::Duration;

/// Least time after a failure.
pub const BACK_OFF_MIN: Duration = Duration::from_secs(30);
/// Longest back-off after failures, unless a server asks for more.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(6 * 3600);
/// Longest time over which overdue looks are spread after a boot.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(3600);
/// Looks are not spread over the first minute: a boot has other things to do, and the clock is being synchronized.
const CATCH_UP_MIN: Duration = Duration::from_secs(60);
/// A point this soon after a look is the one that the look was for: clocks have seconds, and are adjusted by some.
const SAME_POINT: Duration = Duration::from_secs(60);

/// The last time that something was tried: a look at the channel, or a switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastTry {
    /// When it ended.
    pub when: When,
    /// How often it failed in a row, this time included; 0 if it succeeded.
    pub failures: u32,
    /// How long the other side asked to wait, from then on (`Retry-After`).
    pub not_before: Option<Duration>,
}

/// When something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// At that time since the boot; it may have passed.
    pub at: Duration,
    /// Why then.
    pub pace: Pace,
}

/// Why something is due when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "pace", rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Pace {
    /// As the interval has it.
    Interval,
    /// It is overdue, and devices that start together don't do it together.
    AfterBoot,
    /// After failures.
    BackOff {
        /// How many there were in a row.
        failures: u32,
    },
    /// The other side asked to wait this long.
    RetryAfter,
}

/// What makes a device's draws its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed<'a> {
    /// The device's id.
    pub(super) id: &'a str,
    /// The boot's id.
    pub(super) boot: BootId,
}

impl Seed<'_> {
    /// When the next look is due.
    pub(super) fn look(self, interval: Duration, now: &Moment, last: Option<&LastTry>) -> Due {
        let Some((last, age)) = last.and_then(|last| Some((last, last.when.age(now)?))) else {
            return self.after_boot(interval);
        };
        let (gap, pace) = self.gap(interval, now, last, age);
        let Some(at) = now.uptime.saturating_add(gap).checked_sub(age) else {
            return self.after_boot(interval);
        };
        // What this boot already knows of is not spread again.
        if last.when.uptime.is_none() && at < first_minute(interval) {
            return self.after_boot(interval);
        }
        Due { at, pace }
    }

    /// When what failed is due again, if not within `limit`: full jitter.
    pub(super) fn back_off(self, purpose: &str, limit: Duration, failures: u32) -> Duration {
        let doubled =
            2_u32.checked_pow(failures).and_then(|n| BACK_OFF_MIN.checked_mul(n)).unwrap_or(Duration::MAX);
        let parts: [&[u8]; 3] = [self.id.as_bytes(), &self.boot.0, &failures.to_be_bytes()];
        Draw::of(purpose, &parts).between(BACK_OFF_MIN, doubled.min(BACK_OFF_MAX).min(limit))
    }

    /// When what a boot finds overdue is due.
    pub(super) fn after_boot(self, interval: Duration) -> Due {
        let parts: [&[u8]; 2] = [self.id.as_bytes(), &self.boot.0];
        let at = Draw::of("catch-up", &parts).between(first_minute(interval), interval.min(CATCH_UP_MAX));
        Due { at, pace: Pace::AfterBoot }
    }

    // How long after the last look the next is due.
    fn gap(self, interval: Duration, now: &Moment, last: &LastTry, age: Duration) -> (Duration, Pace) {
        let (gap, pace) = match last.failures {
            0 => {
                // On the wall clock as it is set now, or on the boot clock.
                let now_ms = now.wall.map_or(now.uptime, Duration::from_secs);
                let at = i128::from(millis(now_ms)) - i128::from(millis(age));
                let same = SAME_POINT.min(interval / 100) + Duration::from_secs(1);
                let next = self.point_after(interval, at + i128::from(millis(same)));
                let gap = Duration::from_millis(u64::try_from(next - at).unwrap_or(0));
                (gap.max(interval / 10), Pace::Interval)
            }
            failures => (self.back_off("back-off", interval, failures), Pace::BackOff { failures }),
        };
        // A server must not silence a device for years.
        let asked = last.not_before.unwrap_or_default().min(interval.max(BACK_OFF_MAX));
        if asked > gap { (asked, Pace::RetryAfter) } else { (gap, pace) }
    }

    // The grid's first point after a time, in milliseconds.
    fn point_after(self, interval: Duration, after: i128) -> i128 {
        let interval = interval.max(Duration::from_secs(1));
        let step = i128::from(millis(interval));
        let offset = Draw::of("offset", &[self.id.as_bytes()]).between(Duration::ZERO, interval);
        let offset = i128::from(millis(offset));
        let point = |k: i128| {
            let jitter = Draw::of("jitter", &[self.id.as_bytes(), &k.to_be_bytes()]);
            let jitter = i128::from(millis(jitter.between(Duration::ZERO, interval / 5))) - step / 10;
            offset + k * step + jitter
        };
        // Points keep their order, since they move by a tenth at most: this one is not after the time.
        let mut k = (after - offset).div_euclid(step) - 1;
        loop {
            k += 1;
            let next = point(k);
            if next > after {
                return next;
            }
        }
    }
}

fn first_minute(interval: Duration) -> Duration {
    CATCH_UP_MIN.min(interval.min(CATCH_UP_MAX) / 5)
}
