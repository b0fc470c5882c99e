//! Sync: the same repository in another place: a bucket, a USB stick. Only what is missing is copied, and always what is named
//! before what names it: whoever reads the copy meanwhile finds the state of before, or that of after.
//!
//! ```text
//! blobs ─► roots ─► deltas ─► versions ─► attestations ─► channels' newest files ─► older ones, backwards ─► audit, in order ─► hints
//! ```
//! A copy says in a file that it is one, so that no verb changes it: [`PARTIAL`], if it has not all of the history, or [`MIRROR`].
//! It can be read and copied like any other; what is copied from it is recorded nowhere, for its audit is its original's.
//! When the original is lost, whoever removes the file `mirror` makes an original of the mirror.
//!
//! What is committed in the original meanwhile is left for the next time: the hints say what was copied, and the audit of a mirror
//! ends before the first record that tells of more.
//!
//! | file | noun |
//! |---|---|
//! | `work` | the files, one by one |
mod work;

use super::attestation_file;
use super::audit::AuditError;
use super::catalog::{self, CatalogError};
use super::channel::{self, ChannelError, ChannelLog};
use super::delta_file::{self, DeltaFileError};
use super::index;
use super::lease::{Lease, LeaseError};
use super::manifest::{self, ManifestError, Part};
use super::roots::{Roots, RootsError};
use super::sequence::Sequence;
use super::store::{Store, StoreError};
use crate::clock::Clock;
use bistable_format::{Digest, Envelope, repository as names};
use std::collections::BTreeSet;
use work::Work;

/// Says that a copy has not all of its original's history.
pub const PARTIAL: &str = "partial-copy";
/// For whoever finds the file.
const PARTIAL_TEXT: &[u8] = b"This is a copy of what is on offer elsewhere, without the history: act on the original, and copy again.\n";
/// Says that a copy has all of its original's history.
pub const MIRROR: &str = "mirror";
/// For whoever finds the file.
const MIRROR_TEXT: &[u8] = b"This is a mirror: act on the original, and copy again. If the original is lost, remove this file: then this is the original.\n";

/// What is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is on offer: enough for devices.
    Offers,
    /// Everything that the channels ever had, as far as it is there: a mirror.
    Everything,
}

/// Whether a place is a copy of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It isn't: people act on it.
    Original,
    /// A copy that has all of the history.
    Mirror,
    /// A copy that hasn't.
    Partial,
}

impl Kind {
    /// Of this place.
    ///
    /// # Errors
    /// Whatever keeps that from being known.
    pub fn of(store: &Store) -> Result<Kind, StoreError> {
        Ok(if store.size(PARTIAL)?.is_some() {
            Kind::Partial
        } else if store.size(MIRROR)?.is_some() {
            Kind::Mirror
        } else {
            Kind::Original
        })
    }
}

/// Why it can't be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The roots of one of the two.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// Of a channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Of a catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Of a release.
    #[error(transparent)]
    Contents(#[from] ManifestError),
    /// Of the original's audit.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A prune of the copy is at it.
    #[error(transparent)]
    Hold(#[from] LeaseError),
    /// There is no such channel.
    #[error("{place} has no channel {name}; it has: {there}")]
    NoChannel {
        /// The original.
        place: String,
        /// What was asked for.
        name: String,
        /// What there is.
        there: String,
    },
    /// The copy went its own way.
    #[error(
        "{path} is not the same in {from} and in {to}: releases were published in both. Only one of them can be the original"
    )]
    Diverged {
        /// The file.
        path: String,
        /// The original.
        from: String,
        /// The copy.
        to: String,
    },
    /// What has not all of the history can't give it.
    #[error(
        "{0} is a copy without the history, which a mirror needs: copy from the original, or from a mirror"
    )]
    Partial(String),
    /// Both are one.
    #[error("{0} can't be copied onto itself")]
    Itself(String),
}

/// What was copied.
#[derive(Debug, Default)]
pub struct Copied {
    /// Files that were missing.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already.
    pub there: u64,
    /// Files that were not copied because they are not what their names say, each with what is wrong with it.
    pub skipped: Vec<(String, String)>,
    /// Why the original has no record of it, if it lacks it: it can be copied from a place that is not writable. A copy needs none.
    pub unrecorded: Option<AuditError>,
}

/// What is copied, and who does it.
#[derive(Clone, Copy, Debug)]
pub struct Copying<'a> {
    /// How much.
    pub extent: Extent,
    /// Only these channels; all, if it is empty.
    pub only: &'a [String],
    /// Who, for the audit.
    pub who: &'a str,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// Copy what is missing. Everything is decoded, fits its path and is verified before it is written: roots and channels by their
/// signatures, releases by the roots, blobs by their names, attestations by the keys that gates name. A file that isn't what its name
/// says is left out and reported, so that nothing but a repository comes out of a repository.
///
/// # Errors
/// See [`SyncError`]. Doing it again continues where it was.
pub fn sync(
    from: &Store,
    to: &Store,
    how: Copying<'_>,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Copied, SyncError> {
    if from.place() == to.place() {
        return Err(SyncError::Itself(from.place().into()));
    }
    let roots = Roots::load(from)?;
    let all = channel::names(from)?;
    if let Some(name) = how.only.iter().find(|name| !all.contains(name)) {
        let (place, name) = (from.place().into(), name.clone());
        return Err(SyncError::NoChannel { place, name, there: all.join(", ") });
    }
    let wanted: Vec<&String> = all.iter().filter(|n| how.only.is_empty() || how.only.contains(n)).collect();
    let everything = how.extent == Extent::Everything;
    if let Some(theirs) = to.get(&names::root(1), Envelope::MAX_BYTES)?
        && theirs != roots.first().bytes
    {
        return Err(RootsError::Other { place: to.place().into() }.into());
    }
    // Before hours of copying, not after them.
    to.check_create()?;
    let source = Kind::of(from)?;
    let mut work = Work { from, to, copied: Copied::default(), progress };
    for odd in from.foreign()? {
        work.skip(&odd.path, &format_args!("is {}", odd.oddity.name()));
    }
    let mut newest = Vec::new();
    let (mut identities, mut blobs) = (BTreeSet::new(), BTreeSet::new());
    for name in &wanted {
        let file = ChannelLog::new(from, &roots, name.as_str()).newest()?;
        // Before anything is copied: what went its own way is left alone.
        work.same_so_far(name, file.channel.sequence)?;
        let mut releases: BTreeSet<Digest> = file.channel.offers.iter().map(|o| o.release).collect();
        let offered = releases.clone();
        identities.extend(file.channel.offers.iter().map(|o| o.identity));
        for entry in catalog::newest_first(from, &file.channel.catalog) {
            let entry = entry?;
            if everything {
                releases.insert(entry.release);
                identities.insert(entry.identity);
            }
        }
        let segments = file.channel.catalog.iter();
        blobs.extend(segments.map(|s| Part { digest: s.digest, bytes: s.bytes.into() }));
        for release in releases {
            match manifest::read(from, &roots, &release) {
                // A copy of what was on offer has no others.
                Err(ManifestError::NoRelease { .. }) if !offered.contains(&release) => {}
                stored => blobs.extend(stored?.parts()),
            }
        }
        newest.push((*name, file.channel.sequence));
    }
    // A copy of what is on offer has what makes it from any release: devices have the base. A file that can't be believed
    // stays where it is.
    let mut deltas = Vec::new();
    let there = delta_file::all(from, &roots)?;
    for (path, why) in &there.bad {
        work.skip(path, why);
    }
    for (delta, root) in &there.retired {
        work.skip(&delta.path, &DeltaFileError::Retired { root: *root });
    }
    for delta in there.good.into_iter().filter(|delta| identities.contains(&delta.delta.target)) {
        blobs.extend(delta.parts());
        deltas.push(delta);
    }
    // A copy that has all of the history keeps it.
    let whole = work.begin(source, everything && how.only.is_empty())?;
    let held = blobs.iter().map(|part| part.digest).chain(deltas.iter().map(|delta| delta.digest));
    let _hold = Lease::take(to, how.clock, held)?;
    for part in &blobs {
        work.blob(&part.digest, part.bytes)?;
    }
    work.layout()?;
    work.roots(&roots)?;
    for delta in &deltas {
        work.delta(&roots, delta)?;
    }
    work.versions(|identity| whole || identities.contains(identity))?;
    let keys = attestation_file::attestors(from, &roots)?;
    for identity in &identities {
        work.attestations(identity, &keys)?;
    }
    for (name, sequence) in &newest {
        work.channel(&ChannelLog::new(from, &roots, name.as_str()), *sequence, whole)?;
    }
    // Now that it is true, and before the audit, which a mirror has, too.
    if source == Kind::Original {
        work.copied.unrecorded = work.record(&how, &newest).err();
    }
    if whole {
        work.audit()?;
    }
    for (name, sequence) in &newest {
        Sequence::Channel((*name).clone()).write_hint(to, *sequence)?;
    }
    index::refresh(to, &Roots::load(to)?)?;
    if whole && Kind::of(to)? == Kind::Partial {
        to.put(MIRROR, MIRROR_TEXT)?;
        to.delete(PARTIAL)?;
    }
    Ok(work.copied)
}
