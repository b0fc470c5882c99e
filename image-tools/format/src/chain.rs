//! The chain of roots that a device has followed, as it is stored: each signed by the keys of the one before.
//!
//! ```text
//! 0     4    6      8        12                12+n
//! │BRTS │ver │count │bytes n │ signed roots … │ SHA-256 of all before │
//! ```
//! `ver` and `count` are little-endian `u16`, `n` is a little-endian `u32`. The roots are envelopes, oldest first. The digest
//! finds damage and torn writes; whether a root is trusted, only its signatures say.
//!
//! The system volume of a release carries a root, too. It was verified with the release, so the chain must lead on from it: it
//! has that root's payload, or roots that follow it one by one. Roots *before* the system's prove nothing: nothing covers the
//! signatures of an envelope, so whoever writes the chain can put a root of their own in front of a real one and sign that one,
//! too.
//!
//! A chain has at most [`MAX_ROOTS`](RootChain::MAX_ROOTS). When it is full, the oldest root but the first goes, as long as it
//! lies before the running system's: the first one names the repository, and the ones from the system's on are the proof.
//! If only those are left, no newer root can be followed until a release with a newer root in its system is installed. That takes
//! more than thirty rotations without such an update.
use crate::{Digest, Envelope, Role, Root, TrustError, root::SignedRoot};
use alloc::vec::Vec;

const MAGIC: [u8; 4] = *b"BRTS";
const FORMAT: u16 = 1;
const HEAD: usize = 12;
const DIGEST: usize = 32;

/// Why bytes aren't a chain of roots, or why a root can't be added to one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// They don't start as one does: never written, or something else lies there.
    #[error("not a chain of roots")]
    Magic,
    /// Written by another version of this program.
    #[error("root chain format {0} is not known to this version")]
    Format(u16),
    /// Longer than a chain may be, or than the bytes there are.
    #[error("the chain of roots is truncated or larger than allowed")]
    Length,
    /// Damaged, or torn by a power cut.
    #[error("digest does not match")]
    Digest,
    /// The digest is right and the content still isn't one root after the other.
    #[error("the chain of roots does not decode")]
    Content,
    /// One of its roots isn't trusted.
    #[error("root version {version}: {problem}")]
    Untrusted {
        /// The root.
        version: u32,
        /// What is wrong with it.
        problem: TrustError,
    },
    /// No root can go without breaking the proof.
    #[error(
        "the chain of roots is full: no newer root can be followed before a release with a newer root in its system is \
         installed"
    )]
    Full,
}

/// Why a chain doesn't lead on from a system's root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stray {
    /// It ends before it: the system is newer than what is stored, so the system's root counts.
    #[error("it ends with version {newest}, before version {from} of the running system")]
    Behind {
        /// The newest stored root.
        newest: u32,
        /// The system's.
        from: u32,
    },
    /// It has another root of that version.
    #[error("its version {0} is another root than that of the running system")]
    Other(u32),
    /// Versions between the system's root and the next stored one are missing.
    #[error("no stored root follows version {from} of the running system: the next one is version {next}")]
    Gap {
        /// The system's, or the last one that follows it.
        from: u32,
        /// The next stored one.
        next: u32,
    },
    /// A root isn't signed by the keys of the one before.
    #[error("its version {version} does not follow the one before: {problem}")]
    Unlinked {
        /// The root.
        version: u32,
        /// What is wrong.
        problem: TrustError,
    },
}

/// Roots, oldest first: at least one. Decoded, and *not* verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootChain(Vec<SignedRoot>);

impl RootChain {
    /// Most roots in a chain.
    pub const MAX_ROOTS: usize = 32;
    /// Most bytes of a stored chain.
    pub const MAX_BYTES: usize = 1 << 20;

    /// A chain of one root.
    pub fn of(root: SignedRoot) -> RootChain {
        RootChain(alloc::vec![root])
    }

    /// The newest root. Not verified.
    pub fn newest(&self) -> &SignedRoot {
        #[expect(
            clippy::expect_used,
            reason = "a chain has at least one root, and none is ever taken away but by another"
        )]
        self.0.last().expect("a chain of roots is never empty")
    }

    /// All roots, oldest first. Not verified.
    pub fn roots(&self) -> &[SignedRoot] {
        &self.0
    }

    /// Open the newest root, signed by its own keys: all that can be said without a system's root.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open_newest(&self) -> Result<&Root, ChainError> {
        let newest = self.newest();
        let untrusted = |problem| ChainError::Untrusted { version: newest.root().version, problem };
        Root::open(newest.bytes()).map_err(untrusted)?;
        Ok(newest.root())
    }

    /// The newest root, if it descends from `from`: it has the same version and payload, or each stored root from there on
    /// is signed by the keys of the one before and its own.
    ///
    /// # Errors
    /// See [`Stray`].
    pub fn descend(&self, from: &SignedRoot) -> Result<&Root, Stray> {
        let (start, newest) = (from.root().version, self.newest().root().version);
        if newest < start {
            return Err(Stray::Behind { newest, from: start });
        }
        let mut last = from.root();
        for next in self.0.iter().skip_while(|root| root.root().version < start) {
            let version = next.root().version;
            if version == start {
                if next.payload() != from.payload() {
                    return Err(Stray::Other(version));
                }
                continue;
            }
            if Some(version) != last.version.checked_add(1) {
                return Err(Stray::Gap { from: last.version, next: version });
            }
            last.successor(next.bytes()).map_err(|problem| Stray::Unlinked { version, problem })?;
            last = next.root();
        }
        // The newest is at least the system's version, so the loop ended with it.
        Ok(self.newest().root())
    }

    /// Add the root that follows the newest. `proof` is the version of the running system's root, if it has one: what lies
    /// between the first root and that one may go when the chain is full.
    ///
    /// # Errors
    /// [`ChainError::Untrusted`] if it doesn't follow; [`ChainError::Full`].
    pub fn push(&mut self, next: &[u8], proof: Option<u32>) -> Result<(), ChainError> {
        let newest = self.newest().root();
        let untrusted =
            |problem| ChainError::Untrusted { version: newest.version.saturating_add(1), problem };
        newest.successor(next).map_err(untrusted)?;
        let next = SignedRoot::decode(next).map_err(untrusted)?;
        let proof = proof.unwrap_or(next.root().version);
        let mut roots = self.0.clone();
        roots.push(next);
        while roots.len() > Self::MAX_ROOTS || stored_bytes(&roots) > Self::MAX_BYTES {
            match roots.get(1) {
                Some(second) if second.root().version < proof && roots.len() > 2 => drop(roots.remove(1)),
                _ => return Err(ChainError::Full),
            }
        }
        self.0 = roots;
        Ok(())
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let bytes: usize = self.0.iter().map(|root| root.bytes().len()).sum();
        let mut stored = Vec::with_capacity(HEAD + bytes + DIGEST);
        stored.extend_from_slice(&MAGIC);
        stored.extend_from_slice(&FORMAT.to_le_bytes());
        // Both are limited where roots are added.
        stored.extend_from_slice(&u16::try_from(self.0.len()).unwrap_or(u16::MAX).to_le_bytes());
        stored.extend_from_slice(&u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes());
        self.0.iter().for_each(|root| stored.extend_from_slice(root.bytes()));
        let digest = Digest::of(&stored);
        stored.extend_from_slice(&digest.0);
        stored
    }

    /// Bytes of the chain that storage begins with. Only the length is found; nothing else is checked.
    ///
    /// # Errors
    /// Whatever is wrong with its head.
    pub fn stored_len(stored: &[u8]) -> Result<usize, ChainError> {
        let (head, _) = stored.split_first_chunk::<HEAD>().ok_or(ChainError::Magic)?;
        let &[m0, m1, m2, m3, f0, f1, _, _, l0, l1, l2, l3] = head;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(ChainError::Magic);
        }
        let format = u16::from_le_bytes([f0, f1]);
        if format != FORMAT {
            return Err(ChainError::Format(format));
        }
        let bytes = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        match bytes.checked_add(HEAD + DIGEST) {
            Some(whole) if whole <= Self::MAX_BYTES => Ok(whole),
            _ => Err(ChainError::Length),
        }
    }

    /// Read the stored form: total, any bytes give a chain or an error. What follows the chain is ignored.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn decode(stored: &[u8]) -> Result<RootChain, ChainError> {
        let whole = stored.get(..Self::stored_len(stored)?).ok_or(ChainError::Length)?;
        let (body, digest) = whole.split_last_chunk::<DIGEST>().ok_or(ChainError::Length)?;
        if Digest::of(body).0 != *digest {
            return Err(ChainError::Digest);
        }
        let count = usize::from(u16::from_le_bytes([whole[6], whole[7]]));
        if count > Self::MAX_ROOTS {
            return Err(ChainError::Length);
        }
        let mut rest = body.get(HEAD..).unwrap_or_default();
        let mut roots: Vec<SignedRoot> = Vec::with_capacity(count);
        while !rest.is_empty() {
            let len = Envelope::stored_len(rest, Role::Root).map_err(|_| ChainError::Content)?;
            let (root, after) = rest.split_at_checked(len).ok_or(ChainError::Content)?;
            let root = SignedRoot::decode(root).map_err(|_| ChainError::Content)?;
            if roots.last().is_some_and(|before| before.root().version >= root.root().version)
                || roots.len() >= count
            {
                return Err(ChainError::Content);
            }
            roots.push(root);
            rest = after;
        }
        if roots.len() != count || roots.is_empty() {
            return Err(ChainError::Content);
        }
        Ok(RootChain(roots))
    }
}

fn stored_bytes(roots: &[SignedRoot]) -> usize {
    HEAD + DIGEST + roots.iter().map(|root| root.bytes().len()).sum::<usize>()
}
