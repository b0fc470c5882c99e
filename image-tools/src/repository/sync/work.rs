//! The files of a copy, one by one.
use super::{Copied, Copying, Kind, PARTIAL, PARTIAL_TEXT, SyncError};
use crate::repository::attestation_file::{self, Attestors};
use crate::repository::audit::{self, Act, AuditError};
use crate::repository::channel::{self, ChannelError, ChannelLog};
use crate::repository::delta_file::{self, StoredDelta};
use crate::repository::hashing_reader::HashingReader;
use crate::repository::manifest::ManifestError;
use crate::repository::roots::Roots;
use crate::repository::sequence::Sequence;
use crate::repository::store::{Claim, Listed, Store, StoreError};
use crate::repository::version_claim;
use bistable_format::{Digest, Envelope, bundle, repository as names};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;

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
        let gone = || ManifestError::NoRelease { place: place(), path: path.clone() };
        let reader = self.from.read(&path)?.ok_or_else(gone)?;
        if reader.size() != bytes {
            return Err(ManifestError::Damaged { place: place(), path }.into());
        }
        let mut hashed = HashingReader::new(reader, *digest, "it is not what its name says", |_| {});
        let uploaded = self.to.upload(&path, &mut hashed, bytes);
        if hashed.is_wrong() {
            return Err(ManifestError::Damaged { place: place(), path }.into());
        }
        let _ = uploaded?;
        self.count(&path, bytes);
        Ok(())
    }

    /// The roots, as they were verified.
    pub(super) fn roots(&mut self, roots: &Roots) -> Result<(), SyncError> {
        for root in roots.all() {
            self.same(&names::root(root.root.version), &root.bytes, Envelope::MAX_BYTES)?;
        }
        Ok(())
    }

    /// What makes it an OCI image layout: the same in every repository, so that nothing of the original's file is needed.
    pub(super) fn layout(&mut self) -> Result<(), SyncError> {
        let limit = bundle::LAYOUT.len();
        if !matches!(small(self.from, bundle::LAYOUT_NAME, limit)?.as_deref(), Some(there) if there == bundle::LAYOUT.as_bytes())
        {
            self.skip(bundle::LAYOUT_NAME, &"is missing, or is not what it has to be");
        }
        self.same(bundle::LAYOUT_NAME, bundle::LAYOUT.as_bytes(), limit)
    }

    /// The files of versions' names: those that name one of these releases, or all.
    pub(super) fn versions(&mut self, wanted: impl Fn(&Digest) -> bool) -> Result<(), SyncError> {
        for Listed { path, .. } in self.from.list("versions")? {
            let named =
                small(self.from, &path, version_claim::BYTES)?.as_deref().and_then(version_claim::named);
            match (version_claim::version(&path), named) {
                (Some(_), Some(identity)) if wanted(&identity) => {
                    self.same(&path, &version_claim::file(&identity), version_claim::BYTES)?;
                }
                (Some(_), Some(_)) => {}
                _ => self.skip(&path, &"is not the file of a version's name"),
            }
        }
        Ok(())
    }

    /// What was attested of a release, by keys that were named.
    pub(super) fn attestations(&mut self, identity: &Digest, attestors: &Attestors) -> Result<(), SyncError> {
        for Listed { path, .. } in self.from.list(&names::attestations(identity))? {
            let bytes = small(self.from, &path, Envelope::MAX_BYTES)?.unwrap_or_default();
            match attestation_file::open(&path, &bytes, attestors) {
                Ok(_) => self.same(&path, &bytes, Envelope::MAX_BYTES)?,
                Err(e) => self.skip(&path, &e),
            }
        }
        Ok(())
    }

    /// A delta's file, as it was verified. One that the copy has already stays, if it is as good.
    pub(super) fn delta(&mut self, roots: &Roots, delta: &StoredDelta) -> Result<(), SyncError> {
        match delta_file::read(self.to, roots, &delta.path)? {
            None => {}
            Some(Ok(_)) => {
                self.copied.there += 1;
                return Ok(());
            }
            Some(Err(why)) => {
                let advice = "run `bistable-image fsck --deep --repair` on the copy, then sync again";
                self.skip(&delta.path, &format!("is in the copy already, and {why}; {advice}"));
                return Ok(());
            }
        }
        let bytes = self.from.get(&delta.path, Envelope::MAX_BYTES)?.unwrap_or_default();
        // What was verified, and nothing that took its place since.
        if Digest::of(&bytes) == delta.digest {
            self.same(&delta.path, &bytes, Envelope::MAX_BYTES)
        } else {
            self.skip(&delta.path, &"was changed or removed meanwhile");
            Ok(())
        }
    }

    /// Leave a file where it is, and report that.
    pub(super) fn skip(&mut self, path: &str, why: &dyn Display) {
        self.copied.skipped.push((path.into(), why.to_string()));
    }

    /// A channel's files, verified, the newest first, then back, if all of them are wanted: with a gap, a reader finds the one
    /// before the gap by its hint, or the newest.
    pub(super) fn channel(
        &mut self,
        log: &ChannelLog<'_>,
        newest: u64,
        whole: bool,
    ) -> Result<(), SyncError> {
        let name = log.name();
        // A mark that no signed file vouches for is not copied: below the newest file, the chain decides which numbers are lost.
        let mut above = newest + 1;
        for file in log.backwards_from(newest) {
            let (number, digest) = file.map(|file| (file.channel.sequence, file.digest))?;
            self.marks(name, number + 1..above)?;
            let path = names::channel(name, number);
            let missing = || ChannelError::Missing {
                place: self.from.place().into(),
                name: name.into(),
                sequence: number,
            };
            let bytes = self.from.get(&path, Envelope::MAX_BYTES)?.ok_or_else(missing)?;
            // What was verified, and nothing that took its place since.
            if Digest::of(&bytes) != digest {
                return Err(ChannelError::Broken { name: name.into(), sequence: number }.into());
            }
            self.same(&path, &bytes, Envelope::MAX_BYTES)?;
            above = number;
            if !whole {
                return Ok(());
            }
        }
        self.marks(name, 1..above)
    }

    /// The marks of lost numbers between two files.
    fn marks(&mut self, name: &str, numbers: Range<u64>) -> Result<(), SyncError> {
        for number in numbers.rev() {
            self.same(&names::channel(name, number), channel::LOST, Envelope::MAX_BYTES)?;
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

    /// Create a small file that never changes.
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

/// A file's bytes; none if it has more than it can have.
fn small(store: &Store, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
    match store.get(path, limit) {
        Err(StoreError::TooLarge { .. }) => Ok(None),
        bytes => bytes,
    }
}
