//! What the event log is told of inhibitors: that one began, ended, or holds for longer than is usual. Pure.
use super::{
    Report,
    inhibitors::{Held, OVERDUE},
};
use crate::events::{HeldOff, Kind};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

/// Inhibitors that the log knows of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holds(BTreeMap<String, Known>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    owner: String,
    reason: String,
    /// When it began and when it ends, if this run has seen it.
    times: Option<(Duration, Duration)>,
    is_overdue: bool,
}

impl Holds {
    /// As the log says: those of an earlier run, and of an earlier boot.
    pub(super) fn known(log: &[HeldOff]) -> Holds {
        let known = log.iter().map(|HeldOff { id, owner, reason, overdue }| {
            let (owner, reason) = (owner.clone(), reason.clone());
            (id.clone(), Known { owner, reason, times: None, is_overdue: *overdue })
        });
        Holds(known.collect())
    }

    /// What holds now: what of it has to be reported.
    pub(super) fn look(&mut self, now: Duration, held: &[Held]) -> Vec<Report> {
        let mut reports = Vec::new();
        let holds: Vec<&Held> = held.iter().filter(|held| held.ends > now).collect();
        let gone = |id: &String| !holds.iter().any(|held| held.id == *id);
        let ended: Vec<String> = self.0.keys().filter(|id| gone(id)).cloned().collect();
        for id in ended {
            let Some(Known { owner, reason, times, .. }) = self.0.remove(&id) else { continue };
            let held_for = times.map(|(began, _)| now.saturating_sub(began).as_secs());
            let why = if times.is_some_and(|(_, ends)| ends <= now) { "expired" } else { "removed" };
            let data = json!({ "id": id, "owner": owner, "reason": reason, "held_s": held_for, "why": why });
            reports.push(report(Kind::InhibitorEnded, data));
        }
        for Held { id, owner, reason, began, ends } in holds {
            let known = self.0.entry(id.clone()).or_insert_with(|| {
                let left = ends.saturating_sub(now).as_secs();
                let data = json!({ "id": id, "owner": owner, "reason": reason, "left_s": left });
                reports.push(report(Kind::InhibitorStarted, data));
                Known { owner: owner.clone(), reason: reason.clone(), times: None, is_overdue: false }
            });
            known.times = Some((*began, *ends));
            let held_for = now.saturating_sub(*began);
            if held_for >= OVERDUE && !known.is_overdue {
                known.is_overdue = true;
                let data =
                    json!({ "id": id, "owner": owner, "reason": reason, "held_s": held_for.as_secs() });
                reports.push(report(Kind::InhibitorOverdue, data));
            }
        }
        reports
    }
}

fn report(kind: Kind, data: serde_json::Value) -> Report {
    Report { kind, source: "daemon", data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3600;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn held(id: &str, began: u64, ends: u64) -> Held {
        let (owner, reason) = ("token kim".into(), "x".into());
        Held { id: id.into(), owner, reason, began: s(began), ends: s(ends) }
    }

    fn told(reports: &[Report]) -> Vec<(Kind, String)> {
        reports.iter().map(|r| (r.kind, r.data["id"].as_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn each_is_told_once_when_it_begins_is_overdue_and_ends() {
        let mut holds = Holds::default();
        let (a, b) = (held("a", 0, 24 * HOUR), held("b", 0, HOUR));
        let both = [a.clone(), b];
        assert_eq!(told(&holds.look(s(0), &both)).len(), 2);
        assert_eq!(told(&holds.look(s(1), &both)), []);
        let ended = holds.look(s(HOUR), &both);
        assert_eq!(told(&ended), [(Kind::InhibitorEnded, "b".into())]);
        assert_eq!((&ended[0].data["why"], &ended[0].data["held_s"]), (&json!("expired"), &json!(HOUR)));
        for (hours, expected) in [(12, vec![(Kind::InhibitorOverdue, "a".to_owned())]), (13, vec![])] {
            assert_eq!(told(&holds.look(s(hours * HOUR), std::slice::from_ref(&a))), expected, "{hours} h");
        }
        let ended = holds.look(s(14 * HOUR), &[]);
        assert_eq!(
            (told(&ended), &ended[0].data["why"]),
            (vec![(Kind::InhibitorEnded, "a".into())], &json!("removed"))
        );
        assert_eq!(holds, Holds::default());
    }

    #[test]
    fn next_run_knows_what_was_told() {
        let log = |id: &str| HeldOff { id: id.into(), owner: "o".into(), reason: "r".into(), overdue: true };
        let mut holds = Holds::known(&[log("a"), log("b")]);
        let reports = holds.look(s(20 * HOUR), &[held("a", 0, 24 * HOUR), held("c", 19 * HOUR, 21 * HOUR)]);
        // What ended while no daemon ran has an unknown end.
        assert_eq!(
            reports[0].data,
            json!({ "id": "b", "owner": "o", "reason": "r", "held_s": null, "why": "removed" })
        );
        assert_eq!(told(&reports[1..]), [(Kind::InhibitorStarted, "c".into())]);
    }

    proptest! {
        #[test]
        fn whatever_begins_ends_once(rounds in prop::collection::vec(prop::collection::vec((0..6_u8, 0..90_000_u64), 0..5), 1..30)) {
            let (mut holds, mut open) = (Holds::default(), std::collections::BTreeSet::new());
            for (round, files) in rounds.iter().enumerate() {
                let now = round as u64 * 5000;
                let mut ids = std::collections::BTreeSet::new();
                let files: Vec<Held> =
                    files.iter().filter(|(id, _)| ids.insert(*id)).map(|(id, ends)| held(&id.to_string(), now / 2, *ends)).collect();
                for (kind, id) in told(&holds.look(s(now), &files)) {
                    match kind {
                        Kind::InhibitorStarted => prop_assert!(open.insert(id)),
                        Kind::InhibitorEnded => prop_assert!(open.remove(&id)),
                        _ => prop_assert!(open.contains(&id)),
                    }
                }
                let now_open: std::collections::BTreeSet<String> =
                    files.iter().filter(|file| file.ends > s(now)).map(|file| file.id.clone()).collect();
                prop_assert_eq!(&open, &now_open);
            }
        }
    }
}
