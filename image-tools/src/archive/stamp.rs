//! Whether a file of the host is still the one that the plan saw.
use crate::volume::VolumeError;
use crate::volume::data::{FileData, Source};
use crate::volume::tree::NodeId;
use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What changes when a file is written to, renamed or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// The files of a tree as they were. Contents in an archive or a temporary file have none.
#[derive(Debug, Default)]
pub(super) struct Stamps(HashMap<NodeId, Stamp>);

impl Stamps {
    pub(super) fn add(&mut self, id: NodeId, data: &FileData) -> Result<(), VolumeError> {
        if let Source::Disk(path) = &data.source {
            self.0.insert(id, look(path)?);
        }
        Ok(())
    }

    pub(super) fn compare(&self, id: NodeId, data: &FileData) -> Result<(), VolumeError> {
        match (&data.source, self.0.get(&id)) {
            (Source::Disk(path), Some(stamp)) if look(path)? != *stamp => {
                Err(VolumeError::Changed { path: path.to_path_buf() })
            }
            _ => Ok(()),
        }
    }
}

fn look(path: &Path) -> Result<Stamp, VolumeError> {
    let of = |meta: Metadata| Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        bytes: meta.len(),
        changed: (meta.ctime(), meta.ctime_nsec()),
    };
    std::fs::symlink_metadata(path).map(of).map_err(VolumeError::io("read", path))
}
