//! Why the device waits, for programs and in words.
use super::due::Pace;
use crate::{app::policy, config::Mode, date::utc_minute};
use serde::Serialize;
use std::fmt;

/// Why nothing is done now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Why {
    /// The next look at the channel is due later.
    Check(Pace),
    /// A half-written slot is written again later.
    Install(Pace),
    /// There is no channel to look at.
    NoSource,
    /// It waits for a person.
    Person {
        /// What does.
        what: policy::Why,
    },
    /// The next boot tries the release.
    NextBoot,
    /// The boot's own service decides, or resumes what a boot interrupted.
    Boot {
        /// The update's state.
        state: &'static str,
    },
    /// The boot loader refused the trial for good.
    NotTried {
        /// How often it did.
        refused: u8,
    },
    /// An inhibitor holds the switch back.
    Inhibited {
        /// Who has it.
        owner: String,
        /// What for.
        reason: String,
    },
    /// Too many updates were rolled back.
    Rollbacks {
        /// How many, within an hour.
        count: usize,
        /// How many end what the device does by itself.
        most: usize,
    },
    /// Too many trials began.
    Trials {
        /// How many, within a day.
        count: usize,
    },
    /// The switch was refused.
    SwitchRefused {
        /// How often in a row.
        failures: u32,
    },
    /// A version of a component waits for a person.
    ComponentStaged {
        /// The component.
        component: String,
        /// Its mode.
        mode: Mode,
    },
    /// Too many updates of a component were rolled back.
    ComponentHalted {
        /// The component.
        component: String,
    },
    /// A version of a component is tried after the next boot.
    ComponentNextBoot {
        /// The component.
        component: String,
    },
    /// The update of a component waits.
    Component {
        /// The component.
        component: String,
        /// What for.
        why: Box<Why>,
    },
    /// The windows are closed.
    Window {
        /// The second since 1970 at which they open, if known.
        opens: Option<u64>,
    },
    /// The windows are closed because the clock isn't synchronized.
    Clock,
    /// The windows are closed because the device doesn't have their zone.
    Zone {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Check(pace) => paced(f, "the next check of the channel", *pace),
            Why::Install(pace) => paced(f, "the next attempt to install", *pace),
            Why::NoSource => f.write_str("no repository is configured: set `source.urls`"),
            Why::Person { what } => what.fmt(f),
            Why::NextBoot => f.write_str("the next boot tries the release"),
            Why::Boot { state } => write!(f, "{state}: `bistable resume` decides, not the daemon"),
            Why::NotTried { refused } => write!(
                f,
                "the boot loader did not try the release in {refused} reboots; see `bistable preflight`; `bistable arm` asks \
                 for it again"
            ),
            Why::Inhibited { owner, reason } => write!(f, "{owner} inhibits the switch: {reason}"),
            Why::Rollbacks { count, most } => {
                write!(f, "{count} updates were rolled back within an hour; the next one waits until fewer than {most} were")
            }
            Why::Trials { count } => {
                write!(f, "{count} trials began within a day; the next one waits until fewer than {MAX_TRIALS} did")
            }
            Why::SwitchRefused { failures } => {
                write!(f, "the switch was refused ({failures} in a row); the next attempt is delayed")
            }
            Why::ComponentStaged { component, mode } => write!(
                f,
                "component {component}: a version waits for `bistable component resume {component}`, since its mode is \"{mode}\""
            ),
            Why::ComponentHalted { component } => write!(
                f,
                "component {component}: too many updates were rolled back; `bistable component reset {component}` allows updates again"
            ),
            Why::ComponentNextBoot { component } => {
                write!(f, "component {component}: a version is tried after the next boot")
            }
            Why::Component { component, why } => write!(f, "component {component}: {why}"),
            Why::Window { opens: Some(at) } => {
                write!(f, "waits for the maintenance window that opens at {}", utc_minute(*at))
            }
            Why::Window { opens: None } => f.write_str(
                "waits for a maintenance window; the clock shows a time that no calendar has, so that none opens",
            ),
            Why::Clock => f.write_str(
                "waits for a maintenance window; all are closed until the clock is synchronized \
                 (update.windows_need_clock)",
            ),
            Why::Zone { name } => write!(
                f,
                "waits for a maintenance window; all are closed, since this device has no time zone \"{name}\": install the \
                 zone database or change update.time_zone"
            ),
        }
    }
}

/// Trials within a day after which it doesn't.
pub(super) const MAX_TRIALS: usize = 6;

fn paced(f: &mut fmt::Formatter<'_>, what: &str, pace: Pace) -> fmt::Result {
    match pace {
        Pace::Interval => write!(f, "{what} is not due yet (update.check_interval)"),
        Pace::AfterBoot => {
            write!(
                f,
                "{what} is delayed after a boot, so that devices that start together don't all ask at once"
            )
        }
        Pace::BackOff { failures } => write!(f, "{what} is delayed: {failures} failed in a row"),
        Pace::RetryAfter => write!(f, "{what} is delayed: the server asked to wait"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_in_words() {
        let check = |pace| Why::Check(pace);
        #[rustfmt::skip]
        let table = [
            (check(Pace::Interval), "the next check of the channel is not due yet (update.check_interval)"),
            (check(Pace::AfterBoot), "the next check of the channel is delayed after a boot, so that devices that start together don't all ask at once"),
            (check(Pace::BackOff { failures: 3 }), "the next check of the channel is delayed: 3 failed in a row"),
            (check(Pace::RetryAfter), "the next check of the channel is delayed: the server asked to wait"),
            (Why::Install(Pace::BackOff { failures: 1 }), "the next attempt to install is delayed: 1 failed in a row"),
            (Why::NoSource, "no repository is configured: set `source.urls`"),
            (Why::Person { what: policy::Why::Staged(Mode::Stage) }, "staged; waits for `bistable arm`, since update.mode is \"stage\""),
            (Why::NextBoot, "the next boot tries the release"),
            (Why::Boot { state: "on trial" }, "on trial: `bistable resume` decides, not the daemon"),
            (Why::NotTried { refused: 3 }, "the boot loader did not try the release in 3 reboots; see `bistable preflight`; `bistable arm` asks for it again"),
            (Why::Inhibited { owner: "lab".into(), reason: "a measurement".into() }, "lab inhibits the switch: a measurement"),
            (Why::Rollbacks { count: 3, most: 3 }, "3 updates were rolled back within an hour; the next one waits until fewer than 3 were"),
            (Why::Trials { count: 6 }, "6 trials began within a day; the next one waits until fewer than 6 did"),
            (Why::SwitchRefused { failures: 2 }, "the switch was refused (2 in a row); the next attempt is delayed"),
            (Why::Window { opens: Some(951_782_400) }, "waits for the maintenance window that opens at 2000-02-29 00:00 UTC"),
            (Why::ComponentStaged { component: "core".into(), mode: Mode::Stage }, "component core: a version waits for `bistable component resume core`, since its mode is \"stage\""),
            (Why::ComponentHalted { component: "core".into() }, "component core: too many updates were rolled back; `bistable component reset core` allows updates again"),
            (Why::ComponentNextBoot { component: "core".into() }, "component core: a version is tried after the next boot"),
            (Why::Component { component: "core".into(), why: Box::new(check(Pace::BackOff { failures: 1 })) }, "component core: the next check of the channel is delayed: 1 failed in a row"),
            (Why::Window { opens: None }, "waits for a maintenance window; the clock shows a time that no calendar has, so that none opens"),
            (Why::Clock, "waits for a maintenance window; all are closed until the clock is synchronized (update.windows_need_clock)"),
            (Why::Zone { name: "Mars/Base".into() }, "waits for a maintenance window; all are closed, since this device has no time zone \"Mars/Base\": install the zone database or change update.time_zone"),
        ];
        for (why, words) in table {
            assert_eq!(why.to_string(), words);
        }
    }
}
