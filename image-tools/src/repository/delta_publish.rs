//! Deltas become files of a repository: each is applied first, to the release that the repository has.
use super::audit::{self, Act, AuditError};
use super::channel::Committer;
use super::contents::{self, ContentsError, Stored};
use super::delta_file::parts;
use super::hashed::Hashed;
use super::holdings::{Holdings, HoldingsError};
use super::roots::Roots;
use super::store::{Claim, Store, StoreError};
use crate::delta::{Image, Opened, Raw, VerifyDeltaError};
use crate::parallel::Threads;
use crate::progress::Progress;
use bistable_format::{
    Artifact, ChunkList, DecodeError, Digest, Encoding, Envelope, Hasher, Release, VolumeKind, limits,
    repository as names,
};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use zstd::bulk::Decompressor;

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
    Holdings(#[from] HoldingsError),
    /// Of the audit.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a base can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// Of the release.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// A blob is gone.
    #[error("it lacks {0}")]
    Missing(String),
    /// A chunk list is not what it has to be.
    #[error("a chunk list of it can't be used")]
    List(#[from] DecodeError),
    /// Its bytes are others.
    #[error(
        "{0} is damaged: `bistable-image fsck --deep --repair` removes it; then publish its bundle again"
    )]
    Damaged(String),
    /// It can't be read, or the temporary file of its image can't be written.
    #[error("reading it into a temporary file failed; TMPDIR says where that is")]
    Io(#[from] io::Error),
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
    let holdings = Holdings::read(store, roots, None)?;
    let mut checked = Vec::new();
    for path in paths {
        let file = Opened::open(path, &roots.newest().root)?;
        if file.identity != *target {
            let found = format!("{} {}", file.release.product(), file.release.version);
            return Err(DeltaPublishError::OtherTarget { path: path.clone(), found });
        }
        let base = file.delta.base;
        let place = || store.place().to_owned();
        let no_base = || DeltaPublishError::NoBase { path: path.clone(), base, place: place() };
        let signed = holdings.releases.get(&base).and_then(|held| held.signed.first()).ok_or_else(no_base)?;
        let cant = |source: BaseError| DeltaPublishError::Base {
            path: path.clone(),
            place: place(),
            source: Box::new(source),
        };
        let stored = contents::read(store, roots, signed).map_err(|e| match e {
            ContentsError::NoRelease { .. } => no_base(),
            e => cant(e.into()),
        })?;
        let mut images = Vec::new();
        for (kind, _) in &file.lists {
            if let Some(volumes) = stored.release.volumes() {
                images.push((*kind, unpack(store, volumes.get(*kind)).map_err(cant)?));
            }
        }
        let raw: Vec<(VolumeKind, &dyn Raw)> =
            images.iter().map(|(kind, i)| (*kind, i as &dyn Raw)).collect();
        let Stored { release, identity, .. } = stored;
        file.apply((&identity, &release), &raw, threads, progress)?;
        let there = store.get(&names::delta(target, &base), Envelope::MAX_BYTES)?;
        let taken = there.is_some_and(|there| there != file.signed);
        if taken {
            progress.note(&format!(
                "{}: {} has another delta between the same releases already, which stays",
                path.display(),
                store.place()
            ));
        }
        checked.push(Checked { file, base: release, taken });
    }
    Ok(checked)
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
        committer: &Committer<'_>,
    ) -> Result<PublishedDelta, DeltaPublishError> {
        let Opened { path, file, delta, signed, lists, data_at, release, .. } = self.file;
        let bytes = parts(&delta).iter().map(|part| part.bytes).sum();
        let is_new = !self.taken && {
            for (kind, list) in &lists {
                let Some(a) = delta.artifact(&kind.to_string()) else { continue };
                let at = data_at.iter().find(|(other, _)| other == kind).map_or(0, |(_, at)| *at);
                let list = Hashed::new(list.as_slice(), a.list, CHANGED, |_| {});
                put(store, &a.list, list, a.list_bytes.into())?;
                let data = read_from(&file, at, a.data_bytes)
                    .map_err(|source| DeltaPublishError::Read { path: path.clone(), source })?;
                put(store, &a.data, Hashed::new(data, a.data, CHANGED, |_| {}), a.data_bytes)?;
            }
            let name = names::delta(&delta.target, &delta.base);
            let ours = store.claim(&name, &signed, Envelope::MAX_BYTES)? == Claim::Ours;
            if ours {
                let about = format!(
                    "{} {} from {} ({:.12})",
                    release.product(),
                    release.version,
                    self.base.version,
                    Digest::of(&signed),
                );
                let act = Act { who: committer.who.clone(), verb: "delta".into(), about };
                audit::append_once(store, committer.clock, &act, |_| true)?;
            }
            ours
        };
        Ok(PublishedDelta { base: self.base, identity: delta.base, bytes, is_new })
    }
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

/// A volume of a stored release, chunk by chunk into a temporary file: each frame is hashed before it is decompressed.
fn unpack(store: &Store, artifact: &Artifact) -> Result<Image, BaseError> {
    let path = names::blob(&artifact.list);
    let list = store.get(&path, limits::CHUNK_LIST)?.ok_or_else(|| BaseError::Missing(path.clone()))?;
    if Digest::of(&list) != artifact.list {
        return Err(BaseError::Damaged(path));
    }
    let list = ChunkList::decode(&list, artifact)?;
    let path = names::blob(&artifact.data);
    let mut data = store.read(&path)?.ok_or_else(|| BaseError::Missing(path.clone()))?;
    let damaged = || BaseError::Damaged(path.clone());
    let image = Image::create(None, artifact.bytes)?;
    let (mut decompressor, mut hasher, mut offset) = (Decompressor::new()?, Hasher::new(), 0);
    for (i, chunk) in list.chunks.iter().enumerate() {
        let mut frame = vec![0; chunk.encoding.data_bytes() as usize];
        data.read_exact(&mut frame)?;
        let (Encoding::Zero { digest, .. } | Encoding::Zstd { digest, .. }) = &chunk.encoding else {
            return Err(damaged());
        };
        if Digest::of(&frame) != *digest {
            return Err(damaged());
        }
        let bytes = list.raw_bytes(i, artifact.bytes) as usize;
        let raw = decompressor.decompress(&frame, bytes).map_err(|_| damaged())?;
        if raw.len() != bytes {
            return Err(damaged());
        }
        hasher.update(&raw);
        image.write_at(offset, &raw)?;
        offset += raw.len() as u64;
    }
    if hasher.finish() == artifact.digest { Ok(image) } else { Err(damaged()) }
}
