//! Whether the repository at a place is the one that it was.
use super::{Known, Mark, Record, TrustStore, TrustStoreError};
use crate::repository::roots::{Roots, RootsError};
use crate::repository::store::{Store, StoreError};
use crate::root::SignedRoot;
use bistable_format::Digest;
use std::path::Path;
use std::sync::Arc;

/// Why a repository isn't signed for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// Its roots can't be read, or the given root isn't one of them.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The memory can't be used.
    #[error(transparent)]
    Memory(#[from] TrustStoreError),
    /// Another repository is at the place.
    #[error(
        "{place} shows another first root ({found:.12}) than the one this computer trusts there ({pinned:.12}): nothing was signed. \
         Somebody replaced the roots, or the repository was made again: restore roots/ from a mirror or a backup; if it was made \
         again on purpose, give its root with --root FILE"
    )]
    Other {
        /// The place.
        place: String,
        /// The repository that was pinned.
        pinned: Digest,
        /// The one that is there.
        found: Digest,
    },
    /// The newest root was removed.
    #[error(
        "{place} shows root {found}, but this computer has seen root {remembered} there: nothing was signed, because a key that \
         root {remembered} revoked may sign again; give the roots back in their order with `bistable-image repo root FILE`, or \
         restore roots/ from a mirror or a backup"
    )]
    Behind {
        /// The place.
        place: String,
        /// The newest version there.
        found: u64,
        /// The newest version that was seen.
        remembered: u64,
    },
    /// A root was replaced by another one that its predecessor's keys signed.
    #[error(
        "root {version} of {place} is another one than this computer has seen there: nothing was signed; find out which of the two \
         the devices follow, and restore it from a mirror or a backup"
    )]
    Replaced {
        /// The place.
        place: String,
        /// The version.
        version: u64,
    },
}

impl From<StoreError> for PinError {
    fn from(e: StoreError) -> Self {
        PinError::Roots(e.into())
    }
}

/// A repository that is the one that it was, or that this computer sees for the first time.
#[derive(Debug)]
pub struct Recognized {
    /// Its roots.
    pub roots: Roots,
    /// What is remembered of it.
    pub known: Known,
    /// Whether it is trusted from now on: at first use, or because a given root replaced what was pinned.
    pub newly_trusted: bool,
}

impl Recognized {
    /// Refuse another root than the one of this version that this computer has seen.
    ///
    /// # Errors
    /// [`PinError::Replaced`].
    pub fn require_remembered(&self, store: &Store, next: &SignedRoot) -> Result<(), PinError> {
        match self.known.root()? {
            Some(seen) if seen.number == next.mark().number && seen != next.mark() => {
                Err(PinError::Replaced { place: store.place().into(), version: seen.number })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a newer root of the memory than the store's is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Older {
    Refuse,
    Accept,
}

/// Read the roots of the repository at a place, and compare them with a root that must be among them, or else with what is
/// remembered of the place. What passes is remembered: a given root instead of what was pinned before.
///
/// # Errors
/// See [`PinError`].
pub fn recognize(
    memory: &Arc<dyn TrustStore>,
    store: &Store,
    wanted: Option<&SignedRoot>,
) -> Result<Recognized, PinError> {
    // Another process may add a root after these were read and before the memory is: then it is found by reading again.
    match compare(memory, store, wanted, Older::Refuse) {
        Err(PinError::Behind { .. }) => compare(memory, store, wanted, Older::Refuse),
        compared => compared,
    }
}

/// The same for the verb that gives a repository its next root, so that it can restore roots that were lost.
///
/// # Errors
/// See [`PinError`]; never [`PinError::Behind`].
pub fn recognize_to_repair(
    memory: &Arc<dyn TrustStore>,
    store: &Store,
    wanted: Option<&SignedRoot>,
) -> Result<Recognized, PinError> {
    compare(memory, store, wanted, Older::Accept)
}

fn compare(
    memory: &Arc<dyn TrustStore>,
    store: &Store,
    wanted: Option<&SignedRoot>,
    older: Older,
) -> Result<Recognized, PinError> {
    let place = canonical_place(store.place());
    let roots = Roots::load(store)?;
    let found = roots.identity();
    let pinned = memory.pinned(&place)?;
    match (wanted, pinned) {
        (Some(wanted), _) => roots.require(wanted, store)?,
        (None, Some(pinned)) if pinned != found => return Err(PinError::Other { place, pinned, found }),
        (None, _) => {}
    }
    let record = memory.record(&found)?;
    if let Some(record) = &record {
        newer_or_same(&place, &record.root, &roots, older)?;
    }
    // First the record, then the pin: a pin without a record is a damaged memory.
    memory.merge(&found, &Record::new(roots.newest_mark()))?;
    if pinned != Some(found) {
        memory.pin(&place, &found)?;
    }
    let newly_trusted = match (wanted, pinned) {
        (None, _) => record.is_none(),
        (Some(_), pinned) => pinned.is_some_and(|pinned| pinned != found),
    };
    Ok(Recognized { known: Known::new(Arc::clone(memory), found), roots, newly_trusted })
}

fn newer_or_same(place: &str, remembered: &Mark, roots: &Roots, older: Older) -> Result<(), PinError> {
    match roots.mark(remembered.number) {
        Some(there) if there == *remembered => Ok(()),
        Some(_) => Err(PinError::Replaced { place: place.into(), version: remembered.number }),
        None if older == Older::Accept => Ok(()),
        None => Err(PinError::Behind {
            place: place.into(),
            found: roots.newest_mark().number,
            remembered: remembered.number,
        }),
    }
}

/// One name for a place that has several: a folder's path without links, a URL without its aliases. A bucket is another one on
/// another server.
pub fn canonical_place(place: &str) -> String {
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    canonical(place, endpoint.iter().find_map(|name| std::env::var(name).ok()))
}

fn canonical(place: &str, endpoint: Option<String>) -> String {
    let folder = |path: &str| {
        Path::new(path).canonicalize().map_or_else(|_| path.to_owned(), |path| path.display().to_string())
    };
    let Some((scheme, rest)) = place.split_once("://") else { return folder(place) };
    let rest = rest.trim_end_matches('/');
    match (scheme, endpoint) {
        ("file", _) => folder(rest),
        ("s3" | "s3a", Some(endpoint)) => format!("s3://{rest} at {}", endpoint.trim_end_matches('/')),
        ("s3a", None) => format!("s3://{rest}"),
        ("gcs", _) => format!("gs://{rest}"),
        ("azure", _) => format!("az://{rest}"),
        _ => format!("{scheme}://{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_has_one_name_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("repository");
        let link = folder.path().join("link");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let name = real.to_str().unwrap();
        for same in [
            name.to_owned(),
            format!("file://{name}/"),
            format!("{name}/../link/."),
            link.display().to_string(),
        ] {
            assert_eq!(canonical(&same, None), name, "{same}");
        }
        for (one, other) in [("s3a://b/p/", "s3://b/p"), ("gcs://b", "gs://b"), ("azure://b/p", "az://b/p")] {
            assert_eq!(canonical(one, None), canonical(other, None));
        }
        let at = |server: &str| canonical("s3://b/p", Some(server.into()));
        assert_eq!(at("https://one.example/"), at("https://one.example"));
        assert!(
            at("https://one.example") != at("https://two.example") && at("x") != canonical("s3://b/p", None)
        );
    }
}
