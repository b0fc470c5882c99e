//! A file tree in memory: what a volume will hold, wherever it came from.
//!
//! Names and link targets are bytes, as in Linux. Nothing here touches the host's files: a path that leads
//! through a symlink is refused, not followed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::path::Path;

use super::content::Contents;
use super::data::FileData;
use super::error::{EntryProblem, VolumeError, lossy};

/// The most entries a tree may have. Each takes about 1 KiB of memory until the image is written (measured: 1.0 GB
/// for a million).
pub const MAX_ENTRIES: usize = 4_000_000;
/// The longest name of one entry, in bytes.
pub const MAX_NAME: usize = 255;
/// The most names a file may have (ext4's limit).
pub const MAX_LINKS: u32 = 65_000;
/// The longest target of a symlink, in bytes.
pub const MAX_TARGET: usize = 4095;
/// The largest file ext4 can hold in 4 KiB blocks, in bytes.
pub const MAX_FILE: u64 = ((1 << 32) - 1) * 4096;

/// One inode of a [`Tree`], by its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

/// The root folder of every tree.
pub const ROOT: NodeId = NodeId(0);

impl NodeId {
    /// As an index, for side tables.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Seconds; negative before 1970.
    pub secs: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nanos: u32,
}

impl Time {
    /// This time, but not later than `epoch` seconds, and not earlier than an inode can hold (1901).
    #[must_use]
    pub fn clamp(self, epoch: u64) -> Self {
        let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
        if self.secs >= epoch {
            Self { secs: epoch, nanos: 0 }
        } else if self.secs < i64::from(i32::MIN) {
            Self { secs: i64::from(i32::MIN), nanos: 0 }
        } else {
            Self { secs: self.secs, nanos: self.nanos.min(999_999_999) }
        }
    }
}

/// Owner, mode and time of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky: `0o7777`.
    pub mode: u16,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Modification time.
    pub mtime: Time,
}

impl Meta {
    /// A folder that was not described: 0755, owned by root.
    #[must_use]
    pub fn implied_folder(epoch: u64) -> Self {
        let time = Time { secs: i64::MAX, nanos: 0 };
        Self { mode: 0o755, uid: 0, gid: 0, mtime: time.clamp(epoch) }
    }
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder; the map's order, that of bytes, is the order of everything that is written.
    Folder(BTreeMap<Box<[u8]>, NodeId>),
    /// A regular file.
    File(FileData),
    /// A symbolic link and its target.
    Symlink(Box<[u8]>),
    /// A character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// One extended attribute: full name such as `security.capability`, and value.
pub type Xattr = (Box<str>, Box<[u8]>);

/// One inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Owner, mode, time.
    pub meta: Meta,
    /// Extended attributes in the order of their names.
    pub xattrs: Vec<Xattr>,
    /// Number of names that lead to it; 0 for one that was replaced.
    pub links: u32,
}

/// Why an entry isn't the small file that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It's a folder, a symlink or something else.
    NotAFile,
    /// It has more bytes than it may have.
    TooLarge,
}

/// A file tree with the contents it refers to.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Where [`Source::Archive`] and [`Source::Spool`] point into.
    pub(crate) contents: Contents,
}

impl Tree {
    /// A tree that is only a root folder.
    #[must_use]
    pub fn new(root: Meta) -> Self {
        let node = Node { kind: Kind::Folder(BTreeMap::new()), meta: root, xattrs: Vec::new(), links: 1 };
        Self { nodes: vec![node], contents: Contents::default() }
    }

    /// The inode of an id that this tree gave out.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// Number of inodes, those that were replaced included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root folder.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// Puts a new inode into a folder. What had the name before is replaced, as in unpacking a tar: a folder
    /// over a folder keeps its entries, and nothing but a folder replaces a folder that has entries.
    ///
    /// # Errors
    /// A name that isn't possible, a parent that is no folder, or a full folder in the way.
    pub fn insert(&mut self, parent: NodeId, name: &[u8], mut node: Node) -> Result<NodeId, EntryProblem> {
        check_name(name)?;
        check_kind(&node.kind)?;
        if let Some(old) = self.child(parent, name)? {
            if matches!(node.kind, Kind::Folder(_))
                && let Kind::Folder(entries) = &mut self.node_mut(old).kind
            {
                node.kind = Kind::Folder(std::mem::take(entries));
                node.links = 1;
                *self.node_mut(old) = node;
                return Ok(old);
            }
            self.remove(old)?;
        }
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        node.links = 1;
        self.nodes.push(node);
        self.name(parent, name, id)?;
        Ok(id)
    }

    /// Gives an existing file (anything but a folder) another name.
    ///
    /// # Errors
    /// As [`Tree::insert`]; and a target that is a folder or has too many names.
    pub fn link(&mut self, parent: NodeId, name: &[u8], target: NodeId) -> Result<(), EntryProblem> {
        check_name(name)?;
        match self.child(parent, name)? {
            Some(old) if old == target => return Ok(()),
            Some(old) => self.remove(old)?,
            None => {}
        }
        let node = self.node_mut(target);
        if node.links >= MAX_LINKS {
            return Err(EntryProblem::TooManyLinks);
        }
        node.links += 1;
        self.name(parent, name, target)
    }

    /// The entry of that name in a folder.
    ///
    /// # Errors
    /// [`EntryProblem::ThroughFile`] if `parent` is no folder.
    pub fn child(&self, parent: NodeId, name: &[u8]) -> Result<Option<NodeId>, EntryProblem> {
        match &self.node(parent).kind {
            Kind::Folder(entries) => Ok(entries.get(name).copied()),
            _ => Err(EntryProblem::ThroughFile { parent: lossy(name) }),
        }
    }

    /// Finds the folder at a path, making those that are missing if `implied` says how.
    ///
    /// # Errors
    /// A component that is a symlink or a file, or is not possible as a name. `Ok(None)` is a missing one.
    pub fn folder(&mut self, path: &[&[u8]], implied: Option<Meta>) -> Result<Option<NodeId>, EntryProblem> {
        let mut at = ROOT;
        for (depth, name) in path.iter().enumerate() {
            let next = match (self.child(at, name)?, implied) {
                (Some(next), _) => next,
                (None, None) => return Ok(None),
                (None, Some(meta)) => {
                    let kind = Kind::Folder(BTreeMap::new());
                    self.insert(at, name, Node { kind, meta, xattrs: Vec::new(), links: 1 })?
                }
            };
            let here = || lossy(&path.get(..=depth).unwrap_or_default().join(&b'/'));
            match &self.node(next).kind {
                Kind::Folder(_) => at = next,
                Kind::Symlink(target) => {
                    return Err(EntryProblem::ThroughSymlink { link: here(), target: lossy(target) });
                }
                _ => return Err(EntryProblem::ThroughFile { parent: here() }),
            }
        }
        Ok(Some(at))
    }

    /// The bytes of the file of at most `limit` bytes at a path (with `/` between names), or why what is there isn't one.
    /// `None`: nothing is there. `from` is where the tree came from.
    ///
    /// # Errors
    /// A path that leads through something else than folders, or contents that can't be read.
    pub(crate) fn file_at(
        &mut self,
        from: &Path,
        path: &str,
        limit: usize,
    ) -> Result<Option<Result<Vec<u8>, Unfit>>, VolumeError> {
        let failed = |problem| VolumeError::Entry { path: from.into(), entry: path.into(), problem };
        let mut names: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
        let name = names.pop().unwrap_or_default();
        let Some(folder) = self.folder(&names, None).map_err(failed)? else { return Ok(None) };
        let Some(there) = self.child(folder, name).map_err(failed)? else { return Ok(None) };
        let Kind::File(data) = &self.node(there).kind else { return Ok(Some(Err(Unfit::NotAFile))) };
        let Some(size) = usize::try_from(data.size).ok().filter(|size| *size <= limit) else {
            return Ok(Some(Err(Unfit::TooLarge)));
        };
        let mut bytes = vec![0; size];
        self.contents.open(data)?.read_at(0, &mut bytes)?;
        Ok(Some(Ok(bytes)))
    }

    /// Puts a small file of these bytes at a path (with `/` between names), over one that is there; its folders must
    /// be there. The bytes go to the temporary file, which is made in `temp_dir` if there is none.
    ///
    /// # Errors
    /// A path that isn't possible, or a temporary file that can't be written.
    pub(crate) fn put_file(
        &mut self,
        path: &str,
        bytes: &[u8],
        mtime: u64,
        temp_dir: Option<&Path>,
    ) -> Result<(), VolumeError> {
        let failed = |problem| VolumeError::Entry { path: path.into(), entry: path.into(), problem };
        let mut names: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
        let name = names.pop().unwrap_or_default();
        let folder = self.folder(&names, None).map_err(failed)?;
        let folder = folder.ok_or_else(|| failed(EntryProblem::ThroughFile { parent: path.into() }))?;
        let kind = Kind::File(self.contents.store(bytes, temp_dir)?);
        let secs = i64::try_from(mtime).unwrap_or(i64::MAX);
        let meta = Meta { mode: 0o644, uid: 0, gid: 0, mtime: Time { secs, nanos: 0 }.clamp(mtime) };
        self.insert(folder, name, Node { kind, meta, xattrs: Vec::new(), links: 1 }).map_err(failed)?;
        Ok(())
    }

    /// Calls `visit` with the path (without a leading `/`), parent, name and inode of each entry: each folder
    /// before its entries, entries in the byte order of their names. The root itself is not visited.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn walk<E>(
        &self,
        mut visit: impl FnMut(&[u8], NodeId, &[u8], NodeId) -> Result<(), E>,
    ) -> Result<(), E> {
        // An explicit stack: the depth is the archive's choice, and must not be able to overflow ours.
        let mut path: Vec<u8> = Vec::new();
        let mut stack = Vec::new();
        let open = |id: NodeId| match &self.node(id).kind {
            Kind::Folder(entries) => Some(entries.iter()),
            _ => None,
        };
        stack.extend(open(ROOT).map(|entries| (ROOT, 0, entries)));
        while let Some((parent, length, entries)) = stack.last_mut() {
            path.truncate(*length);
            let Some((name, id)) = entries.next() else {
                stack.pop();
                continue;
            };
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            visit(&path, *parent, name, *id)?;
            if let Some(entries) = open(*id) {
                stack.push((*id, path.len(), entries));
            }
        }
        Ok(())
    }

    fn name(&mut self, parent: NodeId, name: &[u8], id: NodeId) -> Result<(), EntryProblem> {
        match &mut self.node_mut(parent).kind {
            Kind::Folder(entries) => {
                match entries.entry(name.into()) {
                    Slot::Vacant(slot) => {
                        slot.insert(id);
                    }
                    Slot::Occupied(mut slot) => {
                        slot.insert(id);
                    }
                }
                Ok(())
            }
            _ => Err(EntryProblem::ThroughFile { parent: lossy(name) }),
        }
    }

    fn remove(&mut self, old: NodeId) -> Result<(), EntryProblem> {
        let node = self.node_mut(old);
        if matches!(&node.kind, Kind::Folder(entries) if !entries.is_empty()) {
            return Err(EntryProblem::ReplacesFullFolder);
        }
        node.links = node.links.saturating_sub(1);
        Ok(())
    }
}

/// Whether a name can be one entry's name.
pub(crate) fn check_name(name: &[u8]) -> Result<(), EntryProblem> {
    if name == b".." {
        return Err(EntryProblem::DotDot);
    }
    if name.len() > MAX_NAME {
        return Err(EntryProblem::NameTooLong { len: name.len() });
    }
    if name.contains(&0) {
        return Err(EntryProblem::NulInName);
    }
    if name.is_empty() || name == b"." || name.contains(&b'/') {
        return Err(EntryProblem::RootNotFolder);
    }
    Ok(())
}

fn check_kind(kind: &Kind) -> Result<(), EntryProblem> {
    match kind {
        Kind::Symlink(target) if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) => {
            Err(EntryProblem::BadSymlink { len: target.len() })
        }
        Kind::File(data) if data.size > MAX_FILE => Err(EntryProblem::FileTooLarge { size: data.size }),
        Kind::Char { major, minor } | Kind::Block { major, minor } if *major > 0xfff || *minor > 0xf_ffff => {
            Err(EntryProblem::BadDevice { major: (*major).into(), minor: (*minor).into() })
        }
        _ => Ok(()),
    }
}
