//! The built-in ext4 writer: a tree becomes a frozen layout, and the layout a stream.

mod acl;
mod names;
mod size;
mod stream;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use mkext4::{FsBuilder, InodeCount, InodeHandle, Layout, Options, SparseSeg, SpecialKind};

use super::data::FileData;
use super::error::{EntryProblem, VolumeError, lossy};
use super::options::{BLOCK, SystemOptions, VolumeSize};
use super::tree::{Kind, Node, NodeId, ROOT, Tree};
use names::Patches;
use size::Need;

/// The folder that every ext4 file system has; the writer makes it.
const LOST_FOUND: &[u8] = b"lost+found";
/// By how much a fitting size grows if the estimate was too small, in bytes.
const STEP: u64 = 4 << 20;
/// How often it may grow.
const TRIES: u64 = 16;

/// An ext4 image of which every byte is decided.
#[derive(Debug)]
pub(super) struct Ext4Image {
    tree: Tree,
    layout: Layout,
    /// Files with data, in the order in which their data lie in the image.
    files: Vec<(InodeHandle, NodeId)>,
    patches: Patches,
    /// Size of the volume in bytes; what the file system leaves of it is zero.
    size: u64,
}

impl Ext4Image {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What it is made of.
    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(super) fn write_to(&self, out: &mut dyn Write, progress: &dyn Fn(u64)) -> Result<(), VolumeError> {
        stream::write(self, out, progress)
    }
}

/// Decides the image of a tree.
pub(super) fn plan(source: &Path, mut tree: Tree, options: &SystemOptions) -> Result<Ext4Image, VolumeError> {
    drop_lost_found(source, &mut tree)?;
    let need = Need::of(&tree);
    let sizes: Vec<u64> = match options.size {
        VolumeSize::Fit => (0..TRIES).map(|n| need.fitting() + n * STEP).collect(),
        VolumeSize::Exact(size) => {
            size::check(size)?;
            if size < need.least() {
                return Err(VolumeError::TooSmall { size, needed: need.least() });
            }
            // A last block group too small for its own tables is left out, as mke2fs does.
            let whole_groups = size - size % size::GROUP_BYTES;
            [size, whole_groups].into_iter().filter(|size| *size >= need.least()).collect()
        }
    };
    let mut last = VolumeError::Internal("no size was tried".into());
    for size in sizes {
        match seal(source, &tree, options, size, &need) {
            Ok((layout, files, patches)) => {
                let size = match options.size {
                    VolumeSize::Exact(asked) => asked,
                    VolumeSize::Fit => size,
                };
                return Ok(Ext4Image { tree, layout, files, patches, size });
            }
            Err(error @ VolumeError::Ext4(mkext4::Error::Invalid(_))) => last = error,
            Err(error) => return Err(error),
        }
    }
    match (last, options.size) {
        (VolumeError::Ext4(mkext4::Error::Invalid(why)), VolumeSize::Exact(size))
            if why.contains("too small") || why.contains("full") =>
        {
            let needed = (size + 1).next_multiple_of(size::GROUP_BYTES / 8).max(need.least());
            Err(VolumeError::TooSmall { size, needed })
        }
        (last, _) => Err(last),
    }
}

type Sealed = (Layout, Vec<(InodeHandle, NodeId)>, Patches);

fn seal(
    source: &Path,
    tree: &Tree,
    options: &SystemOptions,
    size: u64,
    need: &Need,
) -> Result<Sealed, VolumeError> {
    let epoch = i64::try_from(options.source_date_epoch).unwrap_or(i64::MAX);
    let mut settings = Options::new(size, options.id.uuid(), epoch);
    settings.label = Some(options.label.clone());
    settings.inodes = InodeCount::Exact(need.inodes(size));
    settings.journal_blocks = Some(size::journal(size / BLOCK));
    let mut declaration = Declaration {
        source,
        tree,
        names: names::StandIns::find(tree, &settings.hash_seed, source)?,
        builder: FsBuilder::new(settings).map_err(VolumeError::Ext4)?,
        handles: HashMap::with_capacity(tree.len()),
        files: Vec::new(),
    };
    let root = tree.node(ROOT);
    declaration.builder.set_meta(mkext4::ROOT, convert(root)).map_err(VolumeError::Ext4)?;
    declaration.xattrs(b"/", mkext4::ROOT, root)?;
    declaration.handles.insert(ROOT, mkext4::ROOT);
    tree.walk(|path, parent, name, id| declaration.entry(path, parent, name, id))?;
    let Declaration { builder, files, names, .. } = declaration;
    let layout = builder.seal().map_err(VolumeError::Ext4)?;
    let patches = names.patches(&layout)?;
    Ok((layout, files, patches))
}

struct Declaration<'a> {
    source: &'a Path,
    tree: &'a Tree,
    names: names::StandIns,
    builder: FsBuilder,
    handles: HashMap<NodeId, InodeHandle>,
    files: Vec<(InodeHandle, NodeId)>,
}

impl Declaration<'_> {
    fn entry(&mut self, path: &[u8], parent: NodeId, name: &[u8], id: NodeId) -> Result<(), VolumeError> {
        let error = |error| self_error(self.source, path, error);
        let node = self.tree.node(id);
        let parent_handle = self.handle(parent)?;
        let stored = self.names.name(parent, name)?;
        if let Some(first) = self.handles.get(&id) {
            return self.builder.hardlink(parent_handle, stored, *first).map_err(error);
        }
        let meta = convert(node);
        let builder = &mut self.builder;
        let handle = match &node.kind {
            Kind::Folder(_) => builder.mkdir(parent_handle, stored, meta),
            Kind::File(FileData { size, data: None, .. }) => builder.file(parent_handle, stored, meta, *size),
            Kind::File(data) => builder.file_sparse(parent_handle, stored, meta, &segments(data)),
            Kind::Symlink(target) => {
                let target = self.names.target(id, target)?;
                builder.symlink(parent_handle, stored, target, meta)
            }
            Kind::Char { major, minor } => {
                let kind = SpecialKind::Char { major: *major, minor: *minor };
                builder.mknod(parent_handle, stored, meta, kind)
            }
            Kind::Block { major, minor } => {
                let kind = SpecialKind::Block { major: *major, minor: *minor };
                builder.mknod(parent_handle, stored, meta, kind)
            }
            Kind::Fifo => builder.mknod(parent_handle, stored, meta, SpecialKind::Fifo),
        }
        .map_err(error)?;
        self.handles.insert(id, handle);
        if matches!(&node.kind, Kind::File(data) if has_data(data)) {
            self.files.push((handle, id));
        }
        self.xattrs(path, handle, node)
    }

    fn handle(&self, id: NodeId) -> Result<InodeHandle, VolumeError> {
        let missing = || VolumeError::Internal("an entry came before its folder".into());
        self.handles.get(&id).copied().ok_or_else(missing)
    }

    fn xattrs(&mut self, path: &[u8], handle: InodeHandle, node: &Node) -> Result<(), VolumeError> {
        for (name, value) in &node.xattrs {
            let bad = |why: String| VolumeError::Entry {
                path: self.source.into(),
                entry: lossy(path),
                problem: EntryProblem::BadXattr { name: name.to_string(), why },
            };
            let stored;
            let value = if name.starts_with("system.posix_acl_") {
                stored =
                    acl::to_disk(value).ok_or_else(|| bad("it is not a valid access control list".into()))?;
                &stored[..]
            } else {
                &value[..]
            };
            self.builder.set_xattr(handle, name, value).map_err(|error| bad(error.to_string()))?;
        }
        if size::xattr_bytes(node) > size::MAX_XATTR_BYTES {
            let why =
                format!("all of them together are more than ext4 can hold, {} bytes", size::MAX_XATTR_BYTES);
            let name = node.xattrs.first().map(|(name, _)| name.to_string()).unwrap_or_default();
            let problem = EntryProblem::BadXattr { name, why };
            return Err(VolumeError::Entry { path: self.source.into(), entry: lossy(path), problem });
        }
        Ok(())
    }
}

fn self_error(source: &Path, path: &[u8], error: mkext4::Error) -> VolumeError {
    match error {
        mkext4::Error::Invalid(why) | mkext4::Error::Unsupported(why) => VolumeError::Entry {
            path: PathBuf::from(source),
            entry: lossy(path),
            problem: EntryProblem::Unrepresentable { why },
        },
        other => VolumeError::Ext4(other),
    }
}

fn convert(node: &Node) -> mkext4::Meta {
    let meta = &node.meta;
    mkext4::Meta::new(meta.mode, meta.uid, meta.gid, (meta.mtime.secs, meta.mtime.nanos))
}

/// Whether anything of a file is written: not of an empty one, and not of one that is a single hole.
fn has_data(data: &FileData) -> bool {
    data.size > 0 && data.data.as_ref().is_none_or(|ranges| !ranges.is_empty())
}

/// Data and holes in turn.
fn segments(data: &FileData) -> Vec<SparseSeg> {
    let mut segments = Vec::new();
    let mut at = 0;
    for range in data.data.iter().flatten() {
        if range.offset > at {
            segments.push(SparseSeg::Hole(range.offset - at));
        }
        segments.push(SparseSeg::Data(range.len));
        at = range.offset + range.len;
    }
    if data.size > at {
        segments.push(SparseSeg::Hole(data.size - at));
    }
    segments
}

/// An own `/lost+found`, as a tree that was copied from an ext4 file system has it, must go: the writer makes
/// one. But nothing is lost silently.
fn drop_lost_found(source: &Path, tree: &mut Tree) -> Result<(), VolumeError> {
    let own = tree.child(ROOT, LOST_FOUND).ok().flatten();
    let Some(own) = own else {
        return Ok(());
    };
    match &tree.node(own).kind {
        Kind::Folder(entries) if entries.is_empty() => {}
        _ => {
            return Err(VolumeError::Entry {
                path: source.into(),
                entry: lossy(LOST_FOUND),
                problem: EntryProblem::Unrepresentable {
                    why: "ext4 keeps this name for its own, empty folder; move or remove what is there"
                        .into(),
                },
            });
        }
    }
    if let Kind::Folder(entries) = &mut tree.node_mut(ROOT).kind {
        entries.remove(LOST_FOUND);
    }
    Ok(())
}

/// The size in bytes that a tree gets if none is asked for.
pub(super) fn fitting_size(tree: &Tree) -> u64 {
    Need::of(tree).fitting()
}
