//! Where a file's first sector is on a FAT volume: just enough of FAT to find `autoboot.txt`, and to put it back.
//!
//! Finding reads the boot sector and the root directory only (Microsoft, "FAT: General Overview of On-Disk Format", 1.03).
//! Total: any bytes give an answer or an error.
//!
//! | file | noun |
//! |---|---|
//! | `mod` | a volume, and a file of its root folder |
//! | `put` | a file that is lost or has another length, put back |
//! | [`blank`] | a new volume with one file, where none is left |
pub mod blank;
mod put;

use crate::{Blocks, Lba, SECTOR};

/// Where a file of the root directory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// First sector of its first cluster, counted from the volume's start.
    pub first: Lba,
    /// Its length in bytes.
    pub bytes: u32,
}

/// Why a file wasn't found.
#[derive(Debug, thiserror::Error)]
pub enum FatError<E: core::error::Error + 'static> {
    /// The medium failed.
    #[error("reading the FAT volume failed")]
    Io(#[source] E),
    /// The first sector is no FAT boot sector: erased, damaged or another file system.
    #[error("not a FAT volume")]
    NotFat,
    /// The tables contradict each other or the volume's size.
    #[error("damaged FAT volume: {0}")]
    Damaged(&'static str),
    /// No such file in the root directory.
    #[error("the file is not in the root directory")]
    NotFound,
    /// The file has no content: no sector belongs to it.
    #[error("the file is empty")]
    Empty,
    /// The file's directory entry names a cluster that the volume doesn't have.
    #[error("the file's cluster is outside the volume")]
    Astray,
    /// No cluster or no entry is free for a file of one sector.
    #[error("no room for the file: {0}")]
    Full(&'static str),
}

/// A volume's geometry, from its boot sector.
#[derive(Clone, Copy, Debug)]
pub struct Fat {
    sectors_per_cluster: u64,
    first_fat: u64,
    /// Copies of the table, and the sectors of each.
    fats: u64,
    fat_sectors: u64,
    /// Kind of medium: the table begins with it, too.
    medium: u8,
    /// FAT32: the sector that says how many clusters are free.
    info: Option<u64>,
    data: u64,
    /// Clusters that both the data area and the file allocation table have room for.
    clusters: u32,
    root: Root,
}

#[derive(Clone, Copy, Debug)]
enum Root {
    /// FAT12 and FAT16: a fixed run of sectors.
    Fixed { first: u64, sectors: u64 },
    /// FAT32: a chain of clusters.
    Chain { first: u32 },
}

/// A folder has at most 65,536 entries of 32 bytes: where a chain must have ended.
const FOLDER_SECTORS: u64 = 65_536 * 32 / SECTOR as u64;
/// The bits of a FAT32 entry that are a cluster's number, and the first of the numbers that end a chain.
const CLUSTER_MASK: u32 = 0x0FFF_FFFF;
const CHAIN_END: u32 = 0x0FFF_FFF8;

/// First byte of an entry that was deleted, and of the one behind the last.
const DELETED: u8 = 0xE5;
const END: u8 = 0;

/// An entry of the root directory, and where it is.
#[derive(Clone, Copy, Debug)]
struct Place {
    sector: Lba,
    index: usize,
    entry: [u8; 32],
}

/// What going through the root directory found.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    file: Option<Place>,
    /// The first entry that isn't in use, as far as the search went.
    free: Option<Place>,
}

fn u16_at(b: &[u8; SECTOR], at: usize) -> u64 {
    u64::from(u16::from_le_bytes([b[at], b[at + 1]]))
}

fn u32_at(b: &[u8; SECTOR], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

impl Fat {
    /// Read the boot sector. An erased header gives [`FatError::NotFat`], as it does for a firmware.
    ///
    /// # Errors
    /// `NotFat`, `Damaged` or `Io`.
    pub fn open<B: Blocks>(blocks: &mut B) -> Result<Fat, FatError<B::Error>> {
        let mut b = [0; SECTOR];
        blocks.read(Lba(0), &mut b).map_err(FatError::Io)?;
        let per_cluster = u64::from(b[13]);
        let fats = u64::from(b[16]);
        let plausible = b[510..] == [0x55, 0xAA]
            && matches!(b[0], 0xEB | 0xE9)
            && u16_at(&b, 11) == SECTOR as u64
            && per_cluster.is_power_of_two()
            && (1..=2).contains(&fats);
        if !plausible {
            return Err(FatError::NotFat);
        }
        let first_fat = u16_at(&b, 14);
        let short = u16_at(&b, 22);
        let fat_sectors = if short == 0 { u64::from(u32_at(&b, 36)) } else { short };
        let total = match u16_at(&b, 19) {
            0 => u64::from(u32_at(&b, 32)),
            n => n,
        };
        let root_sectors = (u16_at(&b, 17) * 32).div_ceil(SECTOR as u64);
        let root_first = first_fat + fats * fat_sectors;
        let data = root_first + root_sectors;
        if first_fat == 0 || fat_sectors == 0 || data >= total || total > blocks.sectors() {
            return Err(FatError::Damaged("its areas do not fit the volume"));
        }
        // As Linux does: a volume without the old field for the table's length is FAT32.
        let root = match (short, root_sectors) {
            (0, 0) => Root::Chain { first: u32_at(&b, 44) & CLUSTER_MASK },
            (1.., 1..) => Root::Fixed { first: root_first, sectors: root_sectors },
            _ => return Err(FatError::Damaged("neither FAT32 nor an older FAT")),
        };
        let mut clusters = (total - data) / per_cluster;
        if matches!(root, Root::Chain { .. }) {
            // Or else following a chain would read data as if it were the table. FAT12 and 16 have no chain here.
            clusters = clusters.min((fat_sectors * (SECTOR as u64 / 4)).saturating_sub(2));
        }
        let clusters = u32::try_from(clusters).map_err(|_| FatError::NotFat)?;
        let info = Some(u16_at(&b, 48)).filter(|at| short == 0 && (1..first_fat).contains(at));
        let (sectors_per_cluster, medium) = (per_cluster, b[21]);
        Ok(Fat { sectors_per_cluster, first_fat, fats, fat_sectors, medium, info, data, clusters, root })
    }

    /// Find a file of the root directory by its 8.3 name as stored: 11 bytes, upper case, blank-padded
    /// (`b"AUTOBOOTTXT"`).
    ///
    /// # Errors
    /// `NotFound`, `Empty`, `Astray`, `Damaged` or `Io`.
    pub fn find<B: Blocks>(&self, blocks: &mut B, name: &[u8; 11]) -> Result<Located, FatError<B::Error>> {
        let found = self.look(blocks, name)?.file.ok_or(FatError::NotFound)?;
        let entry = found.entry;
        let high = match self.root {
            Root::Chain { .. } => [entry[20], entry[21]],
            // OS/2 kept something else in these two bytes.
            Root::Fixed { .. } => [0, 0],
        };
        let bytes = u32::from_le_bytes([entry[28], entry[29], entry[30], entry[31]]);
        if bytes == 0 {
            return Err(FatError::Empty);
        }
        let cluster = u32::from_le_bytes([entry[26], entry[27], high[0], high[1]]) & CLUSTER_MASK;
        let first = self.sector_of(cluster).ok_or(FatError::Astray)?;
        Ok(Located { first: Lba(first), bytes })
    }

    /// Go through the root directory for a file of this name, and for a place where one could be entered.
    fn look<B: Blocks>(&self, blocks: &mut B, name: &[u8; 11]) -> Result<Looked, FatError<B::Error>> {
        let mut looked = Looked::default();
        match self.root {
            Root::Fixed { first, sectors } => drop(self.search(blocks, first, sectors, name, &mut looked)?),
            Root::Chain { first } => {
                let mut cluster = first;
                // A chain that bites its own tail ends here.
                for _ in 0..FOLDER_SECTORS.div_ceil(self.sectors_per_cluster) {
                    let at =
                        self.sector_of(cluster).ok_or(FatError::Damaged("a cluster outside the volume"))?;
                    if self.search(blocks, at, self.sectors_per_cluster, name, &mut looked)? {
                        return Ok(looked);
                    }
                    cluster = self.next(blocks, cluster)?;
                    if cluster >= CHAIN_END {
                        return Ok(looked);
                    }
                }
                return Err(FatError::Damaged("the root folder does not end"));
            }
        }
        Ok(looked)
    }

    /// Whether the search ends in these sectors: the file is found, or the directory ends.
    fn search<B: Blocks>(
        &self,
        blocks: &mut B,
        first: u64,
        sectors: u64,
        name: &[u8; 11],
        looked: &mut Looked,
    ) -> Result<bool, FatError<B::Error>> {
        let mut sector = [0; SECTOR];
        for at in first..first + sectors {
            blocks.read(Lba(at), &mut sector).map_err(FatError::Io)?;
            for (index, entry) in sector.as_chunks::<32>().0.iter().enumerate() {
                const LABEL_OR_FOLDER: u8 = 0x08 | 0x10;
                let place = Place { sector: Lba(at), index, entry: *entry };
                if matches!(entry[0], END | DELETED) {
                    looked.free.get_or_insert(place);
                }
                if entry[0] == END {
                    return Ok(true);
                }
                if entry[..11] == name[..] && entry[11] & LABEL_OR_FOLDER == 0 {
                    looked.file = Some(place);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn sector_of(&self, cluster: u32) -> Option<u64> {
        let index = cluster.checked_sub(2).filter(|i| *i < self.clusters)?;
        Some(self.data + u64::from(index) * self.sectors_per_cluster)
    }

    fn next<B: Blocks>(&self, blocks: &mut B, cluster: u32) -> Result<u32, FatError<B::Error>> {
        let offset = u64::from(cluster) * 4;
        let mut sector = [0; SECTOR];
        let at = Lba(self.first_fat + offset / SECTOR as u64);
        blocks.read(at, &mut sector).map_err(FatError::Io)?;
        let within = usize::try_from(offset % SECTOR as u64).unwrap_or(0);
        Ok(u32_at(&sector, within) & CLUSTER_MASK)
    }
}
