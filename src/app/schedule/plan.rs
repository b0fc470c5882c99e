//! What a switch waits for: the gates that those of the image and of components pass.
use super::{
    act::Next,
    due::LastTry,
    facts::{Facts, Rules, Standing},
    moment::{Moment, When},
    why::{MAX_TRIALS, Why},
    windows::Openness,
};
use std::time::Duration;

/// A device asks again this soon about what nothing announces.
pub(super) const AGAIN: Duration = Duration::from_secs(60);
/// A switch that was refused is tried again within this time: a window is open for hours, not for days.
const SWITCH_BACK_OFF_MAX: Duration = Duration::from_secs(15 * 60);
/// How long a rollback counts.
const ROLLBACK_COUNTS: Duration = Duration::from_secs(3600);
/// How long a trial counts.
const TRIAL_COUNTS: Duration = Duration::from_secs(86_400);

/// All that decides about what comes next.
pub(super) struct Plan<'a> {
    pub(super) now: &'a Moment,
    pub(super) device: &'a Standing,
    pub(super) rules: &'a Rules,
    pub(super) facts: &'a Facts,
}

/// Why something waits, and until when, if that is known.
pub(super) type Wait = (Option<Duration>, Why);

impl Plan<'_> {
    // The inhibitor that lives longest.
    pub(super) fn inhibited(&self) -> Option<Wait> {
        let alive = self.facts.inhibitors.iter().filter(|i| i.ends > self.now.uptime);
        let last = alive.max_by_key(|i| i.ends)?;
        Some((Some(last.ends), Why::Inhibited { owner: last.owner.clone(), reason: last.reason.clone() }))
    }

    // A rollback of which no clock knows how long ago it was may have been right before this boot, and counts as one that was: a
    // device without a clock that goes from one bad release to the next must come to rest, too.
    pub(super) fn rolled_back(&self) -> Option<Wait> {
        let ages = self.facts.rollbacks.iter().map(|when| when.least_age(self.now));
        let most = self.rules.max_rollbacks;
        let (left, count) = too_many(ages, ROLLBACK_COUNTS, most)?;
        Some((Some(self.now.uptime + left), Why::Rollbacks { count, most }))
    }

    // A trial of which no clock knows how long ago it was doesn't count: a device without a clock would wait a day after each boot.
    pub(super) fn tried(&self) -> Option<Wait> {
        let ages = self.facts.trials.iter().filter_map(|when| when.age(self.now));
        let (left, count) = too_many(ages, TRIAL_COUNTS, MAX_TRIALS)?;
        Some((Some(self.now.uptime + left), Why::Trials { count }))
    }

    // Until a switch that was refused may be tried again.
    pub(super) fn refused_until(&self, last: Option<&LastTry>) -> Option<Wait> {
        let last = last.filter(|last| last.failures > 0)?;
        let jittered = self.device.seed().back_off("switch", SWITCH_BACK_OFF_MAX, last.failures);
        let asked = last.not_before.unwrap_or_default().min(super::due::BACK_OFF_MAX);
        let left = jittered.max(asked).checked_sub(last.when.age(self.now)?)?;
        let wait = (Some(self.now.uptime + left), Why::SwitchRefused { failures: last.failures });
        (!left.is_zero()).then_some(wait)
    }

    // Until what failed may be tried again, with the back-off of looks.
    pub(super) fn backed_off(&self, last: Option<&LastTry>) -> Option<Wait> {
        let last = last.filter(|last| last.failures > 0)?;
        let due = self.device.seed().look(self.rules.interval, self.now, Some(last));
        (due.at > self.now.uptime).then_some((Some(due.at), Why::Install(due.pace)))
    }

    // Until a window opens for what was staged then.
    pub(super) fn closed(&self, is_urgent: bool, staged: Option<&When>) -> Option<Wait> {
        let Rules { windows, zone, .. } = self.rules;
        if windows.is_empty() {
            return None;
        }
        let forced = match (self.rules.forced_after(is_urgent), staged) {
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

    // A rest that ends later than now.
    pub(super) fn sleep(&self, until: Duration, why: Why) -> Next {
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
    let age = counted.get(most.checked_sub(1)?)?;
    Some((counts - *age, counted.len()))
}
