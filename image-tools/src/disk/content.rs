//! What a partition holds, by its first bytes.
use super::table::Partition;
use crate::size::Bytes;
use crate::volume::{InputKind, ready};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are looked at: btrfs has its mark at 64 KiB.
const HEAD: usize = (64 << 10) + 4096;

/// What lies somewhere on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Ext,
    Fat,
    Squashfs,
    Erofs,
    Btrfs,
    F2fs,
    Xfs,
    Luks,
    Swap,
    Zeros,
    Unknown,
}

impl Content {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Content::Ext => "an ext4 file system",
            Content::Fat => "a FAT file system",
            Content::Squashfs => "a squashfs file system",
            Content::Erofs => "an EROFS file system",
            Content::Btrfs => "a btrfs file system",
            Content::F2fs => "an f2fs file system",
            Content::Xfs => "an XFS file system",
            Content::Luks => "LUKS-encrypted data",
            Content::Swap => "swap space",
            Content::Zeros => "nothing: it begins with zeros",
            Content::Unknown => "nothing that is known",
        }
    }

    /// How the content of a partition or file of that many bytes is used, if it is a volume by itself.
    pub(super) const fn option(self) -> Option<&'static str> {
        match self {
            Content::Ext | Content::Squashfs | Content::Erofs => Some("--system"),
            Content::Fat => Some("--boot"),
            Content::Btrfs | Content::F2fs | Content::Xfs => {
                Some("--system DIR after mounting it, or as a tar of its files")
            }
            _ => None,
        }
    }
}

/// Look at what begins at a byte and has at most `bytes`.
pub(super) fn sniff(disk: &File, start: u64, bytes: u64) -> io::Result<Content> {
    let mut head = vec![0; HEAD.min(usize::try_from(bytes).unwrap_or(HEAD))];
    disk.read_exact_at(&mut head, start)?;
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let valid = |kind| head.first_chunk().is_some_and(|first| ready::claimed(first, kind).is_ok());
    Ok(if at(1080, b"\x53\xef") && valid(InputKind::Ext4) {
        Content::Ext
    } else if at(0, b"hsqs") {
        Content::Squashfs
    } else if at(1024, b"\xe2\xe1\xf5\xe0") {
        Content::Erofs
    } else if at(0x10040, b"_BHRfS_M") {
        Content::Btrfs
    } else if at(1024, b"\x10\x20\xf5\xf2") {
        Content::F2fs
    } else if at(0, b"XFSB") {
        Content::Xfs
    } else if at(0, b"LUKS\xba\xbe") {
        Content::Luks
    } else if at(4086, b"SWAPSPACE2") {
        Content::Swap
    } else if at(510, b"\x55\xaa") && (at(0, b"\xeb") || at(0, b"\xe9")) && valid(InputKind::Fat) {
        Content::Fat
    } else if head.iter().all(|byte| *byte == 0) {
        Content::Zeros
    } else {
        Content::Unknown
    })
}

/// A partition and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) partition: Partition,
    pub(super) content: Content,
    /// Whether it is a FAT with something that the Pi's firmware starts from.
    pub(super) boots: bool,
    /// Whether it is an ext4 without a folder /etc, such as one of settings.
    pub(super) is_rootless: bool,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Partition { number, name, start, bytes } = &self.partition;
        write!(f, "  {number}: {} at byte {start}: {}", Bytes(*bytes), self.content.name())?;
        if self.boots {
            f.write_str(" with boot files")?;
        }
        if self.is_rootless {
            f.write_str(" without a folder /etc")?;
        }
        if !name.is_empty() {
            write!(f, ", named {name:?}")?;
        }
        Ok(())
    }
}
