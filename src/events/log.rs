//! The log as it is written: numbers, order, and what is durable when.
//!
//! Whoever holds the device's lock writes it. Nothing here fails: an update doesn't depend on its log (I19). What can't be
//! written is counted, and reported as soon as something can be written again.
use super::{
    Class, Ended, Entry, Fold, Kind, Limits, Overlay, Passage, Priority, Quota, Reading, SNAPSHOT, Segment,
    SegmentName, Shown, Transition, VERSION, fold,
    overlay::OVERLAY_SNAPSHOT,
    packed, padded,
    reading::Newest,
    repeats::{Repeated, Repeats},
    retention::{Kept, expired},
    snapshot,
};
use crate::{
    event::ComponentShown,
    ports::{EventPorts, EventStore, Stamp, Stamps},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::Duration,
};

/// What isn't durable at once is written after this time at most.
pub const DELAY: Duration = Duration::from_secs(30);
/// Events that wait at most.
const WAITING_MAX: usize = 64;
/// Numbers that a torn write may have held: they are not used again, although no reader can have seen them.
const TORN_NUMBERS: u64 = 2 * WAITING_MAX as u64;

/// Who writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The run of the program.
    pub id: String,
    /// The request that it serves.
    pub request: String,
}

/// Where events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Onto the partition that outlives updates.
    Persistent,
    /// Into memory: they last until the next boot.
    Volatile,
    /// Nowhere: they are only counted.
    Nowhere,
}

/// The event log.
#[allow(missing_debug_implementations, reason = "the ports are trait objects")]
pub struct Log {
    store: Option<Box<dyn EventStore>>,
    place: Place,
    stamps: Box<dyn Stamps>,
    session: Session,
    fold: Fold,
    next: u64,
    streams: BTreeMap<String, u64>,
    newest: BTreeMap<Class, Newest>,
    waiting: Vec<(Class, Entry)>,
    since: Duration,
    quota: Quota,
    repeats: Repeats,
    /// Events that couldn't be written, and that no event tells of yet.
    dropped: u64,
    problem: Option<String>,
    /// Whether a write failed: what of it is there isn't known until the log is read again.
    doubt: bool,
}

impl Log {
    /// Open the log, on the partition that outlives updates if it can be.
    pub fn open(ports: EventPorts, session: Session) -> Log {
        let EventPorts { persistent, read_only, volatile, stamps } = ports;
        let mut is_told = false;
        let (place, opened, why, memory) = match persistent.and_then(load) {
            Ok(opened) => (Place::Persistent, Some(opened), None, volatile.ok()),
            Err(why) => match volatile.and_then(|memory| in_memory(memory, read_only, &mut is_told)) {
                Ok(opened) => (Place::Volatile, Some(opened), Some(why.to_string()), None),
                Err(_) => (Place::Nowhere, None, Some(why.to_string()), None),
            },
        };
        let (store, reading) =
            opened.map_or((None, Reading::default()), |(store, reading)| (Some(store), reading));
        let last = reading.last();
        let Reading { entries, fold, damaged, newest } = reading;
        let skipped = if newest.values().any(|newest| newest.torn) { TORN_NUMBERS } else { 0 };
        let mut log = Log {
            store,
            place,
            stamps,
            session,
            next: last.saturating_add(1).saturating_add(skipped),
            streams: fold.streams.clone(),
            fold,
            newest,
            waiting: Vec::new(),
            since: Duration::ZERO,
            quota: Quota::default(),
            repeats: Repeats::default(),
            dropped: 0,
            problem: None,
            doubt: false,
        };
        log.remember(&entries);
        if let Some(why) = why {
            log::warn!(reason:% = why; "events_not_persistent");
            if !is_told {
                log.append(Kind::Fallback, "log", json!({ "reason": why }));
            }
        }
        for (segment, lines) in damaged {
            if log.fold.damaged.get(&segment) != Some(&lines) {
                log.append(Kind::Damaged, "log", json!({ "segment": segment, "lines": lines }));
            }
        }
        if let Some(memory) = memory
            && let Err(e) = log.take_over(memory, &entries)
        {
            log::warn!(reason:% = e; "events_stay_in_memory");
        }
        log
    }

    /// Take in what was written into memory while the partition could not be used. The program may be killed in it anywhere: what is
    /// here already, by its id, is not taken again, and memory is emptied last. Numbers are those of this log, since those of
    /// memory were its own.
    fn take_over(&mut self, mut memory: Box<dyn EventStore>, here: &[Entry]) -> io::Result<()> {
        let Reading { entries, fold, .. } = Reading::after(&mut *memory, 0)?;
        if entries.is_empty() {
            return Ok(());
        }
        let here: BTreeSet<&str> = here.iter().map(|entry| entry.id.as_str()).collect();
        let missing: Vec<Entry> =
            entries.into_iter().filter(|entry| !here.contains(entry.id.as_str())).collect();
        for some in missing.chunks(WAITING_MAX) {
            self.flush();
            for entry in some {
                let class = Kind::named(&entry.kind).map_or(Class::Operational, |kind| kind.traits().class);
                let seq = self.number();
                let stream_seq = self.number_in(&entry.stream);
                self.waiting.push((class, Entry { seq, stream_seq, ..entry.clone() }));
            }
            self.flush();
            // What could not be written is taken the next time: it is still in memory, so it isn't lost.
            if let Some(why) = self.problem.take() {
                self.dropped = self.dropped.saturating_sub(some.len() as u64);
                return Err(io::Error::other(why));
            }
        }
        if !missing.is_empty() {
            self.append(Kind::Restored, "log", json!({ "events": missing.len() }));
            self.flush();
        }
        // Its numbers are not used again in this boot.
        memory.replace(SNAPSHOT, &snapshot::write(&fold))?;
        for (name, _) in memory.files()? {
            if name == OVERLAY_SNAPSHOT || name.parse::<SegmentName>().is_ok() {
                memory.remove(&name)?;
            }
        }
        Ok(())
    }

    /// The next number.
    fn number(&mut self) -> u64 {
        let seq = self.next;
        self.next = self.next.saturating_add(1);
        seq
    }

    /// The next number in a stream.
    fn number_in(&mut self, stream: &str) -> u64 {
        let number = self.streams.entry(stream.to_owned()).or_default();
        *number = number.saturating_add(1);
        *number
    }

    /// What was reported lately counts: a source that floods does so in many runs of the program.
    fn remember(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let (Some(kind), Some(time)) = (Kind::named(&entry.kind), entry.time())
                && !kind.traits().state
            {
                self.quota.take(kind.traits().class, &entry.source, time);
            }
        }
    }

    /// The moment that is now.
    pub fn now(&mut self) -> Stamp {
        self.stamps.now()
    }

    /// Where events go.
    pub fn place(&self) -> Place {
        self.place
    }

    /// What follows from all events that were written.
    pub fn fold(&self) -> &Fold {
        &self.fold
    }

    /// Why events couldn't be written, if they couldn't, and how many.
    pub fn trouble(&self) -> Option<(u64, &str)> {
        Some((self.dropped, self.problem.as_deref()?))
    }

    /// Report something. After this returns, an event of a [durable](super::Traits::durable) type survives a power cut, unless
    /// it couldn't be written.
    pub fn append(&mut self, kind: Kind, source: &str, data: Value) {
        self.append_as(kind, kind.traits().priority, source, data);
    }

    /// The same with another priority than the type's.
    pub fn append_as(&mut self, kind: Kind, priority: Priority, source: &str, data: Value) {
        let (stamp, traits) = (self.stamps.now(), kind.traits());
        if traits.state {
            return self.put(stamp, kind, priority, source, 0, data);
        }
        match self.repeats.next(kind, source, &data, stamp.unix) {
            Repeated::Again => return,
            Repeated::New { held } => {
                if let Some((data, times)) = held {
                    self.put(stamp, kind, priority, source, times - 1, data);
                }
            }
        }
        match self.quota.take(traits.class, source, stamp.unix) {
            Passage::Passed { over: 0 } => {}
            Passage::Passed { over } => {
                let data = json!({ "source": source, "class": traits.class.name(), "events": over });
                self.put(stamp, Kind::Throttled, Priority::Warning, "log", 0, data);
            }
            Passage::LeftOut { first: true } => {
                let data = json!({ "source": source, "class": traits.class.name(), "events": 1 });
                return self.put(stamp, Kind::Throttled, Priority::Warning, "log", 0, data);
            }
            Passage::LeftOut { first: false } => return,
        }
        self.put(stamp, kind, priority, source, 0, data);
    }

    fn put(&mut self, stamp: Stamp, kind: Kind, priority: Priority, source: &str, repeats: u64, data: Value) {
        let entry = self.entry(stamp, kind, priority, source, repeats, data);
        if self.waiting.is_empty() {
            self.since = stamp.uptime;
        }
        self.waiting.push((kind.traits().class, entry));
        let waited = stamp.uptime.saturating_sub(self.since);
        if kind.traits().durable || waited >= DELAY || self.waiting.len() >= WAITING_MAX {
            self.flush();
        }
    }

    fn entry(
        &mut self,
        stamp: Stamp,
        kind: Kind,
        priority: Priority,
        source: &str,
        repeats: u64,
        data: Value,
    ) -> Entry {
        let seq = self.number();
        let stream = fold::stream(kind, &self.session.request, &data);
        let stream_seq = self.number_in(&stream);
        // Memory has numbers of its own, and no two events have one id.
        let place = if self.place == Place::Volatile { "m" } else { "" };
        let mut entry = Entry {
            version: VERSION,
            seq,
            id: format!("{}-{place}{seq}", stamp.boot),
            stream,
            stream_seq,
            kind: kind.traits().name.into(),
            source: source.into(),
            priority,
            timestamp: crate::date::rfc3339(stamp.unix),
            synchronized: stamp.synchronized,
            boot_id: stamp.boot.to_string(),
            session: self.session.id.clone(),
            correlation_id: self.session.request.clone(),
            repeats,
            data,
        };
        if entry.line().is_none() {
            entry.data = json!({ "too_long": entry.data.to_string().len() });
        }
        entry
    }

    /// Write what waits if it has waited long enough: for programs that run long.
    pub fn tick(&mut self) {
        if !self.waiting.is_empty() && self.stamps.now().uptime.saturating_sub(self.since) >= DELAY {
            self.flush();
        }
    }

    /// Write what waits, durably.
    pub fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut entries = std::mem::take(&mut self.waiting);
        if let Err(e) = self.read_again() {
            let all: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry).collect();
            return self.lost(Class::Operational, &all, &e);
        }
        let told = self.dropped;
        if told > 0 {
            let stamp = self.stamps.now();
            let data = json!({ "events": told, "reason": self.problem });
            let entry = self.entry(stamp, Kind::Dropped, Priority::Warning, "log", 0, data);
            entries.push((Class::Operational, entry));
        }
        let mut written = Vec::new();
        for class in Class::ALL {
            let of_class: Vec<Entry> =
                entries.iter().filter(|(c, _)| *c == class).map(|(_, entry)| entry.clone()).collect();
            if of_class.is_empty() {
                continue;
            }
            match self.write(class, &of_class) {
                Ok(()) => written.extend(of_class),
                Err(e) => self.lost(class, &of_class, &e),
            }
        }
        written.sort_by_key(|entry| entry.seq);
        if told > 0 && written.iter().any(|entry| entry.kind == Kind::Dropped.traits().name) {
            self.dropped -= told;
            if self.dropped == 0 {
                self.problem = None;
            }
        }
        for entry in &written {
            self.fold.add(entry);
        }
    }

    fn lost(&mut self, class: Class, entries: &[Entry], e: &io::Error) {
        // What tells of the others isn't one of them.
        let events = entries.iter().filter(|entry| entry.kind != Kind::Dropped.traits().name).count();
        self.dropped = self.dropped.saturating_add(events as u64);
        if self.problem.is_none() {
            log::warn!(class = class.name(), events, reason:% = e; "events_not_written");
        }
        self.problem = Some(e.to_string());
        self.doubt = true;
    }

    /// After a write that failed: some of its lines may be there. They count, once they are durable.
    fn read_again(&mut self) -> io::Result<()> {
        let Some(store) = self.store.as_mut().filter(|_| self.doubt) else { return Ok(()) };
        let reading = Reading::after(&mut **store, 0)?;
        self.next = reading.last().max(self.next - 1).saturating_add(1);
        let Reading { entries, fold, newest, .. } = reading;
        let found = entries.iter().filter(|entry| entry.seq > self.fold.seq).count();
        self.dropped = self.dropped.saturating_sub(found as u64);
        (self.fold, self.newest, self.doubt) = (fold, newest, false);
        Ok(())
    }

    /// Append to a class's newest segment, or begin one.
    fn write(&mut self, class: Class, entries: &[Entry]) -> io::Result<()> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        let bytes = padded(entries.iter().filter_map(Entry::line).flatten().collect());
        let limits = Limits::of(class);
        let newest = self.newest.get(&class).copied();
        let fits = |newest: &Newest| {
            let is_young = match (last.time(), newest.began) {
                (Some(now), Some(began)) => now.saturating_sub(began) <= limits.age / 16,
                _ => true,
            };
            !newest.torn && is_young && newest.bytes + bytes.len() as u64 <= limits.segment
        };
        if let Some(closed) = newest.filter(|newest| !fits(newest)) {
            self.close(closed);
        }
        let newest = newest.filter(fits).unwrap_or(Newest {
            name: SegmentName { class, first: first.seq },
            bytes: 0,
            torn: false,
            began: first.time(),
        });
        let store = self.store.as_mut().ok_or_else(|| io::Error::other("there is no folder for events"))?;
        let file = newest.name.to_string();
        self.newest.insert(class, newest);
        store.append(&file, newest.bytes, &bytes)?;
        store.sync(&file)?;
        self.newest.insert(class, Newest { bytes: newest.bytes + bytes.len() as u64, ..newest });
        Ok(())
    }

    /// Nothing is appended to that segment any more: pack it, save the fold, and let old segments go. All of it can be left
    /// out: the next one does it.
    fn close(&mut self, closed: Newest) {
        let Some(store) = self.store.as_mut() else { return };
        let fold = &self.fold;
        let done = (|| {
            let file = closed.name.to_string();
            let bytes = store.read(&file)?;
            let segment = Segment::parse(&bytes);
            // Damage stays, so that it is reported.
            let packed = packed(&segment.entries);
            if segment.damaged == 0 && packed.len() < bytes.len() {
                store.replace(&file, &packed)?;
            }
            store.replace(SNAPSHOT, &snapshot::write(fold))?;
            let mut kept = Vec::new();
            for (name, bytes) in store.files()? {
                let Ok(name) = name.parse::<SegmentName>() else { continue };
                let segment = Segment::parse(&store.read(&name.to_string())?);
                let newest = segment.entries.iter().filter_map(Entry::time).max();
                kept.push(Kept { name, bytes, newest });
            }
            let stamp = self.stamps.now();
            for name in expired(&kept, Some(stamp.unix).filter(|_| stamp.synchronized)) {
                store.remove(&name.to_string())?;
            }
            io::Result::Ok(())
        })();
        if let Err(e) = done {
            log::warn!(reason:% = e; "event_segment_not_closed");
        }
    }

    /// The configuration that counts now, if the log has another one: of each value that is set a digest. `by` is whose program
    /// found that.
    pub fn configured(&mut self, set: &BTreeMap<String, String>, files: &[String], by: &Value) {
        if self.fold.config == *set {
            return;
        }
        let all = self.fold.config.keys().chain(set.keys());
        let keys: BTreeSet<String> =
            all.filter(|key| self.fold.config.get(*key) != set.get(*key)).cloned().collect();
        self.append(
            Kind::ConfigChanged,
            "config",
            json!({ "keys": keys, "files": files, "by": by, "set": set }),
        );
    }

    /// What the journal holds, if the log has anything else: then a power cut came between the two, or this is the first
    /// event. `ended` is the newest past update.
    pub fn reconcile(&mut self, saved: Shown, ended: Option<Ended>) {
        let Some(before) = &self.fold.saved else {
            return self.reconciled(Priority::Info, saved, None);
        };
        if *before == saved {
            return;
        }
        let last = self.fold.ends.last();
        let is_told =
            |ended: &Ended| last.is_some_and(|end| end.release == ended.release && end.kind == ended.kind);
        let ended = ended.filter(|ended| !is_told(ended));
        self.reconciled(Priority::Warning, saved, ended);
    }

    /// The same for the components: those that the record has, and that the log has otherwise. `shown` has the newest past update of
    /// each.
    pub fn reconcile_components(&mut self, shown: Vec<ComponentShown>) {
        for mut now in shown {
            let before = self.fold.components.get(&now.component);
            if before == Some(&now) {
                continue;
            }
            let priority = if before.is_none() { Priority::Info } else { Priority::Warning };
            // What the log has already ends only once.
            if before.is_some_and(|before| before.ended == now.ended) {
                now.ended = None;
            }
            let data = serde_json::to_value(now).unwrap_or_default();
            self.append_as(Kind::ComponentReconciled, priority, "log", data);
        }
    }

    fn reconciled(&mut self, priority: Priority, update: Shown, ended: Option<Ended>) {
        let data = Transition { update, derived: false, ended, reason: None };
        self.append_as(Kind::Reconciled, priority, "log", serde_json::to_value(data).unwrap_or_default());
    }
}

/// The log in memory, over what can be read of the partition. `is_told` becomes true if something is written there already.
fn in_memory(
    mut memory: Box<dyn EventStore>,
    read_only: Option<Box<dyn EventStore>>,
    is_told: &mut bool,
) -> io::Result<(Box<dyn EventStore>, Reading)> {
    *is_told = memory.files()?.iter().any(|(name, _)| name.parse::<SegmentName>().is_ok());
    load(match read_only {
        Some(partition) => Overlay::over(partition, memory)?,
        None => memory,
    })
}

fn load(mut store: Box<dyn EventStore>) -> io::Result<(Box<dyn EventStore>, Reading)> {
    let reading = Reading::after(&mut *store, 0)?;
    Ok((store, reading))
}

impl Drop for Log {
    fn drop(&mut self) {
        for (kind, source, data, times) in self.repeats.take_all() {
            let stamp = self.stamps.now();
            self.put(stamp, kind, kind.traits().priority, &source, times - 1, data);
        }
        self.flush();
    }
}
