//! A script as U-Boot reads it: text in its legacy image format.
//!
//! ```text
//! 0       4         8      12     16      20      24       28  29    30    31    32       64       68    72
//! │magic  │CRC head │time  │bytes │load 0 │entry 0│CRC data│OS │arch │type │comp │name    │length  │0    │text
//! ```
//! All numbers big-endian; the checksums are CRC-32 (ISO-HDLC), that of the head with its own field as zero. The data is a
//! list of lengths that ends with zero, then the text. Source: U-Boot's `include/image.h` (`legacy_img_hdr`) and the
//! command `source`.
use crc::{CRC_32_ISO_HDLC, Crc};

const MAGIC: u32 = 0x2705_1956;
const HEAD: usize = 64;
/// Linux, 64-bit Arm, script, not compressed. U-Boot looks at the type only.
const KIND: [u8; 4] = [5, 22, 6, 0];
const NAME: &[u8] = b"bistable";
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The image of a script. `time` in seconds since 1970.
pub(super) fn image(text: &str, time: u64) -> Vec<u8> {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let mut data = Vec::from(number(text.len() as u64));
    data.extend([0; 4]);
    data.extend_from_slice(text.as_bytes());

    let mut head = Vec::with_capacity(HEAD + data.len());
    head.extend(MAGIC.to_be_bytes());
    head.extend([0; 4]);
    head.extend(number(time));
    head.extend(number(data.len() as u64));
    head.extend([0; 8]);
    head.extend(CRC.checksum(&data).to_be_bytes());
    head.extend(KIND);
    head.extend(NAME);
    head.resize(HEAD, 0);
    let sum = CRC.checksum(&head).to_be_bytes();
    head.splice(4..8, sum);
    head.extend(data);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_golden() {
        let image = image("echo hello\n", 1_700_000_000);
        // SOURCE_DATE_EPOCH=1700000000 mkimage -A arm64 -O linux -T script -C none -n bistable, of this text.
        let head = [
            0x27, 0x05, 0x19, 0x56, 0x40, 0x40, 0xAC, 0x7E, 0x65, 0x53, 0xF1, 0x00, 0, 0, 0, 0x13, 0, 0, 0,
            0, 0, 0, 0, 0, 0x3D, 0xB5, 0x5E, 0x6F, 0x05, 0x16, 0x06, 0x00,
        ];
        assert_eq!(&image[..32], &head);
        assert_eq!(&image[32..64], b"bistable\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(&image[64..], b"\0\0\0\x0b\0\0\0\0echo hello\n");
    }
}
