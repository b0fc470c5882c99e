//! Whether the maintenance windows are open.
//!
//! A window is a time of local days. It is open whenever a local clock shows one of its minutes: a time that occurs twice, when
//! clocks are set back, is open twice. A window of which no minute occurs, because clocks are set forward over all of it,
//! opens when they were, for its length.
use super::zone::{Stretch, Zone};
use crate::config::Window;
use std::fmt;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// How far ahead an end is looked for. A week and a skipped day come before each end there is.
const AHEAD: i64 = 15 * DAY;

/// The windows of a device. Without any, it is always open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

/// Whether windows are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Openness {
    /// They are.
    Open {
        /// The second since 1970 at which they close; `None` if not in the next two weeks.
        until: Option<u64>,
    },
    /// They are not.
    Closed {
        /// The second since 1970 at which they open; `None` if that isn't known: the zone is unknown, or the clock shows a time
        /// that no calendar has.
        opens: Option<u64>,
    },
}

impl Windows {
    /// Read windows, each as [`Window::parse`] does.
    ///
    /// # Errors
    /// Why the first of them that is not a window isn't one; empty if its form is unknown.
    pub fn parse(texts: &[&str]) -> Result<Windows, String> {
        texts.iter().map(|text| Window::parse(text)).collect::<Result<_, _>>().map(Windows)
    }

    /// Whether there are none, so that the device may switch at any time.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether they are open at that second since 1970, and until when.
    pub fn at(&self, zone: &Zone, unix: u64) -> Openness {
        if self.is_empty() {
            return Openness::Open { until: None };
        }
        let closed = Openness::Closed { opens: None };
        let Ok(now) = i64::try_from(unix) else { return closed };
        let (Some(first), Some(last)) = (now.checked_sub(5 * DAY), now.checked_add(AHEAD + 5 * DAY)) else {
            return closed;
        };
        let stretches = zone.stretches(first, last);
        let Some(offset) = stretches.iter().find(|s| now < s.until).map(|s| s.offset) else { return closed };
        let today = (now + offset).div_euclid(DAY);
        // A window of the day before may be open after midnight, and a skipped day moves one on by another day.
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for day in today - 3..=today + AHEAD / DAY + 1 {
            self.open_of_day(day, &stretches, &mut spans);
        }
        spans.sort_unstable();
        let mut run: Option<(i64, i64)> = None;
        for (from, until) in spans {
            run = match run {
                Some((begin, end)) if from <= end => Some((begin, end.max(until))),
                Some((_, end)) if now < end => break,
                _ => Some((from, until)),
            };
        }
        match run {
            Some((begin, end)) if begin <= now && now < end => {
                Openness::Open { until: u64::try_from(end).ok().filter(|_| end - now <= AHEAD) }
            }
            Some((begin, _)) if now < begin => Openness::Closed { opens: u64::try_from(begin).ok() },
            _ => closed,
        }
    }

    // From when until when each window is open that opens on a local day, counted from 1970-01-01.
    fn open_of_day(&self, day: i64, stretches: &[Stretch], spans: &mut Vec<(i64, i64)>) {
        // That day was a Thursday.
        let Ok(weekday) = u8::try_from((day + 3).rem_euclid(7)) else { return };
        for window in self.0.iter().filter(|w| w.opens_on(weekday)) {
            let opens = day * DAY + i64::from(window.from()) * 60;
            let closes = opens + i64::from(window.minutes()) * 60;
            let before = spans.len();
            spans.extend(stretches.iter().filter_map(|s| {
                let from = (opens - s.offset).max(s.from);
                let until = (closes - s.offset).min(s.until);
                (from < until).then_some((from, until))
            }));
            if spans.len() == before {
                let skipped = |pair: &&[Stretch]| match pair {
                    [old, new] => old.until + old.offset <= opens && closes <= new.from + new.offset,
                    _ => false,
                };
                let at = stretches.windows(2).find(skipped).and_then(|pair| pair.last());
                spans.extend(at.map(|new| (new.from, new.from + closes - opens)));
            }
        }
    }
}

impl From<Vec<Window>> for Windows {
    fn from(windows: Vec<Window>) -> Windows {
        Windows(windows)
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("at any time");
        }
        for (i, window) in self.0.iter().enumerate() {
            write!(f, "{}{window}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
