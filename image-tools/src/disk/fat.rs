//! A FAT partition of a disk, read into a tree.
//!
//! The file system is hostile input: what it says is bounded by the partition's size, and names that lead elsewhere
//! don't exist in a tree.
use super::DiskError;
use super::table::Partition;
use crate::volume::data::{FileData, Source};
use crate::volume::tree::{Kind, Meta, Node, NodeId, ROOT, Time, Tree};
use fatfs::FatVolume;
use fatfs::sync::dir::{DirectoryEntry, FatDir, FileEntry};
use fatfs::sync::read::FileReader;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Most entries of a boot volume; a Pi's has some 400.
const ENTRIES: usize = 100_000;
/// Folders inside folders.
const DEPTH: usize = 32;
/// Read buffer in bytes.
const BUFFER: usize = 256 << 10;
/// Attribute bit of a volume's label.
const LABEL: u8 = 0x08;

/// A partition as a file of its own, read-only.
#[derive(Debug)]
pub(super) struct Part<'a> {
    disk: &'a File,
    start: u64,
    bytes: u64,
    at: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.bytes.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let len = buffer.len().min(room);
        let got = self.disk.read_at(buffer.get_mut(..len).unwrap_or_default(), self.start + self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

impl Seek for Part<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, step) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(step) => (self.at, step),
            SeekFrom::End(step) => (self.bytes, step),
        };
        self.at = base.checked_add_signed(step).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

type Volume<'a> = FatVolume<Part<'a>>;

fn open<'a>(disk: &'a File, partition: &Partition) -> Result<Volume<'a>, String> {
    let part = Part { disk, start: partition.start, bytes: partition.bytes, at: 0 };
    FatVolume::open(part).map_err(|e| e.to_string())
}

/// The volume's label: that in the root folder, which is the one that programs look for, or else the boot sector's.
pub(super) fn label(disk: &File, partition: &Partition) -> Option<String> {
    let volume = open(disk, partition).ok()?;
    let mut entries = volume.root_dir().entries();
    for _ in 0..ENTRIES {
        let Some(Ok(DirectoryEntry::Entry(entry))) = entries.next_entry() else { break };
        if entry.attributes().bits() & LABEL != 0 {
            return Some(entry.name().trim_end().to_owned());
        }
    }
    let info = volume.volume_info().volume_label().to_owned();
    Some(info).filter(|label| !label.is_empty() && label != "NO NAME")
}

/// Whether there is something in its root folder that the Pi's firmware starts from.
pub(super) fn boots(disk: &File, partition: &Partition) -> bool {
    let Ok(volume) = open(disk, partition) else { return false };
    let mut entries = volume.root_dir().entries();
    for _ in 0..ENTRIES {
        let Some(Ok(DirectoryEntry::Entry(entry))) = entries.next_entry() else { return false };
        let name = entry.name().to_ascii_lowercase();
        let kernel = name.starts_with("kernel") && name.ends_with(".img");
        if entry.is_file() && (kernel || name == "config.txt" || name == "cmdline.txt") {
            return true;
        }
    }
    false
}

/// Read the whole file system. Files keep their times, but for those later than `epoch`.
pub(super) fn read(
    image: &Path,
    disk: &File,
    partition: &Partition,
    epoch: u64,
    temp_dir: &Path,
) -> Result<Tree, DiskError> {
    let failed = |why| DiskError::Partition { path: image.into(), number: partition.number, why };
    let volume =
        open(disk, partition).map_err(|why| failed(format!("its FAT file system can't be read: {why}")))?;
    let mut reader = Reader {
        volume: &volume,
        tree: Tree::new(Meta::implied_folder(epoch)),
        epoch,
        temp_dir,
        // Files of a sound file system share no clusters, so that all of them together are not larger.
        room: partition.bytes,
        entries: 0,
    };
    reader.folder(&volume.root_dir(), ROOT, "", 0).map_err(|fault| match fault {
        Fault::Damaged { entry, why } => {
            failed(format!("its FAT file system is damaged at {entry:?}: {why}"))
        }
        Fault::Volume(e) => e.into(),
    })?;
    Ok(reader.tree)
}

enum Fault {
    Damaged { entry: String, why: String },
    Volume(crate::volume::VolumeError),
}

struct Reader<'a, 'd> {
    volume: &'a Volume<'d>,
    tree: Tree,
    epoch: u64,
    temp_dir: &'a Path,
    room: u64,
    entries: usize,
}

impl Reader<'_, '_> {
    fn folder(
        &mut self,
        folder: &FatDir<'_, Part<'_>>,
        into: NodeId,
        path: &str,
        depth: usize,
    ) -> Result<(), Fault> {
        // Names first: what FAT takes for one name must not come twice.
        let mut found: BTreeMap<String, FileEntry> = BTreeMap::new();
        let mut entries = folder.entries();
        while let Some(entry) = entries.next_entry() {
            let DirectoryEntry::Entry(entry) = entry.map_err(damaged(path))?;
            let name = entry.name().into_owned();
            if matches!(&*name, "." | "..") || entry.attributes().bits() & LABEL != 0 {
                continue;
            }
            self.entries += 1;
            if self.entries > ENTRIES {
                return Err(damaged(path)(format!("it has more than {ENTRIES} entries")));
            }
            found.insert(name, entry);
        }
        for (name, entry) in found {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let meta = self.meta(&entry);
            let kind = if entry.is_directory() {
                Kind::Folder(BTreeMap::new())
            } else {
                Kind::File(self.file(&entry, &path)?)
            };
            let node = Node { kind, meta, xattrs: Vec::new(), links: 1 };
            let id = self.tree.insert(into, name.as_bytes(), node).map_err(damaged(&path))?;
            if entry.is_directory() {
                if depth + 1 >= DEPTH {
                    return Err(damaged(&path)(format!("more than {DEPTH} folders inside each other")));
                }
                let inside = folder.open_entry(&entry).map_err(damaged(&path))?;
                self.folder(&inside, id, &path, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A file's contents, to the tree's temporary file.
    fn file(&mut self, entry: &FileEntry, path: &str) -> Result<FileData, Fault> {
        let size = entry.len();
        if size == 0 {
            return Ok(FileData { size, source: Source::Empty, data: None });
        }
        self.room = self.room.checked_sub(size).ok_or_else(|| {
            damaged(path)("the files together are larger than the partition, so they share clusters")
        })?;
        let mut reader = FileReader::new(self.volume, entry).map_err(damaged(path))?;
        let mut buffer = vec![0; BUFFER];
        let (mut done, mut first) = (0, None);
        while done < size {
            let got = reader.read(&mut buffer).map_err(damaged(path))?;
            if got == 0 {
                return Err(damaged(path)(format!("it ends at byte {done} of {size}")));
            }
            let piece = buffer.get(..got).unwrap_or_default();
            let place = self.tree.contents.append(piece, Some(self.temp_dir)).map_err(Fault::Volume)?;
            first.get_or_insert(place);
            done += got as u64;
        }
        Ok(FileData { size, source: first.unwrap_or(Source::Empty), data: None })
    }

    fn meta(&self, entry: &FileEntry) -> Meta {
        let stamp = entry.modified();
        let part = |value: u16, shift: u16, bits: u16| {
            i8::try_from((value >> shift) & ((1 << bits) - 1)).unwrap_or(0)
        };
        let year = 1980 + i16::try_from(stamp.date >> 9).unwrap_or(0);
        let (month, day) = (part(stamp.date, 5, 4), part(stamp.date, 0, 5));
        let (hour, minute, second) =
            (part(stamp.time, 11, 5), part(stamp.time, 5, 6), part(stamp.time, 0, 5));
        let time = jiff::civil::DateTime::new(year, month, day, hour, minute, second.saturating_mul(2), 0);
        let time = time.and_then(|t| t.to_zoned(jiff::tz::TimeZone::UTC));
        // A stamp that is no time, such as all zeros, is the epoch of FAT, 1980.
        let secs = time.map_or(315_532_800, |t| t.timestamp().as_second());
        Meta { mode: 0o755, uid: 0, gid: 0, mtime: Time { secs, nanos: 0 }.clamp(self.epoch) }
    }
}

fn damaged<E: std::fmt::Display>(entry: &str) -> impl Fn(E) -> Fault {
    move |why| Fault::Damaged { entry: format!("/{entry}"), why: why.to_string() }
}
