//! The repository's roots: the first one, and each that followed, signed by the keys of the one before and its own.
use super::store::{Claim, Store, StoreError};
use crate::root::SignedRoot;
use bistable_format::{Envelope, Role, Root, TrustError, repository as names};

/// Why the roots can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none.
    #[error("{place} has no root: `bistable-image repo init --root FILE` gives it one")]
    None {
        /// The repository.
        place: String,
    },
    /// One is damaged, or doesn't follow the one before.
    #[error("root {version} of {place} is not valid: restore roots/{version}.root from a copy")]
    Invalid {
        /// The repository.
        place: String,
        /// Which.
        version: u32,
        /// What is wrong.
        source: TrustError,
    },
    /// It has another first root than the one given.
    #[error("{place} belongs to another product: its first root is not the one that was given")]
    Other {
        /// The repository.
        place: String,
    },
}

/// A repository's roots, oldest first; at least one.
#[derive(Clone, Debug)]
pub struct Roots {
    first: SignedRoot,
    later: Vec<SignedRoot>,
}

impl Roots {
    /// Read and verify all of them.
    ///
    /// # Errors
    /// See [`RootsError`].
    pub fn load(store: &Store) -> Result<Roots, RootsError> {
        let place = || store.place().to_owned();
        let get = |version| store.get(&names::root(version), Envelope::MAX_BYTES);
        let bytes = get(1)?.ok_or_else(|| RootsError::None { place: place() })?;
        let invalid = |version, source| RootsError::Invalid { place: place(), version, source };
        let root = Root::open(&bytes).map_err(|e| invalid(1, e))?;
        if root.version != 1 {
            return Err(invalid(1, TrustError::Successor { current: 0, found: root.version }));
        }
        let mut roots = Roots { first: SignedRoot { bytes, root }, later: Vec::new() };
        loop {
            let newest = &roots.newest().root;
            let Some(version) = newest.version.checked_add(1) else { return Ok(roots) };
            let Some(bytes) = get(version)? else { return Ok(roots) };
            let root = newest.successor(&bytes).map_err(|e| invalid(version, e))?;
            roots.later.push(SignedRoot { bytes, root });
        }
    }

    /// Write the first root of a repository. Again is fine, if it is the same.
    ///
    /// # Errors
    /// [`RootsError::Other`] if there is another one.
    pub(super) fn begin(store: &Store, first: &SignedRoot) -> Result<bool, RootsError> {
        let place = store.place().to_owned();
        if first.root.version != 1 {
            let source = TrustError::Successor { current: 0, found: first.root.version };
            return Err(RootsError::Invalid { place, version: 1, source });
        }
        let path = names::root(1);
        if let Some(there) = store.get(&path, Envelope::MAX_BYTES)? {
            return if there == first.bytes { Ok(false) } else { Err(RootsError::Other { place }) };
        }
        match store.claim(&path, &first.bytes, Envelope::MAX_BYTES)? {
            Claim::Ours => Ok(true),
            Claim::Theirs(_) => Err(RootsError::Other { place }),
        }
    }

    /// Give the repository its next root. `false` if it has that one already.
    ///
    /// # Errors
    /// [`RootsError::Invalid`] if it doesn't follow the newest; [`RootsError::Other`] if another one does.
    pub fn follow(&self, store: &Store, next: &SignedRoot) -> Result<bool, RootsError> {
        let place = store.place().to_owned();
        if std::iter::once(&self.first).chain(&self.later).any(|root| root.bytes == next.bytes) {
            return Ok(false);
        }
        let version = next.root.version;
        self.newest().root.successor(&next.bytes).map_err(|source| RootsError::Invalid {
            place: place.clone(),
            version,
            source,
        })?;
        match store.claim(&names::root(version), &next.bytes, Envelope::MAX_BYTES)? {
            Claim::Ours => Ok(true),
            Claim::Theirs(_) => Err(RootsError::Other { place }),
        }
    }

    /// The one in force.
    pub fn newest(&self) -> &SignedRoot {
        self.later.last().unwrap_or(&self.first)
    }

    /// The first one: whose repository it is.
    pub fn first(&self) -> &SignedRoot {
        &self.first
    }

    /// Refuse another product's repository.
    ///
    /// # Errors
    /// [`RootsError::Other`], if this root is none of these.
    pub fn require(&self, known: &SignedRoot, store: &Store) -> Result<(), RootsError> {
        if std::iter::once(&self.first).chain(&self.later).any(|root| root.bytes == known.bytes) {
            return Ok(());
        }
        Err(RootsError::Other { place: store.place().into() })
    }

    /// The newest root whose keys signed these bytes. What only an older one vouches for was right once: its keys may have
    /// been taken back since.
    ///
    /// # Errors
    /// What the newest root says, if none vouches for it.
    pub fn vouching(&self, role: Role, bytes: &[u8]) -> Result<&Root, TrustError> {
        let mut newest = None;
        for root in self.later.iter().rev().chain([&self.first]) {
            match root.root.verify(role, bytes) {
                Ok(_) => return Ok(&root.root),
                Err(e) => newest = newest.or(Some(e)),
            }
        }
        Err(newest.unwrap_or(TrustError::Unsigned(role)))
    }
}
