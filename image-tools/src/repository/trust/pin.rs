//! Whether the repository at a place is the one that it was.
use super::Known;
use crate::repository::mark::Mark;
use crate::repository::memory::{Record, TrustStore, TrustStoreError};
use crate::repository::roots::{Roots, RootsError};
use crate::repository::store::{Store, StoreError};
use crate::root::SignedRoot;
use bistable_format::Digest;
use std::path::{Path, PathBuf};
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
         The roots were replaced, or the repository was made again: restore roots/ from a mirror or a backup; if it was made \
         again on purpose, give its first root with --root FILE"
    )]
    Other {
        /// The place.
        place: String,
        /// The repository that was pinned.
        pinned: Digest,
        /// The one that is there.
        found: Digest,
    },
    /// A later root was given for a place that this computer does not know yet.
    #[error(
        "root {version} can't show whose repository {place} is, because anyone can write a first root that it follows: give the \
         product's first root (version 1) with --root FILE or BISTABLE_ROOT"
    )]
    NotFirst {
        /// The place.
        place: String,
        /// The version of the given root.
        version: u32,
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
    /// Since when this computer trusts it.
    pub trusted: Trusted,
}

/// Since when this computer trusts a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// It was remembered.
    Before,
    /// Nothing was remembered of it until now.
    FromNowOn,
    /// A given first root replaced the repository that was pinned to the place.
    InsteadOf(Digest),
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
    let places = place_names(store.place());
    let roots = Roots::load(store)?;
    let found = roots.identity();
    if let Some(wanted) = wanted {
        roots.require(wanted, store)?;
    }
    // A later root is no evidence: whoever can write to the store can give it another predecessor.
    let first_given = wanted.is_some_and(|wanted| wanted.root.version == 1);
    let mut pins = Vec::new();
    for place in &places {
        match memory.pinned(place) {
            // The given first root says what the lost record said.
            Err(TrustStoreError::NoRecord { .. }) if first_given => pins.push(None),
            pinned => pins.push(pinned?),
        }
    }
    let other =
        places.iter().zip(&pins).find_map(|(place, pin)| Some((place, pin.filter(|pin| *pin != found)?)));
    match (other, wanted) {
        (Some((place, pinned)), _) if !first_given => {
            return Err(PinError::Other { place: place.clone(), pinned, found });
        }
        (None, Some(wanted)) if !first_given && pins.iter().all(Option::is_none) => {
            return Err(PinError::NotFirst { place: store.place().into(), version: wanted.root.version });
        }
        _ => {}
    }
    let record = memory.record(&found)?;
    if let Some(record) = &record {
        newer_or_same(store.place(), &record.root, &roots, older)?;
    }
    // First the record, then the pins: a pin without a record is a damaged memory.
    memory.merge(&found, &Record::new(roots.newest_mark()))?;
    for (place, pin) in places.iter().zip(&pins) {
        if *pin != Some(found) {
            memory.pin(place, &found)?;
        }
    }
    let trusted = match (other, record) {
        (Some((_, pinned)), _) => Trusted::InsteadOf(pinned),
        (None, None) => Trusted::FromNowOn,
        (None, Some(_)) => Trusted::Before,
    };
    Ok(Recognized { known: Known::new(Arc::clone(memory), found), roots, trusted })
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

/// The names under which a place is pinned: without links, and, for a folder, as it was given. Whoever can write to the folder above
/// can move the repository and leave a link to it, which changes the first of the two only.
fn place_names(place: &str) -> Vec<String> {
    let mut names = vec![canonical_place(place)];
    let folder = match place.split_once("://") {
        None => place,
        Some(("file", folder)) => folder,
        Some(_) => return names,
    };
    if let Ok(given) = std::path::absolute(folder) {
        // Without a slash at its end.
        let given = given.components().collect::<PathBuf>().display().to_string();
        if !names.contains(&given) {
            names.push(given);
        }
    }
    names
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
