//! What of a plan can't pass on a board, known before any device is asked.
#![allow(clippy::unwrap_used, reason = "tests")]
use bistable_format::health::Profile;
use bistable_format::selftest::{Pin, Plan};
use bistable_format::wiring::{Unfit, last_pin, unfit};

fn level(pin: u8, more: &str) -> String {
    format!("[[test]]\nname = \"t{pin}\"\nkind = \"level\"\npin = {pin}\nexpect = \"low\"\n{more}\n")
}

fn found(plan: &str, profile: &str, boards: &[&str]) -> Vec<Unfit> {
    let boards: Vec<String> = boards.iter().map(|board| (*board).into()).collect();
    unfit(&Plan::parse(plan).unwrap(), &Profile::parse(profile).unwrap(), &boards)
}

#[test]
fn a_pin_that_a_board_does_not_have_is_found() {
    let missing = |board: &str| Unfit::NoSuchPin {
        test: "t54".into(),
        pin: Pin(54),
        board: board.into(),
        last: Pin(53),
    };
    let plan = level(53, "") + &level(54, "");
    assert_eq!(found(&plan, "", &["pi4"]), []);
    assert_eq!(found(&plan, "", &["pi5", "pi4", "pizero2"]), [missing("pi5"), missing("pizero2")]);
    assert_eq!(found(&plan, "", &["own-board"]), [], "nothing is known of it");
    assert_eq!((last_pin("pi4"), last_pin("pi3")), (Pin(57), Pin(53)));
    let loopback = "[[test]]\nname = \"t54\"\nkind = \"loopback\"\nout = 17\nin = 54\n";
    assert_eq!(found(loopback, "", &["pi3"]), [missing("pi3")]);
}

#[test]
fn tests_that_do_not_end_before_the_deadline_are_found() {
    let late = |tests_ms| vec![Unfit::TooLong { tests_ms, settle_s: 10, deadline_s: 60 }];
    let profile = "deadline_s = 60\nsettle_s = 10\n";
    for (timeouts, more, profile, want) in [
        (&[25_000, 25_000][..], "", profile, vec![]),
        (&[25_000, 25_001], "", profile, late(50_001)),
        (&[300_000], "", profile, late(300_000)),
        (&[300_000], "at = \"before\"", profile, vec![]),
        (&[300_000], "at = \"trial\"", profile, late(300_000)),
        (&[300_000], "", "deadline_s = 60\nself_tests = false\n", vec![]),
        (&[110_000], "", "", vec![]),
        (&[110_001], "", "", vec![Unfit::TooLong { tests_ms: 110_001, settle_s: 10, deadline_s: 120 }]),
        (&[], "", "deadline_s = 1\n", vec![]),
    ] {
        let test = |(pin, timeout): (usize, &u32)| {
            level(u8::try_from(pin).unwrap(), &format!("timeout_ms = {timeout}\n{more}"))
        };
        let plan: String = timeouts.iter().enumerate().map(test).collect();
        assert_eq!(found(&plan, profile, &["pi4"]), want, "{timeouts:?} {more} {profile}");
    }
}
