//! A record of the agent, the real one, made small enough to be one of finitely many.
use bistable_boot::{Boot, Entry, Event, Failure, Now, Outcome, Reason, Record, Refused, Saved, Slot};
use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// A record without what would make each one unlike all others, and where the device is.
///
/// What is left out decides nothing:
/// - `seq` is compared only between the two copies of the journal, so it is kept there, as a rank.
/// - `attempts` beside the state, and the words of a failure, are only ever shown.
/// - of the history, only this is asked: whether a release is in it, and whether it was ever committed. So one entry
///   for each release stands for all, as long as fewer updates are begun than the history has room for.
/// - the rejected are asked for one by one, so their order says nothing as long as all have room.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    record: Record,
    now: Now,
    /// Made once, because states are hashed far more often than records change.
    print: u64,
}

impl Memory {
    /// That of a new device.
    pub fn provision(slot: Slot) -> Memory {
        let factory = super::world::Rel::FACTORY.image();
        let mut record = Record::provision("", factory.clone(), 1);
        record.slots = bistable_boot::BySlot::new(|s| (s == slot).then(|| factory.clone()));
        Memory::saved(record)
    }

    /// The device is where the record says.
    fn saved(record: Record) -> Memory {
        let now = Now::Saved(record.state.clone());
        Memory::of(record, now)
    }

    fn of(mut record: Record, now: Now) -> Memory {
        record.seq = 0;
        record.attempts = 0;
        record.state = quiet(record.state);
        let now = match now {
            Now::Saved(saved) => Now::Saved(quiet(saved)),
            trial @ Now::Trial { .. } => trial,
        };
        for rejected in &mut record.rejected {
            rejected.failure = mute(&rejected.failure);
        }
        record.rejected.sort_by_key(|r| r.release);
        record.history = summary(&record.history);
        let mut hasher = DefaultHasher::new();
        // A record of the real agent always encodes: its journal does nothing else.
        postcard::to_allocvec(&record).unwrap_or_default().hash(&mut hasher);
        if let Now::Saved(saved) = &now {
            postcard::to_allocvec(saved).unwrap_or_default().hash(&mut hasher);
        }
        Memory(Arc::new(Inner { record, now, print: hasher.finish() }))
    }

    /// Where the device is.
    pub fn now(&self) -> &Now {
        &self.0.now
    }

    /// The same record in that boot.
    pub fn booted(&self, boot: Boot) -> Memory {
        Memory::of(self.0.record.clone(), self.state.booted(boot))
    }

    /// The same record, if its verdict may be about another boot.
    pub fn doubted(self) -> Memory {
        match self.state.unproven() {
            Some(now) => Memory::of(self.0.record.clone(), now),
            None => self,
        }
    }

    /// What the events make of it: `None` if nothing.
    ///
    /// # Errors
    /// When one of them makes no sense.
    pub fn on(&self, events: &[Event]) -> Result<Option<Memory>, Refused> {
        let (mut record, mut now) = (self.0.record.clone(), self.0.now.clone());
        let mut changed = false;
        for event in events {
            changed |= record.on(&mut now, event.clone())?;
        }
        Ok(changed.then(|| Memory::saved(record)))
    }

    /// Whether a release that is in the other slot may be gone back to: it was never tried here, or was committed.
    pub fn may_return(&self, release: &bistable_boot::ReleaseId) -> bool {
        let entry = self.history.iter().find(|e| e.release == *release);
        entry.is_none_or(|e| e.outcome == Outcome::Committed)
    }
}

impl Deref for Memory {
    type Target = Record;
    fn deref(&self) -> &Record {
        &self.0.record
    }
}

impl PartialEq for Memory {
    fn eq(&self, other: &Memory) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (&self.0.record, &self.0.now) == (&other.0.record, &other.0.now)
    }
}

impl Eq for Memory {}

impl Hash for Memory {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.0.print);
    }
}

/// Without the words of its failure.
fn quiet(mut state: Saved) -> Saved {
    if let Saved::Reverting { failure, .. } = &mut state {
        *failure = mute(failure);
    }
    state
}

fn mute(failure: &Failure) -> Failure {
    Failure::new(failure.reason, "")
}

/// One entry for each release: committed, if it ever was.
fn summary(history: &[Entry]) -> Vec<Entry> {
    let mut kept: Vec<Entry> = Vec::new();
    for entry in history {
        let proven = entry.outcome.is_proven();
        let before = kept.iter().position(|k| k.release == entry.release);
        let proven = proven || before.is_some_and(|at| kept[at].outcome == Outcome::Committed);
        let outcome = match proven {
            true => Outcome::Committed,
            false => Outcome::Abandoned(Failure::new(Reason::Install, "")),
        };
        let entry = Entry { outcome, slot: Slot::A, attempts: 0, ..entry.clone() };
        match before {
            Some(at) => kept[at] = entry,
            None => kept.push(entry),
        }
    }
    kept.sort_by_key(|e| e.release);
    kept
}
