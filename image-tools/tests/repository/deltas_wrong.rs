//! Deltas in a repository that no device takes: damaged, signed by strangers or with retired keys, or without their data. None
//! of them may pass for published, and all of them can be replaced.
use crate::deltas::{World, forged, paths, problems, replace, world};
use crate::product::{Product, key};
use crate::races::Named;
use crate::world::assert_clean;
use bistable_format::{Delta, Digest, Encoding, repository as names};
use bistable_image::bundle::DeltaReader;
use bistable_image::repository::fsck::{Depth, Fault, Problem, Repaired, fsck, repair};
use bistable_image::repository::publish::PublishError;
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::{Faults, Faulty, Memory, Operation};
use bistable_image::repository::sync::{Copying, Extent, sync};
use bistable_image::repository::{Store, delta_file};
use bistable_image::root::{self, RootOptions, SignedRoot};
use semver::Version;
use std::fs;
use std::sync::{Arc, Mutex};

/// Three releases, and the deltas to the last.
fn filled() -> World {
    let world = world();
    world.fill();
    world
}

fn signed(world: &World, base: usize) -> (Vec<u8>, Delta) {
    let bytes = world.store().get(&world.path(base), 1 << 16).unwrap().unwrap();
    let delta = Delta::open(&bytes, &world.product.root.root).unwrap();
    (bytes, delta)
}

/// What devices suffer from. The blobs of what is no delta are orphans besides.
fn serious(store: &Store) -> Vec<Problem> {
    problems(store).into_iter().filter(|p| p.fault.is_serious()).collect()
}

fn repaired(store: &Store) -> Repaired {
    let roots = Roots::load(store).unwrap();
    let report = fsck(store, &roots, Depth::Bytes).unwrap();
    repair(store, &roots, &report).unwrap()
}

/// What publishing 1.2.0 with its delta from 1.1.0 says, and every change that it made.
fn refusal(world: &World, store: &Store) -> String {
    let before = store.list("").unwrap();
    let error = world.publish(store, 2, &[1]).unwrap_err();
    assert_eq!(store.list("").unwrap(), before, "{error}");
    error.to_string()
}

/// The root after this one, by which these keys sign releases.
fn follow(product: &Product, store: &Store, release_keys: &[u8]) {
    let roots = Roots::load(store).unwrap();
    let keys = release_keys.iter().map(|n| key(*n).public()).collect();
    let options =
        RootOptions { release_keys: keys, sign: vec![product.root_key.clone()], ..RootOptions::default() };
    let newest = &roots.newest().root;
    let bytes = root::next(newest, &options).unwrap();
    let next = SignedRoot { root: newest.successor(&bytes).unwrap(), bytes };
    roots.follow(store, &next, "ada", &product.clock).unwrap();
}

#[test]
fn file_that_no_device_takes_is_reported_by_publish_and_replaced_after_a_repair() {
    let world = filled();
    let ((ours, delta), path) = (signed(&world, 1), world.path(1));
    let worthless: [(&str, Vec<u8>, &str); 5] = [
        ("damaged", b"x".to_vec(), "is not a delta signed with the keys of releases"),
        ("cut off", ours[..ours.len() - 1].to_vec(), "is not a delta signed with the keys of releases"),
        (
            "by a stranger",
            delta.seal(&[key(77).signing()]).unwrap(),
            "is not a delta signed with the keys of releases",
        ),
        ("in the place of another", signed(&world, 0).0, "makes another release, or takes another one"),
        ("too large", vec![0; 1 << 20], "is too large for a delta"),
    ];
    for (what, bytes, why) in worthless {
        let store = Store::new(world.memory.fork());
        replace(&store, &path, &bytes);
        let text = refusal(&world, &store);
        assert!(text.contains(why) && text.contains("fsck --deep --repair"), "{what}: {text}");
        assert!(text.starts_with(world.deltas[1].to_str().unwrap()), "{what}: {text}");
        let found = serious(&store);
        assert_eq!((found[0].fault, &found[0].path, found.len()), (Fault::Untrusted, &path, 1), "{what}");
        assert!(
            found[0].text.contains(why) && found[0].text.contains("--deep --repair"),
            "{what}: {found:?}"
        );
        assert_eq!(repaired(&store), Repaired { deltas: 1, ..Repaired::default() }, "{what}");
        assert_eq!(paths(&store), [world.path(0)], "{what}");
        assert!(world.publish(&store, 2, &[1]).unwrap().deltas[0].is_new, "{what}");
        assert_eq!(store.get(&path, 1 << 16).unwrap(), Some(ours.clone()), "{what}");
        assert_clean(&store, what);
    }
}

#[test]
fn delta_signed_with_a_retired_key_is_no_delta_any_more() {
    let world = filled();
    let (store, path) = (world.store(), world.path(1));
    let (ours, delta) = signed(&world, 1);
    follow(&world.product, &store, &[2, 9]);
    replace(&store, &path, &delta.seal(&[key(9).signing()]).unwrap());
    assert_clean(&store, "another key of releases");
    follow(&world.product, &store, &[2]);
    let text = refusal(&world, &store);
    assert!(text.contains("keys that only root 2 names for releases"), "{text}");
    let roots = Roots::load(&store).unwrap();
    let all = delta_file::all(&store, &roots).unwrap();
    assert_eq!((all.good.len(), all.retired.len(), all.bad.len()), (1, 1, 0));
    let found = serious(&store);
    assert_eq!((found[0].fault, &found[0].path, found.len()), (Fault::Untrusted, &path, 1), "{found:?}");
    // No device gets it from here.
    let to = Store::new(Named("copy", Memory::new()));
    let copying = Copying { extent: Extent::Offers, only: &[], who: "ada", clock: &world.product.clock };
    let copied = sync(&store, &to, copying, &mut |_, _| {}).unwrap();
    assert_eq!((copied.skipped.len(), &copied.skipped[0].0), (1, &path));
    assert_eq!(repaired(&store).deltas, 1);
    assert!(world.publish(&store, 2, &[1]).unwrap().deltas[0].is_new);
    assert_eq!(store.get(&path, 1 << 16).unwrap(), Some(ours));
    assert_clean(&store, "published again");
}

/// What a later version made is not judged by an older one.
#[test]
fn delta_for_a_later_agent_is_neither_replaced_nor_removed() {
    let world = filled();
    let (store, path) = (world.store(), world.path(1));
    let (_, mut delta) = signed(&world, 1);
    delta.head.agent = ">=99".into();
    let later = delta.seal(&[world.product.release_key.signing()]).unwrap();
    replace(&store, &path, &later);
    let text = refusal(&world, &store);
    assert!(text.contains("needs bistable >=99") && !text.contains("repair"), "{text}");
    assert_eq!(problems(&store)[0].fault, Fault::Untrusted);
    assert_eq!(repaired(&store).deltas, 0);
    assert_eq!(store.get(&path, 1 << 16).unwrap(), Some(later));
}

#[test]
fn only_deltas_that_devices_take_count_as_there() {
    let world = filled();
    let (path, (_, delta)) = (world.path(1), signed(&world, 1));
    let without = |change: &dyn Fn(&Store)| {
        let store = Store::new(world.memory.fork());
        change(&store);
        let without = world.publish(&store, 2, &[]).unwrap().without_delta;
        let required = world.publish_with(&store, 2, |p| p.require_deltas = true);
        assert_eq!(matches!(required, Err(PublishError::NoDeltas { .. })), !without.is_empty());
        without
    };
    let missing = [Version::new(1, 1, 0)];
    assert_eq!(without(&|_| {}), []);
    assert_eq!(without(&|s| replace(s, &path, b"x")), missing);
    assert_eq!(without(&|s| replace(s, &path, &delta.seal(&[key(77).signing()]).unwrap())), missing);
    assert_eq!(without(&|s| s.delete(&names::blob(&delta.artifacts[1].list)).unwrap()), missing);
    let retired = |store: &Store| {
        follow(&world.product, store, &[2, 9]);
        replace(store, &path, &delta.seal(&[key(9).signing()]).unwrap());
        follow(&world.product, store, &[2]);
    };
    assert_eq!(without(&retired), missing);
}

#[test]
fn delta_that_lacks_a_blob_is_published_again_or_makes_room_for_another() {
    let world = filled();
    let (path, (_, delta)) = (world.path(1), signed(&world, 1));
    // Its data is that of the other delta, too.
    let list = names::blob(&delta.artifacts[1].list);
    // Missing: the same delta brings it, another one is told of it.
    let store = Store::new(world.memory.fork());
    store.delete(&list).unwrap();
    world.publish(&store, 2, &[1]).unwrap();
    assert_clean(&store, "published again");
    store.delete(&list).unwrap();
    let other = forged(&world, &world.product.release_key, |chunks| {
        // The same chunks, one of them patched with more of the base.
        let patched = chunks.chunks.iter_mut().rev().find_map(|chunk| match &mut chunk.encoding {
            Encoding::Patch { prefix, .. } => prefix.first_mut(),
            _ => None,
        });
        let first = patched.expect("a patched chunk");
        (first.offset, first.bytes) = (first.offset - 64, first.bytes + 64);
    });
    let with_other = |store: &Store| world.publish_with(store, 2, |p| p.deltas = vec![other.clone()]);
    let text = with_other(&store).unwrap_err().to_string();
    assert!(text.contains(&format!("which lacks {list}")) && text.contains("--deep --repair"), "{text}");
    assert_eq!(repaired(&store).deltas, 1);
    assert!(with_other(&store).unwrap().deltas[0].is_new);
    assert_clean(&store, "another one");
    // Damaged with its size: what is there is never written again.
    let store = Store::new(world.memory.fork());
    let mut bytes = store.get(&list, 1 << 24).unwrap().unwrap();
    bytes[3] ^= 1;
    replace(&store, &list, &bytes);
    let text = refusal(&world, &store);
    assert!(text.contains(&list) && text.contains("--deep --repair"), "{text}");
    let done = repaired(&store);
    assert_eq!((done.damaged, done.deltas), (1, 1), "one run is enough");
    assert!(!paths(&store).contains(&path));
    assert!(world.publish(&store, 2, &[1]).unwrap().deltas[0].is_new);
    assert_clean(&store, "both again");
}

#[test]
fn copy_with_a_worthless_delta_is_reported_by_sync() {
    let world = filled();
    let (store, path) = (world.store(), world.path(1));
    let to = Store::new(Named("copy", Memory::new()));
    let copy = || {
        let copying =
            Copying { extent: Extent::Everything, only: &[], who: "ada", clock: &world.product.clock };
        sync(&store, &to, copying, &mut |_, _| {}).unwrap().skipped
    };
    assert_eq!(copy(), []);
    replace(&to, &path, b"x");
    let skipped = copy();
    assert_eq!((skipped.len(), &skipped[0].0), (1, &path));
    assert!(skipped[0].1.contains("fsck --deep --repair"), "{skipped:?}");
    assert_eq!(repaired(&to).deltas, 1);
    assert_eq!(copy(), []);
    assert_eq!(to.get(&path, 1 << 16).unwrap(), store.get(&path, 1 << 16).unwrap());
}

#[test]
fn deep_check_reads_each_list_of_a_delta_once() {
    let world = filled();
    let lists: Vec<Digest> = [0, 1]
        .into_iter()
        .flat_map(|base| signed(&world, base).1.artifacts.into_iter().map(|artifact| artifact.list))
        .collect();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&asked);
    let before = move |operation, path: &str| {
        if operation == Operation::Get {
            log.lock().unwrap().push(path.into());
        }
    };
    let faults = Faults { before: Some(Arc::new(before)), ..Faults::default() };
    let store = Store::new(Faulty::new(world.memory.clone(), faults));
    let report = fsck(&store, &Roots::load(&store).unwrap(), Depth::Bytes).unwrap();
    assert_eq!(report.proven, 2);
    let asked = asked.lock().unwrap();
    for list in &lists {
        // Hashing a blob reads ranges of it. Deltas may share a list.
        let reads = asked.iter().filter(|path| **path == names::blob(list)).count();
        assert_eq!(reads, lists.iter().filter(|other| *other == list).count(), "{list}");
    }
}

#[test]
fn deep_check_applies_each_delta_whose_base_is_there() {
    let world = filled();
    let (store, path) = (world.store(), world.path(1));
    let roots = Roots::load(&store).unwrap();
    assert_eq!(fsck(&store, &roots, Depth::Names).unwrap().proven, 0);
    let report = fsck(&store, &roots, Depth::Bytes).unwrap();
    assert_eq!((report.deltas, report.proven), (2, 2));
    // Signed well, with a list that fits both releases, and made of other bytes of the base.
    let wrong = forged(&world, &world.product.release_key, |list| {
        let copied = list.chunks.iter_mut().rev().find_map(|chunk| match &mut chunk.encoding {
            Encoding::Patch { prefix, .. } => prefix.first_mut(),
            _ => None,
        });
        copied.expect("a patched chunk").offset += 1;
    });
    let bytes = fs::read(&wrong).unwrap();
    let reader = DeltaReader::open(&bytes[..], &world.product.root.root).unwrap();
    let list = &reader.lists().last().unwrap().1;
    let _ = store.create(&names::blob(&Digest::of(list)), list).unwrap();
    replace(&store, &path, reader.signed());
    let at = |depth| -> Vec<_> {
        let found = fsck(&store, &roots, depth).unwrap().problems;
        found.into_iter().filter(|p| p.fault.is_serious()).map(|p| (p.fault, p.path, p.text)).collect()
    };
    assert_eq!(at(Depth::Names), []);
    let found = at(Depth::Bytes);
    assert_eq!((found.len(), found[0].0, &found[0].1), (1, Fault::Damaged, &path), "{found:?}");
    assert!(found[0].2.contains("does not make hub 1.2.0"), "{found:?}");
    assert_eq!(repaired(&store).deltas, 1);
    assert!(world.publish(&store, 2, &[1]).unwrap().deltas[0].is_new);
    assert_clean(&store, "published again");
    // Without the base's data nothing is known, and the missing blob says why.
    let held = bistable_image::verify::open(&world.bundles[1], &world.product.root.root).unwrap();
    store.delete(&names::blob(&held.release().volumes().unwrap().system.data)).unwrap();
    let report = fsck(&store, &roots, Depth::Bytes).unwrap();
    assert_eq!((report.deltas, report.proven), (2, 1));
    assert!(report.problems.iter().all(|p| !p.path.starts_with("deltas/")), "{:?}", report.problems);
}
