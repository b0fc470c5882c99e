//! What is done next, state by state and rule by rule.
use super::{
    super::{Act, BACK_OFF_MAX, Inhibitor, Pace, Why, next, next_look},
    *,
};
use crate::config::UpdateSettings;
use bistable_boot::{Failure, MAX_ATTEMPTS, Reason};

/// The reason, and how long from noon.
fn wait(next: Next) -> (Why, Duration) {
    match next {
        Next::Sleep { until, why } => (why, until - noon().uptime),
        Next::Do { act } => panic!("{act:?}"),
    }
}

#[test]
fn each_state_in_each_mode_with_and_without_a_look_that_is_due() {
    let failure = Failure::new(Reason::Health, "");
    let reverting = Saved::Reverting { target: target(), failure, reboots: 0, asked: None };
    let refused = Tries { refused: MAX_ATTEMPTS, ..Tries::default() };
    let here = Standing { booted: Slot::B, ..staged() };
    let trial = Standing { now: Now::Trial { target: target(), attempts: 1 }, booted: Slot::B, ..staged() };
    let boot = ["waits: boot"; 4];
    // By mode: with a look that is due, and right after one.
    #[rustfmt::skip]
    let table = [
        ("idle", device(Saved::Idle), ["Report", "Look", "Look", "Look"], ["waits: check"; 4]),
        ("installing", device(Saved::Installing(target())), ["Resume"; 4], ["Resume"; 4]),
        ("staged", staged(), ["Report", "Look", "Look", "Switch"], ["waits: person", "waits: person", "waits: next_boot", "Switch"]),
        ("armed", device(armed(Tries::default())), ["Report", "Report", "Report", "Switch"], ["waits: next_boot", "waits: next_boot", "waits: next_boot", "Switch"]),
        ("armed, 1 trial", device(armed(Tries::after(1))), ["Report", "Report", "Report", "Switch"], ["waits: person", "waits: next_boot", "waits: next_boot", "Switch"]),
        ("armed, all trials", device(armed(Tries::after(MAX_ATTEMPTS))), boot, boot),
        ("armed, refused for good", device(armed(refused)), ["Report", "Look", "Look", "Look"], ["waits: not_tried"; 4]),
        ("committing", device(Saved::Committing { target: target(), attempts: 1 }), boot, boot),
        ("reverting", device(reverting), boot, boot),
        ("on trial", trial, boot, boot),
        ("the staged slot runs", here, boot, boot),
    ];
    for (name, device, due, rest) in table {
        let nothing_known = Facts {
            last_look: Some(LastTry { when: ago(5 * DAY), ..LastTry::default() }),
            ..Facts::default()
        };
        for (facts, expected) in [(nothing_known, due), (rested(), rest)] {
            let found = MODES.map(|mode| shown(&next(&noon(), &device, &rules(mode, &[]), &facts)));
            assert_eq!(found, expected, "{name}");
            let pending = Facts { trial_pending: true, ..facts };
            let found = MODES.map(|mode| shown(&next(&noon(), &device, &rules(mode, &[]), &pending)));
            assert_eq!(found, boot, "{name}: the boot is undecided");
        }
    }
}

#[test]
fn sleep_ends_later_than_now_and_at_the_next_look_at_the_latest() {
    for mode in MODES {
        let look = wait(next(&noon(), &device(Saved::Idle), &rules(mode, &[]), &rested())).1;
        assert!(look > Duration::ZERO && look <= DAY * 6 / 5);
        let closed = rules(mode, &["Thu 11:00-12:00"]);
        assert_eq!(
            wait(next(&noon(), &staged(), &closed, &rested())).1,
            look,
            "the window opens in six days"
        );
        let due = next_look(&noon(), &staged(), &closed, &rested()).unwrap();
        assert_eq!((due.at - noon().uptime, due.pace), (look, Pace::Interval));
        let nowhere = Rules { follows: false, ..rules(mode, &[]) };
        let (why, time) = wait(next(&noon(), &device(Saved::Idle), &nowhere, &Facts::default()));
        assert_eq!((why, time), (Why::NoSource, DAY), "no channel, no look");
        assert_eq!(next_look(&noon(), &staged(), &nowhere, &Facts::default()), None);
    }
}

#[test]
fn switch_waits_for_a_window_and_a_look_does_not() {
    let auto = rules(Mode::Auto, &["Fri 22:00-02:00", "12:30-12:40"]);
    let opens = from_rfc3339("2026-01-02T12:30:00Z");
    let (why, time) = wait(next(&noon(), &staged(), &auto, &rested()));
    assert_eq!((why, time), (Why::Window { opens }, Duration::from_secs(1800)));
    let open = Moment { uptime: noon().uptime + Duration::from_secs(1800), wall: opens, unverified: None };
    assert_eq!(shown(&next(&open, &staged(), &auto, &rested())), "Switch");
    let overdue =
        Facts { last_look: Some(LastTry { when: ago(2 * DAY), ..LastTry::default() }), ..Facts::default() };
    assert_eq!(shown(&next(&noon(), &staged(), &auto, &overdue)), "Look");
}

#[test]
fn windows_are_closed_without_a_clock_or_a_zone_unless_the_owner_says_so() {
    let open = rules(Mode::Auto, &["00:00-24:00"]);
    let offline = Moment { wall: None, ..noon() };
    let minute = Duration::from_secs(60);
    assert_eq!(wait(next(&offline, &staged(), &open, &rested())), (Why::Clock, minute));
    let by_any = Rules { windows_need_clock: false, ..rules(Mode::Auto, &["Fri 12:00-13:00"]) };
    assert_eq!(shown(&next(&offline, &staged(), &by_any, &rested())), "Switch");
    let morning = Rules { windows_need_clock: false, ..rules(Mode::Auto, &["Fri 11:00-12:00"]) };
    assert_eq!(shown(&next(&offline, &staged(), &morning, &rested())), "waits: window");
    let no_clock = Moment { unverified: None, ..offline };
    assert_eq!(shown(&next(&no_clock, &staged(), &by_any, &rested())), "waits: clock");
    assert_eq!(
        shown(&next(&no_clock, &staged(), &rules(Mode::Auto, &[]), &rested())),
        "Switch",
        "no windows need no clock"
    );

    let elsewhere = Rules { zone: Zone::named("Europe/Atlantis"), ..open };
    let (why, _) = wait(next(&noon(), &staged(), &elsewhere, &rested()));
    assert_eq!(why, Why::Zone { name: "Europe/Atlantis".into() });
    assert!(why.to_string().contains("update.time_zone"), "{why}");
}

#[test]
fn force_after_opens_windows_and_nothing_else() {
    let closed = Rules { force_after: Some(14 * DAY), ..rules(Mode::Auto, &["Thu 11:00-11:01"]) };
    let since = |wall, uptime| Facts { staged: Some(When { wall, uptime }), ..rested() };
    let days = |days: u64| noon().wall.map(|wall| wall - days * 86_400);
    assert_eq!(shown(&next(&noon(), &staged(), &closed, &since(days(13), None))), "waits: window");
    assert_eq!(shown(&next(&noon(), &staged(), &closed, &since(days(14), None))), "Switch");
    // It was before this boot, which is ten days old.
    let ten = Rules { force_after: Some(10 * DAY), ..closed.clone() };
    assert_eq!(shown(&next(&noon(), &staged(), &ten, &since(None, None))), "Switch");
    assert_eq!(shown(&next(&noon(), &staged(), &ten, &rested())), "waits: window", "nothing is known");
    assert_eq!(shown(&next(&noon(), &staged(), &ten, &since(days(40), Some(9 * DAY)))), "waits: window");
    // The wait ends then, not at the window.
    let soon = since(days(14).map(|wall| wall + 3600), None);
    assert_eq!(wait(next(&noon(), &staged(), &closed, &soon)).1, HOUR);
    // Neither clock nor zone is needed.
    let offline = Moment { wall: None, ..noon() };
    assert_eq!(shown(&next(&offline, &staged(), &ten, &since(None, None))), "Switch");
    let facts = Facts { inhibitors: vec![lease("a", HOUR)], ..since(days(400), None) };
    assert_eq!(shown(&next(&noon(), &staged(), &closed, &facts)), "waits: inhibited");
}

fn lease(owner: &str, left: Duration) -> Inhibitor {
    Inhibitor { owner: owner.into(), reason: "a surgery".into(), ends: noon().uptime + left }
}

#[test]
fn inhibitor_holds_a_switch_while_it_lives() {
    let auto = rules(Mode::Auto, &[]);
    let with =
        |leases: Vec<Inhibitor>| next(&noon(), &staged(), &auto, &Facts { inhibitors: leases, ..rested() });
    let (why, time) = wait(with(vec![lease("a", HOUR / 2), lease("b", HOUR), lease("c", Duration::ZERO)]));
    assert_eq!(time, HOUR);
    assert_eq!(why.to_string(), "b inhibits the switch: a surgery");
    assert_eq!(shown(&with(vec![lease("c", Duration::ZERO)])), "Switch", "it ended");
    let armed = next(
        &noon(),
        &device(armed(Tries::after(1))),
        &auto,
        &Facts { inhibitors: vec![lease("a", HOUR)], ..rested() },
    );
    assert_eq!(shown(&armed), "waits: inhibited");
}

#[test]
fn third_rollback_within_an_hour_waits_until_it_is_two_again() {
    let auto = rules(Mode::Auto, &[]);
    let with =
        |now: &Moment, rollbacks: Vec<When>| next(now, &staged(), &auto, &Facts { rollbacks, ..rested() });
    let minutes = |n: u32| ago(Duration::from_secs(60) * n);
    let (why, time) = wait(with(&noon(), vec![minutes(50), minutes(10), minutes(30)]));
    assert_eq!((why, time), (Why::Rollbacks { count: 3, most: 3 }, HOUR / 6));
    let (why, time) =
        wait(with(&noon(), vec![minutes(50), minutes(10), minutes(30), minutes(40), minutes(90)]));
    assert_eq!((why, time), (Why::Rollbacks { count: 4, most: 3 }, HOUR / 3), "the two youngest may stay");
    assert_eq!(shown(&with(&noon(), vec![minutes(60), minutes(10), minutes(30)])), "Switch");
    // Of former boots, as far as the clock knows; one in the future is of another clock, and may have been a moment ago.
    let young = Moment { uptime: HOUR / 60, ..noon() };
    let wall = |ago: u64| When { wall: young.wall.map(|wall| wall - ago), uptime: None };
    assert_eq!(shown(&with(&young, vec![wall(600), wall(700), wall(800)])), "waits: rollbacks");
    let ahead = When { wall: young.wall.map(|wall| wall + 600), uptime: None };
    assert_eq!(shown(&with(&young, vec![wall(600), wall(700), ahead])), "waits: rollbacks");
    assert_eq!(shown(&with(&young, vec![wall(600), wall(7000), ahead])), "Switch");
    // Without a clock all of them may have been right before this boot: for an hour.
    let offline = Moment { wall: None, ..young };
    let undated = || vec![wall(600), wall(700), When::default()];
    assert_eq!(shown(&with(&offline, undated())), "waits: rollbacks");
    assert_eq!(shown(&with(&Moment { uptime: HOUR, ..offline }, undated())), "Switch");
}

#[test]
fn sixth_trial_within_a_day_waits_until_it_is_five_again() {
    let with =
        |trials: Vec<When>| next(&noon(), &staged(), &rules(Mode::Auto, &[]), &Facts { trials, ..rested() });
    let hours = |hours: &[u32]| hours.iter().map(|n| ago(HOUR * *n)).collect::<Vec<_>>();
    assert_eq!(shown(&with(hours(&[1, 2, 3, 4, 5, 24]))), "Switch");
    let six = hours(&[1, 2, 3, 4, 5, 23]);
    assert_eq!(wait(with(six.clone())), (Why::Trials { count: 6 }, HOUR));
    let undated = vec![When::default(); 6];
    assert_eq!(shown(&with(undated)), "Switch", "no clock knows");
    let facts = Facts { trials: six, ..rested() };
    let armed = next(&noon(), &device(armed(Tries::after(1))), &rules(Mode::Auto, &[]), &facts);
    assert_eq!(shown(&armed), "waits: trials");
}

#[test]
fn release_that_mends_a_hole_waits_less_for_a_window() {
    let urgent = Rules {
        force_after: Some(14 * DAY),
        security_force_after: Some(DAY),
        ..rules(Mode::Auto, &["Thu 11:00-11:01"])
    };
    let with = |rules: &Rules, is_urgent, days: u32| {
        let facts = Facts { staged: Some(ago(DAY * days)), is_urgent, ..rested() };
        shown(&next(&noon(), &staged(), rules, &facts))
    };
    assert_eq!(with(&urgent, true, 1), "Switch");
    assert_eq!(with(&urgent, false, 1), "waits: window");
    let later = Rules { force_after: Some(HOUR), ..urgent.clone() };
    assert_eq!(with(&later, true, 0), "waits: window");
    assert_eq!(with(&later, false, 1), "Switch", "the shorter of the two counts");
    let alone = Rules { force_after: None, ..urgent };
    assert_eq!(
        (with(&alone, true, 1).as_str(), with(&alone, false, 9).as_str()),
        ("Switch", "waits: window")
    );
}

#[test]
fn what_comes_next_is_announced_with_its_time() {
    let announce = |device: &Standing, rules: &Rules, facts: &Facts| match next(&noon(), device, rules, facts)
    {
        Next::Sleep { until, why } => super::super::announced(&noon(), device, rules, facts, until, &why),
        Next::Do { act } => panic!("{act:?}"),
    };
    let closed = rules(Mode::Auto, &["Fri 12:01-12:02"]);
    let leased = Facts { inhibitors: vec![lease("a", HOUR / 60)], ..rested() };
    let failed = Facts {
        last_look: Some(LastTry { when: ago(Duration::ZERO), failures: 3, not_before: None }),
        ..Facts::default()
    };
    let nowhere = Rules { follows: false, ..rules(Mode::Stage, &[]) };
    for (device, rules, facts, next) in [
        (device(Saved::Idle), &closed, &rested(), Some("check")),
        (device(Saved::Installing(target())), &closed, &failed, Some("install")),
        (staged(), &closed, &rested(), Some("arm")),
        (device(armed(Tries::default())), &closed, &leased, Some("reboot")),
        (staged(), &rules(Mode::Auto, &["Thu 11:00-11:01"]), &rested(), Some("check")),
        (staged(), &rules(Mode::Stage, &[]), &rested(), Some("check")),
        (staged(), &nowhere, &rested(), None),
        (Standing { booted: Slot::B, ..staged() }, &closed, &rested(), None),
    ] {
        assert_eq!(announce(&device, rules, facts), next, "{:?}", device.now);
    }
}

#[test]
fn switch_that_was_refused_is_tried_again_within_a_quarter_of_an_hour() {
    let auto = rules(Mode::Auto, &[]);
    let refused = |age, failures, not_before| {
        let last = LastTry { when: ago(age), failures, not_before };
        next(&noon(), &staged(), &auto, &Facts { switch_refused: Some(last), ..rested() })
    };
    assert_eq!(shown(&refused(Duration::from_secs(29), 1, None)), "waits: switch_refused");
    assert_eq!(shown(&refused(Duration::from_secs(60), 1, None)), "Switch");
    assert_eq!(shown(&refused(Duration::from_secs(900), 40, None)), "Switch");
    assert_eq!(wait(refused(Duration::ZERO, 1, Some(HOUR))).1, HOUR, "as the server asked");
    assert_eq!(shown(&refused(BACK_OFF_MAX, 1, Some(400 * DAY))), "Switch", "but not for a year");
    assert_eq!(shown(&refused(Duration::ZERO, 0, None)), "Switch", "it was not refused");
}

#[test]
fn half_written_slot_resumes_at_once_after_a_boot_spread_and_after_failures_later() {
    let device = device(Saved::Installing(target()));
    let stage = rules(Mode::Stage, &[]);
    let facts = |last| Facts { last_look: last, ..Facts::default() };
    let boot = Moment { uptime: Duration::from_secs(10), wall: None, unverified: None };
    assert_eq!(shown(&next(&boot, &device, &stage, &facts(None))), "waits: install");
    let former = LastTry { when: When { wall: Some(1), uptime: None }, ..LastTry::default() };
    assert_eq!(shown(&next(&boot, &device, &stage, &facts(Some(former)))), "waits: install");
    assert_eq!(shown(&next(&Moment { uptime: HOUR, ..boot }, &device, &stage, &facts(None))), "Resume");
    let failed = LastTry { when: ago(Duration::from_secs(29)), failures: 3, not_before: None };
    assert_eq!(shown(&next(&noon(), &device, &stage, &facts(Some(failed)))), "waits: install");
    let failed = LastTry { when: ago(Duration::from_secs(241)), ..failed };
    assert_eq!(shown(&next(&noon(), &device, &stage, &facts(Some(failed)))), "Resume");
}

#[test]
fn rules_are_those_of_the_settings() {
    let update = UpdateSettings {
        mode: Mode::Auto,
        check_interval: HOUR,
        windows: vec![crate::config::Window::parse("02:00-03:00").unwrap()],
        time_zone: "Asia/Tokyo".into(),
        windows_need_clock: false,
        force_after: Some(DAY),
        security_force_after: Some(HOUR),
        ..crate::config::Settings::default().update
    };
    let expected = Rules {
        mode: Mode::Auto,
        follows: true,
        interval: HOUR,
        windows: Windows::parse(&["02:00-03:00"]).unwrap(),
        zone: Zone::named("Asia/Tokyo"),
        windows_need_clock: false,
        max_rollbacks: 3,
        force_after: Some(DAY),
        security_force_after: Some(HOUR),
    };
    assert_eq!(Rules::of(&update, true), expected);
}

#[test]
fn answer_is_data() {
    let sleep = Next::Sleep {
        until: HOUR - Duration::from_millis(1),
        why: Why::Check(Pace::BackOff { failures: 3 }),
    };
    let text = serde_json::to_string(&sleep).unwrap();
    assert_eq!(
        text,
        r#"{"next":"sleep","until_uptime_s":3600,"why":{"code":"check","pace":"back_off","failures":3}}"#
    );
    assert_eq!(
        serde_json::to_string(&Next::Do { act: Act::Resume }).unwrap(),
        r#"{"next":"do","act":"resume"}"#
    );
    let (why, _) = wait(next(&noon(), &staged(), &rules(Mode::Stage, &[]), &rested()));
    assert_eq!(serde_json::to_string(&why).unwrap(), r#"{"code":"person","what":{"staged":"stage"}}"#);
    assert_eq!(why.to_string(), "staged; waits for `bistable arm`, since update.mode is \"stage\"");
}
