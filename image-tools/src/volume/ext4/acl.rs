//! POSIX access control lists: programs and archives have the form of the system calls, ext4 its own.
//!
//! ```text
//! system call: version 2 (u32) | tag (u16) perm (u16) id (u32) | …      all entries have 8 bytes
//! on disk:     version 1 (u32) | tag (u16) perm (u16) [id (u32)] | …    an id only for named users and groups
//! ```

const CALL_VERSION: u32 = 2;
const DISK_VERSION: u32 = 1;
/// A named user or a named group.
const NAMED: [u16; 2] = [0x02, 0x08];
/// Owner, owner's group, mask, others.
const UNNAMED: [u16; 4] = [0x01, 0x04, 0x10, 0x20];

/// From the form of the system calls to that of the disk; `None` if it isn't valid.
pub(super) fn to_disk(list: &[u8]) -> Option<Vec<u8>> {
    let (version, entries) = list.split_first_chunk::<4>()?;
    let (entries, rest) = entries.as_chunks::<8>();
    if u32::from_le_bytes(*version) != CALL_VERSION || !rest.is_empty() || entries.is_empty() {
        return None;
    }
    let mut disk = DISK_VERSION.to_le_bytes().to_vec();
    for [t0, t1, p0, p1, id @ ..] in entries {
        let tag = u16::from_le_bytes([*t0, *t1]);
        disk.extend([*t0, *t1, *p0, *p1]);
        if NAMED.contains(&tag) {
            disk.extend(id);
        } else if !UNNAMED.contains(&tag) {
            return None;
        }
    }
    Some(disk)
}

#[cfg(test)]
mod tests {
    use super::to_disk;

    #[test]
    fn converts() {
        let call = [
            &[2, 0, 0, 0][..],
            &[1, 0, 6, 0, 255, 255, 255, 255],
            &[2, 0, 4, 0, 0xe8, 3, 0, 0],
            &[4, 0, 4, 0, 255, 255, 255, 255],
            &[0x10, 0, 4, 0, 255, 255, 255, 255],
            &[0x20, 0, 0, 0, 255, 255, 255, 255],
        ]
        .concat();
        let disk = [
            &[1, 0, 0, 0][..],
            &[1, 0, 6, 0],
            &[2, 0, 4, 0, 0xe8, 3, 0, 0],
            &[4, 0, 4, 0],
            &[0x10, 0, 4, 0],
            &[0x20, 0, 0, 0],
        ]
        .concat();
        assert_eq!(to_disk(&call), Some(disk));
        for wrong in [
            &b""[..],
            b"\x02\0\0\0",
            b"\x01\0\0\0\x01\0\x06\0",
            &call[..11],
            b"\x02\0\0\0\x03\0\x06\0\0\0\0\0",
        ] {
            assert_eq!(to_disk(wrong), None, "{wrong:?}");
        }
    }
}
