//! Which disk the system runs from.
use super::{Mounts, PiError, Sysroot, sysfs::Device};
use bistable_boot::layout::Partition;
use std::path::Path;

/// A link that the system's own rules make: rpi-image-gen's layer `image-rota` has it, too.
const BY_SLOT: &str = "/dev/disk/by-slot/active/system";

/// The disk that the system runs from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) disk: Device,
    /// The partition of `/`, as far as that can be seen.
    pub(super) root: Option<Device>,
    /// Whether the operator named the disk.
    pub(super) is_named: bool,
}

impl Running {
    /// Find it: by what is mounted on `/`; if that is on no partition, by the setting; if there is none, by the link of
    /// the running slot. With a second such disk in the machine, that link may lead to either.
    pub(super) fn find(
        sysroot: &Sysroot,
        mounts: &Mounts,
        setting: Option<&Path>,
    ) -> Result<Running, PiError> {
        let named = setting.map(|path| named(sysroot, path)).transpose()?;
        let on_disk = |root: Device| Ok(root.disk()?.map(|disk| (root, disk)));
        let seen = mounted(sysroot, mounts)?.map_or(Ok(None), on_disk)?;
        let linked = || -> Result<_, PiError> { linked(sysroot)?.map_or(Ok(None), on_disk) };
        match (seen, named) {
            (Some((_, disk)), Some(named)) if disk.dev != named.dev => {
                Err(PiError::OtherDisk { configured: named.name, running: disk.name })
            }
            (Some((root, disk)), named) => Ok(Running { disk, root: Some(root), is_named: named.is_some() }),
            (None, Some(named)) => {
                // On this disk, the link says more; on another one, it says nothing about this one.
                let root = linked()?.filter(|(_, disk)| disk.dev == named.dev).map(|(root, _)| root);
                Ok(Running { disk: named, root, is_named: true })
            }
            (None, None) => {
                let root =
                    mounts.root().map_or_else(|| "nothing".into(), |m| format!("{} ({})", m.source, m.kind));
                let Some((partition, disk)) = linked()? else { return Err(PiError::NoDisk { root }) };
                let disks = disks_with_state(sysroot)?;
                if disks.len() > 1 {
                    return Err(PiError::SeveralDisks { root, disks: disks.join(" and ") });
                }
                Ok(Running { disk, root: Some(partition), is_named: false })
            }
        }
    }
}

/// The disks that have a partition with the name of ours, by name.
fn disks_with_state(sysroot: &Sysroot) -> Result<Vec<String>, PiError> {
    let mut disks = Vec::new();
    for device in Device::all(sysroot)? {
        if device.partition_name().as_deref() == Some(Partition::State.name())
            && let Some(disk) = device.disk()?
        {
            disks.push(disk.name);
        }
    }
    disks.sort();
    disks.dedup();
    Ok(disks)
}

/// The partition that is mounted on `/`, perhaps below a verity or crypt mapping.
fn mounted(sysroot: &Sysroot, mounts: &Mounts) -> Result<Option<Device>, PiError> {
    // Major number 0 is what no block device has: overlay, tmpfs, nfs.
    let Some(root) = mounts.root().filter(|m| m.dev.major != 0) else { return Ok(None) };
    let Some(mut device) = Device::by_number(sysroot, root.dev)? else { return Ok(None) };
    // A mapping on a mapping on a partition: no deeper.
    for _ in 0..3 {
        if device.partition.is_some() {
            return Ok(Some(device));
        }
        match device.made_of().as_slice() {
            // A hash tree may lie behind the data, on the same partition.
            [first, others @ ..] if others.iter().all(|d| d.dev == first.dev) => device = first.clone(),
            _ => break,
        }
    }
    Ok(None)
}

fn linked(sysroot: &Sysroot) -> Result<Option<Device>, PiError> {
    let Ok(node) = sysroot.join(BY_SLOT).canonicalize() else { return Ok(None) };
    Ok(Device::by_name(sysroot, &node)?.filter(|d| d.partition.is_some()))
}

fn named(sysroot: &Sysroot, path: &Path) -> Result<Device, PiError> {
    let wrong = |problem| PiError::Disk { path: path.into(), problem };
    let node = sysroot.join(path).canonicalize().map_err(|_| wrong("does not exist"))?;
    let device = Device::by_name(sysroot, &node)?.ok_or_else(|| wrong("is not a disk"))?;
    match device.partition {
        Some(_) => Err(wrong("is a partition: name the disk that it is on")),
        None => Ok(device),
    }
}
