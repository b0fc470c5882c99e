//! Where a cpio archive ends (Documentation/driver-api/early-userspace/buffer-format.rst).

/// Bytes of the header of an entry in the formats `newc` and `crc`.
const HEADER: usize = 110;
/// The name of the entry that ends an archive.
const LAST: &[u8] = b"TRAILER!!!\0";

/// Whether an archive begins here.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(b"070701") || bytes.starts_with(b"070702")
}

/// The archive that `bytes` begin with, its last entry and padding included, and the bytes behind it; `None` if it is damaged.
/// `bytes` begin at a multiple of four in what the kernel reads.
pub(super) fn archive(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0_usize;
    loop {
        let entry = bytes.get(at..)?;
        let header = entry.get(..HEADER).filter(|_| begins(entry))?;
        let (file, name) = (field(header, 6)?, field(header, 11)?);
        let is_last = entry.get(HEADER..)?.get(..name)? == LAST;
        let named = HEADER.checked_add(name)?.checked_next_multiple_of(4)?;
        at = at.checked_add(named)?.checked_add(file)?;
        // Behind the last entry the padding may be missing: the file ends there.
        at = if is_last { at.min(bytes.len()) } else { at.checked_next_multiple_of(4)? };
        if is_last {
            return bytes.split_at_checked(at);
        }
    }
}

/// One of the thirteen numbers of eight hexadecimal digits behind the magic.
fn field(header: &[u8], number: usize) -> Option<usize> {
    let digits = header.get(6 + number * 8..)?.get(..8)?;
    let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    usize::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An archive of these files.
    pub(in super::super) fn archive_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, bytes) in files.iter().chain(&[("TRAILER!!!", &b""[..])]) {
            let mode = if *name == "TRAILER!!!" { 0 } else { 0o100_644 };
            out.extend_from_slice(b"070701");
            for number in [1, mode, 0, 0, 1, 0, bytes.len(), 0, 0, 0, 0, name.len() + 1, 0] {
                out.extend_from_slice(format!("{number:08x}").as_bytes());
            }
            out.extend_from_slice(name.as_bytes());
            out.push(0);
            out.resize(out.len().next_multiple_of(4), 0);
            out.extend_from_slice(bytes);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    #[test]
    fn an_archive_ends_behind_its_trailer() {
        let one = archive_of(&[("init", b"#!/bin/sh\n"), ("empty", b""), ("TRAILER", b"no")]);
        for behind in [&b""[..], b"\0\0\0\0\0\0\0\0", b"070701", b"anything"] {
            let whole = [&one, behind].concat();
            assert_eq!(archive(&whole), Some((&one[..], behind)));
        }
    }

    #[test]
    fn a_damaged_archive_has_no_end() {
        let one = archive_of(&[("init", b"#!/bin/sh\n")]);
        // The trailer's padding, three bytes, may be missing.
        for cut in 0..one.len() - 3 {
            assert_eq!(archive(&one[..cut]), None, "{cut}");
        }
        for (at, byte) in
            [(0, b'1'), (6 + 6 * 8, b'f'), (6 + 11 * 8, b'f'), (6 + 11 * 8, b'-'), (6 + 6 * 8, 0xff)]
        {
            let mut damaged = one.clone();
            damaged[at] = byte;
            assert_eq!(archive(&damaged), None, "{at}");
        }
    }
}
