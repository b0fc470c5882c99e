//! The partition `persistent` of a simulated Pi: a folder beside the card, which begins with what the card brings along.
use super::system_root::Reader;
use crate::ports::Volume;
use ext4_view::{Ext4, Ext4Error, FileType, Path as InCard, PathBuf as PathInCard};
use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::Path,
    sync::Arc,
};

/// What a card can bring along.
const BELOW: &str = "/bistable";
/// Folders within folders.
const DEPTH: usize = 128;

/// Fill the folder, if it isn't there yet. A partition without a file system, or without anything of ours, leaves it alone.
///
/// # Errors
/// When the partition's file system is damaged, or the folder can't be written.
pub(super) fn provision(partition: Arc<dyn Volume>, folder: &Path) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let Ok(card) = Ext4::load(Box::new(Reader(partition))) else { return Ok(()) };
    if !card.exists(BELOW).map_err(damaged)? {
        return Ok(());
    }
    // Two programs may look at a new machine at once.
    let part = folder.with_extension(format!("{}.part", std::process::id()));
    match fs::remove_dir_all(&part) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => fs::create_dir_all(&part)?,
    }
    copy(&card, InCard::new(BELOW), &part.join(BELOW.trim_start_matches('/')), DEPTH)?;
    #[expect(clippy::disallowed_methods, reason = "a simulation's own folder: it can be made again")]
    match fs::rename(&part, folder) {
        Err(_) if folder.exists() => fs::remove_dir_all(&part),
        renamed => renamed,
    }
}

fn copy(card: &Ext4, from: InCard<'_>, to: &Path, depth: usize) -> io::Result<()> {
    fs::create_dir(to)?;
    let depth = depth.checked_sub(1).ok_or_else(|| io::Error::other("folders are nested too deeply"))?;
    for entry in card.read_dir(from).map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let name = entry.file_name();
        if matches!(name.as_ref(), b"." | b"..") {
            continue;
        }
        let (source, target): (PathInCard, _) = (entry.path(), to.join(OsStr::from_bytes(name.as_ref())));
        let metadata = card.symlink_metadata(&source).map_err(damaged)?;
        let mode = Permissions::from_mode(u32::from(metadata.mode()) & 0o7777);
        match entry.file_type().map_err(damaged)? {
            FileType::Directory => {
                copy(card, source.as_path(), &target, depth)?;
                fs::set_permissions(&target, mode)?;
            }
            FileType::Regular => {
                let mut file = File::create_new(&target)?;
                file.write_all(&card.read(&source).map_err(damaged)?)?;
                file.set_permissions(mode)?;
            }
            FileType::Symlink => {
                let leads_to = card.read_link(&source).map_err(damaged)?;
                symlink(OsStr::from_bytes(leads_to.as_ref()), &target)?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn damaged(e: Ext4Error) -> io::Error {
    io::Error::other(format!("the partition persistent: {e}"))
}
