//! A file of one sector, put into the root directory: for a flag whose file was deleted or edited to another length.
//!
//! The content goes into a free cluster, that cluster into the tables, and last the directory entry changes, which is one
//! sector. A power cut before it leaves what was there, and a cluster that belongs to no file, which `fsck.vfat` reclaims. The
//! old file's clusters are not freed either: in a damaged table they might belong to another file.
use super::{CHAIN_END, CLUSTER_MASK, END, Fat, FatError, Root, u16_at, u32_at};
use crate::{Blocks, Lba, SECTOR};

/// Fewer clusters than these are FAT12.
const FAT16_LEAST: u32 = 4085;

/// How wide an entry of the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

impl Fat {
    /// Put a file of one sector into the root directory, in place of one of that name if there is one. Durable when `Ok`;
    /// gives where its sector is.
    ///
    /// # Errors
    /// `Full` when no cluster or no entry is free; `Damaged` when the tables contradict each other, so that none is known to be free; `Io`.
    pub fn put<B: Blocks>(
        &self,
        blocks: &mut B,
        name: &[u8; 11],
        text: &[u8; SECTOR],
    ) -> Result<Lba, FatError<B::Error>> {
        let looked = self.look(blocks, name)?;
        let place = looked.file.or(looked.free).ok_or(FatError::Full("the root folder is full"))?;
        let cluster = self.free_cluster(blocks)?;
        let content = Lba(self.sector_of(cluster).ok_or(FatError::Astray)?);
        blocks.write(content, text).map_err(FatError::Io)?;
        blocks.flush().map_err(FatError::Io)?;
        self.end_chain(blocks, cluster)?;
        blocks.flush().map_err(FatError::Io)?;

        let mut entry = match looked.file {
            Some(file) => file.entry,
            None => new_entry(name),
        };
        let [a, b, c, d] = cluster.to_le_bytes();
        entry[26..28].copy_from_slice(&[a, b]);
        entry[20..22].copy_from_slice(&if matches!(self.root, Root::Chain { .. }) { [c, d] } else { [0, 0] });
        entry[28..].copy_from_slice(&[0, 2, 0, 0]);
        let mut sector = [0; SECTOR];
        blocks.read(place.sector, &mut sector).map_err(FatError::Io)?;
        let entries = sector.as_chunks_mut::<32>().0;
        entries[place.index] = entry;
        if place.entry[0] == END
            && let Some(behind) = entries.get_mut(place.index + 1)
        {
            // What lies behind the end of a directory may be anything.
            behind[0] = END;
        }
        blocks.write(place.sector, &sector).map_err(FatError::Io)?;
        blocks.flush().map_err(FatError::Io)?;
        Ok(content)
    }

    fn width(&self) -> Width {
        match self.root {
            Root::Chain { .. } => Width::Fat32,
            Root::Fixed { .. } if self.clusters < FAT16_LEAST => Width::Fat12,
            Root::Fixed { .. } => Width::Fat16,
        }
    }

    /// The sector of a copy of the table where a cluster's entry is, and the byte in it. An entry of FAT12 may begin in the
    /// last byte of a sector.
    fn entry_at(&self, copy: u64, cluster: u32) -> (u64, usize) {
        let cluster = u64::from(cluster);
        let offset = match self.width() {
            Width::Fat12 => cluster + cluster / 2,
            Width::Fat16 => cluster * 2,
            Width::Fat32 => cluster * 4,
        };
        let within = usize::try_from(offset % SECTOR as u64).unwrap_or(0);
        (self.first_fat + copy * self.fat_sectors + offset / SECTOR as u64, within)
    }

    fn value(&self, sector: &[u8; SECTOR], at: usize, cluster: u32) -> u32 {
        match self.width() {
            Width::Fat12 if cluster.is_multiple_of(2) => {
                u32::try_from(u16_at(sector, at)).unwrap_or(0) & 0xFFF
            }
            Width::Fat12 => u32::try_from(u16_at(sector, at)).unwrap_or(0) >> 4,
            Width::Fat16 => u32::try_from(u16_at(sector, at)).unwrap_or(0),
            Width::Fat32 => u32_at(sector, at) & CLUSTER_MASK,
        }
    }

    /// The first cluster that is free in every copy of the table. They may differ, as after a power cut in
    /// [`end_chain`](Self::end_chain), but each has to begin as a table does: one that was erased would call every cluster free.
    fn free_cluster<B: Blocks>(&self, blocks: &mut B) -> Result<u32, FatError<B::Error>> {
        let fats = usize::try_from(self.fats).unwrap_or(2);
        let mut copies = [[0; SECTOR]; 2];
        let mut read = None;
        for cluster in 0..self.clusters.saturating_add(2) {
            let (sector, at) = self.entry_at(0, cluster);
            if sector >= self.first_fat + self.fat_sectors {
                break;
            }
            if read != Some(sector) {
                read = Some(sector);
                for (copy, into) in (0..self.fats).zip(&mut copies) {
                    let there = Lba(sector + copy * self.fat_sectors);
                    blocks.read(there, into).map_err(FatError::Io)?;
                    if cluster == 0 && into[0] != self.medium {
                        return Err(FatError::Damaged("its table does not begin as it must"));
                    }
                }
            }
            // One that lies in two sectors isn't worth the trouble.
            let whole = at + 1 < SECTOR;
            let is_free = |copy: &[u8; SECTOR]| self.value(copy, at, cluster) == 0;
            if cluster >= 2 && whole && copies.iter().take(fats).all(is_free) {
                return Ok(cluster);
            }
        }
        Err(FatError::Full("the volume is full"))
    }

    /// Enter in each copy of the table that a cluster is a file's last.
    fn end_chain<B: Blocks>(&self, blocks: &mut B, cluster: u32) -> Result<(), FatError<B::Error>> {
        for copy in 0..self.fats {
            let (at, byte) = self.entry_at(copy, cluster);
            let mut sector = [0; SECTOR];
            blocks.read(Lba(at), &mut sector).map_err(FatError::Io)?;
            match self.width() {
                Width::Fat12 if cluster.is_multiple_of(2) => {
                    sector[byte] = 0xFF;
                    sector[byte + 1] |= 0x0F;
                }
                Width::Fat12 => {
                    sector[byte] |= 0xF0;
                    sector[byte + 1] = 0xFF;
                }
                Width::Fat16 => sector[byte..byte + 2].fill(0xFF),
                Width::Fat32 => {
                    let reserved = u32_at(&sector, byte) & !CLUSTER_MASK;
                    let end = reserved | CHAIN_END | 7;
                    sector[byte..byte + 4].copy_from_slice(&end.to_le_bytes());
                }
            }
            blocks.write(Lba(at), &sector).map_err(FatError::Io)?;
        }
        self.count_down(blocks)
    }

    /// One cluster less is free. It is a hint, which others check or compute again.
    fn count_down<B: Blocks>(&self, blocks: &mut B) -> Result<(), FatError<B::Error>> {
        let Some(at) = self.info.map(Lba) else { return Ok(()) };
        let mut sector = [0; SECTOR];
        blocks.read(at, &mut sector).map_err(FatError::Io)?;
        let free = u32_at(&sector, 488);
        let known = sector.starts_with(b"RRaA")
            && sector[484..488] == *b"rrAa"
            && (1..=self.clusters).contains(&free);
        if known {
            sector[488..492].copy_from_slice(&(free - 1).to_le_bytes());
            blocks.write(at, &sector).map_err(FatError::Io)?;
        }
        Ok(())
    }
}

/// A file's entry without content: its name is shown in lower case, its day is the first that FAT has.
pub(super) fn new_entry(name: &[u8; 11]) -> [u8; 32] {
    const ARCHIVE: u8 = 0x20;
    const LOWER_CASE: u8 = 0x08 | 0x10;
    const FIRST_DAY: [u8; 2] = [0x21, 0];
    let mut entry = [0; 32];
    entry[..11].copy_from_slice(name);
    entry[11] = ARCHIVE;
    entry[12] = LOWER_CASE;
    for date in [16, 18, 24] {
        entry[date..date + 2].copy_from_slice(&FIRST_DAY);
    }
    entry
}
