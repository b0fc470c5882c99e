//! What a release consists of in a repository: the signed release, two chunk lists, two volumes' data, the SBOM, and what an OCI
//! image layout has besides.
use super::edit::Brought;
use super::hashing_reader::HashingReader;
use super::roots::Roots;
use super::store::{Store, StoreError};
use bistable_format::bundle::{EMPTY, Frame, blob_digest};
use bistable_format::{
    Channel, Digest, Envelope, Offer, Release, Role, TrustError, release, repository as names,
};
use std::collections::BTreeMap;
use std::io;

/// Why a release in a repository can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signed release is gone.
    #[error(
        "{place} lacks {path}, the signed release that a channel names: restore it from a copy, or publish its bundle again"
    )]
    NoRelease {
        /// The repository.
        place: String,
        /// The blob.
        path: String,
    },
    /// The signed release isn't what its name says, or not signed as it must be.
    #[error("{path} of {place} can't be trusted")]
    Untrusted {
        /// The repository.
        place: String,
        /// The blob.
        path: String,
        /// Why.
        source: TrustError,
    },
    /// It is another one.
    #[error(
        "{path} of {place} is damaged: it has another digest than its name says; `bistable-image fsck --deep --repair` removes it there; then publish its bundle again, or sync again if that is a copy"
    )]
    Damaged {
        /// The repository.
        place: String,
        /// The blob.
        path: String,
    },
    /// A part of it is gone.
    #[error("{place} lacks {path}, which {what} {version} consists of: publish its bundle again")]
    Incomplete {
        /// The repository.
        place: String,
        /// The blob.
        path: String,
        /// What the release is a version of.
        what: String,
        /// The release's version.
        version: String,
    },
}

/// A release in a repository, verified.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What it is.
    pub release: Release,
    /// Its signed bytes.
    pub signed: Vec<u8>,
    /// Its name.
    pub identity: Digest,
}

/// A file of a release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Its digest, by which it is named.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: u64,
}

/// Read a release by the digest of its signed bytes. A root that isn't in force any more may vouch for it.
///
/// # Errors
/// See [`ManifestError`].
pub fn read(store: &Store, roots: &Roots, digest: &Digest) -> Result<Stored, ManifestError> {
    let (place, path) = (store.place().to_owned(), names::blob(digest));
    let Some(signed) = store.get(&path, Envelope::MAX_BYTES)? else {
        return Err(ManifestError::NoRelease { place, path });
    };
    if Digest::of(&signed) != *digest {
        return Err(ManifestError::Damaged { place, path });
    }
    let opened = roots.vouching(Role::Release, &signed).and_then(|root| Release::open(&signed, root));
    match opened {
        Ok(release) => Ok(Stored { release, identity: release::identity(&signed), signed }),
        Err(source) => Err(ManifestError::Untrusted { place, path, source }),
    }
}

/// What the images that a channel offers bring along. Nothing is read if it offers no component.
///
/// # Errors
/// See [`ManifestError`].
pub fn brought(store: &Store, roots: &Roots, channel: &Channel) -> Result<Brought, ManifestError> {
    let mut brought = Brought::new();
    let (components, images): (Vec<&Offer>, Vec<&Offer>) =
        channel.offers.iter().partition(|offer| offer.constraints.component.is_some());
    for image in images.into_iter().filter(|_| !components.is_empty()) {
        let bound = read(store, roots, &image.release)?.release.bound;
        brought.insert(image.identity, bound.iter().map(|bound| bound.identity).collect());
    }
    Ok(brought)
}

/// All blobs that are there, whatever names them, with their bytes.
///
/// # Errors
/// When the store fails.
pub fn blobs(store: &Store) -> Result<BTreeMap<Digest, u64>, StoreError> {
    let all = store.list("blobs")?;
    Ok(all.iter().filter_map(|file| Some((blob_digest(&file.path)?, file.bytes))).collect())
}

/// What is wrong with a blob.
pub(super) struct Wrong {
    /// What.
    pub(super) text: String,
    /// Whether its bytes could be read and are others than its name says: then it is worth nothing.
    pub(super) is_worthless: bool,
}

/// Read a blob to its end. One that isn't there isn't wrong.
pub(super) fn read_through(store: &Store, digest: &Digest) -> Result<Result<(), Wrong>, StoreError> {
    let Some(reader) = store.read(&names::blob(digest))? else { return Ok(Ok(())) };
    let mut hashed = HashingReader::new(reader, *digest, "has another digest than its name says", |_| {});
    let read = io::copy(&mut hashed, &mut io::sink());
    Ok(read.map(|_| ()).map_err(|e| Wrong { text: e.to_string(), is_worthless: hashed.is_wrong() }))
}

impl Stored {
    /// All files that it consists of.
    pub fn parts(&self) -> Vec<Part> {
        let frame = Frame::new(&self.signed, &self.release);
        let mut parts = vec![
            Part { digest: Digest::of(EMPTY.as_bytes()), bytes: EMPTY.len() as u64 },
            Part { digest: Digest::of(frame.manifest.as_bytes()), bytes: frame.manifest.len() as u64 },
            Part { digest: Digest::of(&self.signed), bytes: self.signed.len() as u64 },
        ];
        for (_, artifact) in self.release.content.artifacts() {
            parts.push(Part { digest: artifact.list, bytes: artifact.list_bytes.into() });
            parts.push(Part { digest: artifact.data, bytes: artifact.data_bytes });
        }
        let blobs = self.release.content.blobs().iter();
        let blobs = blobs.copied().chain(self.release.sbom_file());
        parts.extend(blobs.map(|blob| Part { digest: blob.digest, bytes: blob.bytes.into() }));
        parts.sort();
        parts.dedup();
        parts
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.parts().iter().map(|part| part.bytes).sum()
    }

    /// Check whether all of it is there, by name and size.
    ///
    /// # Errors
    /// [`ManifestError::Incomplete`] for the first that isn't.
    pub fn require_whole(&self, store: &Store) -> Result<(), ManifestError> {
        for part in self.parts() {
            let path = names::blob(&part.digest);
            if store.size(&path)? != Some(part.bytes) {
                return Err(ManifestError::Incomplete {
                    place: store.place().into(),
                    path,
                    what: self.release.what(),
                    version: self.release.version.to_string(),
                });
            }
        }
        Ok(())
    }
}
