//! The fold in its file: a checksum, a blank, and JSON.
use super::Fold;
use crc::Crc;

/// The name of the file.
pub const SNAPSHOT: &str = "fold.json";

const CRC: Crc<u32> = Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// A snapshot's bytes.
pub(super) fn write(fold: &Fold) -> Vec<u8> {
    // Only a map whose keys aren't strings fails, and there is none.
    let json = serde_json::to_vec(fold).unwrap_or_default();
    let sum = format!("{:08x} ", CRC.checksum(&json));
    [sum.as_bytes(), &json, b"\n"].concat()
}

/// Read a snapshot; `None` if it is damaged.
pub(super) fn read(bytes: &[u8]) -> Option<Fold> {
    let (sum, json) = bytes.strip_suffix(b"\n")?.split_at_checked(9)?;
    let matches = sum == format!("{:08x} ", CRC.checksum(json)).as_bytes();
    matches.then(|| serde_json::from_slice(json).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_damage_is_noticed() {
        let fold = Fold { seq: 7, ..Fold::default() };
        let bytes = write(&fold);
        assert_eq!(read(&bytes), Some(fold));
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            assert_eq!(read(&bytes), None, "byte {at}");
            assert_eq!(read(&bytes[..at]), None);
        }
    }
}
