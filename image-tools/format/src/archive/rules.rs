//! The rules, applied to one entry after another. They keep the path of the last entry, and sums.
use super::{ArchiveError, EntryKind, NameError, link};
use crate::{
    limits,
    text::{is_printable, printable},
};
use alloc::{string::String, vec::Vec};
use core::cmp::Ordering;

/// What an archive holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Folders, files and links.
    pub entries: u32,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Checks an archive, entry by entry. After an error nothing that follows means anything.
///
/// ```
/// use bistable_format::archive::{ArchiveRules, EntryKind};
///
/// let mut rules = ArchiveRules::new();
/// rules.entry(b"bin", EntryKind::Directory, 0o755, 0)?;
/// rules.entry(b"bin/core", EntryKind::File, 0o755, 120)?;
/// rules.entry(b"bin/run", EntryKind::Symlink(b"core"), 0o777, 0)?;
/// assert_eq!(rules.finish()?.entries, 3);
/// # Ok::<_, bistable_format::archive::ArchiveError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ArchiveRules {
    /// Path of the last entry.
    last: Vec<u8>,
    /// Whether that is a folder. All that are above it are.
    is_folder: bool,
    totals: Totals,
}

impl ArchiveRules {
    /// For an archive of which nothing has been read.
    pub fn new() -> ArchiveRules {
        ArchiveRules::default()
    }

    /// Check the next entry. `mode` has all bits that the archive has for it, `bytes` is the size of its content.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn entry(
        &mut self,
        path: &[u8],
        kind: EntryKind<'_>,
        mode: u32,
        bytes: u64,
    ) -> Result<(), ArchiveError> {
        check_path(path).map_err(|why| ArchiveError::Name { path: shown(path), why })?;
        match order(&self.last, path) {
            Ordering::Less => {}
            Ordering::Equal => return Err(ArchiveError::Twice { path: shown(path) }),
            Ordering::Greater => {
                return Err(ArchiveError::Order { path: shown(path), after: shown(&self.last) });
            }
        }
        if !self.has_folder(parent(path)) {
            return Err(ArchiveError::Parent { path: shown(path) });
        }
        if let EntryKind::Symlink(target) = kind {
            let depth = path.iter().filter(|byte| **byte == b'/').count();
            link::check(target, depth).map_err(|why| {
                let cut = target.get(..limits::ARCHIVE_PATH).unwrap_or(target);
                ArchiveError::Link { path: shown(path), target: shown(cut), why }
            })?;
        }
        if mode & !0o777 != 0 {
            return Err(ArchiveError::Mode { path: shown(path), mode });
        }
        if kind != EntryKind::File && bytes != 0 {
            return Err(ArchiveError::Content { path: shown(path), bytes });
        }
        if self.totals.entries >= limits::ARCHIVE_ENTRIES {
            return Err(ArchiveError::TooMany { path: shown(path) });
        }
        let sum = self.totals.bytes.checked_add(bytes).filter(|sum| *sum <= limits::VOLUME);
        self.totals.bytes = sum.ok_or_else(|| ArchiveError::TooLarge { path: shown(path) })?;
        self.totals.entries += 1;
        self.last.clear();
        self.last.extend_from_slice(path);
        self.is_folder = kind == EntryKind::Directory;
        Ok(())
    }

    /// What there was, after the last entry.
    ///
    /// # Errors
    /// [`ArchiveError::Empty`].
    pub fn finish(self) -> Result<Totals, ArchiveError> {
        if self.totals.entries == 0 { Err(ArchiveError::Empty) } else { Ok(self.totals) }
    }

    /// Whether a folder is the root, the last entry, or above it. In a sorted archive no other can get a new entry.
    fn has_folder(&self, folder: &[u8]) -> bool {
        match self.last.strip_prefix(folder) {
            _ if folder.is_empty() => true,
            Some([]) => self.is_folder,
            Some([b'/', ..]) => true,
            Some(_) | None => false,
        }
    }
}

/// The order of an archive: by names, folder by folder, so that what is in a folder follows it at once. The order of the paths'
/// bytes would put `a-b` between `a` and `a/b`.
fn order(a: &[u8], b: &[u8]) -> Ordering {
    a.split(|byte| *byte == b'/').cmp(b.split(|byte| *byte == b'/'))
}

fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    path.get(..end).unwrap_or_default()
}

fn check_path(path: &[u8]) -> Result<(), NameError> {
    if path.is_empty() {
        return Err(NameError::Empty);
    }
    if path.len() > limits::ARCHIVE_PATH {
        return Err(NameError::LongPath { bytes: path.len() });
    }
    if path.starts_with(b"/") {
        return Err(NameError::Absolute);
    }
    let text = core::str::from_utf8(path).map_err(|_| NameError::NotUtf8)?;
    if !is_printable(text, &[]) {
        return Err(NameError::NotPrintable);
    }
    for name in text.split('/') {
        match name {
            "" => return Err(NameError::EmptyName),
            "." | ".." => return Err(NameError::Dots),
            name if name.len() > limits::ARCHIVE_NAME => {
                return Err(NameError::LongName { bytes: name.len() });
            }
            _ => {}
        }
    }
    Ok(())
}

/// A path for a message, cut to what one may have.
fn shown(path: &[u8]) -> String {
    let cut = path.get(..limits::ARCHIVE_PATH).unwrap_or(path);
    printable(&String::from_utf8_lossy(cut), &[])
}
