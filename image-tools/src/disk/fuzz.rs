//! What `tests/fuzz` asks of a disk image.
use super::{cmdline, fat, fstab, system, table, view};
use crate::volume::tree::Tree;
use bistable_boot::BySlot;
use std::fs::File;
use std::path::Path;

/// Number, first byte and bytes of each partition.
///
/// # Errors
/// Why there is no table.
pub fn partitions(disk: &File, bytes: u64) -> Result<Vec<(u32, u64, u64)>, String> {
    let (_, found) = table::read(disk, bytes)?;
    Ok(found.into_iter().map(|p| (p.number, p.start, p.bytes)).collect())
}

/// The tree of a FAT partition that is all of the disk.
///
/// # Errors
/// What is wrong with it.
pub fn fat(disk: &File, bytes: u64, epoch: u64, temp_dir: &Path) -> Result<Tree, String> {
    let partition = table::Partition { number: 1, name: String::new(), start: 0, bytes };
    let _ = fat::boots(disk, &partition);
    fat::read(Path::new("disk"), disk, &partition, epoch, temp_dir).map_err(|e| e.to_string())
}

/// The bytes that are written into the root file system of an ext4 image, by path, to make it run in either slot; `None`
/// for what is made or removed. And what a person should know.
///
/// # Errors
/// What is wrong with it.
#[expect(clippy::type_complexity, reason = "paths with bytes, and lines, for one caller")]
pub fn ext4(image: &Path, epoch: u64) -> Result<(Vec<(String, Option<Vec<u8>>)>, Vec<String>), String> {
    let view = view::Ext4View::open(image)?;
    let (mut edits, mut notes) = (system::Edits::new(), Vec::new());
    system::decide(&view, epoch, &mut edits, &mut notes)?;
    let bytes = |edit| match edit {
        system::Edit::File(system::Data::Bytes(bytes), _) => Some(bytes),
        _ => None,
    };
    Ok((edits.into_iter().map(|(path, edit)| (path, bytes(edit))).collect(), notes))
}

/// The kernel's command line for each slot.
pub fn command_lines(original: &str) -> BySlot<String> {
    cmdline::for_slots(original).text
}

/// The file system table for either slot, in a system that has a unit for `/persistent` or not, and what a person should
/// know.
pub fn fstab(original: &str, has_unit: bool) -> (String, Vec<String>) {
    let unit = if has_unit { fstab::PersistentUnit::Its } else { fstab::PersistentUnit::None };
    let fstab::Fstab { text, notes } = fstab::rewrite(original, unit);
    (text, notes)
}
