//! Deltas: each has to be signed, to be what its name says, to have its blobs, and to describe how its release is made. Whether
//! it makes every byte was found out when it was published; `--deep` finds blobs that changed since.
use super::{Fault, Report, full};
use crate::repository::contents::{self, ContentsError, Stored};
use crate::repository::delta_file::{self, StoredDelta};
use crate::repository::roots::Roots;
use crate::repository::store::{Store, StoreError};
use bistable_format::{DecodeError, Digest, limits, repository as names};
use std::collections::{BTreeMap, BTreeSet};

/// The signed releases that channels name, by identity.
pub(super) type Known = BTreeMap<Digest, BTreeSet<Digest>>;

/// Check all, and add the blobs that they name.
pub(super) fn check(
    store: &Store,
    roots: &Roots,
    report: &mut Report,
    known: &Known,
    blobs: &BTreeMap<Digest, u64>,
    named: &mut BTreeSet<Digest>,
) -> Result<(), StoreError> {
    let deltas = delta_file::all(store, roots)?;
    for (path, why) in deltas.bad {
        report.add(Fault::Untrusted, path, format!("{why}; remove it: devices fetch the whole release"));
    }
    report.deltas = deltas.good.len();
    for delta in &deltas.good {
        let mut is_whole = true;
        for part in delta.parts() {
            named.insert(part.digest);
            let about = format!("of {}", delta.path);
            match blobs.get(&part.digest) {
                Some(bytes) if *bytes == part.bytes => continue,
                Some(bytes) => {
                    let text = format!("{about}: has {bytes} bytes instead of {}", part.bytes);
                    report.add(Fault::Damaged, names::blob(&part.digest), text);
                }
                None => report.add(Fault::Missing, names::blob(&part.digest), about),
            }
            is_whole = false;
        }
        let (target, base) = (&delta.delta.target, &delta.delta.base);
        if let Some(gone) = [target, base].into_iter().find(|id| !known.contains_key(*id)) {
            let text = format!(
                "is between releases of which no channel has {gone:.12}: `bistable-image prune` removes it"
            );
            report.add(Fault::Orphan, &delta.path, text);
        } else if is_whole
            && let (Some(target), Some(base)) =
                (stored(store, roots, known, target), stored(store, roots, known, base))
            && let Err(e) = lists(store, delta, &target, &base)?
        {
            report.add(Fault::Damaged, &delta.path, full(&e));
        }
    }
    Ok(())
}

/// A release, if it is kept here and can be used: what is wrong with it is told elsewhere.
fn stored(store: &Store, roots: &Roots, known: &Known, identity: &Digest) -> Option<Stored> {
    let signed = known.get(identity)?;
    let read = |digest| -> Result<Stored, ContentsError> { contents::read(store, roots, digest) };
    signed.iter().find_map(|digest| read(digest).ok())
}

/// Whether the lists describe the target's chunks, made of the base and of the data.
fn lists(
    store: &Store,
    delta: &StoredDelta,
    target: &Stored,
    base: &Stored,
) -> Result<Result<(), DecodeError>, StoreError> {
    let ends = ((&target.identity, &target.release), (&base.identity, &base.release));
    if let Err(e) = delta.delta.check_between(ends.0, ends.1) {
        return Ok(Err(e));
    }
    let (targets, bases) = (target.release.content.artifacts(), base.release.content.artifacts());
    for artifact in &delta.delta.artifacts {
        let bytes = store.get(&names::blob(&artifact.list), limits::CHUNK_LIST)?.unwrap_or_default();
        let find = |(name, _): &&(String, _)| *name == artifact.name;
        if let (Some((_, target)), Some((_, base))) = (targets.iter().find(find), bases.iter().find(find))
            // Another digest is found by `--deep`.
            && Digest::of(&bytes) == artifact.list
            && let Err(e) = artifact.list(&bytes, target, base)
        {
            return Ok(Err(e));
        }
    }
    Ok(Ok(()))
}
