//! Device nodes of partitions: opened only when they are what they seem, and for writing only when no other process uses them.
use super::{
    Mounts, PiError, Sysroot,
    mounts::DevNo,
    sysfs::{Device, Part},
};
use crate::{
    board::{Access, CardFile, card_file::bytes_of},
    ports::Fault,
};
use nix::{errno::Errno, fcntl::OFlag};
use std::{
    fs::File,
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
};

/// Whether others may use a device at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is ours alone: no other process has it mounted, mapped or claimed, nor can while this is open.
    Alone,
    /// Others may have it, too.
    Shared,
}

/// Whether a partition is in use, as far as that can be seen without claiming it: in this name space it is mounted,
/// or mapped.
pub(super) fn check_use(sysroot: &Sysroot, part: &Part) -> Result<(), Fault> {
    check_mounts(sysroot, part)?;
    if part.device.holders().is_empty() { Ok(()) } else { Err(in_use(part, &user(&part.device))) }
}

fn check_mounts(sysroot: &Sysroot, part: &Part) -> Result<(), Fault> {
    let mounts = Mounts::read(sysroot).map_err(|e| Fault::Unfit(e.to_string()))?;
    match mounts.points(part.device.dev) {
        Some(points) => Err(in_use(part, &format!("mounted on {points}: unmount it first"))),
        None => Ok(()),
    }
}

/// Open a partition.
pub(super) fn open(sysroot: &Sysroot, part: &Part, access: Access, claim: Claim) -> Result<CardFile, Fault> {
    let what = || format!("opening partition {} ({})", part.number, part.device.name);
    if claim == Claim::Alone {
        check_mounts(sysroot, part)?;
    }
    // For a block device without O_CREAT, O_EXCL means: only if no other process has claimed it (open(2)).
    let flags = if claim == Claim::Alone { OFlag::O_EXCL } else { OFlag::empty() };
    let node = part.device.node(sysroot);
    let file = CardFile::open_with(&node, access, flags).map_err(|e| match Errno::try_from(e) {
        Ok(Errno::EBUSY) => in_use(part, &user(&part.device)),
        Ok(Errno::EROFS | Errno::EACCES) if part.device.is_read_only() => {
            Fault::InUse(about(part, READ_ONLY))
        }
        Ok(errno) => Fault::io(what())(errno.into()),
        Err(e) => Fault::io(what())(e),
    })?;
    check(sysroot, file.file(), part.device.dev).map_err(|problem| unfit(part, &problem))?;
    let bytes = bytes_of(file.file()).map_err(Fault::io(what()))?;
    if bytes != part.bytes {
        let problem = format!("has {bytes} bytes, and the kernel says {}: reboot", part.bytes);
        return Err(unfit(part, &problem));
    }
    Ok(file)
}

/// Open a disk, to look at its partition table.
pub(super) fn open_disk(sysroot: &Sysroot, disk: &Device) -> Result<File, PiError> {
    let path = disk.node(sysroot);
    let file = File::open(&path).map_err(|source| PiError::Read { path: path.clone(), source })?;
    check(sysroot, &file, disk.dev).map_err(|problem| PiError::Content { path, problem })?;
    Ok(file)
}

/// A name in `/dev` is only a name: the number behind it counts.
fn check(sysroot: &Sysroot, file: &File, dev: DevNo) -> Result<(), String> {
    let metadata = file.metadata().map_err(|e: io::Error| e.to_string())?;
    if !metadata.file_type().is_block_device() {
        return if sysroot.is_real() { Err("is not a block device".into()) } else { Ok(()) };
    }
    let (major, minor) = (nix::sys::stat::major(metadata.rdev()), nix::sys::stat::minor(metadata.rdev()));
    if (u64::from(dev.major), u64::from(dev.minor)) == (major, minor) {
        Ok(())
    } else {
        Err(format!("is device {major}:{minor}, and the kernel says {dev}"))
    }
}

fn user(device: &Device) -> String {
    match device.holders().as_slice() {
        [] => "in use by the kernel or another program: see `lsblk`".into(),
        holders => format!("used by {}", holders.join(" and ")),
    }
}

pub(super) fn in_use(part: &Part, by: &str) -> Fault {
    Fault::InUse(about(part, &format!("is {by}; what is in use is never written")))
}

/// It may pass: with a switch on an adapter, or with another card.
pub(super) const READ_ONLY: &str = "is read-only: the card is write-protected, or failed and protects itself";

fn unfit(part: &Part, problem: &str) -> Fault {
    Fault::Unfit(about(part, problem))
}

fn about(part: &Part, problem: &str) -> String {
    let name = part.name.as_deref().unwrap_or("");
    let space = if name.is_empty() { "" } else { " " };
    format!("partition {name}{space}({}) {problem}", part.device.name)
}
