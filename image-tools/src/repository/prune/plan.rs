//! The plan: which releases go, and why; and why the others stay. A pure function.
use crate::repository::holdings::{Held, Holdings, Standing};
use bistable_format::Digest;
use std::collections::BTreeMap;

/// Above this share of the allowed size, in percent, old releases go that production never had.
pub const STAGING_GOES: u64 = 80;
/// Above this share, old releases go that production had, too.
pub const PRODUCTION_GOES: u64 = 90;

/// What may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// So many of each product stay, the newest, whatever else is said.
    pub keep: usize,
    /// What is older than this many seconds goes.
    pub older_than: Option<u64>,
    /// Bytes that the releases may take in all.
    pub most_bytes: Option<u64>,
}

/// Why a release goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    /// It is too old.
    Age,
    /// There is too little room, and production never had it.
    StagingForRoom,
    /// There is far too little room.
    ProductionForRoom,
}

/// Why a release stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// A channel offers it.
    Offered,
    /// A channel pins it.
    Pinned,
    /// Devices may have to go back to it: it is the newest that a channel had before what it offers now.
    Rollback,
    /// It is one of the newest.
    Newest,
    /// Nothing says that it has to go.
    NoReason,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Releases that go, oldest first.
    pub go: Vec<(Digest, Goes)>,
    /// Releases that stay.
    pub stay: Vec<(Digest, Stays)>,
    /// Bytes of all releases before and after.
    pub bytes: [u64; 2],
    /// Whether there is still more than is allowed.
    pub too_large: bool,
}

/// Make the plan.
pub fn plan(holdings: &Holdings, policy: &Policy, now: u64) -> Plan {
    let before: u64 = holdings.releases.values().map(|h| h.entry.bytes).sum();
    let kept = kept(holdings, policy);
    let mut free: Vec<(&Digest, &Held)> =
        holdings.releases.iter().filter(|(id, _)| !kept.contains_key(*id)).collect();
    free.sort_by(|(a, x), (b, y)| {
        x.since().cmp(&y.since()).then(x.entry.version.cmp(&y.entry.version)).then(a.cmp(b))
    });

    let mut go: Vec<(Digest, Goes)> = Vec::new();
    let mut bytes = before;
    let drop = |go: &mut Vec<(Digest, Goes)>, bytes: &mut u64, id: &Digest, held: &Held, why| {
        if !go.iter().any(|(gone, _)| gone == id) {
            *bytes -= held.entry.bytes;
            go.push((*id, why));
        }
    };
    if let Some(oldest) = policy.older_than {
        for (id, held) in free.iter().filter(|(_, h)| now.saturating_sub(h.since()) > oldest) {
            drop(&mut go, &mut bytes, id, held, Goes::Age);
        }
    }
    if let Some(most) = policy.most_bytes {
        let above =
            |bytes: u64, percent: u64| u128::from(bytes) * 100 > u128::from(most) * u128::from(percent);
        for (id, held) in free.iter().filter(|(_, h)| !was_in_production(h)) {
            if above(bytes, STAGING_GOES) {
                drop(&mut go, &mut bytes, id, held, Goes::StagingForRoom);
            }
        }
        for (id, held) in &free {
            if above(bytes, PRODUCTION_GOES) {
                drop(&mut go, &mut bytes, id, held, Goes::ProductionForRoom);
            }
        }
    }
    let stays = free.iter().filter(|(id, _)| !go.iter().any(|(gone, _)| gone == *id));
    let mut stay: Vec<(Digest, Stays)> = stays.map(|(id, _)| (**id, Stays::NoReason)).collect();
    stay.extend(kept);
    let too_large = policy.most_bytes.is_some_and(|most| bytes > most);
    Plan { go, stay, bytes: [before, bytes], too_large }
}

/// What stays, whatever the policy says.
fn kept(holdings: &Holdings, policy: &Policy) -> BTreeMap<Digest, Stays> {
    let mut kept = BTreeMap::new();
    let sorted = holdings.sorted();
    for held in &sorted {
        let id = held.entry.identity;
        if held.standing() == Standing::Offered {
            kept.insert(id, Stays::Offered);
        } else if held.pinned {
            kept.insert(id, Stays::Pinned);
        }
    }
    // The way back of each channel and product: what came in last of all that it doesn't offer any more.
    for name in holdings.channels.keys() {
        let mut last: BTreeMap<&str, (u64, Digest)> = BTreeMap::new();
        for held in &sorted {
            if let Some((Standing::Past, at)) = held.channels.get(name) {
                let newest = last.entry(held.entry.product.as_str()).or_insert((*at, held.entry.identity));
                if *at > newest.0 {
                    *newest = (*at, held.entry.identity);
                }
            }
        }
        for (_, id) in last.into_values() {
            kept.entry(id).or_insert(Stays::Rollback);
        }
    }
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for held in &sorted {
        let count = counted.entry(held.entry.product.as_str()).or_default();
        if *count < policy.keep {
            kept.entry(held.entry.identity).or_insert(Stays::Newest);
        }
        *count += 1;
    }
    kept
}

/// Whether it ever was in another channel than those that releases come into first.
fn was_in_production(held: &Held) -> bool {
    held.channels.keys().any(|name| name != "staging")
}
