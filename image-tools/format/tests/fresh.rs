//! Which channels are believed, and which not.
#![allow(clippy::unwrap_used, reason = "tests")]
mod common;

use bistable_format::{
    Channel,
    fresh::{AHEAD, Clock, FURTHEST, Floor, Stale, check, now},
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
