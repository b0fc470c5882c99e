//! What this computer remembers of the repositories that it signs for, outside of their stores.
//!
//! Whoever can write to a store can replace its roots, and can delete a channel's newest files so that the next one is signed under
//! a number that devices have already seen. Neither needs a key. So every verb that signs first compares the store with this memory.
//!
//! ```text
//! places/<SHA-256 of the place>.json          which repository is at a place: pinned at first use, under its path as given, too
//! repositories/<identity>/record.json         its newest root; each channel's newest number; digests of both payloads
//! repositories/<identity>/<channel>.pending   a signed file that the store may or may not have
//! ```
//! A repository's identity is the digest of its first root's payload, so a mirror and a moved repository are compared, too. What is
//! remembered only rises (I9).
//!
//! A commit of number n, in this order, each step durable before the next, all under a lock of the channel:
//!
//! | step | after a crash here |
//! |---|---|
//! | save the signed file as pending | the store may lack it: the same bytes are created again, and never others of that number |
//! | create it in the store | the store has it: it is recorded |
//! | record its number and digest | the pending file is older than the record: it is removed |
//! | remove the pending file | |
//!
//! If another computer created number n first, its file counts and the pending one is dropped: it was never in the store. Whoever
//! compares reads the memory before the store: what is recorded was in the store before, so a store that changes meanwhile can only
//! be ahead of it.
//!
//! | file | noun |
//! |---|---|
//! | [`Record`] | what is remembered of one repository, and how a store compares with it: pure |
//! | [`recognize`] | whether the repository at a place is the one that it was |
//! | [`Known`] | a channel held against the memory |
//! | `pending` | a signed file that the store may lack: the next change of its channel finishes it |
//! | [`StateFolder`], [`Remembered`], [`Forgetful`] | where it is kept: files, or for tests in memory or nowhere |
//! | `contract` | what each of them must do: tests that run on each |
mod channels;
#[cfg(test)]
mod contract;
mod folder;
mod pending;
mod pin;
mod record;
mod twin;

pub use channels::Known;
pub(super) use channels::lost;
pub use folder::{StateFolder, TrustStoreError};
pub use pending::Lacking;
pub use pin::{PinError, Recognized, Trusted, canonical_place, recognize, recognize_to_repair};
pub(super) use record::payload_digest;
pub use record::{Mark, Record, Standing};
pub use twin::{Forgetful, Remembered};

use bistable_format::Digest;
use std::fmt;

/// What became of a try to lock a channel.
#[derive(Debug)]
pub enum Lock<'a> {
    /// It is ours.
    Held(Box<dyn Held + 'a>),
    /// Another process has it. The lock's name, for messages.
    Busy(String),
}

/// A lock that is held until it is dropped.
pub trait Held: fmt::Debug {}

/// Where the memory is. Safe for any number of processes or threads at once. The tests in `contract` run on each implementation.
pub trait TrustStore: fmt::Debug + Send + Sync {
    /// The repository that was pinned to a place.
    ///
    /// # Errors
    /// A memory that can't be read is never an empty one.
    fn pinned(&self, place: &str) -> Result<Option<Digest>, TrustStoreError>;

    /// Pin a repository to a place, instead of another one. Durable when it returns.
    ///
    /// # Errors
    /// Whatever keeps it from being saved.
    fn pin(&self, place: &str, repository: &Digest) -> Result<(), TrustStoreError>;

    /// What is remembered of a repository.
    ///
    /// # Errors
    /// As for [`pinned`](Self::pinned).
    fn record(&self, repository: &Digest) -> Result<Option<Record>, TrustStoreError>;

    /// Remember what was seen where it is newer than what is remembered. Durable when it returns.
    ///
    /// # Errors
    /// Whatever keeps it from being saved.
    fn merge(&self, repository: &Digest, seen: &Record) -> Result<(), TrustStoreError>;

    /// Forget the channels of a repository.
    ///
    /// # Errors
    /// Whatever keeps that from being saved.
    fn forget_channels(&self, repository: &Digest) -> Result<(), TrustStoreError>;

    /// The signed file of a channel whose creation in the store isn't confirmed.
    ///
    /// # Errors
    /// As for [`pinned`](Self::pinned).
    fn pending(&self, repository: &Digest, channel: &str) -> Result<Option<Vec<u8>>, TrustStoreError>;

    /// Save or remove that file. Durable when it returns.
    ///
    /// # Errors
    /// Whatever keeps it from being saved.
    fn set_pending(
        &self,
        repository: &Digest,
        channel: &str,
        bytes: Option<&[u8]>,
    ) -> Result<(), TrustStoreError>;

    /// Keep other processes of this computer from committing to the channel, unless one of them does it now.
    ///
    /// # Errors
    /// Whatever keeps it from being locked.
    fn try_lock(&self, repository: &Digest, channel: &str) -> Result<Lock<'_>, TrustStoreError>;
}
