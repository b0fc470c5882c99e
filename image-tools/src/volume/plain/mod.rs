//! Kernel and initramfs without compression: a delta finds in them what stayed the same, and boot loaders take both forms.
//!
//! Files are known by their content, so the names and `config.txt` stay as they are. A file that can't be unpacked faithfully stays
//! compressed, and a warning says why.
mod cpio;
mod decode;
mod unpack;

use std::path::Path;

use super::error::VolumeError;
use super::fat::{self, BootFile};
use super::tree::{Kind, Tree};
use crate::size::Bytes;
use unpack::{Found, unpack};

/// Files below this size, in bytes, are neither a kernel nor worth unpacking.
const SMALLEST: u32 = 64 << 10;
/// The most bytes of a file before and after it is unpacked: it is held in memory. The largest initramfs of Raspberry Pi OS has 60 MB.
const MOST: u32 = 512 << 20;

/// Unpacks kernels and initramfs of a boot volume that is still a tree, and warns of what that costs.
///
/// # Errors
/// A file that can't be read, or a temporary file that can't be written.
pub(crate) fn apply(
    source: &Path,
    tree: &mut Tree,
    temp_dir: Option<&Path>,
    warnings: &mut Vec<String>,
) -> Result<(), VolumeError> {
    let files = fat::files(source, tree)?;
    // A file with two names is unpacked once; the second time it is plain already.
    for file in files.iter().filter(|file| (SMALLEST..=MOST).contains(&file.size)) {
        let bytes = fat::read(tree, file.node)?;
        match unpack(&bytes, MOST as usize) {
            Found::Other | Found::Plain => {}
            Found::Kept(why) => warnings.push(format!("{} stays compressed: {why}", file.path)),
            Found::Unpacked { what, bytes: plain } => {
                warnings.push(format!(
                    "{}: the {what} has {} without compression instead of {}",
                    file.path,
                    Bytes(plain.len() as u64),
                    Bytes(file.size.into())
                ));
                tree.node_mut(file.node).kind = Kind::File(tree.contents.store(&plain, temp_dir)?);
            }
        }
    }
    let before = total(&files);
    let grown = total(&fat::files(source, tree)?).saturating_sub(before);
    warnings.push(match grown {
        0 => "--plain-boot changed nothing: no compressed kernel or initramfs was found".into(),
        _ => format!(
            "--plain-boot: each slot needs {} more, and the boot loader reads as much more at each boot; so far no real \
             firmware has loaded such files: try it on your boards before you ship it",
            Bytes(grown)
        ),
    });
    Ok(())
}

fn total(files: &[BootFile]) -> u64 {
    files.iter().map(|file| u64::from(file.size)).sum()
}
