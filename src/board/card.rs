//! The card: a disk or a file with our partitions on it.
use super::{Access, CardFile, FileVolume, Meter, card_file::bytes_of};
use crate::ports::{Fault, Partitions, Volume};
use bistable_boot::layout::{ALIGN, Partition, STATE_BYTES};
use gptman::{GPTHeader, GPTPartitionEntry};
use std::{
    fs::{File, TryLockError},
    io::{self, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The most partitions that a table may have; 128 are usual.
const ENTRIES_MAX: u32 = 1024;

/// Bytes of an entry. UEFI allows larger ones, which no tool writes and the reader can't check.
const ENTRY_BYTES: u32 = 128;

/// The type of an MBR's partition that says that there is a GPT.
const GPT_INSIDE: u8 = 0xEE;

/// Why a card can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// It isn't there.
    #[error("there is no card {}: `bistable-image card` makes one", .0.display())]
    Missing(PathBuf),
    /// It is something else than a file.
    #[error("{} is {what}, not a card: name the file that `bistable-image card` made", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It can't be opened.
    #[error("card {}: {source}: check its permissions and its disk", .path.display())]
    Open {
        /// The card.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It may not be written.
    #[error("card {} is read-only: make it writable first, `chmod u+w` for example", .0.display())]
    ReadOnly(PathBuf),
    /// Another process works on it.
    #[error("card {} is in use by another process: try again later", .path.display())]
    Busy {
        /// The card.
        path: PathBuf,
    },
    /// There is no partition table on it.
    #[error("{} is not a card: it has no GPT ({reason}); `bistable-image card` makes one", .path.display())]
    NotACard {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// A partition is missing.
    #[error("card {} has no partition \"{partition}\" with number {number}: it was not made for Bistable; `bistable-image card` makes one that is", .path.display())]
    NoPartition {
        /// The card.
        path: PathBuf,
        /// The name.
        partition: &'static str,
        /// The number.
        number: u8,
    },
    /// It ends before its partitions do, or a partition is smaller than it must be.
    #[error("card {}: partition \"{partition}\" needs bytes up to {end}, and the card has {bytes}: it is truncated or too small; \
         copy the image again, or make a larger one with `bistable-image card --size`", .path.display())]
    TooSmall {
        /// The card.
        path: PathBuf,
        /// The partition.
        partition: &'static str,
        /// Where it would end.
        end: u64,
        /// Bytes that there are.
        bytes: u64,
    },
    /// Two partitions share bytes.
    #[error("card {}: the partitions \"{first}\" and \"{second}\" overlap, so that writing one would change the other; \
         copy the image again, or make another with `bistable-image card`", .path.display())]
    Overlap {
        /// The card.
        path: PathBuf,
        /// The partition that begins first.
        first: &'static str,
        /// The one that begins before it ends.
        second: &'static str,
    },
}

/// An open card; locked against other processes, unless it is only looked at.
#[derive(Debug)]
pub struct Card {
    file: Arc<CardFile>,
    /// First and last byte (exclusive) of each partition, by [`Partition::ALL`].
    ranges: [(u64, u64); 7],
    meter: Meter,
}

impl Card {
    /// Open a card. [`Access::Exclusive`] locks it for as long as this lives; [`Access::ReadOnly`] neither locks nor
    /// writes, so what it reads may be in the middle of a change.
    ///
    /// # Errors
    /// See [`CardError`].
    pub fn open(path: &Path, meter: Meter, access: Access) -> Result<Card, CardError> {
        let err = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => CardError::Missing(path.into()),
            _ => CardError::Open { path: path.into(), source },
        };
        let metadata = std::fs::metadata(path).map_err(err)?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() { "a folder" } else { "a device" };
            return Err(CardError::NotAFile { path: path.into(), what });
        }
        // Asked by name: root may write what is marked read-only, and shall not.
        if access == Access::Exclusive && metadata.permissions().readonly() {
            return Err(CardError::ReadOnly(path.into()));
        }
        let file = CardFile::open(path, access).map_err(|e| match (access, e.kind()) {
            (Access::Exclusive, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                CardError::ReadOnly(path.into())
            }
            _ => err(e),
        })?;
        if access == Access::Exclusive {
            match file.file().try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(CardError::Busy { path: path.into() }),
                Err(TryLockError::Error(e)) => return Err(err(e)),
            }
        }
        let ranges = partitions(path, file.file())?;
        Ok(Card { file: Arc::new(file), ranges, meter })
    }

    /// Tells this file from another one of the same name: its inode number.
    pub fn id(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        self.file.file().metadata().map_or(0, |m| m.ino())
    }

    /// First and last byte (exclusive) of each partition, by [`Partition::ALL`]: for fuzzing.
    #[doc(hidden)]
    pub fn ranges(&self) -> [(u64, u64); 7] {
        self.ranges
    }

    fn check_table(&self) -> Result<(), Fault> {
        check_table(self.path(), self.file.file())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Open a partition.
    ///
    /// # Errors
    /// None here; a real card may be gone.
    pub fn volume(&self, partition: Partition) -> Result<Arc<dyn Volume>, Fault> {
        let (start, end) = self.ranges[usize::from(partition.number() - 1)];
        let name = partition.name();
        Ok(Arc::new(FileVolume::open(&self.file, name, start, end - start, self.meter.clone())))
    }
}

impl Partitions for Card {
    fn open(&mut self, partition: Partition) -> Result<Arc<dyn Volume>, Fault> {
        self.volume(partition)
    }
    fn check_disk(&mut self) -> Result<(), Fault> {
        self.check_table()
    }
}

/// Opening a partition takes no more than to look at the card.
impl Partitions for &Card {
    fn open(&mut self, partition: Partition) -> Result<Arc<dyn Volume>, Fault> {
        self.volume(partition)
    }
    fn check_disk(&mut self) -> Result<(), Fault> {
        self.check_table()
    }
}

/// Whether the parts of the partition table are right that the firmware and Linux read at the next boot. Only a
/// program with an option for it uses the copy at the end.
pub(super) fn check_table(path: &Path, file: &File) -> Result<(), Fault> {
    let what = || format!("reading the partition table of {}", path.display());
    let bytes = bytes_of(file).map_err(Fault::io(what()))?;
    let mut first = [0; 512];
    file.read_exact_at(&mut first, 0).map_err(Fault::io(what()))?;
    let entry = |n: usize| first.get(446 + 16 * n + 4);
    let is_protective = first.ends_with(&[0x55, 0xAA]) && (0..4).any(|n| entry(n) == Some(&GPT_INSIDE));
    let damaged = |part: &str, why: &str| {
        Err(Fault::Unfit(format!(
            "{part} of {0} is damaged ({why}), and the next boot would find no partitions: `sgdisk -e {0}` (package gdisk) \
             writes it again from the copy at the end",
            path.display()
        )))
    };
    if !is_protective {
        return damaged("the protective MBR", "no partition of type EE");
    }
    match entries_of(file, 1, bytes) {
        Ok(_) => Ok(()),
        Err(why) => damaged("the first copy of the partition table", &why),
    }
}

/// The entries of the table, or of its copy at the end if the first one is damaged.
fn entries(file: &File, bytes: u64) -> Result<Vec<GPTPartitionEntry>, String> {
    let last = (bytes / 512).saturating_sub(1);
    entries_of(file, 1, bytes).or_else(|why| entries_of(file, last, bytes).map_err(|_| why))
}

/// The entries that the header in a sector names. The reader takes memory for as many as a whole header claims, and computes
/// with their place and size, before it looks at one of them: so these claims are compared with what there can be first.
fn entries_of(mut file: &File, sector: u64, bytes: u64) -> Result<Vec<GPTPartitionEntry>, String> {
    file.seek(SeekFrom::Start(sector * 512)).map_err(|e| e.to_string())?;
    let header = GPTHeader::read_from(&mut file).map_err(|e| e.to_string())?;
    let (entries, first) = (header.number_of_partition_entries, header.partition_entry_lba);
    if entries > ENTRIES_MAX {
        return Err(format!("its header claims {entries} partitions; at most {ENTRIES_MAX} are possible"));
    }
    let entry_bytes = header.size_of_partition_entry;
    if entry_bytes != ENTRY_BYTES {
        return Err(format!("its header claims entries of {entry_bytes} bytes instead of {ENTRY_BYTES}"));
    }
    if first >= bytes / 512 {
        return Err(format!("its header claims entries in sector {first}, behind the end"));
    }
    header.read_partitions(&mut file, 512).map_err(|e| e.to_string())
}

/// First and last byte (exclusive) of each partition, by [`Partition::ALL`].
pub(super) fn partitions(path: &Path, file: &File) -> Result<[(u64, u64); 7], CardError> {
    let bytes = bytes_of(file).map_err(|source| CardError::Open { path: path.into(), source })?;
    let entries = entries(file, bytes).map_err(|reason| CardError::NotACard { path: path.into(), reason })?;
    let mut ranges = [(0, 0); 7];
    for (range, partition) in ranges.iter_mut().zip(Partition::ALL) {
        let (name, number) = (partition.name(), partition.number());
        let missing = || CardError::NoPartition { path: path.into(), partition: name, number };
        let entry = entries
            .get(usize::from(number) - 1)
            .filter(|entry| entry.is_used() && entry.partition_name.as_str() == name)
            .ok_or_else(missing)?;
        let start = entry.starting_lba.checked_mul(512).ok_or_else(missing)?;
        let end = entry.ending_lba.checked_add(1).and_then(|n| n.checked_mul(512)).ok_or_else(missing)?;
        let least = if partition == Partition::State { STATE_BYTES } else { ALIGN };
        if start > end || end - start < least || end > bytes {
            let end = end.max(start.saturating_add(least));
            return Err(CardError::TooSmall { path: path.into(), partition: name, end, bytes });
        }
        *range = (start, end);
    }
    let mut places: Vec<_> = ranges.into_iter().zip(Partition::ALL.map(Partition::name)).collect();
    places.sort_unstable();
    for pair in places.windows(2) {
        if let [((_, end), first), ((start, _), second)] = pair
            && start < end
        {
            return Err(CardError::Overlap { path: path.into(), first, second });
        }
    }
    Ok(ranges)
}
