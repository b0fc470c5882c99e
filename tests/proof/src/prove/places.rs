//! Where a card's partitions are, and a look at them in an image that doesn't change.
use super::{faults::eio, image::Image};
use bistable::ports::{Fault, Partitions, Volume};
use bistable_boot::layout::{Partition, STATE_BYTES};
use std::sync::Arc;

/// Where the partitions are, in bytes.
#[derive(Clone, Debug)]
pub struct Places([(u64, u64); 7]);

impl Places {
    /// First byte and number of bytes of each partition, by [`Partition::ALL`].
    pub fn new(places: [(u64, u64); 7]) -> Places {
        Places(places)
    }

    /// First byte of a partition.
    pub fn start(&self, partition: Partition) -> u64 {
        self.0[usize::from(partition.number() - 1)].0
    }

    /// Bytes of a partition.
    pub fn bytes(&self, partition: Partition) -> u64 {
        match partition {
            // All that is ever used of it; the card may have given it more.
            Partition::State => STATE_BYTES,
            p => self.0[usize::from(p.number() - 1)].1,
        }
    }
}

/// Partitions of an image that doesn't change: for the firmware, and for whoever judges.
#[derive(Clone, Debug)]
pub struct Snapshot<'a> {
    image: Arc<Image>,
    places: &'a Arc<Places>,
}

impl<'a> Snapshot<'a> {
    /// Look at an image.
    pub fn new(image: &Image, places: &'a Arc<Places>) -> Snapshot<'a> {
        Snapshot { image: Arc::new(image.clone()), places }
    }

    /// A partition.
    pub fn volume(&self, partition: Partition) -> Arc<dyn Volume> {
        let (image, places) = (Arc::clone(&self.image), Arc::clone(self.places));
        Arc::new(StillVolume { image, places, partition })
    }
}

impl Partitions for Snapshot<'_> {
    fn open(&mut self, partition: Partition) -> Result<Arc<dyn Volume>, Fault> {
        Ok(self.volume(partition))
    }
}

struct StillVolume {
    image: Arc<Image>,
    places: Arc<Places>,
    partition: Partition,
}

impl Volume for StillVolume {
    fn bytes(&self) -> u64 {
        self.places.bytes(self.partition)
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault> {
        let at = self.places.start(self.partition) + at;
        if !self.image.is_readable(at, into.len()) {
            return Err(eio("reading", self.partition));
        }
        self.image.read(at, into);
        Ok(())
    }

    fn write(&self, _: u64, _: &[u8]) -> Result<(), Fault> {
        Err(Fault::Unfit("an image that is only looked at".into()))
    }

    fn flush(&self) -> Result<(), Fault> {
        Ok(())
    }
}
