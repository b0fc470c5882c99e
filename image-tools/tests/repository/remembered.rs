//! What a computer remembers while it commits: whatever is stopped, a number is never signed twice, and never refused wrongly.
use crate::product::Product;
use bistable_format::{Channel, Digest};
use bistable_image::repository::Store;
use bistable_image::repository::channel::{Change, ChannelError, Committer, Log};
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::{Faults, Faulty, Memory};
use bistable_image::repository::trust::{
    Forgetful, Held, Known, Record, Remembered, TrustStore, TrustStoreError,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    fn lock(&self, repository: &Digest, channel: &str) -> Result<Box<dyn Held + '_>, TrustStoreError> {
        self.inner.lock(repository, channel)
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
        let committed = committer.commit(&Log::new(store, &roots, "staging"), change)?;
        Ok(committed.unwrap().file.channel.sequence)
    }

    fn offer(&self, store: &Store, n: u64) -> Result<u64, ChannelError> {
        let roots = Roots::load(store).unwrap();
        let committed = self.product.offer(&Log::new(store, &roots, "staging"), "ada", n)?;
        Ok(committed.file.channel.sequence)
    }

    fn plain(&self) -> Store {
        Store::new(self.memory.clone())
    }

    /// No number had another file before.
    #[track_caller]
    fn look(&mut self, when: &str) -> u64 {
        let store = self.plain();
        let roots = Roots::load(&store).unwrap();
        let log = Log::new(&store, &roots, "staging");
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
    let dead = Faults { dies_at: Some(0), ..Faults::default() };
    desk.offer(&Store::new(Faulty::new(desk.memory.clone(), dead)), 2).unwrap_err();
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
            let right = matches!(refused, Err(ChannelError::Behind { .. } | ChannelError::LostNumber { .. }));
            assert!(right, "{when}: {refused:?}");
            // Of number 5 a file was signed that the store may have had: it is given up, too.
            let after = if dies_at == 3 { 5 } else { 4 };
            assert_eq!(desk.continue_after(&desk.plain(), after).unwrap(), after + 1);
        }
        let next = desk.offer(&desk.plain(), 3).unwrap();
        assert_eq!(desk.look(&when), next, "{when}");
        let roots = Roots::load(&desk.plain()).unwrap();
        let verified = bistable_image::repository::audit::verify(&desk.plain(), &roots).unwrap();
        assert_eq!(verified.channels["staging"], next, "{when}");
    }
}
