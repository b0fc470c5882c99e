//! A channel's files in a repository: the newest, and those before it.
use super::audit::AuditError;
use super::catalog::CatalogError;
use super::lease::LeaseError;
use super::manifest::ManifestError;
use super::mark::{Mark, payload_digest};
use super::memory::TrustStoreError;
use super::roots::Roots;
use super::sequence::Sequence;
use super::store::{Claim, Store, StoreError};
use bistable_format::channel::Channel;
use bistable_format::name::check_channel_name;
use bistable_format::{DecodeError, Digest, Envelope, Role, TrustError, repository};

mod lost;

pub use lost::LOST;

/// Tries against others who commit at once. Each that fails means that another's commit was made.
pub(super) const TRIES: u32 = 200;
/// Why a channel can't be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No channel can be called that, or its content makes no sense.
    #[error(transparent)]
    Invalid(#[from] DecodeError),
    /// There is no such channel.
    #[error("{place} has no channel {name}")]
    None {
        /// The repository.
        place: String,
        /// The channel.
        name: String,
    },
    /// A file is gone.
    #[error(
        "number {sequence} of channel {name} is missing in {place}: channels' files must never be removed; restore it from a copy"
    )]
    Missing {
        /// The repository.
        place: String,
        /// The channel.
        name: String,
        /// The number.
        sequence: u64,
    },
    /// A file that isn't trusted.
    #[error("number {sequence} of channel {name} can't be trusted")]
    Untrusted {
        /// The channel.
        name: String,
        /// The number.
        sequence: u64,
        /// Why.
        source: TrustError,
    },
    /// A file that is another one.
    #[error(
        "the file of number {sequence} of channel {name} is number {found} of channel {found_name}: it was copied there"
    )]
    Misplaced {
        /// The channel.
        name: String,
        /// The number.
        sequence: u64,
        /// The channel that it says.
        found_name: String,
        /// The number that it says.
        found: u64,
    },
    /// A file that names another one before it.
    #[error(
        "number {sequence} of channel {name} does not follow the file before it: one of the two was replaced"
    )]
    Broken {
        /// The channel.
        name: String,
        /// The number.
        sequence: u64,
    },
    /// The newest file was signed by a key that the newest root doesn't name any more.
    #[error(
        "number {sequence} of channel {name} is signed by a key that the newest root does not name any more: look at it (`bistable-image channel show {name}`), then sign it again with --accept-old-root"
    )]
    OldRoot {
        /// The channel.
        name: String,
        /// The number.
        sequence: u64,
    },
    /// The keys have changed since this began.
    #[error(
        "{place} has got root {version} meanwhile, whose keys may be others: nothing was signed; run it again"
    )]
    NewRoot {
        /// The repository.
        place: String,
        /// The new root.
        version: u32,
    },
    /// Files of it were lost.
    #[error(transparent)]
    Lost(Box<AuditError>),
    /// The store lacks what this computer has seen there.
    #[error(
        "{place} is behind: its newest number of channel {name} is {found}, but this computer has seen number {remembered}: nothing \
         was signed, because devices may have seen it, too. Restore the missing files from a mirror or a backup; if none has them, \
         `bistable-image channel refresh {name} --continue-after N` gives up all numbers up to N, the highest that any computer or \
         device has seen"
    )]
    Behind {
        /// The repository.
        place: String,
        /// The channel.
        name: String,
        /// The newest number there; 0 for none.
        found: u64,
        /// The newest number that was seen.
        remembered: u64,
    },
    /// The store has another file than the one that this computer has seen.
    #[error(
        "{place} was changed: number {sequence} of channel {name} is not the signed file of that number that this computer has seen: \
         nothing was signed. Find out which of the two devices have seen, and restore it from a mirror or a backup; if none has it, \
         `bistable-image channel refresh {name} --continue-after N` gives up all numbers up to N, which must be above every number \
         that is in the repository or was seen by any computer or device"
    )]
    Replaced {
        /// The repository.
        place: String,
        /// The channel.
        name: String,
        /// The number.
        sequence: u64,
    },
    /// A number that was given up.
    #[error(
        "number {sequence} of channel {name} is marked as lost, and no file follows it: run `bistable-image channel refresh {name} \
         --continue-after {sequence}`; if no numbers were given up, restore the file from a mirror or a backup"
    )]
    LostNumber {
        /// The channel.
        name: String,
        /// The number.
        sequence: u64,
    },
    /// Numbers can't be given up.
    #[error("channel {name} can't be continued after number {after}: {why}")]
    GiveUp {
        /// The channel.
        name: String,
        /// The last number to give up.
        after: u64,
        /// Why not.
        why: String,
    },
    /// A commit can't be finished that a crash stopped.
    #[error(
        "the last commit of this computer to channel {name} can't be finished: repositories/{repository}/{name}.pending, where it \
         remembers repositories (BISTABLE_STATE_DIR), is damaged; compare the channel with a mirror or a device, then remove that file"
    )]
    Pending {
        /// The channel.
        name: String,
        /// The repository's identity.
        repository: Digest,
        /// What is wrong with the file.
        source: Box<ChannelError>,
    },
    /// A signed file couldn't be created.
    #[error(
        "number {sequence} of channel {name} was signed, but {place} may not have it: the signed file is kept, and the next change of \
         the channel on this computer finishes it"
    )]
    Unfinished {
        /// The repository.
        place: String,
        /// The channel.
        name: String,
        /// The number.
        sequence: u64,
        /// Why not.
        source: Box<ChannelError>,
    },
    /// A signed file that wasn't created, and whose key was taken back since.
    #[error(
        "number {sequence} of channel {name}, which this computer signed but could not create, is signed by a key that the newest root \
         does not name any more: `bistable-image channel refresh {name} --continue-after {sequence}` gives it up"
    )]
    PendingOldRoot {
        /// The channel.
        name: String,
        /// The number.
        sequence: u64,
    },
    /// A signed file that wasn't created, and names what isn't in the store.
    #[error(
        "number {sequence} of channel {name}, which this computer signed but could not create, names a file that the repository lacks: \
         publish the bundle again or restore the file; or `bistable-image channel refresh {name} --continue-after {sequence}` gives \
         the number up"
    )]
    PendingIncomplete {
        /// The channel.
        name: String,
        /// The number.
        sequence: u64,
        /// What is missing.
        source: Box<Lacking>,
    },
    /// Another process keeps the channel's lock.
    #[error(
        "another bistable-image is changing channel {name} (lock: {lock}): nothing was signed; try again when it is done"
    )]
    Locked {
        /// The channel.
        name: String,
        /// The lock.
        lock: String,
    },
    /// Numbers can't be forgotten.
    #[error(
        "{place} has files of channel {name}: its number is not forgotten, because that is for a repository that was made again; if \
         files were lost, restore them, or give their numbers up with `bistable-image channel refresh {name} --continue-after N`"
    )]
    StillThere {
        /// The repository.
        place: String,
        /// The channel.
        name: String,
    },
    /// The memory can't be used.
    #[error(transparent)]
    Memory(#[from] TrustStoreError),
    /// The given keys don't make a valid signature.
    #[error("the channel {name} can't be signed with these keys")]
    Keys {
        /// The channel.
        name: String,
        /// What is wrong.
        source: TrustError,
    },
    /// The clock is wrong.
    #[error("this machine's clock is {hours} h behind number {sequence} of channel {name}: set it right")]
    Clock {
        /// The channel.
        name: String,
        /// The newest number.
        sequence: u64,
        /// Whole hours.
        hours: u64,
    },
    /// Others were always faster.
    #[error("channel {name} is too busy: another program was faster {TRIES} times; try again")]
    Busy {
        /// The channel.
        name: String,
    },
}

/// What keeps a pending file from being created: something that it names can't be downloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Lacking {
    /// A release.
    #[error(transparent)]
    Contents(#[from] ManifestError),
    /// A part of its catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A prune may be removing it.
    #[error(transparent)]
    Hold(#[from] LeaseError),
}

/// A channel's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelFile {
    /// What it says. Verified.
    pub channel: Channel,
    /// SHA-256 of it, signatures included: what the next one names.
    pub digest: Digest,
    /// SHA-256 of its payload: what is remembered of it.
    pub payload: Digest,
    /// Version of the newest root that vouches for it.
    pub root: u32,
}

impl ChannelFile {
    /// Its number and its payload.
    pub fn mark(&self) -> Mark {
        Mark { number: self.channel.sequence, digest: self.payload }
    }
}

/// The names of all channels, sorted.
///
/// # Errors
/// Whatever keeps them from being listed.
pub fn names(store: &Store) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    // The folders only: a channel has as many files as there ever were changes.
    for name in store.folders("channels")? {
        let numbered = Sequence::Channel(name.clone());
        // A process that dies before a channel's first file may leave its folder.
        if check_channel_name(&name).is_ok()
            && (store.size(&numbered.hint_path())?.is_some() || numbered.newest(store)? > 0)
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// The files of one channel.
#[derive(Clone, Debug)]
pub struct ChannelLog<'a> {
    store: &'a Store,
    roots: &'a Roots,
    name: String,
}

impl<'a> ChannelLog<'a> {
    /// Of this channel. It needs not exist.
    pub fn new(store: &'a Store, roots: &'a Roots, name: impl Into<String>) -> ChannelLog<'a> {
        ChannelLog { store, roots, name: name.into() }
    }

    /// The channel.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of the newest file; 0 if there is none.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn sequence(&self) -> Result<u64, ChannelError> {
        check_channel_name(&self.name)?;
        Ok(Sequence::Channel(self.name.clone()).newest(self.store)?)
    }

    /// Refuse to continue if the repository has got a newer root since the roots were read: hours ago, perhaps, before an upload. A
    /// key that it takes back must sign nothing any more.
    ///
    /// # Errors
    /// [`ChannelError::NewRoot`].
    pub(super) fn check_root(&self) -> Result<(), ChannelError> {
        let Some(version) = self.roots.newest().root.version.checked_add(1) else { return Ok(()) };
        match self.store.size(&repository::root(version))? {
            Some(_) => Err(ChannelError::NewRoot { place: self.store.place().into(), version }),
            None => Ok(()),
        }
    }

    /// The newest file, trusted by the newest root.
    ///
    /// # Errors
    /// [`ChannelError::None`] if there is none, [`ChannelError::OldRoot`], …
    pub fn newest(&self) -> Result<ChannelFile, ChannelError> {
        match self.sequence()? {
            0 => Err(self.none()),
            n => self.trusted(self.history(n)?),
        }
    }

    /// The newest file; one that only an older root vouches for, too, if that is wanted.
    ///
    /// # Errors
    /// As for [`newest`](Self::newest).
    pub fn newest_or_old(&self, old: OldRoot) -> Result<ChannelFile, ChannelError> {
        match (self.newest(), old) {
            (Err(ChannelError::OldRoot { sequence, .. }), OldRoot::Accept) => self.history(sequence),
            (newest, _) => newest,
        }
    }

    /// The file of a number, which a root may vouch for that isn't in force any more.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub fn history(&self, sequence: u64) -> Result<ChannelFile, ChannelError> {
        check_channel_name(&self.name)?;
        let path = Sequence::Channel(self.name.clone()).path(sequence);
        let bytes = self.store.get(&path, Envelope::MAX_BYTES)?;
        let bytes = bytes.ok_or_else(|| ChannelError::Missing {
            place: self.store.place().into(),
            name: self.name.clone(),
            sequence,
        })?;
        if bytes == LOST {
            return Err(ChannelError::LostNumber { name: self.name.clone(), sequence });
        }
        self.open(sequence, &bytes)
    }

    /// All files from the newest back to the first, each named by the one after it. Stops after the first error.
    pub fn backwards(&self) -> impl Iterator<Item = Result<ChannelFile, ChannelError>> + '_ {
        self.back_from(self.sequence(), None)
    }

    /// The same from this number on. The first file is that of this number, and not a mark.
    pub(super) fn backwards_from(
        &self,
        sequence: u64,
    ) -> impl Iterator<Item = Result<ChannelFile, ChannelError>> + '_ {
        self.back_from(self.history(sequence).map(|_| sequence), None)
    }

    /// All files before this one, back to the first. Stops after the first error.
    pub(super) fn before(
        &self,
        file: &ChannelFile,
    ) -> impl Iterator<Item = Result<ChannelFile, ChannelError>> + '_ {
        self.back_from(Ok(file.channel.sequence - 1), file.channel.previous)
    }

    fn back_from(
        &self,
        sequence: Result<u64, ChannelError>,
        wanted: Option<Digest>,
    ) -> impl Iterator<Item = Result<ChannelFile, ChannelError>> + '_ {
        let mut next = Some((sequence, wanted));
        std::iter::from_fn(move || {
            let (sequence, wanted): (_, Option<Digest>) = next.take()?;
            // The file after lost numbers names the one before them, so a mark in place of a file that isn't lost is found.
            let found = sequence.and_then(|n| Ok((n, self.kept(n)?)));
            let broken = |n| ChannelError::Broken { name: self.name.clone(), sequence: n + 1 };
            Some(match found {
                Ok((_, None)) if wanted.is_none_or(|wanted| wanted == Digest::of(LOST)) => return None,
                Ok((_, Some(file))) if wanted.is_none_or(|wanted| wanted == file.digest) => {
                    next = Some((Ok(file.channel.sequence - 1), file.channel.previous));
                    Ok(file)
                }
                Ok((n, _)) => Err(broken(n)),
                Err(e) => Err(e),
            })
        })
    }

    /// The store.
    pub(super) fn store(&self) -> &'a Store {
        self.store
    }

    /// The roots.
    pub(super) fn roots(&self) -> &'a Roots {
        self.roots
    }

    /// Where the repository is, as messages name it.
    pub(super) fn place(&self) -> &str {
        self.store.place()
    }

    /// There is no such channel.
    pub(super) fn none(&self) -> ChannelError {
        ChannelError::None { place: self.place().into(), name: self.name.clone() }
    }

    /// The store's newest number is lower than one that was seen.
    pub(super) fn behind(&self, found: u64, remembered: u64) -> ChannelError {
        ChannelError::Behind { place: self.place().into(), name: self.name.clone(), found, remembered }
    }

    /// Create the file of a number, and the hint.
    pub(super) fn claim(&self, sequence: u64, bytes: &[u8]) -> Result<Claim, ChannelError> {
        let numbered = Sequence::Channel(self.name.clone());
        let claim = self.store.claim(&numbered.path(sequence), bytes, Envelope::MAX_BYTES)?;
        if claim == Claim::Ours {
            numbered.remember(self.store, sequence);
        }
        Ok(claim)
    }

    pub(super) fn open(&self, sequence: u64, bytes: &[u8]) -> Result<ChannelFile, ChannelError> {
        let file = self.open_numbered(sequence, bytes)?;
        if file.channel.name != self.name || file.channel.sequence != sequence {
            return Err(ChannelError::Misplaced {
                name: self.name.clone(),
                sequence,
                found_name: file.channel.name,
                found: file.channel.sequence,
            });
        }
        Ok(file)
    }

    /// A file of this channel, of whatever number it says.
    pub(super) fn open_any(&self, bytes: &[u8]) -> Result<ChannelFile, ChannelError> {
        let sequence = self.open_numbered(0, bytes)?.channel.sequence;
        self.open(sequence, bytes)
    }

    /// `sequence` is for the message.
    fn open_numbered(&self, sequence: u64, bytes: &[u8]) -> Result<ChannelFile, ChannelError> {
        let untrusted = |source| ChannelError::Untrusted { name: self.name.clone(), sequence, source };
        // A root may have taken the channel from the keys of all others: then an older one vouches for what these signed.
        let (channel, root) = self.roots.opening(|root| Channel::open(bytes, root)).map_err(untrusted)?;
        let payload = payload_digest(bytes, Role::Channel);
        Ok(ChannelFile { channel, digest: Digest::of(bytes), payload, root: root.version })
    }

    pub(super) fn trusted(&self, file: ChannelFile) -> Result<ChannelFile, ChannelError> {
        if file.root == self.roots.newest().root.version {
            return Ok(file);
        }
        // A root that only changed other keys vouches, too: then it is the one that is named.
        Err(ChannelError::OldRoot { name: self.name.clone(), sequence: file.channel.sequence })
    }
}

/// Whether a file is taken over that only an older root vouches for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldRoot {
    /// It isn't: a key that was taken back may have been stolen.
    #[default]
    Refuse,
    /// It was looked at.
    Accept,
}
