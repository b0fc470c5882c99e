//! A repository with some history, from which acts begin, and what became of it.
use crate::product::{Product, key};
use crate::publish::{bundle, published};
use bistable_format::rollout::{Rollout, RolloutState, WHOLE, Wave};
use bistable_format::{Channel, Digest, Offer};
use bistable_image::repository::channel::{ChannelError, ChannelLog};
use bistable_image::repository::edit::Selector;
use bistable_image::repository::fsck::{Depth, Fault, Problem, fsck};
use bistable_image::repository::inventory::Inventory;
use bistable_image::repository::promote::{Request, promote};
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::Memory;
use bistable_image::repository::writer::Change;
use bistable_image::repository::{Store, audit, manifest, recording};
use bistable_image::root::SignedRoot;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use tempfile::TempDir;

pub(crate) const HOUR: u64 = 3600;

/// Staging offers 1.2.0 and 1.3.0 and had 1.0.0 and 1.1.0; production offers 1.2.0 to one in a hundred.
pub(crate) struct World {
    pub product: Product,
    pub memory: Memory,
    pub bundles: Vec<PathBuf>,
    _folder: TempDir,
}

impl World {
    pub(crate) fn new() -> World {
        let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
        let memory = Memory::new();
        let store = Store::new(memory.clone());
        let roots = product.init(&store);
        let bundles: Vec<_> = (0..5).map(|n| bundle(&product, &folder, n, &format!("content {n}"))).collect();
        for bundle in &bundles[..4] {
            published(&product, &store, &roots, bundle).unwrap();
            product.clock.0.fetch_add(HOUR, Ordering::SeqCst);
        }
        let world = World { product, memory, bundles, _folder: folder };
        world.promote(&store, "1.2.0").unwrap();
        let drop = |draft: &mut Channel| {
            draft.offers.retain(|o| o.constraints.version.minor >= 2);
            let (verb, about) = ("room".into(), "1.0.0, 1.1.0".into());
            Ok::<_, ChannelError>(Change::Made { verb, about })
        };
        let log = ChannelLog::new(&store, &roots, "staging");
        world.product.committer("ada").writer(&log).commit(drop).unwrap();
        world.product.clock.0.fetch_add(HOUR, Ordering::SeqCst);
        world
    }

    pub(crate) fn promote(&self, store: &Store, version: &str) -> Result<Offer, String> {
        let now = 1_800_000_000;
        let request = Request {
            from: "staging",
            into: "production",
            which: Selector::new(version),
            rollout: Rollout {
                waves: vec![
                    Wave { at: now, over: 0, share: 100 },
                    Wave { at: now + 99 * HOUR, over: 0, share: WHOLE },
                ]
                .into(),
                pace: RolloutState::Running,
                canaries: vec![],
            },
        };
        let roots = Roots::load(store).map_err(|e| e.to_string())?;
        promote(store, &roots, &self.product.committer("ada"), &request)
            .map(|p| p.0)
            .map_err(|e| e.to_string())
    }

    pub(crate) fn publish(&self, store: &Store, n: usize) -> Result<(), String> {
        let roots = Roots::load(store).map_err(|e| e.to_string())?;
        published(&self.product, store, &roots, &self.bundles[n]).map(|_| ()).map_err(|e| e.to_string())
    }

    pub(crate) fn next_root(&self) -> SignedRoot {
        self.product.next_root(vec![self.product.release_key.public(), key(9).public()])
    }
}

/// What counts of a repository: what each channel says, all records but for when they were made, and what is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    channels: Vec<String>,
    records: Vec<String>,
    catalog: Vec<Digest>,
    deltas: Vec<String>,
    roots: u32,
}

pub(crate) fn snapshot(store: &Store) -> Snapshot {
    let roots = Roots::load(store).unwrap();
    let inventory = Inventory::read(store, &roots, None).unwrap();
    let one = |c: &Channel| {
        let offers: Vec<_> = c
            .offers
            .iter()
            .map(|o| format!("{} {:?} {:?}", o.constraints.version, o.passage, o.rollout))
            .collect();
        let withdrawn: Vec<_> = c.withdrawn.iter().map(|w| w.version.to_string()).collect();
        format!("{} {} {offers:?} {withdrawn:?} {:?}", c.name, c.sequence, c.pins)
    };
    let verified = recording::verify(store, &roots).unwrap();
    assert!(verified.missing.is_empty(), "{:?}", verified.missing);
    let records = audit::tail(store, verified.records).unwrap();
    Snapshot {
        channels: inventory.channels.values().map(|f| one(&f.channel)).collect(),
        records: records.iter().map(|r| format!("{} {}", r.record.verb, r.record.about)).collect(),
        deltas: store.list("deltas").unwrap().into_iter().map(|file| file.path).collect(),
        catalog: inventory.releases.keys().copied().collect(),
        roots: roots.newest().root.version,
    }
}

/// Nothing that is on offer lacks a file, and nothing else is wrong that devices suffer from.
#[track_caller]
pub(crate) fn assert_sound(store: &Store, when: &str) {
    let roots = Roots::load(store).unwrap();
    let report = fsck(store, &roots, Depth::Bytes).unwrap();
    assert!(!report.is_serious(), "{when}: {:#?}", report.problems);
    for file in Inventory::read(store, &roots, None).unwrap().channels.values() {
        for offer in &file.channel.offers {
            manifest::read(store, &roots, &offer.release).unwrap().require_whole(store).unwrap();
        }
    }
}

/// As sound, and the index is right; the numbers in `latest` may be behind, as ever.
#[track_caller]
pub(crate) fn assert_clean(store: &Store, when: &str) {
    assert_sound(store, when);
    let report = fsck(store, &Roots::load(store).unwrap(), Depth::Names).unwrap();
    let fine = |p: &Problem| p.fault == Fault::Orphan || p.path.ends_with("/latest");
    assert!(report.problems.iter().all(fine), "{when}: {:#?}", report.problems);
}
