//! The root in a root file system that somebody else made: see [`system_root`].
use super::system::{Data, Edit, Edits};
use super::view::{Attributes, Entry, View};
use crate::output::read_limited;
use crate::root::SignedRoot;
use crate::volume::system_root;
use bistable_format::Envelope;

/// Add what puts the root there, unless it or one that it follows is there, in the image or in the overlay.
///
/// # Errors
/// Another root is there, or something that is no folder is in the way, for people.
pub(super) fn decide(
    view: &dyn View,
    root: &SignedRoot,
    epoch: u64,
    edits: &mut Edits,
) -> Result<(), String> {
    let path = format!("/{}", system_root::path());
    let there = match edits.get(&path) {
        Some(Edit::File(Data::Bytes(bytes), _)) => Some(bytes.clone()),
        Some(Edit::File(Data::Host(host), _)) => {
            let read = read_limited(host, Envelope::MAX_BYTES);
            Some(read.map_err(|e| format!("can't read {}: {e}", host.display()))?)
        }
        Some(_) => return Err(format!("{path} in the overlay is not a file")),
        None => match view.entry(&path)? {
            None => None,
            Some(Entry::File) => Some(view.read(&path, Envelope::MAX_BYTES as u64)?),
            Some(_) => return Err(format!("{path} is there and is not a file")),
        },
    };
    if let Some(there) = there {
        return system_root::check(&there, root);
    }
    let mtime = i64::try_from(epoch).unwrap_or(i64::MAX);
    let new = |mode| Attributes { mode, uid: 0, gid: 0, mtime };
    for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
        let folder = path.get(..at).unwrap_or_default();
        match (edits.get(folder), view.entry(folder)?) {
            (Some(Edit::Folder(_)), _) | (None, Some(Entry::Folder)) => {}
            (None, None) => drop(edits.insert(folder.into(), Edit::Folder(new(0o755)))),
            _ => return Err(format!("{folder} is there and is not a folder")),
        }
    }
    edits.insert(path, Edit::File(Data::Bytes(root.bytes.clone()), new(0o644)));
    Ok(())
}
