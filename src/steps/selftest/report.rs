use crate::text::{printable, shorten};
use bistable_boot::Detail;
use bistable_format::selftest::{Need, Test};
use serde::{Serialize, Serializer};
use std::{fmt, time::Duration};

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Verdict {
    /// What was measured is what was expected.
    Passed,
    /// It isn't, or the test's time ran out.
    Failed,
    /// This version doesn't know the test, so it didn't run.
    Skipped,
    /// Nothing could be measured: the pin is in use, the program can't be started, …
    Error,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Skipped => "skipped",
            Verdict::Error => "error",
        })
    }
}

/// One test's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TestReport {
    /// The test's name in the plan.
    pub name: String,
    /// The test's kind, as in the plan.
    pub kind: String,
    /// What a failure means.
    #[serde(serialize_with = "need")]
    #[cfg_attr(test, schemars(with = "bistable_schema::Need"))]
    pub need: Need,
    /// How it ended.
    pub verdict: Verdict,
    /// What was measured; on a failure the conclusion comes first. Printable.
    pub measured: String,
    /// What would have been right.
    pub expected: String,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "millis")]
    #[cfg_attr(test, schemars(with = "u64"))]
    pub took: Duration,
    /// Whether this system could not run its program: no verdict on the release (I16).
    #[serde(skip)]
    pub not_run: bool,
}

impl TestReport {
    pub(super) fn new(test: &Test, expected: String, outcome: &Outcome, took: Duration) -> TestReport {
        TestReport {
            name: test.name.clone(),
            kind: test.kind.name().into(),
            need: test.need,
            verdict: outcome.verdict,
            measured: printable(&outcome.measured),
            expected,
            took,
            not_run: outcome.not_run,
        }
    }

    /// Whether this alone refuses the update.
    pub fn refuses(&self) -> bool {
        self.need == Need::Required && self.verdict != Verdict::Passed
    }
}

/// All tests' results, in the plan's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// Which GPIO implementation measured.
    pub backend: String,
    /// One for each test of the plan.
    pub tests: Vec<TestReport>,
}

impl Report {
    /// Bytes that [`summary`](Self::summary) has at most.
    pub const SUMMARY_MAX: usize = Detail::MAX;

    /// The first required test that hasn't passed.
    pub fn refusal(&self) -> Option<&TestReport> {
        self.tests.iter().find(|t| t.refuses())
    }

    /// [`Verdict::Passed`] if all required tests passed, else the verdict of the first that hasn't.
    pub fn verdict(&self) -> Verdict {
        self.refusal().map_or(Verdict::Passed, |t| t.verdict)
    }

    /// Whether the update may continue.
    pub fn passed(&self) -> bool {
        self.verdict() == Verdict::Passed
    }

    /// One line of at most [`SUMMARY_MAX`](Self::SUMMARY_MAX) bytes: which required test was the first not to pass
    /// and what was measured; or how many passed.
    pub fn summary(&self) -> String {
        let text = match self.refusal() {
            Some(t) => format!("{} {}: {}", shorten(&t.name, 32), t.verdict, t.measured),
            None if self.tests.is_empty() => "no self-tests".into(),
            None => {
                let passed = self.tests.iter().filter(|t| t.verdict == Verdict::Passed).count();
                format!("{passed} of {} self-tests passed", self.tests.len())
            }
        };
        shorten(&text, Self::SUMMARY_MAX)
    }
}

/// A test's verdict with what was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) measured: String,
    pub(super) not_run: bool,
}

impl Outcome {
    pub(super) fn passed(measured: impl Into<String>) -> Outcome {
        Outcome { verdict: Verdict::Passed, measured: measured.into(), not_run: false }
    }
    pub(super) fn failed(measured: impl Into<String>) -> Outcome {
        Outcome { verdict: Verdict::Failed, measured: measured.into(), not_run: false }
    }
    pub(super) fn error(measured: impl Into<String>) -> Outcome {
        Outcome { verdict: Verdict::Error, measured: measured.into(), not_run: false }
    }
    pub(super) fn not_run(why: impl Into<String>) -> Outcome {
        Outcome { not_run: true, ..Outcome::error(why) }
    }
}

pub(crate) fn need<S: Serializer>(need: &Need, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match need {
        Need::Required => "required",
        Need::Wanted => "wanted",
    })
}

pub(crate) fn millis<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
