//! A signed file whose creation in the store isn't confirmed, and how the next change of its channel finishes it.
use super::Known;
use crate::clock::Clock;
use crate::repository::catalog::CatalogError;
use crate::repository::channel::{ChannelError, ChannelFile, ChannelLog, Lacking};
use crate::repository::lease::Lease;
use crate::repository::manifest;
use crate::repository::memory::TrustStoreError;
use crate::repository::notice::{Notice, Notices};
use crate::repository::store::Claim;
use bistable_format::repository as names;
use std::collections::BTreeSet;

impl Known {
    /// The highest number of a channel that was signed or accepted here, created in the store or not.
    ///
    /// # Errors
    /// A memory that can't be read; a pending file that can't be.
    pub(in crate::repository) fn highest(&self, log: &ChannelLog<'_>) -> Result<u64, ChannelError> {
        let pending = self.pending(log)?.map_or(0, |(file, _)| file.channel.sequence);
        Ok(self.channel(log.name())?.map_or(0, |mark| mark.number).max(pending))
    }

    /// The pending file of a channel, and its bytes.
    pub(super) fn pending(
        &self,
        log: &ChannelLog<'_>,
    ) -> Result<Option<(ChannelFile, Vec<u8>)>, ChannelError> {
        let Some(bytes) = self.memory.pending(&self.repository, log.name())? else { return Ok(None) };
        let file = log.open_any(&bytes).map_err(|source| ChannelError::Pending {
            name: log.name().into(),
            repository: self.repository,
            source: Box::new(source),
        })?;
        Ok(Some((file, bytes)))
    }

    /// Finish what a crash or a failed store left open: create the file that was signed, with the same bytes, unless another one has
    /// its number by now. Only for a verb that changes this channel: it says so, and whoever runs it expects a change. `newest` reads
    /// and checks the store's newest file.
    ///
    /// # Errors
    /// See [`ChannelError`].
    pub(in crate::repository) fn settle(
        &self,
        log: &ChannelLog<'_>,
        newest: &dyn Fn() -> Result<Option<ChannelFile>, ChannelError>,
        clock: &dyn Clock,
        notices: &dyn Notices,
    ) -> Result<(), ChannelError> {
        let name = log.name();
        if self.memory.pending(&self.repository, name)?.is_none() {
            return Ok(());
        }
        // One that another process is about to create is not left over.
        let _lock = self.lock(name, clock, notices)?;
        let Some((pending, bytes)) = self.pending(log)? else { return Ok(()) };
        let (newest, number) = (newest()?, pending.channel.sequence);
        let there = newest.as_ref().map_or(0, |newest| newest.channel.sequence);
        if self.channel(name)?.is_some_and(|mark| mark.number >= number) || number <= there {
            return Ok(self.memory.set_pending(&self.repository, name, None)?);
        }
        if number > there + 1 {
            return Err(log.behind(there, number));
        }
        if pending.channel.previous != newest.map(|newest| newest.digest) {
            return Err(ChannelError::Broken { name: name.into(), sequence: number });
        }
        if pending.root != log.roots().newest().root.version {
            return Err(ChannelError::PendingOldRoot { name: name.into(), sequence: number });
        }
        let _hold = require_named(log, &pending, clock).map_err(|source| {
            ChannelError::PendingIncomplete { name: name.into(), sequence: number, source: Box::new(source) }
        })?;
        let act = &pending.channel.act;
        notices.notice(&Notice::Finishing {
            channel: name.into(),
            number,
            verb: act.verb.clone(),
            about: act.about.clone(),
        });
        let (Claim::Ours | Claim::Theirs(_)) = self.create(log, &pending, &bytes)?;
        Ok(())
    }

    /// Whether a pending file must be settled before another file of the channel is signed. One that is older than what the store has,
    /// or whose number is given up, is replaced.
    pub(super) fn must_settle(
        &self,
        log: &ChannelLog<'_>,
        bytes: &[u8],
        given_up: Option<u64>,
    ) -> Result<bool, ChannelError> {
        let Some((pending, signed)) = self.pending(log)? else { return Ok(false) };
        let remembered = self.channel(log.name())?.map_or(0, |mark| mark.number);
        Ok(signed != bytes && pending.channel.sequence > remembered.max(given_up.unwrap_or(0)))
    }

    /// Create a signed file, record it, and remove the pending one.
    pub(super) fn create(
        &self,
        log: &ChannelLog<'_>,
        file: &ChannelFile,
        bytes: &[u8],
    ) -> Result<Claim, ChannelError> {
        let sequence = file.channel.sequence;
        let claim = log.claim(sequence, bytes).map_err(|source| ChannelError::Unfinished {
            place: log.place().into(),
            name: log.name().into(),
            sequence,
            source: Box::new(source),
        })?;
        if claim == Claim::Ours {
            // The pending file stays if this fails: whoever commits next records it.
            let recorded: Result<(), TrustStoreError> = self.remember(log.name(), file.mark());
            if recorded.is_err() {
                return Ok(claim);
            }
        }
        self.memory.set_pending(&self.repository, log.name(), None)?;
        Ok(claim)
    }
}

/// Hold all that a channel's file names, and check whether it is there: it was uploaded before the file was signed, which may be weeks
/// ago.
fn require_named(log: &ChannelLog<'_>, file: &ChannelFile, clock: &dyn Clock) -> Result<Lease, Lacking> {
    let (store, channel) = (log.store(), &file.channel);
    let mut stored = Vec::new();
    for offer in &channel.offers {
        stored.push(manifest::read(store, log.roots(), &offer.release)?);
    }
    let mut blobs: BTreeSet<_> = channel.catalog.iter().map(|segment| segment.digest).collect();
    blobs.extend(stored.iter().flat_map(manifest::Stored::parts).map(|part| part.digest));
    let hold = Lease::take(store, clock, blobs)?;
    for stored in stored {
        stored.require_whole(store)?;
    }
    for segment in &channel.catalog {
        let path = names::blob(&segment.digest);
        if store.size(&path).map_err(CatalogError::from)? != Some(segment.bytes.into()) {
            return Err(CatalogError::Missing { place: store.place().into(), path }.into());
        }
    }
    Ok(hold)
}
