//! The commit of a channel's next file.
//!
//! ```text
//! read the newest ─► change it ─► sign ─► create number n + 1 ─┬─ created: write the hint, record it in the audit
//!       ▲                                                      │
//!       └───────────────── another writer was first ◄───────────┘
//! ```
//! The newest is compared with what this computer [remembers](super::trust), which also says in what order a file is signed,
//! created and remembered.
use super::audit::{self, AuditError};
use super::channel::{ChannelError, ChannelFile, ChannelLog, LOST, OldRoot, TRIES};
use super::index;
use super::notice::{Notice, Notices};
use super::recording::{self, RecordingError};
use super::roots::Roots;
use super::store::{Claim, Store};
use super::trust::{Known, lost};
use crate::clock::{Clock, back_off};
use bistable_format::channel::{Act, Channel, Gates, Offer};
use bistable_format::name::check_channel_name;
use bistable_format::open::OpenList;
use bistable_format::{Digest, Extensions, Head, TrustError};
use ed25519_dalek::SigningKey;

/// Seconds that a new channel's files are believed: a week.
pub const LIFETIME: u64 = 7 * 86_400;
/// How far behind the newest file a clock may be, in seconds.
const BEHIND: u64 = 86_400;

/// What a change makes of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is another one now.
    Made {
        /// The verb, for the audit.
        verb: String,
        /// About what, for the audit.
        about: String,
    },
    /// It is so already: nothing is committed.
    Nothing,
}

/// Who commits, and with what.
#[derive(Clone, Debug)]
pub struct Committer<'a> {
    /// Who, for the audit.
    pub who: String,
    /// Channel keys that sign.
    pub keys: Vec<&'a SigningKey>,
    /// Seconds that the channel's files are believed from now on; the channel's own time if none is given.
    pub lifetime: Option<u64>,
    /// What about a newest file that only an older root vouches for.
    pub old_root: OldRoot,
    /// Give up the lost numbers up to this one, and continue above it.
    pub continue_after: Option<u64>,
    /// What this computer remembers of the repository.
    pub known: &'a Known,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Where progress is reported.
    pub notices: &'a dyn Notices,
}

/// What was committed.
#[derive(Debug)]
pub struct Committed {
    /// The new newest file.
    pub file: ChannelFile,
    /// Why the audit lacks its record, if it does. The commit stands; whoever commits next adds the record.
    pub unrecorded: Option<RecordingError>,
    /// Tries that it took.
    pub tries: u32,
}

/// A channel, and who changes it.
#[derive(Clone, Copy, Debug)]
pub struct ChannelWriter<'a> {
    /// The channel's files.
    pub log: &'a ChannelLog<'a>,
    /// Who commits, and with what.
    pub by: &'a Committer<'a>,
}

fn same_releases(before: &[Offer], after: &[Offer]) -> bool {
    before.iter().map(|o| o.release).eq(after.iter().map(|o| o.release))
}

impl<'a> Committer<'a> {
    /// Who changes that channel.
    pub fn writer(&'a self, log: &'a ChannelLog<'a>) -> ChannelWriter<'a> {
        ChannelWriter { log, by: self }
    }

    /// Compare every channel that this computer remembers with the store: one that was removed isn't listed there.
    ///
    /// # Errors
    /// The first that was lost or replaced.
    pub fn compare_all(&self, store: &Store, roots: &Roots) -> Result<(), ChannelError> {
        for name in self.known.channels()? {
            self.writer(&ChannelLog::new(store, roots, name)).compared()?;
        }
        Ok(())
    }
}

impl ChannelWriter<'_> {
    /// Change a channel, or begin it. `change` gets the newest one as a draft, with the number, times and predecessor of the next
    /// already in it, and is called again with a newer one as often as another writer commits first: it decides by what it is given.
    /// Nothing is committed if it fails or says [`Change::Nothing`].
    ///
    /// # Errors
    /// What `change` says; see [`ChannelError`].
    pub fn commit<E: From<ChannelError>>(
        &self,
        mut change: impl FnMut(&mut Channel) -> Result<Change, E>,
    ) -> Result<Option<Committed>, E> {
        check_channel_name(self.log.name()).map_err(ChannelError::from)?;
        let mut newest = self.settled()?;
        if let Some(after) = self.by.continue_after {
            self.report_continuing(newest.as_ref(), after);
        }
        // Whoever died after a commit and comes back finds nothing to do: the record of it is made up for here. And a number
        // that was given once is never given again.
        let there = newest.as_ref().map_or(0, |newest| newest.channel.sequence);
        // Any other trouble with the audit is the next one's, too.
        if let Err(RecordingError::Audit(lost @ AuditError::Lost { .. })) =
            recording::catch_up(self.log.store(), self.by.clock, self.log, there)
            && self.by.continue_after.is_none()
        {
            return Err(ChannelError::Lost(Box::new(lost)).into());
        }
        for tries in 1..=TRIES {
            let mut draft = self.draft(newest.as_ref())?;
            let (verb, about) = match change(&mut draft)? {
                Change::Made { verb, about } => (verb, about),
                Change::Nothing => {
                    let _ = index::refresh(self.log.store(), self.log.roots());
                    return Ok(None);
                }
            };
            draft.act = Act { by: self.by.who.clone(), verb, about };
            let bytes = self.seal(&draft)?;
            let sequence = draft.sequence;
            self.log.check_root()?;
            let file = self.log.open(sequence, &bytes)?;
            if let Some(after) = self.by.continue_after {
                self.log.give_up(newest.as_ref().map_or(0, |n| n.channel.sequence), after)?;
            }
            let (given_up, clock, notices) = (self.by.continue_after, self.by.clock, self.by.notices);
            if let Some(Claim::Ours) =
                self.by.known.commit(self.log, &file, &bytes, given_up, clock, notices)?
            {
                let unrecorded =
                    recording::catch_up(self.log.store(), self.by.clock, self.log, sequence).err();
                let before = newest.as_ref().map_or(&[][..], |n| &n.channel.offers);
                if !same_releases(before, &file.channel.offers) {
                    // A hint: a failed write is repaired by the next one, or by fsck.
                    let _ = index::refresh(self.log.store(), self.log.roots());
                }
                return Ok(Some(Committed { file, unrecorded, tries }));
            }
            if tries > 1 {
                self.by.clock.wait(back_off(tries / 2));
            }
            newest = self.settled()?;
        }
        Err(ChannelError::Busy { name: self.log.name().into() }.into())
    }

    /// The newest file that may be acted on: trusted by the newest root, and not older than what this computer has seen.
    ///
    /// # Errors
    /// [`ChannelError::None`] if there is none; see [`ChannelError`].
    pub fn newest(&self) -> Result<ChannelFile, ChannelError> {
        self.log.trusted(self.existing()?)
    }

    /// The newest file that may be changed: one that only an older root vouches for, too, if that is wanted.
    ///
    /// # Errors
    /// As for [`newest`](Self::newest).
    pub fn existing(&self) -> Result<ChannelFile, ChannelError> {
        self.compared()?.ok_or_else(|| self.log.none())
    }

    /// What the next file is made from: whatever this computer signed before is in the store.
    fn settled(&self) -> Result<Option<ChannelFile>, ChannelError> {
        // A file whose number is given up is not created after all.
        if self.by.continue_after.is_none() {
            self.by.known.settle(self.log, &|| self.compared(), self.by.clock, self.by.notices)?;
        }
        self.compared()
    }

    fn report_continuing(&self, newest: Option<&ChannelFile>, after: u64) {
        let channel = newest.map(|newest| &newest.channel);
        self.by.notices.notice(&Notice::Continuing {
            channel: self.log.name().into(),
            from: channel.map_or(0, |channel| channel.sequence),
            offers: channel.map_or(0, |channel| channel.offers.len()),
            withdrawn: channel.map_or(0, |channel| channel.withdrawn.len()),
            after,
        });
    }

    /// The store's newest file, compared with what is remembered.
    fn compared(&self) -> Result<Option<ChannelFile>, ChannelError> {
        // Before the store, or what another process commits meanwhile would look lost.
        let remembered = self.by.known.channel(self.log.name())?;
        let newest = match (self.log.sequence()?, self.by.continue_after) {
            (0, _) => None,
            (n, None) => Some(self.log.history(n).map_err(|e| lost(self.log, remembered, e))?),
            // A crash may have left marks without the file after them.
            (n, Some(_)) => self.log.kept(n)?,
        };
        let newest = newest.map(|file| self.acceptable(file)).transpose()?;
        match self.by.continue_after {
            None => self.by.known.check(self.log, remembered, newest.as_ref())?,
            Some(after) => {
                let there = newest.as_ref().map_or(0, |newest| newest.channel.sequence);
                let seen = self.by.known.highest(self.log)?;
                // A typo must not create a new channel.
                if there == 0
                    && seen == 0
                    && self.log.sequence()? == 0
                    && !audit::knows(self.log.store(), self.log.name())?
                {
                    return Err(self.log.none());
                }
                self.log.may_give_up(there, after, seen)?;
            }
        }
        Ok(newest)
    }

    /// What the next commit begins with: for a rehearsal, before anything is done that takes long.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub(super) fn next(&self) -> Result<Channel, ChannelError> {
        self.draft(self.compared()?.as_ref())
    }

    fn acceptable(&self, file: ChannelFile) -> Result<ChannelFile, ChannelError> {
        match self.by.old_root {
            OldRoot::Accept => Ok(file),
            OldRoot::Refuse => self.log.trusted(file),
        }
    }

    fn draft(&self, newest: Option<&ChannelFile>) -> Result<Channel, ChannelError> {
        let now = self.by.clock.now();
        // A verb until the change says which: a draft makes sense at any time.
        let act = Act { by: self.by.who.clone(), verb: "change".into(), about: String::new() };
        let after = |there: u64| self.by.continue_after.unwrap_or(there) + 1;
        let Some(ChannelFile { channel, digest, .. }) = newest else {
            return Ok(Channel {
                head: Head::new(self.log.roots().newest().root.repository(), ""),
                name: self.log.name().into(),
                sequence: after(0),
                // After lost numbers, there is no predecessor to name.
                previous: self.by.continue_after.map(|_| Digest::of(LOST)),
                issued_at: now,
                lifetime: self.by.lifetime.unwrap_or(LIFETIME),
                act,
                offers: OpenList::default(),
                withdrawn: OpenList::default(),
                pins: Vec::new(),
                gates: Gates::default(),
                promoted_at: 0,
                catalog: Vec::new(),
                extensions: Extensions::default(),
            });
        };
        if channel.issued_at.saturating_sub(now) > BEHIND {
            let hours = (channel.issued_at - now) / 3600;
            return Err(ChannelError::Clock {
                name: self.log.name().into(),
                sequence: channel.sequence,
                hours,
            });
        }
        // Never before the one before: devices would refuse it.
        let issued_at = now.max(channel.issued_at);
        Ok(Channel {
            sequence: after(channel.sequence),
            previous: Some(*digest),
            issued_at,
            lifetime: self.by.lifetime.unwrap_or(channel.lifetime),
            act,
            ..channel.clone()
        })
    }

    /// Sign, and check whether devices will trust it.
    ///
    /// # Errors
    /// [`ChannelError::Keys`] if they would not; [`ChannelError::Invalid`].
    pub(super) fn seal(&self, draft: &Channel) -> Result<Vec<u8>, ChannelError> {
        let keys = |source| ChannelError::Keys { name: self.log.name().into(), source };
        let bytes = draft.seal(&self.by.keys).map_err(|e| match e {
            TrustError::Decode(e) => ChannelError::Invalid(e),
            e => keys(e),
        })?;
        Channel::open(&bytes, &self.log.roots().newest().root).map_err(keys)?;
        Ok(bytes)
    }
}
