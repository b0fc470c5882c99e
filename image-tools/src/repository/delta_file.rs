//! The deltas of a repository: files at `deltas/<target>/<base>.delta`, signed with the keys of releases and created once. A device
//! that runs one release and is offered another asks for the one path that both name.
use super::manifest::Part;
use super::roots::Roots;
use super::store::{Store, StoreError};
use bistable_format::{Delta, Digest, Envelope, Role, TrustError, repository as names};

/// The folder of all.
pub(super) const FOLDER: &str = "deltas";

/// Why a file isn't a delta that can be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaFileError {
    /// It has a name that no delta can have.
    #[error("does not have the name of a delta")]
    Foreign,
    /// It has more bytes than a delta.
    #[error("is too large for a delta")]
    TooLarge,
    /// No root vouches for it, or it doesn't decode.
    #[error("is not a delta signed with the keys of releases: {0}")]
    Untrusted(TrustError),
    /// Only an older root vouches for it, and devices know the newest one.
    #[error("is signed with keys that only root {root} names for releases; they were retired since")]
    Retired {
        /// The newest root that vouches for it.
        root: u32,
    },
    /// It is between other releases.
    #[error("makes another release, or takes another one, than its name says")]
    Misplaced,
}

impl DeltaFileError {
    /// Whether the file only blocks its name: no device will ever take it. One that a later version made may be good, and
    /// one with another name blocks nothing.
    pub fn is_worthless(&self) -> bool {
        match self {
            DeltaFileError::Foreign => false,
            DeltaFileError::Untrusted(e) => !e.needs_update(),
            DeltaFileError::TooLarge | DeltaFileError::Retired { .. } | DeltaFileError::Misplaced => true,
        }
    }
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

    /// The first of its blobs that is missing or has another size. What it has is not read.
    ///
    /// # Errors
    /// When the store fails.
    pub fn lacks(&self, store: &Store) -> Result<Option<String>, StoreError> {
        for part in self.parts() {
            let path = names::blob(&part.digest);
            if store.size(&path)? != Some(part.bytes) {
                return Ok(Some(path));
            }
        }
        Ok(None)
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

/// Open a delta's file. Gives the version of the newest root that vouches for it, too.
fn open(path: &str, bytes: &[u8], roots: &Roots) -> Result<(StoredDelta, u32), DeltaFileError> {
    let (target, base) = releases(path).ok_or(DeltaFileError::Foreign)?;
    let opened = roots.vouching(Role::Delta, bytes);
    let opened = opened.and_then(|root| Ok((Delta::open(bytes, root)?, root.version)));
    let (delta, version) = opened.map_err(DeltaFileError::Untrusted)?;
    if (delta.target, delta.base) != (target, base) {
        return Err(DeltaFileError::Misplaced);
    }
    Ok((StoredDelta { path: path.into(), digest: Digest::of(bytes), delta }, version))
}

/// What lies at a delta's place, as devices see it, who know the newest root; none if nothing does.
///
/// # Errors
/// When the store fails.
pub fn read(
    store: &Store,
    roots: &Roots,
    path: &str,
) -> Result<Option<Result<StoredDelta, DeltaFileError>>, StoreError> {
    let found = read_any(store, roots, path)?;
    Ok(found.map(|found| match found? {
        (delta, root) if root == roots.newest().root.version => Ok(delta),
        (_, root) => Err(DeltaFileError::Retired { root }),
    }))
}

type AnyRoot = Result<(StoredDelta, u32), DeltaFileError>;

fn read_any(store: &Store, roots: &Roots, path: &str) -> Result<Option<AnyRoot>, StoreError> {
    let bytes = match store.get(path, Envelope::MAX_BYTES) {
        Err(StoreError::TooLarge { .. }) => {
            let why = releases(path).map_or(DeltaFileError::Foreign, |_| DeltaFileError::TooLarge);
            return Ok(Some(Err(why)));
        }
        bytes => bytes?,
    };
    Ok(bytes.map(|bytes| open(path, &bytes, roots)))
}

/// The deltas that devices take, and what is wrong with the other files of the folder.
#[derive(Clone, Debug, Default)]
pub struct Deltas {
    /// Those that devices take.
    pub good: Vec<StoredDelta>,
    /// Those signed with keys that were retired since, each with the newest root that vouches for it.
    pub retired: Vec<(StoredDelta, u32)>,
    /// Each other file, with what is wrong with it.
    pub bad: Vec<(String, DeltaFileError)>,
}

impl Deltas {
    /// All that were ever published: each has blobs of its own.
    pub fn into_known(self) -> impl Iterator<Item = StoredDelta> {
        self.good.into_iter().chain(self.retired.into_iter().map(|(delta, _)| delta))
    }
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
        match read_any(store, roots, &file.path)? {
            Some(Ok((delta, root))) if root == roots.newest().root.version => deltas.good.push(delta),
            Some(Ok(retired)) => deltas.retired.push(retired),
            Some(Err(e)) => deltas.bad.push((file.path, e)),
            // It went meanwhile.
            None => {}
        }
    }
    Ok(deltas)
}
