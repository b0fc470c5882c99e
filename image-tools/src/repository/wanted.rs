//! Which deltas devices could use: from each release that they may run to each that they are offered. A pure function.
use super::holdings::{Held, Holdings, Standing};
use bistable_format::{Digest, Offer, Terms};
use std::collections::BTreeSet;

/// How many releases back devices are expected to be, if nobody says otherwise.
pub const LAST: usize = 3;

/// A delta that devices could use.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What is offered.
    pub target: &'a Held,
    /// What they may run.
    pub base: &'a Held,
}

/// The deltas to everything that a channel offers, newest target first.
pub fn wanted<'a>(holdings: &'a Holdings, channel: &str, last: usize) -> Vec<Wanted<'a>> {
    let Some(file) = holdings.channels.get(channel) else { return Vec::new() };
    let mut offers: Vec<&Offer> = file.channel.offers.iter().collect();
    offers.sort_by(|a, b| b.terms.version.cmp_precedence(&a.terms.version));
    let mut all = Vec::new();
    for offer in offers {
        let Some(target) = holdings.releases.get(&offer.identity) else { continue };
        let bases = bases(holdings, channel, (&offer.terms, &offer.identity), last);
        all.extend(bases.into_iter().map(|base| Wanted { target, base }));
    }
    all
}

/// The releases that devices of a channel may run when they are offered one with these terms: those that it offers, and the
/// last of its product. Not those that wouldn't take it: newer ones, other boards, versions that it doesn't go with.
pub fn bases<'a>(
    holdings: &'a Holdings,
    channel: &str,
    (target, identity): (&Terms, &Digest),
    last: usize,
) -> Vec<&'a Held> {
    if target.component.is_some() {
        return Vec::new();
    }
    let mut there: Vec<(u64, &Held)> = holdings
        .releases
        .values()
        .filter(|held| held.entry.product == target.product && held.entry.identity != *identity)
        .filter_map(|held| Some((held.channels.get(channel)?.1, held)))
        .collect();
    there.sort_by(|(a, x), (b, y)| {
        b.cmp(a)
            .then(y.entry.version.cmp_precedence(&x.entry.version))
            .then(x.entry.identity.cmp(&y.entry.identity))
    });
    let recent: BTreeSet<Digest> = there.iter().take(last).map(|(_, held)| held.entry.identity).collect();
    let offered = |held: &Held| held.channels.get(channel).is_some_and(|(s, _)| *s == Standing::Offered);
    let takes = |held: &Held| {
        let entry = &held.entry;
        entry.version.cmp_precedence(&target.version).is_lt()
            && entry.boards.iter().any(|board| target.boards.contains(board))
            && target.requires.running.as_ref().is_none_or(|req| req.matches(&entry.version))
    };
    let mut bases: Vec<&Held> = there
        .into_iter()
        .map(|(_, held)| held)
        .filter(|held| offered(held) || recent.contains(&held.entry.identity))
        .filter(|held| takes(held))
        .collect();
    bases.sort_by(|a, b| b.entry.version.cmp_precedence(&a.entry.version));
    bases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::catalog::Entry;
    use bistable_format::{Requires, Urgency};
    use semver::{Version, VersionReq};
    use std::collections::BTreeMap;

    fn held(minor: u64, at: u64, standing: Standing, board: &str) -> Held {
        let digest = Digest::of(&minor.to_le_bytes());
        Held {
            entry: Entry {
                product: "hub".into(),
                version: Version::new(1, minor, 0),
                release: digest,
                identity: digest,
                security_version: 0,
                boards: vec![board.into()],
                at,
                description: String::new(),
                author: String::new(),
                bytes: 1,
            },
            channels: [("production".to_owned(), (standing, at))].into(),
            pinned: false,
            signed: [digest].into(),
        }
    }

    fn minors(all: &[Held], target: &Terms, last: usize) -> Vec<u64> {
        let releases = all.iter().map(|held| (held.entry.identity, held.clone())).collect();
        let holdings = Holdings { channels: BTreeMap::new(), releases };
        let identity = Digest::of(&target.version.minor.to_le_bytes());
        let bases = bases(&holdings, "production", (target, &identity), last);
        assert!(super::bases(&holdings, "staging", (target, &identity), last).is_empty());
        bases.iter().map(|held| held.entry.version.minor).collect()
    }

    fn terms(minor: u64) -> Terms {
        Terms {
            product: "hub".into(),
            component: None,
            version: Version::new(1, minor, 0),
            security_version: 0,
            boards: vec!["pi4".into()],
            requires: Requires::default(),
            urgency: Urgency::Normal,
            content: 1,
            bytes: vec![],
        }
    }

    #[test]
    fn bases_are_what_is_offered_and_the_last_of_the_product() {
        use Standing::{Offered, Past, Withdrawn};
        let all = [
            held(1, 10, Offered, "pi4"),
            held(2, 20, Past, "pi4"),
            held(3, 30, Past, "pi4"),
            held(4, 40, Withdrawn, "pi4"),
            held(5, 50, Past, "pi5"),
            held(6, 60, Offered, "pi4"),
        ];
        // 1.5.0 is of another board, and counts among the last.
        assert_eq!(minors(&all, &terms(6), 3), [4, 3, 1]);
        assert_eq!(minors(&all, &terms(6), 0), [1]);
        assert_eq!(minors(&all, &terms(6), 9), [4, 3, 2, 1]);
        // Devices take nothing older.
        assert_eq!(minors(&all, &terms(3), 9), [2, 1]);
        let demanding = |req: &str| Terms {
            requires: Requires { running: Some(VersionReq::parse(req).unwrap()), ..Requires::default() },
            ..terms(6)
        };
        assert_eq!(minors(&all, &demanding(">=1.3"), 9), [4, 3]);
        assert_eq!(minors(&all, &Terms { product: "lamp".into(), ..terms(6) }, 9), [] as [u64; 0]);
        assert_eq!(minors(&all, &Terms { component: Some("app".into()), ..terms(6) }, 9), [] as [u64; 0]);
    }
}
