//! Deltas become files of a repository: each is applied first, to the release that the repository has.
use super::audit::{self, Act, AuditError};
use super::delta_file::{self, DeltaFileError, StoredDelta, parts};
use super::hashing_reader::HashingReader;
use super::images::{BaseError, Images};
use super::inventory::{Inventory, InventoryError};
use super::manifest::{self, ManifestError, Part, Stored};
use super::roots::Roots;
use super::store::{Claim, Store, StoreError};
use super::writer::Committer;
use crate::delta::{Opened, VerifyDeltaError};
use crate::parallel::Threads;
use crate::progress::Progress;
use bistable_format::{Digest, Envelope, Release, repository as names};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Why a delta isn't published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaPublishError {
    /// It is wrong, or doesn't make what it should.
    #[error(transparent)]
    Delta(#[from] VerifyDeltaError),
    /// It makes another release.
    #[error("{path} makes {found}, not the release that is published: give the delta that was made for this bundle", path = path.display())]
    OtherTarget {
        /// The delta.
        path: PathBuf,
        /// What it makes.
        found: String,
    },
    /// The repository doesn't have its base.
    #[error("{path} takes release {base:.12}, which {place} doesn't have: publish that first", path = path.display())]
    NoBase {
        /// The delta.
        path: PathBuf,
        /// The base.
        base: Digest,
        /// The repository.
        place: String,
    },
    /// The base can't be read from the repository.
    #[error("the base of {path} can't be read from {place}", path = path.display())]
    Base {
        /// The delta.
        path: PathBuf,
        /// The repository.
        place: String,
        /// Why.
        source: Box<BaseError>,
    },
    /// What has its name in the repository is not a delta that devices take.
    #[error("{path} can't be published: {place} already has a file with its name, and that {why}; {advice}", path = path.display(), advice = advice(why))]
    There {
        /// The delta.
        path: PathBuf,
        /// The repository.
        place: String,
        /// What is wrong with the file there.
        why: Box<DeltaFileError>,
    },
    /// Another delta has its place, and lacks something.
    #[error("{path} can't be published: {place} already has another delta between the same releases, which lacks {blob}; {REPAIR}", path = path.display())]
    Incomplete {
        /// The delta.
        path: PathBuf,
        /// The repository.
        place: String,
        /// What it lacks.
        blob: String,
    },
    /// A blob that is there has other bytes than its name says.
    #[error("{path} can't be published: {blob} in {place} {why}; {REPAIR}", path = path.display())]
    Damaged {
        /// The delta.
        path: PathBuf,
        /// The repository.
        place: String,
        /// The blob.
        blob: String,
        /// What is wrong with it.
        why: String,
    },
    /// The delta's file can't be read any more.
    #[error("can't read the delta {path}", path = path.display())]
    Read {
        /// The delta.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What there is can't be found out.
    #[error(transparent)]
    Holdings(#[from] InventoryError),
    /// Of the audit.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A delta that was verified and applied.
#[derive(Debug)]
pub(super) struct Checked {
    file: Opened,
    base: Release,
    /// Whether another one is there already, which is never changed.
    taken: bool,
}

/// A delta that is in the repository.
#[derive(Debug)]
pub struct PublishedDelta {
    /// What it takes.
    pub base: Release,
    /// Its name.
    pub identity: Digest,
    /// Bytes that a device fetches with it.
    pub bytes: u64,
    /// Whether it is new: another one between the same releases stays as it is.
    pub is_new: bool,
}

/// Verify deltas to this release by applying them.
pub(super) fn check(
    store: &Store,
    roots: &Roots,
    target: &Digest,
    paths: &[PathBuf],
    threads: Threads,
    progress: &dyn Progress,
) -> Result<Vec<Checked>, DeltaPublishError> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let inventory = Inventory::read(store, roots, None)?;
    let mut checked = Vec::new();
    for path in paths {
        let file = Opened::open(path, &roots.newest().root)?;
        if file.identity != *target {
            let found = file.release.named();
            return Err(DeltaPublishError::OtherTarget { path: path.clone(), found });
        }
        let base = file.delta.base;
        let place = || store.place().to_owned();
        let no_base = || DeltaPublishError::NoBase { path: path.clone(), base, place: place() };
        let signed =
            inventory.releases.get(&base).and_then(|held| held.signed.first()).ok_or_else(no_base)?;
        let cant = |source: BaseError| DeltaPublishError::Base {
            path: path.clone(),
            place: place(),
            source: Box::new(source),
        };
        let stored = manifest::read(store, roots, signed).map_err(|e| match e {
            ManifestError::NoRelease { .. } => no_base(),
            e => cant(e.into()),
        })?;
        let is_made = |id| file.lists.iter().any(|(made, _)| *made == id);
        let images = Images::unpack(store, &stored, is_made).map_err(cant)?;
        let Stored { release, identity, .. } = stored;
        file.apply((&identity, &release), &images.raw(), threads, progress)?;
        let taken = is_taken(store, roots, &file)?;
        checked.push(Checked { file, base: release, taken });
    }
    Ok(checked)
}

/// Whether another good delta has its place. What is there and isn't good stops everything: a file of a repository is created
/// once and never changed, so that two who publish at once, and every cache in between, agree on it. Only `fsck` removes.
fn is_taken(store: &Store, roots: &Roots, file: &Opened) -> Result<bool, DeltaPublishError> {
    let there = delta_file::read(store, roots, &names::delta(&file.delta.target, &file.delta.base))?;
    let other = other(store, &file.path, &file.signed, there)?;
    let place = || store.place().to_owned();
    let parts = match &other {
        None => parts(&file.delta),
        Some(other) => other.parts(),
    };
    for Part { digest, bytes } in parts {
        let blob = names::blob(&digest);
        match store.size(&blob)? {
            // Read, because a blob that has its size is never written again.
            Some(there) if there == bytes => {
                if let Err(wrong) = manifest::read_through(store, &digest)? {
                    let (path, why) = (file.path.clone(), wrong.text);
                    return Err(DeltaPublishError::Damaged { path, place: place(), blob, why });
                }
            }
            // Ours is about to be written.
            _ if other.is_none() => {}
            _ => {
                let path = file.path.clone();
                return Err(DeltaPublishError::Incomplete { path, place: place(), blob });
            }
        }
    }
    Ok(other.is_some())
}

/// The good delta that has the place of the one with these bytes, unless it is the same.
fn other(
    store: &Store,
    path: &Path,
    ours: &[u8],
    there: Option<Result<StoredDelta, DeltaFileError>>,
) -> Result<Option<StoredDelta>, DeltaPublishError> {
    match there {
        Some(Ok(there)) => Ok((there.digest != Digest::of(ours)).then_some(there)),
        None => Ok(None),
        Some(Err(why)) => {
            Err(DeltaPublishError::There { path: path.into(), place: store.place().into(), why: why.into() })
        }
    }
}

impl Checked {
    /// The release that it takes.
    pub(super) fn base(&self) -> Digest {
        self.file.delta.base
    }

    /// What has to be held until it is there: its blobs, and by its digest the file that names them.
    pub(super) fn held(&self) -> impl Iterator<Item = Digest> {
        let blobs = parts(&self.file.delta).into_iter().map(|part| part.digest);
        blobs.chain([Digest::of(&self.file.signed)])
    }

    /// Bring it into the store, blobs first.
    pub(super) fn publish(
        self,
        store: &Store,
        roots: &Roots,
        committer: &Committer<'_>,
    ) -> Result<PublishedDelta, DeltaPublishError> {
        let Opened { path, file, delta, signed, lists, data_at, release, .. } = self.file;
        let bytes = parts(&delta).iter().map(|part| part.bytes).sum();
        let is_new = !self.taken && {
            for (kind, list) in &lists {
                let Some(a) = delta.artifact(&kind.to_string()) else { continue };
                let at = data_at.iter().find(|(other, _)| other == kind).map_or(0, |(_, at)| *at);
                let list = HashingReader::new(list.as_slice(), a.list, CHANGED, |_| {});
                put(store, &a.list, list, a.list_bytes.into())?;
                let data = read_from(&file, at, a.data_bytes)
                    .map_err(|source| DeltaPublishError::Read { path: path.clone(), source })?;
                put(store, &a.data, HashingReader::new(data, a.data, CHANGED, |_| {}), a.data_bytes)?;
            }
            let name = names::delta(&delta.target, &delta.base);
            let ours = store.claim(&name, &signed, Envelope::MAX_BYTES)? == Claim::Ours;
            if ours {
                let about = format!(
                    "{} {} from {} ({:.12})",
                    release.what(),
                    release.version,
                    self.base.version,
                    Digest::of(&signed),
                );
                let act = Act { who: committer.who.clone(), verb: "delta".into(), about };
                audit::append_once(store, committer.clock, &act, |_| true)?;
            } else {
                // Another writer was faster.
                let _ = other(store, &path, &signed, delta_file::read(store, roots, &name)?)?;
            }
            ours
        };
        Ok(PublishedDelta { base: self.base, identity: delta.base, bytes, is_new })
    }
}

/// What to do about a file that only blocks its name.
const REPAIR: &str =
    "run `bistable-image fsck --deep --repair`, which removes it, then publish the delta again";

/// What to do about a file that has a delta's place.
fn advice(why: &DeltaFileError) -> &'static str {
    if why.is_worthless() { REPAIR } else { "use the version of bistable-image that made that file" }
}

const CHANGED: &str = "the delta was changed after it was verified";

fn put(store: &Store, digest: &Digest, mut from: impl Read, bytes: u64) -> Result<(), StoreError> {
    let _ = store.upload(&names::blob(digest), &mut from, bytes)?;
    Ok(())
}

fn read_from(file: &File, at: u64, bytes: u64) -> io::Result<impl Read> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(at))?;
    Ok(file.take(bytes))
}
