//! A channel held against what is remembered of it.
use crate::clock::{Clock, back_off};
use crate::repository::channel::{ChannelError, ChannelFile, ChannelLog};
use crate::repository::mark::{Mark, Standing};
use crate::repository::memory::{Forgetful, Held, Lock, Record, TrustStore, TrustStoreError};
use crate::repository::notice::{Notice, Notices};
use crate::repository::store::{Claim, Store};
use bistable_format::{Digest, repository as names};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How many files before the newest are followed back to the remembered one. Of a channel that is further ahead, the remembered
/// number alone is compared: all files between are signed, so that this only fails to show what others signed twice.
const FOLLOWED: u64 = 128;
/// How long another process may keep a channel's lock: nothing is done under it but a few small writes.
const LOCK_WAIT: Duration = Duration::from_secs(60);
/// After how long a wait is reported.
const REPORTED_WAIT: Duration = Duration::from_secs(1);
/// Most tries that the pause between two of them grows with.
const LOCK_TRIES: u32 = 4;

/// What this computer remembers of one repository.
#[derive(Clone, Debug)]
pub struct Known {
    pub(super) memory: Arc<dyn TrustStore>,
    pub(super) repository: Digest,
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

    /// Forget the numbers of all channels, which the store must not have any file of: of a repository that was made again. Gives
    /// what was forgotten.
    ///
    /// # Errors
    /// [`ChannelError::StillThere`]; a memory or store that can't be used.
    pub fn forget_channels(
        &self,
        store: &Store,
        clock: &dyn Clock,
        notices: &dyn Notices,
    ) -> Result<BTreeMap<String, u64>, ChannelError> {
        let mut locks = Vec::new();
        for name in self.channels()? {
            locks.push(self.lock(&name, clock, notices)?);
            if !store.list(&names::channel_folder(&name))?.is_empty() {
                return Err(ChannelError::StillThere { place: store.place().into(), name });
            }
        }
        let record = self.memory.record(&self.repository)?;
        self.memory.forget_channels(&self.repository)?;
        let channels = record.map(|record| record.channels).unwrap_or_default();
        Ok(channels.into_iter().map(|(name, mark)| (name, mark.number)).collect())
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

    /// The newest file of a channel, trusted by the newest root and not older than what this computer has seen: for verbs that
    /// read a channel before they sign something else.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn newest(&self, log: &ChannelLog<'_>) -> Result<ChannelFile, ChannelError> {
        let remembered = self.channel(log.name())?;
        let newest = match log.newest() {
            Err(ChannelError::None { .. }) if remembered.is_some() => None,
            newest => Some(newest.map_err(|e| lost(log, remembered, e))?),
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
        log: &ChannelLog<'_>,
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

    /// Create a file that was signed, in the order that the module's documentation gives. `None` if another process of this
    /// computer has used its number meanwhile, or has signed a file that must be settled first. Pending files up to the number
    /// `given_up` are replaced.
    ///
    /// # Errors
    /// Whatever keeps it from being remembered or created.
    pub(in crate::repository) fn commit(
        &self,
        log: &ChannelLog<'_>,
        file: &ChannelFile,
        bytes: &[u8],
        given_up: Option<u64>,
        clock: &dyn Clock,
        notices: &dyn Notices,
    ) -> Result<Option<Claim>, ChannelError> {
        let name = log.name();
        let _lock = self.lock(name, clock, notices)?;
        if self.channel(name)?.is_some_and(|mark| mark.number >= file.channel.sequence)
            || self.must_settle(log, bytes, given_up)?
        {
            return Ok(None);
        }
        self.memory.set_pending(&self.repository, name, Some(bytes))?;
        self.create(log, file, bytes).map(Some)
    }

    pub(super) fn remember(&self, channel: &str, mark: Mark) -> Result<(), TrustStoreError> {
        // The root was remembered when the repository was recognized: number 0 is older than any.
        let mut seen = Record::new(Mark { number: 0, digest: self.repository });
        seen.channels.insert(channel.into(), mark);
        self.memory.merge(&self.repository, &seen)
    }

    /// Wait until no other process of this computer commits to the channel, and keep others from it.
    ///
    /// # Errors
    /// [`ChannelError::Locked`] if another process keeps it for long.
    pub(super) fn lock(
        &self,
        channel: &str,
        clock: &dyn Clock,
        notices: &dyn Notices,
    ) -> Result<Box<dyn Held + '_>, ChannelError> {
        let (mut tries, mut waited, mut reported) = (0, Duration::ZERO, false);
        loop {
            let lock = match self.memory.try_lock(&self.repository, channel)? {
                Lock::Held(lock) => return Ok(lock),
                Lock::Busy(lock) => lock,
            };
            if waited >= LOCK_WAIT {
                return Err(ChannelError::Locked { name: channel.into(), lock });
            }
            if waited >= REPORTED_WAIT && !reported {
                notices.notice(&Notice::Waiting { channel: channel.into(), lock });
                reported = true;
            }
            tries = LOCK_TRIES.min(tries + 1);
            let pause = back_off(tries);
            clock.wait(pause);
            waited += pause;
        }
    }
}

/// Whether the remembered file is among those before the newest.
fn contains(log: &ChannelLog<'_>, newest: &ChannelFile, remembered: &Mark) -> Result<(), ChannelError> {
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

/// A mark in place of the newest file is none that a crash left behind if this computer has seen a signed file of its number.
pub(in crate::repository) fn lost(
    log: &ChannelLog<'_>,
    remembered: Option<Mark>,
    error: ChannelError,
) -> ChannelError {
    match (error, remembered) {
        (ChannelError::LostNumber { sequence, .. }, Some(seen)) if seen.number >= sequence => {
            replaced(log, sequence)
        }
        (error, _) => error,
    }
}

fn replaced(log: &ChannelLog<'_>, sequence: u64) -> ChannelError {
    ChannelError::Replaced { place: log.place().into(), name: log.name().into(), sequence }
}
