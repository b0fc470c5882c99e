//! Prune: deletes releases that are no longer referenced.
//!
//! First a pure plan. Then each channel commits a catalog without them; only then are the files removed that nothing names.
//! Whoever is stopped in between leaves files that nothing names, which the next prune removes; never a name without its
//! file. What another process is publishing is [leased](super::lease).
//!
//! A delta lives as long as both of its releases; its file goes before its blobs.
//!
//! Files that nothing names any more, or not yet (a publish was stopped, a catalog was written again), go when they were found
//! so a day before.
//!
//! | file | noun |
//! |---|---|
//! | `files` | the blobs, and which releases share them |
//! | `plan` | which go, and why |
mod files;
mod plan;
#[cfg(test)]
mod tests;

pub use files::{DeltaFiles, Files, blob_bytes};
pub use plan::{
    DeltaGoes, Goes, Going, GoingDelta, PRODUCTION_GOES, Plan, Policy, STAGING_GOES, Stays, plan,
};

use super::catalog::{self, CatalogError, Entry};
use super::channel::{ChannelError, ChannelLog};
use super::delta_file::{self, StoredDelta};
use super::edit;
use super::inventory::{Inventory, InventoryError};
use super::lease;
use super::manifest::{self, ManifestError};
use super::roots::Roots;
use super::store::{Store, StoreError};
use super::writer::{Change, Committer};
use crate::size::Count;
use bistable_format::{DecodeError, Digest, limits, repository as names};
use std::collections::{BTreeMap, BTreeSet};

/// When the last prune was, for the interval: seconds since 1970, as text.
const LAST: &str = "prune/latest";
/// Files that nothing names, each with when that was first seen: `DIGEST SECONDS`, one a line.
const ORPHANS: &str = "prune/orphans";
/// Seconds for which a file must be unreferenced before it is deleted: committing a catalog takes less than a day after writing it.
const ORPHAN_AGE: u64 = 86_400;

/// Why it can't be pruned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of a channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Of a catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// What there is can't be read.
    #[error(transparent)]
    Holdings(#[from] InventoryError),
    /// Of a release that stays.
    #[error(transparent)]
    Contents(#[from] ManifestError),
    /// The files of a release that is on offer are unknown.
    #[error(
        "nothing is pruned: channel {channel} offers {release}, but its signed part is missing ({path}), so its files are unknown; publish its bundle again, restore that file from a copy, or withdraw the release"
    )]
    Unknown {
        /// The channel.
        channel: String,
        /// The release: a product with its version.
        release: String,
        /// The blob.
        path: String,
    },
    /// The files of an offer that this version can't read are unknown.
    #[error(
        "nothing is pruned: channel {channel} has an offer that this version can't read ({why}), so its files aren't known: use \
         the version of bistable-image that made it"
    )]
    Unreadable {
        /// The channel.
        channel: String,
        /// Why the offer can't be read.
        why: DecodeError,
    },
    /// Too soon after the last one.
    #[error("the last prune was {ago} s ago, and {interval} s have to lie between two")]
    TooSoon {
        /// Seconds since the last one.
        ago: u64,
        /// Seconds that have to lie between two.
        interval: u64,
    },
    /// Another prune continues with what this one began.
    #[error("another program began to prune {0} meanwhile, and does the rest")]
    Overtaken(String),
    /// The system gives no randomness.
    #[error("the system gives no random numbers")]
    Random,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Files.
    pub files: u64,
    /// Of these, deltas.
    pub deltas: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Refuse to prune too often.
///
/// # Errors
/// [`PruneError::TooSoon`].
pub fn check_interval(store: &Store, interval: u64, now: u64) -> Result<(), PruneError> {
    let last = store.get(LAST, 32)?.and_then(|text| names::parse_hint(&text)).unwrap_or(0);
    let ago = now.saturating_sub(last);
    if last > 0 && ago < interval { Err(PruneError::TooSoon { ago, interval }) } else { Ok(()) }
}

/// Do what was planned.
///
/// # Errors
/// See [`PruneError`]. Doing it again finishes it.
pub fn run(
    store: &Store,
    roots: &Roots,
    committer: &Committer<'_>,
    plan: &Plan,
) -> Result<Removed, PruneError> {
    committer.compare_all(store, roots)?;
    let now = committer.clock.now();
    let going: BTreeSet<Digest> = plan.go.iter().map(|going| going.release).collect();
    let mut parts = Parts::new(store, roots);
    let inventory = Inventory::read(store, roots, None)?;
    let staying = needed(&inventory, &going, &mut parts)?;
    let mut candidates = BTreeSet::new();
    for signed in going.iter().filter_map(|id| inventory.releases.get(id)).flat_map(|held| &held.signed) {
        candidates.insert(*signed);
        // What can't be read any more takes nothing with it but itself.
        candidates.extend(parts.of(signed).map(|parts| parts.blobs).unwrap_or_default());
    }
    let for_room: BTreeSet<(Digest, Digest)> =
        plan.deltas.iter().filter(|d| d.why == DeltaGoes::Room).map(|d| (d.target, d.base)).collect();
    let mut staying = staying;
    for delta in delta_file::all(store, roots)?.into_known() {
        let is_kept = |id: &Digest| inventory.releases.contains_key(id) && !going.contains(id);
        let blobs = delta.parts().into_iter().map(|part| part.digest);
        if lives(&delta, &for_room, is_kept) {
            staying.extend(blobs);
        } else {
            // The file itself is not a blob, but its publisher has a lease on its digest.
            candidates.extend(blobs.chain([delta.digest]));
        }
    }
    let others = lease::pendings(store)?;
    candidates.extend(others.iter().flat_map(|(_, blobs)| blobs));
    let seen = orphans(store)?;
    let old = |digest: &Digest| seen.get(digest).is_some_and(|at| now.saturating_sub(*at) >= ORPHAN_AGE);
    candidates.extend(manifest::blobs(store)?.into_keys().filter(old));
    candidates.retain(|digest| !staying.contains(digest));
    let pending = Pending::begin(store, now, &candidates)?;
    for (path, _) in &others {
        // To a writer that was stopped it makes no difference; another one finds out.
        store.delete(path)?;
    }
    for name in inventory.channels.keys() {
        forget(store, roots, committer, name, &going)?;
    }
    // First the deltas, then the leases: a writer that ends its lease has committed, and is seen in the channels.
    let deltas: Vec<_> = delta_file::all(store, roots)?.into_known().collect();
    let held = lease::held(store, now)?;
    let inventory = Inventory::read(store, roots, None)?;
    let mut removed = Removed::default();
    for delta in deltas {
        let is_kept = |id: &Digest| inventory.releases.contains_key(id);
        if !lives(&delta, &for_room, is_kept) && !held.contains(&delta.digest) {
            pending.check(store)?;
            store.delete(&delta.path)?;
            removed.files += 1;
            removed.deltas += 1;
        }
    }
    let mut needed_now = held;
    needed_now.extend(needed(&inventory, &BTreeSet::new(), &mut parts)?);
    // Those that came meanwhile, too.
    let deltas: Vec<_> = delta_file::all(store, roots)?.into_known().collect();
    needed_now.extend(deltas.iter().flat_map(StoredDelta::parts).map(|part| part.digest));
    for digest in candidates.difference(&needed_now) {
        let path = names::blob(digest);
        if let Some(bytes) = store.size(&path)? {
            pending.check(store)?;
            store.delete(&path)?;
            removed.files += 1;
            removed.bytes += bytes;
        }
    }
    let orphans = manifest::blobs(store)?.into_keys().filter(|digest| !needed_now.contains(digest));
    let text: String =
        orphans.map(|digest| format!("{digest} {}\n", seen.get(&digest).copied().unwrap_or(now))).collect();
    store.put(ORPHANS, text.as_bytes())?;
    store.put(LAST, format!("{now}\n").as_bytes())?;
    store.delete(&pending.path)?;
    Ok(removed)
}

/// Whether a delta stays: both releases are there, and it doesn't go for room.
fn lives(
    delta: &StoredDelta,
    for_room: &BTreeSet<(Digest, Digest)>,
    is_kept: impl Fn(&Digest) -> bool,
) -> bool {
    let (target, base) = (delta.delta.target, delta.delta.base);
    is_kept(&target) && is_kept(&base) && !for_room.contains(&(target, base))
}

/// What this prune may remove, told to those who publish.
struct Pending {
    path: String,
}

impl Pending {
    fn begin(store: &Store, now: u64, candidates: &BTreeSet<Digest>) -> Result<Pending, PruneError> {
        let nonce = getrandom::u64().map_err(|_| PruneError::Random)?;
        let path = format!("{}/{nonce:016x}{}", lease::PRUNES, lease::PENDING);
        store.put(&path, lease::note(now, candidates).as_bytes())?;
        Ok(Pending { path })
    }

    /// Refuse to continue if the lease is gone.
    fn check(&self, store: &Store) -> Result<(), PruneError> {
        match store.size(&self.path)? {
            Some(_) => Ok(()),
            None => Err(PruneError::Overtaken(store.place().into())),
        }
    }
}

/// What releases consist of, each read once.
struct Parts<'a> {
    store: &'a Store,
    roots: &'a Roots,
    read: BTreeMap<Digest, Consists>,
}

/// What a release consists of.
#[derive(Clone, Debug)]
struct Consists {
    blobs: Vec<Digest>,
    /// The components that it brings along, by identity.
    bound: Vec<Digest>,
}

impl<'a> Parts<'a> {
    fn new(store: &'a Store, roots: &'a Roots) -> Parts<'a> {
        Parts { store, roots, read: BTreeMap::new() }
    }

    fn of(&mut self, signed: &Digest) -> Result<Consists, ManifestError> {
        if let Some(parts) = self.read.get(signed) {
            return Ok(parts.clone());
        }
        let stored = manifest::read(self.store, self.roots, signed)?;
        let parts = Consists {
            blobs: stored.parts().iter().map(|part| part.digest).collect(),
            bound: stored.release.bound.iter().map(|bound| bound.identity).collect(),
        };
        Ok(self.read.entry(*signed).or_insert(parts).clone())
    }
}

/// All blobs that something names, but for releases that go.
fn needed(
    inventory: &Inventory,
    going: &BTreeSet<Digest>,
    parts: &mut Parts<'_>,
) -> Result<BTreeSet<Digest>, PruneError> {
    let mut needed = BTreeSet::new();
    for file in inventory.channels.values() {
        needed.extend(file.channel.catalog.iter().map(|s| s.digest));
        if let Some(offer) = file.channel.offers.unreadable().first() {
            return Err(PruneError::Unreadable {
                channel: file.channel.name.clone(),
                why: offer.why.clone(),
            });
        }
        for offer in &file.channel.offers {
            needed.insert(offer.release);
            let consists = parts.of(&offer.release).map_err(|e| match e {
                ManifestError::NoRelease { path, .. } => PruneError::Unknown {
                    channel: file.channel.name.clone(),
                    release: edit::named(offer),
                    path,
                },
                e => PruneError::from(e),
            })?;
            needed.extend(consists.blobs);
        }
    }
    for held in inventory.releases.values().filter(|held| !going.contains(&held.entry.identity)) {
        for signed in &held.signed {
            needed.insert(*signed);
            match parts.of(signed) {
                Ok(parts) => needed.extend(parts.blobs),
                // Not kept here: it has no files to be missed. It may come later.
                Err(ManifestError::NoRelease { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(needed)
}

fn orphans(store: &Store) -> Result<BTreeMap<Digest, u64>, StoreError> {
    let text = store.get(ORPHANS, lease::NOTE_BYTES)?.unwrap_or_default();
    let line = |line: &str| {
        let (digest, at) = line.split_once(' ')?;
        Some((Digest::parse(digest)?, at.parse().ok()?))
    };
    Ok(String::from_utf8_lossy(&text).lines().filter_map(line).collect())
}

/// Take releases out of a channel's catalog, unless it offers them again meanwhile.
fn forget(
    store: &Store,
    roots: &Roots,
    committer: &Committer<'_>,
    name: &str,
    going: &BTreeSet<Digest>,
) -> Result<(), PruneError> {
    let log = ChannelLog::new(store, roots, name);
    committer.writer(&log).commit(|draft| -> Result<Change, PruneError> {
        let (mut stay, mut gone) = (Vec::new(), Vec::new());
        for entry in catalog::newest_first(store, &draft.catalog) {
            let entry = entry?;
            let goes = going.contains(&entry.identity)
                && draft.offer(&entry.identity).is_none()
                && !draft.pins.contains(&entry.identity);
            if goes { gone.push(entry) } else { stay.push(entry) }
        }
        if gone.is_empty() {
            return Ok(Change::Nothing);
        }
        stay.reverse();
        draft.catalog = catalog::rebuild(store, &stay)?;
        Ok(Change::Made { verb: "prune".into(), about: about(&gone) })
    })?;
    Ok(())
}

/// `3 releases: hub 1.2.0, hub 1.1.0, …`, as long as the audit takes.
fn about(gone: &[Entry]) -> String {
    let mut text = Count(gone.len(), "release").to_string();
    for (i, entry) in gone.iter().enumerate() {
        let next = format!("{}{} {}", if i == 0 { ": " } else { ", " }, entry.what(), entry.version);
        if text.len() + next.len() > limits::REASON - ", …".len() {
            text.push_str(", …");
            break;
        }
        text.push_str(&next);
    }
    text
}
