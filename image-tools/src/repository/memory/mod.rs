//! What this computer remembers of the repositories that it signs for: the port, and where it is kept.
//!
//! | file | noun |
//! |---|---|
//! | [`Record`] | what is remembered of one repository |
//! | [`StateFolder`], [`Remembered`], [`Forgetful`] | where it is kept: files, or for tests in memory or nowhere |
//! | `contract` | what each of them must do: tests that run on each |
#[cfg(test)]
mod contract;
mod folder;
mod record;
mod twin;

pub use folder::{StateFolder, TrustStoreError};
pub use record::Record;
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
