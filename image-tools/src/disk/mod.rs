//! A finished disk image, taken apart into the two volumes of a release, so that it runs in either slot.
//!
//! ```text
//! .img ───────────┐           ┌─ FAT  ─► tree ─► cmdline-{a,b}.txt, config.txt ─► boot volume (built again)
//! .img.xz,.zst,.gz┴─► table ──┤
//!          (sparse copy)      └─ ext4 ─► copy ─► fstab, machine-id, first boot ─► system volume (edited in place)
//! ```
//! The image is hostile input: tables and file systems are read with bounds, and what can't be right is refused with a
//! list of what was found. Needs e2fsprogs (`debugfs`, `e2fsck`), no root.
mod boot;
mod choose;
mod cmdline;
mod content;
mod debugfs;
mod error;
mod fat;
mod fstab;
#[doc(hidden)]
pub mod fuzz;
mod overlay;
mod root;
mod script;
mod system;
mod table;
mod tools;
mod unpack;
mod view;

pub use error::DiskError;
pub use table::TableKind;
pub(crate) use table::read as read_table;
pub(crate) use unpack::unpacked;

use crate::interrupt::Temporary;
use crate::output::{self, OutputError};
use crate::progress::{Progress, Stage};
use crate::root::SignedRoot;
use crate::volume::tree::Tree;
use crate::volume::{InputKind, VolumeSize, formats, ready};
use bistable_format::Release;
use content::{Content, Found};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The system volume's copy, in the temporary folder.
const SYSTEM: &str = "system.img";

/// Which image to take apart, and how.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// The image of a whole card, plain or compressed by xz, zstd or gzip.
    pub image: PathBuf,
    /// Number of the boot partition; `None` to look for it.
    pub boot_partition: Option<u32>,
    /// Number of the root file system's partition; `None` to look for it.
    pub system_partition: Option<u32>,
    /// A folder that is copied over the root file system.
    pub overlay: Option<PathBuf>,
}

impl DiskOptions {
    /// Look for the partitions, and copy nothing over them.
    pub fn new(image: PathBuf) -> Self {
        DiskOptions { image, boot_partition: None, system_partition: None, overlay: None }
    }
}

/// What was done to an image, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dissected {
    /// Its partition table.
    pub table: TableKind,
    /// Number of the partition that became the boot volume.
    pub boot_partition: u32,
    /// Number of the partition that became the system volume.
    pub system_partition: u32,
    /// What was changed, and what a person should know, one line each.
    pub notes: Vec<String>,
}

/// The volumes of an image.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Keeps `system` while it lives.
    pub(crate) folder: Temporary<TempDir>,
    /// The boot volume's files.
    pub(crate) boot: Tree,
    /// The boot volume's label, by which programs of the image may look for it; none if it has no name.
    pub(crate) label: Option<String>,
    /// The system volume's image.
    pub(crate) system: PathBuf,
    pub(crate) dissected: Dissected,
}

/// Where temporary files go.
fn temporary(out: &Path) -> Result<Temporary<TempDir>, DiskError> {
    let folder = output::temporary_folder(out);
    let made = tempfile::Builder::new().prefix(".bistable-image.").tempdir_in(&folder);
    Ok(Temporary::folder(made.map_err(OutputError::io("make a temporary folder in", &folder))?))
}

/// Take an image apart. `root` is what the system shall carry, `epoch` is the time of what is new, `size` that of the system volume; `out` is the bundle.
pub(crate) fn dissect(
    options: &DiskOptions,
    root: Option<&SignedRoot>,
    epoch: u64,
    size: VolumeSize,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Parts, DiskError> {
    let image = &*options.image;
    let folder = temporary(out)?;
    let disk = unpack::open(image, folder.path(), progress)?;
    let (kind, partitions) =
        table::read(&disk.file, disk.bytes).map_err(|why| DiskError::Table { path: image.into(), why })?;
    let mut found = Vec::new();
    for partition in partitions {
        let content = content::sniff(&disk.file, partition.start, partition.bytes);
        let content = content.map_err(DiskError::read("read", image))?;
        let boots = content == Content::Fat && fat::boots(&disk.file, &partition);
        let is_rootless = content == Content::Ext && view::is_rootless(&disk.file, &partition);
        found.push(Found { partition, content, boots, is_rootless });
    }
    let wanted = choose::Wanted { boot: options.boot_partition, system: options.system_partition };
    let (boot, system) = choose::choose(&found, wanted).map_err(|why| {
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        DiskError::Choice { path: image.into(), why, found: lines.join("\n") }
    })?;

    let (boot, system) = (&boot.partition, &system.partition);
    let label = fat::label(&disk.file, boot);
    let mut tree = fat::read(image, &disk.file, boot, epoch, folder.path())?;
    let mut notes = boot::edit(image, &mut tree, epoch, folder.path())?;

    progress.begin(Stage::Edit, 0);
    let failed = |why| DiskError::Partition { path: image.into(), number: system.number, why };
    let mut head = [0; ready::HEAD];
    disk.file.read_exact_at(&mut head, system.start).map_err(DiskError::read("read", image))?;
    let bytes = ready::claimed(&head, InputKind::Ext4).map_err(&failed)?;
    if bytes > system.bytes {
        let why = format!("its file system has {bytes} bytes, the partition only {}", system.bytes);
        return Err(failed(why));
    }
    let copy = folder.path().join(SYSTEM);
    let file = File::create_new(&copy).map_err(OutputError::io("create", &copy))?;
    unpack::copy(&disk, image, system.start, bytes, &file, &copy)?;
    // The unpacked disk isn't needed any more, and takes room.
    drop(disk);
    if debugfs::recover(folder.path(), SYSTEM, epoch)? {
        notes.push("the system partition was not unmounted cleanly: its journal was replayed".into());
    }
    let typed = debugfs::add_file_types(folder.path(), SYSTEM, epoch).map_err(|e| match e {
        DiskError::Tool { program: "e2fsck", why } => failed(why),
        other => other,
    })?;
    if typed {
        notes.push("the system's folders did not say what their entries are, as genext2fs leaves them: the feature `filetype` was added".into());
    }
    if let VolumeSize::Exact(size) = size
        && size > bytes
    {
        file.set_len(size).map_err(OutputError::io("write", &copy))?;
        debugfs::grow(folder.path(), SYSTEM, epoch)?;
    }
    drop(file);
    let view = view::Ext4View::open(&copy).map_err(&failed)?;
    let mut edits = system::Edits::new();
    if let Some(overlay) = &options.overlay {
        overlay::decide(overlay, &view, epoch, &mut edits, &mut notes)?;
    }
    system::decide(&view, epoch, &mut edits, &mut notes).map_err(&failed)?;
    if let Some(root) = root {
        root::decide(&view, root, epoch, &mut edits).map_err(&failed)?;
    }
    // The number comes from the copy later; here the message can name the image and its partition.
    let said = system::file_at(&view, &edits, Release::FORMATS_PATH, formats::MOST).map_err(&failed)?;
    said.map_or(Ok(0), |text| formats::parse(&text)).map_err(&failed)?;
    debugfs::apply(image, folder.path(), SYSTEM, &view, &edits, epoch)?;
    progress.end(Stage::Edit);
    let dissected =
        Dissected { table: kind, boot_partition: boot.number, system_partition: system.number, notes };
    Ok(Parts { folder, boot: tree, label, system: copy, dissected })
}
