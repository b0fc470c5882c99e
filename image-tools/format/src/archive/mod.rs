//! The archive of a component of the kind `directory`: one tar of the complete tree.
//!
//! A tree has one archive. [`ArchiveRules`] is given each entry in order and says what is wrong with it: the host asks it while it
//! writes an archive, the device while it unpacks one. What passes can be unpacked into an empty folder entry by entry, and nothing in
//! it leads out of that folder. [`Entry::encode`] writes the one header that an entry has, and [`ArchiveReader`] reads an archive from
//! any pieces of it and refuses what is written in another way, to the bit.
//!
//! | | rule |
//! |---|---|
//! | order | a folder before what is in it, names of one folder in the order of their bytes; the root itself is not an entry |
//! | names | UTF-8, printable, at most [`limits::ARCHIVE_NAME`] bytes each and [`limits::ARCHIVE_PATH`] bytes together; neither `.` nor `..` |
//! | kinds | folders, files, symbolic links |
//! | links | relative, `..` only at the beginning, and no more of them than there are folders above |
//! | modes | permissions for owner, group and others: no setuid, setgid or sticky bit |
//! | sizes | at most [`limits::ARCHIVE_ENTRIES`] entries, and all files together no more than an artifact has |
//!
//! [`limits::ARCHIVE_NAME`]: crate::limits::ARCHIVE_NAME
//! [`limits::ARCHIVE_PATH`]: crate::limits::ARCHIVE_PATH
//! [`limits::ARCHIVE_ENTRIES`]: crate::limits::ARCHIVE_ENTRIES
mod entry;
mod error;
mod link;
mod reader;
mod rules;

pub use entry::Entry;
pub use error::{ArchiveError, LinkError, NameError};
pub use reader::{ArchiveReader, ReadError, Sink};
pub use rules::{ArchiveRules, Totals};

/// Bytes of zeros after the last entry.
pub const END_BYTES: usize = crate::bundle::END_BYTES;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind<'a> {
    /// A folder.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link, with its target.
    Symlink(&'a [u8]),
}

/// Where a tree has its version, unless the device's owner names another file.
pub const VERSION_FILE: &str = "VERSION";

/// Whether the text of a version file says this version: the version, and perhaps one line end.
pub fn says_version(text: &[u8], version: &semver::Version) -> bool {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    core::str::from_utf8(line)
        .is_ok_and(|line| semver::Version::parse(line).is_ok_and(|said| said == *version))
}
