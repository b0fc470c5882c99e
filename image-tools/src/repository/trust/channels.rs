//! A channel held against what is remembered of it.
use super::{Forgetful, Held, Mark, Record, Standing, TrustStore, TrustStoreError};
use crate::repository::channel::{ChannelError, ChannelFile, Log};
use crate::repository::store::Claim;
use bistable_format::Digest;
use std::sync::Arc;

/// How many files before the newest are followed back to the remembered one. Of a channel that is further ahead, the remembered
/// number alone is compared: all files between are signed, so that this only fails to show what others signed twice.
const FOLLOWED: u64 = 128;

/// What this computer remembers of one repository.
#[derive(Clone, Debug)]
pub struct Known {
    memory: Arc<dyn TrustStore>,
    repository: Digest,
}

impl Known {
    /// Of a repository with this identity.
    pub fn new(memory: Arc<dyn TrustStore>, repository: Digest) -> Known {
        Known { memory, repository }
    }

    /// Nothing, ever: for tests, and for callers that compare the store with a memory of their own.
    pub fn nothing() -> Known {
        Known::new(Arc::new(Forgetful), Digest([0; 32]))
    }

    /// The newest root that was accepted here.
    ///
    /// # Errors
    /// A memory that can't be read.
    pub fn root(&self) -> Result<Option<Mark>, TrustStoreError> {
        Ok(self.memory.record(&self.repository)?.map(|record| record.root))
    }

    /// Forget all channels.
    ///
    /// # Errors
    /// A memory that can't be read or written.
    pub fn forget_channels(&self) -> Result<(), TrustStoreError> {
        self.memory.forget_channels(&self.repository)
    }

    /// The newest payload of a channel that was signed or accepted here. Read this before the store.
    ///
    /// # Errors
    /// A memory that can't be read.
    pub fn channel(&self, name: &str) -> Result<Option<Mark>, TrustStoreError> {
        let record = self.memory.record(&self.repository)?;
        Ok(record.and_then(|record| record.channels.get(name).copied()))
    }

    /// The names of all channels that something is remembered of.
    ///
    /// # Errors
    /// A memory that can't be read.
    pub fn channels(&self) -> Result<Vec<String>, TrustStoreError> {
        Ok(self
            .memory
            .record(&self.repository)?
            .map(|r| r.channels.into_keys().collect())
            .unwrap_or_default())
    }

    /// The highest number of a channel that was signed or accepted here, created in the store or not.
    ///
    /// # Errors
    /// A memory that can't be read; a pending file that can't be.
    pub(in crate::repository) fn highest(&self, log: &Log<'_>) -> Result<u64, ChannelError> {
        let pending = match self.memory.pending(&self.repository, log.name())? {
            Some(bytes) => self.open_pending(log, &bytes)?.channel.sequence,
            None => 0,
        };
        Ok(self.channel(log.name())?.map_or(0, |mark| mark.number).max(pending))
    }

    /// The newest file of a channel, trusted by the newest root and not older than what this computer has seen: for verbs that
    /// read a channel before they sign something else.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn newest(&self, log: &Log<'_>) -> Result<ChannelFile, ChannelError> {
        let remembered = self.channel(log.name())?;
        let newest = match log.newest() {
            Err(ChannelError::None { .. }) if remembered.is_some() => None,
            newest => Some(newest?),
        };
        self.check(log, remembered, newest.as_ref())?;
        newest.ok_or_else(|| log.none())
    }

    /// Refuse a store whose newest file of a channel can't come after `remembered`, which was read before it; remember it if it
    /// does.
    ///
    /// # Errors
    /// [`ChannelError::Behind`], [`ChannelError::Replaced`], [`ChannelError::Broken`].
    pub(in crate::repository) fn check(
        &self,
        log: &Log<'_>,
        remembered: Option<Mark>,
        newest: Option<&ChannelFile>,
    ) -> Result<(), ChannelError> {
        let found = newest.map(ChannelFile::mark);
        let standing = remembered.map_or(Standing::Ahead, |mark| mark.standing(found.as_ref()));
        match (standing, newest, remembered) {
            (Standing::Same, ..) => Ok(()),
            (Standing::Ahead, Some(newest), remembered) => {
                if let Some(remembered) = remembered {
                    contains(log, newest, &remembered)?;
                }
                Ok(self.remember(log.name(), newest.mark())?)
            }
            (Standing::Replaced, _, Some(remembered)) => Err(replaced(log, remembered.number)),
            (Standing::Behind, _, Some(remembered)) => {
                Err(log.behind(found.map_or(0, |f| f.number), remembered.number))
            }
            // Nothing is there, and nothing is remembered.
            _ => Ok(()),
        }
    }

    /// Finish what a crash left open: create the file that was signed, with the same bytes, unless another one has its number by
    /// now. `newest` is the store's, and has been checked. Gives whether the channel may have changed.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub(in crate::repository) fn settle(
        &self,
        log: &Log<'_>,
        newest: Option<&ChannelFile>,
    ) -> Result<bool, ChannelError> {
        let name = log.name();
        if self.memory.pending(&self.repository, name)?.is_none() {
            return Ok(false);
        }
        // One that is about to be created by another process is none of a crash.
        let _lock = self.lock(name)?;
        let Some(bytes) = self.memory.pending(&self.repository, name)? else { return Ok(true) };
        let pending = self.open_pending(log, &bytes)?;
        let number = pending.channel.sequence;
        let there = newest.map_or(0, |newest| newest.channel.sequence);
        if self.channel(name)?.is_some_and(|mark| mark.number >= number) || number <= there {
            self.memory.set_pending(&self.repository, name, None)?;
            return Ok(false);
        }
        if number > there + 1 {
            return Err(log.behind(there, number));
        }
        if pending.channel.previous != newest.map(|newest| newest.digest) {
            return Err(ChannelError::Broken { name: name.into(), sequence: number });
        }
        let (Claim::Ours | Claim::Theirs(_)) = self.create(log, &pending, &bytes)?;
        Ok(true)
    }

    /// Create a file that was signed, in the order that the module's documentation gives. `None` if another process of this
    /// computer has used its number meanwhile.
    ///
    /// # Errors
    /// Whatever keeps it from being remembered or created.
    pub(in crate::repository) fn commit(
        &self,
        log: &Log<'_>,
        file: &ChannelFile,
        bytes: &[u8],
    ) -> Result<Option<Claim>, ChannelError> {
        let name = log.name();
        let _lock = self.lock(name)?;
        if self.channel(name)?.is_some_and(|mark| mark.number >= file.channel.sequence) {
            return Ok(None);
        }
        self.memory.set_pending(&self.repository, name, Some(bytes))?;
        self.create(log, file, bytes).map(Some)
    }

    fn open_pending(&self, log: &Log<'_>, bytes: &[u8]) -> Result<ChannelFile, ChannelError> {
        log.open_any(bytes).map_err(|source| ChannelError::Pending {
            name: log.name().into(),
            repository: self.repository,
            source: Box::new(source),
        })
    }

    fn create(&self, log: &Log<'_>, file: &ChannelFile, bytes: &[u8]) -> Result<Claim, ChannelError> {
        let claim = log.claim(file.channel.sequence, bytes)?;
        if claim == Claim::Ours {
            // The pending file stays if this fails: whoever commits next records it.
            let recorded = self.remember(log.name(), file.mark());
            if recorded.is_err() {
                return Ok(claim);
            }
        }
        self.memory.set_pending(&self.repository, log.name(), None)?;
        Ok(claim)
    }

    fn remember(&self, channel: &str, mark: Mark) -> Result<(), TrustStoreError> {
        // The root was remembered when the repository was recognized: number 0 is older than any.
        let mut seen = Record::new(Mark { number: 0, digest: self.repository });
        seen.channels.insert(channel.into(), mark);
        self.memory.merge(&self.repository, &seen)
    }

    fn lock(&self, channel: &str) -> Result<Box<dyn Held + '_>, TrustStoreError> {
        self.memory.lock(&self.repository, channel)
    }
}

/// Whether the remembered file is among those before the newest.
fn contains(log: &Log<'_>, newest: &ChannelFile, remembered: &Mark) -> Result<(), ChannelError> {
    let same = |file: &ChannelFile| match file.mark() == *remembered {
        true => Ok(()),
        false => Err(replaced(log, remembered.number)),
    };
    if newest.channel.sequence - remembered.number > FOLLOWED {
        match log.history(remembered.number) {
            Err(ChannelError::LostNumber { .. }) => {}
            file => return same(&file?),
        }
    }
    for before in log.before(newest) {
        let before = before?;
        if before.channel.sequence == remembered.number {
            return same(&before);
        }
        if before.channel.sequence < remembered.number {
            break;
        }
    }
    // Each file names the one before it: whoever has the channel's key gave the remembered number up.
    if log.is_lost(remembered.number)? { Ok(()) } else { Err(replaced(log, remembered.number)) }
}

fn replaced(log: &Log<'_>, sequence: u64) -> ChannelError {
    ChannelError::Replaced { place: log.place().into(), name: log.name().into(), sequence }
}
