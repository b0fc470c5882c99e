//! Opening a foreign ext4 file system for reading.
use ext4_view::{Ext4, Ext4Error, Ext4Read};
use std::io;

/// Where the superblock says how large blocks are: 1024 bytes, that many times doubled (Documentation/filesystems/ext4).
const LOG_BLOCK_SIZE: u64 = 1024 + 24;
/// The most that ext4 knows: blocks of 64 KiB.
const LOG_BLOCK_SIZE_MAX: u32 = 6;

/// Open it. The reader takes several blocks of memory before it looks at anything else, so a superblock that claims larger
/// blocks than there are could take any amount.
///
/// # Errors
/// When it can't be read, or is not ext4.
pub(crate) fn load_ext4(mut from: Box<dyn Ext4Read>) -> Result<Ext4, Ext4Error> {
    let mut log = [0; 4];
    from.read(LOG_BLOCK_SIZE, &mut log).map_err(Ext4Error::Io)?;
    if u32::from_le_bytes(log) > LOG_BLOCK_SIZE_MAX {
        let text = "its superblock claims blocks of more than 64 KiB";
        return Err(Ext4Error::Io(Box::new(io::Error::new(io::ErrorKind::InvalidData, text))));
    }
    Ext4::load(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_larger_than_ext4_knows_are_refused_before_memory_is_taken() {
        for (log, text) in [(7, "more than 64 KiB"), (30, "more than 64 KiB"), (u32::MAX, "more than 64 KiB")]
        {
            let mut image = vec![0; 4096];
            image[1048..1052].copy_from_slice(&log.to_le_bytes());
            let e = load_ext4(Box::new(image)).unwrap_err();
            assert!(e.to_string().contains(text), "{e}");
        }
        let e = load_ext4(Box::new(vec![0; 4096])).unwrap_err();
        assert!(!e.to_string().contains("64 KiB"), "{e}");
        assert!(load_ext4(Box::new(vec![0; 100])).is_err());
    }
}
