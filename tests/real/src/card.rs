//! Partitions of a card image, found through its partition table, and copies of them.
use anyhow::{Context, Result, ensure};
use bistable_boot::layout::Partition;
use bistable_kit::hex::hex;
use sha2::{Digest as _, Sha256};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

const SECTOR: u64 = 512;
/// Copied at a time; a part that is all zero becomes a hole.
const PART: usize = 1 << 20;

/// A card image, open for reading.
#[derive(Debug)]
pub(super) struct CardImage {
    path: PathBuf,
    file: File,
    table: gptman::GPT,
}

impl CardImage {
    /// Open it and read its table.
    pub(super) fn open(path: &Path) -> Result<CardImage> {
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        let table = gptman::GPT::read_from(&mut file, SECTOR)
            .with_context(|| format!("reading the partition table of {}", path.display()))?;
        Ok(CardImage { path: path.into(), file, table })
    }

    /// Copy a partition's first `bytes` bytes to a file, and give their SHA-256 in hexadecimal digits.
    pub(super) fn cut(&self, partition: Partition, bytes: u64, to: &Path) -> Result<String> {
        let start = self.start(partition, bytes)?;
        let mut sha = Sha256::new();
        copy_range(&self.file, start, bytes, to, &mut |part| sha.update(part))
            .with_context(|| format!("copying partition {}", partition.name()))?;
        Ok(hex(&sha.finalize()))
    }

    /// Put a partition's first `bytes` bytes into another one, zeros too.
    pub(super) fn duplicate(&self, from: Partition, to: Partition, bytes: u64) -> Result<()> {
        let (from, to) = (self.start(from, bytes)?, self.start(to, bytes)?);
        let card = OpenOptions::new().write(true).open(&self.path);
        let card = card.with_context(|| self.path.display().to_string())?;
        parts(&self.file, from, bytes, |at, part| card.write_all_at(part, to + at))
            .and_then(|()| card.sync_all())
            .with_context(|| format!("filling a slot of {}", self.path.display()))
    }

    /// Where a partition that holds at least `bytes` begins.
    fn start(&self, partition: Partition, bytes: u64) -> Result<u64> {
        let name = partition.name();
        let found = self.table.iter().find(|(_, p)| p.is_used() && p.partition_name.as_str() == name);
        let (_, entry) = found.with_context(|| format!("the card has no partition {name}"))?;
        let start = entry.starting_lba.checked_mul(SECTOR);
        let end = entry.ending_lba.checked_add(1).and_then(|lba| lba.checked_mul(SECTOR));
        let (start, end) = start.zip(end).with_context(|| format!("partition {name} lies nowhere"))?;
        ensure!(end.saturating_sub(start) >= bytes, "partition {name} has no room for {bytes} bytes");
        Ok(start)
    }
}

/// Copy a range of a file, and show it to `see` meanwhile; what is zero becomes a hole.
pub(super) fn copy_range(
    from: &File,
    start: u64,
    bytes: u64,
    to: &Path,
    see: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    let out = File::create(to)?;
    let zeros = vec![0; PART];
    parts(from, start, bytes, |at, part| {
        see(part);
        if zeros.starts_with(part) { Ok(()) } else { out.write_all_at(part, at) }
    })?;
    out.set_len(bytes)
}

/// Read a range of a file part by part; `each` gets a part's place in the range, and the part.
fn parts(
    from: &File,
    start: u64,
    bytes: u64,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; PART];
    let mut done = 0;
    while done < bytes {
        let take = usize::try_from(bytes - done).unwrap_or(PART).min(PART);
        let part = buffer.get_mut(..take).unwrap_or_default();
        from.read_exact_at(part, start + done)?;
        each(done, part)?;
        done += take as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_boot::Slot;

    #[test]
    fn a_range_is_copied_with_its_holes() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        let mut bytes = vec![0; 3 * PART + 700];
        bytes[10] = 1;
        bytes[3 * PART + 5] = 2;
        bistable_kit::put(&from, &bytes).unwrap();
        let to = dir.path().join("to");
        let mut seen = Vec::new();
        let file = File::open(&from).unwrap();
        copy_range(&file, 8, 3 * PART as u64, &to, &mut |part| seen.extend_from_slice(part)).unwrap();
        let want = &bytes[8..8 + 3 * PART];
        assert_eq!(std::fs::read(&to).unwrap(), want);
        assert_eq!(seen, want);
    }

    /// A card with two partitions of one MiB.
    fn card(path: &Path) -> CardImage {
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
        file.set_len(4 << 20).unwrap();
        let mut table = gptman::GPT::new_from(&mut file, SECTOR, [1; 16]).unwrap();
        for (partition, start) in [(Partition::Boot(Slot::A), 2048), (Partition::Boot(Slot::B), 4096)] {
            table[u32::from(partition.number())] = gptman::GPTPartitionEntry {
                partition_type_guid: [2; 16],
                unique_partition_guid: [partition.number(); 16],
                starting_lba: start,
                ending_lba: start + 2047,
                attribute_bits: 0,
                partition_name: partition.name().into(),
            };
        }
        table.write_into(&mut file).unwrap();
        CardImage::open(path).unwrap()
    }

    #[test]
    fn one_bit_in_a_partition_changes_its_digest_and_one_behind_the_image_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("card");
        let card = card(&path);
        let flip = |at: u64| {
            let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        };
        let cut = |bytes| card.cut(Partition::Boot(Slot::A), bytes, &dir.path().join("cut"));
        let first = cut(4096).unwrap();
        flip((1 << 20) + 4096);
        assert_eq!(cut(4096).unwrap(), first);
        flip((1 << 20) + 4095);
        assert_ne!(cut(4096).unwrap(), first);
        assert!(cut((1 << 20) + 1).is_err(), "larger than the partition");
        assert!(card.cut(Partition::System(Slot::A), 1, &dir.path().join("cut")).is_err(), "not on the card");

        card.duplicate(Partition::Boot(Slot::A), Partition::Boot(Slot::B), 1 << 20).unwrap();
        let digest = |slot| card.cut(Partition::Boot(slot), 1 << 20, &dir.path().join("cut")).unwrap();
        assert_eq!(digest(Slot::A), digest(Slot::B));
    }
}
