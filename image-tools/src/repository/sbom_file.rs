//! The SBOM of a release in a repository.
use super::manifest::Stored;
use super::store::{Store, StoreError};
use crate::sbom::{Sbom, SbomError};
use bistable_format::{Digest, limits, repository as names};

/// Why the SBOM of a release can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SbomFileError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file is gone.
    #[error(
        "{place} lacks {path}, the SBOM of {release}: publish its bundle again, or sync again if that is a copy"
    )]
    Missing {
        /// The repository.
        place: String,
        /// The blob.
        path: String,
        /// What it is of.
        release: String,
    },
    /// It is another one.
    #[error(
        "{path} of {place}, the SBOM of {release}, is damaged: `bistable-image fsck --deep --repair` removes it there; then publish the \
         bundle again, or sync again if that is a copy"
    )]
    Damaged {
        /// The repository.
        place: String,
        /// The blob.
        path: String,
        /// What it is of.
        release: String,
    },
    /// It isn't an SBOM, whoever signed it.
    #[error("the SBOM of {release} can't be read")]
    Invalid {
        /// What it is of.
        release: String,
        /// Why.
        source: SbomError,
    },
}

/// Read it; none if the release has none here.
///
/// # Errors
/// See [`SbomFileError`].
pub fn read(store: &Store, stored: &Stored) -> Result<Option<Sbom>, SbomFileError> {
    let Some(file) = stored.release.sbom_file() else { return Ok(None) };
    let (place, path) = (store.place().to_owned(), names::blob(&file.digest));
    let release = stored.release.named();
    let bytes = match store.get(&path, limits::SBOM as usize) {
        Err(StoreError::TooLarge { .. }) => return Err(SbomFileError::Damaged { place, path, release }),
        bytes => bytes?,
    };
    match bytes {
        None => Err(SbomFileError::Missing { place, path, release }),
        Some(bytes) if Digest::of(&bytes) != file.digest => {
            Err(SbomFileError::Damaged { place, path, release })
        }
        Some(bytes) => {
            Sbom::decode(&bytes).map(Some).map_err(|source| SbomFileError::Invalid { release, source })
        }
    }
}
