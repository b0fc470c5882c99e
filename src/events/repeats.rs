//! The same event again and again is written once, and then once more with how often it came.
use super::Kind;
use serde_json::Value;
use std::collections::BTreeMap;

/// Seconds for which the same again is held back.
const WINDOW: u64 = 600;
/// Sources are few; from more than these nothing is held back.
const SOURCES_MAX: usize = 64;

#[derive(Clone, Debug)]
struct Last {
    data: Value,
    at: u64,
    held: u64,
}

/// The last event of each type and source.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats(BTreeMap<(Kind, String), Last>);

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Repeated {
    /// It is held back.
    Again,
    /// It is another one, or enough time has passed.
    New {
        /// What was held back, and how often.
        held: Option<(Value, u64)>,
    },
}

impl Repeats {
    /// One more event, at that time.
    pub(super) fn next(&mut self, kind: Kind, source: &str, data: &Value, now: u64) -> Repeated {
        let key = (kind, source.to_owned());
        let room = self.0.len() < SOURCES_MAX;
        match self.0.get_mut(&key) {
            Some(last) if last.data == *data && now.saturating_sub(last.at) < WINDOW => {
                last.held = last.held.saturating_add(1);
                Repeated::Again
            }
            Some(last) => {
                let held = std::mem::replace(last, Last { data: data.clone(), at: now, held: 0 });
                Repeated::New { held: (held.held > 0).then_some((held.data, held.held)) }
            }
            None => {
                if room {
                    self.0.insert(key, Last { data: data.clone(), at: now, held: 0 });
                }
                Repeated::New { held: None }
            }
        }
    }

    /// All that is held back: type, source, data, and how often.
    pub(super) fn take_all(&mut self) -> Vec<(Kind, String, Value, u64)> {
        let all = std::mem::take(&mut self.0);
        let held = all.into_iter().filter(|(_, last)| last.held > 0);
        held.map(|((kind, source), last)| (kind, source, last.data, last.held)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_is_held_back_and_comes_once_more_with_its_count() {
        let mut repeats = Repeats::default();
        let mut next = |n: u64, now| repeats.next(Kind::UpToDate, "agent", &json!(n), now);
        assert_eq!(next(1, 0), Repeated::New { held: None });
        assert_eq!((next(1, 10), next(1, 20)), (Repeated::Again, Repeated::Again));
        assert_eq!(next(2, 30), Repeated::New { held: Some((json!(1), 2)) });
        // After a while it is news again.
        assert_eq!(next(2, 700), Repeated::New { held: None });
        assert_eq!(next(2, 710), Repeated::Again);
        assert_eq!(repeats.take_all(), [(Kind::UpToDate, "agent".into(), json!(2), 1)]);
        assert_eq!(repeats.take_all(), []);
    }
}
