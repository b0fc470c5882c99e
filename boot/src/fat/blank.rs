//! A new FAT16 volume that holds one file of one sector: for a partition whose file system is lost.
//!
//! ```text
//! 0 boot sector │ 1 table, twice │ root folder, 512 entries │ clusters: the first one is the file's
//! ```
//! The boot sector is erased first and written last, each durable before what follows: a volume without one counts as lost.
use super::{FatError, put::new_entry};
use crate::{Blocks, Lba, SECTOR};

/// Entries of the root folder.
const ROOT_ENTRIES: u16 = 512;
const ROOT_SECTORS: u64 = ROOT_ENTRIES as u64 * 32 / SECTOR as u64;
/// Copies of the table.
const FATS: u8 = 2;
/// Behind the boot sector.
const FIRST_FAT: u64 = 1;
/// A hard disk.
const MEDIUM: u8 = 0xF8;
/// What FAT16 can have.
const CLUSTERS: core::ops::RangeInclusive<u64> = 4085..=65_524;

/// Where everything goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    sectors: u32,
    per_cluster: u8,
    fat_sectors: u16,
}

impl Geometry {
    /// For a partition of that many sectors; `None` if it can't be a FAT16.
    fn of(sectors: u64) -> Option<Geometry> {
        let short = u32::try_from(sectors).ok()?;
        (0..7).map(|power| 1_u8 << power).find_map(|per_cluster| {
            let most = sectors.checked_sub(FIRST_FAT + ROOT_SECTORS)? / u64::from(per_cluster);
            let fat_sectors = ((most + 2) * 2).div_ceil(SECTOR as u64);
            let geometry =
                Geometry { sectors: short, per_cluster, fat_sectors: u16::try_from(fat_sectors).ok()? };
            let clusters = sectors.checked_sub(geometry.data())? / u64::from(per_cluster);
            CLUSTERS.contains(&clusters).then_some(geometry)
        })
    }

    fn root(self) -> u64 {
        FIRST_FAT + u64::from(FATS) * u64::from(self.fat_sectors)
    }

    fn data(self) -> u64 {
        self.root() + ROOT_SECTORS
    }

    fn boot_sector(self) -> [u8; SECTOR] {
        let mut b = [0; SECTOR];
        b[..3].copy_from_slice(&[0xEB, 0x3C, 0x90]);
        b[3..11].copy_from_slice(b"BISTABLE");
        b[11..13].copy_from_slice(&[0, 2]);
        b[13] = self.per_cluster;
        b[14] = 1;
        b[16] = FATS;
        b[17..19].copy_from_slice(&ROOT_ENTRIES.to_le_bytes());
        match u16::try_from(self.sectors) {
            Ok(short) => b[19..21].copy_from_slice(&short.to_le_bytes()),
            Err(_) => b[32..36].copy_from_slice(&self.sectors.to_le_bytes()),
        }
        b[21] = MEDIUM;
        b[22..24].copy_from_slice(&self.fat_sectors.to_le_bytes());
        // Sectors per track and heads: a fiction that some readers divide by.
        b[24] = 63;
        b[26] = 255;
        b[36] = 0x80;
        b[38] = 0x29;
        b[39..43].copy_from_slice(b"BIST");
        b[43..54].copy_from_slice(b"BOOTCONFIG ");
        b[54..62].copy_from_slice(b"FAT16   ");
        b[510..].copy_from_slice(&[0x55, 0xAA]);
        b
    }
}

/// Make a new volume over the whole run of sectors, with nothing in it but this file. Durable when `Ok`; gives where the
/// file's sector is. All other files are lost.
///
/// # Errors
/// `Full` when the run is too short or too long for FAT16 (2 MiB to 2 GiB); `Io`.
pub fn write<B: Blocks>(
    blocks: &mut B,
    name: &[u8; 11],
    text: &[u8; SECTOR],
) -> Result<Lba, FatError<B::Error>> {
    let wrong = FatError::Full("the partition is too small or too large");
    let geometry = Geometry::of(blocks.sectors()).ok_or(wrong)?;
    let nothing = [0; SECTOR];
    blocks.write(Lba(0), &nothing).map_err(FatError::Io)?;
    blocks.flush().map_err(FatError::Io)?;

    let mut put = |at: u64, sector: &[u8; SECTOR]| blocks.write(Lba(at), sector).map_err(FatError::Io);
    for copy in 0..u64::from(FATS) {
        let first = FIRST_FAT + copy * u64::from(geometry.fat_sectors);
        let mut table = nothing;
        // The two entries before those of clusters, and the one of the file's only cluster.
        table[..6].copy_from_slice(&[MEDIUM, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        put(first, &table)?;
        for at in first + 1..first + u64::from(geometry.fat_sectors) {
            put(at, &nothing)?;
        }
    }
    let mut folder = nothing;
    let (label, file) = folder.split_at_mut(32);
    label[..11].copy_from_slice(b"BOOTCONFIG ");
    label[11] = 0x08;
    file[..32].copy_from_slice(&new_entry(name));
    file[26] = 2;
    file[28..32].copy_from_slice(&[0, 2, 0, 0]);
    put(geometry.root(), &folder)?;
    for at in geometry.root() + 1..geometry.data() {
        put(at, &nothing)?;
    }
    put(geometry.data(), text)?;
    blocks.flush().map_err(FatError::Io)?;
    blocks.write(Lba(0), &geometry.boot_sector()).map_err(FatError::Io)?;
    blocks.flush().map_err(FatError::Io)?;
    Ok(Lba(geometry.data()))
}
