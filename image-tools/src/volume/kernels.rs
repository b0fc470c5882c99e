//! Large files at the places where a kernel and an initramfs lie, so that one that is in both volumes can be named: each update
//! sends it twice.
use std::io::Read;
use std::path::Path;

use bistable_format::{Digest, Hasher};
use ext4_view::{Ext4, Ext4Error, FileType};
use std::fs::File;

use super::error::VolumeError;
use super::fat;
use super::load_ext4::load_ext4;
use super::tree::{Kind, NodeId, Tree};

/// Files below this size, in bytes, cost an update nothing worth a note.
const SMALLEST: u64 = 1 << 20;
/// The most that is read of one file.
const MOST: u64 = 512 << 20;
/// Read buffer in bytes.
const BUFFER: usize = 256 << 10;

/// A large file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LargeFile {
    /// Path on the volume, without a leading `/`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) digest: Digest,
}

/// Those of a boot volume, all of them.
pub(super) fn of_boot(source: &Path, tree: &Tree) -> Result<Vec<LargeFile>, VolumeError> {
    let files = fat::files(source, tree)?;
    let large = files.into_iter().filter(|file| is_large(file.size.into()));
    large.map(|file| Ok(LargeFile { digest: hash(tree, file.node)?, path: file.path })).collect()
}

/// Those of a system volume that is still a tree: in `/boot` and beside the kernel's modules.
pub(super) fn of_tree(tree: &Tree) -> Result<Vec<LargeFile>, VolumeError> {
    let mut found = Vec::new();
    tree.walk(|path, _, _, node| {
        let Some(path) = std::str::from_utf8(path).ok().filter(|path| is_place(path)) else { return Ok(()) };
        if matches!(&tree.node(node).kind, Kind::File(data) if is_large(data.size)) {
            found.push(LargeFile { path: path.into(), digest: hash(tree, node)? });
        }
        Ok::<_, VolumeError>(())
    })?;
    Ok(found)
}

/// The same of an ext4 image. What can't be read is left out: a note is all that depends on it.
pub(super) fn of_ext4(image: &File) -> Vec<LargeFile> {
    read_ext4(image).unwrap_or_default()
}

fn read_ext4(image: &File) -> Result<Vec<LargeFile>, Ext4Error> {
    let failed = |e| Ext4Error::Io(Box::new(e));
    let bytes = image.metadata().map_err(failed)?.len();
    let fs = load_ext4(Box::new(image.try_clone().map_err(failed)?), bytes)?;
    let mut folders = vec!["/boot".to_owned()];
    for entry in folder(&fs, "/usr/lib/modules")?.into_iter().flatten() {
        folders.push(format!("/usr/lib/modules/{entry}"));
    }
    let mut found = Vec::new();
    for at in folders {
        for name in folder(&fs, &at)?.into_iter().flatten() {
            let path = format!("{at}/{name}");
            let meta = fs.symlink_metadata(path.as_str())?;
            if meta.file_type() == FileType::Regular && is_large(meta.len()) {
                let digest = hash_reader(fs.open(path.as_str())?).map_err(failed)?;
                found.push(LargeFile { path: path.trim_start_matches('/').into(), digest });
            }
        }
    }
    Ok(found)
}

/// The names in a folder; `None` if there is no such folder.
fn folder(fs: &Ext4, path: &str) -> Result<Option<Vec<String>>, Ext4Error> {
    // A symlink in its place is not followed: the reader allocates what the link claims to be long.
    match fs.symlink_metadata(path) {
        Ok(meta) if meta.file_type() == FileType::Directory => {}
        Ok(_) | Err(Ext4Error::NotFound | Ext4Error::NotADirectory) => return Ok(None),
        Err(e) => return Err(e),
    }
    let mut names = Vec::new();
    for entry in fs.read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        names.extend(name.as_str().ok().filter(|name| !matches!(*name, "." | "..")).map(str::to_owned));
    }
    Ok(Some(names))
}

/// Whether a kernel or an initramfs lies there: `boot/NAME`, `usr/lib/modules/VERSION/NAME`.
fn is_place(path: &str) -> bool {
    match path.rsplit_once('/') {
        Some(("boot", _)) => true,
        Some((folder, _)) => folder.strip_prefix("usr/lib/modules/").is_some_and(|v| !v.contains('/')),
        None => false,
    }
}

fn is_large(bytes: u64) -> bool {
    (SMALLEST..=MOST).contains(&bytes)
}

fn hash(tree: &Tree, node: NodeId) -> Result<Digest, VolumeError> {
    let mut hasher = Hasher::new();
    fat::contents(tree, node, |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    Ok(hasher.finish())
}

fn hash_reader(mut from: impl Read) -> std::io::Result<Digest> {
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; BUFFER]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_lie_in_boot_and_beside_their_modules() {
        for path in ["boot/vmlinuz-6.1", "boot/initrd.img", "usr/lib/modules/6.1/vmlinuz"] {
            assert!(is_place(path), "{path}");
        }
        for path in [
            "boot",
            "vmlinuz",
            "boot/firmware/kernel8.img",
            "usr/lib/modules/x",
            "usr/lib/modules/6.1/kernel/x.ko",
        ] {
            assert!(!is_place(path), "{path}");
        }
    }
}
