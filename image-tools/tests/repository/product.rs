//! A product with its keys, and a clock that nobody waits for.
use bistable_format::channel::{Channel, Offer, Passage};
use bistable_format::content::IMAGE_KIND;
use bistable_format::{Constraints, Digest, Key, KeyKind, Requires, Urgency};
use bistable_image::keys::SecretKey;
use bistable_image::repository::channel::{ChannelError, ChannelLog, OldRoot};
use bistable_image::repository::init::{Writers, init};
use bistable_image::repository::notice::NoNotices;
use bistable_image::repository::roots::Roots;
use bistable_image::repository::trust::Known;
use bistable_image::repository::writer::{Change, Committed, Committer, LIFETIME};
use bistable_image::repository::{Clock, Store};
use bistable_image::root::{self, RootOptions, SignedRoot};
use semver::Version;
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
    pub root: SignedRoot,
    pub root_key: SecretKey,
    pub release_key: SecretKey,
    pub channel_key: SecretKey,
    /// What the committer's computer remembers: nothing, unless a test says otherwise.
    pub known: Known,
    pub clock: TestClock,
}

pub(crate) fn key(n: u8) -> SecretKey {
    bistable_kit::product::key(n, KeyKind::Production)
}

impl Product {
    pub(crate) fn new() -> Product {
        let [root_key, release_key, channel_key] = [1, 2, 3].map(key);
        let root = root::create(&RootOptions {
            root_keys: vec![root_key.public()],
            release_keys: vec![release_key.public()],
            channel_keys: vec![channel_key.public()],
            thresholds: vec![],
            sign: vec![root_key.clone()],
            ..RootOptions::default()
        });
        let clock = TestClock(AtomicU64::new(1_800_000_000));
        Product { root: root.unwrap(), root_key, release_key, channel_key, known: Known::nothing(), clock }
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
            // A channel offers only so many.
            if draft.offers.len() > 8 {
                draft.offers.remove(0);
            }
            Ok::<_, ChannelError>(Change::Made { verb: "publish".into(), about: format!("hub 1.{n}.0") })
        })?;
        Ok(committed.unwrap())
    }
}

pub(crate) fn offer(n: u64) -> Offer {
    let digest = Digest::of(&n.to_le_bytes());
    Offer {
        constraints: Constraints {
            product: "hub".into(),
            version: Version::new(1, n, 0),
            security_version: 1,
            boards: vec!["pi4".into()],
            component: None,
            requires: Requires::default(),
            urgency: Urgency::Normal,
            content: IMAGE_KIND,
            bytes: vec![1 << 20, 1 << 20],
        },
        release: digest,
        release_bytes: 1000,
        identity: digest,
        since: 1_800_000_000,
        passage: Passage::Free,
        rollout: Default::default(),
        extensions: Default::default(),
    }
}
