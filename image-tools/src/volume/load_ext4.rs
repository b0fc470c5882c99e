//! Opening a foreign ext4 file system for reading.
use ext4_view::{Ext4, Ext4Error, Ext4Read, FileType, Path};
use std::error::Error;
use std::io;

/// Where the superblock lies, and its fields (Documentation/filesystems/ext4).
const SUPERBLOCK: u64 = 1024;
const BLOCKS_LOW: usize = 0x04;
/// How large blocks are: 1024 bytes, that many times doubled.
const LOG_BLOCK_SIZE: usize = 0x18;
const BLOCKS_PER_GROUP: usize = 0x20;
const REVISION: usize = 0x4c;
const INODE_BYTES: usize = 0x58;
const INCOMPATIBLE: usize = 0x60;
/// `INCOMPAT_FILETYPE`: folders say what their entries are.
const FILE_TYPE: u32 = 2;
/// The second byte of the features that don't matter to who only reads, and `RO_COMPAT_METADATA_CSUM` in it.
const CHECKSUMS_AT: usize = 0x65;
const CHECKSUMS: u8 = 4;
/// Inodes of this size and more have room for both halves of their checksum.
const INODE_BYTES_CHECKED: u32 = 256;
const BLOCKS_HIGH: usize = 0x150;
/// The most that ext4 knows: blocks of 64 KiB.
const LOG_BLOCK_SIZE_MAX: u32 = 6;
/// What Linux follows in one path (path_resolution(7)), and the longest path (PATH_MAX).
const LINKS_MAX: u32 = 40;
const LINK_BYTES_MAX: u64 = 4096;
/// The least that mke2fs makes.
const BLOCKS_PER_GROUP_MIN: u32 = 256;

/// Open the file system in a volume of that many bytes. The reader takes memory for several blocks and for each block group
/// before it looks at anything else, so what the superblock claims is compared with what there is first.
///
/// # Errors
/// When it can't be read, is not ext4, or claims more than there is.
pub(crate) fn load_ext4(mut from: Box<dyn Ext4Read>, bytes: u64) -> Result<Ext4, Ext4Error> {
    let mut superblock = [0; 1024];
    from.read(SUPERBLOCK, &mut superblock).map_err(Ext4Error::Io)?;
    if let Err(why) = check(&superblock, bytes) {
        return Err(Ext4Error::Io(Box::new(io::Error::new(io::ErrorKind::InvalidData, why))));
    }
    match field(&superblock, INODE_BYTES) & 0xffff {
        small if small < INODE_BYTES_CHECKED => Ext4::load(Box::new(WithoutChecksums(from))),
        _ => Ext4::load(from),
    }
}

/// A volume whose superblock says that there are no checksums of metadata. In inodes of 128 bytes, as e2fsprogs made them for small file systems
/// before 1.46.4, there is room for half of a checksum, and the reader wants both: it would call them damaged.
struct WithoutChecksums(Box<dyn Ext4Read>);

impl Ext4Read for WithoutChecksums {
    fn read(&mut self, start: u64, to: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.read(start, to)?;
        let features = (SUPERBLOCK + CHECKSUMS_AT as u64).checked_sub(start);
        if let Some(byte) = features.and_then(|at| to.get_mut(usize::try_from(at).ok()?)) {
            *byte &= !CHECKSUMS;
        }
        Ok(())
    }
}

fn field(superblock: &[u8; 1024], at: usize) -> u32 {
    superblock.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

/// Whether the folders of a file system say what their entries are. Without it, it is one that `genext2fs` made.
pub(crate) fn has_file_types(superblock: &[u8; 1024]) -> bool {
    // The first revision has no features, whatever stands there.
    field(superblock, REVISION) != 0 && field(superblock, INCOMPATIBLE) & FILE_TYPE != 0
}

fn check(superblock: &[u8; 1024], bytes: u64) -> Result<(), String> {
    let field = |at: usize| field(superblock, at);
    let log = field(LOG_BLOCK_SIZE);
    if log > LOG_BLOCK_SIZE_MAX {
        return Err("its superblock claims blocks of more than 64 KiB".into());
    }
    let block_bytes = 1024_u64 << log;
    // The reader, as Linux, takes both halves, whether the file system calls itself one of 64 bits or not.
    let blocks = u64::from(field(BLOCKS_HIGH)) << 32 | u64::from(field(BLOCKS_LOW));
    if blocks > bytes / block_bytes {
        return Err(format!(
            "its superblock claims {blocks} blocks of {block_bytes} bytes, but the volume has {bytes} bytes"
        ));
    }
    if !has_file_types(superblock) {
        return Err("it lacks the feature `filetype` (genext2fs makes such), which can't be read here: make it with mke2fs (in genimage \
                    `use-mke2fs = true`), or `tune2fs -O filetype` and `e2fsck -fy` add it"
            .into());
    }
    let in_group = field(BLOCKS_PER_GROUP);
    if (1..BLOCKS_PER_GROUP_MIN).contains(&in_group) {
        return Err(format!(
            "its superblock claims groups of {in_group} blocks; {BLOCKS_PER_GROUP_MIN} is the least"
        ));
    }
    Ok(())
}

/// Whether the last component of a path is followed if it is a symlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Followed,
    Kept,
}

/// The path without symlinks. The reader takes as much memory for a symlink as its inode claims it is long, so each is looked
/// at before it is read; with a path that has none the reader reads none. What isn't there is kept as it is.
///
/// # Errors
/// When it can't be read, a symlink is longer than a path can be, or there are too many.
pub(crate) fn real_path(fs: &Ext4, path: &str, last: Last) -> Result<String, Ext4Error> {
    let bad = |why: &str| Ext4Error::Io(Box::new(io::Error::new(io::ErrorKind::InvalidData, why)));
    let mut real = String::new();
    let mut rest: Vec<String> = path.split('/').rev().map(ToOwned::to_owned).collect();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                real.truncate(real.rfind('/').unwrap_or(0));
                continue;
            }
            _ => {}
        }
        let parent = real.len();
        real.push('/');
        real.push_str(&part);
        let inner = Path::try_from(real.as_str()).map_err(|_| bad("a path is not possible"))?;
        let meta = match fs.symlink_metadata(inner) {
            Ok(meta) => meta,
            Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => continue,
            Err(e) => return Err(e),
        };
        let is_last = rest.iter().all(String::is_empty);
        if meta.file_type() != FileType::Symlink || is_last && last == Last::Kept {
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(bad("a path leads through too many symlinks"));
        }
        let target = read_link(fs, &real)?;
        let target =
            String::from_utf8(target).map_err(|_| bad("a symlink leads to a name that is not UTF-8"))?;
        real.truncate(if target.starts_with('/') { 0 } else { parent });
        rest.extend(target.split('/').rev().map(ToOwned::to_owned));
    }
    if real.is_empty() {
        real.push('/');
    }
    Ok(real)
}

/// Where a symlink leads; the path to it has no symlinks.
///
/// # Errors
/// When it can't be read or is longer than a path can be.
pub(crate) fn read_link(fs: &Ext4, path: &str) -> Result<Vec<u8>, Ext4Error> {
    if fs.symlink_metadata(path)?.len() > LINK_BYTES_MAX {
        let text = "a symlink is longer than a path can be";
        return Err(Ext4Error::Io(Box::new(io::Error::new(io::ErrorKind::InvalidData, text))));
    }
    Ok(fs.read_link(path)?.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{SystemOptions, VolumeId, open_system};

    /// A superblock in an image of 1 MiB, with `number` where the superblock has a field.
    fn superblock(fields: &[(usize, u32)]) -> Vec<u8> {
        let mut image = vec![0; 1 << 20];
        // 1024 blocks of 1 KiB in one group, inodes of 256 bytes, and the feature `filetype`.
        for (at, number) in
            [(0x04, 1024), (0x18, 0), (0x20, 8192), (0x4c, 1), (0x58, 256), (0x60, 2)].iter().chain(fields)
        {
            image[1024 + at..1028 + at].copy_from_slice(&number.to_le_bytes());
        }
        image
    }

    #[test]
    fn a_superblock_that_claims_more_than_there_is_is_refused_before_memory_is_taken() {
        let cases: [(&[(usize, u32)], &str); 9] = [
            (&[(0x18, 7)], "blocks of more than 64 KiB"),
            (&[(0x18, 30)], "blocks of more than 64 KiB"),
            (&[(0x18, u32::MAX)], "blocks of more than 64 KiB"),
            (&[(0x04, 1025)], "claims 1025 blocks of 1024 bytes, but the volume has 1048576 bytes"),
            (&[(0x04, u32::MAX)], "claims 4294967295 blocks"),
            (&[(0x150, u32::MAX)], "claims 18446744069414585344 blocks"),
            (&[(0x20, 1)], "claims groups of 1 blocks"),
            // ext2's first revision, and genext2fs.
            (&[(0x4c, 0)], "lacks the feature `filetype`"),
            (&[(0x60, 0)], "lacks the feature `filetype`"),
        ];
        for (fields, text) in cases {
            let image = superblock(fields);
            let e = load_ext4(Box::new(image), 1 << 20).unwrap_err();
            assert!(e.to_string().contains(text), "{e}");
        }
        let e = load_ext4(Box::new(superblock(&[])), 1 << 20).unwrap_err();
        assert!(!e.to_string().contains("claims"), "{e}");
        assert!(load_ext4(Box::new(vec![0; 100]), 100).is_err());
    }

    /// An image of a tree with symlinks, without checksums.
    fn with_links() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("usr/lib/deep")).unwrap();
        std::fs::create_dir(at("usr/lib/file")).unwrap();
        for (name, target) in [
            ("lib", "usr/lib"),
            ("abs", "/lib/deep"),
            ("usr/lib/deep/up", "../../lib/./file"),
            ("loop", "loop"),
        ] {
            std::os::unix::fs::symlink(target, at(name)).unwrap();
        }
        let options = SystemOptions::new(VolumeId::from_name("links/system"), 1_700_000_000);
        let mut image = tempfile::NamedTempFile::new().unwrap();
        open_system(folder.path(), &options).unwrap().write_to(image.as_file_mut(), &|_| {}).unwrap();
        let mut bytes = std::fs::read(image.path()).unwrap();
        // The read-only compatible features, without METADATA_CSUM.
        bytes[1024 + 101] &= !4;
        bytes
    }

    #[test]
    fn symlinks_are_followed_as_linux_does() {
        let bytes = with_links();
        let len = bytes.len() as u64;
        let fs = load_ext4(Box::new(bytes), len).unwrap();
        for (path, last, real) in [
            ("/", Last::Followed, "/"),
            ("/usr//lib/.", Last::Followed, "/usr/lib"),
            ("/lib/file", Last::Followed, "/usr/lib/file"),
            ("/lib", Last::Kept, "/lib"),
            ("/lib", Last::Followed, "/usr/lib"),
            ("/abs/up", Last::Kept, "/usr/lib/deep/up"),
            ("/abs/up", Last::Followed, "/usr/lib/file"),
            ("/../lib/nothing/here", Last::Followed, "/usr/lib/nothing/here"),
            ("/usr/lib/file/below", Last::Followed, "/usr/lib/file/below"),
        ] {
            assert_eq!(real_path(&fs, path, last).unwrap(), real, "{path}");
        }
        let e = real_path(&fs, "/loop/x", Last::Kept).unwrap_err();
        assert!(e.to_string().contains("too many symlinks"), "{e}");
        assert_eq!(read_link(&fs, "/lib").unwrap(), b"usr/lib");
    }

    #[test]
    fn a_symlink_that_claims_to_be_longer_than_a_path_is_refused_before_memory_is_taken() {
        let mut bytes = with_links();
        // A short target lies in its inode, at 40; the size is at 4.
        let target = bytes.windows(8).position(|w| w == b"usr/lib\0").unwrap();
        bytes[target - 36..target - 32].copy_from_slice(&0x4848_4848_u32.to_le_bytes());
        let len = bytes.len() as u64;
        let fs = load_ext4(Box::new(bytes), len).unwrap();
        for e in [real_path(&fs, "/lib/file", Last::Kept).map(drop), read_link(&fs, "/lib").map(drop)] {
            let e = e.unwrap_err().to_string();
            assert!(e.contains("longer than a path"), "{e}");
        }
    }
}
