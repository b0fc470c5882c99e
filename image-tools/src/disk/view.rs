//! What a root file system holds: the port through which edits are decided, and ext4 behind it.
use super::table::Partition;
use crate::volume::{Last, load_ext4, read_link, real_path};
use ext4_view::{Ext4, Ext4Error, Ext4Read, FileType, Path as InnerPath};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Folder,
    File,
    Symlink,
    Other,
}

/// Owner, mode and time of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Permission bits with setuid, setgid and sticky.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970.
    pub(super) mtime: i64,
}

/// A root file system, read-only. Errors are messages that say what is wrong.
pub(super) trait View {
    /// What is at an absolute path; its last component isn't followed. `None`: nothing.
    fn entry(&self, path: &str) -> Result<Option<Entry>, String>;
    /// A file's bytes, at most `limit` of them: more is an error.
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String>;
    /// The owner of what is at a path, not followed.
    fn attributes(&self, path: &str) -> Result<Attributes, String>;
    /// The names in a folder, sorted; none if it isn't there. Names that are no UTF-8 are left out.
    fn names(&self, folder: &str) -> Result<Vec<String>, String>;
    /// The path without symlinks.
    fn real(&self, path: &str) -> Result<String, String>;
}

/// An ext4 image.
#[derive(Debug)]
pub(super) struct Ext4View(Ext4);

impl Ext4View {
    pub(super) fn open(path: &Path) -> Result<Ext4View, String> {
        let unreadable = |e: &dyn std::fmt::Display| format!("its ext4 file system can't be read: {e}");
        let file = File::open(path).map_err(|e| unreadable(&e))?;
        let bytes = file.metadata().map_err(|e| unreadable(&e))?.len();
        load_ext4(Box::new(file), bytes).map(Ext4View).map_err(|e| unreadable(&e))
    }

    /// Call `take` with a file's bytes, piece by piece.
    pub(super) fn stream(
        &self,
        path: &str,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let said = |e: Ext4Error| format!("{path}: {e}");
        let real = self.real(path)?;
        let mut file = self.0.open(inner(&real)?).map_err(said)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read_bytes(&mut buffer).map_err(said)? {
                0 => return Ok(()),
                got => take(buffer.get(..got).unwrap_or_default())?,
            }
        }
    }

    /// Where a symlink leads.
    pub(super) fn target(&self, path: &str) -> Result<Vec<u8>, String> {
        read_link(&self.0, &self.parent_real(path)?).map_err(|e| format!("{path}: {e}"))
    }

    /// The path, of which only the last component may be a symlink.
    fn parent_real(&self, path: &str) -> Result<String, String> {
        inner(path)?;
        real_path(&self.0, path, Last::Kept).map_err(|e| format!("{path}: {e}"))
    }
}

/// As the reader wants it: the plain conversion panics on names that are too long.
fn inner(path: &str) -> Result<InnerPath<'_>, String> {
    InnerPath::try_from(path).map_err(|_| format!("{path}: the path is not possible"))
}

/// A partition of a disk.
struct Part {
    disk: File,
    start: u64,
    bytes: u64,
}

impl Ext4Read for Part {
    fn read(&mut self, start: u64, to: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let is_inside = start.checked_add(to.len() as u64).is_some_and(|end| end <= self.bytes);
        if !is_inside {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(self.disk.read_exact_at(to, self.start + start)?)
    }
}

/// Whether it is an ext4 that can be read and has no folder /etc. Of one that can't be read nothing is known.
pub(super) fn is_rootless(disk: &File, partition: &Partition) -> bool {
    let Ok(disk) = disk.try_clone() else { return false };
    let part = Part { disk, start: partition.start, bytes: partition.bytes };
    let Ok(fs) = load_ext4(Box::new(part), partition.bytes) else { return false };
    match fs.symlink_metadata("/etc") {
        Ok(meta) => meta.file_type() != FileType::Directory,
        Err(e) => matches!(e, Ext4Error::NotFound),
    }
}

impl View for Ext4View {
    fn entry(&self, path: &str) -> Result<Option<Entry>, String> {
        match self.0.symlink_metadata(inner(&self.parent_real(path)?)?) {
            Ok(meta) => Ok(Some(match meta.file_type() {
                FileType::Directory => Entry::Folder,
                FileType::Regular => Entry::File,
                FileType::Symlink => Entry::Symlink,
                _ => Entry::Other,
            })),
            Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => Ok(None),
            Err(e) => Err(format!("{path}: {e}")),
        }
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        self.stream(path, &mut |piece| {
            bytes.extend_from_slice(piece);
            if bytes.len() as u64 > limit {
                return Err(format!(
                    "{path}: it has more than {limit} bytes, so it is not what its name says"
                ));
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    fn attributes(&self, path: &str) -> Result<Attributes, String> {
        let real = self.parent_real(path)?;
        let meta = self.0.symlink_metadata(inner(&real)?).map_err(|e| format!("{path}: {e}"))?;
        let mtime = meta.modified().seconds();
        Ok(Attributes { mode: meta.mode(), uid: meta.uid(), gid: meta.gid(), mtime })
    }

    fn names(&self, folder: &str) -> Result<Vec<String>, String> {
        let real = real_path(&self.0, folder, Last::Followed).map_err(|e| format!("{folder}: {e}"))?;
        let entries = match self.0.read_dir(inner(&real)?) {
            Ok(entries) => entries,
            Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => return Ok(Vec::new()),
            Err(e) => return Err(format!("{folder}: {e}")),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| format!("{folder}: {e}"))?;
            if let Ok(name) = entry.file_name().as_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn real(&self, path: &str) -> Result<String, String> {
        inner(path)?;
        let real = real_path(&self.0, path, Last::Followed).map_err(|e| format!("{path}: {e}"))?;
        // What isn't there has no real name.
        self.0.symlink_metadata(inner(&real)?).map_err(|e| format!("{path}: {e}"))?;
        Ok(real)
    }
}
