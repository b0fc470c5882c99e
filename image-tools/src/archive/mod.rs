//! The archive of a component: one tar of its complete tree, the same bytes from the same tree on any machine.
//!
//! ```text
//! directory ──┐                    ┌── rules (bistable-format) ── each entry, before a byte is written
//! tar, .gz,   ├── Tree (volume/) ──┤
//! .xz, .zst ──┘                    └── written in the order of names, as often as it is asked to
//! ```
//! What a device couldn't keep as it is, is refused here, with the path and what to do: the folder in which devices keep components is
//! mounted without setuid bits and devices, belongs to root, and is replaced as a whole.
mod error;
mod prepare;
mod read;
mod stamp;

pub use error::{Refused, TreeError};
pub use prepare::{Preparation, Prepared, prepare};
pub use read::{ArchiveCheck, NotUnpacked};

use crate::sbom::Evidence;
use crate::volume::tree::{Kind, Node, Tree};
use crate::volume::{InputKind, VolumeError, open_tree, packages};
use bistable_format::archive::{
    ArchiveRules, END_BYTES, Entry, EntryKind, Totals, VERSION_FILE, says_version,
};
use semver::Version;
use stamp::Stamps;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What is copied at a time.
const PIECE: usize = 256 << 10;
/// Bytes of a version file at most.
const VERSION_MAX: usize = 256;
/// A link has no permissions of its own: this is what tools show.
const LINK_MODE: u32 = 0o777;
/// The attribute that gives a program rights of root.
const CAPABILITY: &str = "security.capability";

/// An archive that is decided, but not written.
#[derive(Debug)]
pub struct ArchivePlan {
    path: PathBuf,
    input: InputKind,
    tree: Tree,
    stamps: Stamps,
    size: u64,
    totals: Totals,
    notes: Vec<String>,
}

impl ArchivePlan {
    /// Read a directory or a tar, and check all of it. A tree without a version file gets one.
    ///
    /// # Errors
    /// What of it can't be in an archive; see [`TreeError`].
    pub fn open(
        path: &Path,
        version: &Version,
        source_date_epoch: u64,
        temp_dir: Option<&Path>,
    ) -> Result<ArchivePlan, TreeError> {
        let (input, mut tree) = open_tree(path, source_date_epoch, temp_dir)?;
        add_version(path, &mut tree, version, source_date_epoch, temp_dir)?;
        ArchivePlan::of(path, input, tree)
    }

    /// Read a directory or a tar, and check all of it. Nothing is added.
    ///
    /// # Errors
    /// What of it can't be in an archive; see [`TreeError`].
    pub(crate) fn read(
        path: &Path,
        source_date_epoch: u64,
        temp_dir: Option<&Path>,
    ) -> Result<ArchivePlan, TreeError> {
        let (input, tree) = open_tree(path, source_date_epoch, temp_dir)?;
        ArchivePlan::of(path, input, tree)
    }

    fn of(path: &Path, input: InputKind, tree: Tree) -> Result<ArchivePlan, TreeError> {
        let mut plan = ArchivePlan {
            path: path.into(),
            input,
            tree,
            stamps: Stamps::default(),
            size: 0,
            totals: Totals::default(),
            notes: Vec::new(),
        };
        plan.check()?;
        Ok(plan)
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What it was made from.
    pub fn input(&self) -> InputKind {
        self.input
    }

    /// What is in it.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What is different in the archive, one line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What says which packages are in it.
    ///
    /// # Errors
    /// A file that can't be read.
    pub(crate) fn evidence(&self) -> Result<Evidence, TreeError> {
        Ok(packages::of_tree(&self.tree)?)
    }

    fn check(&mut self) -> Result<(), TreeError> {
        let mut rules = ArchiveRules::new();
        let (mut size, mut stamps) = (END_BYTES as u64, Stamps::default());
        let (mut attributes, mut copies, mut seen) = (0_u64, (0_u64, 0_u64), BTreeSet::new());
        self.tree.walk(|path, _, _, id| {
            let node = self.tree.node(id);
            let entry = self.entry(path, node)?;
            rules
                .entry(path, entry.kind, entry.mode, entry.bytes)
                .map_err(|source| TreeError::Rules { tree: self.path.clone(), source })?;
            if node.xattrs.iter().any(|(name, _)| &**name == CAPABILITY) {
                return Err(self.refused(path, Refused::Capability));
            }
            attributes += u64::from(!node.xattrs.is_empty());
            if let Kind::File(data) = &node.kind {
                if node.links > 1 && !seen.insert(id) {
                    copies = (copies.0 + 1, copies.1 + data.size);
                }
                stamps.add(id, data)?;
            }
            size += entry.encode().len() as u64 + entry.bytes + entry.padding() as u64;
            Ok(())
        })?;
        self.totals =
            rules.finish().map_err(|source| TreeError::Rules { tree: self.path.clone(), source })?;
        (self.size, self.stamps) = (size, stamps);
        if copies.0 > 0 {
            self.notes.push(format!(
                "archive: {} further names of files (hard links) become files of their own, {} in all",
                copies.0,
                crate::size::Bytes(copies.1)
            ));
        }
        if attributes > 0 {
            self.notes.push(format!(
                "archive: extended attributes of {attributes} files and folders are left out: devices don't keep them"
            ));
        }
        Ok(())
    }

    /// Write it, from its first byte to its last. May be called again, and writes the same bytes.
    ///
    /// # Errors
    /// A file that can't be read or was changed since the plan was made, or an `out` that fails.
    pub fn write_to(&self, out: &mut dyn Write) -> Result<(), TreeError> {
        let failed = |e| TreeError::Volume(VolumeError::Output(e));
        self.tree.walk(|path, _, _, id| {
            let node = self.tree.node(id);
            let entry = self.entry(path, node)?;
            out.write_all(&entry.encode()).map_err(failed)?;
            if let Kind::File(data) = &node.kind {
                self.stamps.compare(id, data)?;
                let reader = self.tree.contents.open(data)?;
                let (mut at, mut piece) = (0, vec![0; PIECE]);
                while at < data.size {
                    let want = usize::try_from(data.size - at).map_or(PIECE, |left| left.min(PIECE));
                    let piece = piece.get_mut(..want).unwrap_or_default();
                    reader.read_at(at, piece)?;
                    out.write_all(piece).map_err(failed)?;
                    at += want as u64;
                }
                // Whatever was written to it meanwhile, one of the two looks sees it.
                self.stamps.compare(id, data)?;
                out.write_all(&vec![0; entry.padding()]).map_err(failed)?;
            }
            Ok::<_, TreeError>(())
        })?;
        out.write_all(&[0; END_BYTES]).map_err(failed)
    }

    /// An inode as an entry, if archives have such.
    fn entry<'a>(&self, path: &'a [u8], node: &'a Node) -> Result<Entry<'a>, TreeError> {
        let (kind, bytes) = match &node.kind {
            Kind::Folder(_) => (EntryKind::Directory, 0),
            Kind::File(data) => (EntryKind::File, data.size),
            Kind::Symlink(target) => (EntryKind::Symlink(target), 0),
            Kind::Char { .. } | Kind::Block { .. } => return Err(self.refused(path, Refused::Device)),
            Kind::Fifo => return Err(self.refused(path, Refused::Pipe)),
        };
        // The sticky bit protects files from other owners, and here root owns all. The other two are for the rules to refuse.
        let mode = match kind {
            EntryKind::Symlink(_) => LINK_MODE,
            EntryKind::Directory | EntryKind::File => u32::from(node.meta.mode) & !0o1000,
        };
        let mtime = u64::try_from(node.meta.mtime.secs).unwrap_or(0);
        Ok(Entry { path, kind, mode, mtime, bytes })
    }

    fn refused(&self, path: &[u8], why: Refused) -> TreeError {
        TreeError::Refused { tree: self.path.clone(), path: shown(path), why }
    }
}

/// A path for a message.
fn shown(path: &[u8]) -> String {
    bistable_format::text::printable(&String::from_utf8_lossy(path), &[])
}

/// The tree's version file says the release's version; a tree without one gets it.
fn add_version(
    path: &Path,
    tree: &mut Tree,
    version: &Version,
    epoch: u64,
    temp_dir: Option<&Path>,
) -> Result<(), TreeError> {
    match tree.file_at(path, VERSION_FILE, VERSION_MAX)? {
        None => Ok(tree.put_file(VERSION_FILE, format!("{version}\n").as_bytes(), epoch, temp_dir)?),
        Some(Ok(text)) if says_version(&text, version) => Ok(()),
        Some(Ok(text)) => {
            let found = shown(text.trim_ascii());
            Err(TreeError::Version { tree: path.into(), found, wanted: version.clone() })
        }
        Some(Err(_)) => Err(TreeError::NotAVersion { tree: path.into() }),
    }
}
