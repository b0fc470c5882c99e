//! The log on a folder in memory that loses what isn't durable.
use super::*;
use crate::ports::{EventPorts, EventStore, Stamp, Stamps};
use bistable_boot::BootId;
use proptest::prelude::*;
use serde_json::json;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    ops::ControlFlow,
    rc::Rc,
    time::Duration,
};

/// A folder: what is durable of each file, and what is there.
#[derive(Clone, Default)]
struct Folder(Rc<RefCell<State>>);

#[derive(Clone, Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    durable: BTreeMap<String, Vec<u8>>,
    full: bool,
    syncs: u32,
}

impl Folder {
    /// The power goes: of what isn't durable, this many bytes are left.
    fn cut(&self, bytes: usize) {
        let mut state = self.0.borrow_mut();
        let State { files, durable, .. } = &mut *state;
        for (name, content) in files.iter_mut() {
            let kept = durable.get(name).map_or(0, Vec::len);
            content.truncate(kept + bytes);
        }
        files.retain(|name, content| durable.contains_key(name) || !content.is_empty());
        *durable = files.clone();
    }

    fn is_full(&self, full: bool) {
        self.0.borrow_mut().full = full;
    }

    fn names(&self) -> Vec<String> {
        self.0.borrow().files.keys().cloned().collect()
    }

    fn change(&self, name: &str, f: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.borrow_mut();
        f(state.files.get_mut(name).unwrap());
        state.durable = state.files.clone();
    }
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl EventStore for Folder {
    fn files(&mut self) -> io::Result<Vec<(String, u64)>> {
        Ok(self.0.borrow().files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect())
    }
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.0.borrow().files.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let is_full = state.full;
        let file = state.files.entry(name.to_owned()).or_default();
        assert_eq!(file.len() as u64, at, "{name} is only appended to");
        if is_full {
            file.extend_from_slice(&bytes[..bytes.len() / 3]);
            return Err(full());
        }
        file.extend_from_slice(bytes);
        Ok(())
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if let Some(content) = state.files.get(name).cloned() {
            state.durable.insert(name.to_owned(), content);
        }
        state.syncs += 1;
        Ok(())
    }
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if state.full {
            return Err(full());
        }
        state.files.insert(name.to_owned(), bytes.to_vec());
        state.durable.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.files.remove(name);
        state.durable.remove(name);
        Ok(())
    }
}

#[derive(Clone)]
struct Time(Rc<Cell<(u64, u64)>>);

impl Time {
    /// Seconds since 1970, and the number of the boot.
    fn new() -> Time {
        Time(Rc::new(Cell::new((1_000_000, 1))))
    }
    fn pass(&self, seconds: u64) {
        let (now, boot) = self.0.get();
        self.0.set((now + seconds, boot));
    }
    fn reboot(&self) {
        let (now, boot) = self.0.get();
        self.0.set((now, boot + 1));
    }
}

impl Stamps for Time {
    fn now(&mut self) -> Stamp {
        let (unix, boot) = self.0.get();
        Stamp { unix, synchronized: true, boot: BootId::numbered(boot), uptime: Duration::from_secs(unix) }
    }
}

fn missing() -> io::Result<Box<dyn EventStore>> {
    Err(io::Error::other("not mounted"))
}

fn open(folder: &Folder, time: &Time) -> Log {
    let ports = EventPorts {
        persistent: Ok(Box::new(folder.clone())),
        read_only: None,
        volatile: missing(),
        stamps: Box::new(time.clone()),
    };
    Log::open(ports, Session { id: "s".into(), request: "r".into() })
}

fn shown(n: u64) -> serde_json::Value {
    json!({ "update": { "state": format!("state {n}") } })
}

fn read(folder: &Folder) -> Reading {
    Reading::after(&mut folder.clone(), 0).unwrap()
}

fn kinds(folder: &Folder) -> Vec<String> {
    read(folder).entries.into_iter().map(|entry| entry.kind).collect()
}

#[test]
fn a_durable_event_is_there_after_a_cut_and_takes_those_before_it_along() {
    let (folder, time) = (Folder::default(), Time::new());
    let mut log = open(&folder, &time);
    log.append(Kind::Remark, "agent", json!({}));
    assert_eq!(folder.names().len(), 0, "it waits");
    log.append(Kind::Staged, "agent", shown(1));
    log.append(Kind::Request, "cli", json!({ "operation": "arm" }));
    folder.cut(0);
    let all = read(&folder).entries;
    let seqs: Vec<_> =
        all.iter().map(|e| (e.seq, e.stream.as_str(), e.stream_seq, e.kind.as_str())).collect();
    let expected = [
        (1, "job/r", 1, "update.remark"),
        (2, "device", 1, "update.staged"),
        (3, "device", 2, "audit.request"),
    ];
    assert_eq!(seqs, expected);
    assert_eq!(all[1].id, format!("{}-2", BootId::numbered(1)));
    assert_eq!(folder.names().len(), 2, "the audit lies by itself");
}

#[test]
fn others_are_written_within_thirty_seconds_or_at_the_end() {
    let (folder, time) = (Folder::default(), Time::new());
    let mut log = open(&folder, &time);
    log.append(Kind::Writing, "agent", json!({}));
    time.pass(29);
    log.tick();
    assert_eq!(kinds(&folder).len(), 0);
    time.pass(1);
    log.tick();
    assert_eq!(kinds(&folder), ["update.writing"]);
    log.append(Kind::Written, "agent", json!({}));
    drop(log);
    folder.cut(0);
    assert_eq!(kinds(&folder), ["update.writing", "update.written"]);
}

#[test]
fn a_full_folder_stops_nothing_and_is_reported_when_there_is_room_again() {
    let (folder, time) = (Folder::default(), Time::new());
    let mut log = open(&folder, &time);
    log.append(Kind::Staged, "agent", shown(1));
    folder.is_full(true);
    for n in 2..5 {
        log.append(Kind::Armed, "agent", shown(n));
    }
    assert!(
        log.trouble().is_some_and(|(events, why)| events > 0 && why.contains("no storage")),
        "{:?}",
        log.trouble()
    );
    folder.is_full(false);
    log.append(Kind::Trial, "agent", shown(5));
    assert_eq!(log.trouble(), None);
    drop(log);
    folder.cut(0);
    let reading = read(&folder);
    // A part of a write may be there all the same: each event is there or counted, and none is both.
    let there = kinds(&folder).iter().filter(|kind| kind.starts_with("update.")).count() as u64;
    assert_eq!((there + reading.fold.dropped, reading.damaged.len()), (5, 0));
    assert!(kinds(&folder).ends_with(&["update.trial".into(), "storage.dropped".into()]));
    assert_eq!(open(&folder, &time).fold().update.as_ref().unwrap().state, "state 5");
}

#[test]
fn without_a_partition_events_go_into_memory_and_one_says_so() {
    let (memory, time) = (Folder::default(), Time::new());
    let open = |volatile: io::Result<Box<dyn EventStore>>| {
        let ports =
            EventPorts { persistent: missing(), read_only: None, volatile, stamps: Box::new(time.clone()) };
        Log::open(ports, Session { id: "s".into(), request: "r".into() })
    };
    for _ in 0..2 {
        let mut log = open(Ok(Box::new(memory.clone())));
        assert_eq!(log.place(), Place::Volatile);
        log.append(Kind::Staged, "agent", shown(1));
    }
    assert_eq!(kinds(&memory), ["storage.fallback", "update.staged", "update.staged"]);
    let mut log = open(missing());
    log.append(Kind::Staged, "agent", shown(1));
    // That there is no folder is one of them.
    assert_eq!((log.place(), log.trouble().map(|(events, _)| events)), (Place::Nowhere, Some(2)));
}

/// A folder that the program reaches for a number of changes more, then it is killed.
struct Mortal(Folder, Rc<Cell<u32>>);

impl Mortal {
    fn change(&self) -> io::Result<()> {
        match self.1.get().checked_sub(1) {
            Some(left) => {
                self.1.set(left);
                Ok(())
            }
            None => Err(io::Error::other("the program is gone")),
        }
    }
}

impl EventStore for Mortal {
    fn files(&mut self) -> io::Result<Vec<(String, u64)>> {
        self.0.files()
    }
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.0.read(name)
    }
    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(e) = self.change() {
            // It may be killed within a write.
            let _ = self.0.append(name, at, &bytes[..bytes.len() / 2]);
            return Err(e);
        }
        self.0.append(name, at, bytes)
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.change()?;
        self.0.sync(name)
    }
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change()?;
        self.0.replace(name, bytes)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.change()?;
        self.0.remove(name)
    }
}

/// With both folders, and this many changes until the program is killed.
fn open_both(partition: Option<&Folder>, memory: &Folder, time: &Time, changes: u32) -> Log {
    let left = Rc::new(Cell::new(changes));
    let mortal = |folder: &Folder| Box::new(Mortal(folder.clone(), Rc::clone(&left))) as Box<dyn EventStore>;
    let ports = EventPorts {
        persistent: partition.map_or_else(missing, |folder| Ok(mortal(folder))),
        read_only: None,
        volatile: Ok(mortal(memory)),
        stamps: Box::new(time.clone()),
    };
    Log::open(ports, Session { id: "s".into(), request: "r".into() })
}

#[test]
fn events_in_memory_move_when_the_partition_is_back_and_one_says_so() {
    let (partition, memory, time) = (Folder::default(), Folder::default(), Time::new());
    open_both(Some(&partition), &memory, &time, u32::MAX).append(Kind::Staged, "agent", shown(1));
    for round in 0..2 {
        for n in 0..100 {
            let mut log = open_both(None, &memory, &time, u32::MAX);
            log.append(Kind::Armed, "agent", shown(100 * round + n));
            log.append(Kind::Request, "cli", json!({ "n": 100 * round + n }));
            time.pass(100);
        }
        let mut log = open_both(Some(&partition), &memory, &time, u32::MAX);
        assert_eq!(log.fold().update.as_ref().unwrap().state, format!("state {}", 100 * round + 99));
        log.append(Kind::Trial, "agent", shown(1));
    }
    let all = read(&partition).entries;
    let count = |kind: &str| all.iter().filter(|entry| entry.kind == kind).count();
    let expected = [1, 2, 200, 200, 2, 2];
    let kinds = [
        "update.staged",
        "storage.fallback",
        "update.armed",
        "audit.request",
        "storage.restored",
        "update.trial",
    ];
    assert_eq!(kinds.map(count), expected);
    let ids: std::collections::BTreeSet<&str> = all.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids.len(), all.len(), "each has an id of its own");
    let device: Vec<u64> =
        all.iter().filter(|entry| entry.stream == "device").map(|entry| entry.stream_seq).collect();
    assert_eq!(device, (1..=device.len() as u64).collect::<Vec<_>>(), "no gap in a stream");
    assert_eq!(read(&memory).entries, []);
}

#[test]
fn move_that_finds_no_room_is_made_later() {
    let (partition, memory, time) = (Folder::default(), Folder::default(), Time::new());
    open_both(None, &memory, &time, u32::MAX).append(Kind::Staged, "agent", shown(1));
    partition.is_full(true);
    drop(open_both(Some(&partition), &memory, &time, u32::MAX));
    assert_eq!(kinds(&memory), ["storage.fallback", "update.staged"]);
    partition.is_full(false);
    drop(open_both(Some(&partition), &memory, &time, u32::MAX));
    let there = kinds(&partition);
    assert_eq!(there, ["storage.fallback", "update.staged", "storage.restored"]);
    assert_eq!(kinds(&memory), [] as [&str; 0]);
}

/// The partition after the kernel made it read-only.
struct Frozen(Folder);

impl EventStore for Frozen {
    fn files(&mut self) -> io::Result<Vec<(String, u64)>> {
        self.0.files()
    }
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.0.read(name)
    }
    fn append(&mut self, _: &str, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn sync(&mut self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn replace(&mut self, _: &str, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn remove(&mut self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// A writer, while the partition is read-only.
fn open_frozen(partition: &Folder, memory: &Folder, time: &Time) -> Log {
    let ports = EventPorts {
        persistent: Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        read_only: Some(Box::new(Frozen(partition.clone()))),
        volatile: Ok(Box::new(memory.clone())),
        stamps: Box::new(time.clone()),
    };
    Log::open(ports, Session { id: "s".into(), request: "r".into() })
}

/// What a reader gets of both folders, whichever of them is written.
fn read_both(partition: &Folder, memory: &Folder) -> Reading {
    let ports = EventPorts {
        persistent: Ok(Box::new(Frozen(partition.clone()))),
        read_only: None,
        volatile: Ok(Box::new(memory.clone())),
        stamps: Box::new(Time::new()),
    };
    Reading::after(&mut *readable(ports).unwrap(), 0).unwrap()
}

#[test]
fn log_of_a_partition_that_becomes_read_only_continues_in_memory_for_every_reader() {
    let (partition, memory, time) = (Folder::default(), Folder::default(), Time::new());
    for round in 0..3 {
        open_both(Some(&partition), &memory, &time, u32::MAX).append(Kind::Staged, "agent", shown(round));
        let before = read(&partition);
        assert_eq!(read_both(&partition, &memory).entries, before.entries);
        let files = partition.names();
        for n in 0..40 {
            let mut log = open_frozen(&partition, &memory, &time);
            assert_eq!(log.place(), Place::Volatile);
            log.append(Kind::Armed, "agent", shown(100 * round + n));
            log.append(Kind::Request, "cli", json!({ "n": n }));
            drop(log);
            time.pass(100);
            let seen = read_both(&partition, &memory);
            assert_eq!(seen.entries[..before.entries.len()], before.entries[..]);
            // One says that it is in memory, then two each.
            assert_eq!(seen.entries.len() as u64, before.entries.len() as u64 + 1 + 2 * (n + 1));
            assert!(seen.entries.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
            assert_eq!(seen.fold.update.unwrap().state, format!("state {}", 100 * round + n));
        }
        assert_eq!((partition.names(), read(&partition).entries), (files, before.entries));
        let seen = read_both(&partition, &memory).entries;
        drop(open_both(Some(&partition), &memory, &time, u32::MAX));
        let moved = read(&partition).entries;
        // A reader that remembers a number gets what comes after it, and nothing again.
        assert_eq!(moved[..seen.len()], seen[..]);
        let after: Vec<&str> = moved[seen.len()..].iter().map(|entry| entry.kind.as_str()).collect();
        assert_eq!(after, ["storage.restored"]);
        assert_eq!(read_both(&partition, &memory).entries, moved);
    }
}

#[test]
fn events_written_without_a_partition_are_not_taken_for_its_continuation() {
    let (partition, memory, time) = (Folder::default(), Folder::default(), Time::new());
    open_both(Some(&partition), &memory, &time, u32::MAX).append(Kind::Staged, "agent", shown(1));
    open_both(None, &memory, &time, u32::MAX).append(Kind::Armed, "agent", shown(2));
    open_frozen(&partition, &memory, &time).append(Kind::Trial, "agent", shown(3));
    assert_eq!(kinds(&memory), ["storage.fallback", "update.armed", "update.trial"]);
    assert_eq!(read_both(&partition, &memory).entries, read(&partition).entries);
    drop(open_both(Some(&partition), &memory, &time, u32::MAX));
    assert_eq!(
        kinds(&partition),
        ["update.staged", "storage.fallback", "update.armed", "update.trial", "storage.restored"]
    );
}

/// Wherever it is killed in the move, each event is there once; wherever the power goes, no number stands for two events.
#[test]
fn move_survives_being_killed_and_power_cuts_at_every_change() {
    for power in [None, Some(0), Some(3000), Some(5000)] {
        for changes in 0.. {
            let (partition, memory, time) = (Folder::default(), Folder::default(), Time::new());
            open_both(Some(&partition), &memory, &time, u32::MAX).append(Kind::Staged, "agent", shown(1));
            for n in 0..70 {
                let mut log = open_both(None, &memory, &time, u32::MAX);
                log.append(Kind::Armed, "agent", shown(n));
                log.append(Kind::Request, "cli", json!({ "n": n }));
                time.pass(100);
            }
            let (moved, before) = (read(&memory).entries.len(), read(&partition).entries);
            let there = || memory.names().iter().any(|name| name.ends_with("jsonl"));
            drop(open_both(Some(&partition), &memory, &time, changes));
            let is_done = !there();
            if let Some(bytes) = power {
                partition.cut(bytes);
                memory.0.borrow_mut().files.clear();
                time.reboot();
            }
            let durable = read(&partition).entries;
            let mut log = open_both(Some(&partition), &memory, &time, u32::MAX);
            log.append(Kind::Trial, "agent", shown(9));
            drop(log);
            let after = read(&partition).entries;
            assert_eq!(after[..before.len()], before[..]);
            assert!(after.windows(2).all(|pair| pair[0].seq < pair[1].seq));
            for entry in &durable {
                assert!(after.contains(entry), "{changes} changes: {entry:?} is gone");
            }
            let ids: std::collections::BTreeSet<&str> = after.iter().map(|entry| entry.id.as_str()).collect();
            assert_eq!(ids.len(), after.len(), "{changes} changes: an event twice");
            let of_memory = after.iter().filter(|entry| entry.id.contains("-m")).count();
            if power.is_none() || is_done {
                assert_eq!(of_memory, moved, "{changes} changes");
            }
            if power.is_none() {
                assert!(!there(), "{changes} changes");
            }
            if is_done {
                assert!(changes > 5, "{changes} changes");
                break;
            }
        }
    }
}

#[test]
fn damage_is_reported_once() {
    let (folder, time) = (Folder::default(), Time::new());
    for n in 0..4 {
        open(&folder, &time).append(Kind::Staged, "agent", shown(n));
    }
    let name = folder.names().remove(0);
    folder.change(&name, |bytes| bytes[BLOCK + 9] ^= 1);
    for _ in 0..3 {
        open(&folder, &time).append(Kind::Armed, "agent", shown(9));
    }
    let expected = ["staged", "staged", "staged"].map(|name| format!("update.{name}"));
    let mut all = kinds(&folder);
    assert_eq!(all.drain(..3).collect::<Vec<_>>(), expected);
    assert_eq!(all, ["storage.damaged", "update.armed", "update.armed", "update.armed"]);
}

#[test]
fn a_torn_line_is_cut_and_nothing_is_appended_behind_it() {
    let (folder, time) = (Folder::default(), Time::new());
    open(&folder, &time).append(Kind::Staged, "agent", shown(1));
    let name = folder.names().remove(0);
    folder.change(&name, |bytes| bytes.extend_from_slice(b"{\"version\":1,\"seq\":2,"));
    open(&folder, &time).append(Kind::Armed, "agent", shown(2));
    assert_eq!(kinds(&folder), ["update.staged", "update.armed"]);
    assert_eq!(folder.names().len(), 3, "and the fold");
    // Its number isn't used again, nor is one that a torn write of more lines would have had.
    let seqs = || read(&folder).entries.iter().map(|entry| entry.seq).collect::<Vec<_>>();
    assert_eq!(seqs(), [1, 130]);
    // The same holds for a segment of which nothing is left but a torn line.
    let name = folder.names().remove(1);
    folder.change(&name, |bytes| bytes.truncate(20));
    open(&folder, &time).append(Kind::Trial, "agent", shown(3));
    assert_eq!(seqs(), [1, 259]);
}

#[test]
fn old_segments_go_and_the_fold_stays() {
    let (folder, time) = (Folder::default(), Time::new());
    let mut log = open(&folder, &time);
    log.append(Kind::Request, "cli", json!({ "operation": "update" }));
    for n in 0..6000 {
        log.append(Kind::Staged, "agent", shown(n));
        time.pass(1);
    }
    let files = folder.clone().files().unwrap();
    let bytes =
        |prefix: &str| files.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, b)| b).sum::<u64>();
    // Packed, each has some 400 bytes instead of a block.
    assert!(bytes("events-") < 4 << 20, "{}", bytes("events-"));
    let before = log.fold().clone();
    drop(log);
    assert_eq!(open(&folder, &time).fold(), &before);
    assert_eq!(read(&folder).entries.len(), 6001);
    // A month later they are old; the audit isn't.
    time.pass(40 * 24 * 3600);
    open(&folder, &time).append(Kind::Armed, "agent", shown(1));
    time.pass(40 * 24 * 3600);
    open(&folder, &time).append(Kind::Armed, "agent", shown(2));
    let reading = read(&folder);
    let left: Vec<_> = reading.entries.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(left, ["audit.request", "update.armed", "update.armed"]);
    assert_eq!(reading.fold.counts["update.staged"], 6000);
}

#[test]
fn a_flood_does_not_evict_the_audit() {
    let (folder, time) = (Folder::default(), Time::new());
    open(&folder, &time).append(Kind::Request, "cli", json!({ "operation": "update" }));
    for n in 0..200 {
        let mut log = open(&folder, &time);
        log.append(Kind::UpToDate, "agent", json!({ "n": n }));
        log.append(Kind::Request, "web", json!({ "n": n }));
        time.pass(20);
    }
    let all = read(&folder).entries;
    assert_eq!(all.iter().filter(|entry| entry.source == "cli").count(), 1);
    let web = all.iter().filter(|entry| entry.source == "web").count();
    assert!(web <= 103, "{web}");
    assert!(all.iter().any(|entry| entry.kind == "storage.throttled"));
}

#[test]
fn who_follows_sees_each_event_once_as_it_comes() {
    struct Script(Folder, Time, Cell<u32>);
    impl crate::ports::Wake for Script {
        fn wait(&mut self) -> io::Result<()> {
            self.2.set(self.2.get() + 1);
            // Now and then, it wakes for nothing.
            if self.2.get().is_multiple_of(2) {
                open(&self.0, &self.1).append(Kind::Armed, "agent", shown(self.2.get().into()));
            }
            Ok(())
        }
    }
    let (folder, time) = (Folder::default(), Time::new());
    for n in 0..3 {
        open(&folder, &time).append(Kind::Staged, "agent", shown(n));
    }
    let mut wake = Script(folder.clone(), time, Cell::new(0));
    let mut seen = Vec::new();
    let filter = Filter { after: 2, ..Filter::default() };
    follow::follow(&mut folder.clone(), &filter, &mut wake, &mut |entry| {
        seen.push(entry.seq);
        if entry.seq == 6 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(seen, [3, 4, 5, 6]);
    assert_eq!(wake.2.get(), 6);
}

/// What happens to a log.
#[derive(Clone, Debug)]
enum Act {
    State(u64),
    Audit(u64),
    Other(u64),
    Reopen,
    /// The program is killed, or the power goes: of what isn't durable, this many bytes are left.
    Killed(Option<usize>),
    Full(bool),
    Pass(u64),
}

const DAYS: u64 = 3 * 24 * 3600;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..5_u64).prop_map(Act::State),
        2 => (0..5_u64).prop_map(Act::Audit),
        3 => (0..5_u64).prop_map(Act::Other),
        1 => Just(Act::Reopen),
        2 => prop::option::of(0..9000_usize).prop_map(Act::Killed),
        1 => any::<bool>().prop_map(Act::Full),
        1 => prop_oneof![Just(1), Just(40), Just(DAYS)].prop_map(Act::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Numbers rise, durable events are there, and the fold of what is read is that of what was written, whatever happens.
    #[test]
    fn any_life_of_a_log(acts in prop::collection::vec(act(), 1..60)) {
        let (folder, time) = (Folder::default(), Time::new());
        let mut log = Some(open(&folder, &time));
        let mut promised: BTreeMap<u64, Entry> = BTreeMap::new();
        let mut days = 0;
        for act in acts {
            let now = log.as_mut().unwrap();
            match act {
                Act::State(n) => now.append(Kind::Staged, "agent", shown(n)),
                Act::Audit(n) => now.append(Kind::Request, "cli", json!({ "n": n })),
                Act::Other(n) => now.append(Kind::Remark, "agent", json!({ "n": n })),
                Act::Reopen => {
                    drop(log.take());
                    log = Some(open(&folder, &time));
                }
                Act::Killed(power) => {
                    // Nothing that it would still do reaches the folder.
                    let there = folder.0.borrow().clone();
                    drop(log.take());
                    *folder.0.borrow_mut() = there;
                    if let Some(bytes) = power {
                        folder.cut(bytes);
                        time.reboot();
                    }
                    log = Some(open(&folder, &time));
                }
                Act::Full(full) => folder.is_full(full),
                // Nothing is to be so old that it goes.
                Act::Pass(DAYS) if days > 24 => {}
                Act::Pass(seconds) => {
                    days += seconds / (24 * 3600);
                    time.pass(seconds);
                }
            }
            // A folder that only reads what is durable.
            let durable = Folder::default();
            durable.0.borrow_mut().files = folder.0.borrow().durable.clone();
            let reading = read(&durable);
            let seqs: Vec<u64> = reading.entries.iter().map(|entry| entry.seq).collect();
            prop_assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", seqs);
            for entry in &reading.entries {
                let told = promised.entry(entry.seq).or_insert_with(|| entry.clone());
                prop_assert_eq!(&*told, entry, "one number, two events");
            }
            prop_assert_eq!(seqs.len(), promised.len(), "something was lost");
            prop_assert_eq!(&reading.fold, log.as_ref().unwrap().fold());
        }
    }
}
