//! Opening a foreign ext4 file system for reading.
use ext4_view::{Ext4, Ext4Error, Ext4Read};
use std::io;

/// Where the superblock lies, and its fields (Documentation/filesystems/ext4).
const SUPERBLOCK: u64 = 1024;
const BLOCKS_LOW: usize = 0x04;
/// How large blocks are: 1024 bytes, that many times doubled.
const LOG_BLOCK_SIZE: usize = 0x18;
const BLOCKS_PER_GROUP: usize = 0x20;
const BLOCKS_HIGH: usize = 0x150;
/// The most that ext4 knows: blocks of 64 KiB.
const LOG_BLOCK_SIZE_MAX: u32 = 6;
/// The least that mke2fs makes.
const BLOCKS_PER_GROUP_MIN: u32 = 256;

/// Open the file system in a volume of that many bytes. The reader takes memory for several blocks and for each block group
/// before it looks at anything else, so what the superblock claims is compared with what there is first.
///
/// # Errors
/// When it can't be read, is not ext4, or claims more than there is.
pub(crate) fn load_ext4(mut from: Box<dyn Ext4Read>, bytes: u64) -> Result<Ext4, Ext4Error> {
    let mut superblock = [0; 1024];
    from.read(SUPERBLOCK, &mut superblock).map_err(Ext4Error::Io)?;
    if let Err(why) = check(&superblock, bytes) {
        return Err(Ext4Error::Io(Box::new(io::Error::new(io::ErrorKind::InvalidData, why))));
    }
    Ext4::load(from)
}

fn check(superblock: &[u8; 1024], bytes: u64) -> Result<(), String> {
    let field = |at: usize| {
        superblock.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
    };
    let log = field(LOG_BLOCK_SIZE);
    if log > LOG_BLOCK_SIZE_MAX {
        return Err("its superblock claims blocks of more than 64 KiB".into());
    }
    let block_bytes = 1024_u64 << log;
    // The reader, as Linux, takes both halves, whether the file system calls itself one of 64 bits or not.
    let blocks = u64::from(field(BLOCKS_HIGH)) << 32 | u64::from(field(BLOCKS_LOW));
    if blocks > bytes / block_bytes {
        return Err(format!(
            "its superblock claims {blocks} blocks of {block_bytes} bytes, but the volume has {bytes} bytes"
        ));
    }
    let in_group = field(BLOCKS_PER_GROUP);
    if (1..BLOCKS_PER_GROUP_MIN).contains(&in_group) {
        return Err(format!(
            "its superblock claims groups of {in_group} blocks; {BLOCKS_PER_GROUP_MIN} is the least"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A superblock in an image of 1 MiB, with `number` where the superblock has a field.
    fn superblock(fields: &[(usize, u32)]) -> Vec<u8> {
        let mut image = vec![0; 1 << 20];
        // 1024 blocks of 1 KiB in one group.
        for (at, number) in [(0x04, 1024), (0x18, 0), (0x20, 8192)].iter().chain(fields) {
            image[1024 + at..1028 + at].copy_from_slice(&number.to_le_bytes());
        }
        image
    }

    #[test]
    fn a_superblock_that_claims_more_than_there_is_is_refused_before_memory_is_taken() {
        let cases: [(&[(usize, u32)], &str); 7] = [
            (&[(0x18, 7)], "blocks of more than 64 KiB"),
            (&[(0x18, 30)], "blocks of more than 64 KiB"),
            (&[(0x18, u32::MAX)], "blocks of more than 64 KiB"),
            (&[(0x04, 1025)], "claims 1025 blocks of 1024 bytes, but the volume has 1048576 bytes"),
            (&[(0x04, u32::MAX)], "claims 4294967295 blocks"),
            (&[(0x150, u32::MAX)], "claims 18446744069414585344 blocks"),
            (&[(0x20, 1)], "claims groups of 1 blocks"),
        ];
        for (fields, text) in cases {
            let image = superblock(fields);
            let e = load_ext4(Box::new(image), 1 << 20).unwrap_err();
            assert!(e.to_string().contains(text), "{e}");
        }
        let e = load_ext4(Box::new(superblock(&[])), 1 << 20).unwrap_err();
        assert!(!e.to_string().contains("claims"), "{e}");
        assert!(load_ext4(Box::new(vec![0; 100]), 100).is_err());
    }
}
