//! The root in the running system: what is stored in `state` is trusted only if it descends from it.
use crate::{
    rig::Rig,
    shop::{
        CHANNEL, NEW_PUBLISHER, NEW_RELEASER, PUBLISHER, RELEASER, ROOTS, SEEN, STRANGER, channel, device,
        look, made, made_by, publish, publish_by, put, record, root_of, running, sealed, shop, signed_root,
        stock, store_roots, update,
    },
};
use bistable::{Error, error::Exit, source::Memory, steps::install::Overrides};
use bistable_boot::{
    Blocks as _, COPY_BYTES, Journal, Memory as Blocks, Record, ReleaseId, SECTOR, Slot, layout,
};
use bistable_format::{Role, RootChain, SignedRoot, release, repository};

/// Versions of the usual roots, each with the same keys.
fn usual(version: u32) -> Vec<u8> {
    signed_root(&crate::shop::root(version))
}

/// Another root of that version, by other people.
fn strangers(version: u32) -> Vec<u8> {
    let root = root_of(version, &[STRANGER, 78], &[STRANGER], &[STRANGER]);
    sealed(Role::Root, &crate::shop::payload(&root), &[STRANGER, 78])
}

/// The system in either slot carries this root; the program that is started as a process finds it, too.
fn carry(rig: &mut Rig, root: &[u8]) {
    for slot in Slot::ALL {
        rig.system_roots[slot] = Some(root.to_vec());
    }
    rig.pi.file("card.img.sim/root/usr/share/bistable/root.root", root);
}

/// One copy of the chain, behind everybody's back: roots that may or may not follow each other.
fn store(rig: &Rig, copy: usize, roots: &[Vec<u8>]) {
    let all = roots.concat();
    let counts =
        [&b"BRTS\x01\x00"[..], &(roots.len() as u16).to_le_bytes(), &(all.len() as u32).to_le_bytes()];
    let mut bytes = [&counts.concat()[..], &all].concat();
    bytes.extend(bistable_format::Digest::of(&bytes).0);
    let at = layout::ROOT[copy].0 * SECTOR as u64;
    rig.pi.scribble(layout::Partition::State, at, &bytes);
}

fn lose(rig: &Rig, places: &[bistable_boot::Lba]) {
    for at in places {
        rig.pi.scribble(layout::Partition::State, at.0 * SECTOR as u64, &[0; 64 << 10]);
    }
}

/// All versions of the chain in each place.
fn stored(rig: &Rig) -> [Vec<u32>; 2] {
    let state = rig.pi.partition(layout::Partition::State);
    layout::ROOT.map(|at| {
        let chain = RootChain::decode(&state[at.0 as usize * SECTOR..]).unwrap();
        chain.roots().iter().map(|root| root.root().version).collect()
    })
}

/// The journal says this, in both copies.
fn journal(rig: &Rig, record: &Record) {
    let mut journal = Journal::new(Blocks::new(layout::JOURNAL[1].0 as usize + COPY_BYTES / SECTOR));
    journal.format(record).unwrap();
    let mut blocks = journal.into_inner();
    for at in layout::JOURNAL {
        let mut copy = [0; COPY_BYTES];
        blocks.read(at, &mut copy).unwrap();
        rig.pi.scribble(layout::Partition::State, at.0 * SECTOR as u64, &copy);
    }
}

/// A repository with root 2, and a channel file of that number.
fn rotated(number: u64) -> Memory {
    let mut shop = shop();
    put(&mut shop, repository::root(2), usual(2));
    publish(&mut shop, &channel(number, Vec::new()));
    shop
}

#[track_caller]
fn says(e: &Error, exit: Exit, words: &str) {
    assert_eq!(e.exit(), exit, "{e}");
    assert!(e.to_string().contains(words), "{words:?} is not in {e}");
}

#[test]
fn the_highest_stored_root_that_descends_from_the_systems_counts() {
    let [one, two, three, four] = [1, 2, 3, 4].map(usual);
    let [evil_one, evil_two, evil_nine] = [1, 2, 9].map(strangers);
    let damaged = vec![vec![0xa5; 100]];
    type Row = (&'static str, [Vec<Vec<u8>>; 2], Vec<u8>, Result<u32, &'static str>);
    let chain = |roots: &[&Vec<u8>]| roots.iter().map(|root| root.to_vec()).collect::<Vec<_>>();
    let table: Vec<Row> = vec![
        ("both the same", [chain(&[&one]), chain(&[&one])], one.clone(), Ok(1)),
        ("the longer chain", [chain(&[&one, &two]), chain(&[&one, &two, &three])], one.clone(), Ok(3)),
        ("one is damaged", [damaged.clone(), chain(&[&one, &two])], one.clone(), Ok(2)),
        ("from the middle of the chain", [chain(&[&one, &two, &three]), damaged.clone()], two.clone(), Ok(3)),
        ("a higher one of strangers", [chain(&[&one, &two]), chain(&[&evil_nine])], one.clone(), Ok(2)),
        (
            "a higher one of strangers behind ours",
            [chain(&[&one, &evil_two]), chain(&[&one])],
            one.clone(),
            Ok(1),
        ),
        (
            "only strangers",
            [chain(&[&evil_nine]), chain(&[&evil_nine])],
            one.clone(),
            Err("does not descend"),
        ),
        (
            "strangers' first",
            [chain(&[&evil_one]), chain(&[&evil_one])],
            one.clone(),
            Err("is another root than that of"),
        ),
        (
            "strangers' next",
            [chain(&[&one, &evil_two]), damaged.clone()],
            one.clone(),
            Err("does not follow the one before"),
        ),
        ("a gap", [chain(&[&one, &three]), damaged.clone()], one.clone(), Err("the next one is version 3")),
        ("the system is newer", [chain(&[&one, &two]), chain(&[&one])], four.clone(), Ok(4)),
        ("nothing is stored", [damaged.clone(), damaged.clone()], two.clone(), Ok(2)),
        (
            "the system's root is none",
            [chain(&[&one]), chain(&[&one])],
            vec![1; 40],
            Err("the root in the running system"),
        ),
    ];
    let mut rig = device();
    for (what, copies, system, expected) in table {
        lose(&rig, &layout::ROOT);
        for (copy, roots) in copies.iter().enumerate() {
            store(&rig, copy, roots);
        }
        carry(&mut rig, &system);
        let found = rig.run(|agent| agent.device.root());
        match expected {
            Ok(version) => {
                assert_eq!(found.unwrap_or_else(|e| panic!("{what}: {e}")).version, version, "{what}");
            }
            Err(words) => says(&found.unwrap_err(), Exit::Untrusted, words),
        }
    }
}

#[test]
fn a_root_of_strangers_is_refused_everywhere_until_repair_puts_the_systems_in_its_place() {
    let mut rig = device();
    carry(&mut rig, &usual(1));
    look_and_see(&mut rig, &mut shop(), SEEN);
    for copy in 0..2 {
        store(&rig, copy, &[strangers(1)]);
    }
    // Even a repository that is wholly theirs.
    let mut theirs = Memory::default();
    put(&mut theirs, repository::root(1), strangers(1));
    let offer = stock(&mut theirs, &made_by("9.0.0", &[STRANGER], |_| {}));
    publish_by(&mut theirs, &channel(SEEN + 1, vec![offer]), STRANGER);
    let e = rig.run(|agent| crate::shop::install(agent, &mut theirs, None)).unwrap_err();
    says(&e, Exit::Untrusted, "does not descend from the root of the running system");
    says(&e, Exit::Untrusted, "`bistable repair`");
    let e = rig
        .run(|agent| agent.install(&mut &crate::fixture::product().good[..], Overrides::RETRY))
        .unwrap_err();
    says(&e, Exit::Untrusted, "does not descend");
    // And no check of a release is run under it.
    let e = rig.run(|agent| agent.self_test()).unwrap_err();
    says(&e, Exit::Untrusted, "the release stored for slot A");
    rig.pi.run_once_free("status").must(0, &[]);
    rig.pi.run_once_free("repair").must(0, &[]);
    rig.pi.run_once_free("repair").must(3, &["nothing to repair"]);
    assert_eq!(stored(&rig), [[1], [1]]);
    rig.run(|agent| agent.self_test()).unwrap();
    look_and_see(&mut rig, &mut shop(), SEEN);
}

#[track_caller]
fn look_and_see(rig: &mut Rig, shop: &mut Memory, number: u64) {
    let found = rig.run(|agent| look(&mut agent.device, shop)).unwrap();
    assert_eq!((found.channel.sequence, &*found.channel.name), (number, CHANNEL));
}

#[test]
fn every_root_that_was_followed_is_stored() {
    let mut rig = device();
    carry(&mut rig, &usual(1));
    let mut shop = rotated(SEEN + 1);
    look_and_see(&mut rig, &mut shop, SEEN + 1);
    assert_eq!(stored(&rig), [[1, 2], [1, 2]]);
    put(&mut shop, repository::root(3), usual(3));
    put(&mut shop, repository::root(4), usual(4));
    look_and_see(&mut rig, &mut shop, SEEN + 1);
    assert_eq!(stored(&rig), [[1, 2, 3, 4], [1, 2, 3, 4]]);
}

#[test]
fn an_image_with_a_newer_root_raises_the_devices_and_there_is_a_way_back() {
    let mut rig = device();
    rig.system_roots.a = Some(usual(1));
    rig.system_roots.b = Some(usual(2));
    let mut shop = shop();
    let offer = stock(&mut shop, &made("1.1.0"));
    publish(&mut shop, &channel(SEEN + 1, vec![offer]));
    update(&mut rig, &mut shop).unwrap();
    assert_eq!((rig.booted, running(&mut rig)), (Slot::B, "1.1.0".into()));
    assert_eq!(rig.run(|agent| agent.device.root()).unwrap().version, 2);
    // The repository has none newer: what the image brought is stored with the next check.
    look_and_see(&mut rig, &mut shop, SEEN + 1);
    assert_eq!(stored(&rig), [[1, 2], [1, 2]]);
    let floors = record(&mut rig).floors;
    assert_eq!((floors.root_version, floors.channel_sequence), (2, SEEN + 1), "the same key signs channels");
    rig.reboots(|agent| agent.roll_back());
    rig.run(|agent| agent.resume()).unwrap();
    assert_eq!((rig.booted, running(&mut rig)), (Slot::A, "1.0.0".into()));
    assert_eq!(rig.run(|agent| agent.device.root()).unwrap().version, 2);
}

#[test]
fn a_lost_chain_is_followed_again_and_floors_stay() {
    let mut rig = device();
    carry(&mut rig, &usual(1));
    look_and_see(&mut rig, &mut rotated(SEEN + 5), SEEN + 5);
    let before = record(&mut rig).floors;
    lose(&rig, &layout::ROOT);
    let e = rig.run(|agent| agent.device.root()).unwrap_err();
    says(&e, Exit::Untrusted, "root version 1 is below 2, seen before");
    // A repository that withholds root 2 is no way back to root 1.
    let mut behind = shop();
    publish(&mut behind, &channel(SEEN + 6, Vec::new()));
    let e = rig.run(|agent| look(&mut agent.device, &mut behind)).unwrap_err();
    says(&e, Exit::Untrusted, "is below 2");
    // And neither is an older channel file.
    let e = rig.run(|agent| look(&mut agent.device, &mut rotated(SEEN))).unwrap_err();
    says(&e, Exit::Untrusted, "is older than number 12");
    look_and_see(&mut rig, &mut rotated(SEEN + 5), SEEN + 5);
    assert_eq!((stored(&rig), record(&mut rig).floors), ([vec![1, 2], vec![1, 2]], before));
}

#[test]
fn stored_release_without_a_valid_key_is_not_used() {
    let mut rig = device();
    let honest = record(&mut rig);
    for (by, words) in [(STRANGER, "signed by key"), (PUBLISHER, "does not name for release")] {
        let forged = made_by("1.0.0", &[by], |r| r.health = "deadline_s = 1\n".into());
        let mut says_so = honest.clone();
        says_so.slots.a.as_mut().unwrap().release = ReleaseId(release::identity(&forged.signed).0);
        let at = layout::RELEASE.a.0 * SECTOR as u64;
        rig.pi.scribble(layout::Partition::State, at, &forged.signed);
        journal(&rig, &says_so);
        for e in [
            rig.run(|agent| agent.health(bistable::steps::health::Pins::Used).map(drop)).unwrap_err(),
            rig.run(|agent| agent.self_test().map(drop)).unwrap_err(),
        ] {
            says(&e, Exit::Untrusted, "the release stored for slot A");
            says(&e, Exit::Untrusted, words);
        }
    }
    // The same by the right key is used.
    let good = made_by("1.0.0", &[RELEASER], |_| {});
    let mut says_so = honest;
    says_so.slots.a.as_mut().unwrap().release = ReleaseId(release::identity(&good.signed).0);
    rig.pi.scribble(layout::Partition::State, layout::RELEASE.a.0 * SECTOR as u64, &good.signed);
    journal(&rig, &says_so);
    rig.run(|agent| agent.self_test()).unwrap();
}

#[test]
fn a_system_without_a_root_works_and_status_says_so() {
    let mut rig = device();
    rig.pi.without_system_root();
    look_and_see(&mut rig, &mut rotated(SEEN + 1), SEEN + 1);
    let words = "the running system carries no root";
    assert!(
        rig.pi
            .run("status")
            .must(0, &[])
            .out
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains(words)
    );
    assert_eq!(rig.pi.status()["system_root"], false);
    carry(&mut rig, &usual(1));
    assert!(!rig.pi.run_once_free("status").must(0, &[]).out.contains("carries no root"));
    assert_eq!(rig.pi.status()["system_root"], true);
}

#[test]
fn a_full_chain_follows_no_further_than_the_systems_root_allows() {
    let most = RootChain::MAX_ROOTS as u32;
    let all: Vec<_> = (1..=most).map(usual).collect();
    let mut rig = device();
    store_roots(&rig, &all);
    let mut shop = shop();
    put(&mut shop, repository::root(most + 1), usual(most + 1));
    carry(&mut rig, &usual(1));
    let e = rig.run(|agent| look(&mut agent.device, &mut shop)).unwrap_err();
    says(&e, Exit::Untrusted, "the chain of roots is full");
    // With a newer root in the system, older ones may go.
    carry(&mut rig, &usual(most));
    look_and_see(&mut rig, &mut shop, SEEN);
    let kept: Vec<u32> = std::iter::once(1).chain(3..=most + 1).collect();
    assert_eq!(stored(&rig), [kept.clone(), kept]);
}

#[test]
fn another_key_in_a_newer_system_root_takes_the_old_ones_rights() {
    let next = root_of(2, &ROOTS, &[NEW_RELEASER], &[NEW_PUBLISHER]);
    let mut rig = device();
    let mut shop = shop();
    look_and_see(&mut rig, &mut shop, SEEN);
    carry(&mut rig, &signed_root(&next));
    assert_eq!(SignedRoot::open(&signed_root(&next)).unwrap().root().version, 2);
    let e = rig.run(|agent| look(&mut agent.device, &mut shop)).unwrap_err();
    says(&e, Exit::Untrusted, "was the key retired");
    // What runs was signed by the old key, when it counted: it can still be tested.
    rig.run(|agent| agent.self_test()).unwrap();
    let e = rig
        .run(|agent| agent.install(&mut &crate::fixture::product().good[..], Overrides::RETRY))
        .unwrap_err();
    says(&e, Exit::Untrusted, "was the key retired");
}

#[test]
fn a_copy_that_does_not_descend_is_written_again_by_the_next_install() {
    let mut rig = device();
    carry(&mut rig, &usual(1));
    store(&rig, 1, &[strangers(9)]);
    assert_eq!(rig.run(|agent| agent.device.root_copies()).unwrap(), [true, false]);
    rig.run(|agent| agent.install(&mut &crate::fixture::product().good[..], Overrides::NONE)).unwrap();
    assert_eq!(rig.run(|agent| agent.device.root_copies()).unwrap(), [true, true]);
    assert_eq!(stored(&rig), [[1], [1]]);
}

#[test]
fn repair_takes_the_bundle_of_what_runs_though_its_key_was_retired() {
    let mut rig = device();
    let next = signed_root(&root_of(2, &ROOTS, &[NEW_RELEASER], &[PUBLISHER]));
    store_roots(&rig, &[usual(1), next]);
    lose(&rig, &layout::JOURNAL);
    lose(&rig, &[layout::RELEASE.a]);
    rig.pi.file("old.bundle", &crate::fixture::product().old);
    rig.pi.file("forged.release", &made_by("1.0.0", &[STRANGER], |_| {}).signed);
    rig.pi.run_once_free("repair --release @forged.release").must(5, &["was the key retired"]);
    rig.pi.run_once_free("repair --release @old.bundle").must(0, &[]);
    rig.pi.rests("A", "1.0.0");
    rig.run(|agent| agent.self_test()).unwrap();
    assert_eq!(
        record(&mut rig).floors.root_version,
        1,
        "the next check follows root 2 and what it takes away"
    );
    let mut shop = rotated(SEEN + 1);
    put(&mut shop, repository::root(2), signed_root(&root_of(2, &ROOTS, &[NEW_RELEASER], &[PUBLISHER])));
    look_and_see(&mut rig, &mut shop, SEEN + 1);
    assert_eq!(record(&mut rig).floors.root_version, 2);
}
