//! Copies: what each kind has, what can be copied from it, and what it never takes over.
use crate::races::Named;
use crate::world::{World, assert_clean, assert_sound, snapshot};
use bistable_format::{Envelope, repository as names};
use bistable_image::repository::roots::Roots;
use bistable_image::repository::store::{Faults, Faulty, Memory, Operation};
use bistable_image::repository::sync::{Copying, Extent, sync};
use bistable_image::repository::{Store, audit, recording};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

struct Copies {
    world: World,
    original: Store,
}

impl Copies {
    fn new() -> Copies {
        let world = World::new();
        let original = Store::new(Named("original", world.memory.clone()));
        Copies { world, original }
    }

    fn of(&self, from: &Store, to: &Store, extent: Extent, only: &[&str]) -> Result<u64, String> {
        let only: Vec<String> = only.iter().map(|name| (*name).into()).collect();
        let how = Copying { extent, only: &only, who: "ada", clock: &self.world.product.clock };
        sync(from, to, how, &mut |_, _| {}).map(|copied| copied.files).map_err(|e| e.to_string())
    }

    fn mirror(&self, from: &Store, to: &Store) {
        self.of(from, to, Extent::Everything, &[]).unwrap();
        assert_clean(to, "mirror");
        assert_eq!(snapshot(to), snapshot(from));
    }
}

fn place(name: &'static str) -> Store {
    Store::new(Named(name, Memory::new()))
}

/// The same files; `act` is done before the first upload of a blob to it.
fn meanwhile(name: &'static str, memory: Memory, act: impl FnOnce() + Send + 'static) -> Store {
    let act = Mutex::new(Some(act));
    let before = move |operation, path: &str| {
        if operation == Operation::Upload && path.starts_with("blobs/") {
            let act = act.lock().unwrap().take();
            if let Some(act) = act {
                act();
            }
        }
    };
    let faults = Faults { before: Some(Arc::new(before)), ..Faults::default() };
    Store::new(Faulty::new(Named(name, memory), faults))
}

/// As a device looks: at the hint first. Without its file, and the first, there is no channel.
#[track_caller]
fn assert_hints(store: &Store) {
    for name in ["staging", "production"] {
        let hint =
            store.get(&names::channel_hint(name), 64).unwrap().and_then(|text| names::parse_hint(&text));
        let there = store.list(&names::channel_folder(name)).unwrap();
        let newest = there.iter().filter_map(|f| names::channel_sequence(f.path.rsplit('/').next()?)).max();
        assert_eq!(hint, newest, "{name}");
    }
}

#[test]
fn a_copys_hints_say_what_was_copied() {
    let copies = Copies::new();
    for wrong in [None, Some("1\n"), Some("99\n"), Some("rubbish")] {
        for hint in [names::channel_hint("staging"), names::channel_hint("production")] {
            copies.original.delete(&hint).unwrap();
            if let Some(text) = wrong {
                copies.original.put(&hint, text.as_bytes()).unwrap();
            }
        }
        for extent in [Extent::Offers, Extent::Everything] {
            let to = place("copy");
            copies.of(&copies.original, &to, extent, &[]).unwrap();
            assert_hints(&to);
        }
    }
}

#[test]
fn a_commit_meanwhile_is_left_for_the_next_copy() {
    for extent in [Extent::Offers, Extent::Everything] {
        let copies = Copies::new();
        let (copied, world) = (Memory::new(), World::new());
        // Its own world: what is done meanwhile outlives this function's borrows.
        let original = Store::new(Named("original", world.memory.clone()));
        let acted = Arc::new(AtomicBool::new(false));
        let (done, inside) = (acted.clone(), original.clone());
        let to = meanwhile("copy", copied.clone(), move || {
            world.publish(&inside, 4).unwrap();
            done.store(true, Ordering::SeqCst);
        });
        copies.of(&original, &to, extent, &[]).unwrap();
        assert!(acted.load(Ordering::SeqCst));
        let to = Store::new(Named("copy", copied));
        assert_hints(&to);
        assert_sound(&to, "at once");
        copies.of(&original, &to, extent, &[]).unwrap();
        assert_clean(&to, "afterwards");
        if extent == Extent::Everything {
            assert_eq!(snapshot(&to), snapshot(&original));
        }
    }
}

#[test]
fn a_part_is_never_copied_as_a_whole() {
    let copies = Copies::new();
    let (part, mirror, whole) = (place("part"), place("mirror"), place("whole"));
    copies.of(&copies.original, &part, Extent::Offers, &[]).unwrap();
    copies.mirror(&copies.original, &mirror);
    copies.world.publish(&copies.original, 4).unwrap();
    copies.of(&copies.original, &part, Extent::Offers, &[]).unwrap();
    for (to, extent) in [(&whole, Extent::Everything), (&mirror, Extent::Offers)] {
        let refused = copies.of(&part, to, extent, &[]).unwrap_err();
        assert!(refused.contains("without the history"), "{refused}");
    }
    assert!(whole.list("").unwrap().is_empty());
    assert_clean(&mirror, "refused");
    // For devices it is as good as the original.
    copies.of(&part, &whole, Extent::Offers, &[]).unwrap();
    assert_clean(&whole, "offers");
}

#[test]
fn a_mirror_can_be_copied_and_stays_one() {
    let copies = Copies::new();
    let (mirror, other) = (place("mirror"), place("other"));
    copies.mirror(&copies.original, &mirror);
    copies.mirror(&mirror, &other);
    copies.world.publish(&copies.original, 4).unwrap();
    copies.mirror(&copies.original, &mirror);
    copies.mirror(&mirror, &other);
    // A part records nothing, either.
    let (part, of_part) = (place("part"), place("of part"));
    copies.of(&copies.original, &part, Extent::Offers, &[]).unwrap();
    copies.of(&part, &of_part, Extent::Offers, &[]).unwrap();
    assert!(part.list("audit").unwrap().is_empty());
    // The original stays one when it gets back what it lost.
    copies.mirror(&copies.original, &mirror);
    let lost = copies.original.list("blobs").unwrap().remove(0).path;
    copies.original.delete(&lost).unwrap();
    copies.mirror(&mirror, &copies.original);
    copies.world.promote(&copies.original, "1.3.0").unwrap();
    let records = audit::newest(&copies.original).unwrap().unwrap().record.sequence;
    copies.of(&copies.original, &place("more"), Extent::Offers, &[]).unwrap();
    assert_eq!(audit::newest(&copies.original).unwrap().unwrap().record.sequence, records + 1);
}

#[test]
fn the_audit_of_a_mirror_is_never_ahead_of_its_channels() {
    let copies = Copies::new();
    let mirror = place("mirror");
    copies.mirror(&copies.original, &mirror);
    copies.world.publish(&copies.original, 4).unwrap();
    copies.world.promote(&copies.original, "1.3.0").unwrap();
    copies.of(&copies.original, &mirror, Extent::Offers, &["production"]).unwrap();
    assert_sound(&mirror, "one channel");
    recording::verify(&mirror, &Roots::load(&mirror).unwrap()).unwrap();
    copies.mirror(&copies.original, &mirror);
}

#[test]
fn a_damaged_history_is_not_copied() {
    let copies = Copies::new();
    let path = names::channel("staging", 2);
    let good = copies.original.get(&path, Envelope::MAX_BYTES).unwrap().unwrap();
    let mut bad = good.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    copies.original.delete(&path).unwrap();
    let _ = copies.original.create(&path, &bad).unwrap();
    let mirror = place("mirror");
    let refused = copies.of(&copies.original, &mirror, Extent::Everything, &[]).unwrap_err();
    assert!(refused.contains("number 2 of channel staging"), "{refused}");
    assert_eq!(mirror.size(&path).unwrap(), None);
    copies.original.delete(&path).unwrap();
    let refused = copies.of(&copies.original, &mirror, Extent::Everything, &[]).unwrap_err();
    assert!(refused.contains("is missing"), "{refused}");
    let _ = copies.original.create(&path, &good).unwrap();
    copies.mirror(&copies.original, &mirror);
}

#[test]
fn wrong_bytes_are_never_to_be_seen() {
    let copies = Copies::new();
    let blobs = copies.original.list("blobs").unwrap();
    let largest = blobs.iter().max_by_key(|f| f.bytes).unwrap();
    let good = copies.original.get(&largest.path, 1 << 30).unwrap().unwrap();
    let replace = |bytes: &[u8]| {
        copies.original.delete(&largest.path).unwrap();
        let _ = copies.original.upload(&largest.path, &mut &*bytes, bytes.len() as u64).unwrap();
    };
    let mut turned = good.clone();
    turned[100] ^= 1;
    let memory = Memory::new();
    let (seen, files, path) = (Arc::new(AtomicBool::new(false)), memory.clone(), largest.path.clone());
    let (saw, files) = (seen.clone(), Store::new(files));
    let before = move |_: Operation, _: &str| {
        saw.fetch_or(files.size(&path).unwrap().is_some(), Ordering::SeqCst);
    };
    let faults = Faults { before: Some(Arc::new(before)), ..Faults::default() };
    let to = Store::new(Faulty::new(Named("copy", memory), faults));
    for wrong in [turned, good[1..].to_vec(), [&good[..], b"x"].concat()] {
        replace(&wrong);
        let refused = copies.of(&copies.original, &to, Extent::Everything, &[]).unwrap_err();
        assert!(refused.contains("of original is damaged"), "{refused}");
        assert_eq!(to.size(&largest.path).unwrap(), None);
        assert!(!seen.load(Ordering::SeqCst), "not for a moment");
    }
    replace(&good);
    copies.of(&copies.original, &to, Extent::Everything, &[]).unwrap();
}
