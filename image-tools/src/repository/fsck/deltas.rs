//! Deltas: each has to be signed for the newest root, to be what its name says, to have its blobs, and to describe how its
//! release is made. `--deep` applies those whose base is here, as publishing did, and compares every byte.
use super::{Depth, Fault, Report};
use crate::delta::{ApplyError, Raw, VerifyDeltaError, Whole};
use crate::parallel::Threads;
use crate::progress::Silent;
use crate::repository::delta_file::{self, DeltaFileError, StoredDelta};
use crate::repository::images::{self, BaseError, Images};
use crate::repository::manifest::{self, ManifestError, Stored};
use crate::repository::roots::Roots;
use crate::repository::store::{Store, StoreError};
use bistable_format::failure::on_one_line;
use bistable_format::{ArtifactId, DecodeError, Digest, TrustError, limits, repository as names};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The signed releases that channels name, by identity.
pub(super) type Known = BTreeMap<Digest, BTreeSet<Digest>>;

/// A delta's file that only blocks its name: no device takes it, and no other delta can have its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Worthless {
    path: String,
    /// SHA-256 of a file that is signed well and yet can't be right. Others are judged again before they are removed.
    judged: Option<Digest>,
}

const REPAIR: &str = "`bistable-image fsck --deep --repair` removes it; devices fetch the whole release";

/// Check all, and add the blobs that they name.
pub(super) fn check(
    (store, roots): (&Store, &Roots),
    depth: Depth,
    report: &mut Report,
    known: &Known,
    blobs: &BTreeMap<Digest, u64>,
    named: &mut BTreeSet<Digest>,
) -> Result<(), StoreError> {
    let mut deltas = delta_file::all(store, roots)?;
    for (path, why) in deltas.bad {
        let advice = if why.is_worthless() {
            report.worthless.push(Worthless { path: path.clone(), judged: None });
            REPAIR
        } else {
            "no device reads it: remove it, or use the version of bistable-image that made it"
        };
        report.add(Fault::Untrusted, path, format!("{why}; {advice}"));
    }
    for (delta, root) in deltas.retired {
        named.extend(delta.parts().iter().map(|part| part.digest));
        report.worthless.push(Worthless { path: delta.path.clone(), judged: None });
        let why = DeltaFileError::Retired { root };
        report.add(Fault::Untrusted, delta.path, format!("{why}; {REPAIR}"));
    }
    report.deltas = deltas.good.len();
    // Those of a base one after another: it is unpacked once.
    deltas.good.sort_by_key(|delta| delta.delta.base);
    let mut images: Option<(Digest, Images)> = None;
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
            continue;
        }
        let stored = |identity| stored(store, roots, known, identity);
        let (true, Some(target), Some(base)) = (is_whole, stored(target), stored(base)) else { continue };
        let wrong = match lists(store, delta, &target, &base)? {
            Err(e) => Some((on_one_line(&e), !TrustError::Decode(e).needs_update())),
            Ok(_) if depth == Depth::Names => None,
            Ok(lists) => match prove(store, (delta, &lists), &target, &base, &mut images) {
                Ok(()) => {
                    report.proven += 1;
                    None
                }
                Err(NotProven::Store(e)) => return Err(e),
                // What is wrong with the blobs is reported for each.
                Err(NotProven::Blobs) => None,
                Err(NotProven::Temporary(why)) => {
                    report.add(Fault::Unproven, &delta.path, why);
                    None
                }
                Err(NotProven::Wrong(e)) => Some((on_one_line(&e), true)),
            },
        };
        if let Some((why, is_worthless)) = wrong {
            if is_worthless {
                let judged = Some(delta.digest);
                report.worthless.push(Worthless { path: delta.path.clone(), judged });
            }
            report.add(Fault::Damaged, &delta.path, format!("{why}; {REPAIR}"));
        }
    }
    Ok(())
}

/// Remove what the check found to be worth nothing, and deltas that lack a blob: whoever has them publishes them again, and
/// no other could take their place. Gives how many.
pub(super) fn remove(store: &Store, roots: &Roots, report: &Report) -> Result<u64, StoreError> {
    let mut removed = 0;
    for Worthless { path, judged } in &report.worthless {
        let is_worthless = match delta_file::read(store, roots, path)? {
            Some(Ok(delta)) => Some(delta.digest) == *judged,
            Some(Err(why)) => why.is_worthless(),
            None => false,
        };
        if is_worthless {
            store.delete(path)?;
            removed += 1;
        }
    }
    for delta in delta_file::all(store, roots)?.good {
        if delta.lacks(store)?.is_some() {
            store.delete(&delta.path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Why it isn't known that a delta makes its release.
enum NotProven {
    Store(StoreError),
    /// A blob of it or of its base is missing or damaged.
    Blobs,
    /// There is no room for a temporary file.
    Temporary(String),
    /// It makes something else.
    Wrong(VerifyDeltaError),
}

impl From<BaseError> for NotProven {
    fn from(e: BaseError) -> NotProven {
        match e {
            BaseError::Store(e) | BaseError::Contents(ManifestError::Store(e)) => NotProven::Store(e),
            BaseError::Io(_) => NotProven::Temporary(format!("was not applied: {}", on_one_line(&e))),
            _ => NotProven::Blobs,
        }
    }
}

/// Apply a delta with its lists to its base, which stays unpacked for the next one.
fn prove(
    store: &Store,
    (delta, lists): (&StoredDelta, &Lists),
    target: &Stored,
    base: &Stored,
    images: &mut Option<(Digest, Images)>,
) -> Result<(), NotProven> {
    if images.as_ref().is_none_or(|(of, _)| *of != base.identity) {
        // The old ones first: only one base at a time takes room.
        *images = None;
        *images = Some((base.identity, Images::unpack(store, base, |_| true)?));
    }
    let Some((_, images)) = images else { return Ok(()) };
    let (mut of_volumes, mut files) = (Vec::new(), Vec::new());
    for (kind, _) in target.release.content.artifacts() {
        let Some(artifact) = delta.delta.artifact(&kind.to_string()) else { continue };
        of_volumes.push((kind, lists.get(&artifact.list).ok_or(NotProven::Blobs)?.clone()));
        files.push((kind, images::fetch(store, &artifact.data, artifact.data_bytes)?));
    }
    let data: Vec<(ArtifactId, &dyn Raw)> = files.iter().map(|(kind, file)| (*kind, file as _)).collect();
    let path = Path::new(&delta.path);
    let whole = Whole { path, delta: &delta.delta, lists: &of_volumes, data: &data };
    let (target, base) = ((&target.identity, &target.release), (&base.identity, &base.release));
    match whole.apply(target, base, &images.raw(), Threads::available(), &Silent) {
        Ok(_) => Ok(()),
        Err(e @ VerifyDeltaError::Apply { source: ApplyError::Read(_), .. }) => {
            Err(NotProven::Temporary(format!("was not applied: {}", on_one_line(&e))))
        }
        Err(e) => Err(NotProven::Wrong(e)),
    }
}

/// A release, if it is kept here and can be used: what is wrong with it is told elsewhere.
fn stored(store: &Store, roots: &Roots, known: &Known, identity: &Digest) -> Option<Stored> {
    let signed = known.get(identity)?;
    let read = |digest| -> Result<Stored, ManifestError> { manifest::read(store, roots, digest) };
    signed.iter().find_map(|digest| read(digest).ok())
}

/// A delta's lists that have their digests.
type Lists = BTreeMap<Digest, Vec<u8>>;

/// The lists, if they describe the target's chunks, made of the base and of the data.
fn lists(
    store: &Store,
    delta: &StoredDelta,
    target: &Stored,
    base: &Stored,
) -> Result<Result<Lists, DecodeError>, StoreError> {
    let ends = ((&target.identity, &target.release), (&base.identity, &base.release));
    if let Err(e) = delta.delta.check_between(ends.0, ends.1) {
        return Ok(Err(e));
    }
    let (targets, bases) = (target.release.content.artifacts(), base.release.content.artifacts());
    let mut lists = Lists::new();
    for artifact in &delta.delta.artifacts {
        let bytes = store.get(&names::blob(&artifact.list), limits::CHUNK_LIST)?.unwrap_or_default();
        // Another digest is found by `--deep`.
        if Digest::of(&bytes) != artifact.list {
            continue;
        }
        let find = |(id, _): &&(ArtifactId, _)| id.to_string() == artifact.name;
        if let (Some((_, target)), Some((_, base))) = (targets.iter().find(find), bases.iter().find(find))
            && let Err(e) = artifact.list(&bytes, target, base)
        {
            return Ok(Err(e));
        }
        lists.insert(artifact.list, bytes);
    }
    Ok(Ok(lists))
}
