//! Where each partition of a card lies.
//!
//! ```text
//! 4 MiB   16 MiB                         64 MiB                        at least 64 MiB
//! │ table │ bootconfig │ boot_a │ boot_b │ state │ system_a │ system_b │ persistent ... │ table │
//! ```
use super::{CardError, CardOptions};
use crate::size::Bytes;
use bistable_boot::Slot;
use bistable_boot::layout::{ALIGN, Partition, STATE_BYTES};
use bistable_format::{VolumeKind, Volumes};

/// Bytes of the boot configuration volume: a FAT12 or FAT16 with room for what older firmware needs.
pub(super) const BOOTCONFIG_BYTES: u64 = 16 << 20;
/// Bytes that `persistent` has at least: its file system has just these, and grows at first boot.
pub(super) const PERSISTENT_BYTES: u64 = 64 << 20;
/// Bytes that the second partition table takes at the card's end, rounded up to blocks.
const BACKUP_BYTES: u64 = 40 * 512;
/// The unit in which block maps count.
pub(super) const BLOCK: u64 = 4096;

/// A partition's place, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First byte.
    pub start: u64,
    /// Number of bytes.
    pub bytes: u64,
}

/// Where everything on a card is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardPlan {
    bytes: u64,
    /// Bytes of the file system of `persistent` before it grows.
    persistent: u64,
    /// In the order in which they lie on the card.
    partitions: [(Partition, Place); 7],
    notes: Vec<String>,
}

impl CardPlan {
    /// For a `persistent` with a tree of at most that many bytes.
    pub(super) fn new(options: &CardOptions, volumes: &Volumes, tree: u64) -> Result<CardPlan, CardError> {
        // As much again: the next version is installed beside it, perhaps before the file system grew.
        let persistent = PERSISTENT_BYTES + tree.saturating_mul(2).next_multiple_of(ALIGN);
        let mut notes = Vec::new();
        let mut slot = |kind, wanted| slot_bytes(kind, wanted, volumes.get(kind).bytes, &mut notes);
        let boot = slot(VolumeKind::Boot, options.boot_slot)?;
        let system = slot(VolumeKind::System, options.system_slot)?;
        let in_front = ALIGN + BOOTCONFIG_BYTES + STATE_BYTES + 2 * boot + 2 * system;
        let needed = (in_front + persistent + BACKUP_BYTES).next_multiple_of(ALIGN);
        let bytes = options.size.unwrap_or(needed);
        if !bytes.is_multiple_of(BLOCK) {
            return Err(CardError::BadSize {
                what: "a card",
                size: bytes,
                why: "it must be a multiple of 4096",
            });
        }
        if bytes < needed {
            return Err(CardError::TooSmall { size: bytes, needed });
        }
        let end = (bytes - BACKUP_BYTES) / ALIGN * ALIGN;
        let mut at = ALIGN;
        let mut next = |partition, bytes| {
            let place = Place { start: at, bytes };
            at += bytes;
            (partition, place)
        };
        let partitions = [
            next(Partition::Bootconfig, BOOTCONFIG_BYTES),
            next(Partition::Boot(Slot::A), boot),
            next(Partition::Boot(Slot::B), boot),
            // Behind the FAT partitions, so that these come first and in order.
            next(Partition::State, STATE_BYTES),
            next(Partition::System(Slot::A), system),
            next(Partition::System(Slot::B), system),
            next(Partition::Persistent, end - in_front),
        ];
        Ok(CardPlan { bytes, persistent, partitions, notes })
    }

    /// Bytes of the card.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn persistent(&self) -> u64 {
        self.persistent
    }

    /// All partitions, in the order in which they lie on the card.
    pub fn partitions(&self) -> &[(Partition, Place)] {
        &self.partitions
    }

    /// Where a partition lies.
    pub fn place(&self, partition: Partition) -> Place {
        // Every partition has its entry above.
        let found = self.partitions.iter().find(|(p, _)| *p == partition);
        found.map_or(Place { start: 0, bytes: 0 }, |(_, place)| *place)
    }

    /// What was decided without being asked for, one line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn slot_bytes(
    kind: VolumeKind,
    wanted: Option<u64>,
    image: u64,
    notes: &mut Vec<String>,
) -> Result<u64, CardError> {
    let slot = match wanted {
        Some(bytes) => bytes,
        None => {
            let bytes = (image + image / 2).next_multiple_of(ALIGN);
            notes.push(format!(
                "each {kind} slot gets {}: the image has {}, and half as much again is left for later versions; \
                 change it with --slot-size {kind}=SIZE",
                Bytes(bytes),
                Bytes(image),
            ));
            bytes
        }
    };
    if slot == 0 || !slot.is_multiple_of(ALIGN) || slot > 1 << 40 {
        let why = "it must be a multiple of 4 MiB, and at most 1 TiB";
        return Err(CardError::BadSize { what: "a slot", size: slot, why });
    }
    if slot < image {
        return Err(CardError::SlotTooSmall { kind, image, slot });
    }
    Ok(slot)
}
