//! Which file has which bytes of an ext4 image. Only reports use it: an error in a file system changes no delta.
use super::raw::Raw;
use mkext4::reader::{Fs, ReadAt};
use std::collections::BTreeSet;
use std::io;

/// Most files that are told apart.
const ENTRIES: usize = 4_000_000;
/// The file type of folders, and the flag of inodes that have extents (Documentation/filesystems/ext4).
const FOLDER: u8 = 2;
const HAS_EXTENTS: u32 = 0x0008_0000;
const ROOT: u32 = 2;

/// Bytes of an image with their file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Owned {
    start: u64,
    end: u64,
    file: usize,
}

/// The files of an image, by their places.
#[derive(Debug, Default)]
pub(super) struct Owners {
    places: Vec<Owned>,
    paths: Vec<String>,
}

struct Source<'a>(&'a dyn Raw);

impl ReadAt for Source<'_> {
    fn read_exact_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, into)
    }
}

impl Owners {
    /// Of this image; none if it is not ext4, or can't be read as such.
    pub(super) fn of(image: &dyn Raw) -> Option<Owners> {
        let fs = Fs::open(Source(image)).ok()?;
        let block = fs.superblock().block_size();
        let mut owners = Owners::default();
        let (mut folders, mut seen) = (vec![(ROOT, String::new())], BTreeSet::from([ROOT]));
        while let Some((folder, at)) = folders.pop() {
            for entry in fs.read_dir(folder).ok()? {
                if entry.name == b"." || entry.name == b".." || owners.paths.len() >= ENTRIES {
                    continue;
                }
                let path = format!("{at}/{}", String::from_utf8_lossy(&entry.name));
                let Ok(inode) = fs.inode(entry.inode) else { continue };
                if inode.flags & HAS_EXTENTS != 0
                    && let Ok(extents) = fs.extents(entry.inode, &inode)
                {
                    let file = owners.paths.len();
                    owners.paths.push(path.clone());
                    owners.places.extend(extents.iter().map(|e| {
                        let start = e.physical.saturating_mul(block);
                        Owned { start, end: start.saturating_add(u64::from(e.len) * block), file }
                    }));
                }
                if entry.file_type == FOLDER && seen.insert(entry.inode) {
                    folders.push((entry.inode, path));
                }
            }
        }
        // Of a file with several names, the first in order has the bytes.
        owners.places.sort_unstable();
        owners.places.dedup_by_key(|owned| owned.start);
        Some(owners)
    }

    /// The file that has the byte at this offset.
    pub(super) fn at(&self, offset: u64) -> Option<&str> {
        let behind = self.places.partition_point(|owned| owned.start <= offset);
        let owned = self.places.get(behind.checked_sub(1)?)?;
        if offset < owned.end { self.paths.get(owned.file).map(String::as_str) } else { None }
    }
}
