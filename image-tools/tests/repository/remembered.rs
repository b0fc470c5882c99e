//! What a computer remembers while it commits: whatever is stopped, a number is never signed twice, and never refused wrongly.
use crate::product::{Product, key};
use crate::publish::{bundle, published};
use bistable_format::{Channel, Digest};
use bistable_image::repository::Store;
use bistable_image::repository::channel::{ChannelError, ChannelLog, OldRoot};
use bistable_image::repository::memory::{Forgetful, Lock, Record, Remembered, TrustStore, TrustStoreError};
use bistable_image::repository::notice::{Notice, Notices};
use bistable_image::repository::publish::PublishError;
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::{Faults, Faulty, Memory};
use bistable_image::repository::trust::Known;
use bistable_image::repository::writer::{Change, Committer};
use bistable_image::root::{self, RootOptions, SignedRoot};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A memory that can't be written any more from its n-th change on.
#[derive(Clone, Debug)]
struct Dying {
    inner: Remembered,
    left: Arc<AtomicU64>,
}

impl Dying {
    fn new(inner: &Remembered, changes: u64) -> Dying {
        Dying { inner: inner.clone(), left: Arc::new(changes.into()) }
    }

    fn change(&self) -> Result<(), TrustStoreError> {
        let lives = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        lives
            .map(|_| ())
            .map_err(|_| TrustStoreError::Damaged { path: Path::new("memory").into(), why: "dead".into() })
    }
}

impl TrustStore for Dying {
    fn pinned(&self, place: &str) -> Result<Option<Digest>, TrustStoreError> {
        self.inner.pinned(place)
    }
    fn pin(&self, place: &str, repository: &Digest) -> Result<(), TrustStoreError> {
        self.change()?;
        self.inner.pin(place, repository)
    }
    fn record(&self, repository: &Digest) -> Result<Option<Record>, TrustStoreError> {
        self.inner.record(repository)
    }
    fn merge(&self, repository: &Digest, seen: &Record) -> Result<(), TrustStoreError> {
        self.change()?;
        self.inner.merge(repository, seen)
    }
    fn forget_channels(&self, repository: &Digest) -> Result<(), TrustStoreError> {
        self.change()?;
        self.inner.forget_channels(repository)
    }
    fn pending(&self, repository: &Digest, channel: &str) -> Result<Option<Vec<u8>>, TrustStoreError> {
        self.inner.pending(repository, channel)
    }
    fn set_pending(
        &self,
        repository: &Digest,
        channel: &str,
        bytes: Option<&[u8]>,
    ) -> Result<(), TrustStoreError> {
        self.change()?;
        self.inner.set_pending(repository, channel, bytes)
    }
    fn try_lock(&self, repository: &Digest, channel: &str) -> Result<Lock<'_>, TrustStoreError> {
        self.inner.try_lock(repository, channel)
    }
}

/// Keeps notices.
#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<Notice>>);

impl Notices for Recorder {
    fn notice(&self, notice: &Notice) {
        self.0.lock().unwrap().push(notice.clone());
    }
}

/// One store, and computers that sign for it.
struct Desk {
    product: Product,
    memory: Memory,
    /// The digest of each number that was ever in the store: what devices may have seen.
    seen: BTreeMap<u64, Digest>,
}

impl Desk {
    fn new() -> Desk {
        let (product, memory) = (Product::new(), Memory::new());
        product.init(&Store::new(memory.clone()));
        Desk { product, memory, seen: BTreeMap::new() }
    }

    fn on(&mut self, computer: impl TrustStore + 'static) -> &mut Desk {
        self.product.known = Known::new(Arc::new(computer), Digest::of(b"repository"));
        self
    }

    /// Give up the numbers up to this one.
    fn continue_after(&self, store: &Store, after: u64) -> Result<u64, ChannelError> {
        let roots = Roots::load(store).unwrap();
        let committer = Committer { continue_after: Some(after), ..self.product.committer("ada") };
        let change = |_: &mut Channel| {
            Ok::<_, ChannelError>(Change::Made { verb: "refresh".into(), about: String::new() })
        };
        let committed = committer.writer(&ChannelLog::new(store, &roots, "staging")).commit(change)?;
        Ok(committed.unwrap().file.channel.sequence)
    }

    fn offer(&self, store: &Store, n: u64) -> Result<u64, ChannelError> {
        let roots = Roots::load(store).unwrap();
        self.change(&self.product.committer("ada"), &ChannelLog::new(store, &roots, "staging"), n)
    }

    /// Make another file that names no release.
    fn change(&self, committer: &Committer<'_>, log: &ChannelLog<'_>, n: u64) -> Result<u64, ChannelError> {
        let committed = committer.writer(log).commit(|draft: &mut Channel| {
            draft.gates.min_age = n;
            Ok::<_, ChannelError>(Change::Made { verb: "gates".into(), about: n.to_string() })
        })?;
        Ok(committed.unwrap().file.channel.sequence)
    }

    /// The store fails before anything is created.
    fn dead(&self) -> Store {
        let faults = Faults { dies_at: Some(0), ..Faults::default() };
        Store::new(Faulty::new(self.memory.clone(), faults))
    }

    fn plain(&self) -> Store {
        Store::new(self.memory.clone())
    }

    /// No number had another file before.
    #[track_caller]
    fn look(&mut self, when: &str) -> u64 {
        let store = self.plain();
        let roots = Roots::load(&store).unwrap();
        let log = ChannelLog::new(&store, &roots, "staging");
        for file in log.backwards() {
            let file = file.unwrap();
            let first = *self.seen.entry(file.channel.sequence).or_insert(file.digest);
            assert_eq!(first, file.digest, "{when}: number {} is another one", file.channel.sequence);
        }
        log.sequence().unwrap()
    }

    fn delete_newest(&self, number: u64) {
        let store = self.plain();
        store.delete(&bistable_format::repository::channel("staging", number)).unwrap();
        store.delete("channels/staging/latest").unwrap();
        // The record of it, if there is one.
        for n in number + 1.. {
            let record = bistable_format::repository::audit(n);
            if store.size(&record).unwrap().is_none() {
                break;
            }
            store.delete(&record).unwrap();
        }
        store.delete("audit/latest").unwrap();
    }
}

/// The store dies at each of its changes, the memory at each of its own; then an attacker deletes what the stopped commit may have
/// created, or doesn't. The next commit is never refused, and never makes another file of a number that was there.
#[test]
fn commit_that_was_stopped_anywhere_is_finished_with_the_same_bytes() {
    let mut stopped = 0;
    for deleted in [false, true] {
        for (store_dies, memory_dies) in (0..8).map(|n| (n, 99)).chain((0..6).map(|n| (99, n))) {
            let when = format!("store {store_dies}, memory {memory_dies}, deleted {deleted}");
            let (mut desk, computer) = (Desk::new(), Remembered::default());
            desk.on(computer.clone());
            desk.offer(&desk.plain(), 1).unwrap();
            desk.look(&when);
            desk.on(Dying::new(&computer, memory_dies));
            let faults = Faults { dies_at: Some(store_dies), ..Faults::default() };
            let died = desk.offer(&Store::new(Faulty::new(desk.memory.clone(), faults)), 2);
            stopped += u32::from(died.is_err());
            let there = desk.look(&when);
            let acknowledged =
                computer.record(&Digest::of(b"repository")).unwrap().unwrap().channels["staging"].number;
            let lost = deleted && there == 2;
            if lost {
                desk.delete_newest(2);
            }
            desk.on(computer.clone());
            let next = desk.offer(&desk.plain(), 3);
            if lost && acknowledged == 2 {
                assert!(matches!(next, Err(ChannelError::Behind { .. })), "{when}: {next:?}");
            } else {
                next.unwrap_or_else(|e| panic!("{when}: {e}"));
            }
            desk.look(&when);
        }
    }
    assert!(stopped >= 6, "{stopped}");
}

#[test]
fn file_whose_creation_was_never_recorded_comes_back_with_the_same_bytes() {
    let (mut desk, computer) = (Desk::new(), Remembered::default());
    desk.on(computer.clone());
    desk.offer(&desk.plain(), 1).unwrap();
    desk.look("first");
    // The file is saved as pending and created. Then the computer stops.
    desk.on(Dying::new(&computer, 1));
    let _ = desk.offer(&desk.plain(), 2);
    assert_eq!(desk.look("second"), 2);
    desk.delete_newest(2);
    desk.on(computer);
    assert_eq!(desk.offer(&desk.plain(), 3).unwrap(), 3);
    desk.look("third");
}

#[test]
fn file_of_another_computer_counts_and_the_pending_one_is_dropped() {
    let (mut desk, computer) = (Desk::new(), Remembered::default());
    desk.on(computer.clone());
    desk.offer(&desk.plain(), 1).unwrap();
    desk.offer(&desk.dead(), 2).unwrap_err();
    desk.on(Forgetful);
    assert_eq!(desk.offer(&desk.plain(), 7).unwrap(), 2);
    desk.look("theirs");
    desk.on(computer.clone());
    assert_eq!(desk.offer(&desk.plain(), 3).unwrap(), 3);
    desk.look("ours");
    assert_eq!(computer.pending(&Digest::of(b"repository"), "staging").unwrap(), None);
}

#[test]
fn computer_that_was_away_for_long_follows_and_one_whose_file_was_replaced_does_not() {
    for others in [1, 5, 130, 200] {
        for replaced in [false, true] {
            let (mut desk, computer) = (Desk::new(), Remembered::default());
            desk.on(computer.clone());
            desk.offer(&desk.plain(), 1).unwrap();
            desk.offer(&desk.plain(), 2).unwrap();
            if replaced {
                desk.delete_newest(2);
            }
            desk.on(Forgetful);
            for n in 0..others {
                desk.offer(&desk.plain(), 10 + n).unwrap();
            }
            desk.on(computer.clone());
            let next = desk.offer(&desk.plain(), 3);
            match replaced {
                false => assert_eq!(next.unwrap(), others + 3),
                true => assert!(matches!(next, Err(ChannelError::Replaced { sequence: 2, .. })), "{next:?}"),
            }
        }
    }
}

#[test]
fn damaged_pending_file_is_an_error_that_names_it() {
    let (mut desk, computer) = (Desk::new(), Remembered::default());
    desk.on(computer.clone());
    desk.offer(&desk.plain(), 1).unwrap();
    computer.set_pending(&Digest::of(b"repository"), "staging", Some(b"rubbish")).unwrap();
    let refused = desk.offer(&desk.plain(), 2).unwrap_err();
    assert!(refused.to_string().contains("/staging.pending"), "{refused}");
    assert_eq!(desk.look("refused"), 1);
}

#[test]
fn giving_up_numbers_that_was_stopped_anywhere_can_be_finished() {
    for dies_at in 0..6 {
        let when = format!("died at change {dies_at}");
        let mut desk = Desk::new();
        desk.on(Remembered::default());
        desk.offer(&desk.plain(), 1).unwrap();
        desk.offer(&desk.plain(), 2).unwrap();
        desk.look(&when);
        desk.delete_newest(2);
        let faults = Faults { dies_at: Some(dies_at), ..Faults::default() };
        let first = desk.continue_after(&Store::new(Faulty::new(desk.memory.clone(), faults)), 4);
        // Three marks come before the file.
        assert_eq!(first.is_ok(), dies_at > 3, "{when}: {first:?}");
        if first.is_err() {
            let refused = desk.offer(&desk.plain(), 3);
            let right = matches!(
                refused,
                Err(ChannelError::Behind { .. }
                    | ChannelError::LostNumber { .. }
                    | ChannelError::Replaced { .. })
            );
            assert!(right, "{when}: {refused:?}");
            // Of number 5 a file was signed that the store may have had: it is given up, too.
            let after = if dies_at == 3 { 5 } else { 4 };
            assert_eq!(desk.continue_after(&desk.plain(), after).unwrap(), after + 1);
        }
        let next = desk.offer(&desk.plain(), 3).unwrap();
        assert_eq!(desk.look(&when), next, "{when}");
        let roots = Roots::load(&desk.plain()).unwrap();
        let verified = bistable_image::repository::recording::verify(&desk.plain(), &roots).unwrap();
        assert_eq!(verified.channels["staging"], next, "{when}");
    }
}

#[test]
fn pending_file_is_finished_by_a_change_of_its_channel_only_and_that_is_reported() {
    let (mut desk, recorder) = (Desk::new(), Recorder::default());
    desk.on(Remembered::default());
    desk.offer(&desk.plain(), 1).unwrap();
    let failed = desk.offer(&desk.dead(), 2).unwrap_err();
    assert!(matches!(failed, ChannelError::Unfinished { sequence: 2, .. }), "{failed:?}");
    assert!(failed.to_string().contains("the signed file is kept"), "{failed}");
    let (store, committer) = (desk.plain(), desk.product.committer("ada"));
    let committer = Committer { notices: &recorder, ..committer };
    let roots = Roots::load(&store).unwrap();
    let [staging, other] = ["staging", "production"].map(|name| ChannelLog::new(&store, &roots, name));
    assert_eq!(committer.writer(&staging).newest().unwrap().channel.sequence, 1);
    assert_eq!(desk.change(&committer, &other, 7).unwrap(), 1);
    assert_eq!((staging.sequence().unwrap(), recorder.0.lock().unwrap().len()), (1, 0));
    assert_eq!(desk.change(&committer, &staging, 3).unwrap(), 3);
    let finishing =
        Notice::Finishing { channel: "staging".into(), number: 2, verb: "gates".into(), about: "2".into() };
    assert_eq!(*recorder.0.lock().unwrap(), [finishing]);
}

#[test]
fn pending_file_whose_key_was_taken_back_is_not_created() {
    let mut desk = Desk::new();
    desk.on(Remembered::default());
    desk.offer(&desk.plain(), 1).unwrap();
    desk.offer(&desk.dead(), 2).unwrap_err();
    let options = RootOptions {
        channel_keys: vec![key(8).public()],
        sign: vec![desk.product.root_key.clone()],
        ..RootOptions::default()
    };
    let bytes = root::next(&desk.product.root.root, &options).unwrap();
    let next = SignedRoot { root: desk.product.root.root.successor(&bytes).unwrap(), bytes };
    let store = desk.plain();
    Roots::load(&store).unwrap().follow(&store, &next, "ada", &desk.product.clock).unwrap();
    let (roots, new_key) = (Roots::load(&store).unwrap(), key(8));
    let committer = Committer {
        keys: vec![new_key.signing()],
        old_root: OldRoot::Accept,
        ..desk.product.committer("ada")
    };
    let log = ChannelLog::new(&store, &roots, "staging");
    let refused = desk.change(&committer, &log, 3).unwrap_err();
    assert!(matches!(refused, ChannelError::PendingOldRoot { sequence: 2, .. }), "{refused:?}");
    assert_eq!(log.sequence().unwrap(), 1);
    let committer = Committer { continue_after: Some(2), ..committer };
    assert_eq!(desk.change(&committer, &log, 3).unwrap(), 3);
}

#[test]
fn pending_file_is_not_created_without_what_it_names() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let bundle = bundle(&product, &folder, 2, "content");
    // All blobs are there before the channel's file is created.
    let died_at_the_channel = |dies_at| {
        let mut desk = Desk::new();
        desk.on(Remembered::default());
        let faults = Faults { dies_at: Some(dies_at), ..Faults::default() };
        let dying = Store::new(Faulty::new(desk.memory.clone(), faults));
        let died = published(&desk.product, &dying, &Roots::load(&desk.plain()).unwrap(), &bundle);
        matches!(died, Err(PublishError::Channel(ChannelError::Unfinished { .. }))).then_some(desk)
    };
    let mut desk = (0..99).find_map(died_at_the_channel).unwrap();
    let store = desk.plain();
    let blob = store.list("blobs").unwrap().pop().unwrap().path;
    let bytes = store.get(&blob, 1 << 20).unwrap().unwrap();
    store.delete(&blob).unwrap();
    let refused = desk.offer(&store, 3).unwrap_err();
    assert!(matches!(refused, ChannelError::PendingIncomplete { sequence: 1, .. }), "{refused:?}");
    assert_eq!(store.list("channels").unwrap().len(), 0);
    store.put(&blob, &bytes).unwrap();
    assert_eq!(desk.offer(&store, 3).unwrap(), 2);
    desk.look("finished");
}

#[test]
fn file_that_another_process_signed_meanwhile_is_settled_before_the_next() {
    let mut desk = Desk::new();
    desk.on(Remembered::default());
    desk.offer(&desk.plain(), 1).unwrap();
    let store = desk.plain();
    let roots = Roots::load(&store).unwrap();
    let (log, mut others) = (ChannelLog::new(&store, &roots, "staging"), 1);
    let committed = desk.product.committer("ada").writer(&log).commit(|draft: &mut Channel| {
        if others > 0 {
            others -= 1;
            desk.offer(&desk.dead(), 22).unwrap_err();
        }
        draft.gates.min_interval = 3;
        Ok::<_, ChannelError>(Change::Made { verb: "gates".into(), about: "3".into() })
    });
    let channel = committed.unwrap().unwrap().file.channel;
    assert_eq!((channel.sequence, channel.gates.min_age, channel.gates.min_interval), (3, 22, 3));
    assert_eq!(log.history(2).unwrap().channel.gates.min_age, 22);
}

#[test]
fn channel_that_another_process_keeps_locked_is_reported_and_not_waited_for_without_end() {
    let (mut desk, computer, recorder) = (Desk::new(), Remembered::default(), Recorder::default());
    desk.on(computer.clone());
    desk.offer(&desk.plain(), 1).unwrap();
    let store = desk.plain();
    let roots = Roots::load(&store).unwrap();
    let log = ChannelLog::new(&store, &roots, "staging");
    let committer = Committer { notices: &recorder, ..desk.product.committer("ada") };
    let held = computer.try_lock(&Digest::of(b"repository"), "staging").unwrap();
    let refused = desk.change(&committer, &log, 2).unwrap_err();
    assert!(matches!(refused, ChannelError::Locked { .. }), "{refused:?}");
    assert_eq!(bistable_image::Error::from(refused).exit(), bistable_image::Exit::TryLater);
    let waiting = Notice::Waiting { channel: "staging".into(), lock: "staging.lock".into() };
    assert_eq!(*recorder.0.lock().unwrap(), [waiting]);
    drop(held);
    assert_eq!(desk.change(&committer, &log, 2).unwrap(), 2);
}
