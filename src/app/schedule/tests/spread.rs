//! How evenly 10,000 devices are spread.
use super::super::{
    due::{CATCH_UP_MAX, LastTry, Seed},
    moment::{Moment, When},
};
use bistable_boot::BootId;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const WALL: u64 = 1_767_225_600;
const BINS: usize = 50;
/// χ² with 49 degrees of freedom exceeds this with a probability of 0.001.
const CRITICAL: f64 = 85.35;

/// χ² of times against an even distribution between two ends.
fn chi_squared(times: &[Duration], from: Duration, until: Duration) -> f64 {
    let mut bins = [0_u32; BINS];
    for time in times {
        assert!((from..until).contains(time), "{time:?}");
        let part = (*time - from).as_secs_f64() / (until - from).as_secs_f64();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 49")]
        let bin = (part * BINS as f64) as usize;
        bins[bin] += 1;
    }
    let expected = times.len() as f64 / BINS as f64;
    bins.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum()
}

/// Serial numbers as a factory gives them: one after the other.
fn fleet() -> Vec<String> {
    (0..10_000).map(|n| format!("10000000{n:08x}")).collect()
}

fn rest(time: Duration, of: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis() % of.as_millis()).unwrap())
}

/// The times of the first looks after all devices start together, each as time since the boot.
fn looks(synchronized: bool, last: Option<LastTry>, count: usize) -> Vec<Vec<Duration>> {
    let of = |(n, id): (u64, &String)| {
        let seed = Seed { id, boot: BootId::numbered(n) };
        let wall = |uptime: Duration| synchronized.then(|| WALL + uptime.as_secs());
        let mut uptime = Duration::from_secs(1);
        let mut last = last;
        let mut found = Vec::new();
        for _ in 0..count {
            let now = Moment { uptime, wall: wall(uptime), unverified: None };
            uptime = seed.look(DAY, &now, last.as_ref()).at;
            found.push(uptime);
            let when = When { wall: wall(uptime), uptime: Some(uptime) };
            last = Some(LastTry { when, ..LastTry::default() });
        }
        found
    };
    (0..).zip(&fleet()).map(of).collect()
}

#[test]
fn fleet_that_starts_together_is_spread_over_the_first_hour_and_then_over_the_interval() {
    let days_ago = |days: u64| LastTry {
        when: When { wall: Some(WALL - days * 86_400), uptime: None },
        ..LastTry::default()
    };
    for (name, synchronized, last) in [
        ("no clock, nothing known", false, None),
        ("no clock, a look of a former boot", false, Some(days_ago(3))),
        ("clock, nothing known", true, None),
        ("clock, three days off", true, Some(days_ago(3))),
    ] {
        let looks = looks(synchronized, last, 4);
        let first: Vec<Duration> = looks.iter().map(|l| l[0]).collect();
        let found = chi_squared(&first, Duration::from_secs(60), CATCH_UP_MAX);
        assert!(found < CRITICAL, "{name}, first look: {found:.1}");
        for n in [2, 3] {
            let later: Vec<Duration> = looks.iter().map(|l| rest(l[n], DAY)).collect();
            let found = chi_squared(&later, Duration::ZERO, DAY);
            assert!(found < CRITICAL, "{name}, look {}: {found:.1}", n + 1);
        }
    }
}

#[test]
fn fleet_that_was_off_for_a_minute_keeps_its_points() {
    // All looked at some time of the last day; those whose points passed since are spread over the first hour.
    let mut later = Vec::new();
    for (n, id) in (0..).zip(&fleet()) {
        let seed = Seed { id, boot: BootId::numbered(n) };
        let before = Moment { uptime: DAY, wall: Some(WALL - 60), unverified: None };
        let then =
            When { wall: Some(WALL - 60 - n % 8_000), uptime: Some(DAY - Duration::from_secs(n % 8_000)) };
        let ahead = seed.look(DAY, &before, Some(&LastTry { when: then, ..LastTry::default() }));
        let now = Moment { uptime: Duration::from_secs(1), wall: Some(WALL), unverified: None };
        let last = LastTry { when: When { uptime: None, ..then }, ..LastTry::default() };
        let due = seed.look(DAY, &now, Some(&last));
        if ahead.at > DAY + Duration::from_secs(120) {
            assert_eq!(due.at + DAY, ahead.at + Duration::from_secs(1) - Duration::from_secs(60), "{id}");
        }
        later.push(due.at);
    }
    let soon = later.iter().filter(|at| **at < CATCH_UP_MAX).count();
    assert!(soon < 10_000 / 8, "{soon} look within the first hour");
}

#[test]
fn failing_fleet_comes_back_spread() {
    for failures in [3, 6, 12] {
        let of = |(n, id): (u64, &String)| {
            let seed = Seed { id, boot: BootId::numbered(n) };
            seed.back_off("back-off", DAY, failures)
        };
        let times: Vec<Duration> = (0..).zip(&fleet()).map(of).collect();
        let until = (Duration::from_secs(30) * 2_u32.pow(failures)).min(super::super::BACK_OFF_MAX);
        let found = chi_squared(&times, Duration::from_secs(30), until);
        assert!(found < CRITICAL, "{failures} failures: {found:.1}");
    }
}
