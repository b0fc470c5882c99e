//! A file tree as data: what a tar describes and what an ext4 image holds, in one form that can be compared.
//!
//! The two readers share no code with the tools under test: [`Tree::from_tar`] reads PAX records itself and
//! [`Tree::from_ext4`] reads the image's own structures. So a mistake of the image builder can't hide itself.

mod ext4;
mod tar;

use crate::hex::hex;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A path inside the tree: bytes without leading or trailing `/`; the root is empty.
pub type Name = Vec<u8>;

/// What one path is, with everything that an update must carry over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Type, and what only this type has.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: `mode & 0o7777`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the content.
    pub mtime: Mtime,
    /// Extended attributes by full name (`security.capability`), with the values a program would read.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first (in byte order) of the paths that are this same file, if there are at least two.
    pub hard_link: Option<Name>,
}

/// The type of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// SHA-256 of the content.
        sha256: [u8; 32],
    },
    /// A directory.
    Directory,
    /// A symbolic link and the bytes it points to.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// A device number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which device of it.
    pub minor: u32,
}

/// A time stamp of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mtime {
    /// Seconds since 1970, UTC.
    pub seconds: i64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanos: u32,
}

/// Every path of a file system with what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<Name, Entry>,
}

/// One path on which two trees disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub path: Name,
    /// In what.
    pub what: Change,
}

/// In what two trees disagree at one path. "Left" and "right" are the arguments of [`diff`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Only the left tree has it.
    OnlyLeft,
    /// Only the right tree has it.
    OnlyRight,
    /// Type, content, link target or device number.
    Kind(Kind, Kind),
    /// Permission bits.
    Mode(u16, u16),
    /// Owner and group.
    Owner((u32, u32), (u32, u32)),
    /// Time stamp.
    Mtime(Mtime, Mtime),
    /// One extended attribute: name, left value, right value.
    Xattr(Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>),
    /// Which paths are the same file.
    HardLink(Option<Name>, Option<Name>),
}

/// Why a tree can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The file can't be opened or read.
    #[error("{}: {what} failed; check that the file is there and complete", path.display())]
    Io {
        /// The tar or image.
        path: PathBuf,
        /// What was being read.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The file contradicts its own format.
    #[error("{}: {what} (at byte {at}); the file is damaged, make it again", path.display())]
    Damaged {
        /// The tar or image.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
        /// Where in the file, in bytes.
        at: u64,
    },
    /// The file uses a part of its format that this reader does not know.
    #[error("{}: {what} (at byte {at}) can't be compared; make the file without it", path.display())]
    Unsupported {
        /// The tar or image.
        path: PathBuf,
        /// What is not known.
        what: &'static str,
        /// Where in the file, in bytes.
        at: u64,
    },
}

impl Tree {
    /// Reads a plain (not compressed) tar: ustar, GNU or PAX, with `SCHILY.xattr.*` records.
    ///
    /// A path that occurs twice is what its last occurrence says, as when unpacking. Folders that the tar only implies
    /// are not invented.
    ///
    /// # Errors
    /// The file can't be read, is not a tar, has a hard link to a path that did not come before, or has sparse members.
    pub fn from_tar(path: &Path) -> Result<Self, TreeError> {
        tar::read(path)
    }

    /// Reads an ext4 image. An empty `lost+found` in the root is left out: `mkfs` makes it, no source has it.
    ///
    /// # Errors
    /// The image can't be read, is damaged, waits for its journal to be replayed, or uses features such as inline data,
    /// encryption or block maps instead of extents.
    pub fn from_ext4(path: &Path) -> Result<Self, TreeError> {
        ext4::read(path)
    }

    /// All entries, parents before their children.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<Name, Entry> {
        &self.entries
    }
}

impl Entry {
    /// Whether the kernel treats it as privileged when run: setuid, setgid or file capabilities on a regular file.
    #[must_use]
    pub fn is_privileged(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
            && (self.mode & 0o6000 != 0 || self.xattrs.contains_key(b"security.capability".as_slice()))
    }
}

/// A tree from files, each with all its paths.
fn tree_of(files: impl Iterator<Item = (Entry, Vec<Name>)>) -> Tree {
    let mut entries = BTreeMap::new();
    for (mut entry, mut names) in files {
        names.sort();
        entry.hard_link = names.first().filter(|_| names.len() > 1).cloned();
        for name in names {
            entries.insert(name, entry.clone());
        }
    }
    Tree { entries }
}

/// Everything in which two trees disagree, by path. Empty means: the same tree.
#[must_use]
pub fn diff(left: &Tree, right: &Tree) -> Vec<Difference> {
    let mut found = Vec::new();
    for (path, a) in &left.entries {
        let mut push = |what| found.push(Difference { path: path.clone(), what });
        let Some(b) = right.entries.get(path) else {
            push(Change::OnlyLeft);
            continue;
        };
        if a.kind != b.kind {
            push(Change::Kind(a.kind.clone(), b.kind.clone()));
        }
        if a.mode != b.mode {
            push(Change::Mode(a.mode, b.mode));
        }
        if (a.uid, a.gid) != (b.uid, b.gid) {
            push(Change::Owner((a.uid, a.gid), (b.uid, b.gid)));
        }
        if a.mtime != b.mtime {
            push(Change::Mtime(a.mtime, b.mtime));
        }
        if a.hard_link != b.hard_link {
            push(Change::HardLink(a.hard_link.clone(), b.hard_link.clone()));
        }
        let only_b = b.xattrs.keys().filter(|name| !a.xattrs.contains_key(*name));
        for name in a.xattrs.keys().chain(only_b) {
            let (left, right) = (a.xattrs.get(name), b.xattrs.get(name));
            if left != right {
                push(Change::Xattr(name.clone(), left.cloned(), right.cloned()));
            }
        }
    }
    let only_right = right.entries.keys().filter(|path| !left.entries.contains_key(*path));
    found.extend(only_right.map(|path| Difference { path: path.clone(), what: Change::OnlyRight }));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        write!(f, "/{}: ", text(&self.path))?;
        match &self.what {
            Change::OnlyLeft => write!(f, "only left"),
            Change::OnlyRight => write!(f, "only right"),
            Change::Kind(a, b) => write!(f, "{a} | {b}"),
            Change::Mode(a, b) => write!(f, "mode {a:04o} | {b:04o}"),
            Change::Owner(a, b) => write!(f, "owner {}:{} | {}:{}", a.0, a.1, b.0, b.1),
            Change::Mtime(a, b) => write!(f, "mtime {a} | {b}"),
            Change::HardLink(a, b) => {
                let name = |link: &Option<Name>| {
                    link.as_ref().map_or("none".into(), |path| format!("/{}", text(path)))
                };
                write!(f, "hard link with {} | {}", name(a), name(b))
            }
            Change::Xattr(name, a, b) => {
                write!(f, "xattr {} {} | {}", text(name), value(a.as_deref()), value(b.as_deref()))
            }
        }
    }
}

fn value(bytes: Option<&[u8]>) -> String {
    bytes.map_or("none".into(), hex)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { size, sha256 } => write!(f, "file of {size} bytes, sha256 {}", hex(sha256)),
            Self::Directory => write!(f, "directory"),
            Self::Symlink(target) => write!(f, "symlink to {}", String::from_utf8_lossy(target)),
            Self::CharDevice(number) => write!(f, "character device {}:{}", number.major, number.minor),
            Self::BlockDevice(number) => write!(f, "block device {}:{}", number.major, number.minor),
            Self::Fifo => write!(f, "fifo"),
            Self::Socket => write!(f, "socket"),
        }
    }
}

impl fmt::Display for Mtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.seconds, self.nanos)
    }
}

#[cfg(test)]
mod tests;
