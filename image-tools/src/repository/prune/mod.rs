//! Prune: releases that nobody needs any more go.
//!
//! First a pure plan. Then each channel commits a catalogue without them; only then are the files removed that no other
//! release has. Whoever is stopped in between leaves files that nothing names, which the next prune removes; never a
//! name without its file.
//!
//! | file | noun |
//! |---|---|
//! | `plan` | which go, and why |
mod plan;
#[cfg(test)]
mod tests;

pub use plan::{Goes, PRODUCTION_GOES, Plan, Policy, STAGING_GOES, Stays, plan};

use super::audit::{self, AuditError};
use super::catalog::{self, CatalogError};
use super::channel::{Change, ChannelError, Committer, Log};
use super::contents::{self, ContentsError};
use super::holdings::{Holdings, HoldingsError};
use super::roots::Roots;
use super::store::{Store, StoreError};
use bistable_format::{Digest, repository as names};
use std::collections::BTreeSet;

/// When the last prune was, for the interval: seconds since 1970, as text.
const LAST: &str = "prune/latest";
/// What a prune that was stopped still has to remove: digests, one a line.
const PENDING: &str = "prune/pending";
/// Most bytes of these.
const NOTE_BYTES: usize = 64 << 20;

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
    /// Of a catalogue.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// What there is can't be read.
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
    /// Of a release that stays.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// Of the audit.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Too soon after the last one.
    #[error("the last prune was {ago} s ago, and {interval} s have to lie between two")]
    TooSoon {
        /// Seconds since the last one.
        ago: u64,
        /// Seconds that have to lie between two.
        interval: u64,
    },
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Files.
    pub files: u64,
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
    let holdings = Holdings::read(store, roots, None)?;
    let going: BTreeSet<Digest> = plan.go.iter().map(|(id, _)| *id).collect();
    // What they consist of, while it can still be found out. It is written down first, so that a prune that is stopped
    // is finished by the next.
    let mut pending = read_pending(store)?;
    for held in going.iter().filter_map(|id| holdings.releases.get(id)) {
        pending.insert(held.entry.release);
        if let Ok(stored) = contents::read(store, roots, &held.entry.release) {
            pending.extend(stored.parts().iter().map(|part| part.digest));
        }
    }
    if pending.is_empty() && going.is_empty() {
        return Ok(Removed::default());
    }
    let text: String = pending.iter().map(|digest| format!("{digest}\n")).collect();
    store.put(PENDING, text.as_bytes())?;
    for name in holdings.channels.keys() {
        forget(store, roots, committer, name, &going)?;
    }
    let removed = remove(store, roots, &pending)?;
    let act = audit::Act {
        who: committer.who.clone(),
        verb: "prune".into(),
        about: format!("{} releases, {} files, {} bytes", going.len(), removed.files, removed.bytes),
    };
    audit::append(store, committer.clock, &act)?;
    store.put(LAST, format!("{}\n", committer.clock.now()).as_bytes())?;
    store.delete(PENDING)?;
    Ok(removed)
}

fn read_pending(store: &Store) -> Result<BTreeSet<Digest>, StoreError> {
    let text = store.get(PENDING, NOTE_BYTES)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).lines().filter_map(Digest::parse).collect())
}

/// Take releases out of a channel's catalogue, unless somebody offers them again meanwhile.
fn forget(
    store: &Store,
    roots: &Roots,
    committer: &Committer<'_>,
    name: &str,
    going: &BTreeSet<Digest>,
) -> Result<(), PruneError> {
    let log = Log::new(store, roots, name);
    committer.commit(&log, |draft| -> Result<Change, PruneError> {
        let (mut stay, mut gone) = (Vec::new(), 0);
        for entry in catalog::newest_first(store, &draft.catalog) {
            let entry = entry?;
            if going.contains(&entry.identity)
                && draft.offer(&entry.identity).is_none()
                && !draft.pins.contains(&entry.identity)
            {
                gone += 1;
            } else {
                stay.push(entry);
            }
        }
        if gone == 0 {
            return Ok(Change::Nothing);
        }
        stay.reverse();
        draft.catalog = catalog::add(store, &[], &stay)?;
        Ok(Change::Made { verb: "prune".into(), about: format!("{gone} releases") })
    })?;
    Ok(())
}

/// Remove files that nothing names any more: looked at anew, after the channels have forgotten them.
fn remove(store: &Store, roots: &Roots, pending: &BTreeSet<Digest>) -> Result<Removed, PruneError> {
    let holdings = Holdings::read(store, roots, None)?;
    let mut needed: BTreeSet<Digest> = BTreeSet::new();
    for file in holdings.channels.values() {
        needed.extend(file.channel.catalog.iter().map(|s| s.digest));
    }
    for held in holdings.releases.values() {
        needed.insert(held.entry.release);
        match contents::read(store, roots, &held.entry.release) {
            Ok(stored) => needed.extend(stored.parts().iter().map(|part| part.digest)),
            // Not kept here, as in a copy of what is on offer: it has no files to be missed.
            Err(ContentsError::NoRelease { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    let mut removed = Removed::default();
    for digest in pending.difference(&needed) {
        let path = names::blob(digest);
        if let Some(bytes) = store.size(&path)? {
            store.delete(&path)?;
            removed.files += 1;
            removed.bytes += bytes;
        }
    }
    Ok(removed)
}
