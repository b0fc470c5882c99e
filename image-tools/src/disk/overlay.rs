//! A folder of the host that is copied over a root file system: how Bistable's own program and units get into an image
//! that another program made.
use super::DiskError;
use super::system::{Data, Edit, Edits};
use super::view::{Attributes, Entry, View};
use crate::volume::data::Source;
use crate::volume::tree::{Kind, NodeId, ROOT};
use crate::volume::{Owner, Reading, read_dir};
use std::collections::HashMap;
use std::path::Path;

/// Add what copies a folder: files, symlinks and folders with their modes and times, owned by root. Folders that the
/// image has keep theirs, and a folder that is a symlink in the image (such as `/lib`) is followed there.
pub(super) fn decide(
    folder: &Path,
    view: &dyn View,
    epoch: u64,
    edits: &mut Edits,
    notes: &mut Vec<String>,
) -> Result<(), DiskError> {
    let failed =
        |entry: &str, why: String| DiskError::Overlay { path: folder.into(), entry: entry.into(), why };
    if !folder.is_dir() {
        return Err(failed(".", "it is not a folder".into()));
    }
    let tree = read_dir(folder, Owner::Root, Reading::Lenient, epoch, notes)?;
    // Where in the image each folder of the overlay is.
    let mut places: HashMap<NodeId, String> = HashMap::from([(ROOT, String::new())]);
    tree.walk(|path, parent, name, id| {
        let shown = String::from_utf8_lossy(path).into_owned();
        let name = std::str::from_utf8(name).map_err(|_| failed(&shown, "its name is not UTF-8".into()))?;
        let Some(parent) = places.get(&parent) else { return Ok(()) };
        let place = format!("{parent}/{name}");
        let there = view.entry(&place).map_err(|why| failed(&shown, why))?;
        let node = tree.node(id);
        let meta = node.meta;
        let attributes = Attributes { mode: meta.mode, uid: meta.uid, gid: meta.gid, mtime: meta.mtime.secs };
        if !node.xattrs.is_empty() {
            notes.push(format!("the overlay's {shown} loses its extended attributes"));
        }
        let edit = match &node.kind {
            Kind::Folder(_) => {
                let place = match there {
                    Some(Entry::Folder) => place,
                    Some(Entry::Symlink) => {
                        let real = view.real(&place).map_err(|why| failed(&shown, why))?;
                        if view.entry(&real).map_err(|why| failed(&shown, why))? != Some(Entry::Folder) {
                            return Err(failed(
                                &shown,
                                "it is a folder, and a symlink to none in the image".into(),
                            ));
                        }
                        real
                    }
                    None => {
                        edits.entry(place.clone()).or_insert(Edit::Folder(attributes));
                        place
                    }
                    Some(_) => return Err(failed(&shown, "it is a folder, and a file in the image".into())),
                };
                places.insert(id, place);
                return Ok(());
            }
            _ if there == Some(Entry::Folder) => {
                return Err(failed(&shown, "it is a folder in the image, and none in the overlay".into()));
            }
            Kind::File(data) => match &data.source {
                Source::Disk(host) => Edit::File(Data::Host(host.to_path_buf()), attributes),
                _ => Edit::File(Data::Bytes(Vec::new()), attributes),
            },
            Kind::Symlink(target) => {
                let target = std::str::from_utf8(target);
                let target = target.map_err(|_| failed(&shown, "its target is not UTF-8".into()))?;
                Edit::Symlink(target.to_owned(), Attributes { mode: 0o777, ..attributes })
            }
            _ => return Err(failed(&shown, "only files, folders and symlinks can be copied".into())),
        };
        if matches!(edits.get(&place), Some(Edit::Folder(_))) {
            return Err(failed(&shown, "it comes twice, once as a folder".into()));
        }
        edits.insert(place, edit);
        Ok(())
    })
}
