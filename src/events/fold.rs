//! What follows from all events: the state of the update, how past ones ended, and counts.
//!
//! `fold(snapshot, tail)` is the same as the fold of everything, so segments may go whose entries are in a snapshot.
use super::{Ended, Entry, Kind, Remembered, Shown, Subject, Tally, Transition, kind::StreamKind};
use crate::event::ComponentShown;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Ends of updates that are remembered: as many as the journal remembers.
pub(super) const ENDS: usize = bistable_boot::HISTORY_LEN;
/// Types and sources come from files: more than these are not counted.
const NAMES_MAX: usize = 256;

/// What follows from all events up to a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// The number of the newest.
    pub seq: u64,
    /// The number in each stream that outlives a request.
    pub streams: BTreeMap<String, u64>,
    /// Where the update is; `None` before the first event that says so.
    pub update: Option<Shown>,
    /// What the journal holds of it: that is all that outlives a boot.
    pub saved: Option<Shown>,
    /// How past updates ended, the oldest first.
    pub ends: Vec<End>,
    /// The configuration that was reported last: of each value that is set a digest.
    pub config: BTreeMap<String, String>,
    /// How often each type was reported.
    pub counts: BTreeMap<String, u64>,
    /// Events that couldn't be written.
    pub dropped: u64,
    /// Damaged lines that were reported, by the segment that they are in.
    pub damaged: BTreeMap<String, u64>,
    /// Where each component is, by its name, with the newest update of it that ended.
    #[serde(default)]
    pub components: BTreeMap<String, ComponentShown>,
    /// What the daemon knows again after a boot.
    #[serde(default)]
    pub remembered: Remembered,
    /// Totals, for metrics.
    #[serde(default)]
    pub tally: Tally,
}

/// How a past update ended, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The number of the event.
    pub seq: u64,
    /// The release.
    pub release: Subject,
    /// The type of the event.
    pub kind: String,
    /// When it ended.
    pub timestamp: String,
    /// Whether the clock could be believed then.
    pub synchronized: bool,
}

impl End {
    /// Seconds since 1970, if the clock could be believed then.
    pub fn time(&self) -> Option<u64> {
        crate::date::believed(&self.timestamp, self.synchronized)
    }
}

impl Fold {
    /// What follows from a snapshot and the entries behind it. Entries that the snapshot has already are passed over.
    pub fn of<'a>(snapshot: Fold, tail: impl IntoIterator<Item = &'a Entry>) -> Fold {
        tail.into_iter().fold(snapshot, |mut fold, entry| {
            fold.add(entry);
            fold
        })
    }

    /// One more entry.
    pub fn add(&mut self, entry: &Entry) {
        if entry.seq <= self.seq {
            return;
        }
        self.seq = entry.seq;
        if !entry.stream.starts_with("job/") && has_room(&self.streams, &entry.stream) {
            self.streams.insert(entry.stream.clone(), entry.stream_seq);
        }
        if has_room(&self.counts, &entry.kind) {
            let count = self.counts.entry(entry.kind.clone()).or_default();
            *count = count.saturating_add(1).saturating_add(entry.repeats);
        }
        if let Some(kind) = Kind::named(&entry.kind) {
            self.remembered.add(kind, entry);
            self.tally.add(kind, entry);
        }
        let number = |name: &str| entry.data.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        match Kind::named(&entry.kind) {
            Some(Kind::Dropped) => self.dropped = self.dropped.saturating_add(number("events")),
            Some(Kind::Damaged) => {
                let segment =
                    entry.data.get("segment").and_then(serde_json::Value::as_str).unwrap_or_default();
                if has_room(&self.damaged, segment) {
                    self.damaged.insert(segment.to_owned(), number("lines"));
                }
            }
            Some(Kind::ConfigChanged) => {
                let set = entry.data.get("set").cloned().unwrap_or_default();
                self.config = serde_json::from_value(set).unwrap_or_default();
            }
            Some(kind) if kind.traits().state => match kind.traits().stream {
                StreamKind::Component => self.component(entry),
                StreamKind::Device | StreamKind::Job => self.state(entry),
            },
            _ => {}
        }
    }

    fn component(&mut self, entry: &Entry) {
        let Ok(mut shown) = serde_json::from_value::<ComponentShown>(entry.data.clone()) else { return };
        if !has_room(&self.components, &shown.component) {
            return;
        }
        if shown.ended.is_none() {
            shown.ended = self.components.remove(&shown.component).and_then(|before| before.ended);
        }
        self.components.insert(shown.component.clone(), shown);
    }

    fn state(&mut self, entry: &Entry) {
        let Ok(Transition { update, derived, ended, .. }) = serde_json::from_value(entry.data.clone()) else {
            return;
        };
        if !derived {
            self.saved = Some(update.clone());
        }
        self.update = Some(update);
        let Some(Ended { release, kind, .. }) = ended else { return };
        self.ends.push(End {
            seq: entry.seq,
            release,
            kind,
            timestamp: entry.timestamp.clone(),
            synchronized: entry.synchronized,
        });
        if self.ends.len() > ENDS {
            self.ends.remove(0);
        }
    }

    /// The next number in a stream; the streams of requests are counted by who reports for them.
    pub fn next_in(&self, stream: &str) -> u64 {
        self.streams.get(stream).copied().unwrap_or(0).saturating_add(1)
    }
}

fn has_room<T>(names: &BTreeMap<String, T>, name: &str) -> bool {
    names.len() < NAMES_MAX || names.contains_key(name)
}

/// The stream of a type with that data, in a request of that name.
pub(super) fn stream(kind: Kind, job: &str, data: &serde_json::Value) -> String {
    match kind.traits().stream {
        StreamKind::Component => {
            let name = data.get("component").and_then(serde_json::Value::as_str).unwrap_or_default();
            format!("component/{name}")
        }
        StreamKind::Device => "device".into(),
        StreamKind::Job => format!("job/{job}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::entry;
    use super::*;
    use crate::event::{ComponentEnded, ComponentResult};
    use bistable_boot::Slot;
    use proptest::prelude::*;

    fn any_entry(seq: u64, what: u8) -> Entry {
        let release = Subject { version: format!("1.{what}.0"), identity: "ab".into(), slot: Slot::B };
        let update = Shown {
            state: format!("state {what}"),
            release: Some(release.clone()),
            attempts: Some(what),
            refused: 0,
            asked: false,
            reason: None,
        };
        let ended =
            what.is_multiple_of(2).then(|| Ended { release, kind: "update.committed".into(), reason: None });
        let data =
            serde_json::to_value(Transition { update, derived: what.is_multiple_of(3), ended, reason: None })
                .unwrap();
        let component = ComponentShown {
            bound: None,
            halted: what.is_multiple_of(5),
            component: format!("c{}", what % 3),
            lifecycle: "running".into(),
            state: format!("state {what}"),
            version: None,
            target: None,
            attempts: what,
            reason: None,
            ended: what.is_multiple_of(7).then(|| ComponentEnded {
                version: format!("1.{what}.0"),
                release: "ab".into(),
                result: ComponentResult::RolledBack,
                reason: None,
            }),
        };
        match what % 5 {
            1 => Entry {
                data: serde_json::to_value(component).unwrap(),
                stream: "component/c".into(),
                ..entry(seq, "component.state")
            },
            0 | 4 => Entry { data, ..entry(seq, "update.staged") },
            2 => Entry { data: serde_json::json!({ "events": what }), ..entry(seq, "storage.dropped") },
            _ => Entry { stream: "job/x".into(), ..entry(seq, "a.newer.type") },
        }
    }

    proptest! {
        #[test]
        fn a_snapshot_and_the_tail_are_the_same_as_everything(
            what in prop::collection::vec(any::<u8>(), 0..60), cut in 0..60_usize, overlap in 0..10_usize,
        ) {
            let all: Vec<Entry> = (1..).zip(&what).map(|(seq, what)| any_entry(seq, *what)).collect();
            let cut = cut.min(all.len());
            let snapshot = Fold::of(Fold::default(), &all[..cut]);
            let bytes = serde_json::to_vec(&snapshot).unwrap();
            let snapshot = serde_json::from_slice(&bytes).unwrap();
            let fold = Fold::of(snapshot, &all[cut.saturating_sub(overlap)..]);
            prop_assert_eq!(fold, Fold::of(Fold::default(), &all));
        }
    }

    #[test]
    fn types_of_newer_agents_are_counted_and_change_nothing_else() {
        let fold = Fold::of(Fold::default(), [&entry(1, "update.teleported")]);
        assert_eq!((fold.update.clone(), fold.counts["update.teleported"], fold.seq), (None, 1, 1));
        // Nor does one of ours that can't be understood.
        let fold = Fold::of(fold, [&entry(2, "update.armed")]);
        assert_eq!((fold.update, fold.seq), (None, 2));
    }

    #[test]
    fn ends_and_names_that_are_remembered_are_limited() {
        let all: Vec<Entry> =
            (1..=1000).map(|seq| Entry { kind: format!("k{seq}"), ..entry(seq, "") }).collect();
        assert_eq!(Fold::of(Fold::default(), &all).counts.len(), NAMES_MAX);
        let all: Vec<Entry> = (1..=100).map(|seq| any_entry(seq, 4)).collect();
        let fold = Fold::of(Fold::default(), &all);
        assert_eq!((fold.ends.len(), fold.ends.last().map(|end| end.seq)), (ENDS, Some(100)));
    }
}
