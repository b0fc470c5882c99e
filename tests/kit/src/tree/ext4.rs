//! An ext4 image as a [`Tree`], from its own structures.
//!
//! Written here because a ready reader shows neither inode numbers (hard links), device numbers nor extended attributes.
//! ```text
//! superblock (byte 1024) → group descriptors → inode tables → inode 2 = root
//!   inode: mode, owner, times, flags | 60 bytes: extent tree, short link target or device | attributes
//!   directory: (inode u32, record length u16, name length u8, type u8, name)*   hash-tree nodes look like empty records
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Device, Entry, Kind, Mtime, Name, Tree, TreeError};

const ROOT: u32 = 2;
const EXTENTS: u32 = 0x8_0000;
const INLINE_DATA: u32 = 0x1000_0000;
const XATTR_MAGIC: u32 = 0xea02_0000;
/// Features that change nothing for this reader: file type in directories, extents, 64 bit, flexible groups, checksum
/// seed, large directories.
const KNOWN_INCOMPAT: u32 = 0x2 | 0x40 | 0x80 | 0x200 | 0x2000 | 0x4000;
/// How often the size of the image a file may be, holes included; and how many runs it may have. More is damage, and would
/// take forever to read.
const LARGEST_FILE_IN_IMAGES: u64 = 8;
const MOST_EXTENTS: usize = 1 << 20;
/// The longest content held in memory: a directory or a link target.
const LONGEST_IN_MEMORY: u64 = 256 << 20;

pub(super) fn read(path: &Path) -> Result<Tree, TreeError> {
    let image = Image::open(path)?;
    let mut inodes: BTreeMap<u32, Vec<Name>> = BTreeMap::from([(ROOT, vec![Name::new()])]);
    let mut folders = vec![(ROOT, Name::new())];
    let mut seen = BTreeSet::from([ROOT]);
    while let Some((folder, prefix)) = folders.pop() {
        for (number, name) in image.list(folder)? {
            let mut full = prefix.clone();
            if !full.is_empty() {
                full.push(b'/');
            }
            full.extend_from_slice(&name);
            let inode = image.inode(number)?;
            if inode.kind() == 0o04_0000 {
                if !seen.insert(number) {
                    return Err(image.damaged("a directory with two parents", inode.at));
                }
                if full == b"lost+found" && image.list(number)?.is_empty() {
                    continue;
                }
                folders.push((number, full.clone()));
            }
            inodes.entry(number).or_default().push(full);
        }
    }
    let files: Result<Vec<_>, _> =
        inodes.into_iter().map(|(number, names)| Ok((image.entry(&image.inode(number)?)?, names))).collect();
    Ok(super::tree_of(files?.into_iter()))
}

struct Image<'a> {
    path: &'a Path,
    file: File,
    length: u64,
    block: u64,
    inodes: u32,
    inodes_per_group: u32,
    inode_size: u64,
    descriptors: u64,
    descriptor_size: u64,
}

/// One record of the inode table, and where it lies in the image.
struct Inode {
    raw: Vec<u8>,
    at: u64,
}

/// A run of blocks of a file; what lies between runs reads as zeros.
struct Extent {
    logical: u64,
    blocks: u64,
    /// None: reserved but never written, reads as zeros.
    physical: Option<u64>,
}

impl<'a> Image<'a> {
    fn open(path: &'a Path) -> Result<Self, TreeError> {
        let io = |source| TreeError::Io { path: path.into(), what: "opening the image", source };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut image = Self {
            path,
            file,
            length,
            block: 0,
            inodes: 0,
            inodes_per_group: 0,
            inode_size: 0,
            descriptors: 0,
            descriptor_size: 32,
        };
        let superblock = image.bytes(1024, 1024)?;
        let u16_of = |at| u16_at(&superblock, at).unwrap_or_default();
        let u32_of = |at| u32_at(&superblock, at).unwrap_or_default();
        if u16_of(56) != 0xef53 {
            return Err(image.damaged("no ext4 superblock", 1024));
        }
        let incompat = u32_of(96);
        if incompat & 0x4 != 0 {
            return Err(image.unsupported("a journal that was not replayed", 1024));
        }
        if incompat & !KNOWN_INCOMPAT != 0 {
            return Err(image.unsupported("an unknown feature", 1024 + 96));
        }
        if u32_of(24) > 6 {
            return Err(image.damaged("an impossible block size", 1024 + 24));
        }
        image.block = 1024 << u32_of(24);
        image.inodes = u32_of(0);
        image.inodes_per_group = u32_of(40);
        image.inode_size = u64::from(u16_of(88));
        image.descriptors = (u64::from(u32_of(20)) + 1) * image.block;
        if incompat & 0x80 != 0 {
            image.descriptor_size = u64::from(u16_of(254));
        }
        if image.inodes_per_group == 0 || image.inode_size < 128 || image.descriptor_size < 32 {
            return Err(image.damaged("an impossible geometry", 1024));
        }
        Ok(image)
    }

    fn damaged(&self, what: &'static str, at: u64) -> TreeError {
        TreeError::Damaged { path: self.path.into(), what, at }
    }

    fn unsupported(&self, what: &'static str, at: u64) -> TreeError {
        TreeError::Unsupported { path: self.path.into(), what, at }
    }

    fn bytes(&self, at: u64, count: u64) -> Result<Vec<u8>, TreeError> {
        let inside = at.checked_add(count).is_some_and(|end| end <= self.length);
        let size = usize::try_from(count).ok().filter(|_| inside);
        let mut bytes = vec![0; size.ok_or_else(|| self.damaged("something points past the end", at))?];
        let io = |source| TreeError::Io { path: self.path.into(), what: "reading the image", source };
        self.file.read_exact_at(&mut bytes, at).map_err(io)?;
        Ok(bytes)
    }

    fn block_bytes(&self, block: u64) -> Result<Vec<u8>, TreeError> {
        let at =
            block.checked_mul(self.block).ok_or_else(|| self.damaged("an impossible block number", 0))?;
        self.bytes(at, self.block)
    }

    fn inode(&self, number: u32) -> Result<Inode, TreeError> {
        let index = number.checked_sub(1).filter(|_| number <= self.inodes);
        let index = index.ok_or_else(|| self.damaged("an inode number that does not exist", 0))?;
        let descriptor = self.descriptors + u64::from(index / self.inodes_per_group) * self.descriptor_size;
        let raw = self.bytes(descriptor, self.descriptor_size)?;
        let low = u64::from(u32_at(&raw, 8).unwrap_or_default());
        let high = if raw.len() >= 64 { u64::from(u32_at(&raw, 40).unwrap_or_default()) } else { 0 };
        let table = (low | high << 32).checked_mul(self.block);
        let at = table
            .and_then(|table| table.checked_add(u64::from(index % self.inodes_per_group) * self.inode_size));
        let at = at.ok_or_else(|| self.damaged("an impossible inode table", descriptor))?;
        Ok(Inode { raw: self.bytes(at, self.inode_size)?, at })
    }

    fn entry(&self, inode: &Inode) -> Result<Entry, TreeError> {
        let kind = match inode.kind() {
            0o10_0000 => Kind::File { size: inode.size(), sha256: self.digest(inode)? },
            0o04_0000 => Kind::Directory,
            0o12_0000 => Kind::Symlink(self.link_target(inode)?),
            0o02_0000 => Kind::CharDevice(inode.device()),
            0o06_0000 => Kind::BlockDevice(inode.device()),
            0o01_0000 => Kind::Fifo,
            0o14_0000 => Kind::Socket,
            _ => return Err(self.damaged("an inode of no known type", inode.at)),
        };
        let mut xattrs = BTreeMap::new();
        let in_inode = 128 + inode.u16(0x80) as usize;
        if inode.raw.len() > 132 && inode.u32(in_inode) == XATTR_MAGIC {
            let area = inode.raw.get(in_inode + 4..).unwrap_or_default();
            attributes(area, area, &mut xattrs)
                .ok_or_else(|| self.damaged("malformed attributes", inode.at))?;
        }
        let block = u64::from(inode.u32(0x68)) | u64::from(inode.u16(0x76)) << 32;
        if block != 0 {
            let area = self.block_bytes(block)?;
            let entries = area.get(32..).filter(|_| u32_at(&area, 0) == Some(XATTR_MAGIC));
            let read = entries.and_then(|entries| attributes(entries, &area, &mut xattrs));
            read.ok_or_else(|| self.damaged("malformed attributes", block * self.block))?;
        }
        Ok(Entry {
            kind,
            mode: inode.u16(0) & 0o7777,
            uid: u32::from(inode.u16(2)) | u32::from(inode.u16(0x78)) << 16,
            gid: u32::from(inode.u16(0x18)) | u32::from(inode.u16(0x7a)) << 16,
            mtime: inode.mtime(),
            xattrs,
            hard_link: None,
        })
    }

    /// Names in a directory and their inode numbers, without `.` and `..`.
    fn list(&self, folder: u32) -> Result<Vec<(u32, Name)>, TreeError> {
        let inode = self.inode(folder)?;
        let damaged = || self.damaged("a malformed directory", inode.at);
        let bytes = self.content(&inode)?;
        let mut found = Vec::new();
        for block in bytes.chunks(usize::try_from(self.block).unwrap_or(usize::MAX)) {
            let mut at = 0;
            while at < block.len() {
                let number = u32_at(block, at).ok_or_else(damaged)?;
                // In blocks of 64 KiB a record of the whole block is written as 0 or 65535.
                let length = match u16_at(block, at + 4).ok_or_else(damaged)? {
                    0 | 0xffff => block.len() - at,
                    length => usize::from(length),
                };
                let name_length = usize::from(*block.get(at + 6).ok_or_else(damaged)?);
                if length < 8 || length < 8 + name_length || at + length > block.len() {
                    return Err(damaged());
                }
                let name = block.get(at + 8..at + 8 + name_length).ok_or_else(damaged)?;
                if number != 0 && name != b"." && name != b".." {
                    found.push((number, name.to_vec()));
                }
                at += length;
            }
        }
        Ok(found)
    }

    fn link_target(&self, inode: &Inode) -> Result<Vec<u8>, TreeError> {
        let short = usize::try_from(inode.size()).ok().filter(|size| *size < 60);
        match short {
            Some(size) if inode.u32(0x20) & EXTENTS == 0 => {
                Ok(inode.raw.get(0x28..0x28 + size).unwrap_or_default().to_vec())
            }
            _ => self.content(inode),
        }
    }

    fn content(&self, inode: &Inode) -> Result<Vec<u8>, TreeError> {
        if inode.size() > LONGEST_IN_MEMORY {
            return Err(self.damaged("an impossible size", inode.at));
        }
        let mut bytes = Vec::new();
        self.stream(inode, &mut |part| bytes.extend_from_slice(part))?;
        Ok(bytes)
    }

    fn digest(&self, inode: &Inode) -> Result<[u8; 32], TreeError> {
        let mut sha = Sha256::new();
        self.stream(inode, &mut |part| sha.update(part))?;
        Ok(sha.finalize().into())
    }

    /// Hands the content over in order, holes as zeros.
    fn stream(&self, inode: &Inode, to: &mut dyn FnMut(&[u8])) -> Result<(), TreeError> {
        let flags = inode.u32(0x20);
        if flags & INLINE_DATA != 0 || (flags & EXTENTS == 0 && inode.size() > 0) {
            return Err(self.unsupported("a file without extents", inode.at));
        }
        if inode.size() / LARGEST_FILE_IN_IMAGES > self.length {
            return Err(self.damaged("an impossible size", inode.at));
        }
        let mut extents = Vec::new();
        if inode.size() > 0 {
            self.extents(inode.raw.get(0x28..0x64).unwrap_or_default(), inode.at, 5, &mut extents)?;
        }
        let zeros = vec![0; 1 << 16];
        let size = inode.size();
        let mut done = 0;
        let fill = |from: u64, until: u64, to: &mut dyn FnMut(&[u8])| {
            let mut left = until.saturating_sub(from);
            while left > 0 {
                let part = left.min(zeros.len() as u64);
                to(zeros.get(..usize::try_from(part).unwrap_or_default()).unwrap_or_default());
                left -= part;
            }
        };
        for extent in extents {
            let start = (extent.logical * self.block).min(size);
            let end = ((extent.logical + extent.blocks) * self.block).min(size);
            if start < done {
                return Err(self.damaged("extents that overlap", inode.at));
            }
            fill(done, start, to);
            match extent.physical {
                None => fill(start, end, to),
                Some(physical) => {
                    let mut at = start;
                    while at < end {
                        let part = (end - at).min(1 << 20);
                        let from =
                            physical.checked_mul(self.block).and_then(|first| first.checked_add(at - start));
                        to(&self.bytes(from.unwrap_or(u64::MAX), part)?);
                        at += part;
                    }
                }
            }
            done = end;
        }
        fill(done, size, to);
        Ok(())
    }

    /// The runs below one node, in order. A tree is at most five levels deep.
    fn extents(&self, node: &[u8], at: u64, levels: u32, to: &mut Vec<Extent>) -> Result<(), TreeError> {
        let damaged = || self.damaged("a malformed extent tree", at);
        let (magic, count, depth) = (u16_at(node, 0), u16_at(node, 2), u16_at(node, 6));
        let (Some(0xf30a), Some(count), Some(depth), Some(levels)) =
            (magic, count, depth, levels.checked_sub(1))
        else {
            return Err(damaged());
        };
        // Only the root may be empty; so the runs found bound the nodes read.
        if count == 0 && levels < 4 {
            return Err(damaged());
        }
        for index in 1..=usize::from(count) {
            let record = node
                .get(index * 12..index * 12 + 12)
                .filter(|_| to.len() < MOST_EXTENTS)
                .ok_or_else(damaged)?;
            let (a, b, c) = (u32_at(record, 0), u16_at(record, 4), u16_at(record, 6));
            let (Some(a), Some(b), Some(c), Some(d)) = (a, b, c, u32_at(record, 8)) else {
                return Err(damaged());
            };
            if depth > 0 {
                // Index record: logical block u32, child low u32, child high u16.
                let child = u64::from(u32_at(record, 4).ok_or_else(damaged)?) | u64::from(d & 0xffff) << 32;
                let block = self.block_bytes(child)?;
                self.extents(&block, child * self.block, levels, to)?;
            } else {
                // Leaf record: logical block u32, length u16 (above 32768: not written), start high u16, start low u32.
                let start = u64::from(c) << 32 | u64::from(d);
                let written = b <= 0x8000;
                to.push(Extent {
                    logical: u64::from(a),
                    blocks: u64::from(if written { b } else { b - 0x8000 }),
                    physical: written.then_some(start),
                });
            }
        }
        Ok(())
    }
}

impl Inode {
    fn u16(&self, at: usize) -> u16 {
        u16_at(&self.raw, at).unwrap_or_default()
    }

    fn u32(&self, at: usize) -> u32 {
        u32_at(&self.raw, at).unwrap_or_default()
    }

    fn kind(&self) -> u16 {
        self.u16(0) & 0o17_0000
    }

    fn size(&self) -> u64 {
        u64::from(self.u32(4)) | u64::from(self.u32(0x6c)) << 32
    }

    /// The low 32 bits are signed; two more bits and the nanoseconds lie in the extra field, if the inode has one.
    fn mtime(&self) -> Mtime {
        let seconds = i64::from(self.u32(0x10).cast_signed());
        if self.raw.len() < 0x8c || self.u16(0x80) < 0x8c - 0x80 {
            return Mtime { seconds, nanos: 0 };
        }
        let extra = self.u32(0x88);
        Mtime { seconds: seconds + (i64::from(extra & 3) << 32), nanos: extra >> 2 }
    }

    /// The old 16-bit form in the first word, else the new one in the second.
    fn device(&self) -> Device {
        let (old, new) = (self.u32(0x28), self.u32(0x2c));
        if old != 0 {
            Device { major: old >> 8 & 0xff, minor: old & 0xff }
        } else {
            Device { major: new >> 8 & 0xfff, minor: new & 0xff | new >> 12 & 0xf_ff00 }
        }
    }
}

/// Reads attribute records from `records`; the offsets of their values count from the start of `values`.
fn attributes(mut records: &[u8], values: &[u8], to: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Option<()> {
    // The list ends with four zero bytes or with its area.
    while u32_at(records, 0).is_some_and(|word| word != 0) {
        let length = usize::from(*records.first()?);
        let prefix: &[u8] = match *records.get(1)? {
            0 => b"",
            1 => b"user.",
            2 => b"system.posix_acl_access",
            3 => b"system.posix_acl_default",
            4 => b"trusted.",
            6 => b"security.",
            7 => b"system.",
            8 => b"system.richacl",
            _ => return None,
        };
        let mut name = prefix.to_vec();
        name.extend_from_slice(records.get(16..16 + length)?);
        // A value in an inode of its own (feature ea_inode) is refused when the image is opened.
        let start = usize::from(u16_at(records, 2)?);
        let size = usize::try_from(u32_at(records, 8)?).ok()?;
        let mut value = values.get(start..start.checked_add(size)?)?.to_vec();
        if prefix.starts_with(b"system.posix_acl_") {
            value = access_list(&value)?;
        }
        to.insert(name, value);
        records = records.get((16 + length).next_multiple_of(4)..).unwrap_or_default();
    }
    Some(())
}

/// ext4 stores access lists shorter than programs see them: ids only where they mean something.
fn access_list(stored: &[u8]) -> Option<Vec<u8>> {
    if u32_at(stored, 0)? != 1 {
        return None;
    }
    let mut seen = 2_u32.to_le_bytes().to_vec();
    let mut at = 4;
    while at < stored.len() {
        let tag = u16_at(stored, at)?;
        seen.extend_from_slice(stored.get(at..at + 4)?);
        at += 4;
        if tag == 0x02 || tag == 0x08 {
            seen.extend_from_slice(stored.get(at..at + 4)?);
            at += 4;
        } else {
            seen.extend_from_slice(&u32::MAX.to_le_bytes());
        }
    }
    Some(seen)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
