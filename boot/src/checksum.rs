//! The CRC-32 (ISO-HDLC, little-endian) of what lies on the card: as U-Boot computes it, and zlib.
use crc::{Crc, Table};

/// Bytes of a checksum.
pub(crate) const CHECKSUM_BYTES: usize = 4;

/// Sixteen tables of 1 KiB: every copy is checked at each look at a card.
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&crc::CRC_32_ISO_HDLC);

/// The checksum of these bytes.
pub(crate) fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    CRC.checksum(bytes).to_le_bytes()
}

/// Put the checksum of all other bytes into the last four.
pub(crate) fn seal(copy: &mut [u8]) {
    if let Some((content, last)) = copy.split_last_chunk_mut() {
        *last = checksum(content);
    }
}

/// Whether the last four bytes are the checksum of all others.
pub(crate) fn is_whole(copy: &[u8]) -> bool {
    copy.split_last_chunk().is_some_and(|(content, last)| checksum(content) == *last)
}
