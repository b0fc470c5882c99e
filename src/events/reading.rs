//! The log as it is read: by who continues it, and by who looks at it.
use super::{Class, Entry, Fold, SNAPSHOT, Segment, SegmentName, snapshot};
use crate::ports::EventStore;
use std::{collections::BTreeMap, io};

/// What a log holds.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The entries that were asked for, and perhaps some before them; their numbers rise.
    pub entries: Vec<Entry>,
    /// What follows from all events, including those that aren't kept any more.
    pub fold: Fold,
    /// Damaged lines by segment, of the segments that were read.
    pub damaged: BTreeMap<String, u64>,
    /// Each class's newest segment: its bytes, and whether something may be appended to it.
    pub(super) newest: BTreeMap<Class, Newest>,
}

/// A class's newest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) name: SegmentName,
    pub(super) bytes: u64,
    pub(super) torn: bool,
    /// When its first entry was written.
    pub(super) began: Option<u64>,
}

impl Reading {
    /// Read the entries whose numbers are above `after`, and the fold. What is read is durable: a reader that remembers a
    /// number never sees it again for another event, whenever the power goes.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn after(store: &mut dyn EventStore, after: u64) -> io::Result<Reading> {
        let files = store.files()?;
        let snapshot = match files.iter().any(|(name, _)| name == SNAPSHOT) {
            true => snapshot::read(&store.read(SNAPSHOT)?).unwrap_or_default(),
            false => Fold::default(),
        };
        let mut names: Vec<SegmentName> = files.iter().filter_map(|(name, _)| name.parse().ok()).collect();
        names.sort();
        let needed = after.min(snapshot.seq);
        let mut reading = Reading::default();
        for class in Class::ALL {
            let of_class: Vec<SegmentName> =
                names.iter().copied().filter(|name| name.class == class).collect();
            for (i, name) in of_class.iter().enumerate() {
                // All that is in it is below the next one's number.
                let next = of_class.get(i + 1);
                if next.is_some_and(|next| next.first <= needed.saturating_add(1)) {
                    continue;
                }
                reading.add(store, *name, next.is_none())?;
            }
        }
        reading.entries.sort_by_key(|entry| entry.seq);
        reading.entries.dedup_by_key(|entry| entry.seq);
        reading.fold = Fold::of(snapshot, &reading.entries);
        reading.entries.retain(|entry| entry.seq > after);
        Ok(reading)
    }

    /// The highest number that may stand for an event.
    pub(super) fn last(&self) -> u64 {
        let names = self.newest.values().map(|newest| newest.name.first);
        names.chain([self.fold.seq]).max().unwrap_or_default()
    }

    fn add(&mut self, store: &mut dyn EventStore, name: SegmentName, is_newest: bool) -> io::Result<()> {
        let file = name.to_string();
        let bytes = match store.read(&file) {
            // It went meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            bytes => bytes?,
        };
        let segment = Segment::parse(&bytes);
        if is_newest {
            store.sync(&file)?;
            let (bytes, torn) = (bytes.len() as u64, segment.torn);
            let began = segment.entries.first().and_then(Entry::time);
            self.newest.insert(name.class, Newest { name, bytes, torn, began });
        }
        if segment.damaged > 0 {
            self.damaged.insert(file, segment.damaged);
        }
        self.entries.extend(segment.entries);
        Ok(())
    }
}
