//! The deltas of a repository: files at `deltas/<target>/<base>.delta`, signed with the keys of releases and created once. A device
//! that runs one release and is offered another asks for the one path that both name.
use super::contents::Part;
use super::roots::Roots;
use super::store::{Store, StoreError};
use bistable_format::{Delta, Digest, Envelope, Role, TrustError, repository as names};

/// The folder of all.
pub(super) const FOLDER: &str = "deltas";

/// Why a file isn't a delta that can be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaFileError {
    /// It has another name than a delta can have, or more bytes.
    #[error("is not called as a delta can be, or is too large for one")]
    Foreign,
    /// No root vouches for it, or it doesn't decode.
    #[error("is not a delta signed with the keys of releases: {0}")]
    Untrusted(TrustError),
    /// It is between other releases.
    #[error("makes another release, or takes another one, than its name says")]
    Misplaced,
}

/// A delta in a repository, verified.
#[derive(Clone, Debug)]
pub struct StoredDelta {
    /// Its file.
    pub path: String,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// What it says.
    pub delta: Delta,
}

impl StoredDelta {
    /// The blobs that it names.
    pub fn parts(&self) -> Vec<Part> {
        parts(&self.delta)
    }

    /// Bytes that a device fetches with it.
    pub fn bytes(&self) -> u64 {
        self.parts().iter().map(|part| part.bytes).sum()
    }
}

/// The blobs that a delta names.
pub fn parts(delta: &Delta) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for a in &delta.artifacts {
        parts.push(Part { digest: a.list, bytes: a.list_bytes.into() });
        parts.push(Part { digest: a.data, bytes: a.data_bytes });
    }
    parts.sort();
    parts.dedup();
    parts
}

/// Target and base in the path of a delta.
pub fn releases(path: &str) -> Option<(Digest, Digest)> {
    let (target, file) = path.strip_prefix(FOLDER)?.strip_prefix('/')?.split_once('/')?;
    Some((Digest::parse(target)?, Digest::parse(file.strip_suffix(".delta")?)?))
}

/// Open a delta's file. A root that isn't in force any more may vouch for it.
///
/// # Errors
/// See [`DeltaFileError`].
pub fn open(path: &str, bytes: &[u8], roots: &Roots) -> Result<Delta, DeltaFileError> {
    let (target, base) = releases(path).ok_or(DeltaFileError::Foreign)?;
    let opened = roots.vouching(Role::Delta, bytes).and_then(|root| Delta::open(bytes, root));
    let delta = opened.map_err(DeltaFileError::Untrusted)?;
    if (delta.target, delta.base) == (target, base) { Ok(delta) } else { Err(DeltaFileError::Misplaced) }
}

/// One delta's file; none if it isn't there.
///
/// # Errors
/// When the store fails.
pub fn read(
    store: &Store,
    roots: &Roots,
    path: &str,
) -> Result<Option<Result<StoredDelta, DeltaFileError>>, StoreError> {
    let bytes = match store.get(path, Envelope::MAX_BYTES) {
        Err(StoreError::TooLarge { .. }) => return Ok(Some(Err(DeltaFileError::Foreign))),
        bytes => bytes?,
    };
    Ok(bytes.map(|bytes| {
        let delta = open(path, &bytes, roots)?;
        Ok(StoredDelta { path: path.into(), digest: Digest::of(&bytes), delta })
    }))
}

/// All deltas that can be believed, and what is wrong with the other files of the folder.
#[derive(Clone, Debug, Default)]
pub struct Deltas {
    /// Those that can be believed.
    pub good: Vec<StoredDelta>,
    /// Each other file, with what is wrong with it.
    pub bad: Vec<(String, DeltaFileError)>,
}

/// All files of the folder.
///
/// # Errors
/// When the store fails.
pub fn all(store: &Store, roots: &Roots) -> Result<Deltas, StoreError> {
    in_folder(store, roots, FOLDER)
}

/// All files of a release's folder.
///
/// # Errors
/// When the store fails.
pub fn of(store: &Store, roots: &Roots, target: &Digest) -> Result<Deltas, StoreError> {
    in_folder(store, roots, &names::deltas(target))
}

fn in_folder(store: &Store, roots: &Roots, folder: &str) -> Result<Deltas, StoreError> {
    let mut deltas = Deltas::default();
    for file in store.list(folder)? {
        match read(store, roots, &file.path)? {
            Some(Ok(delta)) => deltas.good.push(delta),
            Some(Err(e)) => deltas.bad.push((file.path, e)),
            // It went meanwhile.
            None => {}
        }
    }
    Ok(deltas)
}
