//! FAT volumes to be read, built by hand.
use bistable_boot::{Blocks, Lba, OutOfRange, SECTOR, fat::Located};
use std::collections::BTreeMap;

pub(crate) const NAME: &[u8; 11] = b"AUTOBOOTTXT";

/// A volume of which only some sectors hold anything, and that notices what is read.
#[derive(Clone)]
pub(crate) struct Volume {
    pub(crate) sectors: u64,
    pub(crate) content: BTreeMap<u64, [u8; SECTOR]>,
    pub(crate) reads: usize,
    /// What was written, in order: none for a flush.
    pub(crate) writes: Vec<Option<(u64, [u8; SECTOR])>>,
}

impl Volume {
    pub(crate) fn empty(sectors: u64) -> Volume {
        Volume { sectors, content: BTreeMap::new(), reads: 0, writes: Vec::new() }
    }
    pub(crate) fn at(&mut self, sector: u64) -> &mut [u8; SECTOR] {
        self.content.entry(sector).or_insert([0; SECTOR])
    }
}

impl Blocks for Volume {
    type Error = OutOfRange;
    fn sectors(&self) -> u64 {
        self.sectors
    }
    fn read(&mut self, at: Lba, into: &mut [u8]) -> Result<(), OutOfRange> {
        OutOfRange::check(at, into.len(), self.sectors).expect("a read outside the volume");
        self.reads += 1;
        into.fill(0);
        if let Some(sector) = self.content.get(&at.0) {
            into.copy_from_slice(sector);
        }
        Ok(())
    }
    fn write(&mut self, at: Lba, from: &[u8]) -> Result<(), OutOfRange> {
        OutOfRange::check(at, from.len(), self.sectors).expect("a write outside the volume");
        let sector = from.try_into().expect("one sector at a time");
        *self.at(at.0) = sector;
        self.writes.push(Some((at.0, sector)));
        Ok(())
    }
    fn flush(&mut self) -> Result<(), OutOfRange> {
        self.writes.push(None);
        Ok(())
    }
}

/// What to build. Written from Microsoft's description, not from the code under test.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) bits: u8,
    pub(crate) per_cluster: u8,
    pub(crate) reserved: u16,
    pub(crate) fats: u8,
    pub(crate) clusters: u32,
    /// FAT12, FAT16: entries of the root folder.
    pub(crate) root_entries: u16,
    /// FAT32: the root folder's clusters, in order.
    pub(crate) root_chain: Vec<u32>,
    /// Entries of other files before ours.
    pub(crate) before: usize,
    /// Cluster and length of our file.
    pub(crate) file: (u32, u32),
}

impl Plan {
    pub(crate) fn fat_sectors(&self) -> u64 {
        ((u64::from(self.clusters) + 2) * u64::from(self.bits)).div_ceil(8).div_ceil(512)
    }
    pub(crate) fn root_start(&self) -> u64 {
        u64::from(self.reserved) + u64::from(self.fats) * self.fat_sectors()
    }
    pub(crate) fn data_start(&self) -> u64 {
        self.root_start() + u64::from(self.root_entries).div_ceil(16)
    }
    pub(crate) fn cluster(&self, n: u32) -> u64 {
        self.data_start() + u64::from(n - 2) * u64::from(self.per_cluster)
    }
    pub(crate) fn want(&self) -> Located {
        Located { first: Lba(self.cluster(self.file.0)), bytes: self.file.1 }
    }

    /// The root folder's sectors, in order.
    pub(crate) fn root_sectors(&self) -> Vec<u64> {
        if self.bits < 32 {
            return (self.root_start()..self.data_start()).collect();
        }
        let all =
            |n: &u32| (0..u64::from(self.per_cluster)).map(|i| self.cluster(*n) + i).collect::<Vec<_>>();
        self.root_chain.iter().flat_map(all).collect()
    }

    pub(crate) fn build(&self) -> Volume {
        let total = self.data_start() + u64::from(self.clusters) * u64::from(self.per_cluster);
        let mut v = Volume::empty(total);
        let b = v.at(0);
        b[..3].copy_from_slice(&[0xEB, 0x3C, 0x90]);
        b[3..11].copy_from_slice(b"MSWIN4.1");
        b[11..13].copy_from_slice(&512u16.to_le_bytes());
        b[13] = self.per_cluster;
        b[14..16].copy_from_slice(&self.reserved.to_le_bytes());
        b[16] = self.fats;
        b[17..19].copy_from_slice(&self.root_entries.to_le_bytes());
        match u16::try_from(total) {
            Ok(short) if self.bits < 32 => b[19..21].copy_from_slice(&short.to_le_bytes()),
            _ => b[32..36].copy_from_slice(&u32::try_from(total).unwrap().to_le_bytes()),
        }
        b[21] = 0xF8;
        if self.bits < 32 {
            b[22..24].copy_from_slice(&u16::try_from(self.fat_sectors()).unwrap().to_le_bytes());
        } else {
            b[36..40].copy_from_slice(&u32::try_from(self.fat_sectors()).unwrap().to_le_bytes());
            b[44..48].copy_from_slice(&self.root_chain[0].to_le_bytes());
        }
        b[510..].copy_from_slice(&[0x55, 0xAA]);
        if self.bits == 32 {
            for (i, n) in self.root_chain.iter().enumerate() {
                // The upper four bits are reserved: to be passed over.
                let next = self.root_chain.get(i + 1).copied().unwrap_or(0x0FFF_FFFF) | 0x5000_0000;
                self.set_next(&mut v, *n, next);
            }
        }
        self.fill_root(&mut v);
        v
    }

    pub(crate) fn set_next(&self, v: &mut Volume, cluster: u32, next: u32) {
        let byte = u64::from(cluster) * 4;
        let (sector, at) = (u64::from(self.reserved) + byte / 512, usize::try_from(byte % 512).unwrap());
        v.at(sector)[at..at + 4].copy_from_slice(&next.to_le_bytes());
    }

    pub(crate) fn fill_root(&self, v: &mut Volume) {
        // What must not be taken for the file: its name as a label, a folder, a part of a long name, and deleted.
        let mut entries = vec![
            entry(NAME, 0x08, 3, 7),
            entry(NAME, 0x10, 3, 7),
            entry(NAME, 0x0F, 3, 7),
            entry(b"\xE5UTOBOOTTXT", 0x20, 3, 7),
        ];
        for i in 0..self.before {
            entries.push(entry(format!("FILE{i:04}BIN").as_bytes().try_into().unwrap(), 0x20, 3, 7));
        }
        entries.push(entry(NAME, 0x21, self.file.0, self.file.1));
        if self.bits < 32 {
            // OS/2's extended attributes, where FAT32 has the cluster's upper half.
            entries.last_mut().unwrap()[20..22].copy_from_slice(&[0x34, 0x12]);
        }
        let sectors = self.root_sectors();
        for (i, e) in entries.iter().enumerate() {
            let sector = *sectors.get(i / 16).expect("a plan whose root folder is too small");
            v.at(sector)[i % 16 * 32..][..32].copy_from_slice(e);
        }
    }
}

pub(crate) fn entry(name: &[u8; 11], attributes: u8, cluster: u32, bytes: u32) -> [u8; 32] {
    let mut e = [0; 32];
    e[..11].copy_from_slice(name);
    e[11] = attributes;
    let c = cluster.to_le_bytes();
    e[26..28].copy_from_slice(&c[..2]);
    e[20..22].copy_from_slice(&c[2..]);
    e[28..].copy_from_slice(&bytes.to_le_bytes());
    e
}

pub(crate) fn fat12() -> Plan {
    Plan {
        bits: 12,
        per_cluster: 1,
        reserved: 1,
        fats: 2,
        clusters: 2_847,
        root_entries: 224,
        root_chain: vec![],
        before: 0,
        file: (2, 512),
    }
}

pub(crate) fn fat16() -> Plan {
    Plan {
        bits: 16,
        per_cluster: 4,
        reserved: 4,
        clusters: 20_000,
        root_entries: 512,
        before: 40,
        file: (19_999, 512),
        ..fat12()
    }
}

pub(crate) fn fat32() -> Plan {
    Plan {
        bits: 32,
        per_cluster: 2,
        reserved: 32,
        clusters: 70_000,
        root_entries: 0,
        root_chain: vec![2, 69_000, 130, 5],
        before: 100,
        file: (68_123, 512),
        ..fat12()
    }
}
