//! What is wrong with an archive: data first, a sentence second.
use crate::limits;
use alloc::string::String;

/// Why an entry may not be in an archive. Paths are printable, whatever the entry has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The path can't be one.
    #[error("{path:?}: {why}")]
    Name {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: NameError,
    },
    /// The path is there already.
    #[error("{path:?} is there twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// An entry that should have come before the last one.
    #[error("{path:?} comes after {after:?}: entries are sorted by their names, folder by folder")]
    Order {
        /// The path.
        path: String,
        /// The last one.
        after: String,
    },
    /// No folder for it came before.
    #[error("{path:?} comes without the folder that it is in")]
    Parent {
        /// The path.
        path: String,
    },
    /// A symbolic link out of the tree, or one that might lead out of it.
    #[error("{path:?} is a symbolic link to {target:?}: {why}")]
    Link {
        /// The link's path.
        path: String,
        /// Its target.
        target: String,
        /// What is wrong with it.
        why: LinkError,
    },
    /// More than permissions.
    #[error(
        "{path:?} has mode {mode:04o}: setuid, setgid and sticky bits have no effect where components are kept; remove them with chmod"
    )]
    Mode {
        /// The path.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// A folder or a link with content.
    #[error("{path:?} has {bytes} bytes of content, which only files have")]
    Content {
        /// The path.
        path: String,
        /// The bytes.
        bytes: u64,
    },
    /// Too many entries.
    #[error("{path:?}: more than {} files, folders and links", limits::ARCHIVE_ENTRIES)]
    TooMany {
        /// The first that is too many.
        path: String,
    },
    /// Files that are too large together.
    #[error("{path:?}: the files have more than {} GiB together", limits::VOLUME >> 30)]
    TooLarge {
        /// The file that is too much.
        path: String,
    },
    /// Nothing in it.
    #[error("the archive is empty")]
    Empty,
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No bytes.
    #[error("a path without a name")]
    Empty,
    /// Begins with a slash.
    #[error("an absolute path")]
    Absolute,
    /// Has an empty name in it, or ends in a slash.
    #[error("a path with an empty name in it")]
    EmptyName,
    /// Has a name that is `.` or `..`.
    #[error("a path with a name that is \".\" or \"..\"")]
    Dots,
    /// Not UTF-8.
    #[error("the name is not UTF-8: rename it")]
    NotUtf8,
    /// Has characters that must not reach a terminal.
    #[error("the name has control characters or invisible ones: rename it")]
    NotPrintable,
    /// One name is too long.
    #[error("a name of {bytes} bytes: {} are possible", limits::ARCHIVE_NAME)]
    LongName {
        /// Its bytes.
        bytes: usize,
    },
    /// All names are too long together.
    #[error("a path of {bytes} bytes: {} are possible", limits::ARCHIVE_PATH)]
    LongPath {
        /// Its bytes.
        bytes: usize,
    },
}

/// What is wrong with the target of a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No bytes.
    #[error("it has no target")]
    Empty,
    /// Begins with a slash.
    #[error(
        "a component may only link to what is in its own folder: link to it by a relative path, or put the file itself there"
    )]
    Absolute,
    /// More `..` than there are folders.
    #[error("it leads out of the component's folder: put the file itself there")]
    Escapes,
    /// A `..` after a name, which may be a link itself, so that nothing but the file system knows where it leads.
    #[error("a \"..\" after a name leads anywhere if that name is a link: write the target without it")]
    Climbs,
    /// Not UTF-8.
    #[error("the target is not UTF-8")]
    NotUtf8,
    /// Has characters that must not reach a terminal.
    #[error("the target has control characters or invisible ones")]
    NotPrintable,
    /// Too long.
    #[error("a target of {bytes} bytes: {} are possible", limits::ARCHIVE_PATH)]
    Long {
        /// Its bytes.
        bytes: usize,
    },
}
