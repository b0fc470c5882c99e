//! Which deltas devices could use: from each release that they may run to each that they are offered. A pure function.
use super::catalog::Entry;
use super::inventory::{HeldRelease, Inventory};
use bistable_format::{Channel, Constraints, Digest, Offer};
use semver::Version;

/// How many releases back devices are expected to be, by default.
pub const LAST: usize = 3;

/// A delta that devices could use.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What is offered.
    pub target: &'a HeldRelease,
    /// What they may run.
    pub base: &'a HeldRelease,
}

/// The deltas to everything that a channel offers, newest target first.
pub fn wanted<'a>(inventory: &'a Inventory, channel: &str, last: usize) -> Vec<Wanted<'a>> {
    let Some(file) = inventory.channels.get(channel) else { return Vec::new() };
    let mut offers: Vec<&Offer> = file.channel.offers.iter().collect();
    offers.sort_by(|a, b| b.constraints.version.cmp_precedence(&a.constraints.version));
    let mut newest: Vec<&HeldRelease> =
        inventory.releases.values().filter(|held| held.channels.contains_key(channel)).collect();
    let since = |held: &HeldRelease| held.channels.get(channel).map(|(_, at)| *at);
    newest.sort_by(|a, b| {
        let versions = b.entry.version.cmp_precedence(&a.entry.version);
        since(b).cmp(&since(a)).then(versions).then(a.entry.identity.cmp(&b.entry.identity))
    });
    let mut all = Vec::new();
    for offer in offers {
        let Some(target) = inventory.releases.get(&offer.identity) else { continue };
        let entries = newest.iter().map(|held| &held.entry);
        let bases = bases(&file.channel, entries, (&offer.constraints, &offer.identity), last);
        let held = bases.iter().filter_map(|base| inventory.releases.get(&base.identity));
        all.extend(held.map(|base| Wanted { target, base }));
    }
    all
}

/// A release that devices may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Its identity.
    pub identity: Digest,
    /// Its version.
    pub version: Version,
    boards: Vec<String>,
}

/// The releases that devices of a channel may run when they are offered one with these constraints: those that it offers, and the
/// last of the same, of these from its catalog, newest first. Not those that wouldn't take it: newer ones, other boards,
/// versions that it doesn't go with.
pub fn bases<'a>(
    channel: &Channel,
    newest: impl IntoIterator<Item = &'a Entry>,
    (target, identity): (&Constraints, &Digest),
    last: usize,
) -> Vec<Base> {
    let offered =
        channel.offers.iter().filter(|o| o.constraints.subject() == target.subject()).map(|o| Base {
            identity: o.identity,
            version: o.constraints.version.clone(),
            boards: o.constraints.boards.clone(),
        });
    let recent = newest.into_iter().filter(|e| e.subject() == target.subject() && e.identity != *identity);
    let recent = recent.take(last).map(|e| Base {
        identity: e.identity,
        version: e.version.clone(),
        boards: e.boards.clone(),
    });
    let mut bases: Vec<Base> = offered
        .chain(recent)
        .filter(|base| {
            base.identity != *identity
                && base.version.cmp_precedence(&target.version).is_lt()
                && base.boards.iter().any(|board| target.boards.contains(board))
                && target.requires.running.as_ref().is_none_or(|req| req.matches(&base.version))
        })
        .collect();
    bases.sort_by(|a, b| {
        b.version.cmp_precedence(&a.version).then(b.version.cmp(&a.version)).then(a.identity.cmp(&b.identity))
    });
    bases.dedup_by_key(|base| base.identity);
    bases
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_format::channel::{Act, Gates, Passage};
    use bistable_format::{Extensions, Head, Requires, Urgency};
    use semver::VersionReq;

    fn id(minor: u64) -> Digest {
        Digest::of(&minor.to_le_bytes())
    }

    fn constraints(minor: u64, board: &str) -> Constraints {
        Constraints {
            product: "hub".into(),
            component: None,
            version: Version::new(1, minor, 0),
            security_version: 0,
            boards: vec![board.into()],
            requires: Requires::default(),
            urgency: Urgency::Normal,
            content: 1,
            bytes: vec![],
        }
    }

    fn entry(minor: u64, board: &str) -> Entry {
        Entry {
            product: "hub".into(),
            component: None,
            version: Version::new(1, minor, 0),
            release: id(minor),
            identity: id(minor),
            security_version: 0,
            boards: vec![board.into()],
            at: minor,
            description: String::new(),
            author: String::new(),
            bytes: 1,
        }
    }

    fn channel(offered: &[u64]) -> Channel {
        let offer = |minor: &u64| Offer {
            constraints: constraints(*minor, "pi4"),
            release: id(*minor),
            release_bytes: 1,
            identity: id(*minor),
            since: 1,
            passage: Passage::Free,
            rollout: Default::default(),
            extensions: Extensions::default(),
        };
        Channel {
            head: Head::new(id(99), ""),
            name: "production".into(),
            sequence: 1,
            previous: None,
            issued_at: 1,
            lifetime: 1,
            act: Act { by: String::new(), verb: String::new(), about: String::new() },
            offers: offered.iter().map(offer).collect::<Vec<_>>().into(),
            withdrawn: vec![].into(),
            pins: vec![],
            gates: Gates::default(),
            promoted_at: 0,
            catalog: vec![],
            extensions: Extensions::default(),
        }
    }

    #[test]
    fn bases_are_what_is_offered_and_the_last_of_the_same() {
        let channel = channel(&[1, 6]);
        let newest: Vec<Entry> =
            (1..=6).rev().map(|n| entry(n, if n == 5 { "pi5" } else { "pi4" })).collect();
        let minors = |target: &Constraints, last| -> Vec<u64> {
            let target = (target, &id(target.version.minor));
            bases(&channel, &newest, target, last).iter().map(|base| base.version.minor).collect()
        };
        // 1.5.0 is of another board, and counts among the last.
        assert_eq!(minors(&constraints(6, "pi4"), 3), [4, 3, 1]);
        assert_eq!(minors(&constraints(6, "pi4"), 0), [1]);
        assert_eq!(minors(&constraints(6, "pi4"), 9), [4, 3, 2, 1]);
        assert_eq!(minors(&constraints(6, "pi5"), 9), [5]);
        // Devices take nothing older.
        assert_eq!(minors(&constraints(3, "pi4"), 9), [2, 1]);
        let demanding = |req: &str| Constraints {
            requires: Requires { running: Some(VersionReq::parse(req).unwrap()), ..Requires::default() },
            ..constraints(6, "pi4")
        };
        assert_eq!(minors(&demanding(">=1.3"), 9), [4, 3]);
        let none: [u64; 0] = [];
        assert_eq!(minors(&Constraints { product: "lamp".into(), ..constraints(6, "pi4") }, 9), none);
        assert_eq!(minors(&Constraints { component: Some("app".into()), ..constraints(6, "pi4") }, 9), none);
    }
}
