//! What the daemon knows again after a boot: when it looked at the channel, since when a release is staged, and its jobs.
use super::{Entry, Kind, OfferedVersion, kind::StreamKind};
use crate::event::ComponentShown;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Jobs that are remembered.
pub const JOBS: usize = 32;

/// Inhibitors that are remembered: more are told together.
const INHIBITORS: usize = 128;
/// Trials that are remembered: more than count for anything.
const TRIALS: usize = 16;

/// Releases that are remembered which the device went back from.
const LEFT: usize = 16;
/// Components whose offers are remembered: more than a configuration can declare.
const OFFERED: usize = 64;

/// What follows for the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// The last look at the channel.
    pub looked: Option<LastCheck>,
    /// The last installation that the daemon began by itself, if it failed: nothing but one that succeeds ends the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install: Option<LastCheck>,
    /// When the release that is staged was.
    pub staged: Option<Moment>,
    /// When the newest trials began, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trials: Vec<Moment>,
    /// The newest jobs, the oldest first.
    pub jobs: Vec<PastJob>,
    /// Whether the running release was healthy when that changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// Releases that the device went back from because they were unhealthy after their commit, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
    /// What holds a switch off, as was reported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inhibitors: Vec<HeldOff>,
    /// What the channel offered of each component when it was last checked.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub offered: BTreeMap<String, OfferedVersion>,
    /// Since when the version of each component is staged that is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub staged_components: BTreeMap<String, StagedComponent>,
}

/// A version of a component that is staged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedComponent {
    /// The version.
    pub version: String,
    /// Since when.
    pub since: Moment,
}

/// Something that holds a switch off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldOff {
    /// Its name.
    pub id: String,
    /// Who wants it.
    pub owner: String,
    /// What for.
    pub reason: String,
    /// Whether it was reported that it holds for longer than is usual.
    #[serde(default)]
    pub overdue: bool,
}

/// A release that the device went back from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Its version.
    pub version: String,
    /// Its identity.
    pub release: String,
}

/// When something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// What the wall clock showed, in UTC (RFC 3339).
    pub timestamp: String,
    /// Whether it could be believed.
    pub synchronized: bool,
    /// The boot.
    pub boot_id: String,
    /// Whole seconds since some moment of that boot, if the event says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
}

/// A look at the channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCheck {
    /// When.
    #[serde(flatten)]
    pub at: Moment,
    /// How many looks in a row failed, this one included.
    #[serde(default)]
    pub failures: u32,
    /// How many seconds the server asked to wait, from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// A job of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastJob {
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub operation: String,
    /// Through which part of Bistable.
    pub via: String,
    /// The user who asked; `None` where there is none.
    #[serde(default)]
    pub uid: Option<u32>,
    /// The name of the token that was shown, where one is asked for.
    #[serde(default)]
    pub token: Option<String>,
    /// When it began.
    pub began: Moment,
    /// How it ended; `None` if that isn't known.
    #[serde(default)]
    pub ended: Option<PastEnd>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastEnd {
    /// When.
    pub at: Moment,
    /// The exit code that the same verb has on a command line.
    pub exit: u8,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
}

impl Moment {
    fn of(entry: &Entry) -> Moment {
        Moment {
            timestamp: entry.timestamp.clone(),
            synchronized: entry.synchronized,
            boot_id: entry.boot_id.clone(),
            uptime: entry.data.get("uptime").and_then(serde_json::Value::as_u64),
        }
    }

    /// Seconds since 1970, if the clock could be believed.
    pub fn wall(&self) -> Option<u64> {
        crate::date::believed(&self.timestamp, self.synchronized)
    }

    /// Time since the start of this boot, if it was in this boot.
    pub fn uptime(&self, boot_id: &str) -> Option<Duration> {
        self.uptime.filter(|_| self.boot_id == boot_id).map(Duration::from_secs)
    }
}

impl LastCheck {
    /// One that failed, after those before it.
    fn failed(before: Option<&LastCheck>, entry: &Entry) -> LastCheck {
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        let retry_after = entry.data.get("retry_after").and_then(serde_json::Value::as_u64);
        LastCheck { at: Moment::of(entry), failures, retry_after }
    }
}

impl Remembered {
    /// What the channel offers of a component.
    fn offer(&mut self, kind: Kind, entry: &Entry) {
        let Some(name) = entry.data.get("component").and_then(serde_json::Value::as_str) else { return };
        self.offered.remove(name);
        match serde_json::from_value(entry.data.clone()) {
            Ok(version) if kind == Kind::ComponentAvailable && self.offered.len() < OFFERED => {
                self.offered.insert(name.to_owned(), version);
            }
            _ => {}
        }
    }

    /// A component is in another state.
    fn component(&mut self, entry: &Entry) {
        let Ok(shown) = serde_json::from_value::<ComponentShown>(entry.data.clone()) else { return };
        let known = self.staged_components.remove(&shown.component);
        let Some(version) = shown.target.filter(|_| matches!(&*shown.state, "staged" | "armed")) else {
            return;
        };
        let since = match known.filter(|known| known.version == version) {
            Some(known) => known.since,
            None => Moment::of(entry),
        };
        if self.staged_components.len() < OFFERED {
            self.staged_components.insert(shown.component, StagedComponent { version, since });
        }
    }

    /// One more event.
    pub(super) fn add(&mut self, kind: Kind, entry: &Entry) {
        let at = || Moment::of(entry);
        match kind {
            Kind::Available => self.looked = Some(LastCheck { at: at(), failures: 0, retry_after: None }),
            Kind::UpToDate => {
                self.looked = Some(LastCheck { at: at(), failures: 0, retry_after: None });
                self.install = None;
            }
            // Whether it is the look that fails or the installation after it: the row continues.
            Kind::Check => {
                let before = self.install.take().or(self.looked.take());
                self.looked = Some(LastCheck::failed(before.as_ref(), entry));
            }
            Kind::Staged => {
                self.install = None;
                self.staged = Some(at());
            }
            Kind::Trial if self.trials.last().is_none_or(|last| last.boot_id != entry.boot_id) => {
                self.trials.push(at());
                let over = self.trials.len().saturating_sub(TRIALS);
                self.trials.drain(..over);
            }
            // What is committed was healthy.
            Kind::Committed => self.healthy = Some(true),
            Kind::HealthChanged => {
                self.healthy = entry.data.get("healthy").and_then(serde_json::Value::as_bool);
            }
            Kind::HealthRevert => {
                if let Ok(left) = serde_json::from_value::<Left>(entry.data.clone()) {
                    self.left.retain(|known| *known != left);
                    self.left.push(left);
                    let over = self.left.len().saturating_sub(LEFT);
                    self.left.drain(..over);
                }
            }
            Kind::InhibitorStarted | Kind::InhibitorEnded | Kind::InhibitorOverdue => {
                if let Ok(held) = serde_json::from_value::<HeldOff>(entry.data.clone()) {
                    self.inhibitors.retain(|known| known.id != held.id);
                    if kind != Kind::InhibitorEnded && self.inhibitors.len() < INHIBITORS {
                        self.inhibitors.push(HeldOff { overdue: kind == Kind::InhibitorOverdue, ..held });
                    }
                }
            }
            Kind::ComponentAvailable | Kind::ComponentUpToDate => self.offer(kind, entry),
            kind if kind.traits().state && kind.traits().stream == StreamKind::Component => {
                self.component(entry);
            }
            Kind::JobStarted => {
                if let Ok(JobStart { operation, via, uid, token }) =
                    serde_json::from_value(entry.data.clone())
                {
                    let id = entry.correlation_id.clone();
                    self.jobs.retain(|job| job.id != id);
                    self.jobs.push(PastJob { id, operation, via, uid, token, began: at(), ended: None });
                    let over = self.jobs.len().saturating_sub(JOBS);
                    self.jobs.drain(..over);
                }
            }
            Kind::JobEnded => {
                if let Ok(JobEnd { exit, error, is_passing, .. }) = serde_json::from_value(entry.data.clone())
                    && let Some(job) = self.jobs.iter_mut().rfind(|job| job.id == entry.correlation_id)
                {
                    job.ended = Some(PastEnd { at: at(), exit, error });
                    if is_passing && job.operation == "install" && job.via == "schedule" {
                        self.install = Some(LastCheck::failed(self.install.as_ref(), entry));
                    }
                }
            }
            _ => {}
        }
    }
}

/// The data of [`Kind::JobStarted`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobStart {
    /// What was asked for.
    pub operation: String,
    /// Through which part of Bistable.
    pub via: String,
    /// The user who asked.
    pub uid: Option<u32>,
    /// The name of the token that was shown, where one is asked for.
    #[serde(default)]
    pub token: Option<String>,
}

/// The data of [`Kind::JobEnded`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobEnd {
    /// The exit code that the same verb has on a command line.
    pub exit: u8,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether it may succeed later.
    #[serde(default)]
    pub is_passing: bool,
    /// How many seconds a server asked to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Seconds since some moment of this boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::entry;
    use super::*;
    use serde_json::{Value, json};

    fn add(remembered: &mut Remembered, seq: u64, kind: Kind, data: Value) {
        let job = format!("b-{}", seq / 10);
        let entry = Entry { data, correlation_id: job, ..entry(seq, kind.traits().name) };
        remembered.add(kind, &entry);
    }

    #[test]
    fn failures_count_until_a_look_succeeds() {
        let mut remembered = Remembered::default();
        for (seq, kind, failures) in [
            (1, Kind::Check, 1),
            (2, Kind::Check, 2),
            (3, Kind::UpToDate, 0),
            (4, Kind::Check, 1),
            (5, Kind::Available, 0),
        ] {
            add(&mut remembered, seq, kind, json!({ "uptime": seq * 100 }));
            let looked = remembered.looked.clone().unwrap();
            assert_eq!(looked.failures, failures, "event {seq}");
            assert_eq!(looked.at.uptime("b"), Some(Duration::from_secs(seq * 100)));
            assert_eq!(looked.at.uptime("another boot"), None);
        }
    }

    #[test]
    fn installations_of_the_schedule_that_fail_are_counted_over_looks_that_succeed() {
        let mut remembered = Remembered::default();
        let started = |via: &str| json!({ "operation": "install", "via": via, "uid": null });
        let failed =
            json!({ "exit": 75, "error": "x", "is_passing": true, "retry_after": 600, "uptime": 50 });
        for (seq, via, failures) in [(10, "schedule", 1), (20, "api", 1), (30, "schedule", 2)] {
            add(&mut remembered, seq, Kind::Available, json!({ "uptime": 40 }));
            add(&mut remembered, seq + 1, Kind::JobStarted, started(via));
            add(&mut remembered, seq + 2, Kind::JobEnded, failed.clone());
            let install = remembered.install.clone().unwrap();
            assert_eq!((install.failures, install.retry_after), (failures, Some(600)), "{via}");
        }
        let bytes = serde_json::to_vec(&remembered).unwrap();
        assert_eq!(serde_json::from_slice::<Remembered>(&bytes).unwrap(), remembered);
        add(&mut remembered, 41, Kind::JobStarted, started("schedule"));
        add(&mut remembered, 42, Kind::JobEnded, json!({ "exit": 6, "error": "it is for another board" }));
        assert_eq!(remembered.install.as_ref().map(|install| install.failures), Some(2), "it will not pass");
        add(&mut remembered, 43, Kind::Staged, json!({}));
        assert_eq!(remembered.install, None);
    }

    #[test]
    fn trial_counts_once_in_its_boot() {
        let mut remembered = Remembered::default();
        for seq in 1..100 {
            let entry = Entry { boot_id: format!("{}", seq / 2), ..entry(seq, "update.trial") };
            remembered.add(Kind::Trial, &entry);
        }
        assert_eq!(remembered.trials.len(), TRIALS);
        assert_eq!(remembered.trials.last().map(|trial| &*trial.boot_id), Some("49"));
    }

    #[test]
    fn a_job_that_no_end_is_known_of_has_none() {
        let mut remembered = Remembered::default();
        let started = json!({ "operation": "update", "via": "api", "uid": 1000 });
        add(&mut remembered, 10, Kind::JobStarted, started.clone());
        add(&mut remembered, 20, Kind::JobStarted, started.clone());
        add(&mut remembered, 21, Kind::JobEnded, json!({ "exit": 75, "error": "no network" }));
        add(&mut remembered, 31, Kind::JobEnded, json!({ "exit": 0, "error": null }));
        let ends: Vec<_> =
            remembered.jobs.iter().map(|job| (&*job.id, job.ended.as_ref().map(|end| end.exit))).collect();
        assert_eq!(ends, [("b-1", None), ("b-2", Some(75))]);
        for seq in 4..100 {
            add(&mut remembered, seq * 10, Kind::JobStarted, started.clone());
        }
        assert_eq!(remembered.jobs.len(), JOBS);
        assert_eq!(remembered.jobs.last().map(|job| &*job.id), Some("b-99"));
    }

    #[test]
    fn releases_that_the_device_went_back_from_are_remembered_once_and_not_all() {
        let mut remembered = Remembered::default();
        add(&mut remembered, 1, Kind::HealthChanged, json!({ "healthy": false }));
        assert_eq!(remembered.healthy, Some(false));
        for n in (0..40).chain([39]) {
            let data = json!({ "version": format!("1.{n}.0"), "release": format!("{n}"), "reason": "x" });
            add(&mut remembered, n + 2, Kind::HealthRevert, data);
        }
        assert_eq!(remembered.left.len(), LEFT);
        assert_eq!(remembered.left.last().map(|left| &*left.version), Some("1.39.0"));
        let bytes = serde_json::to_vec(&remembered).unwrap();
        assert_eq!(serde_json::from_slice::<Remembered>(&bytes).unwrap(), remembered);
    }

    #[test]
    fn offers_of_components_are_remembered_until_the_next_check() {
        let mut remembered = Remembered::default();
        let offer = |n: usize| json!({ "component": format!("c{n}"), "version": "1.1.0", "release": "ab", "bytes": 7 });
        for n in 0..100 {
            add(&mut remembered, 1 + n as u64, Kind::ComponentAvailable, offer(n));
        }
        assert_eq!((remembered.offered.len(), remembered.offered["c7"].bytes), (OFFERED, 7));
        add(&mut remembered, 200, Kind::ComponentUpToDate, json!({ "component": "c7" }));
        add(&mut remembered, 201, Kind::ComponentAvailable, json!({ "component": "c8", "version": 1 }));
        assert_eq!(remembered.offered.len(), OFFERED - 2, "one that can't be read is none");
        let bytes = serde_json::to_vec(&remembered).unwrap();
        assert_eq!(serde_json::from_slice::<Remembered>(&bytes).unwrap(), remembered);
    }

    #[test]
    fn a_component_is_staged_since_its_version_was_first() {
        let mut remembered = Remembered::default();
        let state = |state: &str, target: Option<&str>| {
            json!({ "component": "core", "lifecycle": "updating", "state": state, "version": null, "target": target,
                    "attempts": 0, "reason": null })
        };
        let since = |remembered: &Remembered| {
            remembered.staged_components.get("core").map(|staged| staged.since.timestamp.clone())
        };
        let mut seq = 0;
        let mut told = |remembered: &mut Remembered, minute: u32, name: &str, target: Option<&str>| {
            seq += 1;
            let timestamp = format!("2026-01-01T00:{minute:02}:00Z");
            let entry = Entry { data: state(name, target), timestamp, ..entry(seq, "component.state") };
            remembered.add(Kind::ComponentState, &entry);
            since(remembered).map(|at| at[14..16].to_owned())
        };
        for (minute, name, target, expected) in [
            (1, "installing", Some("1.1.0"), None),
            (2, "staged", Some("1.1.0"), Some("02")),
            (3, "staged", Some("1.1.0"), Some("02")),
            (4, "armed", Some("1.1.0"), Some("02")),
            (5, "staged", Some("1.2.0"), Some("05")),
            (6, "committing", Some("1.2.0"), None),
            (7, "staged", Some("1.3.0"), Some("07")),
            (8, "idle", None, None),
        ] {
            assert_eq!(told(&mut remembered, minute, name, target).as_deref(), expected, "{minute}");
        }
    }

    #[test]
    fn inhibitors_are_remembered_until_they_end() {
        let mut remembered = Remembered::default();
        let held =
            |id: u64| json!({ "id": format!("i{id}"), "owner": "token kim", "reason": "x", "left_s": 60 });
        for n in 0..200 {
            add(&mut remembered, n + 1, Kind::InhibitorStarted, held(n));
        }
        assert_eq!(remembered.inhibitors.len(), INHIBITORS);
        add(&mut remembered, 300, Kind::InhibitorOverdue, held(7));
        add(&mut remembered, 301, Kind::InhibitorEnded, held(8));
        let found =
            |id: &str| remembered.inhibitors.iter().find(|held| held.id == id).map(|held| held.overdue);
        assert_eq!([found("i6"), found("i7"), found("i8")], [Some(false), Some(true), None]);
    }

    #[test]
    fn what_it_knows_comes_back_from_a_snapshot_and_from_one_without_it() {
        let mut remembered = Remembered::default();
        add(&mut remembered, 1, Kind::Check, json!({ "uptime": 7 }));
        add(&mut remembered, 2, Kind::Staged, json!({}));
        let bytes = serde_json::to_vec(&remembered).unwrap();
        assert_eq!(serde_json::from_slice::<Remembered>(&bytes).unwrap(), remembered);
        assert_eq!(serde_json::from_str::<Remembered>("{}").unwrap(), Remembered::default());
    }
}
