//! The boot volume: a FAT file system from a tree.
//!
//! FAT32 from 34 MiB on, FAT16 below (at least 4 MiB). A fitting size is what the contents need and a tenth
//! more, at least 34 MiB, in whole MiB.
//!
//! FAT has no owners, modes, links or upper and lower case. A hard link, or a symlink that stays inside the
//! tree, becomes a copy; what can't be held is an error that names the entry. When all is written, everything
//! is read back and compared.
//!
//! The file system is put together in memory (see [`pages`]), since the writer reads and writes a few bytes at a
//! time; only then it goes to a temporary file.

mod gather;
mod pages;

use std::fs::File;
use std::path::Path;

use fatfs::FatVolume;
use fatfs::format::{FatFormatOptions, FatTypeSelection, FatVolumeFormatter, FormatParams};
use fatfs::sync::dir::FatDir;
use fatfs::time::{EpochTimeProvider, FatDateTime};

use super::error::VolumeError;
use super::options::{BootOptions, VolumeSize};
use super::tree::{Kind, NodeId, Time, Tree};
use gather::{Item, Place};
use pages::Pages;

const MIB: u64 = 1 << 20;
/// From this size on a volume is FAT32, in bytes: 65525 clusters of one sector, and the tables.
const FAT32_FROM: u64 = 34 * MIB;
/// The smallest volume, in bytes.
const LEAST: u64 = 4 * MIB;
/// The largest, in bytes: sectors are counted in 32 bits.
const MOST: u64 = (u32::MAX as u64) * 512;
/// The directory entries of the label and of a folder itself and its parent.
const FIXED_SLOTS: u64 = 2;
const SLOT: u64 = 32;
const BUFFER: usize = 256 << 10;

/// The clock of the writer: everything whose time isn't set explicitly is from 1980.
static CLOCK: EpochTimeProvider = EpochTimeProvider;

/// Makes the image in a nameless temporary file.
pub(crate) fn make(
    source: &Path,
    tree: &Tree,
    options: &BootOptions,
    warnings: &mut Vec<String>,
) -> Result<File, VolumeError> {
    check_label(&options.label)?;
    let items = gather::gather(source, tree, warnings)?;
    let (settings, params) = layout(&items, options)?;
    let volume_size = settings.volume_size;
    let volume =
        FatVolumeFormatter::format(Pages::new(volume_size), settings).map_err(fat("(the volume)"))?;
    let mut pages = volume.into_inner();
    stamp_label(&mut pages, &params, options)?;
    let volume =
        FatVolume::builder(pages.rewound()).time_provider(&CLOCK).open().map_err(fat("(the volume)"))?;
    write_all(&volume, tree, &items)?;
    volume.sync().map_err(fat("(the volume)"))?;
    let volume = FatVolume::open(volume.into_inner().rewound()).map_err(fat("(the volume)"))?;
    read_back(&volume, tree, &items)?;
    let folder = options.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
    let file = tempfile::tempfile_in(&folder)
        .map_err(VolumeError::temporary("make a temporary file in", &folder))?;
    volume.into_inner().store(&file).map_err(VolumeError::temporary("write a temporary file in", &folder))?;
    Ok(file)
}

/// Whether a volume can have this label.
pub(crate) fn is_label(label: &str) -> bool {
    check_label(label).is_ok()
}

fn check_label(label: &str) -> Result<(), VolumeError> {
    // Small letters are against the specification; mkfs.fat writes them, and programs look for `system-boot`.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" !#$%&'()-@^_`{}~".contains(&byte);
    let why = if label.is_empty() || label.len() > 11 {
        "a FAT label has 1 to 11 characters"
    } else if !label.bytes().all(allowed) || label.starts_with(' ') {
        "a FAT label holds letters, digits, spaces and !#$%&'()-@^_`{}~"
    } else {
        return Ok(());
    };
    Err(VolumeError::BadOption { what: "label", value: label.into(), why })
}

/// The settings for the size that is asked for or fits.
fn layout(items: &[Item], options: &BootOptions) -> Result<(FatFormatOptions, FormatParams), VolumeError> {
    let settings = |size| {
        let kind = if size >= FAT32_FROM { FatTypeSelection::Fat32 } else { FatTypeSelection::Fat16 };
        FatFormatOptions::new(size).fat_type(kind).volume_label(&options.label).volume_id(options.id.serial())
    };
    let try_size = |size, spare: fn(u64) -> u64| {
        let settings = settings(size);
        let params = FatVolumeFormatter::calculate_params(&settings).map_err(fat("(the volume)"))?;
        let cluster = u64::from(params.sectors_per_cluster) * 512;
        // Before FAT32 the root folder has as many places as the formatter gave it; one is the label's.
        let places = u64::from(params.root_entry_count);
        let has_places = places == 0 || root_slots(items) < places;
        let enough = has_places && spare(clusters(items, cluster)) <= u64::from(params.cluster_count);
        Ok::<_, VolumeError>(enough.then_some((settings, params)))
    };
    let fitting = |from: u64, spare| {
        let mut size = from.max(FAT32_FROM);
        loop {
            if let Some(found) = try_size(size, spare)? {
                return Ok((size, found));
            }
            // In steps of 1 MiB at first, later of an eighth, so that the search is short.
            size = (size + (size / 64).max(MIB)).next_multiple_of(MIB);
            if size > MOST {
                return Err(VolumeError::BadSize { size, why: "a FAT volume is smaller than 2 TiB" });
            }
        }
    };
    match options.size {
        VolumeSize::Fit => fitting(FAT32_FROM, |clusters| clusters + clusters / 9).map(|(_, found)| found),
        VolumeSize::Exact(size) if !(LEAST..=MOST).contains(&size) => {
            Err(VolumeError::BadSize { size, why: "a FAT volume has 4 MiB (4194304) to 2 TiB" })
        }
        VolumeSize::Exact(size) => match try_size(size, |clusters| clusters)? {
            Some(found) => Ok(found),
            None => Err(VolumeError::TooSmall { size, needed: fitting(size, |clusters| clusters)?.0 }),
        },
    }
}

/// Clusters that the items take.
fn clusters(items: &[Item], cluster: u64) -> u64 {
    let root = root_slots(items);
    let folder = |slots: u64| ((slots + FIXED_SLOTS) * SLOT).div_ceil(cluster);
    let rest: u64 = items
        .iter()
        .map(|item| match &item.place {
            Place::Folder { slots } => folder(*slots),
            Place::File { size, .. } => u64::from(*size).div_ceil(cluster),
        })
        .sum();
    folder(root) + rest
}

/// Directory entries in the root folder, without the label.
fn root_slots(items: &[Item]) -> u64 {
    items.iter().filter(|item| item.depth == 0).map(slots).sum()
}

/// Directory entries of a name: one, and one more for each 13 UTF-16 units of a long name.
fn slots(item: &Item) -> u64 {
    1 + (item.name.encode_utf16().count() as u64).div_ceil(13)
}

type Volume = FatVolume<Pages>;

fn write_all(volume: &Volume, tree: &Tree, items: &[Item]) -> Result<(), VolumeError> {
    // The folders from the root to the one that is being filled.
    let mut folders: Vec<FatDir<'_, Pages>> = vec![volume.root_dir()];
    for item in items {
        folders.truncate(item.depth + 1);
        let Some(parent) = folders.last() else {
            return Err(VolumeError::Internal("an entry came before its folder".into()));
        };
        match &item.place {
            Place::Folder { .. } => {
                let folder = volume.create_dir(parent, &item.name).map_err(fat(&item.path))?;
                folders.push(folder);
            }
            Place::File { node, mtime, .. } => {
                write_file(volume, parent, tree, item, *node, *mtime)?;
            }
        }
    }
    Ok(())
}

fn write_file(
    volume: &Volume,
    parent: &FatDir<'_, Pages>,
    tree: &Tree,
    item: &Item,
    node: NodeId,
    mtime: Time,
) -> Result<(), VolumeError> {
    let entry = volume.create_file(parent, &item.name).map_err(fat(&item.path))?;
    let mut writer = fatfs::sync::write::FileWriter::new(volume, &entry).map_err(fat(&item.path))?;
    let stamp = fat_time(mtime.secs);
    writer.set_modified(stamp).set_created(stamp).set_accessed(stamp.date);
    contents(tree, node, |bytes| {
        let mut rest = bytes;
        while !rest.is_empty() {
            let done = writer.write(rest).map_err(fat(&item.path))?;
            if done == 0 {
                return Err(fat(&item.path)("no space left"));
            }
            rest = rest.get(done..).unwrap_or_default();
        }
        Ok(())
    })?;
    writer.finish().map_err(fat(&item.path))
}

/// A file of a boot volume that is still a tree.
#[derive(Debug, Clone)]
pub(crate) struct BootFile {
    /// Path on the volume, without a leading `/`.
    pub(crate) path: String,
    /// Where its contents are.
    pub(crate) node: NodeId,
    /// Size in bytes.
    pub(crate) size: u32,
}

impl BootFile {
    /// The last component of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// All files that the volume will have: symlinks are what they lead to.
pub(crate) fn files(source: &Path, tree: &Tree) -> Result<Vec<BootFile>, VolumeError> {
    // The warnings come again when the volume is made.
    let items = gather::gather(source, tree, &mut Vec::new())?;
    let file = |item: Item| match item.place {
        Place::File { node, size, .. } => Some(BootFile { path: item.path, node, size }),
        Place::Folder { .. } => None,
    };
    Ok(items.into_iter().filter_map(file).collect())
}

/// The file at a path; FAT knows no upper and lower case.
pub(crate) fn find<'a>(files: &'a [BootFile], path: &str) -> Option<&'a BootFile> {
    files.iter().find(|file| file.path.eq_ignore_ascii_case(path))
}

/// Calls `take` with a file's bytes, piece by piece.
pub(crate) fn contents(
    tree: &Tree,
    node: NodeId,
    mut take: impl FnMut(&[u8]) -> Result<(), VolumeError>,
) -> Result<(), VolumeError> {
    let Kind::File(data) = &tree.node(node).kind else {
        return Err(VolumeError::Internal("a file is not a file".into()));
    };
    let reader = tree.contents.open(data)?;
    let mut buffer = vec![0; usize::try_from(data.size).map_or(BUFFER, |size| size.min(BUFFER))];
    let mut at = 0;
    while at < data.size {
        let piece = usize::try_from(data.size - at).map_or(BUFFER, |rest| rest.min(BUFFER));
        let bytes = buffer.get_mut(..piece).unwrap_or_default();
        reader.read_at(at, bytes)?;
        take(bytes)?;
        at += piece as u64;
    }
    Ok(())
}

/// All bytes of a file.
pub(crate) fn read(tree: &Tree, node: NodeId) -> Result<Vec<u8>, VolumeError> {
    let mut bytes = Vec::new();
    contents(tree, node, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

/// The formatter stamps the label with the time of day, and knows capital letters only; this replaces both.
fn stamp_label(pages: &mut Pages, params: &FormatParams, options: &BootOptions) -> Result<(), VolumeError> {
    let epoch = options.source_date_epoch;
    // On FAT32 the root folder is the first cluster; before that it lies between the tables and the clusters.
    let root_sectors = (u64::from(params.root_entry_count) * SLOT).div_ceil(512);
    let place = (u64::from(params.data_start_sector) - root_sectors) * 512;
    let stamp = fat_time(i64::try_from(epoch).unwrap_or(i64::MAX));
    let (date, time) = (stamp.date.to_le_bytes(), stamp.time.to_le_bytes());
    if pages.bytes(place + 11) != [0x08] {
        return Err(VolumeError::Internal("the label is not where it should be".into()));
    }
    let label = format!("{:11}", options.label);
    pages.put(place, label.as_bytes());
    // In the boot sector, and on FAT32 in its copy: BS_VolLab of the specification.
    match params.root_entry_count {
        0 => [71, 6 * 512 + 71].iter().for_each(|at| pages.put(*at, label.as_bytes())),
        _ => pages.put(43, label.as_bytes()),
    }
    // Creation (tenths of seconds, time, date), access, modification.
    pages.put(place + 13, &[[0].as_slice(), &time, &date, &date].concat());
    pages.put(place + 22, &[time, date].concat());
    Ok(())
}

/// A time in UTC as FAT has it: 1980 to 2107, in steps of two seconds.
fn fat_time(secs: i64) -> FatDateTime {
    let Ok(time) = jiff::Timestamp::from_second(secs) else {
        return FatDateTime::EPOCH;
    };
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    let part = |part: i8| u8::try_from(part).unwrap_or(0);
    match u16::try_from(time.year()) {
        Ok(year @ 1980..=2107) => {
            let (hour, minute, second) = (part(time.hour()), part(time.minute()), part(time.second()));
            FatDateTime::new(year, part(time.month()), part(time.day()), hour, minute, second)
        }
        _ => FatDateTime::EPOCH,
    }
}

/// Compares, in the image that was opened again, every folder and file with what was meant.
fn read_back(volume: &Volume, tree: &Tree, items: &[Item]) -> Result<(), VolumeError> {
    let wrong = |entry: &str| VolumeError::ReadBack { entry: entry.into() };
    let mut buffer = vec![0; BUFFER];
    let mut folders: Vec<FatDir<'_, Pages>> = vec![volume.root_dir()];
    let count = |folder: &FatDir<'_, Pages>| {
        let mut entries = folder.entries();
        let mut count = 0;
        while let Some(entry) = entries.next_entry() {
            let entry = entry.map_err(fat("(the volume)"))?;
            if !matches!(&*entry.name(), "." | "..") {
                count += 1;
            }
        }
        Ok::<usize, VolumeError>(count)
    };
    let expected = |depth: usize, from: usize| {
        let inside = items.iter().skip(from).take_while(|item| item.depth >= depth);
        inside.filter(|item| item.depth == depth).count()
    };
    if count(&volume.root_dir())? != expected(0, 0) {
        return Err(wrong("/"));
    }
    for (index, item) in items.iter().enumerate() {
        folders.truncate(item.depth + 1);
        let parent = folders.last().ok_or_else(|| wrong(&item.path))?;
        match &item.place {
            Place::Folder { .. } => {
                let folder = parent.open_dir(&item.name).map_err(fat(&item.path))?;
                if count(&folder)? != expected(item.depth + 1, index + 1) {
                    return Err(wrong(&item.path));
                }
                folders.push(folder);
            }
            Place::File { node, size, .. } => {
                let mut reader = parent.open_file(&item.name).map_err(fat(&item.path))?;
                if reader.size() as u64 != u64::from(*size) {
                    return Err(wrong(&item.path));
                }
                contents(tree, *node, |bytes| {
                    let read = buffer.get_mut(..bytes.len()).unwrap_or_default();
                    let mut done = 0;
                    while let Some(rest) = read.get_mut(done..).filter(|rest| !rest.is_empty()) {
                        match reader.read(rest).map_err(fat(&item.path))? {
                            0 => return Err(wrong(&item.path)),
                            got => done += got,
                        }
                    }
                    if read == bytes { Ok(()) } else { Err(wrong(&item.path)) }
                })?;
            }
        }
    }
    Ok(())
}

fn fat<E: std::fmt::Display>(entry: &str) -> impl Fn(E) -> VolumeError {
    move |error| VolumeError::Fat { entry: entry.into(), why: error.to_string() }
}
