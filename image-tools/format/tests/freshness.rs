//! Which channels are believed, and which not.
#![allow(clippy::unwrap_used, reason = "tests")]
mod common;

use bistable_format::{
    Channel,
    freshness::{AHEAD, AHEAD_WITHOUT_CLOCK, Clock, FURTHEST, Floor, Stale, check, now},
};
use common::channel;

const ISSUED: u64 = 1_700_000_100;
const EXPIRES: u64 = ISSUED + 7 * 86_400;

fn ask(channel: &Channel, file: u64, floor: Floor, clock: Clock) -> Result<u64, Stale> {
    check(channel, "production", file, floor, clock)
}

#[test]
fn what_is_believed_and_what_time_it_is_then() {
    let c = channel();
    let floor = |sequence, issued_at| Floor { sequence, issued_at };
    #[rustfmt::skip]
    let table = [
        ("new device without a clock", floor(0, 0), Clock::Free, ISSUED),
        ("new device with a clock", floor(0, 0), Clock::Synchronized(ISSUED + 5), ISSUED + 5),
        ("the same again", floor(42, ISSUED), Clock::Free, ISSUED),
        ("a newer one was seen elsewhere", floor(41, ISSUED + 60), Clock::Free, ISSUED + 60),
        ("the clock went back", floor(41, ISSUED + 60), Clock::Synchronized(17), ISSUED + 60),
        ("the last second", floor(41, 0), Clock::Synchronized(EXPIRES - 1), EXPIRES - 1),
        ("the clock is a bit behind", floor(41, 0), Clock::Synchronized(ISSUED - AHEAD), ISSUED),
        ("a jump as far as allowed", floor(0, 0), Clock::Free, ISSUED),
    ];
    for (name, floor, clock, want) in table {
        assert_eq!(ask(&c, 42, floor, clock), Ok(want), "{name}");
    }
}

#[test]
fn what_is_not_believed() {
    let c = channel();
    let floor = |sequence, issued_at| Floor { sequence, issued_at };
    let far = Channel { sequence: 41 + FURTHEST + 1, ..channel() };
    let name = || "production".to_owned();
    #[rustfmt::skip]
    let table = [
        ("replayed", ask(&c, 42, floor(43, 0), Clock::Free), Stale::Older { name: name(), found: 42, floor: 43 }),
        ("renamed", ask(&c, 43, floor(0, 0), Clock::Free), Stale::OtherNumber { file: 43, content: 42 }),
        ("fast-forward", ask(&far, far.sequence, floor(41, 0), Clock::Free),
            Stale::TooFar { name: name(), found: far.sequence, floor: 41 }),
        ("expired by the clock", ask(&c, 42, floor(0, 0), Clock::Synchronized(EXPIRES)),
            Stale::Expired { name: name(), found: 42, expires_at: EXPIRES, now: EXPIRES }),
        ("expired by what was seen", ask(&c, 42, floor(0, EXPIRES + 7200), Clock::Free),
            Stale::Expired { name: name(), found: 42, expires_at: EXPIRES, now: EXPIRES + 7200 }),
        ("expired, and the clock went back", ask(&c, 42, floor(0, EXPIRES), Clock::Synchronized(1)),
            Stale::Expired { name: name(), found: 42, expires_at: EXPIRES, now: EXPIRES }),
        ("from the future", ask(&c, 42, floor(0, 0), Clock::Synchronized(ISSUED - AHEAD - 1)),
            Stale::Future { name: name(), found: 42, issued_at: ISSUED, now: ISSUED - AHEAD - 1 }),
        ("staging", check(&c, "staging", 42, floor(0, 0), Clock::Free),
            Stale::OtherChannel { found: name(), wanted: "staging".into() }),
    ];
    for (name, found, want) in table {
        assert_eq!(found, Err(want), "{name}");
    }
    let text = ask(&c, 42, floor(0, EXPIRES + 7200), Clock::Free).unwrap_err().to_string();
    assert!(text.contains("expired 2 h ago"), "{text}");
}

#[test]
fn time_never_goes_back() {
    assert_eq!(now(Clock::Free, 7), 7);
    assert_eq!(now(Clock::Synchronized(5), 7), 7);
    assert_eq!(now(Clock::Synchronized(9), 7), 9);
}

#[test]
fn a_number_may_be_ten_thousand_ahead_and_no_more() {
    assert_eq!(FURTHEST, 10_000);
    for (floor, sequence, believed) in [
        (0, 10_000, true),
        (0, 10_001, false),
        (41, 10_041, true),
        (41, 10_042, false),
        (41, u64::MAX, false),
    ] {
        let c = Channel { sequence, ..channel() };
        let found = ask(&c, sequence, Floor { sequence: floor, issued_at: 0 }, Clock::Free);
        let too_far = Stale::TooFar { name: "production".into(), found: sequence, floor };
        assert_eq!(found, if believed { Ok(ISSUED) } else { Err(too_far) }, "{floor} {sequence}");
    }
}

#[test]
fn without_a_clock_a_channel_may_be_issued_twenty_years_after_the_lower_bound() {
    assert_eq!(AHEAD_WITHOUT_CLOCK, 20 * 365 * 86_400);
    let last = ISSUED + AHEAD_WITHOUT_CLOCK;
    for (bound, issued_at, believed) in [
        (ISSUED, last, true),
        (ISSUED, last + 1, false),
        (ISSUED, u64::MAX, false),
        (1, AHEAD_WITHOUT_CLOCK + 1, true),
        (1, AHEAD_WITHOUT_CLOCK + 2, false),
        // Nothing at all is known of the time: any may be right.
        (0, last + 1, true),
        (0, u64::MAX - 7 * 86_400, true),
    ] {
        let c = Channel { issued_at, ..channel() };
        let found = ask(&c, 42, Floor { sequence: 0, issued_at: bound }, Clock::Free);
        let future = Stale::Future { name: "production".into(), found: 42, issued_at, now: bound };
        assert_eq!(found, if believed { Ok(issued_at) } else { Err(future) }, "{bound} {issued_at}");
    }
    // A channel that never ends can't be: it has expired at the end of all days.
    let c = Channel { issued_at: u64::MAX, ..channel() };
    let found = ask(&c, 42, Floor::default(), Clock::Free);
    assert!(matches!(found, Err(Stale::Expired { now: u64::MAX, .. })), "{found:?}");
}

#[test]
fn a_synchronized_clock_leaves_a_day_for_clocks_that_differ() {
    assert_eq!(AHEAD, 86_400);
    for (clock, bound, believed) in [
        (ISSUED - AHEAD, 0, true),
        (ISSUED - AHEAD - 1, 0, false),
        // A clock that is behind what was seen counts as what was seen.
        (0, ISSUED - AHEAD, true),
        (0, ISSUED - AHEAD - 1, false),
    ] {
        let found = ask(&channel(), 42, Floor { sequence: 0, issued_at: bound }, Clock::Synchronized(clock));
        assert_eq!(found.is_ok(), believed, "{clock} {bound}");
    }
}

#[test]
fn the_lifetime_is_the_channels_own() {
    for lifetime in [1, 60, 7 * 86_400, 400 * 86_400] {
        let c = Channel { lifetime, ..channel() };
        let last = Clock::Synchronized(ISSUED + lifetime - 1);
        assert_eq!(ask(&c, 42, Floor::default(), last), Ok(ISSUED + lifetime - 1));
        let over = ask(&c, 42, Floor::default(), Clock::Synchronized(ISSUED + lifetime));
        let expires_at = ISSUED + lifetime;
        assert_eq!(
            over,
            Err(Stale::Expired { name: "production".into(), found: 42, expires_at, now: expires_at })
        );
    }
}
