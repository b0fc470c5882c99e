//! One 512-byte header block of a tar, as numbers and names.

use tar::Header as RawHeader;

use crate::volume::tree::Time;

/// The unit of a tar, in bytes.
pub(super) const TAR_BLOCK: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawKind {
    File,
    HardLink,
    Symlink,
    Char,
    Block,
    Folder,
    Fifo,
    GnuSparse,
    GnuLongName,
    GnuLongLink,
    Pax,
    PaxGlobal,
    VolumeLabel,
    Other(u8),
}

/// A decoded header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: RawKind,
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) size: u64,
    /// Of a hard link: the size that it names. Whether data follows, writers disagree about.
    pub(super) link_size: u64,
    pub(super) mode: u16,
    pub(super) uid: i64,
    pub(super) gid: i64,
    pub(super) mtime: Time,
    pub(super) device: (i64, i64),
    /// The block itself, for the sparse map of old GNU archives.
    pub(super) block: Box<[u8; TAR_BLOCK]>,
}

impl RawKind {
    fn new(byte: u8) -> Self {
        match byte {
            0 | b'0' | b'7' => Self::File,
            b'1' => Self::HardLink,
            b'2' => Self::Symlink,
            b'3' => Self::Char,
            b'4' => Self::Block,
            b'5' => Self::Folder,
            b'6' => Self::Fifo,
            b'S' => Self::GnuSparse,
            b'L' => Self::GnuLongName,
            b'K' => Self::GnuLongLink,
            b'x' | b'X' => Self::Pax,
            b'g' => Self::PaxGlobal,
            b'V' => Self::VolumeLabel,
            other => Self::Other(other),
        }
    }

    /// The type byte and what to do about it, for a kind that can't be taken over.
    pub(super) fn unsupported(self) -> (char, &'static str) {
        match self {
            Self::Other(b'M') => ('M', "the archive is one part of several; put them together first"),
            Self::Other(b'D') => {
                ('D', "this is an incremental backup; pack the tree again without --incremental")
            }
            Self::Other(kind) => (kind.into(), "pack the tree again with `tar --format=posix`"),
            _ => ('?', "it has no place here"),
        }
    }
}

impl Header {
    /// Decodes a block whose checksum is right; the error says what is wrong.
    pub(super) fn decode(block: &[u8; TAR_BLOCK]) -> Result<Self, String> {
        if !checksum_matches(block) {
            return Err("the header's checksum is wrong".into());
        }
        let raw = RawHeader::from_byte_slice(block);
        let old = raw.as_old();
        let device = match (raw.as_ustar(), raw.as_gnu()) {
            (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
            (_, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
            (None, None) => (&[0; 8], &[0; 8]),
        };
        let kind = RawKind::new(raw.entry_type().as_byte());
        let field =
            |name: &str, bytes: &[u8]| number(bytes).ok_or_else(|| format!("the {name} is not a number"));
        let size = field("size", &old.size)?;
        let mode = field("mode", &old.mode)?;
        let has_data = matches!(
            kind,
            RawKind::File
                | RawKind::GnuSparse
                | RawKind::GnuLongName
                | RawKind::GnuLongLink
                | RawKind::Pax
                | RawKind::PaxGlobal
                | RawKind::VolumeLabel
                | RawKind::Other(_)
        );
        Ok(Self {
            kind,
            name: raw.path_bytes().into_owned(),
            link: raw.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default(),
            // Links and folders may carry a size, but never data.
            size: if has_data { u64::try_from(size).map_err(|_| "the size is negative")? } else { 0 },
            link_size: if kind == RawKind::HardLink { u64::try_from(size).unwrap_or(0) } else { 0 },
            mode: u16::try_from(mode & 0o7777).unwrap_or(0),
            uid: field("user id", &old.uid)?,
            gid: field("group id", &old.gid)?,
            mtime: Time { secs: field("time", &old.mtime)?, nanos: 0 },
            device: (number(device.0).unwrap_or(0), number(device.1).unwrap_or(0)),
            block: Box::new(*block),
        })
    }
}

/// Whether the beginning of a file looks like a tar, also one too old to have a magic.
pub(crate) fn looks_like_header(head: &[u8]) -> bool {
    head.first_chunk::<TAR_BLOCK>().is_some_and(|block| block[0] != 0 && checksum_matches(block))
}

/// The sum of the block's bytes with the sum itself as spaces; signed by mistake in some old writers.
fn checksum_matches(block: &[u8; TAR_BLOCK]) -> bool {
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for (at, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { *byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    number(&RawHeader::from_byte_slice(block).as_old().cksum)
        .is_some_and(|sum| sum == unsigned || sum == signed)
}

/// A numeric field: octal digits between spaces and NULs, or base 256 (two's complement) if the first bit is
/// set. An empty field is 0.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        // Bit 6 of the first byte is the sign.
        let negative = first & 0x40 != 0;
        let mut value = if negative { -1_i64 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let byte = if at == 0 && !negative { byte & 0x7f } else { *byte };
            if !(i64::MIN >> 8..=i64::MAX >> 8).contains(&value) {
                return None;
            }
            value = (value << 8) | i64::from(byte);
        }
        return Some(value);
    }
    let mut value = 0_i64;
    let digits =
        field.iter().skip_while(|byte| matches!(byte, b' ' | 0)).take_while(|byte| !matches!(byte, b' ' | 0));
    for digit in digits {
        if !(b'0'..=b'7').contains(digit) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777777", Some(0o77_777_777_777)),
            (b"0000689\0", None),
            (b"-000001\0", None),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(0x2_0000_0000)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }
}
