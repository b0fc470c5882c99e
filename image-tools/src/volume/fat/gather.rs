//! What of a tree goes onto a FAT volume, under which names.

use std::collections::HashSet;
use std::path::Path;

use crate::volume::error::{EntryProblem, VolumeError, lossy};
use crate::volume::tree::{Kind, NodeId, ROOT, Time, Tree};

/// Folders inside folders; the Pi's firmware and DOS names need far less.
const MAX_DEPTH: usize = 64;
/// Symlinks to symlinks, as in Linux.
const MAX_LINKS: usize = 40;
/// The longest name in UTF-16 units.
const MAX_NAME: usize = 255;

/// One entry, each folder before what is in it.
#[derive(Debug)]
pub(super) struct Item {
    /// For messages.
    pub(super) path: String,
    pub(super) name: String,
    /// Number of folders around it.
    pub(super) depth: usize,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) enum Place {
    /// A folder and the number of directory entries in it.
    Folder { slots: u64 },
    /// A file with its contents' inode, size in bytes and time.
    File { node: NodeId, size: u32, mtime: Time },
}

/// Lists everything in the byte order of names; symlinks are replaced by what they lead to.
pub(super) fn gather(
    source: &Path,
    tree: &Tree,
    warnings: &mut Vec<String>,
) -> Result<Vec<Item>, VolumeError> {
    let mut gatherer = Gatherer { source, tree, items: Vec::new(), warnings };
    gatherer.folder(&[ROOT], "", &mut Vec::new())?;
    Ok(gatherer.items)
}

struct Gatherer<'a> {
    source: &'a Path,
    tree: &'a Tree,
    items: Vec<Item>,
    warnings: &'a mut Vec<String>,
}

impl Gatherer<'_> {
    /// Takes a folder's entries and returns how many directory entries they need. `way` leads from the root to
    /// the folder; `open` are the folders that are being taken, which differ where a symlink was followed.
    fn folder(&mut self, way: &[NodeId], path: &str, open: &mut Vec<NodeId>) -> Result<u64, VolumeError> {
        let depth = open.len();
        let Some((folder, Kind::Folder(entries))) = way.last().map(|id| (*id, &self.tree.node(*id).kind))
        else {
            return Err(VolumeError::Internal("a folder is not a folder".into()));
        };
        open.push(folder);
        let mut folded = HashSet::new();
        let mut slots = 0;
        for (name, id) in entries {
            let shown = if path.is_empty() { lossy(name) } else { format!("{path}/{}", lossy(name)) };
            let refuse = |why: String| VolumeError::Entry {
                path: self.source.into(),
                entry: shown.clone(),
                problem: EntryProblem::Unrepresentable { why },
            };
            let name = check_name(name).map_err(&refuse)?;
            if !folded.insert(name.to_lowercase()) {
                return Err(refuse("another entry differs from it only in upper and lower case".into()));
            }
            let (mut target_way, node) = self.resolve(way, *id).map_err(&refuse)?;
            let index = self.items.len();
            let mtime = self.tree.node(node).meta.mtime;
            let place = match &self.tree.node(node).kind {
                Kind::Folder(_) if depth + 1 >= MAX_DEPTH => {
                    return Err(refuse(format!("more than {MAX_DEPTH} folders inside each other")));
                }
                Kind::Folder(_) if open.contains(&node) => {
                    return Err(refuse("a symlink to a folder around it would never end".into()));
                }
                Kind::Folder(_) => Place::Folder { slots: 0 },
                Kind::File(data) => {
                    let size = u32::try_from(data.size)
                        .map_err(|_| refuse("FAT holds no files of 4 GiB and more".into()))?;
                    Place::File { node, size, mtime }
                }
                _ => return Err(refuse("FAT holds only files and folders".into())),
            };
            if !matches!(self.tree.node(*id).kind, Kind::Folder(_) | Kind::File(_)) {
                self.warnings.push(format!(
                    "{}: {shown} is a symlink; the boot volume gets a copy of what it points to",
                    self.source.display()
                ));
            }
            let is_folder = matches!(place, Place::Folder { .. });
            let item = Item { path: shown.clone(), name: name.to_owned(), depth, place };
            slots += super::slots(&item);
            self.items.push(item);
            if is_folder {
                target_way.push(node);
                let inside = self.folder(&target_way, &shown, open)?;
                if let Some(Item { place: Place::Folder { slots }, .. }) = self.items.get_mut(index) {
                    *slots = inside;
                }
            }
        }
        open.pop();
        Ok(slots)
    }

    /// What an entry is when its symlinks are followed, and the way to the folder it is in. Only the tree is
    /// looked at, never the host.
    fn resolve(&self, way: &[NodeId], id: NodeId) -> Result<(Vec<NodeId>, NodeId), String> {
        let (mut way, mut id) = (way.to_vec(), id);
        for _ in 0..MAX_LINKS {
            let Kind::Symlink(target) = &self.tree.node(id).kind else {
                return Ok((way, id));
            };
            let outside = || format!("the symlink to {:?} leads out of the boot folder", lossy(target));
            if target.starts_with(b"/") {
                return Err(outside());
            }
            let mut parts =
                target.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
            let mut last = parts.next_back();
            let mut at = way;
            for part in parts.by_ref() {
                self.step(&mut at, part, target, outside)?;
            }
            if last == Some(b"..") {
                self.step(&mut at, b"..", target, outside)?;
                last = None;
            }
            match last {
                Some(name) => {
                    let folder = at.last().copied().unwrap_or(ROOT);
                    id = self.tree.child(folder, name).ok().flatten().ok_or_else(|| broken(target))?;
                }
                None => id = at.pop().ok_or_else(outside)?,
            }
            way = at;
        }
        Err("too many symlinks one after another, or a loop".into())
    }

    fn step(
        &self,
        way: &mut Vec<NodeId>,
        part: &[u8],
        target: &[u8],
        outside: impl Fn() -> String,
    ) -> Result<(), String> {
        if part == b".." {
            way.pop();
            return if way.is_empty() { Err(outside()) } else { Ok(()) };
        }
        let folder = way.last().copied().unwrap_or(ROOT);
        let next = self.tree.child(folder, part).ok().flatten().ok_or_else(|| broken(target))?;
        match self.tree.node(next).kind {
            Kind::Folder(_) => way.push(next),
            _ => {
                return Err(format!(
                    "the symlink to {:?} goes through something that is not a folder",
                    lossy(target)
                ));
            }
        }
        Ok(())
    }
}

fn broken(target: &[u8]) -> String {
    format!("the symlink points to {:?}, which isn't there", lossy(target))
}

fn check_name(name: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(name).map_err(|_| "FAT holds only names in UTF-8".to_owned())?;
    if let Some(bad) = text.chars().find(|c| *c < ' ' || "\"*/:<>?\\|\u{7f}".contains(*c)) {
        return Err(format!("FAT holds no names with {bad:?}"));
    }
    if text.ends_with([' ', '.']) {
        return Err("FAT holds no names that end in a space or a dot".into());
    }
    if text.encode_utf16().count() > MAX_NAME {
        return Err(format!("FAT holds no names longer than {MAX_NAME} characters"));
    }
    Ok(text)
}
