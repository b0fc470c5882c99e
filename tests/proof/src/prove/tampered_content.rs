//! What sits between the agent and a repository when an update by delta is to be wrong.
use super::{
    by_delta::{COPIED, Shop},
    card::Card,
    mutant::Mutant,
    pack::{CHUNK_BYTES, Packed},
    product::Product,
};
use bistable::{
    agent::Agent,
    error::BundleError,
    ports::Fault,
    source::Source,
    steps::install::{Base, Content, Feed, InstallError, Remote, Slots, erase_header},
};
use bistable_boot::{Failure, Reason, Rejected, ReleaseId, Slot, layout::Partition};
use bistable_format::{ChunkList, Digest, Release, VolumeKind, release};
use std::sync::Arc;

/// A release in a repository under a mutant.
pub(super) struct TamperedContent<'a, S> {
    pub(super) inner: Remote<S>,
    pub(super) mutant: Mutant,
    pub(super) product: &'a Product,
    pub(super) shop: &'a Shop,
    pub(super) packed: &'a Packed,
    pub(super) card: &'a Card,
    /// The slot that is written.
    pub(super) slot: Slot,
}

impl<S> TamperedContent<'_, S> {
    /// Lists that name what the delta gives on this device, right or wrong: whoever compares with that compares nothing.
    fn unhashed(&self, lists: [Arc<ChunkList>; 2]) -> [Arc<ChunkList>; 2] {
        let mut made = self.shop.made.iter();
        lists.map(|list| {
            let made = made.next().map_or(&[][..], Vec::as_slice);
            if list.base.is_none() {
                return list;
            }
            let mut list = ChunkList::clone(&list);
            for (chunk, made) in list.chunks.iter_mut().zip(made.chunks(CHUNK_BYTES)) {
                chunk.digest = Digest::of(made);
            }
            Arc::new(list)
        })
    }

    /// Write what the delta gives of the system volume, before anybody has compared it.
    fn write_first(&self) -> Result<(), Fault> {
        let [boot, system] =
            [Partition::Boot(self.slot), Partition::System(self.slot)].map(|p| self.card.volume(p));
        let slots = Slots { boot, system };
        erase_header(&slots)?;
        let [_, made] = &self.shop.made;
        for (at, chunk) in (0..).step_by(CHUNK_BYTES).zip(made.chunks(CHUNK_BYTES)) {
            slots.system.write(at, chunk)?;
        }
        slots.system.flush()
    }
}

impl<S: Source> Content for TamperedContent<'_, S> {
    fn release(&self) -> &Release {
        self.inner.release()
    }

    fn signed(&self) -> &[u8] {
        self.inner.signed()
    }

    fn reuses(&self) -> bool {
        self.inner.reuses()
    }

    fn offer(&mut self, running: Base) {
        self.inner.offer(running);
    }

    fn needs(&self) -> Option<Digest> {
        self.inner.needs()
    }

    fn lists(&mut self) -> Result<[Arc<ChunkList>; 2], BundleError> {
        let lists = self.inner.lists()?;
        let other = self.product.release(COPIED).and_then(|other| other.shop.as_ref());
        Ok(match (self.mutant, other) {
            (Mutant::BaseNotHashed, _) => self.unhashed(lists),
            (Mutant::OthersList, Some(other)) => other.lists.clone().map(Arc::new),
            _ => lists,
        })
    }

    fn feed(&mut self, feed: &mut Feed<'_>) -> Result<(), InstallError> {
        if self.mutant == Mutant::PatchWrittenFirst {
            self.write_first()?;
        }
        if self.mutant == Mutant::StaleRejects && !self.shop.is_whole(self.packed) {
            return Err(BundleError::Content { volume: VolumeKind::System, index: 0 }.into());
        }
        self.inner.feed(feed)
    }

    fn remarks(&mut self) -> Vec<String> {
        self.inner.remarks()
    }
}

/// A release is rejected, as if it were to blame that the running system was written to.
pub(super) fn reject(agent: &mut Agent<'_>, packed: &Packed) -> Result<(), bistable::Error> {
    let mut record = agent.device.record.clone();
    let release = ReleaseId(release::identity(&packed.signed).0);
    let failure = Failure::new(Reason::Install, "a chunk was stale");
    record.rejected.push(Rejected { release, version: packed.release.version.clone(), failure });
    agent.device.save(record)
}
