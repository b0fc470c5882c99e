//! Names and link targets that are not UTF-8.
//!
//! For Linux a name is bytes, for the ext4 writer text. So such a name is declared under a *stand-in* of the same
//! length, and when the layout is frozen the blocks that hold stand-ins are rewritten with the real bytes and
//! new checksums. A large folder is an index by the names' hashes: there the stand-in is searched for whose
//! hash falls into the same gap between the folder's other names, so that the real name is found where the
//! stand-in was sorted in.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;

use mkext4::dirhash::{HashSeed, Signedness, half_md4};
use mkext4::reader::{Fs, ReadAt};
use mkext4::spec::DirentIter;
use mkext4::{Layout, RegionSink, csum};

use super::LOST_FOUND;
use crate::volume::error::{EntryProblem, VolumeError, lossy};
use crate::volume::options::BLOCK;
use crate::volume::tree::{Kind, NodeId, ROOT, Tree};

const BLOCK_LEN: usize = 4096;
/// From this many bytes of entries on the writer makes a folder an index.
const INDEXED_FROM: usize = BLOCK_LEN - 24;
/// How many stand-ins are tried for one name; some ten seconds.
const TRIES: u64 = 50_000_000;
/// What stand-ins consist of.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Stand-ins for all names and targets of a tree that need one.
#[derive(Debug, Default)]
pub(super) struct StandIns {
    names: HashMap<NodeId, HashMap<Box<[u8]>, String>>,
    targets: HashMap<NodeId, String>,
    /// Where they are: the path, in the names that the layout has, of each folder and each link concerned.
    folders: Vec<(NodeId, String)>,
    links: Vec<(Box<[u8]>, String)>,
}

/// Blocks to be replaced, by their number.
#[derive(Debug, Default)]
pub(super) struct Patches(HashMap<u64, Vec<u8>>);

impl StandIns {
    /// Finds the stand-ins; in an ordinary tree there are none, and this is one look at each name.
    pub(super) fn find(tree: &Tree, seed: &HashSeed, source: &Path) -> Result<Self, VolumeError> {
        let mut found = Self::default();
        let mut odd = BTreeSet::new();
        let walked: Result<(), std::convert::Infallible> = tree.walk(|_, parent, name, id| {
            if std::str::from_utf8(name).is_err() {
                odd.insert(parent);
            }
            if let Kind::Symlink(target) = &tree.node(id).kind
                && std::str::from_utf8(target).is_err()
            {
                found.targets.insert(id, "?".repeat(target.len()));
            }
            Ok(())
        });
        let Ok(()) = walked;
        if odd.is_empty() && found.targets.is_empty() {
            return Ok(found);
        }
        for folder in odd {
            let problem = |name: &[u8]| {
                VolumeError::Entry {
                path: source.into(),
                entry: lossy(name),
                problem: EntryProblem::Unrepresentable {
                    why: "the built-in ext4 writer can't hold this name, which is not UTF-8; rename it, or use \
                          the backend mke2fs"
                        .into(),
                },
            }
            };
            let names = stand_ins(tree, folder, seed).map_err(|name| problem(&name))?;
            found.names.insert(folder, names);
        }
        found.locate(tree)?;
        Ok(found)
    }

    /// Notes the paths under which folders and links will be in the layout.
    fn locate(&mut self, tree: &Tree) -> Result<(), VolumeError> {
        let mut paths: HashMap<NodeId, String> = HashMap::from([(ROOT, String::new())]);
        let mut links = HashMap::new();
        tree.walk(|_, parent, name, id| {
            let path = format!(
                "{}/{}",
                paths.get(&parent).map(String::as_str).unwrap_or_default(),
                self.name(parent, name)?
            );
            match &tree.node(id).kind {
                Kind::Folder(_) => {
                    paths.insert(id, path);
                }
                Kind::Symlink(target) if self.targets.contains_key(&id) => {
                    links.insert(id, (target.clone(), path));
                }
                _ => {}
            }
            Ok::<(), VolumeError>(())
        })?;
        self.folders = self.names.keys().filter_map(|id| Some((*id, paths.get(id)?.clone()))).collect();
        self.links = links.into_values().collect();
        Ok(())
    }

    /// The name under which an entry is declared.
    pub(super) fn name<'a>(&'a self, parent: NodeId, name: &'a [u8]) -> Result<&'a str, VolumeError> {
        match std::str::from_utf8(name) {
            Ok(text) => Ok(text),
            Err(_) => (self.names.get(&parent).and_then(|names| names.get(name)).map(String::as_str))
                .ok_or_else(|| VolumeError::Internal("a name has no stand-in".into())),
        }
    }

    /// The target with which a link is declared.
    pub(super) fn target<'a>(&'a self, link: NodeId, target: &'a [u8]) -> Result<&'a str, VolumeError> {
        match std::str::from_utf8(target) {
            Ok(text) => Ok(text),
            Err(_) => (self.targets.get(&link).map(String::as_str))
                .ok_or_else(|| VolumeError::Internal("a link has no stand-in".into())),
        }
    }

    /// The blocks in which real names replace the stand-ins.
    pub(super) fn patches(&self, layout: &Layout) -> Result<Patches, VolumeError> {
        let mut patches = Patches::default();
        if self.folders.is_empty() && self.links.is_empty() {
            return Ok(patches);
        }
        let mut blocks = Blocks { blocks: HashMap::new(), len: layout.image_len() };
        layout.writer(&mut blocks).map_err(VolumeError::Ext4)?;
        let fs = Fs::open(blocks).map_err(VolumeError::Ext4)?;
        for (folder, path) in &self.folders {
            let names = self.names.get(folder).into_iter().flatten();
            let names = names.map(|(real, stand_in)| (stand_in.as_bytes(), &**real)).collect();
            patches.folder(&fs, path, &names).map_err(VolumeError::Ext4)?;
        }
        for (target, path) in &self.links {
            patches.link(&fs, path, target).map_err(VolumeError::Ext4)?;
        }
        Ok(patches)
    }
}

/// Stand-ins for one folder; the error is the name for which there is none.
fn stand_ins(tree: &Tree, folder: NodeId, seed: &HashSeed) -> Result<HashMap<Box<[u8]>, String>, Vec<u8>> {
    let Kind::Folder(entries) = &tree.node(folder).kind else {
        return Ok(HashMap::new());
    };
    let hash = |name: &[u8]| half_md4(seed, Signedness::Signed, name).0;
    // ROOT has one more entry, which the writer adds.
    let hashes: BTreeSet<u32> =
        entries.keys().map(|name| hash(name)).chain((folder == ROOT).then(|| hash(LOST_FOUND))).collect();
    let record = |len: usize| (len + 8).next_multiple_of(4);
    let lost_found = if folder == ROOT { record(LOST_FOUND.len()) } else { 0 };
    let indexed = lost_found + entries.keys().map(|name| record(name.len())).sum::<usize>() >= INDEXED_FROM;
    let mut found: HashMap<Box<[u8]>, String> = HashMap::new();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for name in entries.keys().filter(|name| std::str::from_utf8(name).is_err()) {
        let real = hash(name);
        // Above the name before it and up to its own: then the order of all names is what it would be.
        let below = hashes.range(..real).next_back().copied();
        let fits = |candidate: &str| {
            let hash = hash(candidate.as_bytes());
            (!indexed || hash <= real && below.is_none_or(|below| hash > below))
                && !entries.contains_key(candidate.as_bytes())
                && !taken.contains(candidate)
        };
        let stand_in = (0..TRIES).map_while(|number| candidate(number, name.len())).find(|text| fits(text));
        let stand_in = stand_in.ok_or_else(|| name.to_vec())?;
        taken.insert(stand_in.clone());
        found.insert(name.clone(), stand_in);
    }
    Ok(found)
}

/// The number as a text of exactly `len` letters; `None` if there is none.
fn candidate(mut number: u64, len: usize) -> Option<String> {
    let mut text = String::with_capacity(len);
    for _ in 0..len {
        let letter = LETTERS.get(usize::try_from(number % 64).ok()?)?;
        text.push(char::from(*letter));
        number /= 64;
    }
    (number == 0).then_some(text)
}

impl Patches {
    /// A region of the image with its patches, if any block of it has one.
    pub(super) fn apply(&self, offset: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        let first = offset / BLOCK;
        let mut patched: Option<Vec<u8>> = None;
        for (number, at) in (first..).zip((0..bytes.len()).step_by(BLOCK_LEN)) {
            if let Some(block) = self.0.get(&number) {
                let whole = patched.get_or_insert_with(|| bytes.to_vec());
                whole.iter_mut().skip(at).zip(block).for_each(|(to, from)| *to = *from);
            }
        }
        patched
    }

    fn block(&mut self, fs: &Fs<Blocks>, number: u64) -> Result<&mut Vec<u8>, mkext4::Error> {
        let block = match self.0.remove(&number) {
            Some(block) => block,
            None => fs.read_block(number)?,
        };
        Ok(self.0.entry(number).or_insert(block))
    }

    fn folder(
        &mut self,
        fs: &Fs<Blocks>,
        path: &str,
        names: &HashMap<&[u8], &[u8]>,
    ) -> Result<(), mkext4::Error> {
        let ino = resolve(fs, path)?;
        let inode = fs.inode(ino)?;
        for extent in fs.extents(ino, &inode)? {
            for number in (extent.physical..).take(extent.len as usize) {
                let block = fs.read_block(number)?;
                let mut places = Vec::new();
                // An index block reads as one unused entry.
                for entry in DirentIter::new(&block) {
                    let entry = entry?;
                    if let Some(real) = names.get(entry.name) {
                        places.push((entry.offset + 8, *real));
                    }
                }
                if places.is_empty() {
                    continue;
                }
                let block = self.block(fs, number)?;
                for (at, real) in places {
                    block.iter_mut().skip(at).zip(real).for_each(|(to, from)| *to = *from);
                }
                let sum = csum::dirent_block(csum::inode_seed(fs.fs_seed(), ino, inode.generation), block);
                put(block, BLOCK_LEN - 4, &sum.to_le_bytes());
            }
        }
        Ok(())
    }

    fn link(&mut self, fs: &Fs<Blocks>, path: &str, target: &[u8]) -> Result<(), mkext4::Error> {
        let ino = resolve(fs, path)?;
        let inode = fs.inode(ino)?;
        if let Some(extent) = fs.extents(ino, &inode)?.first() {
            put(self.block(fs, extent.physical)?, 0, target);
            return Ok(());
        }
        let per_group = fs.superblock().inodes_per_group;
        let size = u64::from(fs.superblock().inode_size);
        let group = fs.group_desc(u64::from((ino - 1) / per_group))?;
        let place = group.inode_table * BLOCK + u64::from((ino - 1) % per_group) * size;
        let at = usize::try_from(place % BLOCK).unwrap_or(0);
        let block = self.block(fs, place / BLOCK)?;
        put(block, at + 0x28, target);
        let raw = block
            .get(at..)
            .and_then(|rest| rest.get(..usize::try_from(size).unwrap_or(0)))
            .unwrap_or_default();
        let [s0, s1, s2, s3] = csum::inode(fs.fs_seed(), ino, inode.generation, raw).to_le_bytes();
        put(block, at + 0x7c, &[s0, s1]);
        put(block, at + 0x82, &[s2, s3]);
        Ok(())
    }
}

fn resolve(fs: &Fs<Blocks>, path: &str) -> Result<u32, mkext4::Error> {
    if path.is_empty() { Ok(mkext4::spec::ROOT_INO) } else { fs.resolve(path) }
}

fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    block.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

/// The metadata of an image by block; what isn't there is zero.
#[derive(Debug)]
struct Blocks {
    blocks: HashMap<u64, Box<[u8]>>,
    len: u64,
}

impl RegionSink for Blocks {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        for (number, block) in (offset / BLOCK..).zip(bytes.chunks(BLOCK_LEN)) {
            self.blocks.insert(number, block.into());
        }
        Ok(())
    }

    fn zeros(&mut self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
}

impl ReadAt for Blocks {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let within = usize::try_from(at % BLOCK).unwrap_or(0);
            let len = rest.len().min(BLOCK_LEN - within);
            let (now, later) = rest.split_at_mut(len);
            now.fill(0);
            if let Some(block) = self.blocks.get(&(at / BLOCK)) {
                now.iter_mut().zip(block.iter().skip(within)).for_each(|(to, from)| *to = *from);
            }
            at += len as u64;
            rest = later;
        }
        Ok(())
    }
}
