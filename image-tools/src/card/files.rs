//! The two file systems that don't come from the bundle: boot configuration and `persistent`.
use super::image::{AccessError, CardImage, PartitionBlocks};
use super::{CardError, CardOptions, CardPlan, Place, script};
use crate::interrupt::Temporary;
use crate::output::OutputError;
use crate::volume::{BootOptions, Owner, SystemOptions, VolumeError, VolumeId, VolumePlan, VolumeSize};
use bistable_boot::fat::{Fat, FatError};
use bistable_boot::layout::{BOOT_PARTITIONS, Partition};
use bistable_boot::{Autoboot, Blocks, Flow, SECTOR, Slot};
use bistable_format::Release;
use std::cell::Cell;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const AUTOBOOT: &str = "autoboot.txt";
const SCRIPT: &str = "boot.scr";
/// What the user may not bring: the firmware would follow the first past U-Boot, and U-Boot the last two past the second.
const OURS: [&str; 4] = [AUTOBOOT, SCRIPT, "boot.scr.uimg", "extlinux"];
/// Its name in a FAT's folder.
const AUTOBOOT_SHORT: &[u8; 11] = b"AUTOBOOTTXT";
/// Folders within folders that are taken over.
const DEPTH: usize = 32;

fn temporary_folder() -> Result<Temporary<TempDir>, CardError> {
    let made = TempDir::new().map_err(OutputError::io("create a folder in", &std::env::temp_dir()));
    Ok(Temporary::folder(made?))
}

/// FAT with what the boot loader reads first, autoboot.txt or boot.scr, and whatever the user adds.
pub(super) fn bootconfig(
    card: &mut CardImage,
    plan: &CardPlan,
    options: &CardOptions,
    time: u64,
) -> Result<(), CardError> {
    let folder = temporary_folder()?;
    if let Some(extra) = &options.bootconfig {
        copy(extra, folder.path(), DEPTH)?;
        for entry in fs::read_dir(folder.path()).map_err(at("read", folder.path()))?.flatten() {
            if OURS.iter().any(|ours| entry.file_name().eq_ignore_ascii_case(ours)) {
                return Err(CardError::BootFile { path: extra.join(entry.file_name()) });
            }
        }
    }
    let flag = Autoboot { partitions: BOOT_PARTITIONS, default: Slot::A }.render();
    let (name, content) = match options.flow {
        Flow::Tryboot => (AUTOBOOT, flag.to_vec()),
        Flow::Uboot => (SCRIPT, script::image(bistable_boot::bootblock::SCRIPT, time)),
    };
    let path = folder.path().join(name);
    let mut file = File::create_new(&path).map_err(at("write", &path))?;
    file.write_all(&content)
        .and_then(|()| file.set_modified(since_1970(time)))
        .map_err(at("write", &path))?;

    let place = plan.place(Partition::Bootconfig);
    let id = VolumeId::from_name("bootconfig");
    let fat = BootOptions {
        size: VolumeSize::Exact(place.bytes),
        label: "BOOTCONFIG".into(),
        ..BootOptions::new(id, time)
    };
    let volume = crate::volume::open_boot(folder.path(), &fat);
    put(card, Partition::Bootconfig, place, volume)?;
    match options.flow {
        Flow::Tryboot => check_autoboot(card, place, &flag),
        Flow::Uboot => Ok(()),
    }
}

/// The flag must be where the device will look for it, and one sector.
fn check_autoboot(card: &CardImage, place: Place, text: &[u8; SECTOR]) -> Result<(), CardError> {
    let wrong = |what: String| CardError::Internal(format!("autoboot.txt on the boot configuration: {what}"));
    let mut blocks = PartitionBlocks { file: card.file(), place };
    let fat = |e: FatError<AccessError>| wrong(e.to_string());
    let found = Fat::open(&mut blocks).and_then(|f| f.find(&mut blocks, AUTOBOOT_SHORT)).map_err(fat)?;
    let mut sector = [0; SECTOR];
    blocks.read(found.first, &mut sector).map_err(|e| wrong(e.to_string()))?;
    if found.bytes as usize != SECTOR || sector != *text {
        return Err(wrong("not the 512 bytes that were written".into()));
    }
    Ok(())
}

/// An ext4 that grows at first boot: with this tree in it, or empty.
pub(super) fn persistent(
    card: &mut CardImage,
    plan: &CardPlan,
    release: &Release,
    tree: Option<&Path>,
) -> Result<(), CardError> {
    let folder = temporary_folder()?;
    let root = folder.path();
    fs::set_permissions(root, Permissions::from_mode(0o755)).map_err(at("prepare", root))?;
    let handle = File::open(root).map_err(at("open", root))?;
    handle.set_modified(since_1970(release.build_time)).map_err(at("prepare", root))?;
    let id = VolumeId::from_name(&format!("{}/persistent", release.product()));
    let options = SystemOptions {
        size: VolumeSize::Exact(plan.persistent()),
        owner: Owner::Root,
        label: "persistent".into(),
        ..SystemOptions::new(id, release.build_time)
    };
    let place = Place { start: plan.place(Partition::Persistent).start, bytes: plan.persistent() };
    put(card, Partition::Persistent, place, crate::volume::open_system(tree.unwrap_or(root), &options))
}

fn put(
    card: &mut CardImage,
    partition: Partition,
    place: Place,
    volume: Result<VolumePlan, VolumeError>,
) -> Result<(), CardError> {
    let failed = |source| CardError::Volume { partition: partition.name(), source };
    let volume = volume.map_err(failed)?;
    let mut writer = FillFrom { card, at: place.start, failure: Cell::new(None) };
    let written = volume.write_to(&mut writer, &|_| {});
    if let Some(e) = writer.failure.take() {
        return Err(card.error(e).into());
    }
    written.map_err(failed)?;
    // Zeros too: they are part of the file system.
    card.map(place.start, place.bytes);
    Ok(())
}

/// Writes a stream to its place on the card, and keeps what went wrong.
struct FillFrom<'a> {
    card: &'a CardImage,
    at: u64,
    failure: Cell<Option<io::Error>>,
}

impl Write for FillFrom<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(e) = self.card.fill(self.at, bytes) {
            self.failure.set(Some(e));
            return Err(io::Error::other("the card image can't be written"));
        }
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copy files and folders, with their times; links are followed, and devices refused.
fn copy(from: &Path, to: &Path, depth: usize) -> Result<(), CardError> {
    let too_deep = || io::Error::other("folders are nested too deeply");
    for entry in fs::read_dir(from).map_err(at("read", from))? {
        let entry = entry.map_err(at("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = fs::metadata(&source).map_err(at("read", &source))?;
        if meta.is_dir() {
            let depth = depth.checked_sub(1).ok_or_else(too_deep).map_err(at("copy", &source))?;
            fs::create_dir(&target).map_err(at("copy", &source))?;
            copy(&source, &target, depth)?;
        } else if meta.is_file() {
            fs::copy(&source, &target).map_err(at("copy", &source))?;
        } else {
            return Err(at("copy", &source)(io::Error::other("it is neither a file nor a folder")));
        }
        let copied = File::open(&target).map_err(at("copy", &source))?;
        let time = meta.modified().map_err(at("read", &source))?;
        copied.set_modified(time).map_err(at("copy", &source))?;
    }
    Ok(())
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CardError {
    move |source| CardError::Bootconfig { action, path: path.into(), source }
}

fn since_1970(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}
