//! Whether a self-test plan can pass at all on the boards of a release. What can be known before any device is asked, `build` says.
use crate::{
    health::{Profile, SelfTests},
    selftest::{Pin, Plan},
};
use alloc::{string::String, vec::Vec};

/// Why a plan can't pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A board's chip has no such pin.
    #[error(
        "test \"{test}\": there is no {pin} on board {board}, whose last is {last}: change the plan, or build a release for that board alone"
    )]
    NoSuchPin {
        /// The test.
        test: String,
        /// Its pin.
        pin: Pin,
        /// The board.
        board: String,
        /// The board's last pin.
        last: Pin,
    },
    /// The tests may still run when the health check's time is up.
    #[error(
        "on the trial, the self-tests may take {tests_ms} ms by their timeout_ms, and settle_s is {settle_s}: that doesn't end before \
         deadline_s {deadline_s}; raise deadline_s in the health profile, or give the tests less time"
    )]
    TooLong {
        /// All timeouts together, in milliseconds.
        tests_ms: u64,
        /// The profile's.
        settle_s: u32,
        /// The profile's.
        deadline_s: u32,
    },
}

/// The last GPIO of a board's chip: BCM2711 has 58, BCM2835 to BCM2837 and RP1 have 54. A board that isn't known may have any.
pub fn last_pin(board: &str) -> Pin {
    match board {
        "pi1" | "pi2" | "pi3" | "pi5" | "pizero" | "pizero2" => Pin(53),
        _ => Pin(Pin::MAX),
    }
}

/// All that keeps a plan from passing on these boards, with this profile.
pub fn unfit(plan: &Plan, profile: &Profile, boards: &[String]) -> Vec<Unfit> {
    let mut found = Vec::new();
    for board in boards {
        let last = last_pin(board);
        for test in &plan.tests {
            let missing = test.kind.pins().into_iter().filter(|pin| *pin > last);
            found.extend(missing.map(|pin| Unfit::NoSuchPin {
                test: test.name.clone(),
                pin,
                board: board.clone(),
                last,
            }));
        }
    }
    let tests_ms: u64 = plan.on_trial().tests.iter().map(|test| u64::from(test.timeout_ms)).sum();
    let (settle_s, deadline_s) = (profile.settle_s, profile.deadline_s);
    let late = tests_ms + u64::from(settle_s) * 1000 > u64::from(deadline_s) * 1000;
    if profile.self_tests == SelfTests::Again && tests_ms > 0 && late {
        found.push(Unfit::TooLong { tests_ms, settle_s, deadline_s });
    }
    found
}
