//! The health check: whether the new system's first boot may become the default.
//!
//! 1. The self-tests run again on this system, if the profile says so. A required one that doesn't pass ends it.
//! 2. All checks are polled, at first after 1 s, then 2, 4, and every 5 s. A bad answer of a required one starts the
//!    settle time again, for it says that the system isn't steady.
//! 3. Healthy is: the required checks' latest answers are all good, and so was each answer of theirs over the settle
//!    time before that.
//!
//! There is one deadline for all of it, in monotonic time. Nothing is begun at or after the deadline, and whatever is
//! begun before may take no longer than until then. So [`check`] returns at the deadline at the latest; if a port
//! breaks its contract and overruns its timeout by `t`, then by deadline + `t`, as nothing follows.
//!
//! Wanted checks are asked in the pauses between the required ones' polls, each for no longer than the pause lasts: they
//! can neither use up the deadline nor hide that a required check went bad.
mod probe;
mod report;
mod rounds;
#[cfg(test)]
mod tests;

pub use report::{CheckReport, Finding, Report, Standing, Verdict};
pub use rounds::{COMMAND_MIN, ROUND_MAX, Rounds};

use crate::{
    ports::{Buses, Clock, Gpio, Host},
    steps::selftest,
    text::shorten,
};
use bistable_format::{
    health::{Check, Profile, SelfTests},
    selftest::{Need, Plan},
};
use std::time::Duration;

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Whether a report on health uses pins and buses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pins {
    /// As a trial does.
    Used,
    /// Self-tests that do are left out.
    LeftOut,
}

/// Decide whether this boot is healthy. Returns by the profile's deadline, counted from now; see the module.
pub fn check(
    profile: &Profile,
    plan: &Plan,
    gpio: &mut dyn Gpio,
    buses: &mut dyn Buses,
    host: &mut dyn Host,
    clock: &dyn Clock,
) -> Verdict {
    let mut watch = Watch::new(profile, host, clock);
    let self_tests = match profile.self_tests {
        SelfTests::Again => Some(selftest::run_until(plan, gpio, buses, watch.host, clock, watch.until)),
        SelfTests::Skip => None,
    };
    let refused = self_tests.as_ref().and_then(|r| r.refusal().map(|_| r.summary()));
    let unhealthy = match refused {
        Some(summary) => Some(summary),
        None => watch.poll().err(),
    };
    let report = Report {
        deadline: watch.until.saturating_sub(watch.start),
        settle: watch.settle,
        took: watch.since_start(),
        self_tests,
        checks: watch.checks.into_iter().map(|(_, report)| report).collect(),
    };
    match unhealthy {
        None => {
            log::info!(verdict = "healthy", took_ms:% = report.took.as_millis(); "health_check");
            Verdict::Healthy(report)
        }
        Some(reason) => {
            let reason = shorten(&reason, Verdict::REASON_MAX);
            log::info!(verdict = "unhealthy", took_ms:% = report.took.as_millis(), reason:%; "health_check");
            Verdict::Unhealthy { reason, report }
        }
    }
}

/// The checks, watched over time.
struct Watch<'a> {
    host: &'a mut dyn Host,
    clock: &'a dyn Clock,
    start: Duration,
    until: Duration,
    settle: Duration,
    checks: Vec<(&'a Check, CheckReport)>,
    // Where the wanted checks continue in the next pause, so that a slow one doesn't keep the others from being asked.
    next_wanted: usize,
}

impl<'a> Watch<'a> {
    fn new(profile: &'a Profile, host: &'a mut dyn Host, clock: &'a dyn Clock) -> Watch<'a> {
        let start = clock.now();
        Watch {
            host,
            clock,
            start,
            until: start.saturating_add(Duration::from_secs(profile.deadline_s.into())),
            settle: Duration::from_secs(profile.settle_s.into()),
            checks: profile.checks.iter().map(|c| (c, CheckReport::untried(c))).collect(),
            next_wanted: 0,
        }
    }

    /// Poll until healthy, or say why it didn't come to that before the deadline.
    fn poll(&mut self) -> Result<(), String> {
        let settled_from = self.since_start();
        let mut pause = PAUSE_MIN;
        loop {
            let round = self.since_start();
            if !self.ask_required() {
                return Err(self.reason(settled_from));
            }
            let good_from = self.good_from(settled_from);
            // The answers of this round say how it is since the round's start, at the earliest.
            if good_from
                .is_some_and(|from| self.settle.is_zero() || round >= from.saturating_add(self.settle))
            {
                return Ok(());
            }
            let next = self.next_round(good_from, pause);
            pause = (pause * 2).min(PAUSE_MAX);
            self.ask_wanted(next);
            self.clock.wait(next.saturating_sub(self.clock.now()));
        }
    }

    // When to ask again: as soon as the settle time is over if that is before the pause is, and never beyond the deadline.
    fn next_round(&self, good_from: Option<Duration>, pause: Duration) -> Duration {
        let now = self.clock.now();
        let regular = now.saturating_add(pause);
        let settled = good_from.map(|from| self.start.saturating_add(from).saturating_add(self.settle));
        settled.unwrap_or(regular).min(regular).min(self.until)
    }

    /// Ask all required checks; whether there was time for it.
    fn ask_required(&mut self) -> bool {
        if self.clock.now() >= self.until {
            return false;
        }
        for at in self.with(Need::Required) {
            if self.clock.now() >= self.until {
                return false;
            }
            self.ask(at, self.until);
        }
        self.clock.now() <= self.until
    }

    /// Ask as many wanted checks as fit until then, each once at most.
    fn ask_wanted(&mut self, until: Duration) {
        let wanted = self.with(Need::Wanted);
        for _ in 0..wanted.len() {
            if self.clock.now() >= until {
                return;
            }
            let Some(at) = wanted.get(self.next_wanted % wanted.len()) else { return };
            self.ask(*at, until);
            self.next_wanted = (self.next_wanted + 1) % wanted.len();
        }
    }

    fn ask(&mut self, at: usize, until: Duration) {
        let Some((check, report)) = self.checks.get_mut(at) else { return };
        // A required one fails closed (I10).
        if check.need == Need::Wanted && check.kind.unknown().is_some() {
            return;
        }
        let left = until.saturating_sub(self.clock.now());
        let allowed = Duration::from_millis(check.timeout_ms.into()).min(left);
        let finding = probe::probe(&check.kind, allowed, self.host, self.clock);
        report.note(finding, self.clock.now().saturating_sub(self.start));
    }

    fn with(&self, need: Need) -> Vec<usize> {
        (0..self.checks.len())
            .filter(|at| self.checks.get(*at).is_some_and(|(c, _)| c.need == need))
            .collect()
    }

    /// Since when all required checks have been good, if they are; with no such check since `otherwise`.
    fn good_from(&self, otherwise: Duration) -> Option<Duration> {
        let required = self.checks.iter().filter(|(c, _)| c.need == Need::Required);
        required
            .map(|(_, report)| report.good_since)
            .try_fold(otherwise, |latest, since| Some(latest.max(since?)))
    }

    fn since_start(&self) -> Duration {
        self.clock.now().saturating_sub(self.start)
    }

    fn reason(&self, settled_from: Duration) -> String {
        let deadline = self.until.saturating_sub(self.start).as_secs();
        let required = || self.checks.iter().map(|(_, r)| r).filter(|r| r.need == Need::Required);
        if let Some(bad) = required().find(|r| r.standing == Standing::Bad) {
            return format!("{} not good within {deadline} s: {}", shorten(&bad.name, 32), bad.said);
        }
        if let Some(untried) = required().find(|r| r.standing == Standing::Untried) {
            return format!("no time left to ask {} within {deadline} s", shorten(&untried.name, 32));
        }
        let from = self.good_from(settled_from).unwrap_or_default();
        let good = self.since_start().saturating_sub(from);
        let settle = self.settle.as_secs();
        let held = if good >= self.settle {
            // The round that would have confirmed it would have begun at the deadline.
            format!("good for {settle} s only at the deadline of {deadline} s")
        } else {
            format!("good for {} s of {settle} s by the deadline of {deadline} s", good.as_secs())
        };
        let unsteady = required().filter(|r| r.last_bad.is_some()).max_by_key(|r| r.good_since);
        match unsteady.and_then(|r| Some((r, r.last_bad.as_ref()?))) {
            Some((r, said)) => format!("{held}; {} was bad: {said}", shorten(&r.name, 32)),
            None => held,
        }
    }
}
