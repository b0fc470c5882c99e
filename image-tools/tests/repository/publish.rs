//! Publishing and listing, as a person does it.
use crate::places;
use crate::product::Product;
use bistable_format::channel::Channel;
use bistable_format::{Digest, limits, release, repository as names};
use bistable_image::repository::channel::{ChannelError, ChannelLog};
use bistable_image::repository::edit::EditError;
use bistable_image::repository::publish::{PublishError, Published, publish};
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::{Faults, Faulty, Memory, Operation};
use bistable_image::repository::writer::Change;
use bistable_image::repository::{Store, audit, catalog, recording};
use bistable_image::volume::VolumeSize;
use bistable_image::{BuildOptions, Silent, Threads, build, verify};
pub(crate) use bistable_kit::product::publication;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Bundles of the smallest kind, by their minor version.
pub(crate) fn bundle(product: &Product, folder: &TempDir, minor: u64, content: &str) -> PathBuf {
    bundle_of("hub", product, folder, minor, content)
}

/// One of a product of this name.
pub(crate) fn bundle_of(
    name: &str,
    product: &Product,
    folder: &TempDir,
    minor: u64,
    content: &str,
) -> PathBuf {
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("system/etc")).unwrap();
    fs::create_dir_all(path("boot")).unwrap();
    fs::write(path("system/etc/os-release"), content).unwrap();
    fs::write(path("boot/config.txt"), "arm_64bit=1\n").unwrap();
    let version = semver::Version::new(1, minor, 0);
    let out = path(&format!("{minor}-{content}.bundle"));
    let mut options = BuildOptions::new(name, version, "pi4", path("system"), path("boot"), out);
    options.keys = vec![product.release_key.clone()];
    options.root = Some(product.root.clone());
    options.build_time = 1_700_000_000;
    options.boot_size = VolumeSize::Exact(4 << 20);
    options.threads = Threads::new(1);
    build(&options, &Silent).unwrap();
    options.out
}

pub(crate) fn published(
    product: &Product,
    store: &Store,
    roots: &Roots,
    bundle: &Path,
) -> Result<Published, PublishError> {
    let log = ChannelLog::new(store, roots, "staging");
    publish(&product.committer("ada").writer(&log), &publication(bundle), &Silent)
}

#[test]
fn what_is_published_can_be_fetched_and_is_listed_once() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let bundle = bundle(&product, &folder, 1, "a");
    for place in places::all() {
        let roots = product.init(&place.store);
        let first = published(&product, &place.store, &roots, &bundle).unwrap();
        assert_eq!(first.uploaded, first.bytes, "{}", place.name);
        let again = published(&product, &place.store, &roots, &bundle).unwrap();
        assert!(again.committed.is_none());
        assert_eq!(again.uploaded, 0);

        let channel = ChannelLog::new(&place.store, &roots, "staging").newest().unwrap().channel;
        let [offer] = channel.offers.as_slice() else { panic!("{:?}", channel.offers) };
        let signed = place.store.get(&names::blob(&offer.release), 1 << 20).unwrap().unwrap();
        let release = offer.open(&signed, &roots.newest().root).unwrap();
        assert_eq!(offer.identity, release::identity(&signed));
        for (_, volume) in release.volumes().unwrap().iter() {
            for (digest, bytes) in [(volume.list, volume.list_bytes.into()), (volume.data, volume.data_bytes)]
            {
                let blob = place.store.get(&names::blob(&digest), 1 << 24).unwrap().unwrap();
                assert_eq!((Digest::of(&blob), blob.len() as u64), (digest, bytes));
            }
        }
        let entries: Vec<_> =
            catalog::newest_first(&place.store, &channel.catalog).map(Result::unwrap).collect();
        assert_eq!(entries.len(), 1);
        assert_eq!((entries[0].identity, entries[0].bytes), (offer.identity, first.bytes));
        assert_eq!(audit::newest(&place.store).unwrap().unwrap().record.about, "hub 1.1.0");
    }
}

#[test]
fn a_version_names_one_release_and_a_withdrawn_one_stays_away() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let good = bundle(&product, &folder, 1, "a");
    published(&product, &store, &roots, &good).unwrap();
    let other = bundle(&product, &folder, 1, "b");
    let taken = published(&product, &store, &roots, &other);
    assert!(matches!(taken, Err(PublishError::Taken { .. })), "{taken:?}");
    let withdraw = |draft: &mut Channel| {
        let offer = draft.offers.remove(0);
        draft.withdrawn.push(bistable_format::channel::Withdrawal {
            product: offer.constraints.product,
            component: None,
            version: offer.constraints.version,
            identity: offer.identity,
            reason: "too hot".into(),
            at: draft.issued_at,
            extensions: Default::default(),
        });
        Ok::<_, ChannelError>(Change::Made { verb: "withdraw".into(), about: "hub 1.1.0".into() })
    };
    product.committer("ada").writer(&ChannelLog::new(&store, &roots, "staging")).commit(withdraw).unwrap();
    let refused = published(&product, &store, &roots, &good);
    assert!(matches!(refused, Err(PublishError::Edit(EditError::Withdrawn { .. }))), "{refused:?}");
}

/// At each change: nothing is offered that can't be fetched, and the next try does the rest.
#[test]
fn a_death_while_publishing_offers_nothing_half() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let bundle = bundle(&product, &folder, 1, "a");
    let mut deaths = 0;
    for dies_at in 0.. {
        let memory = Memory::new();
        let store = Store::new(memory.clone());
        let roots = product.init(&store);
        let dying = Faults { dies_at: Some(dies_at), ..Faults::default() };
        let died = published(&product, &Store::new(Faulty::new(memory, dying)), &roots, &bundle).is_err();
        deaths += u32::from(died);
        published(&product, &store, &roots, &bundle).unwrap();
        let log = ChannelLog::new(&store, &roots, "staging");
        let channel = log.newest().unwrap().channel;
        assert_eq!((channel.sequence, channel.offers.len()), (1, 1), "died at change {dies_at}");
        recording::catch_up(&store, &product.clock, &log, 1).unwrap();
        assert!(recording::verify(&store, &roots).unwrap().missing.is_empty());
        if dies_at > 24 {
            break;
        }
    }
    assert!(deaths >= 8, "{deaths}");
}

#[test]
fn a_damaged_or_foreign_bundle_is_refused_before_anything_is_written() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let before = store.list("").unwrap();
    let bundle = bundle(&product, &folder, 1, "a");
    let bytes = fs::metadata(&bundle).unwrap().len();
    let reader = verify::open(&bundle, &product.root.root).unwrap();
    let data = reader.release().volumes().unwrap().system.data_bytes;
    // In the last volume's data, which lies before the padding and the two blocks of the end.
    let at = bytes - 1024 - data.next_multiple_of(512) + data / 2;
    let file = fs::File::options().read(true).write(true).open(&bundle).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    assert!(matches!(published(&product, &store, &roots, &bundle), Err(PublishError::Bundle(_))));
    assert_eq!(store.list("").unwrap(), before);
}

/// Else a bundle that is built once more would find its version taken.
#[test]
fn a_key_that_may_not_sign_uploads_nothing_and_takes_no_version() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let log = ChannelLog::new(&store, &roots, "staging");
    let mut wrong = product.committer("ada");
    wrong.keys = vec![product.release_key.signing()];
    for minor in [1, 2] {
        let before = store.list("").unwrap();
        let [first, rebuilt] = ["a", "b"].map(|content| bundle(&product, &folder, minor, content));
        let refused = publish(&wrong.writer(&log), &publication(&first), &Silent);
        assert!(matches!(refused, Err(PublishError::Channel(ChannelError::Keys { .. }))), "{refused:?}");
        assert_eq!(store.list("").unwrap(), before);
        published(&product, &store, &roots, &rebuilt).unwrap();
    }
}

#[test]
fn a_root_that_comes_during_the_upload_is_seen_before_a_version_is_taken() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let memory = Memory::new();
    let store = Store::new(memory.clone());
    let roots = product.init(&store);
    let bundle = bundle(&product, &folder, 1, "a");
    let (inside, next) = (store.clone(), product.next_root(vec![product.release_key.public()]));
    let before = move |operation: Operation, _: &str| {
        if operation == Operation::Upload {
            let _ = inside.create(&names::root(2), &next.bytes).unwrap();
        }
    };
    let rotating =
        Store::new(Faulty::new(memory, Faults { before: Some(Arc::new(before)), ..Faults::default() }));
    let refused = published(&product, &rotating, &roots, &bundle);
    assert!(
        matches!(refused, Err(PublishError::Channel(ChannelError::NewRoot { version: 2, .. }))),
        "{refused:?}"
    );
    let version = names::version(("hub", None), &semver::Version::new(1, 1, 0));
    assert_eq!(store.get(&version, 1 << 10).unwrap(), None);
    published(&product, &store, &Roots::load(&store).unwrap(), &bundle).unwrap();
}

/// The offers are bounded; the catalog isn't.
#[test]
fn the_oldest_version_makes_room() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let store = Store::new(Memory::new());
    let roots = product.init(&store);
    let log = ChannelLog::new(&store, &roots, "staging");
    let fill = |draft: &mut Channel| {
        draft.offers = (0..limits::OFFERS as u64).map(|n| crate::product::offer(100 + n)).collect();
        draft.pins = vec![draft.offers[0].identity];
        Ok::<_, ChannelError>(Change::Made { verb: "publish".into(), about: "many".into() })
    };
    product.committer("ada").writer(&log).commit(fill).unwrap();
    published(&product, &store, &roots, &bundle(&product, &folder, 1, "a")).unwrap();
    let offers = log.newest().unwrap().channel.offers;
    assert_eq!(offers.len(), limits::OFFERS);
    let minors: Vec<_> = offers.iter().map(|o| o.constraints.version.minor).collect();
    assert!(minors.contains(&1) && minors.contains(&100) && !minors.contains(&101), "{minors:?}");
}
