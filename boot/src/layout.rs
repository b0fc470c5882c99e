//! The card: which partitions there are, and where things lie in the `state` partition.
//!
//! GPT, with the names and numbers of Raspberry Pi's own A/B layout (rpi-image-gen, layer `image-rota`), so that such
//! cards can be adopted; `state` is ours. Everything is aligned to [`ALIGN`].
//!
//! ```text
//! the card: the three FAT partitions come first and in order; `state` is number 7, wherever it lies
//! │ table │ bootconfig 1 │ boot_a 2 │ boot_b 3 │ state 7 │ system_a 4 │ system_b 5 │ persistent 6 … │ table │
//!
//! state partition, 64 MiB: sixteen groups of 4 MiB. What one write can damage lies in an erase group of its own
//!  0 MiB  │ journal 1st           │ journal 2nd           │ roots, floors 1st     │ roots, floors 2nd      │
//! 16 MiB  │ release A             │ release B             │ boot block 1st        │ boot block 2nd         │
//! 32 MiB  │ component record 1st  │ component record 2nd  │ chunk digests A       │ chunk digests B        │
//! 48 MiB  │ component releases 1st│ component releases 2nd│ reserved              │ reserved               │
//!
//! a group of roots and floors
//! 0                      1 MiB      2 MiB                      4 MiB
//! │ chain of signed roots│ zeros    │ floors, one page │ zeros │
//! ```
//! Every release of a component and every chunk digest has its place from the first card on: a partition table is never
//! rewritten on a device, so a place that a later version needs must be there already.
use crate::{BySlot, Lba, SECTOR, Slot};

/// Bytes in an SD card's erase group, as far as one has to care: nothing else shares one with a boot flag or journal.
pub const ALIGN: u64 = 4 << 20;
/// Bytes in the `state` partition.
pub const STATE_BYTES: u64 = 16 * ALIGN;

/// First sectors of the two journal copies, in `state`.
pub const JOURNAL: [Lba; 2] = [Lba::at_byte(0), Lba::at_byte(ALIGN)];
/// First sectors of the two copies of the chain of signed roots, in `state`.
pub const ROOT: [Lba; 2] = [Lba::at_byte(2 * ALIGN), Lba::at_byte(3 * ALIGN)];
/// First sectors of the two copies of the floors, in `state`: each in the group of a root copy. A card that loses one
/// group keeps the roots and the floors in the other.
pub const FLOORS: [Lba; 2] = [Lba::at_byte(2 * ALIGN + ALIGN / 2), Lba::at_byte(3 * ALIGN + ALIGN / 2)];
/// First sectors of the signed release that each slot was written from, in `state`.
pub const RELEASE: BySlot<Lba> = BySlot { a: Lba::at_byte(4 * ALIGN), b: Lba::at_byte(5 * ALIGN) };
/// The two copies of the boot block, in `state`; `boot/files/boot.cmd` has the same numbers.
pub const BOOT_BLOCK: [Lba; 2] = [Lba::at_byte(6 * ALIGN), Lba::at_byte(7 * ALIGN)];
/// First sectors of the two copies of the component record, in `state`: which version of each component runs, and what
/// its update in flight is about. See [`ComponentRecord`](crate::component::ComponentRecord).
pub const COMPONENTS: [Lba; 2] = [Lba::at_byte(8 * ALIGN), Lba::at_byte(9 * ALIGN)];
/// First sectors of the digests of all raw chunks in each slot, in `state`: with them, a delta finds the bytes that it
/// builds on without hashing the whole slot first. Not written yet.
pub const CHUNK_DIGESTS: BySlot<Lba> = BySlot { a: Lba::at_byte(10 * ALIGN), b: Lba::at_byte(11 * ALIGN) };
/// First sectors of the two areas for signed releases of components, in `state`: the checks of a component's trial come
/// from there. Not written yet.
pub const COMPONENT_RELEASES: [Lba; 2] = [Lba::at_byte(12 * ALIGN), Lba::at_byte(13 * ALIGN)];
/// First sectors of the two groups without a use, in `state`.
pub const RESERVED: [Lba; 2] = [Lba::at_byte(14 * ALIGN), Lba::at_byte(15 * ALIGN)];
/// Bytes set aside for one chain of roots, or one release.
pub const METADATA_BYTES: usize = 1 << 20;

/// Bytes at the start of a boot volume that make it look bootable: a FAT's boot sector, its FAT32 information and
/// backup sectors. Erased before a slot is written, written last, erased again after a failed trial.
pub const HEADER_BYTES: usize = 16 * SECTOR;

/// A partition, by its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Partition {
    /// FAT with `autoboot.txt`, never mounted read-write by us.
    Bootconfig,
    /// A slot's FAT with kernel and firmware files.
    Boot(Slot),
    /// A slot's root file system.
    System(Slot),
    /// What outlives updates; grows at first boot, so it lies last.
    Persistent,
    /// Journal, roots, floors and releases: see above.
    State,
}

impl Partition {
    /// All, by number.
    pub const ALL: [Partition; 7] = [
        Partition::Bootconfig,
        Partition::Boot(Slot::A),
        Partition::Boot(Slot::B),
        Partition::System(Slot::A),
        Partition::System(Slot::B),
        Partition::Persistent,
        Partition::State,
    ];

    /// Number in the partition table, counted from 1.
    pub const fn number(self) -> u8 {
        match self {
            Partition::Bootconfig => 1,
            Partition::Boot(Slot::A) => 2,
            Partition::Boot(Slot::B) => 3,
            Partition::System(Slot::A) => 4,
            Partition::System(Slot::B) => 5,
            Partition::Persistent => 6,
            Partition::State => 7,
        }
    }

    /// Name in the partition table.
    pub const fn name(self) -> &'static str {
        match self {
            Partition::Bootconfig => "bootconfig",
            Partition::Boot(Slot::A) => "boot_a",
            Partition::Boot(Slot::B) => "boot_b",
            Partition::System(Slot::A) => "system_a",
            Partition::System(Slot::B) => "system_b",
            Partition::Persistent => "persistent",
            Partition::State => "state",
        }
    }
}

/// The boot partitions' numbers, as `autoboot.txt` has them.
pub const BOOT_PARTITIONS: BySlot<u8> =
    BySlot { a: Partition::Boot(Slot::A).number(), b: Partition::Boot(Slot::B).number() };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_numbered_in_order_and_named_apart() {
        for (i, p) in Partition::ALL.iter().enumerate() {
            assert_eq!(usize::from(p.number()), i + 1);
            assert!(Partition::ALL.iter().filter(|q| q.name() == p.name()).count() == 1);
        }
    }

    #[test]
    fn nothing_in_state_shares_an_erase_group() {
        let bytes = |l: Lba| l.0 * SECTOR as u64;
        let group = |l: Lba| bytes(l) / ALIGN;
        let by_slot = |places: BySlot<Lba>| [places.a, places.b];
        let places: [[Lba; 2]; 8] = [
            JOURNAL,
            ROOT,
            by_slot(RELEASE),
            BOOT_BLOCK,
            COMPONENTS,
            by_slot(CHUNK_DIGESTS),
            COMPONENT_RELEASES,
            RESERVED,
        ];
        let groups: alloc::vec::Vec<u64> = places.iter().flatten().map(|at| group(*at)).collect();
        assert_eq!(groups, (0..16).collect::<alloc::vec::Vec<u64>>());
        assert!(places.iter().flatten().all(|at| bytes(*at).is_multiple_of(ALIGN)));
        assert!(METADATA_BYTES as u64 <= ALIGN);
        assert_eq!(STATE_BYTES, 16 * ALIGN);
    }

    #[test]
    fn each_copy_of_the_floors_lies_behind_its_roots_in_their_group() {
        for (roots, floors) in ROOT.iter().zip(FLOORS) {
            let bytes = |l: Lba| l.0 * SECTOR as u64;
            assert_eq!(bytes(*roots) / ALIGN, bytes(floors) / ALIGN);
            assert!(bytes(*roots) + METADATA_BYTES as u64 <= bytes(floors));
        }
    }
}
