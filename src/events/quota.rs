//! How much a source may report: so much at once, and then so much an hour. What is over it is counted and left out.
use super::Class;
use std::collections::BTreeMap;

/// What one source may report in one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Events at once.
    pub burst: u32,
    /// Events an hour after that.
    pub hourly: u32,
}

impl Allowance {
    /// Of a class. An audit event has some 500 bytes: at 24 a day, one source that floods needs a year for the class's 4 MB.
    pub const fn of(class: Class) -> Allowance {
        match class {
            Class::Operational => Allowance { burst: 1000, hourly: 120 },
            Class::Audit => Allowance { burst: 100, hourly: 1 },
        }
    }
}

/// A second's worth is counted in fractions: 3,600 of them are one event.
const EVENT: u64 = 3600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    left: u64,
    at: u64,
    /// Left out since the last time that anything was let through.
    over: u64,
}

/// What all sources have left. Time is the wall clock's, in seconds: one that is set back refills nothing.
#[derive(Clone, Debug, Default)]
pub struct Quota(BTreeMap<(Class, String), Bucket>);

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It is written. This many of its source were left out before it.
    Passed {
        /// Left out since the last one that passed.
        over: u64,
    },
    /// It is left out.
    LeftOut {
        /// Whether it is the first: that is reported.
        first: bool,
    },
}

impl Quota {
    /// One more event of a source.
    pub fn take(&mut self, class: Class, source: &str, now: u64) -> Passage {
        let Allowance { burst, hourly } = Allowance::of(class);
        let full = u64::from(burst) * EVENT;
        let bucket =
            self.0.entry((class, source.to_owned())).or_insert(Bucket { left: full, at: now, over: 0 });
        let gained = now.saturating_sub(bucket.at).saturating_mul(hourly.into());
        bucket.left = bucket.left.saturating_add(gained).min(full);
        bucket.at = now;
        match bucket.left.checked_sub(EVENT) {
            Some(left) => {
                bucket.left = left;
                Passage::Passed { over: std::mem::take(&mut bucket.over) }
            }
            None => {
                bucket.over = bucket.over.saturating_add(1);
                Passage::LeftOut { first: bucket.over == 1 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted_and_other_sources_are_not() {
        let mut quota = Quota::default();
        let passed = |p: &Passage| matches!(p, Passage::Passed { .. });
        let flood: Vec<_> = (0..1000).map(|_| quota.take(Class::Audit, "web", 1_000)).collect();
        assert_eq!(flood.iter().filter(|p| passed(p)).count(), 100);
        assert_eq!(flood.iter().filter(|p| **p == Passage::LeftOut { first: true }).count(), 1);
        assert_eq!(quota.take(Class::Audit, "cli", 1_000), Passage::Passed { over: 0 });
        assert_eq!(quota.take(Class::Operational, "web", 1_000), Passage::Passed { over: 0 });
        // An hour later there is room for one more, and it says how many there were.
        assert_eq!(quota.take(Class::Audit, "web", 4_600), Passage::Passed { over: 900 });
        assert_eq!(quota.take(Class::Audit, "web", 4_600), Passage::LeftOut { first: true });
        // A clock that is set back refills nothing.
        assert_eq!(quota.take(Class::Audit, "web", 0), Passage::LeftOut { first: false });
    }

    #[test]
    fn a_year_of_flood_by_one_source_does_not_fill_the_audit() {
        let Allowance { burst, hourly } = Allowance::of(Class::Audit);
        let events = u64::from(burst) + u64::from(hourly) * 24 * 366;
        assert!(events * 450 < super::super::Limits::of(Class::Audit).bytes, "{events}");
    }
}
