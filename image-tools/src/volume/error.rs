//! What can go wrong while a volume image is made, with the place and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why a volume image can't be made from what the user gave.
///
/// Each text names the file, and the entry inside it where there is one; a source is never repeated in the
/// text of its parent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// The operating system refused something.
    #[error("can't {action} {path}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The image can't be handed to its consumer.
    #[error("can't write the volume image")]
    Output(#[source] io::Error),
    /// The content is none of the formats that are read.
    #[error("{path} is {found}; give {wanted}", path = path.display())]
    WrongInput {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What is read at this place.
        wanted: &'static str,
    },
    /// A compressed archive can't be decompressed to its end.
    #[error("{path}: the {format} data is damaged or cut off; make or fetch the archive again", path = path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// The compression.
        format: &'static str,
        /// What the decoder said.
        source: io::Error,
    },
    /// A compressed archive asks for more memory than it gets.
    #[error("{path}: the {format} data needs more than the {limit} MiB of memory that unpacking may take; compress it with a smaller \
             dictionary, as `xz -9` and `zstd -19` do", path = path.display())]
    Window {
        /// The archive.
        path: PathBuf,
        /// The compression.
        format: &'static str,
        /// The limit, in MiB.
        limit: u64,
    },
    /// No room for temporary files.
    #[error("no room for temporary files in {folder}: set TMPDIR to a folder with more", folder = folder.display())]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file ends before what it announces.
    #[error("{path} is truncated: {what}; make or fetch it again", path = path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A ready image fails its sanity check.
    #[error("{path}: {why}", path = path.display())]
    BadImage {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The structure of a tar is wrong.
    #[error("{path}: not a valid tar at byte {offset}: {why}", path = path.display())]
    Tar {
        /// The archive.
        path: PathBuf,
        /// Where, in the decompressed archive.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// One entry of a directory or tar can't be taken over.
    #[error("{path}: entry {entry:?}", path = path.display())]
    Entry {
        /// The directory or archive.
        path: PathBuf,
        /// The entry's name, lossy if it isn't UTF-8.
        entry: String,
        /// What is wrong with it.
        #[source]
        problem: EntryProblem,
    },
    /// More entries than are accepted.
    #[error("{path} has more than {limit} entries, the most a volume may have; split it up", path = path.display())]
    TooManyEntries {
        /// The directory or archive.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// The contents don't fit into the size asked for.
    #[error("the contents need {needed} bytes ({} MiB), but the volume has {size}; give a size of at least {needed}", needed.div_ceil(1 << 20))]
    TooSmall {
        /// The size asked for, in bytes.
        size: u64,
        /// The size that is needed, in bytes.
        needed: u64,
    },
    /// The size asked for is impossible whatever the contents.
    #[error("a volume of {size} bytes is not possible: {why}")]
    BadSize {
        /// The size asked for, in bytes.
        size: u64,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A label or time that the file system can't hold.
    #[error("{what} {value:?} is not possible: {why}")]
    BadOption {
        /// Which option.
        what: &'static str,
        /// Its value.
        value: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A file is not what it was when the tree was read.
    #[error("{path} changed while the image was being made; stop what writes to it and build again", path = path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The ext4 builder refused.
    #[error("can't lay out the ext4 file system")]
    Ext4(#[source] mkext4::Error),
    /// `mke2fs` isn't there, too old or failed.
    #[error("the ext4 backend mke2fs: {0}")]
    Mke2fs(String),
    /// The FAT writer refused.
    #[error("can't write {entry:?} to the FAT file system: {why}")]
    Fat {
        /// The entry.
        entry: String,
        /// What the writer said.
        why: String,
    },
    /// What was written doesn't read back equal.
    #[error(
        "{entry:?} doesn't read back from the new file system as it was written; this is a fault of this program or of the disk that holds the temporary folder"
    )]
    ReadBack {
        /// The entry.
        entry: String,
    },
    /// The builder contradicted itself.
    #[error("internal: {0}; please report this")]
    Internal(String),
}

/// What is wrong with one entry of a directory or tar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryProblem {
    /// A socket.
    #[error(
        "it is a socket, which only the process that made it can use: remove it, or keep it out of the tree"
    )]
    Socket,
    /// A path that the archive has twice.
    #[error("the archive has it twice: pack the tree again from a folder")]
    Twice,
    /// A component is `..`.
    #[error("the path has a component \"..\", which could lead out of the volume")]
    DotDot,
    /// The path leads through a symbolic link.
    #[error("the path goes through a symlink ({link:?} -> {target:?}); name the real folder instead")]
    ThroughSymlink {
        /// The link's path.
        link: String,
        /// What it points to.
        target: String,
    },
    /// The path leads through something that is no folder.
    #[error("the path goes through {parent:?}, which is not a folder")]
    ThroughFile {
        /// The path of the parent.
        parent: String,
    },
    /// The entry has no name of its own, but isn't a folder.
    #[error("the root of the volume must be a folder")]
    RootNotFolder,
    /// A name of more than 255 bytes.
    #[error("a name has {len} bytes, the longest possible is 255")]
    NameTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A name with a NUL.
    #[error("a name has a NUL byte in it")]
    NulInName,
    /// A symlink without, or with too long, a target.
    #[error("a symlink's target must have 1 to 4095 bytes and no NUL, this one has {len}")]
    BadSymlink {
        /// Its length in bytes.
        len: usize,
    },
    /// A hard link whose target isn't there (yet).
    #[error("hard link to {target:?}, which doesn't come earlier in the archive")]
    LinkTargetMissing {
        /// The target's path.
        target: String,
    },
    /// A hard link out of the volume or through something odd.
    #[error("hard link to {target:?}: {problem}")]
    LinkTarget {
        /// The target's path.
        target: String,
        /// What is wrong with it.
        problem: Box<EntryProblem>,
    },
    /// A hard link to a folder.
    #[error("hard link to the folder {target:?}; only files can have several names")]
    LinkToFolder {
        /// The target's path.
        target: String,
    },
    /// Too many names for one file.
    #[error("the file has more than 65000 names (hard links), the most ext4 can hold")]
    TooManyLinks,
    /// Something other than a folder takes the place of a folder that has entries.
    #[error("it replaces a folder of the same name that is not empty")]
    ReplacesFullFolder,
    /// A file larger than ext4 can hold.
    #[error("a file of {size} bytes is too large for ext4")]
    FileTooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// Device numbers that ext4 can't hold.
    #[error("the device numbers {major}:{minor} are out of range")]
    BadDevice {
        /// Major number.
        major: u64,
        /// Minor number.
        minor: u64,
    },
    /// An extended attribute that ext4 can't hold.
    #[error("the extended attribute {name:?}: {why}")]
    BadXattr {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A kind of tar entry that isn't read.
    #[error("an entry of type {kind:?} is not supported: {why}")]
    UnknownKind {
        /// The type byte.
        kind: char,
        /// What to do.
        why: &'static str,
    },
    /// A PAX or GNU extension that makes no sense.
    #[error("its extended header is wrong: {0}")]
    BadExtension(String),
    /// A name or link that the chosen file system or backend can't hold.
    #[error("{why}")]
    Unrepresentable {
        /// Why, and what to do.
        why: String,
    },
}

impl VolumeError {
    /// For `map_err`: an I/O error with what was being done to which file.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl VolumeError {
    /// For `map_err`: a temporary file in this folder can't be made or written.
    pub(crate) fn temporary(
        action: &'static str,
        folder: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let folder = folder.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull => Self::NoRoom { folder, source },
            _ => Self::Io { action, path: folder, source },
        }
    }
}

/// A human-readable name: lossy, because errors are text and names are bytes.
pub(crate) fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
