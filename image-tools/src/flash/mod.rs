//! Writes a card image onto a disk: which disk may be written, the writing, and the proof that the card holds the image.
//!
//! ```text
//! /sys/block, mountinfo, swaps ─► Disk ─► unfit()? ─┐
//! .img[.xz,.zst,.gz] ─► unpacked ─► check (.bmap) ──┴─► open alone ─► write ─► read back ─► partition table
//! ```
//! Which disk is fit is decided by [`Disk::unfit`], a function on data. The disk is opened for this program alone, so that the kernel
//! itself refuses one that came into use meanwhile, and has to be the one that was shown: see [`Identity`].
//!
//! | file | noun |
//! |---|---|
//! | `disk` | a disk as data, and why it is not written |
//! | `world` | the disks of this computer |
//! | `block_map` | which bytes of an image matter |
//! | `medium` | the port to the disk's bytes |
//! | `write` | writing and reading back |
mod block_map;
mod disk;
mod medium;
mod world;
mod write;

pub use disk::{Bus, Disk, How, Identity, Kinds, Number, Partition, Unfit, Use};
pub use world::World;
pub use write::WriteError;

use crate::clock::Stopwatch;
use crate::disk::{DiskError, read_table, unpacked};
use crate::interrupt::LeftAs;
use crate::output;
use crate::progress::Progress;
use block_map::BlockMap;
use nix::libc;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use write::Source;

/// Why a card is not written, or not right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlashError {
    /// The kernel doesn't show what disks there are.
    #[error("can't find this computer's disks: {path} can't be read; flash works on Linux", path = path.display())]
    NoDisks {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The device isn't there.
    #[error("there is no {path}; `bistable-image flash --list` shows the disks", path = path.display())]
    NoDevice {
        /// What was named.
        path: PathBuf,
    },
    /// It is a part of a disk.
    #[error("{path} is a partition; a card image has all of them: give the disk, {disk}", path = path.display())]
    APartition {
        /// What was named.
        path: PathBuf,
        /// Its disk.
        disk: String,
    },
    /// It is not a disk.
    #[error("{path} is {found}, not a disk; `bistable-image flash --list` shows the disks", path = path.display())]
    NotADisk {
        /// What was named.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// It is a disk that may not be written.
    #[error("{disk} is not written: {why}")]
    Unfit {
        /// The disk.
        disk: String,
        /// Why.
        why: Unfit,
    },
    /// The image can't be opened or unpacked.
    #[error(transparent)]
    Image(DiskError),
    /// It has no partition table.
    #[error("{path} is not an image of a whole card: {why}; `bistable-image card` makes one from a bundle", path = path.display())]
    NotACard {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The block map can't be used.
    #[error("the block map {path} {why}; make it again, or add --no-map to write all of the image", path = path.display())]
    Map {
        /// The map.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The block map is another image's.
    #[error("the block map {map} is not of {image}: one of them is damaged or from another build; get both again, or add --no-map to write the image as it is", map = map.display(), image = image.display())]
    OtherImage {
        /// The map.
        map: PathBuf,
        /// The image.
        image: PathBuf,
        /// Where they differ; `None` if by their sizes.
        source: Option<WriteError>,
    },
    /// Another program has it open, or it was mounted meanwhile.
    #[error("{disk} is in use by another program; close it, unmount the card, and try again")]
    Busy {
        /// The disk.
        disk: String,
    },
    /// Only root may write it.
    #[error("{disk} can't be written by this user; run the command with sudo")]
    Permission {
        /// The disk.
        disk: String,
        /// What the system said.
        source: io::Error,
    },
    /// It can't be opened.
    #[error("can't open {disk}")]
    Open {
        /// The disk.
        disk: String,
        /// What the system said.
        source: io::Error,
    },
    /// The card was exchanged after it was shown.
    #[error(
        "{disk} is not the disk any more that was shown: the card was exchanged; nothing was written, try again"
    )]
    Exchanged {
        /// The disk.
        disk: String,
    },
    /// It failed after the writing had begun.
    #[error("{disk} {HALF}")]
    Half {
        /// The disk.
        disk: String,
        /// Why.
        source: WriteError,
    },
}

/// What a card is after its writing ended too soon.
const HALF: &str = "has no partition table now and does not boot; run the same command again, with another card if it fails again";

/// An image that is ready to be written.
#[derive(Debug)]
pub struct CardFile {
    file: File,
    bytes: u64,
    map: Option<(PathBuf, BlockMap)>,
}

/// Whether a block map beside the image is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Map {
    /// If there is one.
    #[default]
    Use,
    /// All of the image is written.
    Ignore,
}

impl CardFile {
    /// Open an image, with its block map if one lies beside it, and check that they belong together. A compressed image is unpacked to a
    /// nameless file, so that one that is damaged or too large is found before a card is written.
    ///
    /// # Errors
    /// It is not an image of a whole card, or the map is not of it.
    pub fn open(path: &Path, map: Map, progress: &dyn Progress) -> Result<CardFile, FlashError> {
        let disk = unpacked(path, &output::temporary_folder(path), progress).map_err(FlashError::Image)?;
        if let Err(why) = read_table(&disk.file, disk.bytes) {
            return Err(FlashError::NotACard { path: path.into(), why });
        }
        let map = match map {
            Map::Use => read_map(path)?,
            Map::Ignore => None,
        };
        let card = CardFile { file: disk.file, bytes: disk.bytes, map };
        if let Some((at, map)) = &card.map {
            let other = |source| FlashError::OtherImage { map: at.clone(), image: path.into(), source };
            if map.image_bytes != card.bytes {
                return Err(other(None));
            }
            card.source().check(progress).map_err(|e| other(Some(e)))?;
        }
        Ok(card)
    }

    /// Bytes of the image.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The block map that is used.
    pub fn map(&self) -> Option<&Path> {
        self.map.as_ref().map(|(path, _)| path.as_path())
    }

    fn source(&self) -> Source<'_> {
        Source::new(&self.file, self.bytes, self.map.as_ref().map(|(_, map)| map))
    }
}

/// Whether an image is compressed, by its name.
pub(crate) fn is_packed(image: &Path) -> bool {
    image.extension().is_some_and(|end| ["xz", "zst", "gz"].iter().any(|known| end == *known))
}

/// The map beside an image: its name with `.bmap` added, or that of the image in a compressed one.
fn read_map(image: &Path) -> Result<Option<(PathBuf, BlockMap)>, FlashError> {
    let unpacked = is_packed(image).then(|| image.with_extension(""));
    let beside = |name: &Path| PathBuf::from(OsString::from_iter([name.as_os_str(), ".bmap".as_ref()]));
    for path in [Some(image), unpacked.as_deref()].into_iter().flatten().map(beside) {
        let map = |why| FlashError::Map { path: path.clone(), why };
        match output::read_limited(&path, block_map::LIMIT) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes).map_err(|_| map("is not text".into()))?;
                let found = BlockMap::parse(&text).map_err(map)?;
                return Ok(Some((path, found)));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(map(format!("can't be read ({e})"))),
        }
    }
    Ok(None)
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Block(Number),
    File,
    Folder,
    Other,
    Nothing,
}

impl Named {
    fn at(path: &Path) -> Named {
        let Ok(meta) = path.metadata() else { return Named::Nothing };
        let kind = meta.file_type();
        match () {
            () if kind.is_block_device() => Named::Block(Number::of(meta.rdev())),
            () if kind.is_file() => Named::File,
            () if kind.is_dir() => Named::Folder,
            () => Named::Other,
        }
    }
}

/// The disk that a user names: by its path, by a link to it (`/dev/disk/by-id/…`), or by the kernel's name.
///
/// # Errors
/// It is no disk of these.
pub fn find<'a>(disks: &'a [Disk], name: &Path) -> Result<&'a Disk, FlashError> {
    let in_dev = Path::new("/dev").join(name);
    match Named::at(name) {
        Named::Nothing if name.components().count() == 1 => choose(disks, name, Named::at(&in_dev)),
        named => choose(disks, name, named),
    }
}

fn choose<'a>(disks: &'a [Disk], path: &Path, named: Named) -> Result<&'a Disk, FlashError> {
    let not_a_disk = |found| Err(FlashError::NotADisk { path: path.into(), found });
    let number = match named {
        Named::Block(number) => number,
        Named::File => return not_a_disk("a file"),
        Named::Folder => return not_a_disk("a folder"),
        Named::Other => return not_a_disk("another kind of device"),
        Named::Nothing => return Err(FlashError::NoDevice { path: path.into() }),
    };
    if let Some(disk) = disks.iter().find(|disk| disk.identity.number == number) {
        return Ok(disk);
    }
    match disks.iter().find(|disk| disk.partitions.iter().any(|part| part.number == number)) {
        Some(disk) => Err(FlashError::APartition { path: path.into(), disk: disk.path() }),
        None => not_a_disk("a volume of the system, or a disk without a medium"),
    }
}

/// Check that an image of that many bytes may be written onto a disk.
///
/// # Errors
/// It may not.
pub fn check(disk: &Disk, image_bytes: u64, kinds: Kinds) -> Result<(), FlashError> {
    match disk.unfit(image_bytes, kinds) {
        Some(why) => Err(FlashError::Unfit { disk: disk.path(), why }),
        None => Ok(()),
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flashed {
    /// Bytes of the image that the disk was compared with: all, or what the map names.
    pub mapped: u64,
    /// Bytes that were written.
    pub written: u64,
    /// How long it took, the reading back included.
    pub took: Duration,
}

/// Write an image onto a disk as it was shown, and read it back.
///
/// # Errors
/// The disk is another one now, is in use, fails, or doesn't keep what was written.
pub fn flash(
    card: &CardFile,
    shown: &Disk,
    kinds: Kinds,
    world: &World,
    progress: &dyn Progress,
) -> Result<Flashed, FlashError> {
    let watch = Stopwatch::start();
    let disk = shown.path();
    let file = open_alone(&disk)?;
    // After the opening: from now on it stays what it is.
    let exchanged = || FlashError::Exchanged { disk: disk.clone() };
    let now = world.disks()?;
    let now = now.iter().find(|now| now.name == shown.name).ok_or_else(exchanged)?;
    let opened = file.metadata().map_err(|source| FlashError::Open { disk: disk.clone(), source })?.rdev();
    if now.identity != shown.identity || Number::of(opened) != shown.identity.number {
        return Err(exchanged());
    }
    check(now, card.bytes, kinds)?;
    let left = LeftAs::new(format!("{disk} {HALF}"));
    let done = card.source().write(&file, progress).map_err(|source| FlashError::Half { disk, source })?;
    drop(left);
    Ok(Flashed { mapped: done.mapped, written: done.written, took: watch.elapsed() })
}

/// Open a disk that nothing else uses: the kernel refuses `O_EXCL` if it or a partition of it is mounted or held.
fn open_alone(disk: &str) -> Result<File, FlashError> {
    let opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_EXCL).open(disk);
    let disk = disk.to_owned();
    opened.map_err(|source| match source.kind() {
        io::ErrorKind::ResourceBusy => FlashError::Busy { disk },
        io::ErrorKind::PermissionDenied => FlashError::Permission { disk, source },
        _ => FlashError::Open { disk, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_disk_is_chosen() {
        let disks = [disk::tests::card()];
        let number = |minor| Named::Block(Number { major: 8, minor });
        let choose = |named| choose(&disks, Path::new("x"), named).map(|disk| disk.name.clone());
        assert_eq!(choose(number(16)).unwrap(), "sdb");
        let error = choose(number(17)).unwrap_err();
        assert!(matches!(&error, FlashError::APartition { disk, .. } if disk == "/dev/sdb"), "{error:?}");
        for named in [number(99), Named::File, Named::Folder, Named::Other] {
            assert!(matches!(choose(named), Err(FlashError::NotADisk { .. })), "{named:?}");
        }
        assert!(matches!(choose(Named::Nothing), Err(FlashError::NoDevice { .. })));
    }

    #[test]
    fn what_a_path_names_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Named::at(folder.path()), Named::Folder);
        assert_eq!(Named::at(file.path()), Named::File);
        assert_eq!(Named::at(Path::new("/dev/null")), Named::Other);
        assert_eq!(Named::at(&folder.path().join("x")), Named::Nothing);
    }
}
