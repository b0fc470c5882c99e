//! What was seen of a device's event log, beside what it shows now: a durable event is never lost, and no number is used twice.
use bistable::events::Kind;
use serde_json::Value;
use std::collections::BTreeMap;
use thiserror::Error;

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// It isn't what `bistable events --json` prints.
    #[error("no event log: {0}")]
    NotALog(String),
    /// A number stands for two events.
    #[error("event {0} is there twice")]
    Twice(u64),
    /// A durable event is gone, or its number stands for another one.
    #[error("event {0} was lost, or is another one now")]
    Lost(u64),
    /// Not one commit, or a trial behind it.
    #[error("commits {committed:?}, trials {trials:?}: one commit is expected, behind every trial")]
    Undecided {
        /// Numbers of `update.committed`.
        committed: Vec<u64>,
        /// Numbers of `update.trial`.
        trials: Vec<u64>,
    },
}

/// An event: its type and its id.
type Event = (String, String);

/// The durable events that were seen, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger(BTreeMap<u64, Event>);

impl Ledger {
    /// Look at what `bistable events --json` printed, with the same filter each time.
    ///
    /// # Errors
    /// When something that was seen before is missing, or a number is there twice.
    pub fn look(&mut self, log: &Value) -> Result<(), LedgerError> {
        let none = || LedgerError::NotALog(log.to_string());
        let mut now = BTreeMap::new();
        for event in log["events"].as_array().ok_or_else(none)? {
            let text = |name: &str| Some(event[name].as_str()?.to_owned());
            let (Some(seq), Some(kind), Some(id)) = (event["seq"].as_u64(), text("type"), text("id")) else {
                return Err(none());
            };
            if now.insert(seq, (kind, id)).is_some() {
                return Err(LedgerError::Twice(seq));
            }
        }
        for (seq, event) in &self.0 {
            if now.get(seq) != Some(event) {
                return Err(LedgerError::Lost(*seq));
            }
        }
        now.retain(|_, (kind, _)| Kind::named(kind).is_some_and(|kind| kind.traits().durable));
        self.0 = now;
        Ok(())
    }

    /// The update was committed once, and not tried after that.
    ///
    /// # Errors
    /// When it wasn't.
    pub fn is_decided_once(&self) -> Result<(), LedgerError> {
        let of = |name: &str| -> Vec<u64> {
            self.0.iter().filter(|(_, (kind, _))| kind == name).map(|(seq, _)| *seq).collect()
        };
        let (committed, trials) = (of("update.committed"), of("update.trial"));
        match *committed {
            [commit] if trials.iter().all(|trial| *trial < commit) => Ok(()),
            _ => Err(LedgerError::Undecided { committed, trials }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn log(events: &[(u64, &str, &str)]) -> Value {
        let events = events.iter().map(|(seq, kind, id)| json!({ "seq": seq, "type": kind, "id": id }));
        json!({ "events": events.collect::<Vec<_>>() })
    }

    #[test]
    fn what_was_durable_stays_and_what_was_not_may_go() {
        let mut ledger = Ledger::default();
        ledger.look(&log(&[(1, "update.trial", "a"), (2, "update.remark", "b")])).unwrap();
        ledger.look(&log(&[(1, "update.trial", "a"), (3, "update.committed", "c")])).unwrap();
        ledger.is_decided_once().unwrap();
        let before = ledger.clone();
        for gone in [
            log(&[(3, "update.committed", "c")]),
            log(&[(1, "update.trial", "x"), (3, "update.committed", "c")]),
        ] {
            assert_eq!(ledger.look(&gone), Err(LedgerError::Lost(1)));
        }
        let twice =
            log(&[(1, "update.trial", "a"), (3, "update.committed", "c"), (3, "update.committed", "d")]);
        assert_eq!(ledger.look(&twice), Err(LedgerError::Twice(3)));
        assert!(matches!(ledger.look(&json!({ "events": [{}] })), Err(LedgerError::NotALog(_))));
        assert_eq!(ledger, before);
    }

    #[test]
    fn a_trial_behind_the_commit_and_a_second_commit_are_found() {
        for wrong in [
            &[(1, "update.trial", "a")][..],
            &[(1, "update.committed", "a"), (2, "update.trial", "b")],
            &[(1, "update.committed", "a"), (2, "update.committed", "b")],
        ] {
            let mut ledger = Ledger::default();
            ledger.look(&log(wrong)).unwrap();
            assert!(matches!(ledger.is_decided_once(), Err(LedgerError::Undecided { .. })), "{wrong:?}");
        }
    }
}
