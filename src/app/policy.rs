//! What a device does without being asked: a pure function of its state and its mode (`update.mode`).
//!
//! What a person asks for (`update`, `arm`, `reboot`, `commit`, `revert`) is never refused here: those verbs don't ask. A
//! decision of a boot that was made before, a verdict, a commit or a revert, never waits.
use crate::config::Mode;
use bistable_boot::{MAX_ATTEMPTS, Now, Saved, Slot};
use serde::Serialize;
use std::fmt;

/// Whether the next act of an update may follow by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It may.
    Go,
    /// It waits for a person.
    Wait(Why),
}

/// What waits for a person, and in which mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Why {
    /// A staged release waits to be armed.
    Staged(Mode),
    /// A release whose trials ended without a verdict waits for the next one.
    Attempt {
        /// How many trials ended.
        ended: u8,
        /// The mode.
        mode: Mode,
    },
}

/// Whether what the state asks for may be done without being asked.
pub fn next(now: &Now, booted: Slot, mode: Mode) -> Next {
    match now {
        // A firmware that lost the boot flag may have booted the staged slot. Resting there untested is worse than a trial,
        // which is bounded and ends in a commit or on the old slot.
        Now::Saved(Saved::Staged(target)) if target.slot == booted => Next::Go,
        Now::Saved(Saved::Staged(_)) => match mode {
            // In mode `auto` the daemon switches, which knows the windows and what inhibits.
            Mode::Check | Mode::Stage | Mode::Auto => Next::Wait(Why::Staged(mode)),
            Mode::Reboot => Next::Go,
        },
        // Arming asked for the trial, and one power cut must not need them again; unless the device is to do nothing by
        // itself. After the last trial only the way back follows, and that never waits.
        Now::Saved(Saved::Armed { tries, .. })
            if tries.attempts > 0 && !tries.are_used_up() && !tries.are_refused() =>
        {
            match mode {
                Mode::Check => Next::Wait(Why::Attempt { ended: tries.attempts, mode }),
                Mode::Stage | Mode::Reboot | Mode::Auto => Next::Go,
            }
        }
        Now::Saved(
            Saved::Idle
            | Saved::Installing(_)
            | Saved::Armed { .. }
            | Saved::Committing { .. }
            | Saved::Reverting { .. },
        )
        | Now::Trial { .. } => Next::Go,
    }
}

/// Why the update waits for a person, in words; `None` if it doesn't.
pub fn waits(now: &Now, booted: Slot, mode: Mode) -> Option<String> {
    match next(now, booted, mode) {
        Next::Go => None,
        Next::Wait(why) => Some(why.to_string()),
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Staged(Mode::Auto) => {
                write!(
                    f,
                    "staged; waits for the daemon to switch as update.windows allow, or for `bistable arm`"
                )
            }
            Why::Staged(mode) => {
                write!(f, "staged; waits for `bistable arm`, since update.mode is \"{mode}\"")
            }
            Why::Attempt { ended, mode } => write!(
                f,
                "trial {ended} of {MAX_ATTEMPTS} ended without a verdict; the next one waits for `bistable reboot`, since \
                 update.mode is \"{mode}\""
            ),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use bistable_boot::{Failure, Reason, ReleaseId, Slot, Target, Tries};

    pub(in crate::app) const MODES: [Mode; 4] = [Mode::Check, Mode::Stage, Mode::Reboot, Mode::Auto];

    pub(in crate::app) fn target() -> Target {
        Target {
            slot: Slot::B,
            release: ReleaseId([1; 32]),
            version: semver::Version::new(1, 1, 0),
            security_version: 0,
            durable: 1,
        }
    }

    fn armed(tries: Tries) -> Now {
        Now::Saved(Saved::Armed { target: target(), tries })
    }

    #[test]
    fn each_mode_in_each_state() {
        let failure = Failure::new(Reason::Health, "");
        let reverting = Saved::Reverting { target: target(), failure, reboots: 0, asked: None };
        let refused = |attempts| Tries { refused: MAX_ATTEMPTS, ..Tries::after(attempts) };
        // Whether it waits in check, stage, reboot, auto.
        let table = [
            ("idle", Now::Saved(Saved::Idle), [false; 4]),
            ("installing", Now::Saved(Saved::Installing(target())), [false; 4]),
            ("staged", Now::Saved(Saved::Staged(target())), [true, true, false, true]),
            ("armed", armed(Tries::default()), [false; 4]),
            ("armed, refused once", armed(Tries { refused: 1, ..Tries::default() }), [false; 4]),
            ("armed, 1 trial", armed(Tries::after(1)), [true, false, false, false]),
            ("armed, 2 trials", armed(Tries::after(2)), [true, false, false, false]),
            ("armed, all trials", armed(Tries::after(MAX_ATTEMPTS)), [false; 4]),
            ("armed, refused for good", armed(refused(0)), [false; 4]),
            ("armed, 1 trial, refused for good", armed(refused(1)), [false; 4]),
            ("on trial", Now::Trial { target: target(), attempts: 2 }, [false; 4]),
            ("committing", Now::Saved(Saved::Committing { target: target(), attempts: 1 }), [false; 4]),
            ("reverting", Now::Saved(reverting), [false; 4]),
        ];
        for (name, now, expected) in table {
            let found = MODES.map(|mode| next(&now, Slot::A, mode) != Next::Go);
            assert_eq!(found, expected, "{name}");
            assert_eq!(MODES.map(|mode| waits(&now, Slot::A, mode).is_some()), expected, "{name}");
        }
        let staged = Now::Saved(Saved::Staged(target()));
        assert!(MODES.map(|mode| next(&staged, Slot::B, mode)) == [Next::Go; 4], "its own slot runs");
    }

    #[test]
    fn reason_names_the_verb_and_the_setting() {
        let staged = Now::Saved(Saved::Staged(target()));
        assert_eq!(
            waits(&staged, Slot::A, Mode::Stage).unwrap(),
            "staged; waits for `bistable arm`, since update.mode is \"stage\""
        );
        assert_eq!(
            waits(&armed(Tries::after(2)), Slot::A, Mode::Check).unwrap(),
            "trial 2 of 3 ended without a verdict; the next one waits for `bistable reboot`, since update.mode is \"check\""
        );
    }
}
