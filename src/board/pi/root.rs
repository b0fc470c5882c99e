//! Which disk the system runs from.
use super::{Mounts, PiError, Sysroot, sysfs::Device};
use std::path::Path;

/// A link that the system's own rules make: rpi-image-gen's layer `image-rota` has it, too.
const BY_SLOT: &str = "/dev/disk/by-slot/active/system";

/// The disk that the system runs from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) disk: Device,
    /// The partition of `/`, as far as that can be seen.
    pub(super) root: Option<Device>,
}

impl Running {
    /// Find it: by what is mounted on `/`; if that is on no partition, by the link of the running slot; if there is
    /// none, by the setting.
    pub(super) fn find(
        sysroot: &Sysroot,
        mounts: &Mounts,
        setting: Option<&Path>,
    ) -> Result<Running, PiError> {
        let named = setting.map(|path| named(sysroot, path)).transpose()?;
        let root = match mounted(sysroot, mounts)? {
            Some(partition) => Some(partition),
            None => linked(sysroot)?,
        };
        let disk = root.as_ref().map(Device::disk).transpose()?.flatten();
        match (disk, named) {
            (Some(disk), Some(named)) if disk.dev != named.dev => {
                Err(PiError::OtherDisk { configured: named.name, running: disk.name })
            }
            (Some(disk), _) => Ok(Running { disk, root }),
            (None, Some(disk)) => Ok(Running { disk, root: None }),
            (None, None) => {
                let root =
                    mounts.root().map_or_else(|| "nothing".into(), |m| format!("{} ({})", m.source, m.kind));
                Err(PiError::NoDisk { root })
            }
        }
    }
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
    let device = Device::by_name(sysroot, &node)?.ok_or_else(|| wrong("is no disk"))?;
    match device.partition {
        Some(_) => Err(wrong("is a partition: name the disk that it is on")),
        None => Ok(device),
    }
}
