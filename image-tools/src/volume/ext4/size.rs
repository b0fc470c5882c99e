//! How large an ext4 file system must be for a tree: an upper bound, before it is laid out.

use crate::volume::error::VolumeError;
use crate::volume::options::BLOCK;
use crate::volume::tree::{Kind, Node, ROOT, Tree};

/// Blocks per group.
const GROUP: u64 = 32_768;
/// The same in bytes.
pub(super) const GROUP_BYTES: u64 = GROUP * BLOCK;
/// The smallest file system with a journal, in bytes.
const LEAST: u64 = 16 << 20;
/// What the extended attributes of one inode may take: one block and the room in the inode.
pub(super) const MAX_XATTR_BYTES: u64 = BLOCK - 32 - 4;
/// Room for extended attributes within an inode, in bytes.
const INODE_XATTRS: u64 = 96 - 4 - 4;
/// Inodes that exist in every file system.
const RESERVED_INODES: u64 = 11;
/// Bytes of a volume per inode, as `mke2fs` has it.
const BYTES_PER_INODE: u64 = 16_384;
/// Extents in one block of an extent tree.
const EXTENTS: u64 = 340;
/// Longest extent in blocks.
const LONGEST_EXTENT: u64 = 32_768;

/// What a tree takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Need {
    /// Blocks of files, folders, long links and attributes.
    blocks: u64,
    inodes: u64,
}

/// Whether a size is possible at all.
pub(super) fn check(size: u64) -> Result<(), VolumeError> {
    if size < LEAST {
        return Err(VolumeError::BadSize { size, why: "an ext4 volume has at least 16 MiB (16777216)" });
    }
    if size / BLOCK >= u64::from(u32::MAX) {
        return Err(VolumeError::BadSize {
            size,
            why: "an ext4 volume of 4 KiB blocks is smaller than 16 TiB",
        });
    }
    Ok(())
}

/// Journal size in blocks for a file system of `blocks`: the steps of `mke2fs`, but at most 64 MiB. A slot is
/// written rarely, and a journal takes room in every slot.
pub(super) fn journal(blocks: u64) -> u32 {
    match blocks {
        0..=32_767 => 1024,
        32_768..=262_143 => 4096,
        262_144..=524_287 => 8192,
        _ => 16_384,
    }
}

/// What an inode's extended attributes take, as entries and values.
pub(super) fn xattr_bytes(node: &Node) -> u64 {
    let entry = |name: &str| 16 + (name.len() as u64).next_multiple_of(4);
    node.xattrs.iter().map(|(name, value)| entry(name) + (value.len() as u64).next_multiple_of(4)).sum()
}

impl Need {
    pub(super) fn of(tree: &Tree) -> Self {
        let mut need = Self { blocks: 4, inodes: RESERVED_INODES };
        let mut seen = vec![false; tree.len()];
        need.add(tree.node(ROOT));
        let walked: Result<(), std::convert::Infallible> = tree.walk(|_, _, _, id| {
            if let Some(seen) = seen.get_mut(id.index())
                && !std::mem::replace(seen, true)
            {
                need.inodes += 1;
                need.add(tree.node(id));
            }
            Ok(())
        });
        let Ok(()) = walked;
        need
    }

    fn add(&mut self, node: &Node) {
        let xattrs = xattr_bytes(node);
        self.blocks += u64::from(xattrs > INODE_XATTRS);
        self.blocks += match &node.kind {
            Kind::Folder(entries) => {
                // An entry never spans blocks, so up to 263 bytes at the end of each may be lost.
                let bytes: u64 = entries.keys().map(|name| (name.len() as u64 + 8).next_multiple_of(4)).sum();
                let leaves = (bytes + 24).div_ceil(BLOCK - 12 - 263);
                if leaves == 1 { 1 } else { leaves + 1 + leaves.div_ceil(500) }
            }
            Kind::File(data) => {
                let whole = data.size.div_ceil(BLOCK);
                let (blocks, ranges) = match &data.data {
                    None => (whole, 1),
                    Some(data) => {
                        (data.iter().map(|range| range.len.div_ceil(BLOCK)).sum(), data.len() as u64)
                    }
                };
                let extents = ranges + blocks / LONGEST_EXTENT;
                blocks + if extents <= 3 { 0 } else { extents.div_ceil(EXTENTS) * 2 + 1 }
            }
            Kind::Symlink(target) => u64::from(target.len() > 59),
            _ => 0,
        };
    }

    /// Blocks that a file system of `blocks` uses for itself.
    fn overhead(blocks: u64, inodes: u64) -> u64 {
        let groups = blocks.div_ceil(GROUP).max(1);
        let tables = inodes.div_ceil(groups).div_ceil(16);
        let descriptors = (groups * 32).div_ceil(BLOCK);
        // Backups at 1 and the powers of 3, 5 and 7; an upper bound.
        let backups = 2 + 3 * u64::from(groups.ilog2());
        // A table that would meet a backup moves behind it; an extent tree may grow where a file is split.
        let lost = groups.div_ceil(16) * tables * 2 + groups;
        (1 + descriptors) * (1 + backups.min(groups))
            + groups * (2 + tables)
            + lost
            + u64::from(journal(blocks))
    }

    fn solve(self, free: impl Fn(u64) -> u64, inodes: impl Fn(u64) -> u64) -> u64 {
        let mut blocks = LEAST / BLOCK;
        // Grows towards the answer; ends since the overhead grows much more slowly than the size.
        for _ in 0..64 {
            let inodes = inodes(blocks);
            // A group holds at most 32768 inodes.
            let groups = inodes.div_ceil(32_768);
            let wanted = free(self.blocks + Self::overhead(blocks, inodes)).max(if groups > 1 {
                groups * GROUP
            } else {
                0
            });
            if wanted <= blocks {
                break;
            }
            blocks = wanted;
        }
        blocks * BLOCK
    }

    /// The smallest size that is surely enough, in bytes.
    pub(super) fn least(&self) -> u64 {
        self.solve(|blocks| blocks, |_| self.inodes)
    }

    /// The size with 10 % of free space and spare inodes, in bytes.
    pub(super) fn fitting(&self) -> u64 {
        self.solve(|blocks| blocks + blocks / 9, |blocks| self.spare_inodes(blocks * BLOCK))
            .next_multiple_of(4 << 20)
    }

    fn spare_inodes(&self, size: u64) -> u64 {
        (self.inodes + self.inodes / 10 + 256).max(size / BYTES_PER_INODE)
    }

    /// The number of inodes for a file system of that size: spare ones if there is room for them.
    pub(super) fn inodes(&self, size: u64) -> u32 {
        let spare = self.spare_inodes(size);
        let fits = |inodes| {
            let groups = (size / BLOCK).div_ceil(GROUP);
            inodes <= groups * 32_768 && self.blocks + Self::overhead(size / BLOCK, inodes) <= size / BLOCK
        };
        let inodes = if fits(spare) { spare } else { self.inodes };
        u32::try_from(inodes).unwrap_or(u32::MAX)
    }
}
