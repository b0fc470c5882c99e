use super::*;
use crate::repository::catalog::Entry;
use crate::repository::holdings::{Held, Standing};
use proptest::prelude::*;
use semver::Version;
use std::collections::BTreeMap;

const GIB: u64 = 1 << 30;

/// A release of a minor version, in these channels, since its number.
fn held(n: u64, channels: &[(&str, Standing)], pinned: bool) -> Held {
    Held {
        entry: Entry {
            product: "hub".into(),
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

fn holdings(all: Vec<Held>) -> Holdings {
    Holdings { channels: BTreeMap::new(), releases: all.into_iter().map(|h| (h.entry.identity, h)).collect() }
}

fn gone(plan: &Plan) -> Vec<(u64, Goes)> {
    let number = |id: &Digest| (0..100).find(|n: &u64| Digest::of(&n.to_le_bytes()) == *id).unwrap();
    plan.go.iter().map(|(id, why)| (number(id), *why)).collect()
}

const STAGING: &[(&str, Standing)] = &[("staging", Standing::Past)];
const BOTH: &[(&str, Standing)] = &[("production", Standing::Past), ("staging", Standing::Past)];

#[test]
fn staging_goes_above_80_percent_and_production_above_90() {
    // Ten of one GiB each; 0 to 2 were in production.
    let all = || (0..10).map(|n| held(n, if n < 3 { BOTH } else { STAGING }, false)).collect();
    let policy = |most| Policy { keep: 2, older_than: None, most_bytes: Some(most) };
    assert_eq!(gone(&plan(&holdings(all()), &policy(13 * GIB), 100)), []);
    let want = [(3, Goes::StagingForRoom), (4, Goes::StagingForRoom)];
    assert_eq!(gone(&plan(&holdings(all()), &policy(10 * GIB), 100)), want);
    let tight = plan(&holdings(all()), &policy(4 * GIB), 100);
    let staging = (3..8).map(|n| (n, Goes::StagingForRoom));
    let production = (0..2).map(|n| (n, Goes::ProductionForRoom));
    assert_eq!(gone(&tight), staging.chain(production).collect::<Vec<_>>());
    assert_eq!((tight.bytes, tight.too_large), ([10 * GIB, 3 * GIB], false));
    assert!(plan(&holdings(all()), &policy(GIB), 100).too_large);
}

#[test]
fn what_is_needed_stays_whatever_the_policy_says() {
    let offered: &[(&str, Standing)] = &[("production", Standing::Offered)];
    let all = vec![
        held(0, offered, false),
        held(1, STAGING, true),
        held(2, STAGING, false),
        held(3, STAGING, false),
    ];
    let policy = Policy { keep: 1, older_than: Some(0), most_bytes: Some(0) };
    let made = plan(&holdings(all), &policy, 100);
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
        kinds in prop::collection::vec((0..4_u8, any::<bool>()), 0..30),
        keep in 0..5_usize,
        older_than in prop::option::of(0..50_u64),
        most in prop::option::of(0..40_u64),
    ) {
        let all: Vec<Held> = (0..).zip(&kinds).map(|(n, (kind, pinned))| {
            let standing = match kind { 0 => Standing::Offered, 1 => Standing::Withdrawn, _ => Standing::Past };
            held(n, &[(if *kind == 3 { "production" } else { "staging" }, standing)], *pinned)
        }).collect();
        let count = all.len();
        let holdings = holdings(all);
        let policy = Policy { keep, older_than, most_bytes: most.map(|m| m * GIB) };
        let made = plan(&holdings, &policy, 50);
        prop_assert_eq!(made.go.len() + made.stay.len(), count);
        for (id, _) in &made.go {
            let gone = &holdings.releases[id];
            prop_assert!(gone.standing() != Standing::Offered && !gone.pinned);
            let newer = holdings.releases.values().filter(|h| h.entry.version > gone.entry.version).count();
            prop_assert!(newer >= keep);
        }
        prop_assert_eq!(made.bytes[1], (count - made.go.len()) as u64 * GIB);
        // Doing it again finds nothing more.
        let left = Holdings { channels: BTreeMap::new(), releases: holdings.releases.into_iter().filter(|(id, _)| !made.go.iter().any(|(g, _)| g == id)).collect() };
        prop_assert_eq!(plan(&left, &policy, 50).go, vec![]);
    }
}
