//! What an input is, by its content: names lie.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::VolumeError;
use super::tar::Compression;

/// What `--system` takes, for messages.
pub(crate) const SYSTEM_INPUTS: &str =
    "a directory, a tar (plain, gzip, xz or zstd) or an ext4, squashfs or EROFS image";
/// What `--tree` takes, for messages.
pub(crate) const TREE_INPUTS: &str = "a directory or a tar (plain, gzip, xz or zstd)";
/// What `--boot` takes, for messages.
pub(crate) const BOOT_INPUTS: &str = "a directory or a FAT image";

/// What the input of a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// A directory.
    Directory,
    /// A tar archive.
    Tar(Compression),
    /// An ext2, ext3 or ext4 image.
    Ext4,
    /// A squashfs image.
    Squashfs,
    /// An EROFS image.
    Erofs,
    /// A FAT image.
    Fat,
}

impl fmt::Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Tar(Compression::None) => "a tar archive",
            Self::Tar(Compression::Gzip) => "a gzip-compressed file",
            Self::Tar(Compression::Xz) => "an xz-compressed file",
            Self::Tar(Compression::Zstd) => "a zstd-compressed file",
            Self::Ext4 => "an ext4 image",
            Self::Squashfs => "a squashfs image",
            Self::Erofs => "an EROFS image",
            Self::Fat => "a FAT image",
        })
    }
}

/// How much of a file is looked at, in bytes.
const HEAD: u64 = 4096;

/// Looks at the first bytes of `path`.
pub(crate) fn detect(path: &Path) -> Result<InputKind, VolumeError> {
    let meta = std::fs::metadata(path).map_err(VolumeError::io("read", path))?;
    if meta.is_dir() {
        return Ok(InputKind::Directory);
    }
    if !meta.is_file() {
        return Err(wrong(path, "neither a directory nor a regular file"));
    }
    let mut head = Vec::new();
    File::open(path)
        .map_err(VolumeError::io("open", path))?
        .take(HEAD)
        .read_to_end(&mut head)
        .map_err(VolumeError::io("read", path))?;
    if head.is_empty() {
        return Err(wrong(path, "an empty file"));
    }
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    // The boot sector comes last: its mark of two bytes is the weakest of them all.
    let kind = if let Some(compression) = Compression::of(&head) {
        InputKind::Tar(compression)
    } else if at(0, b"hsqs") {
        InputKind::Squashfs
    } else if at(1024, b"\xe2\xe1\xf5\xe0") {
        InputKind::Erofs
    } else if at(1024 + 56, b"\x53\xef") {
        InputKind::Ext4
    } else if at(257, b"ustar") || super::tar::looks_like_header(&head) {
        InputKind::Tar(Compression::None)
    } else if at(510, b"\x55\xaa") && (at(0, b"\xeb") || at(0, b"\xe9")) {
        InputKind::Fat
    } else {
        let found = if at(0, b"BZh") {
            "compressed by bzip2, which is not supported"
        } else if at(0, b"PK\x03\x04") {
            "a zip archive"
        } else if at(0, b"\x3a\xff\x26\xed") {
            "an Android sparse image (unpack it with simg2img)"
        } else if at(510, b"\x55\xaa") {
            "a whole disk image with a partition table, not a volume"
        } else if head.iter().all(|byte| *byte == 0) && head.len() >= 1024 {
            "empty: it begins with zeros"
        } else {
            "of no known format"
        };
        return Err(wrong(path, found));
    };
    Ok(kind)
}

fn wrong(path: &Path, found: &str) -> VolumeError {
    VolumeError::WrongInput {
        path: path.into(),
        found: found.into(),
        wanted: "a directory, a tar (plain, gzip, xz or zstd) or an image (ext4, squashfs, EROFS; FAT for the boot volume)",
    }
}
