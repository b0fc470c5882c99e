//! A tree from a directory of the host.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::content;
use super::data::{FileData, Source};
use super::error::{EntryProblem, VolumeError, lossy};
use super::options::{Owner, Reading};
use super::tree::{Kind, MAX_ENTRIES, Meta, Node, NodeId, ROOT, Time, Tree, Xattr};

/// Reads the tree under `root`; the directory itself gives the volume's root folder its owner and mode.
/// Symlinks are taken as they are and never followed.
pub(crate) fn read(
    root: &Path,
    owner: Owner,
    reading: Reading,
    epoch: u64,
    warnings: &mut Vec<String>,
) -> Result<Tree, VolumeError> {
    let meta = std::fs::metadata(root).map_err(VolumeError::io("read", root))?;
    let mut tree = Tree::new(convert(&meta, owner, epoch));
    tree.node_mut(ROOT).xattrs = xattrs(root, "/", warnings)?;
    let mut hard_links: HashMap<(u64, u64), NodeId> = HashMap::new();
    let mut folders = vec![(root.to_path_buf(), ROOT)];
    while let Some((folder, id)) = folders.pop() {
        let mut entries = std::fs::read_dir(&folder)
            .map_err(VolumeError::io("read", &folder))?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<OsString>>>()
            .map_err(VolumeError::io("read", &folder))?;
        // The order of the directory is its file system's; nothing may depend on it.
        entries.sort_unstable();
        for name in entries {
            let path = folder.join(&name);
            let meta = std::fs::symlink_metadata(&path).map_err(VolumeError::io("read", &path))?;
            let entry_error = |problem| VolumeError::Entry {
                path: root.into(),
                entry: lossy(path.strip_prefix(root).unwrap_or(&path).as_os_str().as_bytes()),
                problem,
            };
            let inode = (meta.dev(), meta.ino());
            if !meta.is_dir()
                && meta.nlink() > 1
                && let Some(first) = hard_links.get(&inode)
            {
                tree.link(id, name.as_bytes(), *first).map_err(entry_error)?;
                continue;
            }
            let Some(kind) = kind(&path, &meta)
                .map_err(VolumeError::io("read", &path))?
                .transpose()
                .map_err(entry_error)?
            else {
                if reading == Reading::Exact {
                    return Err(entry_error(EntryProblem::Socket));
                }
                warnings.push(format!("{}: sockets are left out", path.display()));
                continue;
            };
            if tree.len() >= MAX_ENTRIES {
                return Err(VolumeError::TooManyEntries { path: root.into(), limit: MAX_ENTRIES });
            }
            let kind = match reading {
                Reading::Lenient => find_holes(&tree, &path, kind)?,
                Reading::Exact => kind,
            };
            let xattrs = xattrs(&path, &path.to_string_lossy(), warnings)?;
            let node = Node { kind, meta: convert(&meta, owner, epoch), xattrs, links: 1 };
            let child = tree.insert(id, name.as_bytes(), node).map_err(entry_error)?;
            if meta.is_dir() {
                folders.push((path, child));
            } else if meta.nlink() > 1 {
                hard_links.insert(inode, child);
            }
        }
    }
    Ok(tree)
}

/// What the entry is; `None` for a socket.
fn kind(path: &Path, meta: &Metadata) -> io::Result<Option<Result<Kind, EntryProblem>>> {
    let kind = meta.file_type();
    Ok(Some(Ok(if kind.is_dir() {
        Kind::Folder(BTreeMap::new())
    } else if kind.is_file() {
        let source = if meta.len() == 0 { Source::Empty } else { Source::Disk(path.into()) };
        Kind::File(FileData { size: meta.len(), source, data: None })
    } else if kind.is_symlink() {
        Kind::Symlink(std::fs::read_link(path)?.into_os_string().into_vec().into())
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_char_device() || kind.is_block_device() {
        let (major, minor) = device(meta.rdev());
        match (u32::try_from(major), u32::try_from(minor)) {
            (Ok(major), Ok(minor)) if kind.is_char_device() => Kind::Char { major, minor },
            (Ok(major), Ok(minor)) => Kind::Block { major, minor },
            _ => return Ok(Some(Err(EntryProblem::BadDevice { major, minor }))),
        }
    } else {
        return Ok(None);
    })))
}

fn find_holes(tree: &Tree, path: &Path, kind: Kind) -> Result<Kind, VolumeError> {
    match kind {
        Kind::File(mut data) if data.size >= content::SPARSE_FROM => {
            let known = content::allocated(path, data.size);
            data.data = tree.contents.open(&data)?.data_ranges(known.as_deref())?;
            Ok(Kind::File(data))
        }
        kind => Ok(kind),
    }
}

fn convert(meta: &Metadata, owner: Owner, epoch: u64) -> Meta {
    let (uid, gid) = match owner {
        Owner::Keep => (meta.uid(), meta.gid()),
        Owner::Root => (0, 0),
    };
    let time = Time { secs: meta.mtime(), nanos: u32::try_from(meta.mtime_nsec()).unwrap_or(0) };
    let mode = u16::try_from(meta.mode() & 0o7777).unwrap_or(0);
    Meta { mode, uid, gid, mtime: time.clamp(epoch) }
}

/// Extended attributes of the file itself, sorted; those of namespaces that ext4 doesn't know are left out.
fn xattrs(path: &Path, shown: &str, warnings: &mut Vec<String>) -> Result<Vec<Xattr>, VolumeError> {
    let failed =
        |source| VolumeError::Io { action: "read the extended attributes of", path: path.into(), source };
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for name in names {
        let Some(known) = name.to_str().filter(|name| supported(name)) else {
            warnings.push(format!(
                "{shown}: the extended attribute {name:?} is left out: ext4 has no such namespace"
            ));
            continue;
        };
        if let Some(value) = xattr::get(path, &name).map_err(failed)? {
            found.push((known.into(), value.into()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether ext4 can hold an attribute of that name.
pub(crate) fn supported(name: &str) -> bool {
    let acl = ["system.posix_acl_access", "system.posix_acl_default"];
    acl.contains(&name)
        || ["user.", "trusted.", "security."]
            .iter()
            .any(|space| name.strip_prefix(space).is_some_and(|rest| !rest.is_empty() && rest.len() <= 255))
}

#[cfg(target_os = "linux")]
fn device(rdev: u64) -> (u64, u64) {
    (nix::sys::stat::major(rdev), nix::sys::stat::minor(rdev))
}

/// Other systems' numbers mean nothing on Linux, but a tree with such files has to be readable.
#[cfg(not(target_os = "linux"))]
fn device(rdev: u64) -> (u64, u64) {
    (rdev >> 24 & 0xff, rdev & 0xff_ffff)
}
