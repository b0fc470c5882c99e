//! When the next look is due: bounds, clocks that jump, boots.
use super::super::{
    due::{BACK_OFF_MAX, BACK_OFF_MIN, CATCH_UP_MAX, Due, LastTry, Pace, Seed},
    moment::{Moment, When},
};
use bistable_boot::BootId;
use proptest::prelude::*;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// 2026-01-01.
const WALL: u64 = 1_767_225_600;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn seed(id: &str) -> Seed<'_> {
    Seed { id, boot: BootId::numbered(7) }
}

fn moment(uptime: Duration, wall: Option<u64>) -> Moment {
    Moment { uptime, wall, unverified: wall }
}

fn looked(uptime: Option<Duration>, wall: Option<u64>) -> LastTry {
    LastTry { when: When { wall, uptime }, ..LastTry::default() }
}

/// Longest time from one look to the next without failures.
fn longest(interval: Duration) -> Duration {
    interval * 6 / 5 + s(62)
}

#[test]
fn overdue_look_waits_for_its_part_of_the_first_hour_of_a_boot() {
    let long_ago = looked(None, Some(WALL - 10 * 86_400));
    let unknown = [None, Some(looked(None, None)), Some(long_ago)];
    for interval in [s(300), s(1800), DAY, 30 * DAY] {
        let floor = s(60).min(interval / 5);
        for (last, id) in unknown.iter().zip(["a", "b", "c"]) {
            if interval == 30 * DAY && last.is_some_and(|l| l.when.wall.is_some()) {
                continue;
            }
            let due = seed(id).look(interval, &moment(s(5), Some(WALL)), last.as_ref());
            assert_eq!(due.pace, Pace::AfterBoot, "{interval:?} {last:?}");
            assert!(floor <= due.at && due.at < CATCH_UP_MAX.min(interval), "{interval:?} {last:?}: {due:?}");
            let later = moment(9 * HOUR, Some(WALL));
            assert_eq!(seed(id).look(interval, &later, last.as_ref()), due, "it stays there");
        }
    }
    let of_boot = |boot| Seed { id: "a", boot: BootId::numbered(boot) }.after_boot(DAY).at;
    assert_ne!(of_boot(1), of_boot(2), "each boot draws again");
}

#[test]
fn look_that_was_ahead_keeps_its_point_over_a_boot() {
    for n in 0..50 {
        let (id, wall) = (format!("device-{n}"), WALL + n * 5_000);
        let before =
            seed(&id).look(DAY, &moment(2 * HOUR, Some(wall)), Some(&looked(Some(2 * HOUR), Some(wall))));
        // 10 s later, after a boot.
        let now = moment(s(3), Some(wall + 10));
        let after = seed(&id).look(DAY, &now, Some(&looked(None, Some(wall))));
        if before.at - 2 * HOUR > s(120) {
            assert_eq!(after, Due { at: before.at + s(3) - s(10) - 2 * HOUR, ..before }, "{id}");
        } else {
            assert!(after.at >= s(60), "not in the first minute");
        }
    }
}

#[test]
fn look_recorded_by_a_clock_ahead_is_made_again_once() {
    let future = looked(None, Some(WALL + 1_000_000));
    let now = moment(2 * HOUR, Some(WALL));
    let due = seed("a").look(DAY, &now, Some(&future));
    assert!(due.pace == Pace::AfterBoot && due.at <= now.uptime, "{due:?}");
    let then = looked(Some(now.uptime), now.wall);
    let due = seed("a").look(DAY, &now, Some(&then));
    assert!(due.pace == Pace::Interval && due.at >= now.uptime + DAY / 10, "{due:?}");
}

#[test]
fn failures_back_off_with_full_jitter() {
    let back_off = |n: u64, failures| {
        let last = LastTry { failures, ..looked(Some(HOUR), None) };
        let due = seed(&format!("device-{n}")).look(DAY, &moment(HOUR, None), Some(&last));
        assert_eq!(due.pace, Pace::BackOff { failures });
        due.at - HOUR
    };
    for (failures, most) in [
        (1, s(60)),
        (2, s(120)),
        (9, s(30 << 9)),
        (10, BACK_OFF_MAX),
        (40, BACK_OFF_MAX),
        (u32::MAX, BACK_OFF_MAX),
    ] {
        let drawn: Vec<Duration> = (0..400).map(|n| back_off(n, failures)).collect();
        assert!(drawn.iter().all(|t| (BACK_OFF_MIN..most).contains(t)), "{failures}");
        // Full jitter uses all of the range.
        let fifth = (most - BACK_OFF_MIN) / 5;
        assert!(
            drawn.iter().any(|t| *t < BACK_OFF_MIN + fifth) && drawn.iter().any(|t| *t > most - fifth),
            "{failures}"
        );
    }
    let last = LastTry { failures: 20, ..looked(Some(HOUR), None) };
    let due = seed("a").look(s(300), &moment(HOUR, None), Some(&last));
    assert!(due.at <= HOUR + s(300), "not longer than the interval: {due:?}");
}

#[test]
fn retry_after_is_a_minimum_up_to_the_interval_or_six_hours() {
    let asked = |interval, failures, not_before: Duration| {
        let last = LastTry { failures, not_before: Some(not_before), ..looked(Some(HOUR), None) };
        let due = seed("a").look(interval, &moment(HOUR, None), Some(&last));
        (due.at - HOUR, due.pace)
    };
    assert_eq!(asked(DAY, 1, s(600)), (s(600), Pace::RetryAfter));
    assert_eq!(asked(DAY, 1, 2 * DAY), (DAY, Pace::RetryAfter));
    assert_eq!(asked(s(300), 1, 2 * DAY), (BACK_OFF_MAX, Pace::RetryAfter));
    assert_eq!(
        asked(DAY, 0, 20 * HOUR).1,
        if asked(DAY, 0, s(1)).0 < 20 * HOUR { Pace::RetryAfter } else { Pace::Interval }
    );
    assert!(matches!(asked(DAY, 3, s(10)), (t, Pace::BackOff { failures: 3 }) if t >= BACK_OFF_MIN));
    // It outlives a boot where the clock tells how long that took.
    let last = LastTry { failures: 1, not_before: Some(4 * HOUR), ..looked(None, Some(WALL)) };
    let due = seed("a").look(DAY, &moment(s(100), Some(WALL + 3_600)), Some(&last));
    assert_eq!(due, Due { at: 3 * HOUR + s(100), pace: Pace::RetryAfter });
}

/// Look whenever it is due, by a wall clock that is `ahead` of the boot clock and has seconds only.
fn gaps(id: &str, interval: Duration, ahead: Option<Duration>, looks: usize) -> Vec<Duration> {
    let mut at = 3 * HOUR + Duration::from_millis(250);
    let wall = |uptime: Duration| ahead.map(|ahead| WALL + (ahead + uptime).as_secs());
    let mut gaps = Vec::new();
    for _ in 0..looks {
        let last = looked(Some(at), wall(at));
        // The daemon asks right after the look, and again when it wakes up.
        let asked = [at, at + Duration::from_millis(900), at + interval / 20]
            .map(|uptime| seed(id).look(interval, &moment(uptime, wall(uptime)), Some(&last)).at);
        gaps.push(asked[2] - at);
        at = asked[2] + Duration::from_millis(u64::from(at.subsec_millis() % 7));
    }
    gaps
}

#[test]
fn one_look_per_point_although_clocks_have_seconds() {
    for interval in [s(300), s(3_601), DAY] {
        for (n, ahead) in
            (0..40).map(|n| (n, Some(Duration::from_millis(n * 37)))).chain([(41, None), (42, None)])
        {
            let gaps = gaps(&format!("device-{n}"), interval, ahead, 40);
            // The first look was at any time, the others at their points.
            assert!(gaps[0] >= interval / 10 && gaps[0] <= longest(interval), "{gaps:?}");
            for gap in &gaps[2..] {
                assert!(
                    *gap >= interval * 4 / 5 - s(2) && *gap <= interval * 6 / 5 + s(2),
                    "{interval:?} {n}: {gaps:?}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn no_jump_of_the_wall_clock_brings_looks_together_or_silences_them(
        id in "[a-z]{1,8}", minutes in 5..43_200_u64, at in 0..10_000_000_u64, since in 0..10_000_000_u64, wall: Option<u64>,
        recorded: Option<u64>,
    ) {
        let (interval, at) = (s(minutes * 60), Duration::from_millis(at));
        let now = moment(at + Duration::from_millis(since), wall);
        let due = seed(&id).look(interval, &now, Some(&looked(Some(at), recorded)));
        prop_assert!(at + interval / 10 <= due.at && due.at <= at + longest(interval), "{due:?}");
    }

    #[test]
    fn no_record_of_a_former_boot_silences_a_device(
        minutes in 5..43_200_u64, uptime in 0..10_000_000_u64, wall: Option<u64>, recorded: Option<u64>, failures in 0..50_u32,
        not_before: Option<u32>,
    ) {
        let interval = s(minutes * 60);
        let last = LastTry { failures, not_before: not_before.map(|t| s(t.into())), ..looked(None, recorded) };
        let due = seed("a").look(interval, &moment(Duration::from_millis(uptime), wall), Some(&last));
        let most = longest(interval).max(BACK_OFF_MAX).max(CATCH_UP_MAX);
        prop_assert!(s(60).min(interval / 5) <= due.at && due.at <= most, "{due:?}");
    }
}
