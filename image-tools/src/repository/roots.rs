//! The repository's roots: the first one, and each that followed, signed by the keys of the one before and its own.
use super::audit::{self, Act, AuditError};
use super::mark::Mark;
use super::store::{Claim, Store, StoreError};
use crate::clock::Clock;
use crate::root::SignedRoot;
use bistable_format::{Digest, Envelope, Role, Root, TrustError, repository as names};

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
    #[error("root {version} can't be one of {place}")]
    Invalid {
        /// The repository.
        place: String,
        /// Which.
        version: u32,
        /// What is wrong.
        source: TrustError,
    },
    /// Another writer gave it another root of that version.
    #[error("{place} has another root {version} already: make the next one from that (roots/{version}.root)")]
    Followed {
        /// The repository.
        place: String,
        /// Which.
        version: u32,
    },
    /// It is there, but the audit doesn't say so.
    #[error("the root was written, but the audit lacks it: run the command again")]
    Audit(#[from] Box<AuditError>),
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

    /// Give the repository its next root, and record it. `false` if it has that one already, perhaps with other signatures.
    ///
    /// # Errors
    /// [`RootsError::Invalid`] if it doesn't follow the newest; [`RootsError::Followed`] if another one does.
    pub fn follow(
        &self,
        store: &Store,
        next: &SignedRoot,
        who: &str,
        clock: &dyn Clock,
    ) -> Result<bool, RootsError> {
        let place = store.place().to_owned();
        let version = next.root.version;
        let about = format!("version {version}");
        let act = Act { who: who.into(), verb: "root".into(), about };
        let record_once = || audit::append_once(store, clock, &act, |_| true).map_err(Box::new);
        if let Some(there) = self.all().find(|there| there.root.version == version) {
            // A process that died between the two is made up for now.
            if there.root != next.root {
                return Err(RootsError::Followed { place, version });
            }
            record_once()?;
            return Ok(false);
        }
        let invalid = |source| RootsError::Invalid { place: place.clone(), version, source };
        self.newest().root.successor(&next.bytes).map_err(invalid)?;
        if self.newest().root.refuse_demo().is_ok() {
            // No device of a product continues from there, nor to any root after it.
            next.root.refuse_demo().map_err(invalid)?;
        }
        match store.claim(&names::root(version), &next.bytes, Envelope::MAX_BYTES)? {
            Claim::Ours => {
                audit::append(store, clock, &act).map_err(Box::new)?;
                Ok(true)
            }
            Claim::Theirs(there) if self.newest().root.successor(&there).as_ref() == Ok(&next.root) => {
                record_once()?;
                Ok(false)
            }
            Claim::Theirs(_) => Err(RootsError::Followed { place, version }),
        }
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &SignedRoot> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// The one in force.
    pub fn newest(&self) -> &SignedRoot {
        self.later.last().unwrap_or(&self.first)
    }

    /// The first one: whose repository it is.
    pub fn first(&self) -> &SignedRoot {
        &self.first
    }

    /// The repository's identity: the digest of its first root's payload.
    pub fn identity(&self) -> Digest {
        self.first.mark().digest
    }

    /// The version and digest of the root in force.
    pub fn newest_mark(&self) -> Mark {
        self.newest().mark()
    }

    /// The version and digest of the root of this version, if there is one.
    pub fn mark(&self, version: u64) -> Option<Mark> {
        self.all().map(SignedRoot::mark).find(|mark| mark.number == version)
    }

    /// Refuse another product's repository.
    ///
    /// # Errors
    /// [`RootsError::Other`], if this root is none of these.
    pub fn require(&self, known: &SignedRoot, store: &Store) -> Result<(), RootsError> {
        if self.all().any(|root| root.root == known.root) {
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
        self.opening(|root| root.verify(role, bytes)).map(|(_, root)| root)
    }

    /// What the newest root makes of something that accepts it, with that root.
    ///
    /// # Errors
    /// What the newest root says, if none accepts it.
    pub(super) fn opening<T>(
        &self,
        open: impl Fn(&Root) -> Result<T, TrustError>,
    ) -> Result<(T, &Root), TrustError> {
        let newest = match open(&self.newest().root) {
            Ok(opened) => return Ok((opened, &self.newest().root)),
            Err(e) => e,
        };
        let older = self.all().rev().skip(1);
        older.map(|root| Ok((open(&root.root)?, &root.root))).find(Result::is_ok).unwrap_or(Err(newest))
    }
}
