//! The card: which partitions there are, and where things lie in the `state` partition.
//!
//! GPT, with the names and numbers of Raspberry Pi's own A/B layout (rpi-image-gen, layer `image-rota`), so that such
//! cards can be adopted; `state` is ours. Everything is aligned to [`ALIGN`].
//!
//! ```text
//! state partition, 32 MiB: what one write can damage lies in an erase group of its own
//! 0            4 MiB        8 MiB     12 MiB    16 MiB      20 MiB      24 MiB          28 MiB
//! │ journal 1st│ journal 2nd│ root 1st│ root 2nd│ release A │ release B │ boot block 1st│ boot block 2nd│
//! ```
use crate::{BySlot, Lba, SECTOR, Slot};

/// Bytes in an SD card's erase group, as far as one has to care: nothing else shares one with a boot flag or journal.
pub const ALIGN: u64 = 4 << 20;
/// Bytes in the `state` partition.
pub const STATE_BYTES: u64 = 8 * ALIGN;

/// First sectors of the two journal copies, in `state`.
pub const JOURNAL: [Lba; 2] = [Lba::at_byte(0), Lba::at_byte(ALIGN)];
/// First sectors of the two copies of the signed root metadata, in `state`.
pub const ROOT: [Lba; 2] = [Lba::at_byte(2 * ALIGN), Lba::at_byte(3 * ALIGN)];
/// First sectors of the signed release that each slot was written from, in `state`.
pub const RELEASE: BySlot<Lba> = BySlot { a: Lba::at_byte(4 * ALIGN), b: Lba::at_byte(5 * ALIGN) };
/// The two copies of the boot block, in `state`; `boot/files/boot.cmd` has the same numbers.
pub const BOOT_BLOCK: [Lba; 2] = [Lba::at_byte(6 * ALIGN), Lba::at_byte(7 * ALIGN)];
/// Bytes set aside for one root or release.
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
    /// Journal, root and releases: see above.
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
        let [first, second] = BOOT_BLOCK;
        let places = [JOURNAL[0], JOURNAL[1], ROOT[0], ROOT[1], RELEASE.a, RELEASE.b, first, second];
        let mut groups = places.map(group);
        groups.sort_unstable();
        assert!(groups.windows(2).all(|w| w[0] < w[1]));
        assert!(METADATA_BYTES as u64 <= ALIGN);
        assert!((groups[7] + 1) * ALIGN <= STATE_BYTES);
    }
}
