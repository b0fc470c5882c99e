//! Where the partitions are: MBR with logical partitions, or GPT.
//!
//! ```text
//! MBR, one sector              entry, 16 bytes
//! 0      446            510    0      1     4      5     8       12
//! │ code │ 4 × 16 bytes │55 aa││ flag │ CHS │ type │ CHS │ first │ sectors │
//!
//! GPT header, second sector and last
//! 0          8     12     16    20    24          72       80      84     88
//! │ EFI PART │ ... │ size │ CRC │ ... │ ...       │ entries │ count │ size │ CRC of the entries │
//! GPT entry
//! 0      16   32      40     48      56
//! │ type │ id │ first │ last │ flags │ name, 36 × UTF-16 │
//! ```
//! All numbers are little-endian. Sectors have 512 bytes, as on all cards. Nothing is allocated by a size that the
//! table merely claims.
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes in a sector.
pub(super) const SECTOR: u64 = 512;
/// Bytes in a sector of other disks.
const LARGE_SECTOR: u64 = 4096;
/// Logical partitions; `sfdisk` makes at most 60.
const LOGICAL: u32 = 60;
/// Bytes of a GPT's entries: 128 entries of 128 bytes are usual.
const ENTRIES: u64 = 256 << 10;
/// MBR types of an extended partition: the box around logical ones.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// MBR type of the one partition that protects a GPT.
const PROTECTIVE: u8 = 0xee;

static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Number in the table, from 1; logical ones from 5.
    pub(crate) number: u32,
    /// Name, in a GPT.
    pub(crate) name: String,
    /// First byte.
    pub(crate) start: u64,
    /// Number of bytes.
    pub(crate) bytes: u64,
}

/// Which kind of table there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Master boot record.
    Mbr,
    /// GUID partition table.
    Gpt,
}

impl TableKind {
    /// As it is called.
    pub const fn name(self) -> &'static str {
        match self {
            TableKind::Mbr => "MBR",
            TableKind::Gpt => "GPT",
        }
    }
}

/// Read the table of a disk of that many bytes. What is returned lies inside the disk and doesn't overlap.
pub(crate) fn read(disk: &File, bytes: u64) -> Result<(TableKind, Vec<Partition>), String> {
    let mbr: [u8; 512] = sector(disk, bytes, 0)?;
    if mbr[510..] != [0x55, 0xaa] {
        return Err("there is no partition table".into());
    }
    let entries = entries(&mbr);
    let (kind, mut found) = if entries.iter().any(|e| e.kind == PROTECTIVE) {
        let last = (bytes / SECTOR).saturating_sub(1);
        let found = gpt(disk, bytes, 1).or_else(|why| {
            gpt(disk, bytes, last).map_err(|_| {
                let mut head = [0; 8];
                match disk.read_exact_at(&mut head, LARGE_SECTOR) {
                    Ok(()) if &head == b"EFI PART" => format!(
                        "its GPT is one of sectors with {LARGE_SECTOR} bytes, as disks have them and cards don't: make the image for \
                         sectors of {SECTOR} bytes (`sfdisk --sector-size`, `losetup --sector-size`)"
                    ),
                    _ => format!("its GPT is damaged, and so is the copy at its end ({why})"),
                }
            })
        })?;
        (TableKind::Gpt, found)
    } else {
        (TableKind::Mbr, mbr_partitions(disk, bytes, &entries)?)
    };
    if found.is_empty() {
        return Err(format!("its {} has no partitions", kind.name()));
    }
    check(&mut found, bytes)?;
    Ok((kind, found))
}

/// All inside the disk, none over another.
fn check(partitions: &mut [Partition], bytes: u64) -> Result<(), String> {
    partitions.sort_by_key(|p| (p.start, p.number));
    for p in partitions.iter() {
        let end = p.start.saturating_add(p.bytes);
        if end > bytes {
            return Err(format!("partition {} ends at byte {end}, but the disk has {bytes}", p.number));
        }
    }
    for pair in partitions.windows(2) {
        if let [a, b] = pair
            && b.start < a.start + a.bytes
        {
            return Err(format!("partitions {} and {} overlap", a.number, b.number));
        }
    }
    partitions.sort_by_key(|p| p.number);
    Ok(())
}

/// An entry of an MBR or of a logical partition's sector, in sectors.
#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: u8,
    first: u64,
    count: u64,
}

fn entries(sector: &[u8; 512]) -> [Entry; 4] {
    [446, 462, 478, 494].map(|at| Entry {
        kind: sector.get(at + 4).copied().unwrap_or(0),
        first: u32_at(sector, at + 8).into(),
        count: u32_at(sector, at + 12).into(),
    })
}

fn mbr_partitions(disk: &File, bytes: u64, entries: &[Entry; 4]) -> Result<Vec<Partition>, String> {
    let mut found = Vec::new();
    let mut add = |number, first: u64, count: u64| {
        let name = String::new();
        found.push(Partition { number, name, start: first * SECTOR, bytes: count * SECTOR });
    };
    let mut extended = None;
    for (number, e) in (1..).zip(entries).filter(|(_, e)| e.kind != 0 && e.count != 0) {
        match EXTENDED.contains(&e.kind) {
            true if extended.is_none() => extended = Some(e.first),
            true => return Err("there are two extended partitions".into()),
            false => add(number, e.first, e.count),
        }
    }
    // Each logical partition has a sector of its own: its entry, counted from there, and the way to the next one,
    // counted from the extended partition.
    let Some(base) = extended else { return Ok(found) };
    let (mut at, mut number) = (base, 5);
    loop {
        let table = sector(disk, bytes, at)?;
        let [own, next, ..] = self::entries(&table);
        if table[510..] != [0x55, 0xaa] {
            return Err(format!("the chain of logical partitions is broken at sector {at}"));
        }
        if own.kind != 0 && own.count != 0 {
            add(number, at + own.first, own.count);
            number += 1;
        }
        if next.kind == 0 || next.count == 0 {
            return Ok(found);
        }
        if number >= 5 + LOGICAL || base + next.first <= at {
            return Err("the chain of logical partitions doesn't end".into());
        }
        at = base + next.first;
    }
}

fn gpt(disk: &File, bytes: u64, at: u64) -> Result<Vec<Partition>, String> {
    let mut header = sector(disk, bytes, at)?;
    let size = u32_at(&header, 12) as usize;
    if !header.starts_with(b"EFI PART") || !(92..=512).contains(&size) {
        return Err(format!("no header in sector {at}"));
    }
    let crc = u32_at(&header, 16);
    header[16..20].fill(0);
    if CRC.checksum(header.get(..size).unwrap_or_default()) != crc {
        return Err(format!("the checksum of the header in sector {at} is wrong"));
    }
    let (count, size) = (u32_at(&header, 80), u32_at(&header, 84));
    let total = u64::from(count) * u64::from(size);
    if size < 128 || !size.is_multiple_of(8) || total > ENTRIES {
        return Err(format!("{count} entries of {size} bytes are not possible"));
    }
    let mut table = vec![0; usize::try_from(total).unwrap_or(0)];
    let place = u64_at(&header, 72).checked_mul(SECTOR).ok_or("the entries lie beyond its end")?;
    disk.read_exact_at(&mut table, place).map_err(|e| short(&e))?;
    if CRC.checksum(&table) != u32_at(&header, 88) {
        return Err("the checksum of the entries is wrong".into());
    }
    let mut found = Vec::new();
    for (number, entry) in (1..).zip(table.chunks_exact(size as usize)) {
        if entry.iter().take(16).all(|byte| *byte == 0) {
            continue;
        }
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        let count = last.checked_sub(first).and_then(|n| n.checked_add(1));
        let place = count.and_then(|n| Some((first.checked_mul(SECTOR)?, n.checked_mul(SECTOR)?)));
        let (start, bytes) = place.ok_or_else(|| format!("partition {number} ends before it begins"))?;
        let units: Vec<u16> =
            entry[56..128].chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect();
        let name = String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned();
        found.push(Partition { number, name, start, bytes });
    }
    Ok(found)
}

fn sector(disk: &File, bytes: u64, at: u64) -> Result<[u8; 512], String> {
    let mut sector = [0; 512];
    let place = at.checked_mul(SECTOR).filter(|place| place.saturating_add(SECTOR) <= bytes);
    let place = place.ok_or_else(|| format!("sector {at} lies beyond its end"))?;
    disk.read_exact_at(&mut sector, place).map_err(|e| short(&e))?;
    Ok(sector)
}

fn short(e: &io::Error) -> String {
    format!("the partition table can't be read: {e}")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gptman::{GPT, GPTPartitionEntry};
    use proptest::prelude::*;

    const BYTES: u64 = 8 << 20;

    fn disk(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    /// A sector with those entries: type, first sector, sectors.
    fn mbr(entries: &[(u8, u32, u32)]) -> [u8; 512] {
        let mut sector = [0; 512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        for (at, (kind, first, count)) in (446..).step_by(16).zip(entries) {
            sector[at + 4] = *kind;
            sector[at + 8..at + 12].copy_from_slice(&first.to_le_bytes());
            sector[at + 12..at + 16].copy_from_slice(&count.to_le_bytes());
        }
        sector
    }

    fn read_mbr(entries: &[(u8, u32, u32)]) -> Result<(TableKind, Vec<Partition>), String> {
        let file = disk(&mbr(entries));
        file.set_len(BYTES).unwrap();
        read(&file, BYTES)
    }

    fn gpt() -> File {
        let mut file = disk(&[]);
        file.set_len(BYTES).unwrap();
        let mut gpt = GPT::new_from(&mut file, SECTOR, [7; 16]).unwrap();
        for (number, name) in [(1, "boot"), (3, "Wurzel \u{e4}")] {
            gpt[number] = GPTPartitionEntry {
                partition_type_guid: [1; 16],
                unique_partition_guid: [u8::try_from(number).unwrap(); 16],
                starting_lba: u64::from(number) * 2048,
                ending_lba: u64::from(number) * 2048 + 99,
                attribute_bits: 0,
                partition_name: name.into(),
            };
        }
        gpt.write_into(&mut file).unwrap();
        GPT::write_protective_mbr_into(&mut file, SECTOR).unwrap();
        file
    }

    fn part(number: u32, name: &str, first: u64, count: u64) -> Partition {
        Partition { number, name: name.into(), start: first * SECTOR, bytes: count * SECTOR }
    }

    #[test]
    fn primary_and_logical_partitions() {
        let mut image = vec![0; usize::try_from(BYTES).unwrap()];
        let mut put = |at: usize, sector: [u8; 512]| image[at * 512..][..512].copy_from_slice(&sector);
        put(0, mbr(&[(0x0c, 1, 9), (0, 0, 0), (0x05, 100, 1000), (0x83, 20, 30)]));
        put(100, mbr(&[(0x83, 1, 9), (0x05, 50, 100)]));
        put(150, mbr(&[(0x82, 2, 8)]));
        let wanted = vec![part(1, "", 1, 9), part(4, "", 20, 30), part(5, "", 101, 9), part(6, "", 152, 8)];
        assert_eq!(read(&disk(&image), BYTES), Ok((TableKind::Mbr, wanted)));
        // The second one leads back to the first.
        image[150 * 512..][..512].copy_from_slice(&mbr(&[(0x82, 2, 8), (0x05, 0, 100)]));
        assert!(read(&disk(&image), BYTES).unwrap_err().contains("doesn't end"));
        image[150 * 512 + 510] = 0;
        assert!(read(&disk(&image), BYTES).unwrap_err().contains("broken"));
    }

    #[test]
    fn what_no_table_can_say() {
        for (entries, why) in [
            (&[][..], "no partitions"),
            (&[(0x83, 1, 100), (0x83, 50, 100)], "partitions 1 and 2 overlap"),
            (&[(0x83, 1, 20_000)], "ends at byte 10240512, but the disk has 8388608"),
            (&[(0x83, u32::MAX, u32::MAX)], "the disk has"),
            (&[(0x05, 1, 10), (0x0f, 20, 10)], "two extended"),
            (&[(0x05, u32::MAX, 10)], "beyond its end"),
        ] {
            let said = read_mbr(entries).unwrap_err();
            assert!(said.contains(why), "{entries:?}: {said}");
        }
        assert!(read(&disk(&[0; 1024]), 1024).unwrap_err().contains("no partition table"));
        assert!(read(&disk(&[0; 10]), 10).is_err());
    }

    #[test]
    fn either_copy_of_a_gpt() {
        let file = gpt();
        let wanted = (TableKind::Gpt, vec![part(1, "boot", 2048, 100), part(3, "Wurzel \u{e4}", 6144, 100)]);
        assert_eq!(read(&file, BYTES).as_ref(), Ok(&wanted));
        file.write_all_at(&[9], 600).unwrap();
        assert_eq!(read(&file, BYTES), Ok(wanted));
        file.write_all_at(&[9], BYTES - 500).unwrap();
        assert!(read(&file, BYTES).unwrap_err().contains("GPT is damaged"));
        // Damaged entries, and no copy.
        let file = gpt();
        file.write_all_at(&[9], 1024).unwrap();
        file.write_all_at(&[9], BYTES - 500).unwrap();
        assert!(read(&file, BYTES).unwrap_err().contains("checksum of the entries"));
    }

    /// Four thousand million entries of as many bytes, with the right checksums.
    #[test]
    fn a_gpt_that_claims_much() {
        let file = gpt();
        let mut header = [0; 512];
        file.read_exact_at(&mut header, 512).unwrap();
        header[80..88].fill(0xff);
        header[16..20].fill(0);
        let crc = CRC.checksum(&header[..92]);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        assert!(gptless(&header).unwrap_err().contains("not possible"));
    }

    fn gptless(header: &[u8; 512]) -> Result<Vec<Partition>, String> {
        let file = disk(&[&[0; 512][..], header].concat());
        file.set_len(BYTES).unwrap();
        super::gpt(&file, BYTES, 1)
    }

    proptest! {
        /// What is returned lies inside the disk, whatever a table says.
        #[test]
        fn any_table(sectors in proptest::collection::vec(any::<[u8; 64]>(), 1..5), extended: bool) {
            let mut image = vec![0; 64 * 512];
            for (sector, bytes) in image.chunks_exact_mut(512).zip(&sectors) {
                sector[446..510].copy_from_slice(bytes);
                // Small numbers, so that some of them fit.
                for at in [446, 462, 478, 494] {
                    sector[at + 9..at + 12].fill(0);
                    sector[at + 13..at + 16].fill(0);
                    if extended && at == 462 {
                        sector[at + 4] = 5;
                    }
                }
                sector[510..].copy_from_slice(&[0x55, 0xaa]);
            }
            let bytes = image.len() as u64;
            if let Ok((_, found)) = read(&disk(&image), bytes) {
                prop_assert!(found.iter().all(|p| p.start + p.bytes <= bytes));
            }
        }
    }
}
