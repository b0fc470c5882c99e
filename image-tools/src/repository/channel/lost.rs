//! Numbers of a channel whose files were lost for good: marked, so that the numbers still have no gaps.
//!
//! ```text
//! 00000004.channel   signed
//! 00000005.channel   LOST
//! 00000006.channel   LOST
//! 00000007.channel   signed; names the file 4 as the one before it
//! ```
//! A mark is not signed: the file after it shows that whoever had the channel's key gave the numbers up. A mark in place of a file that
//! isn't lost breaks the chain. Above them a channel continues with a number that no device has seen: a number that was used once is
//! never signed again.
use super::super::sequence::Sequence;
use super::super::store::{Claim, StoreError};
use super::{ChannelError, ChannelFile, ChannelLog};
use bistable_format::{Envelope, repository};

/// What stands for a number that was lost. The numbers of a channel have no gaps, or its newest file would not be found.
pub const LOST: &[u8] = b"This number of the channel was lost. The channel continues above it.\n";
/// How many numbers can be given up at once.
const GIVEN_UP: u64 = 10_000;
impl ChannelLog<'_> {
    /// The newest file up to a number that isn't lost; none if all are.
    pub(in crate::repository) fn kept(&self, mut sequence: u64) -> Result<Option<ChannelFile>, ChannelError> {
        while sequence > 0 {
            match self.history(sequence) {
                Err(ChannelError::LostNumber { .. }) => sequence -= 1,
                file => return file.map(Some),
            }
        }
        Ok(None)
    }

    /// Whether a number was given up.
    pub(in crate::repository) fn is_lost(&self, sequence: u64) -> Result<bool, ChannelError> {
        let path = Sequence::Channel(self.name.clone()).path(sequence);
        match self.store.get(&path, LOST.len()) {
            Err(StoreError::TooLarge { .. }) => Ok(false),
            there => Ok(there?.is_some_and(|bytes| bytes == LOST)),
        }
    }

    /// Mark all numbers after `kept` and up to `after` as lost. If a crash follows, the newest file is such a mark: devices report
    /// that it isn't signed and keep what they have, until the same command is run again.
    pub(in crate::repository) fn give_up(&self, kept: u64, after: u64) -> Result<(), ChannelError> {
        let refused = |why: String| ChannelError::GiveUp { name: self.name.clone(), after, why };
        let numbered = Sequence::Channel(self.name.clone());
        // Before the first is marked: what is there isn't lost, and a mark can't be taken back.
        for file in self.store.list(&repository::channel_folder(&self.name))? {
            if let Some(n) = numbered.number(&file.path)
                && n > kept
                && !self.is_lost(n)?
            {
                return Err(refused(format!("number {n} is there, so restore the missing ones before it")));
            }
        }
        for n in kept + 1..=after {
            if let Claim::Theirs(_) = self.store.claim(&numbered.path(n), LOST, Envelope::MAX_BYTES)? {
                return Err(refused(format!("another program has just created number {n}")));
            }
        }
        Ok(())
    }

    /// Refuse to give up numbers that are there, too few, or more than anything but a typo explains. `seen` is the highest number that this
    /// computer has seen.
    pub(in crate::repository) fn may_give_up(
        &self,
        there: u64,
        after: u64,
        seen: u64,
    ) -> Result<(), ChannelError> {
        let why = if after <= there {
            format!("number {there} is there")
        } else if after < seen {
            format!("this computer has seen number {seen}")
        } else if after - there > GIVEN_UP {
            format!("that gives up more than {GIVEN_UP} numbers after number {there}")
        } else {
            return Ok(());
        };
        Err(ChannelError::GiveUp { name: self.name.clone(), after, why })
    }
}
