//! The root in a root file system that another program made: see [`system_root`].
use super::system::{Data, Edit, Edits, file_at};
use super::view::{Attributes, Entry, View};
use crate::root::SignedRoot;
use crate::volume::system_root;
use bistable_format::Envelope;

/// Add what puts the root there, unless it or one that it follows is there, in the image or in the overlay.
///
/// # Errors
/// The message when another root is there, or something else than a folder is in its way.
pub(super) fn decide(
    view: &dyn View,
    root: &SignedRoot,
    epoch: u64,
    edits: &mut Edits,
) -> Result<(), String> {
    let path = format!("/{}", system_root::path());
    if let Some(there) = file_at(view, edits, &path, Envelope::MAX_BYTES)? {
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
