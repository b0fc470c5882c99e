//! The checks of a release that is committed, again and again: each is asked once in a round, and nothing is waited for.
//!
//! There are no self-tests in a round, so no pin is ever driven: nothing here has one.
use super::{CheckReport, Finding, Standing, probe::probe};
use crate::{
    ports::{Clock, Host},
    text::shorten,
};
use bistable_format::{
    health::{Check, Kind, Profile},
    selftest::Need,
};
use std::time::Duration;

/// Time for all checks of a round.
pub const ROUND_MAX: Duration = Duration::from_secs(120);
/// A program is started this often at most.
pub const COMMAND_MIN: Duration = Duration::from_secs(300);

/// What is known of each check, across rounds.
#[derive(Clone, Debug)]
pub struct Rounds {
    checks: Vec<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    check: Check,
    report: CheckReport,
    /// When it is asked next.
    due: Duration,
}

impl Rounds {
    /// Nothing is known of any check of this profile.
    pub fn new(profile: Profile) -> Rounds {
        let known = |check: Check| Known { report: CheckReport::untried(&check), check, due: Duration::ZERO };
        Rounds { checks: profile.checks.into_iter().map(known).collect() }
    }

    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// Ask all checks that are due `now`, the required ones first; how long that took. What there was no time for stays due.
    pub fn ask(
        &mut self,
        now: Duration,
        interval: Duration,
        host: &mut dyn Host,
        clock: &dyn Clock,
    ) -> Duration {
        let start = clock.now();
        let until = start.saturating_add(ROUND_MAX);
        for need in [Need::Required, Need::Wanted] {
            for known in self.checks.iter_mut().filter(|known| known.check.need == need) {
                let at = clock.now();
                // A required one that is not known fails closed (I10).
                let is_skipped = need == Need::Wanted && known.check.kind.unknown().is_some();
                if is_skipped || known.due > now || at >= until {
                    continue;
                }
                let allowed =
                    Duration::from_millis(known.check.timeout_ms.into()).min(until.saturating_sub(at));
                let finding: Finding = probe(&known.check.kind, allowed, host, clock);
                known.report.note(finding, at.saturating_sub(start));
                let pause = match known.check.kind {
                    Kind::Command { .. } => interval.max(COMMAND_MIN),
                    _ => interval,
                };
                known.due = now.saturating_add(pause);
            }
        }
        clock.now().saturating_sub(start)
    }

    /// When the next check is due; `None` without any.
    pub fn due(&self) -> Option<Duration> {
        self.checks.iter().filter(|known| known.check.kind.unknown().is_none()).map(|known| known.due).min()
    }

    /// Whether all required checks are good, or why they aren't; `None` as long as one was never asked and none is bad.
    pub fn verdict(&self) -> Option<Result<(), String>> {
        let required =
            || self.checks.iter().map(|known| &known.report).filter(|one| one.need == Need::Required);
        if let Some(bad) = required().find(|one| one.standing == Standing::Bad) {
            return Some(Err(format!("{}: {}", shorten(&bad.name, 32), bad.said)));
        }
        required().all(|one| one.standing == Standing::Good).then_some(Ok(()))
    }

    /// Each check's result.
    pub fn reports(&self) -> Vec<CheckReport> {
        self.checks.iter().map(|known| known.report.clone()).collect()
    }
}
