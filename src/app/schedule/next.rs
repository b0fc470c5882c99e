//! What a device does next without being asked: a function of the clocks, the device, its rules and what happened.
//!
//! | the update | `check` | `stage` | `reboot` | `auto` |
//! |---|---|---|---|---|
//! | idle | reports | looks | looks | looks |
//! | installing | continues | continues | continues | continues |
//! | staged | reports | looks; waits for a person | looks; waits for the next boot | switches if it may, else looks |
//! | armed | reports | reports; waits for the next boot | as `stage` | switches if it may, else reports |
//! | armed, refused by the boot loader for good | reports | looks | looks | looks |
//! | the boot decides: on trial, committing, reverting, all trials used up, the staged slot runs | waits | waits | waits | waits |
//!
//! While a release is staged a newer one may replace it. An armed one was chosen, and is only replaced once the boot loader
//! refused it for good. A device may switch while no inhibitor lives, fewer than 3 updates were rolled back within an hour and
//! fewer than 6 trials began within a day, the last refusal is long enough ago, and a window is open or the release was staged
//! `force_after` ago, in this order. A request for a switch passes none of these checks; the event log names its caller.
use super::{
    due::Due,
    facts::{Facts, Rules, Standing},
    moment::Moment,
    why::{MAX_ROLLBACKS, MAX_TRIALS, Why},
    windows::Openness,
};
use crate::{app::policy, config::Mode};
use bistable_boot::{Now, Saved};
use serde::{Serialize, Serializer};
use std::time::Duration;

/// A device asks again this soon about what nothing announces.
const AGAIN: Duration = Duration::from_secs(60);
/// And this soon if nothing but a change can end the wait.
const REST: Duration = Duration::from_secs(24 * 3600);
/// A switch that was refused is tried again within this time: a window is open for hours, not for days.
const SWITCH_BACK_OFF_MAX: Duration = Duration::from_secs(15 * 60);
/// How long a rollback counts.
const ROLLBACK_COUNTS: Duration = Duration::from_secs(3600);
/// How long a trial counts.
const TRIAL_COUNTS: Duration = Duration::from_secs(86_400);

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "next", rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Next {
    /// Do that now.
    Do {
        /// What.
        act: Act,
    },
    /// Nothing; ask again then, or as soon as a fact changes.
    Sleep {
        /// In time since the boot; always later than now.
        #[serde(rename = "until_uptime_s", serialize_with = "seconds")]
        #[cfg_attr(test, schemars(with = "u64"))]
        until: Duration,
        /// Why nothing is done.
        why: Why,
    },
}

// In whole seconds, rounded up, so that a caller that sleeps that long does not ask too early.
fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

/// What a device does by itself. Each is one request to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Act {
    /// Look at what the channel offers, and download, verify and stage it.
    Look,
    /// Look at what the channel offers, and report it. Nothing is written.
    Report,
    /// Continue the installation into the slot.
    Resume,
    /// Test the staged release, arm it and reboot into its trial.
    Switch,
}

/// What the device does next.
pub fn next(now: &Moment, device: &Standing, rules: &Rules, facts: &Facts) -> Next {
    let look = if rules.mode == Mode::Check { Act::Report } else { Act::Look };
    let plan = Plan { now, device, rules, facts };
    match &device.now {
        _ if facts.trial_pending => plan.boot(),
        now if now.awaits_boot(device.booted) => plan.boot(),
        Now::Trial { .. } => plan.boot(),
        Now::Saved(Saved::Idle) => plan.look(look, None),
        Now::Saved(Saved::Installing(_)) => plan.continue_with(),
        Now::Saved(Saved::Armed { tries, .. }) if tries.are_refused() => {
            plan.look(look, Some((None, Why::NotTried { refused: tries.refused })))
        }
        Now::Saved(Saved::Armed { .. }) => plan.switch(Act::Report),
        Now::Saved(_) => plan.switch(look),
    }
}

/// What a sleep leads to when it ends as announced: an operation. `None` if something else has to happen first.
pub fn announced(
    now: &Moment,
    device: &Standing,
    rules: &Rules,
    facts: &Facts,
    until: Duration,
    why: &Why,
) -> Option<&'static str> {
    let look = next_look(now, device, rules, facts);
    match why {
        Why::Install(_) => Some("install"),
        _ if look.is_some_and(|due| due.at == until) => Some("check"),
        Why::Inhibited { .. }
        | Why::Rollbacks { .. }
        | Why::Trials { .. }
        | Why::SwitchRefused { .. }
        | Why::Window { opens: Some(_) } => {
            Some(if matches!(device.now, Now::Saved(Saved::Staged(_))) { "arm" } else { "reboot" })
        }
        _ => None,
    }
}

/// When the next look at the channel is due, whatever else the device does until then. `None` if there is no channel.
pub fn next_look(now: &Moment, device: &Standing, rules: &Rules, facts: &Facts) -> Option<Due> {
    let last = facts.last_look.as_ref();
    rules.follows.then(|| device.seed().look(rules.interval, now, last))
}

struct Plan<'a> {
    now: &'a Moment,
    device: &'a Standing,
    rules: &'a Rules,
    facts: &'a Facts,
}

/// Why something waits, and until when, if that is known.
type Wait = (Option<Duration>, Why);

impl Plan<'_> {
    fn boot(&self) -> Next {
        self.sleep(self.now.uptime + AGAIN, Why::Boot { state: self.device.now.name() })
    }

    // A look if it is due; else what else waits says why.
    fn look(&self, act: Act, wait: Option<Wait>) -> Next {
        let due = next_look(self.now, self.device, self.rules, self.facts);
        let (until, why) = match (due, wait) {
            (Some(due), _) if due.at <= self.now.uptime => return Next::Do { act },
            (Some(due), None) => (Some(due.at), Why::Check(due.pace)),
            (Some(due), Some((until, why))) => (Some(until.map_or(due.at, |until| until.min(due.at))), why),
            (None, Some(wait)) => wait,
            (None, None) => (None, Why::NoSource),
        };
        self.sleep(until.unwrap_or(self.now.uptime + REST), why)
    }

    // After a boot the device waits for its share of the catch-up time; after a failure it backs off; otherwise it continues at once.
    fn continue_with(&self) -> Next {
        if !self.rules.follows {
            return self.sleep(self.now.uptime + REST, Why::NoSource);
        }
        let seed = self.device.seed();
        let due = match &self.facts.last_look {
            Some(last) if last.failures > 0 => seed.look(self.rules.interval, self.now, Some(last)),
            Some(last) if last.when.uptime.is_some() => return Next::Do { act: Act::Resume },
            _ => seed.after_boot(self.rules.interval),
        };
        if due.at <= self.now.uptime {
            return Next::Do { act: Act::Resume };
        }
        self.sleep(due.at, Why::Install(due.pace))
    }

    // A switch if the mode has it and nothing is in its way.
    fn switch(&self, look: Act) -> Next {
        if self.rules.mode != Mode::Auto {
            let why = match policy::next(&self.device.now, self.device.booted, self.rules.mode) {
                policy::Next::Wait(what) => Why::Person { what },
                policy::Next::Go => Why::NextBoot,
            };
            return self.look(look, Some((None, why)));
        }
        match self
            .inhibited()
            .or_else(|| self.rolled_back())
            .or_else(|| self.tried())
            .or_else(|| self.refused())
            .or_else(|| self.closed())
        {
            None => Next::Do { act: Act::Switch },
            wait => self.look(look, wait),
        }
    }

    // The inhibitor that lives longest.
    fn inhibited(&self) -> Option<Wait> {
        let alive = self.facts.inhibitors.iter().filter(|i| i.ends > self.now.uptime);
        let last = alive.max_by_key(|i| i.ends)?;
        Some((Some(last.ends), Why::Inhibited { owner: last.owner.clone(), reason: last.reason.clone() }))
    }

    // A rollback of which no clock knows how long ago it was may have been right before this boot, and counts as one that was: a
    // device without a clock that goes from one bad release to the next must come to rest, too.
    fn rolled_back(&self) -> Option<Wait> {
        let ages = self.facts.rollbacks.iter().map(|when| when.least_age(self.now));
        let (left, count) = too_many(ages, ROLLBACK_COUNTS, MAX_ROLLBACKS)?;
        Some((Some(self.now.uptime + left), Why::Rollbacks { count }))
    }

    // A trial of which no clock knows how long ago it was doesn't count: a device without a clock would wait a day after each boot.
    fn tried(&self) -> Option<Wait> {
        let ages = self.facts.trials.iter().filter_map(|when| when.age(self.now));
        let (left, count) = too_many(ages, TRIAL_COUNTS, MAX_TRIALS)?;
        Some((Some(self.now.uptime + left), Why::Trials { count }))
    }

    fn refused(&self) -> Option<Wait> {
        let last = self.facts.switch_refused.as_ref().filter(|last| last.failures > 0)?;
        let jittered = self.device.seed().back_off("switch", SWITCH_BACK_OFF_MAX, last.failures);
        let asked = last.not_before.unwrap_or_default().min(super::due::BACK_OFF_MAX);
        let left = jittered.max(asked).checked_sub(last.when.age(self.now)?)?;
        let wait = (Some(self.now.uptime + left), Why::SwitchRefused { failures: last.failures });
        (!left.is_zero()).then_some(wait)
    }

    fn closed(&self) -> Option<Wait> {
        let Rules { windows, zone, .. } = self.rules;
        if windows.is_empty() {
            return None;
        }
        let forced = match (self.rules.forced_after(self.facts.is_urgent), &self.facts.staged) {
            (Some(after), Some(since)) => {
                let left = after.saturating_sub(since.least_age(self.now));
                if left.is_zero() {
                    return None;
                }
                Some(self.now.uptime + left)
            }
            _ => None,
        };
        let wall =
            if self.rules.windows_need_clock { self.now.wall } else { self.now.wall.or(self.now.unverified) };
        let (opens, why) = match wall {
            _ if !zone.is_known() => (None, Why::Zone { name: zone.name().into() }),
            None => (Some(self.now.uptime + AGAIN), Why::Clock),
            Some(wall) => match windows.at(zone, wall) {
                Openness::Open { .. } => return None,
                Openness::Closed { opens } => {
                    let left = opens.map(|at| Duration::from_secs(at.saturating_sub(wall)));
                    (left.map(|left| self.now.uptime + left), Why::Window { opens })
                }
            },
        };
        Some((opens.into_iter().chain(forced).min(), why))
    }

    fn sleep(&self, until: Duration, why: Why) -> Next {
        Next::Sleep { until: until.max(self.now.uptime + Duration::from_secs(1)), why }
    }
}

// Until fewer than `most` are younger than `counts`, and how many are now. `None` if there are fewer.
fn too_many(
    ages: impl Iterator<Item = Duration>,
    counts: Duration,
    most: usize,
) -> Option<(Duration, usize)> {
    let mut counted: Vec<Duration> = ages.filter(|age| *age < counts).collect();
    counted.sort_unstable();
    // With this one old enough, fewer are left than allowed.
    let age = counted.get(most - 1)?;
    Some((counts - *age, counted.len()))
}
