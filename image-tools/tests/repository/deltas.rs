//! Deltas in a repository: published once they were applied, kept as long as both releases, copied, checked, and never in the way.
use crate::product::{Product, TestClock};
use crate::publish::{bundle, publication};
use crate::world::{HOUR, assert_clean, assert_sound};
use bistable_format::bundle::{BLOCK, Frame};
use bistable_format::{ChunkList, Delta, Digest, Encoding, Extensions, Head, release, repository as names};
use bistable_image::delta::{self, DeltaOptions, Level};
use bistable_image::repository::channel::ChannelLog;
use bistable_image::repository::fsck::{Depth, Fault, Problem, fsck};
use bistable_image::repository::inventory::Inventory;
use bistable_image::repository::lease::{LONGEST, held};
use bistable_image::repository::prune::{self, Policy};
use bistable_image::repository::publish::{Publication, PublishError, Published, publish};
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::{Faults, Faulty, Memory};
use bistable_image::repository::sync::{Copying, Extent, sync};
use bistable_image::repository::{Store, audit, delta_file, wanted};
use bistable_image::{Existing, Silent, Threads, verify};
use semver::Version;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use tempfile::TempDir;

/// Bundles 1.0.0 to 1.2.0, and the deltas from 1.0.0 and from 1.1.0 to 1.2.0.
pub(crate) struct World {
    pub(crate) product: Product,
    pub(crate) folder: TempDir,
    pub(crate) memory: Memory,
    pub(crate) bundles: Vec<PathBuf>,
    pub(crate) deltas: Vec<PathBuf>,
}

pub(crate) fn world() -> World {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let bundles: Vec<_> = (0..3).map(|n| bundle(&product, &folder, n, &format!("content {n}"))).collect();
    let keys = [product.release_key.clone()];
    let options = DeltaOptions {
        root: &product.root.root,
        keys: &keys,
        level: Level::new(3).unwrap(),
        threads: Threads::new(2),
        folder: folder.path(),
        existing: Existing::Refuse,
    };
    let made = delta::make(&bundles[..2], &bundles[2], &options, &Silent).unwrap();
    let deltas = made.into_iter().map(|made| made.path).collect();
    let memory = Memory::new();
    product.init(&Store::new(memory.clone()));
    World { product, folder, memory, bundles, deltas }
}

impl World {
    pub(crate) fn store(&self) -> Store {
        Store::new(self.memory.clone())
    }

    pub(crate) fn publish_with(
        &self,
        store: &Store,
        n: usize,
        change: impl FnOnce(&mut Publication),
    ) -> Result<Published, PublishError> {
        let roots = Roots::load(store).unwrap();
        let mut publication = publication(&self.bundles[n]);
        change(&mut publication);
        let log = ChannelLog::new(store, &roots, "staging");
        publish(&self.product.committer("ada").writer(&log), &publication, &Silent)
    }

    /// With deltas of these numbers.
    pub(crate) fn publish(
        &self,
        store: &Store,
        n: usize,
        deltas: &[usize],
    ) -> Result<Published, PublishError> {
        self.publish_with(store, n, |p| p.deltas = deltas.iter().map(|n| self.deltas[*n].clone()).collect())
    }

    /// All three releases, and both deltas.
    pub(crate) fn fill(&self) {
        let store = self.store();
        for n in 0..3 {
            self.publish(&store, n, if n == 2 { &[0, 1] } else { &[] }).unwrap();
            self.product.clock.0.fetch_add(HOUR, Ordering::SeqCst);
        }
    }

    pub(crate) fn identity(&self, n: usize) -> Digest {
        let reader = verify::open(&self.bundles[n], &self.product.root.root).unwrap();
        release::identity(reader.signed_release())
    }

    /// Its path in a repository: to 1.2.0.
    pub(crate) fn path(&self, base: usize) -> String {
        names::delta(&self.identity(2), &self.identity(base))
    }
}

pub(crate) fn paths(store: &Store) -> Vec<String> {
    store.list("deltas").unwrap().into_iter().map(|file| file.path).collect()
}

/// Put other bytes into a file that is never changed.
pub(crate) fn replace(store: &Store, path: &str, bytes: &[u8]) {
    store.delete(path).unwrap();
    let _ = store.create(path, bytes).unwrap();
}

pub(crate) fn problems(store: &Store) -> Vec<Problem> {
    fsck(store, &Roots::load(store).unwrap(), Depth::Bytes).unwrap().problems
}

#[test]
fn published_delta_lies_where_a_device_asks_for_it_with_all_its_blobs() {
    let (world, store) = {
        let world = world();
        let store = world.store();
        (world, store)
    };
    world.fill();
    assert_clean(&store, "filled");
    let mut want = vec![world.path(0), world.path(1)];
    want.sort();
    assert_eq!(paths(&store), want);
    let roots = Roots::load(&store).unwrap();
    for stored in delta_file::all(&store, &roots).unwrap().good {
        let bytes = store.get(&stored.path, 1 << 16).unwrap().unwrap();
        assert_eq!(Delta::open(&bytes, &world.product.root.root).unwrap(), stored.delta);
        for part in stored.parts() {
            let blob = store.get(&names::blob(&part.digest), 1 << 24).unwrap().unwrap();
            assert_eq!((blob.len() as u64, Digest::of(&blob)), (part.bytes, part.digest));
        }
    }
    assert!(held(&store, 1_800_000_000).unwrap().is_empty());
    let records = audit::tail(&store, 20).unwrap();
    let acts: Vec<_> =
        records.iter().filter(|e| e.record.verb == "delta").map(|e| e.record.about.clone()).collect();
    assert_eq!(acts.len(), 2);
    assert!(
        acts[0].starts_with("hub 1.2.0 from 1.0.0 (") && acts[1].starts_with("hub 1.2.0 from 1.1.0 ("),
        "{acts:?}"
    );
}

#[test]
fn publishing_again_changes_nothing_and_adds_what_is_new() {
    let world = world();
    let store = world.store();
    for n in 0..3 {
        world.publish(&store, n, &[]).unwrap();
    }
    assert_eq!(paths(&store), [] as [String; 0]);
    let late = world.publish(&store, 2, &[1]).unwrap();
    assert!(late.committed.is_none() && late.deltas[0].is_new);
    let before = store.list("").unwrap();
    let again = world.publish(&store, 2, &[1]).unwrap();
    assert!(again.deltas[0].is_new, "it is the same file");
    assert_eq!(store.list("").unwrap(), before);
    assert_clean(&store, "again");
}

#[test]
fn delta_that_is_there_is_never_replaced_by_another() {
    let world = world();
    let store = world.store();
    world.fill();
    let before = store.get(&world.path(1), 1 << 16).unwrap();
    let other = world.folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let keys = [world.product.release_key.clone()];
    let options = DeltaOptions {
        root: &world.product.root.root,
        keys: &keys,
        level: Level::new(19).unwrap(),
        threads: Threads::new(2),
        folder: &other,
        existing: Existing::Refuse,
    };
    let made = delta::make(&world.bundles[1..2], &world.bundles[2], &options, &Silent).unwrap();
    let bytes = fs::read(&made[0].path).unwrap();
    assert_ne!(bytes, fs::read(&world.deltas[1]).unwrap(), "another level makes another delta");
    let published = world.publish_with(&store, 2, |p| p.deltas = vec![made[0].path.clone()]).unwrap();
    assert!(!published.deltas[0].is_new);
    assert_eq!(store.get(&world.path(1), 1 << 16).unwrap(), before);
    assert_clean(&store, "other");
}

#[test]
fn missing_deltas_are_told_and_refused_if_they_are_required() {
    let world = world();
    let store = world.store();
    let first = world.publish_with(&store, 0, |p| p.require_deltas = true).unwrap();
    assert_eq!(first.without_delta, [], "nothing came before");
    assert_eq!(world.publish(&store, 1, &[]).unwrap().without_delta, [Version::new(1, 0, 0)]);
    let refused = world.publish_with(&store, 2, |p| {
        p.require_deltas = true;
        p.deltas = vec![world.deltas[1].clone()];
    });
    match refused {
        Err(PublishError::NoDeltas { missing }) => assert_eq!(missing, [Version::new(1, 0, 0)]),
        other => panic!("{other:?}"),
    }
    assert_eq!(paths(&store), [] as [String; 0], "nothing was written");
    let roots = Roots::load(&store).unwrap();
    let todo = |store: &Store| -> Vec<String> {
        let inventory = Inventory::read(store, &roots, Some("staging")).unwrap();
        let all = wanted::wanted(&inventory, "staging", 3);
        all.iter().map(|w| format!("{} from {}", w.target.entry.version, w.base.entry.version)).collect()
    };
    assert_eq!(todo(&store), ["1.1.0 from 1.0.0"]);
    let published = world.publish_with(&store, 2, |p| {
        p.require_deltas = true;
        p.deltas = world.deltas.clone();
    });
    assert_eq!(published.unwrap().without_delta, []);
    assert_eq!(todo(&store), ["1.2.0 from 1.1.0", "1.2.0 from 1.0.0", "1.1.0 from 1.0.0"]);
}

#[test]
fn delta_of_another_release_or_without_its_base_is_refused() {
    let world = world();
    let store = world.store();
    let text = |result: Result<Published, PublishError>| result.unwrap_err().to_string();
    let lacks = text(world.publish(&store, 2, &[0]));
    assert!(lacks.contains("doesn't have: publish that first"), "{lacks}");
    world.publish(&store, 0, &[]).unwrap();
    let other = text(world.publish(&store, 1, &[0]));
    assert!(other.contains("makes hub 1.2.0, not the release that is published"), "{other}");
    // The base's data are damaged: what is applied to other bytes says nothing.
    let reader = verify::open(&world.bundles[0], &world.product.root.root).unwrap();
    let data = names::blob(&reader.release().volumes().unwrap().system.data);
    let mut bytes = store.get(&data, 1 << 24).unwrap().unwrap();
    bytes[1000] ^= 1;
    replace(&store, &data, &bytes);
    let damaged = world.publish(&store, 2, &[0]).unwrap_err();
    let cause = std::error::Error::source(&damaged).map(ToString::to_string);
    let text = format!("{damaged}: {cause:?}");
    assert!(text.contains("can't be read from"), "{text}");
    assert_eq!(paths(&store), [] as [String; 0]);
}

/// A delta's file with something changed, signed by that key.
pub(crate) fn forged(
    world: &World,
    signer: &bistable_image::keys::SecretKey,
    change: impl FnOnce(&mut ChunkList),
) -> PathBuf {
    let root = &world.product.root.root;
    let bytes = fs::read(&world.deltas[1]).unwrap();
    let reader = bistable_image::bundle::DeltaReader::open(&bytes[..], root).unwrap();
    let (release, signed) = (reader.release().clone(), reader.signed_release().to_vec());
    let base = verify::open(&world.bundles[1], root).unwrap();
    let (target, base) = (&release.volumes().unwrap().system, &base.release().volumes().unwrap().system);
    let mut delta = reader.delta().clone();
    let frame = Frame::delta((&signed, &release), (reader.signed(), &delta));
    let mut at = 0;
    let mut contents: Vec<Vec<u8>> = frame
        .headers
        .iter()
        .map(|header| {
            let start = at + BLOCK;
            at = start + usize::try_from(header.bytes).unwrap() + header.padding();
            bytes[start..start + usize::try_from(header.bytes).unwrap()].to_vec()
        })
        .collect();
    let mut list =
        ChunkList::decode_delta(&contents[7], target, delta.artifacts[1].data_bytes, base).unwrap();
    change(&mut list);
    contents[7] = list.encode(target.bytes, delta.artifacts[1].data_bytes).unwrap();
    delta.artifacts[1].list = Digest::of(&contents[7]);
    delta.artifacts[1].list_bytes = u32::try_from(contents[7].len()).unwrap();
    contents[5] = delta.seal(&[signer.signing()]).unwrap();
    let frame = Frame::delta((&signed, &release), (&contents[5], &delta));
    contents[1] = frame.index.clone().into_bytes();
    contents[2] = frame.manifest.clone().into_bytes();
    let mut out = Vec::new();
    for (header, content) in frame.headers.iter().zip(&contents) {
        out.extend_from_slice(&header.encode().unwrap());
        out.extend_from_slice(content);
        out.resize(out.len() + header.padding(), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    let path = world.folder.path().join("forged.delta");
    fs::write(&path, out).unwrap();
    path
}

#[test]
fn hostile_deltas_are_refused_before_anything_is_written() {
    let world = world();
    let store = world.store();
    world.publish(&store, 1, &[]).unwrap();
    let before = store.list("").unwrap();
    let key = world.product.release_key.clone();
    let refused = |path: &Path, why: &str| {
        let error = world.publish_with(&store, 2, |p| p.deltas = vec![path.into()]).unwrap_err();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(e) = cause {
            text = format!("{text}: {e}");
            cause = e.source();
        }
        assert!(text.contains(why), "{why}: {text}");
        assert!(text.starts_with(path.to_str().unwrap()), "the file to blame: {text}");
        assert!(!text.contains("build the bundle again"), "the release is good: {text}");
        assert_eq!(store.list("").unwrap(), before, "{why}");
    };
    // By the key of channels, which the root names for something else.
    refused(&forged(&world, &world.product.channel_key, |_| {}), "its delta is not trusted");
    // Well signed, and raw digests that don't hash to the release's.
    refused(&forged(&world, &key, |list| list.chunks[0].digest.0[0] ^= 1), "can't be right");
    // Another base.
    refused(&forged(&world, &key, |list| list.base = Some(Digest::of(b"other"))), "another base");
    // A copy of other bytes.
    refused(
        &forged(&world, &key, |list| {
            let copies = |c: &&mut bistable_format::Chunk| {
                matches!(c.encoding, Encoding::Copy(_) | Encoding::Patch { .. })
            };
            let chunk = list.chunks.iter_mut().rev().find(copies).unwrap();
            match &mut chunk.encoding {
                Encoding::Copy(range) => range.offset ^= 4096,
                Encoding::Patch { prefix, .. } => prefix[0].offset += 1,
                _ => unreachable!(),
            }
        }),
        "does not make",
    );
    // Cut off.
    let bytes = fs::read(&world.deltas[1]).unwrap();
    let cut = world.folder.path().join("cut.delta");
    fs::write(&cut, &bytes[..bytes.len() - 600]).unwrap();
    refused(&cut, "truncated");
    // One bit of the data, and one of a list.
    let list = bytes.len() - 512 * 8;
    for at in [bytes.len() - 2000, list] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        let damaged = world.folder.path().join("damaged.delta");
        fs::write(&damaged, flipped).unwrap();
        refused(&damaged, "is not what the delta names");
    }
    refused(&world.bundles[1], "not a delta");
    // And the same without a change is fine.
    let fine = forged(&world, &key, |_| {});
    world.publish_with(&store, 2, |p| p.deltas = vec![fine]).unwrap();
    assert_clean(&store, "fine");
}

#[test]
fn fsck_tells_what_is_wrong_with_deltas() {
    let world = world();
    world.fill();
    let (good, path) = (world.store(), world.path(1));
    let bytes = good.get(&path, 1 << 16).unwrap().unwrap();
    let delta = Delta::open(&bytes, &world.product.root.root).unwrap();
    let found = |change: &dyn Fn(&Store)| {
        let store = Store::new(world.memory.fork());
        change(&store);
        let mut faults: Vec<_> = problems(&store).into_iter().map(|p| (p.fault, p.path)).collect();
        faults.dedup();
        faults
    };
    assert_eq!(found(&|_| {}), []);
    let data = names::blob(&delta.artifacts[1].data);
    assert_eq!(found(&|s| s.delete(&data).unwrap()), [(Fault::Missing, data.clone())]);
    assert_eq!(found(&|s| replace(s, &data, b"x")).first(), Some(&(Fault::Damaged, data.clone())));
    let untrusted = Some((Fault::Untrusted, path.clone()));
    assert_eq!(found(&|s| replace(s, &path, b"x")).first().cloned(), untrusted);
    let by_channel = delta.seal(&[world.product.channel_key.signing()]).unwrap();
    assert_eq!(found(&|s| replace(s, &path, &by_channel)).first().cloned(), untrusted);
    // The one of the other base, in its place.
    let other = good.get(&world.path(0), 1 << 16).unwrap().unwrap();
    assert_eq!(found(&|s| replace(s, &path, &other)).first().cloned(), untrusted);
    assert_eq!(
        found(&|s| replace(s, "deltas/x/y.delta", &other)),
        [(Fault::Untrusted, "deltas/x/y.delta".into())]
    );
    // Well signed, and between releases that no device has.
    let stray = Delta {
        head: Head::new(world.product.root.root.repository(), "hub"),
        base: Digest::of(b"gone"),
        extensions: Extensions::default(),
        ..delta.clone()
    };
    let (stray_path, stray) = (
        names::delta(&stray.target, &stray.base),
        stray.seal(&[world.product.release_key.signing()]).unwrap(),
    );
    assert_eq!(found(&|s| replace(s, &stray_path, &stray)), [(Fault::Orphan, stray_path.clone())]);
    // Well signed, with the list of another volume.
    let mut wrong = delta.clone();
    wrong.artifacts[0].list = wrong.artifacts[1].list;
    wrong.artifacts[0].list_bytes = wrong.artifacts[1].list_bytes;
    let wrong = wrong.seal(&[world.product.release_key.signing()]).unwrap();
    let list = names::blob(&delta.artifacts[0].list);
    let faults = found(&|s| replace(s, &path, &wrong));
    assert!(faults.contains(&(Fault::Damaged, path.clone())), "{faults:?}");
    assert!(faults.iter().all(|(_, p)| *p == path || *p == list), "{faults:?}");
}

fn pruned(product: &Product, store: &Store, policy: &Policy) -> Result<prune::Removed, String> {
    let roots = Roots::load(store).map_err(|e| e.to_string())?;
    let inventory = Inventory::read(store, &roots, None).map_err(|e| e.to_string())?;
    let files = prune::Files::read(store, &roots, &inventory).map_err(|e| e.to_string())?;
    let now = product.clock.0.load(Ordering::SeqCst);
    let plan = prune::plan(&inventory, &files, policy, now);
    prune::run(store, &roots, &product.committer("ada"), &plan).map_err(|e| e.to_string())
}

/// Staging offers 1.2.0 alone, and 1.1.0 is the way back.
fn only_the_newest(world: &World) {
    use bistable_image::repository::channel::ChannelError;
    use bistable_image::repository::writer::Change;
    let store = world.store();
    let roots = Roots::load(&store).unwrap();
    let log = ChannelLog::new(&store, &roots, "staging");
    let drop = |draft: &mut bistable_format::Channel| {
        draft.offers.retain(|o| o.constraints.version.minor == 2);
        Ok::<_, ChannelError>(Change::Made { verb: "room".into(), about: "old".into() })
    };
    world.product.committer("ada").writer(&log).commit(drop).unwrap();
    world.product.clock.0.fetch_add(HOUR, Ordering::SeqCst);
}

const OLD: Policy = Policy { keep: 0, older_than: Some(HOUR), most_bytes: None };

#[test]
fn delta_goes_with_either_of_its_releases_and_takes_its_blobs_along() {
    let world = world();
    world.fill();
    only_the_newest(&world);
    let store = world.store();
    let blobs = store.list("blobs").unwrap().len();
    let removed = pruned(&world.product, &store, &OLD).unwrap();
    assert_eq!((removed.deltas, paths(&store)), (1, vec![world.path(1)]), "1.0.0 went, and what takes it");
    assert!(store.list("blobs").unwrap().len() < blobs);
    assert_clean(&store, "pruned");
    assert_eq!(problems(&store).iter().filter(|p| p.fault == Fault::Orphan).count(), 0);
    assert_eq!(pruned(&world.product, &store, &OLD).unwrap().deltas, 0);
}

#[test]
fn deltas_to_what_nothing_offers_go_first_when_room_is_short() {
    let world = world();
    world.fill();
    let store = world.store();
    let roots = Roots::load(&store).unwrap();
    let plan = |store: &Store, most: u64| {
        let inventory = Inventory::read(store, &roots, None).unwrap();
        let files = prune::Files::read(store, &roots, &inventory).unwrap();
        let policy = Policy { keep: 10, older_than: None, most_bytes: Some(most) };
        prune::plan(&inventory, &files, &policy, world.product.clock.0.load(Ordering::SeqCst))
    };
    assert_eq!(plan(&store, 1).deltas, [], "1.2.0 is on offer");
    use bistable_image::repository::channel::ChannelError;
    use bistable_image::repository::writer::Change;
    let log = ChannelLog::new(&store, &roots, "staging");
    let drop = |draft: &mut bistable_format::Channel| {
        draft.offers.retain(|o| o.constraints.version.minor < 2);
        Ok::<_, ChannelError>(Change::Made { verb: "room".into(), about: "new".into() })
    };
    world.product.committer("ada").writer(&log).commit(drop).unwrap();
    let made = plan(&store, 1);
    assert_eq!((made.deltas.len(), made.go.len()), (2, 0), "all releases stay");
    assert!(made.deltas.iter().all(|d| d.why == prune::DeltaGoes::Room));
    assert_eq!(plan(&store, u64::MAX).deltas, []);
    prune::run(&store, &roots, &world.product.committer("ada"), &made).unwrap();
    assert_eq!(paths(&store), [] as [String; 0]);
    assert_clean(&store, "pruned");
}

/// The release that it makes is offered by no channel yet: only the lease tells that a writer is at it.
#[test]
fn prune_leaves_a_delta_that_is_just_being_published() {
    let world = world();
    let store = world.store();
    for n in 0..2 {
        world.publish(&store, n, &[]).unwrap();
    }
    // Dies just before the offer.
    let died = (1..100).find_map(|dies_at| {
        let memory = world.memory.fork();
        let faulty =
            Store::new(Faulty::new(memory.clone(), Faults { dies_at: Some(dies_at), ..Faults::default() }));
        let _ = world.publish(&faulty, 2, &[1]);
        let store = Store::new(memory);
        (paths(&store).len() == 1).then_some(store)
    });
    let died = died.expect("a death after the delta's file was made");
    let none = Policy { keep: 10, older_than: None, most_bytes: None };
    assert_eq!(pruned(&world.product, &died, &none).unwrap().deltas, 0);
    assert_eq!(paths(&died), [world.path(1)]);
    // A week later the lease is over.
    world.product.clock.0.fetch_add(LONGEST + HOUR, Ordering::SeqCst);
    assert_eq!(pruned(&world.product, &died, &none).unwrap().deltas, 1);
    assert_eq!(paths(&died), [] as [String; 0]);
}

#[test]
fn publish_and_prune_with_deltas_can_die_at_each_change() {
    let world = world();
    for n in 0..2 {
        world.publish(&world.store(), n, &[]).unwrap();
        world.product.clock.0.fetch_add(HOUR, Ordering::SeqCst);
    }
    crate::deaths::each_death_of("publish with deltas", &world.memory, &|store| {
        world.publish(store, 2, &[0, 1]).map(|_| ()).map_err(|e| e.to_string())
    });
    world.publish(&world.store(), 2, &[0, 1]).unwrap();
    world.product.clock.0.fetch_add(HOUR, Ordering::SeqCst);
    only_the_newest(&world);
    crate::deaths::each_death_of("prune with deltas", &world.memory, &|store| {
        pruned(&world.product, store, &OLD).map(|_| ())
    });
}

#[test]
fn copies_have_the_deltas_to_what_they_have_and_nothing_that_is_not_one() {
    let world = world();
    world.fill();
    only_the_newest(&world);
    let from = world.store();
    from.put("deltas/stray", b"root:$6$secret:19000:0:99999:7:::\n").unwrap();
    let copy = |extent| {
        let to = Store::new(crate::races::Named("copy", Memory::new()));
        let clock: &TestClock = &world.product.clock;
        let copying = Copying { extent, only: &[], who: "ada", clock };
        let copied = sync(&from, &to, copying, &mut |_, _| {}).unwrap();
        assert_eq!(copied.skipped.len(), 1, "{:?}", copied.skipped);
        (to, copied)
    };
    for extent in [Extent::Offers, Extent::Everything] {
        let (to, _) = copy(extent);
        let mut want = vec![world.path(0), world.path(1)];
        want.sort();
        assert_eq!(paths(&to), want, "{extent:?}: devices have the base");
        assert_sound(&to, "copy");
        let deltas = delta_file::all(&to, &Roots::load(&to).unwrap()).unwrap();
        for part in deltas.good.iter().flat_map(delta_file::StoredDelta::parts) {
            assert_eq!(to.size(&names::blob(&part.digest)).unwrap(), Some(part.bytes));
        }
    }
}
