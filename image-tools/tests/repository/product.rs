//! A product with its keys, and a clock that never waits.
use bistable_format::channel::{Channel, Offer};
use bistable_format::{Key, KeyKind};
use bistable_image::keys::SecretKey;
use bistable_image::repository::channel::{ChannelError, ChannelLog, OldRoot};
use bistable_image::repository::init::{Writers, init};
use bistable_image::repository::notice::NoNotices;
use bistable_image::repository::roots::Roots;
use bistable_image::repository::trust::Known;
use bistable_image::repository::writer::{Change, Committed, Committer, LIFETIME};
use bistable_image::repository::{Clock, Store};
use bistable_image::root::{self, RootOptions, SignedRoot};
use bistable_kit::product::Keys;
use semver::Version;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Stands still until it is set.
#[derive(Debug)]
pub(crate) struct TestClock(pub AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn wait(&self, _: Duration) {
        thread::yield_now();
    }
}

pub(crate) struct Product {
    pub keys: Keys,
    /// What the committer's computer remembers: nothing, unless a test says otherwise.
    pub known: Known,
    pub clock: TestClock,
}

pub(crate) fn key(n: u8) -> SecretKey {
    bistable_kit::product::key(n, KeyKind::Production)
}

impl Deref for Product {
    type Target = Keys;

    fn deref(&self) -> &Keys {
        &self.keys
    }
}

impl Product {
    pub(crate) fn new() -> Product {
        let clock = TestClock(AtomicU64::new(1_800_000_000));
        Product { keys: Keys::new(KeyKind::Production), known: Known::nothing(), clock }
    }

    /// The next root, by which these keys alone may sign releases.
    pub(crate) fn next_root(&self, release_keys: Vec<Key>) -> SignedRoot {
        let options =
            RootOptions { release_keys, sign: vec![self.root_key.clone()], ..RootOptions::default() };
        let bytes = root::next(&self.root.root, &options).unwrap();
        let root = self.root.root.successor(&bytes).unwrap();
        SignedRoot { bytes, root }
    }

    pub(crate) fn init(&self, store: &Store) -> Roots {
        init(store, &self.root, Writers::Many, "tester", &self.clock).unwrap();
        Roots::load(store).unwrap()
    }

    pub(crate) fn committer(&self, who: &str) -> Committer<'_> {
        Committer {
            who: who.into(),
            keys: vec![self.channel_key.signing()],
            lifetime: Some(LIFETIME),
            old_root: OldRoot::Refuse,
            continue_after: None,
            known: &self.known,
            clock: &self.clock,
            notices: &NoNotices,
        }
    }

    /// Offer version 1.`n`.0.
    pub(crate) fn offer(&self, log: &ChannelLog<'_>, who: &str, n: u64) -> Result<Committed, ChannelError> {
        let committed = self.committer(who).writer(log).commit(|draft: &mut Channel| {
            draft.offers.push(offer(n));
            // The offers of a channel are limited.
            if draft.offers.len() > 8 {
                draft.offers.remove(0);
            }
            Ok::<_, ChannelError>(Change::Made { verb: "publish".into(), about: format!("hub 1.{n}.0") })
        })?;
        Ok(committed.unwrap())
    }
}

pub(crate) fn offer(n: u64) -> Offer {
    bistable_kit::product::offer("hub", Version::new(1, n, 0), 1_800_000_000)
}
