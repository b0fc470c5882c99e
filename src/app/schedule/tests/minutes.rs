//! Windows by brute force: what a local clock shows in each minute of a year.
use crate::{config::Window, date::from_rfc3339};
use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

/// Each minute of a year, as a local clock shows it: the day of the week and the minute of the day.
pub(super) struct Year {
    /// Its time zone.
    pub(super) zone: &'static str,
    /// Its first second.
    pub(super) first: u64,
    minutes: Vec<(u8, u16)>,
}

impl Year {
    pub(super) fn of(zone: &'static str, first: &str) -> Year {
        let (rules, first) = (TimeZone::get(zone).unwrap(), from_rfc3339(first).unwrap());
        let minutes = (0..366 * 1440_u64).map(|minute| {
            let local =
                rules.to_datetime(Timestamp::from_second((first + minute * 60).cast_signed()).unwrap());
            let day = local.weekday().to_monday_zero_offset().cast_unsigned();
            (day, u16::from(local.hour().cast_unsigned()) * 60 + u16::from(local.minute().cast_unsigned()))
        });
        Year { zone, first, minutes: minutes.collect() }
    }

    /// Which minutes are open: those that a local clock shows, and the length of each window that is skipped.
    pub(super) fn open(&self, windows: &[Window]) -> Vec<bool> {
        let shows = |&(day, minute): &(u8, u16)| {
            windows.iter().any(|w| {
                let (from, until) = (w.from(), w.from() + w.minutes());
                let yesterday = (day + 6) % 7;
                w.opens_on(day) && (from..until).contains(&minute)
                    || w.opens_on(yesterday) && (from..until).contains(&(minute + 1440))
            })
        };
        let mut open: Vec<bool> = self.minutes.iter().map(shows).collect();
        let rules = TimeZone::get(self.zone).unwrap();
        let gap = |local: DateTime| {
            matches!(rules.to_ambiguous_timestamp(local).offset(), AmbiguousOffset::Gap { .. })
        };
        let mut date = rules.to_datetime(Timestamp::from_second(self.first.cast_signed()).unwrap()).date();
        for _ in 0..364 {
            date = date.tomorrow().unwrap();
            let today = |w: &&Window| w.opens_on(date.weekday().to_monday_zero_offset().cast_unsigned());
            for window in windows.iter().filter(today) {
                let minute = |n: u16| {
                    date.at(0, 0, 0, 0) + jiff::SignedDuration::from_mins((window.from() + n).into())
                };
                if !(gap(minute(0)) && (0..window.minutes()).all(|n| gap(minute(n)))) {
                    continue;
                }
                let exists = (0..).map(minute).find(|local| !gap(*local)).unwrap();
                let at =
                    rules.to_ambiguous_timestamp(exists).unambiguous().unwrap().as_second().cast_unsigned();
                let at = usize::try_from((at - self.first) / 60).unwrap();
                open[at..at + usize::from(window.minutes())].fill(true);
            }
        }
        open
    }
}
