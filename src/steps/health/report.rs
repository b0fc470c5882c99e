use crate::{
    config::OperatorCheck,
    steps::selftest::{self, millis, need},
    text::{printable, shorten},
};
use bistable_boot::Detail;
use bistable_format::{health::Check, selftest::Need};
use serde::{Serialize, Serializer};
use std::time::Duration;

const SAID_MAX: usize = 200;

/// What one try of a check said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it has to be.
    Good(String),
    /// Not, and why.
    Bad(String),
    /// This system can't run it, which says nothing about what it would find. As bad, but no verdict on the release (I16).
    NotRun(String),
}

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Standing {
    /// The last try was good.
    Good,
    /// The last try was bad.
    Bad,
    /// It was never tried.
    Untried,
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckReport {
    /// The check's name in the profile.
    pub name: String,
    /// The check's kind, as in the profile.
    pub kind: String,
    /// What a failure means.
    #[serde(serialize_with = "need")]
    #[cfg_attr(test, schemars(with = "bistable_schema::Need"))]
    pub need: Need,
    /// What the last try found.
    pub standing: Standing,
    /// What the last try said. Printable, at most 200 bytes.
    pub said: String,
    /// How often it was tried.
    pub tries: u32,
    /// Since when each try has been good, counted from the start of the health check.
    #[serde(rename = "good_since_ms", serialize_with = "maybe_millis")]
    #[cfg_attr(test, schemars(with = "Option<u64>"))]
    pub good_since: Option<Duration>,
    /// What the last bad try said, if there was one. Printable, at most 200 bytes.
    pub last_bad: Option<String>,
    /// Whether this system could not run it in its last try.
    #[serde(skip)]
    pub not_run: bool,
}

impl CheckReport {
    pub(super) fn untried(check: &Check) -> CheckReport {
        CheckReport {
            name: check.name.clone(),
            kind: check.kind.name().into(),
            need: check.need,
            standing: Standing::Untried,
            said: check.kind.unknown().map_or_else(String::new, |why| {
                shorten(&printable(&format!("skipped, not known here: {why}")), SAID_MAX)
            }),
            tries: 0,
            good_since: None,
            last_bad: None,
            not_run: false,
        }
    }

    /// An operator's check that must not be run.
    pub(crate) fn refused(check: &OperatorCheck) -> Option<CheckReport> {
        let why = check.refused.as_ref()?;
        let said = shorten(&printable(&format!("not run: {why}")), SAID_MAX);
        Some(CheckReport {
            name: check.name.clone(),
            kind: "command".into(),
            need: check.need,
            standing: Standing::Bad,
            said: said.clone(),
            tries: 0,
            good_since: None,
            last_bad: Some(said),
            not_run: false,
        })
    }

    /// Take in what a try found, `at` a time since the start of the health check.
    pub(super) fn note(&mut self, finding: Finding, at: Duration) {
        self.tries = self.tries.saturating_add(1);
        self.not_run = matches!(finding, Finding::NotRun(_));
        match finding {
            Finding::Good(said) => {
                self.standing = Standing::Good;
                self.said = shorten(&printable(&said), SAID_MAX);
                self.good_since.get_or_insert(at);
            }
            Finding::Bad(said) | Finding::NotRun(said) => {
                self.standing = Standing::Bad;
                self.said = shorten(&printable(&said), SAID_MAX);
                self.good_since = None;
                self.last_bad = Some(self.said.clone());
            }
        }
    }
}

/// What the health check saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// Time that it was given.
    #[serde(rename = "deadline_ms", serialize_with = "millis")]
    #[cfg_attr(test, schemars(with = "u64"))]
    pub deadline: Duration,
    /// How long everything had to stay good.
    #[serde(rename = "settle_ms", serialize_with = "millis")]
    #[cfg_attr(test, schemars(with = "u64"))]
    pub settle: Duration,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "millis")]
    #[cfg_attr(test, schemars(with = "u64"))]
    pub took: Duration,
    /// The self-tests on this system, if the profile has them run again.
    pub self_tests: Option<selftest::Report>,
    /// One for each check of the profile.
    pub checks: Vec<CheckReport>,
}

/// Whether this boot may become the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The self-tests passed and every required check stayed good for the settle time, before the deadline.
    Healthy(Report),
    /// They didn't.
    Unhealthy {
        /// Why, in at most [`REASON_MAX`](Verdict::REASON_MAX) bytes: the first check in the way, and what it said.
        reason: String,
        /// Everything that was seen.
        report: Report,
    },
}

impl Verdict {
    /// Bytes that a reason has at most.
    pub const REASON_MAX: usize = Detail::MAX;

    /// Everything that was seen.
    pub fn report(&self) -> &Report {
        match self {
            Verdict::Healthy(report) | Verdict::Unhealthy { report, .. } => report,
        }
    }

    /// The same, to add checks that were not run.
    pub(crate) fn report_mut(&mut self) -> &mut Report {
        match self {
            Verdict::Healthy(report) | Verdict::Unhealthy { report, .. } => report,
        }
    }

    /// Whether it isn't healthy only because this system can't run required checks: nothing was found to be wrong.
    pub fn says_nothing(&self) -> bool {
        let Verdict::Unhealthy { report, .. } = self else { return false };
        let bad = |c: &&CheckReport| c.need == Need::Required && c.standing == Standing::Bad;
        let refused = report.self_tests.as_ref().and_then(selftest::Report::refusal);
        match refused {
            Some(test) => test.not_run,
            None => {
                let mut bad = report.checks.iter().filter(bad).peekable();
                bad.peek().is_some() && bad.all(|c| c.not_run)
            }
        }
    }

    /// Why it isn't healthy, if it isn't.
    pub fn unhealthy(&self) -> Option<&str> {
        match self {
            Verdict::Healthy(_) => None,
            Verdict::Unhealthy { reason, .. } => Some(reason),
        }
    }
}

fn maybe_millis<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => millis(time, to),
        None => to.serialize_none(),
    }
}
