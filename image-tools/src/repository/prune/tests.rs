use super::*;
use crate::repository::catalog::Entry;
use crate::repository::inventory::{HeldRelease, Standing};
use proptest::prelude::*;
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};

const GIB: u64 = 1 << 30;

/// A release of a minor version, in these channels, since its number.
fn held(n: u64, channels: &[(&str, Standing)], pinned: bool) -> HeldRelease {
    HeldRelease {
        entry: Entry {
            product: "hub".into(),
            component: None,
            version: Version::new(1, n, 0),
            release: Digest::of(&n.to_be_bytes()),
            identity: Digest::of(&n.to_le_bytes()),
            security_version: 0,
            boards: vec!["pi4".into()],
            at: n,
            description: String::new(),
            author: String::new(),
            bytes: GIB,
        },
        channels: channels.iter().map(|(name, standing)| ((*name).to_owned(), (*standing, n))).collect(),
        pinned,
        signed: [Digest::of(&n.to_be_bytes())].into(),
    }
}

fn inventory(all: Vec<HeldRelease>) -> Inventory {
    Inventory {
        channels: BTreeMap::new(),
        releases: all.into_iter().map(|h| (h.entry.identity, h)).collect(),
    }
}

/// A GiB of its own for each.
fn files(inventory: &Inventory) -> Files {
    sharing(inventory, |_| None)
}

/// A GiB of its own for each, and a GiB that it shares with all of the same group.
fn sharing(inventory: &Inventory, group: impl Fn(u64) -> Option<u8>) -> Files {
    let mut files = Files::default();
    for (identity, held) in &inventory.releases {
        let shared = group(held.entry.version.minor).map(|group| Digest::of(&[group]));
        let blobs: BTreeSet<Digest> = held.signed.iter().copied().chain(shared).collect();
        files.bytes.extend(blobs.iter().map(|blob| (*blob, GIB)));
        files.of.insert(*identity, blobs);
    }
    files
}

fn gone(plan: &Plan) -> Vec<(u64, Goes)> {
    let number = |id: &Digest| (0..100).find(|n: &u64| Digest::of(&n.to_le_bytes()) == *id).unwrap();
    plan.go.iter().map(|going| (number(&going.release), going.why)).collect()
}

const STAGING: &[(&str, Standing)] = &[("staging", Standing::Past)];
const BOTH: &[(&str, Standing)] = &[("production", Standing::Past), ("staging", Standing::Past)];

#[test]
fn staging_goes_above_80_percent_and_production_above_90() {
    // Ten of one GiB each; 0 to 2 were in production.
    let all = inventory((0..10).map(|n| held(n, if n < 3 { BOTH } else { STAGING }, false)).collect());
    let made =
        |most| plan(&all, &files(&all), &Policy { keep: 2, older_than: None, most_bytes: Some(most) }, 100);
    assert_eq!(gone(&made(13 * GIB)), []);
    let want = [(3, Goes::StagingForRoom), (4, Goes::StagingForRoom)];
    assert_eq!(gone(&made(10 * GIB)), want);
    let tight = made(4 * GIB);
    let staging = (3..8).map(|n| (n, Goes::StagingForRoom));
    let production = (0..2).map(|n| (n, Goes::ProductionForRoom));
    assert_eq!(gone(&tight), staging.chain(production).collect::<Vec<_>>());
    assert_eq!((tight.bytes, tight.too_large), ([10 * GIB, 3 * GIB], false));
    assert!(made(GIB).too_large);
}

/// Three of five releases have the same system: six GiB in all, not eight, and only the last of the three frees it.
#[test]
fn what_releases_share_counts_once_and_goes_with_the_last() {
    let all = inventory((0..5).map(|n| held(n, STAGING, false)).collect());
    let mut files = sharing(&all, |n| (n < 3).then_some(0));
    let policy = |most| Policy { keep: 1, older_than: None, most_bytes: Some(most) };
    assert_eq!(plan(&all, &files, &policy(8 * GIB), 100).bytes, [6 * GIB, 6 * GIB]);
    let made = plan(&all, &files, &policy(4 * GIB), 100);
    let frees: Vec<u64> = made.go.iter().map(|going| going.frees / GIB).collect();
    assert_eq!((frees, made.bytes), (vec![1, 1, 2], [6 * GIB, 2 * GIB]));
    // A catalog lies there as well, but no release takes its room.
    files.bytes.insert(Digest::of(b"catalog"), 100 * GIB);
    assert_eq!(plan(&all, &files, &policy(8 * GIB), 100).go, []);
    assert_eq!(plan(&all, &files, &policy(4 * GIB), 100).bytes, [106 * GIB, 102 * GIB]);
    // What is missing takes none.
    files.bytes.clear();
    assert_eq!(plan(&all, &files, &policy(1), 100).bytes, [0, 0]);
}

#[test]
fn what_is_needed_stays_whatever_the_policy_says() {
    let offered: &[(&str, Standing)] = &[("production", Standing::Offered)];
    let all = inventory(vec![
        held(0, offered, false),
        held(1, STAGING, true),
        held(2, STAGING, false),
        held(3, STAGING, false),
    ]);
    let policy = Policy { keep: 1, older_than: Some(0), most_bytes: Some(0) };
    let made = plan(&all, &files(&all), &policy, 100);
    assert_eq!(gone(&made), [(2, Goes::Age)]);
    let why: Vec<Stays> = [0_u64, 1, 3]
        .iter()
        .map(|n| made.stay.iter().find(|(id, _)| *id == Digest::of(&n.to_le_bytes())).unwrap().1)
        .collect();
    assert_eq!(why, [Stays::Offered, Stays::Pinned, Stays::Newest]);
}

proptest! {
    #[test]
    fn nothing_that_is_needed_goes(
        kinds in prop::collection::vec((0..4_u8, any::<bool>(), prop::option::of(0..3_u8)), 0..30),
        keep in 0..5_usize,
        older_than in prop::option::of(0..50_u64),
        most in prop::option::of(0..40_u64),
    ) {
        let all: Vec<HeldRelease> = (0..).zip(&kinds).map(|(n, (kind, pinned, _))| {
            let standing = match kind { 0 => Standing::Offered, 1 => Standing::Withdrawn, _ => Standing::Past };
            held(n, &[(if *kind == 3 { "production" } else { "staging" }, standing)], *pinned)
        }).collect();
        let count = all.len();
        let inventory = inventory(all);
        let policy = Policy { keep, older_than, most_bytes: most.map(|m| m * GIB) };
        let groups = |n: u64| kinds[usize::try_from(n).unwrap()].2;
        let made = plan(&inventory, &sharing(&inventory, groups), &policy, 50);
        prop_assert_eq!(made.go.len() + made.stay.len(), count);
        for going in &made.go {
            let gone = &inventory.releases[&going.release];
            prop_assert!(gone.standing() != Standing::Offered && !gone.pinned);
            let newer = inventory.releases.values().filter(|h| h.entry.version > gone.entry.version).count();
            prop_assert!(newer >= keep);
        }
        // Doing it again finds nothing more.
        let left = Inventory { channels: BTreeMap::new(), releases: inventory.releases.into_iter().filter(|(id, _)| !made.go.iter().any(|g| g.release == *id)).collect() };
        let files = sharing(&left, groups);
        // What is there now: each blob once.
        prop_assert_eq!(made.bytes[1], files.bytes.values().sum::<u64>());
        prop_assert_eq!(made.bytes[0] - made.bytes[1], made.go.iter().map(|g| g.frees).sum::<u64>());
        prop_assert_eq!(plan(&left, &files, &policy, 50).go, vec![]);
    }
}
