//! Ready images: taken as they are, after a look at whether they are whole.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::detect::InputKind;
use super::error::VolumeError;

const SECTOR: u64 = 512;
/// Bytes of the header that are looked at.
pub(crate) const HEAD: usize = 2048;

/// Checks an image by its own header and returns the file's length in bytes.
pub(crate) fn check(file: &File, path: &Path, kind: InputKind) -> Result<u64, VolumeError> {
    let len = file.metadata().map_err(VolumeError::io("read", path))?.len();
    let bad = |why: String| VolumeError::BadImage { path: path.into(), why };
    if len % SECTOR != 0 {
        return Err(bad(format!(
            "the image has {len} bytes, which is not a multiple of 512; it is cut off or has something appended"
        )));
    }
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0).map_err(|_| VolumeError::Truncated {
        path: path.into(),
        what: format!("the image has {len} bytes, its header alone needs {}", head.len()),
    })?;
    let claimed = claimed(&head, kind).map_err(bad)?;
    if claimed > len {
        return Err(VolumeError::Truncated {
            path: path.into(),
            what: format!("the file system in it has {claimed} bytes, the file has {len}"),
        });
    }
    Ok(len)
}

/// The size in bytes that a file system says it has, by its first bytes; or what is wrong with them.
pub(crate) fn claimed(head: &[u8; HEAD], kind: InputKind) -> Result<u64, String> {
    let head = Header(head);
    match kind {
        InputKind::Ext4 => ext4(&head),
        InputKind::Squashfs => Ok(head.u64(40)),
        InputKind::Erofs => erofs(&head),
        InputKind::Fat => fat(&head),
        InputKind::Directory | InputKind::Tar(_) => Err("it is not an image".into()),
    }
}

/// Little-endian fields of the first bytes; what lies outside reads as 0.
struct Header<'a>(&'a [u8; HEAD]);

impl Header<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn u8(&self, at: usize) -> u64 {
        let [byte] = self.bytes(at);
        byte.into()
    }

    fn u16(&self, at: usize) -> u64 {
        u16::from_le_bytes(self.bytes(at)).into()
    }

    fn u32(&self, at: usize) -> u64 {
        u32::from_le_bytes(self.bytes(at)).into()
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }
}

/// The size in bytes by the superblock of ext2, ext3 or ext4.
fn ext4(head: &Header<'_>) -> Result<u64, String> {
    const BASE: usize = 1024;
    /// `INCOMPAT_64BIT`: the block count has a high half.
    const WIDE: u64 = 0x80;
    let log = head.u32(BASE + 24);
    if log > 6 {
        return Err(format!("the superblock's block size (1024 << {log}) is not possible"));
    }
    let high = if head.u32(BASE + 96) & WIDE == 0 { 0 } else { head.u32(BASE + 0x150) };
    let blocks = head.u32(BASE + 4) | high << 32;
    if blocks == 0 {
        return Err("the superblock says that there are no blocks".into());
    }
    Ok(blocks.saturating_mul(1024 << log))
}

fn erofs(head: &Header<'_>) -> Result<u64, String> {
    const BASE: usize = 1024;
    let log = head.u8(BASE + 12);
    if !(9..=16).contains(&log) {
        return Err(format!("the superblock's block size (1 << {log}) is not possible"));
    }
    Ok(head.u32(BASE + 36).saturating_mul(1 << log))
}

/// The size in bytes by the boot sector; the same rules as the Pi's firmware and Linux have.
fn fat(head: &Header<'_>) -> Result<u64, String> {
    let (sector, cluster) = (head.u16(11), head.u8(13));
    let (reserved, fats, fat16) = (head.u16(14), head.u8(16), head.u16(22));
    let total = if head.u16(19) == 0 { head.u32(32) } else { head.u16(19) };
    let fat_sectors = if fat16 == 0 { head.u32(36) } else { fat16 };
    let wrong = |what: &str| Err(format!("the boot sector is not valid: {what}"));
    if ![512, 1024, 2048, 4096].contains(&sector) {
        return wrong("the sector size is none of 512, 1024, 2048 and 4096");
    }
    if !cluster.is_power_of_two() {
        return wrong("the cluster size is not a power of two");
    }
    if reserved == 0 || !(1..=2).contains(&fats) || fat_sectors == 0 {
        return wrong("there are no reserved sectors or no FATs");
    }
    let root = (head.u16(17) * 32).div_ceil(sector);
    if reserved + fats * fat_sectors + root + cluster > total {
        return wrong("there is no room for data");
    }
    Ok(total * sector)
}
