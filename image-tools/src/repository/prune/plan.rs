//! The plan: which releases go, and why; and why the others stay. A pure function.
use super::Files;
use crate::repository::inventory::{HeldRelease, Inventory, Standing};
use bistable_format::Digest;
use bistable_format::name::Subject;
use std::collections::{BTreeMap, BTreeSet};

/// Above this share of the allowed size, in percent, old releases go that production never had.
pub const STAGING_GOES: u64 = 80;
/// Above this share, old releases go that production had, too.
pub const PRODUCTION_GOES: u64 = 90;

/// What may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// This many of each image and component stay, the newest, whatever else is said.
    pub keep: usize,
    /// What is older than this many seconds goes.
    pub older_than: Option<u64>,
    /// Bytes that the releases may take in all, what they share counted once.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stays {
    /// A channel offers it.
    Offered,
    /// A channel pins it.
    Pinned,
    /// Devices may have to go back to it: it is the newest that a channel had before what it offers now.
    Rollback,
    /// It is one of the newest.
    Newest,
    /// An image that stays brings it along.
    Bound,
    /// Nothing says that it has to go.
    NoReason,
}

/// A release that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Going {
    /// Its identity.
    pub release: Digest,
    /// Why.
    pub why: Goes,
    /// Bytes that become free when it goes after those before it: what no other release has.
    pub frees: u64,
}

/// Why a delta goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaGoes {
    /// One of its releases went before.
    Orphan,
    /// There is too little room, and nothing offers the release that it makes.
    Room,
    /// One of its releases goes.
    Release,
}

/// A delta that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoingDelta {
    /// What it makes.
    pub target: Digest,
    /// What it takes.
    pub base: Digest,
    /// Why.
    pub why: DeltaGoes,
    /// Bytes that become free.
    pub frees: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Releases that go, in this order.
    pub go: Vec<Going>,
    /// Deltas that go: first orphans, then those for room, then each with its release.
    pub deltas: Vec<GoingDelta>,
    /// Releases that stay.
    pub stay: Vec<(Digest, Stays)>,
    /// Bytes of all blobs before and after.
    pub bytes: [u64; 2],
    /// Whether the releases still take more than is allowed.
    pub too_large: bool,
}

/// The room that releases take: each blob once, whoever shares it.
struct Room<'a> {
    files: &'a Files,
    /// How many releases and deltas have each blob.
    users: BTreeMap<Digest, usize>,
    bytes: u64,
}

impl<'a> Room<'a> {
    fn of(inventory: &Inventory, files: &'a Files) -> Room<'a> {
        let mut users: BTreeMap<Digest, usize> = BTreeMap::new();
        let releases = inventory.releases.keys().filter_map(|id| files.of.get(id));
        for blob in releases.chain(files.deltas.iter().map(|delta| &delta.blobs)).flatten() {
            *users.entry(*blob).or_default() += 1;
        }
        let bytes = users.keys().filter_map(|blob| files.bytes.get(blob)).sum();
        Room { files, users, bytes }
    }

    /// Let a release go. What becomes free is what no other release has.
    fn free(&mut self, release: &Digest) -> u64 {
        let files = self.files;
        self.free_blobs(files.of.get(release).into_iter().flatten())
    }

    fn free_blobs<'b>(&mut self, blobs: impl IntoIterator<Item = &'b Digest>) -> u64 {
        let mut freed = 0;
        for blob in blobs {
            let Some(users) = self.users.get_mut(blob) else { continue };
            *users -= 1;
            if *users == 0 {
                self.users.remove(blob);
                freed += self.files.bytes.get(blob).copied().unwrap_or(0);
            }
        }
        self.bytes -= freed;
        freed
    }

    fn is_above(&self, most: u64, percent: u64) -> bool {
        u128::from(self.bytes) * 100 > u128::from(most) * u128::from(percent)
    }
}

/// Make the plan.
pub fn plan(inventory: &Inventory, files: &Files, policy: &Policy, now: u64) -> Plan {
    let before: u64 = files.bytes.values().sum();
    let mut room = Room::of(inventory, files);
    // Catalogs, and what nothing names: no release takes it along.
    let others = before - room.bytes;
    let kept = kept(inventory, files, policy);
    let mut free: Vec<(&Digest, &HeldRelease)> =
        inventory.releases.iter().filter(|(id, _)| !kept.contains_key(*id)).collect();
    free.sort_by(|(a, x), (b, y)| {
        x.since().cmp(&y.since()).then(x.entry.version.cmp(&y.entry.version)).then(a.cmp(b))
    });

    let (mut go, mut gone): (Vec<Going>, BTreeSet<Digest>) = Default::default();
    let mut deltas = Leaving { files, gone: vec![false; files.deltas.len()], go: Vec::new() };
    // Those that were left when a prune was stopped, or whose release was forgotten.
    let unknown = |id: &Digest| !inventory.releases.contains_key(id);
    deltas.leave(&mut room, DeltaGoes::Orphan, unknown, unknown);
    // A device that has no delta fetches the release: so deltas go first, but for those to what is on offer.
    let is_offered =
        |id: &Digest| inventory.releases.get(id).is_some_and(|held| held.standing() == Standing::Offered);
    if policy.most_bytes.is_some_and(|most| room.is_above(most, STAGING_GOES)) {
        deltas.leave(&mut room, DeltaGoes::Room, |target| !is_offered(target), |_| false);
    }
    let mut drop = |room: &mut Room<'_>, id: &Digest, why| {
        if gone.insert(*id) {
            let with_it = deltas.leave(room, DeltaGoes::Release, |target| target == id, |base| base == id);
            go.push(Going { release: *id, why, frees: with_it + room.free(id) });
        }
    };
    if let Some(oldest) = policy.older_than {
        for (id, _) in free.iter().filter(|(_, h)| now.saturating_sub(h.since()) > oldest) {
            drop(&mut room, id, Goes::Age);
        }
    }
    if let Some(most) = policy.most_bytes {
        for (id, _) in free.iter().filter(|(_, h)| !was_in_production(h)) {
            if room.is_above(most, STAGING_GOES) {
                drop(&mut room, id, Goes::StagingForRoom);
            }
        }
        for (id, _) in &free {
            if room.is_above(most, PRODUCTION_GOES) {
                drop(&mut room, id, Goes::ProductionForRoom);
            }
        }
    }
    let stays = free.iter().filter(|(id, _)| !gone.contains(*id));
    let mut stay: Vec<(Digest, Stays)> = stays.map(|(id, _)| (**id, Stays::NoReason)).collect();
    stay.extend(kept);
    let too_large = policy.most_bytes.is_some_and(|most| room.bytes > most);
    let deltas = deltas.go;
    Plan { go, deltas, stay, bytes: [before, others + room.bytes], too_large }
}

/// The deltas that leave.
struct Leaving<'a> {
    files: &'a Files,
    gone: Vec<bool>,
    go: Vec<GoingDelta>,
}

impl Leaving<'_> {
    /// Let all go whose target or base is meant. Gives the bytes that become free.
    fn leave(
        &mut self,
        room: &mut Room<'_>,
        why: DeltaGoes,
        is_target: impl Fn(&Digest) -> bool,
        is_base: impl Fn(&Digest) -> bool,
    ) -> u64 {
        let mut freed = 0;
        for (delta, gone) in self.files.deltas.iter().zip(&mut self.gone) {
            if !*gone && (is_target(&delta.target) || is_base(&delta.base)) {
                *gone = true;
                let frees = room.free_blobs(&delta.blobs);
                self.go.push(GoingDelta { target: delta.target, base: delta.base, why, frees });
                freed += frees;
            }
        }
        freed
    }
}

/// What stays, whatever the policy says.
fn kept(inventory: &Inventory, files: &Files, policy: &Policy) -> BTreeMap<Digest, Stays> {
    let mut kept = BTreeMap::new();
    let sorted = inventory.sorted();
    for held in &sorted {
        let id = held.entry.identity;
        if held.standing() == Standing::Offered {
            kept.insert(id, Stays::Offered);
        } else if held.pinned {
            kept.insert(id, Stays::Pinned);
        }
    }
    // The way back of each channel, for each image and component: what came in last of all that it doesn't offer any more.
    for name in inventory.channels.keys() {
        let mut last: BTreeMap<Subject<'_>, (u64, Digest)> = BTreeMap::new();
        for held in &sorted {
            if let Some((Standing::Past, at)) = held.channels.get(name) {
                let newest = last.entry(held.entry.subject()).or_insert((*at, held.entry.identity));
                if *at > newest.0 {
                    *newest = (*at, held.entry.identity);
                }
            }
        }
        for (_, id) in last.into_values() {
            kept.entry(id).or_insert(Stays::Rollback);
        }
    }
    let mut counted: BTreeMap<Subject<'_>, usize> = BTreeMap::new();
    for held in &sorted {
        let count = counted.entry(held.entry.subject()).or_default();
        if *count < policy.keep {
            kept.entry(held.entry.identity).or_insert(Stays::Newest);
        }
        *count += 1;
    }
    let images: Vec<Digest> = kept.keys().copied().collect();
    for bound in images.iter().filter_map(|image| files.bound.get(image)).flatten() {
        if inventory.releases.contains_key(bound) {
            kept.entry(*bound).or_insert(Stays::Bound);
        }
    }
    kept
}

/// Whether it ever was in another channel than those that releases come into first.
fn was_in_production(held: &HeldRelease) -> bool {
    held.channels.keys().any(|name| name != "staging")
}
