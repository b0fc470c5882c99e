//! The files of a copy, one by one.
use super::{Copied, Copying, Kind, PARTIAL, PARTIAL_TEXT, SyncError};
use crate::repository::audit::{self, Act, AuditError};
use crate::repository::channel::{self, ChannelError, Log};
use crate::repository::contents::ContentsError;
use crate::repository::hashed::Hashed;
use crate::repository::sequence::Sequence;
use crate::repository::store::{Claim, Store};
use bistable_format::{Digest, Envelope, repository as names};
use std::collections::BTreeMap;

/// From where, to where, and how far it is.
pub(super) struct Work<'a> {
    pub(super) from: &'a Store,
    pub(super) to: &'a Store,
    pub(super) copied: Copied,
    pub(super) progress: &'a mut dyn FnMut(&str, u64),
}

impl Work<'_> {
    fn diverged(&self, path: &str) -> SyncError {
        SyncError::Diverged { path: path.into(), from: self.from.place().into(), to: self.to.place().into() }
    }

    /// Whether the copy has, or comes to have, all of the history. Marks it as a part until it has.
    pub(super) fn begin(&self, source: Kind, everything: bool) -> Result<bool, SyncError> {
        let new = channel::names(self.to)?.is_empty();
        let whole = everything || !(new || Kind::of(self.to)? == Kind::Partial);
        if whole && source == Kind::Partial {
            return Err(SyncError::Partial(self.from.place().into()));
        }
        if new {
            self.to.put(PARTIAL, PARTIAL_TEXT)?;
        }
        Ok(whole)
    }

    /// Record what was copied where, once for each state of the channels.
    pub(super) fn record(&self, how: &Copying<'_>, newest: &[(&String, u64)]) -> Result<(), AuditError> {
        let state: Vec<_> = newest.iter().map(|(name, sequence)| format!("{name} {sequence}")).collect();
        let about = format!("{} to {}", state.join(", "), self.to.place());
        let act = Act { who: how.who.into(), verb: "sync".into(), about };
        // An earlier record can't tell of this state.
        let may_be = |record: &audit::Record| {
            newest.iter().all(|(name, sequence)| record.channels.get(*name).is_some_and(|n| n >= sequence))
        };
        audit::append_once(self.from, how.clock, &act, may_be)
    }

    /// Whether the copy has no file of a channel that the original doesn't have.
    pub(super) fn same_so_far(&self, name: &str, newest: u64) -> Result<(), SyncError> {
        let there = self.to.list(&names::channel_folder(name))?;
        let numbers = there.iter().filter_map(|f| names::channel_sequence(f.path.rsplit('/').next()?));
        let Some(last) = numbers.max() else { return Ok(()) };
        let path = names::channel(name, last);
        let both = [self.from, self.to].map(|s| s.get(&path, Envelope::MAX_BYTES));
        let [ours, theirs] = both;
        if last > newest || ours? != theirs? { Err(self.diverged(&path)) } else { Ok(()) }
    }

    pub(super) fn blob(&mut self, digest: &Digest, bytes: u64) -> Result<(), SyncError> {
        let path = names::blob(digest);
        if self.to.size(&path)? == Some(bytes) {
            self.copied.there += 1;
            return Ok(());
        }
        let place = || self.from.place().to_owned();
        let gone = || ContentsError::NoRelease { place: place(), path: path.clone() };
        let reader = self.from.read(&path)?.ok_or_else(gone)?;
        if reader.size() != bytes {
            return Err(ContentsError::Damaged { place: place(), path }.into());
        }
        let mut hashed = Hashed::new(reader, *digest, "it is not what its name says", |_| {});
        let uploaded = self.to.upload(&path, &mut hashed, bytes);
        if hashed.is_wrong() {
            return Err(ContentsError::Damaged { place: place(), path }.into());
        }
        let _ = uploaded?;
        self.count(&path, bytes);
        Ok(())
    }

    /// A channel's files, verified, the newest first, then back, if all of them are wanted: with a gap, a reader finds the one
    /// before the gap by its hint, or the newest.
    pub(super) fn channel(&mut self, log: &Log<'_>, newest: u64, whole: bool) -> Result<(), SyncError> {
        let name = log.name();
        let mut wanted: Option<Digest> = None;
        for number in (if whole { 1 } else { newest }..=newest).rev() {
            let file = match log.history(number) {
                Err(ChannelError::LostNumber { .. }) => {
                    self.small(&names::channel(name, number), Envelope::MAX_BYTES)?;
                    continue;
                }
                file => file?,
            };
            if wanted.is_some_and(|wanted| wanted != file.digest) {
                return Err(ChannelError::Broken { name: name.into(), sequence: number + 1 }.into());
            }
            wanted = file.channel.previous;
            self.small(&names::channel(name, number), Envelope::MAX_BYTES)?;
        }
        Ok(())
    }

    /// The audit's records, in order, up to the first that tells of more than the copy has: that comes with the next copy.
    pub(super) fn audit(&mut self) -> Result<(), SyncError> {
        let mut there = BTreeMap::new();
        for name in channel::names(self.to)? {
            let newest = Sequence::Channel(name.clone()).newest(self.to)?;
            there.insert(name, newest);
        }
        for sequence in 1..=Sequence::Audit.newest(self.from)? {
            let path = names::audit(sequence);
            let missing = || AuditError::Missing { place: self.from.place().into(), sequence };
            let bytes = self.from.get(&path, audit::RECORD_BYTES)?.ok_or_else(missing)?;
            let told = audit::decode(self.from, sequence, &bytes)?.record.channels;
            if told.iter().any(|(name, n)| there.get(name).copied().unwrap_or(0) < *n) {
                break;
            }
            self.same(&path, &bytes, audit::RECORD_BYTES)?;
        }
        let newest = Sequence::Audit.newest(self.to)?;
        if newest > 0 {
            Sequence::Audit.write_hint(self.to, newest)?;
        }
        Ok(())
    }

    /// A small file that is created once and never changes.
    pub(super) fn small(&mut self, path: &str, limit: usize) -> Result<(), SyncError> {
        match self.from.get(path, limit)? {
            Some(bytes) => self.same(path, &bytes, limit),
            None => Ok(()),
        }
    }

    /// Make a file have these bytes, for ever.
    fn same(&mut self, path: &str, bytes: &[u8], limit: usize) -> Result<(), SyncError> {
        if self.to.get(path, limit)?.is_some_and(|there| there == bytes) {
            self.copied.there += 1;
            return Ok(());
        }
        match self.to.claim(path, bytes, limit)? {
            Claim::Ours => {
                self.count(path, bytes.len() as u64);
                Ok(())
            }
            Claim::Theirs(_) => Err(self.diverged(path)),
        }
    }

    fn count(&mut self, path: &str, bytes: u64) {
        self.copied.files += 1;
        self.copied.bytes += bytes;
        (self.progress)(path, bytes);
    }
}
