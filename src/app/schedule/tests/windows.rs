//! Windows against tables of daylight saving time, and against all minutes of years.
use super::{
    super::{Openness, Windows, Zone},
    minutes::Year,
};
use crate::{
    config::Window,
    date::{from_rfc3339, rfc3339},
};
use proptest::prelude::*;

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";
const LORD_HOWE: &str = "Australia/Lord_Howe";
const APIA: &str = "Pacific/Apia";

fn shown(zone: &str, windows: &[&str], at: &str) -> String {
    let at = from_rfc3339(at).unwrap();
    let word = |time: Option<u64>| time.map_or("?".into(), rfc3339);
    match Windows::parse(windows).unwrap().at(&Zone::named(zone), at) {
        Openness::Open { until } => format!("open until {}", word(until)),
        Openness::Closed { opens } => format!("opens {}", word(opens)),
    }
}

#[test]
fn windows_over_midnight_and_over_the_end_of_the_week() {
    // 2026-01-02 is a Friday.
    let table: &[(&[&str], &str, &str)] = &[
        (&[], "2026-01-02T00:00:00Z", "open until ?"),
        (&["Fri 22:00-02:00"], "2026-01-02T21:59:59Z", "opens 2026-01-02T22:00:00Z"),
        (&["Fri 22:00-02:00"], "2026-01-02T22:00:00Z", "open until 2026-01-03T02:00:00Z"),
        (&["Fri 22:00-02:00"], "2026-01-03T01:59:59Z", "open until 2026-01-03T02:00:00Z"),
        (&["Fri 22:00-02:00"], "2026-01-03T02:00:00Z", "opens 2026-01-09T22:00:00Z"),
        (&["Fri 22:00-24:00"], "2026-01-03T00:00:00Z", "opens 2026-01-09T22:00:00Z"),
        (&["Sat-Mon 01:00-02:00"], "2026-01-05T01:30:00Z", "open until 2026-01-05T02:00:00Z"),
        (&["Sat-Mon 01:00-02:00"], "2026-01-05T02:00:00Z", "opens 2026-01-10T01:00:00Z"),
        (&["Sun 23:00-01:00"], "2026-01-05T00:30:00Z", "open until 2026-01-05T01:00:00Z"),
        // Windows that overlap or meet are one.
        (&["01:00-03:00", "02:00-05:00"], "2026-01-02T01:00:00Z", "open until 2026-01-02T05:00:00Z"),
        (&["Fri 01:00-24:00", "Sat 00:00-02:00"], "2026-01-02T01:00:00Z", "open until 2026-01-03T02:00:00Z"),
        (&["01:00-05:00", "02:00-03:00"], "2026-01-02T04:00:00Z", "open until 2026-01-02T05:00:00Z"),
        (&["00:00-24:00"], "2026-01-02T01:00:00Z", "open until ?"),
        (&["00:00-12:00", "11:00-00:00"], "2026-01-02T01:00:00Z", "open until ?"),
        // All but a minute of the week.
        (
            &["Mon-Sat 00:00-24:00", "Sun 00:01-24:00"],
            "2026-01-04T00:01:00Z",
            "open until 2026-01-11T00:00:00Z",
        ),
        (&["Mon-Sat 00:00-24:00", "Sun 00:01-24:00"], "2026-01-04T00:00:30Z", "opens 2026-01-04T00:01:00Z"),
    ];
    for (windows, at, expected) in table {
        assert_eq!(shown("UTC", windows, at), *expected, "{windows:?} at {at}");
    }
}

#[test]
fn window_inside_a_gap_opens_at_its_end_and_one_that_occurs_twice_opens_twice() {
    let table: &[(&str, &str, &str, &str)] = &[
        // Berlin, 2026-03-29: 02:00 is 03:00, at 01:00 UTC.
        (BERLIN, "02:15-02:45", "2026-03-29T00:59:59Z", "opens 2026-03-29T01:00:00Z"),
        (BERLIN, "02:15-02:45", "2026-03-29T01:00:00Z", "open until 2026-03-29T01:30:00Z"),
        (BERLIN, "02:15-02:45", "2026-03-29T01:30:00Z", "opens 2026-03-30T00:15:00Z"),
        (BERLIN, "02:00-03:00", "2026-03-29T01:59:59Z", "open until 2026-03-29T02:00:00Z"),
        (BERLIN, "02:30-05:00", "2026-03-29T00:30:00Z", "opens 2026-03-29T01:00:00Z"),
        (BERLIN, "02:30-05:00", "2026-03-29T01:00:00Z", "open until 2026-03-29T03:00:00Z"),
        (BERLIN, "01:00-02:30", "2026-03-29T00:00:00Z", "open until 2026-03-29T01:00:00Z"),
        (BERLIN, "03:00-04:00", "2026-03-29T00:59:00Z", "opens 2026-03-29T01:00:00Z"),
        (BERLIN, "Sat 23:00-02:30", "2026-03-28T22:00:00Z", "open until 2026-03-29T01:00:00Z"),
        (BERLIN, "Mon 02:15-02:45", "2026-03-29T00:59:59Z", "opens 2026-03-30T00:15:00Z"),
        // Berlin, 2026-10-25: 03:00 is 02:00 again, at 01:00 UTC.
        (BERLIN, "02:15-02:45", "2026-10-25T00:00:00Z", "opens 2026-10-25T00:15:00Z"),
        (BERLIN, "02:15-02:45", "2026-10-25T00:15:00Z", "open until 2026-10-25T00:45:00Z"),
        (BERLIN, "02:15-02:45", "2026-10-25T00:45:00Z", "opens 2026-10-25T01:15:00Z"),
        (BERLIN, "02:15-02:45", "2026-10-25T01:15:00Z", "open until 2026-10-25T01:45:00Z"),
        (BERLIN, "02:00-03:00", "2026-10-25T00:00:00Z", "open until 2026-10-25T02:00:00Z"),
        (BERLIN, "01:00-02:30", "2026-10-24T23:00:00Z", "open until 2026-10-25T00:30:00Z"),
        (BERLIN, "01:00-02:30", "2026-10-25T00:30:00Z", "opens 2026-10-25T01:00:00Z"),
        (BERLIN, "02:30-05:00", "2026-10-25T01:00:00Z", "opens 2026-10-25T01:30:00Z"),
        (BERLIN, "03:00-04:00", "2026-10-25T01:00:00Z", "opens 2026-10-25T02:00:00Z"),
        // New York, 2026-03-08 at 07:00 UTC and 2026-11-01 at 06:00 UTC.
        (NEW_YORK, "Sun 02:00-02:01", "2026-03-08T06:00:00Z", "opens 2026-03-08T07:00:00Z"),
        (NEW_YORK, "Sun 02:00-02:01", "2026-03-08T07:00:00Z", "open until 2026-03-08T07:01:00Z"),
        (NEW_YORK, "Sun 01:00-02:00", "2026-11-01T05:00:00Z", "open until 2026-11-01T07:00:00Z"),
        (NEW_YORK, "Sun 01:30-01:40", "2026-11-01T05:40:00Z", "opens 2026-11-01T06:30:00Z"),
        (NEW_YORK, "Sat 23:30-00:30", "2026-11-01T04:00:00Z", "open until 2026-11-01T04:30:00Z"),
        // Lord Howe, half an hour: 2026-10-04 02:00 is 02:30, at 15:30 UTC; 2026-04-05 02:00 is 01:30 again, at 15:00 UTC.
        (LORD_HOWE, "02:05-02:25", "2026-10-03T15:00:00Z", "opens 2026-10-03T15:30:00Z"),
        (LORD_HOWE, "02:05-02:25", "2026-10-03T15:30:00Z", "open until 2026-10-03T15:50:00Z"),
        (LORD_HOWE, "02:15-03:00", "2026-10-03T15:30:00Z", "open until 2026-10-03T16:00:00Z"),
        (LORD_HOWE, "01:40-01:50", "2026-04-04T14:50:00Z", "opens 2026-04-04T15:10:00Z"),
        (LORD_HOWE, "01:40-02:00", "2026-04-04T14:40:00Z", "open until 2026-04-04T15:00:00Z"),
        (LORD_HOWE, "01:30-02:00", "2026-04-04T14:30:00Z", "open until 2026-04-04T15:30:00Z"),
        // Apia had no 30 December 2011, a Friday: from UTC-10 to UTC+14 at 10:00 UTC.
        (APIA, "Fri 08:00-09:00", "2011-12-30T09:59:59Z", "opens 2011-12-30T10:00:00Z"),
        (APIA, "Fri 08:00-09:00", "2011-12-30T10:00:00Z", "open until 2011-12-30T11:00:00Z"),
        (APIA, "Fri 00:00-24:00", "2011-12-30T10:00:00Z", "open until 2011-12-31T10:00:00Z"),
        (APIA, "Thu,Fri 22:00-02:00", "2011-12-30T09:00:00Z", "open until 2011-12-30T12:00:00Z"),
    ];
    for (zone, window, at, expected) in table {
        assert_eq!(shown(zone, &[window], at), *expected, "{window} in {zone} at {at}");
    }
}

#[test]
fn closed_without_an_end_where_no_zone_or_no_calendar_is() {
    let windows = Windows::parse(&["00:00-24:00"]).unwrap();
    let closed = Openness::Closed { opens: None };
    assert_eq!(windows.at(&Zone::named("Europe/Atlantis"), 1_800_000_000), closed);
    for unix in [u64::MAX, i64::MAX as u64, 253_402_300_800] {
        assert_eq!(windows.at(&Zone::named("UTC"), unix), closed, "{unix}");
    }
    assert_eq!(windows.at(&Zone::named("UTC"), 0), Openness::Open { until: None });
    let none = Windows::default();
    assert_eq!(none.at(&Zone::named("Europe/Atlantis"), u64::MAX), Openness::Open { until: None });
    assert_eq!(none.to_string(), "at any time");
    assert_eq!(
        Windows::parse(&["02:00-03:00", "Sun 00:00-24:00"]).unwrap().to_string(),
        "02:00-03:00, Sun 00:00-24:00"
    );
}

/// Follow the windows from change to change, and compare with each minute between.
fn follow(year: &Year, windows: &[Window]) {
    let (zone, open) = (Zone::named(year.zone), year.open(windows));
    let known = Windows::from(windows.to_vec());
    // The ends of a year don't show what is before and after.
    let (mut minute, last) = (3 * 1440, open.len() - 3 * 1440);
    while minute < last {
        let unix = year.first + minute as u64 * 60;
        let (is_open, change) = match known.at(&zone, unix) {
            Openness::Open { until } => (true, until),
            Openness::Closed { opens } => (false, Some(opens.unwrap())),
        };
        let next = change.map_or(minute + 14 * 1440, |at| usize::try_from((at - year.first) / 60).unwrap());
        let place = format!("{known} in {} from {}", year.zone, rfc3339(unix));
        let same = open[minute..next.min(last)].iter().take_while(|o| **o == is_open).count();
        assert_eq!(
            minute + same,
            next.min(last),
            "{place}: {}",
            rfc3339(year.first + (minute + same) as u64 * 60)
        );
        if change.is_some() && next < last {
            assert_ne!(open[next], is_open, "{place}: the next change is later");
        }
        // In the middle and at the last second it is the same.
        for inside in [unix + (next - minute) as u64 * 30, year.first + next as u64 * 60 - 1] {
            if change.is_some() {
                assert_eq!(known.at(&zone, inside), known.at(&zone, unix), "{place}");
            }
        }
        minute = next;
    }
}

#[test]
fn every_minute_of_a_year_is_as_a_local_clock_shows_it() {
    let years = [
        Year::of("UTC", "2026-01-01T00:00:00Z"),
        Year::of(BERLIN, "2026-01-01T00:00:00Z"),
        Year::of(NEW_YORK, "2026-01-01T00:00:00Z"),
        Year::of(LORD_HOWE, "2026-01-01T00:00:00Z"),
        Year::of(APIA, "2011-02-01T00:00:00Z"),
    ];
    let fixed =
        ["02:15-02:45", "Fri 08:00-09:00", "Sun 01:40-01:50", "Sat-Mon 22:00-02:10", "Mon-Sat 00:00-24:00"];
    for year in &years {
        fixed.iter().for_each(|window| follow(year, &[Window::parse(window).unwrap()]));
    }
    let text = (0..7_usize, 0..7_usize, 0..1440_u32, 1..1440_u32).prop_map(|(first, last, from, minutes)| {
        let name = |n: usize| ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][n];
        let to = (from + minutes) % 1440;
        let days = if first == last { name(first).into() } else { format!("{}-{}", name(first), name(last)) };
        format!("{days} {:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    });
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 8, ..ProptestConfig::default() });
    runner
        .run(&(proptest::collection::vec(text, 1..4), 0..years.len()), |(texts, year)| {
            let windows: Vec<Window> = texts.iter().map(|text| Window::parse(text).unwrap()).collect();
            follow(&years[year], &windows);
            Ok(())
        })
        .unwrap();
}
