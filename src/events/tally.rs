//! Totals of all events: what metrics are made of, so that they outlive a run of the program and a boot.
use super::{Ended, Entry, Kind, StreamKind, Transition};
use crate::{event::ComponentShown, steps::StepName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// Words come from files: of more than these, the rest is counted as `other`.
const WORDS_MAX: usize = 32;
/// A step that took longer spans a clock that was set, or a device that was put away.
const LONGEST: u64 = 7 * 24 * 3600;

/// What of an update is timed: each with the [steps](StepName) that it consists of.
pub const TIMED: [(&str, &[StepName]); 5] = [
    ("install", &[StepName::Install]),
    ("self_test", &[StepName::SelfTest]),
    // From the reboot to the verdict.
    ("trial", &[StepName::TrialBoot, StepName::SelfTest, StepName::Health]),
    ("health_check", &[StepName::Health]),
    ("rollback", &[StepName::Revert]),
];

/// What of that spans a reboot.
const SPANS: [&str; 2] = ["trial", "rollback"];

/// Totals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Updates that ended, by how: `committed`, `rolled_back`, `failed`.
    pub updates: BTreeMap<String, u64>,
    /// Updates of components that ended: by the component, and by how.
    pub components: BTreeMap<String, BTreeMap<String, u64>>,
    /// Updates that were rolled back, by reason.
    pub rollbacks: BTreeMap<String, u64>,
    /// Releases that failed on this device since the last one that was committed.
    pub failed_in_a_row: u64,
    /// Looks at the channel that failed, by the class of the failure.
    pub check_failures: BTreeMap<String, u64>,
    /// The last look at the channel that succeeded, in seconds since 1970.
    pub last_success: Option<u64>,
    /// The last look at the channel, in seconds since 1970.
    pub last_check: Option<u64>,
    /// When the channel expires, in seconds since 1970, as it was read last.
    pub expires: Option<u64>,
    /// Bytes that installations fetched as a whole.
    pub full_bytes: u64,
    /// Bytes of deltas that installations fetched.
    pub delta_bytes: u64,
    /// Events that were given up, by the webhook that they were for.
    pub given_up: BTreeMap<String, u64>,
    /// Steps of updates that ended.
    pub steps: BTreeMap<String, Took>,
    /// When steps began that have not ended, in seconds since 1970.
    pub began: BTreeMap<String, u64>,
}

/// How long a step took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Took {
    /// How often.
    pub count: u64,
    /// All together, in milliseconds.
    pub millis: u64,
    /// How often it took longer than its steps are expected to: by their own reports, or by the table if it spans a reboot.
    pub over: u64,
}

impl Tally {
    /// One more event.
    pub(super) fn add(&mut self, kind: Kind, entry: &Entry) {
        let data = &entry.data;
        match kind {
            Kind::Available | Kind::UpToDate => {
                self.last_check = entry.time().or(self.last_check);
                self.last_success = entry.time().or(self.last_success);
                self.expires = data.get("expires").and_then(Value::as_u64).or(self.expires);
            }
            Kind::Check => {
                self.last_check = entry.time().or(self.last_check);
                // Events of older agents have no class.
                let class = data.get("class").or(data.get("code")).and_then(Value::as_str);
                let class = class.unwrap_or("other");
                count(&mut self.check_failures, class, entry.repeats.saturating_add(1));
            }
            Kind::Written => {
                let bytes = |name: &str| number(data, &["stats", name]);
                let delta = bytes("delta_bytes");
                self.delta_bytes = self.delta_bytes.saturating_add(delta);
                self.full_bytes =
                    self.full_bytes.saturating_add(bytes("fetched_bytes").saturating_sub(delta));
            }
            Kind::WebhookGivenUp => {
                let target = data.get("target").and_then(Value::as_str).unwrap_or("other");
                count(&mut self.given_up, target, number(data, &["events"]));
            }
            Kind::SelfTest => {
                let tests = data.pointer("/report/tests").and_then(Value::as_array);
                let took = tests.into_iter().flatten().map(|test| number(test, &["took_ms"]));
                self.took("self_test", took.fold(0, u64::saturating_add));
            }
            Kind::Slow => self.slow(data),
            Kind::Health => self.took("health_check", number(data, &["report", "took_ms"])),
            kind if kind.traits().stream == StreamKind::Component => {
                let shown = serde_json::from_value::<ComponentShown>(data.clone());
                if let Ok(ComponentShown { component, ended: Some(ended), .. }) = shown
                    && (self.components.len() < WORDS_MAX || self.components.contains_key(&component))
                {
                    count(self.components.entry(component).or_default(), ended.result.name(), 1);
                }
            }
            kind if kind.traits().state => {
                if let Ok(transition) = serde_json::from_value::<Transition>(data.clone()) {
                    self.transition(kind, entry, &transition);
                }
            }
            _ => {}
        }
    }

    fn transition(&mut self, kind: Kind, entry: &Entry, Transition { update, ended, .. }: &Transition) {
        match kind {
            Kind::Installing => self.begins("install", entry),
            Kind::Staged => self.ends("install", entry),
            Kind::Armed if update.asked => self.begins("trial", entry),
            Kind::Committed => self.ends("trial", entry),
            Kind::RollbackStarted => {
                self.ends("trial", entry);
                self.begins("rollback", entry);
            }
            Kind::RollbackCompleted => self.ends("rollback", entry),
            _ => {}
        }
        // Whatever did not come to its end has none.
        if update.is_idle() {
            self.began.clear();
        }
        if let Some(ended) = ended {
            self.ended(ended);
        }
    }

    fn ended(&mut self, ended: &Ended) {
        let result = match Kind::named(&ended.kind) {
            Some(Kind::Committed) => "committed",
            Some(Kind::RollbackCompleted) => "rolled_back",
            _ => "failed",
        };
        count(&mut self.updates, result, 1);
        match result {
            "committed" => self.failed_in_a_row = 0,
            "rolled_back" => {
                self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
                count(&mut self.rollbacks, ended.reason.as_deref().unwrap_or("other"), 1);
            }
            _ => {}
        }
    }

    // Only what a clock stands for at both ends has a duration: of a boot without one, nothing is known.
    fn begins(&mut self, step: &str, entry: &Entry) {
        match entry.time() {
            Some(time) => self.began.entry(step.into()).or_insert(time),
            None => return,
        };
    }

    fn ends(&mut self, step: &str, entry: &Entry) {
        let began = self.began.remove(step);
        let took = began.zip(entry.time()).and_then(|(began, now)| now.checked_sub(began));
        if let Some(took) = took.filter(|took| *took <= LONGEST) {
            self.took(step, took.saturating_mul(1000));
        }
    }

    fn took(&mut self, step: &str, millis: u64) {
        let steps =
            TIMED.iter().find(|(name, _)| SPANS.contains(name) && *name == step).map(|(_, steps)| *steps);
        let expected: Option<Duration> =
            steps.map(|steps| steps.iter().map(|step| step.row().expected).sum());
        let is_over = expected.is_some_and(|expected| Duration::from_millis(millis) > expected);
        let took = self.steps.entry(step.into()).or_default();
        took.count = took.count.saturating_add(1);
        took.millis = took.millis.saturating_add(millis);
        took.over = took.over.saturating_add(u64::from(is_over));
    }

    // A step that ends within one boot says itself that it was slow: it knows what its owner expects.
    fn slow(&mut self, data: &Value) {
        let step = data.get("step").and_then(|step| serde_json::from_value(step.clone()).ok());
        let timed = TIMED.iter().find(|(name, steps)| !SPANS.contains(name) && Some(steps[0]) == step);
        if let Some((name, _)) = timed {
            let took = self.steps.entry((*name).into()).or_default();
            took.over = took.over.saturating_add(1);
        }
    }
}

fn count(words: &mut BTreeMap<String, u64>, word: &str, by: u64) {
    let word = if words.len() < WORDS_MAX || words.contains_key(word) { word } else { "other" };
    let total = words.entry(word.to_owned()).or_default();
    *total = total.saturating_add(by);
}

fn number(data: &Value, path: &[&str]) -> u64 {
    path.iter().try_fold(data, |data, name| data.get(name)).and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{Shown, Subject, entry::tests::entry};
    use super::*;
    use bistable_boot::Slot;
    use serde_json::json;

    /// An event, this many seconds after noon.
    fn at(seconds: u64, kind: Kind, data: Value) -> (Kind, Entry) {
        let timestamp = crate::date::rfc3339(1_796_040_000 + seconds);
        (kind, Entry { timestamp, data, ..entry(seconds + 1, kind.traits().name) })
    }

    fn state(seconds: u64, kind: Kind, asked: bool, ended: Option<(Kind, &str)>) -> (Kind, Entry) {
        let release = Subject { version: "1.1.0".into(), identity: "ab".into(), slot: Slot::B };
        let update = Shown {
            state: "x".into(),
            release: ended.is_none().then(|| release.clone()),
            attempts: None,
            refused: 0,
            asked,
            reason: None,
        };
        let ended = ended.map(|(kind, reason)| Ended {
            release,
            kind: kind.traits().name.into(),
            reason: Some(reason.into()),
        });
        let data = Transition { update, derived: false, ended, reason: None };
        at(seconds, kind, serde_json::to_value(data).unwrap())
    }

    fn tally(events: &[(Kind, Entry)]) -> Tally {
        events.iter().fold(Tally::default(), |mut tally, (kind, entry)| {
            tally.add(*kind, entry);
            tally
        })
    }

    #[test]
    fn update_that_is_committed_is_counted_with_the_time_of_its_steps() {
        let stats = json!({ "stats": { "fetched_bytes": 1000, "delta_bytes": 300 } });
        let tally = tally(&[
            state(0, Kind::Installing, false, None),
            at(90, Kind::Written, stats),
            state(100, Kind::Staged, false, None),
            at(
                5000,
                Kind::SelfTest,
                json!({ "report": { "tests": [{ "took_ms": 1200 }, { "took_ms": 300 }] } }),
            ),
            state(5000, Kind::Armed, false, None),
            state(5010, Kind::Armed, true, None),
            at(5390, Kind::Slow, json!({ "step": "health", "took_s": 131, "expected_s": 120 })),
            at(5390, Kind::Slow, json!({ "step": "revert", "took_s": 131, "expected_s": 120 })),
            at(5390, Kind::Slow, json!({ "step": "dance" })),
            at(5400, Kind::Health, json!({ "report": { "took_ms": 131_000 } })),
            state(5410, Kind::Committed, false, Some((Kind::Committed, ""))),
        ]);
        let took = |count, millis, over| Took { count, millis, over };
        let steps = [
            ("health_check", took(1, 131_000, 1)),
            ("install", took(1, 100_000, 0)),
            ("self_test", took(1, 1500, 0)),
            ("trial", took(1, 400_000, 1)),
        ];
        assert_eq!(tally.steps, BTreeMap::from(steps.map(|(step, took)| (step.to_owned(), took))));
        assert_eq!((tally.full_bytes, tally.delta_bytes), (700, 300));
        assert_eq!(tally.updates, BTreeMap::from([("committed".to_owned(), 1)]));
    }

    #[test]
    fn rollbacks_are_counted_by_reason_and_in_a_row_until_a_commit() {
        let rolled_back = |seconds, reason| {
            [
                state(seconds, Kind::RollbackStarted, false, None),
                state(seconds + 250, Kind::RollbackCompleted, false, Some((Kind::RollbackCompleted, reason))),
            ]
        };
        let twice = [rolled_back(0, "health"), rolled_back(1000, "out_of_attempts")].concat();
        let reasons = ["health", "out_of_attempts"].map(|reason| (reason.to_owned(), 1));
        let failed = tally(&twice);
        assert_eq!((failed.failed_in_a_row, failed.rollbacks), (2, BTreeMap::from(reasons)));
        assert_eq!(failed.steps["rollback"], Took { count: 2, millis: 500_000, over: 2 });
        let committed = state(2000, Kind::Committed, false, Some((Kind::Committed, "")));
        assert_eq!(tally(&[twice, vec![committed]].concat()).failed_in_a_row, 0);
    }

    #[test]
    fn updates_of_components_are_counted_by_component_and_result() {
        let ended = |result| {
            json!({
                "component": "core", "lifecycle": "running", "state": "idle", "version": "1.0.0", "target": null, "attempts": 0,
                "reason": null, "ended": { "version": "1.1.0", "release": "ab", "result": result, "reason": null },
            })
        };
        let tally = tally(&[
            at(0, Kind::ComponentCommitted, ended("committed")),
            at(1, Kind::ComponentRolledBack, ended("rolled_back")),
            at(2, Kind::ComponentReconciled, ended("rolled_back")),
            at(3, Kind::ComponentState, json!({ "component": "core" })),
            at(4, Kind::ComponentStep, json!({ "component": "core", "step": "health", "took_ms": 5 })),
        ]);
        let counts = BTreeMap::from([("committed".to_owned(), 1), ("rolled_back".to_owned(), 2)]);
        assert_eq!(tally.components, BTreeMap::from([("core".to_owned(), counts)]));
        assert_eq!((tally.updates.len(), tally.failed_in_a_row), (0, 0), "those are of the image");
    }

    #[test]
    fn step_without_a_clock_at_both_ends_has_no_duration() {
        let doubtful = |(kind, entry)| (kind, Entry { synchronized: false, ..entry });
        for events in [
            [doubtful(state(0, Kind::Installing, false, None)), state(10, Kind::Staged, false, None)],
            [state(0, Kind::Installing, false, None), doubtful(state(10, Kind::Staged, false, None))],
            [state(10, Kind::Installing, false, None), state(0, Kind::Staged, false, None)],
            [state(0, Kind::Installing, false, None), state(LONGEST + 1, Kind::Staged, false, None)],
        ] {
            assert_eq!(tally(&events).steps, BTreeMap::new());
        }
    }

    #[test]
    fn looks_at_the_channel_are_counted_and_words_are_bounded() {
        let failure = |n: u64| at(n, Kind::Check, json!({ "code": format!("c{n}") }));
        let many: Vec<_> = (0..1000).map(failure).collect();
        let failed = tally(&many);
        assert!(failed.check_failures.len() <= WORDS_MAX + 1, "{}", failed.check_failures.len());
        assert_eq!(failed.check_failures.values().sum::<u64>(), 1000);
        assert_eq!((failed.last_check, failed.last_success), (Some(1_796_040_999), None));
        let good = tally(&[at(5, Kind::UpToDate, json!({ "expires": 7 })), failure(9)]);
        assert_eq!(good.expires, Some(7));
        assert_eq!((good.last_check, good.last_success), (Some(1_796_040_009), Some(1_796_040_005)));
    }

    #[test]
    fn tally_comes_back_from_a_snapshot_and_from_one_without_it() {
        let tally = tally(&[state(0, Kind::Committed, false, Some((Kind::Committed, "")))]);
        let bytes = serde_json::to_vec(&tally).unwrap();
        assert_eq!(serde_json::from_slice::<Tally>(&bytes).unwrap(), tally);
        assert_eq!(serde_json::from_str::<Tally>("{}").unwrap(), Tally::default());
    }
}
