//! A bundle held against a root: every byte of it.
use crate::archive::{ArchiveCheck, NotUnpacked};
use crate::bundle::{BundleError, Reader};
use crate::clock::Stopwatch;
use crate::parallel::Threads;
use crate::progress::Progress;
use crate::root;
use bistable_format::{Digest, Key, Release, Role, Root, release};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a bundle isn't verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It can't be opened.
    #[error("can't open {path}", path = path.display())]
    Open {
        /// The bundle.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds an archive that devices refuse.
    #[error("{path} holds an archive that devices refuse to unpack; build it again with `bistable-image build --component`", path = path.display())]
    Archive {
        /// The bundle.
        path: PathBuf,
        /// What is wrong.
        source: NotUnpacked,
    },
    /// It is wrong.
    #[error("{path} fails verification", path = path.display())]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// What is wrong, and where.
        source: BundleError,
    },
}

/// A bundle of which every byte was checked.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it is.
    pub release: Release,
    /// Its identity: see [`bistable_format::release::identity`].
    pub digest: Digest,
    /// Who signed it.
    pub signers: Vec<Key>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Time that it took.
    pub time: Duration,
}

/// Verify a bundle: signature, frame, chunk lists, every chunk, every digest, padding and end. Memory is bounded by
/// two chunks per thread.
///
/// # Errors
/// See [`VerifyError`]: what is wrong, and where.
pub fn verify(
    path: &Path,
    root: &Root,
    threads: Threads,
    progress: &dyn Progress,
) -> Result<Verified, VerifyError> {
    let watch = Stopwatch::start();
    let reader = open(path, root)?;
    let release = reader.release().clone();
    let digest = release::identity(reader.signed_release());
    let signers = root::signers(root, Role::Release, reader.signed_release()).into_iter().cloned().collect();
    let bytes = reader.bundle_bytes();
    content(reader, path, threads, progress)?;
    Ok(Verified { release, digest, signers, bytes, time: watch.elapsed() })
}

/// Read the data of an opened bundle to its end, and check that a device would unpack the archive of a component.
///
/// # Errors
/// See [`VerifyError`].
pub fn content(
    reader: Reader<File>,
    path: &Path,
    threads: Threads,
    progress: &dyn Progress,
) -> Result<(), VerifyError> {
    let mut archive = ArchiveCheck::of(reader.release());
    let read = reader.volumes(threads, progress, &mut |id, _, bytes| archive.take(id, bytes));
    match read {
        Err(BundleError::Sink { .. }) | Ok(()) => {
            archive.finish().map_err(|source| VerifyError::Archive { path: path.into(), source })
        }
        Err(source) => Err(VerifyError::Bundle { path: path.into(), source }),
    }
}

/// Open a bundle's file and verify it up to its data.
///
/// # Errors
/// See [`VerifyError`].
pub fn open(path: &Path, root: &Root) -> Result<Reader<File>, VerifyError> {
    let file = File::open(path).map_err(|source| VerifyError::Open { path: path.into(), source })?;
    Reader::open(file, root).map_err(|source| VerifyError::Bundle { path: path.into(), source })
}
