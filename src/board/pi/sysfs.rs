//! Block devices as the kernel shows them in `/sys`: which disk a partition is on, and what else is on it.
use super::{DevNo, PiError, Sysroot};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A block device's folder in `/sys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    folder: PathBuf,
    pub(super) dev: DevNo,
    /// Its name, as in `/dev`.
    pub(super) name: String,
    /// Its number in the partition table, if it is a partition.
    pub(super) partition: Option<u32>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) device: Device,
    pub(super) number: u32,
    /// Its name in the partition table, if the kernel says so.
    pub(super) name: Option<String>,
    /// Where it begins on the disk, and how long it is, in bytes.
    pub(super) start: u64,
    pub(super) bytes: u64,
}

impl Device {
    /// The device with this number; `None` if there is none, as for what isn't on a disk.
    pub(super) fn by_number(sysroot: &Sysroot, dev: DevNo) -> Result<Option<Device>, PiError> {
        Device::at(sysroot.join(format!("/sys/dev/block/{dev}")))
    }

    /// The device that is called so in `/dev`.
    pub(super) fn by_name(sysroot: &Sysroot, name: &Path) -> Result<Option<Device>, PiError> {
        match name.file_name() {
            Some(name) => Device::at(sysroot.join("/sys/class/block").join(name)),
            None => Ok(None),
        }
    }

    /// Every disk and partition that there is. What goes away meanwhile, or makes no sense, isn't among them.
    pub(super) fn all(sysroot: &Sysroot) -> Result<Vec<Device>, PiError> {
        let path = sysroot.join("/sys/class/block");
        let read = |source| PiError::Read { path: path.clone(), source };
        let mut devices = Vec::new();
        for entry in fs::read_dir(&path).map_err(read)? {
            devices.extend(Device::at(entry.map_err(read)?.path()).ok().flatten());
        }
        Ok(devices)
    }

    /// Its name in the partition table, if it is a partition and the kernel says so.
    pub(super) fn partition_name(&self) -> Option<String> {
        self.partition.and_then(|_| uevent(&self.folder, "PARTNAME"))
    }

    fn at(link: PathBuf) -> Result<Option<Device>, PiError> {
        let folder = match link.canonicalize() {
            Ok(folder) => folder,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PiError::Read { path: link, source }),
        };
        let missing = |file: &str| PiError::Content {
            path: folder.join(file),
            problem: "is missing or makes no sense".into(),
        };
        let dev = text(&folder, "dev").and_then(|t| t.parse().ok()).ok_or_else(|| missing("dev"))?;
        // It may lie in a folder of `/dev`, but never outside.
        let name = uevent(&folder, "DEVNAME").filter(|name| {
            Path::new(name).components().all(|c| matches!(c, std::path::Component::Normal(_)))
        });
        let name = name.ok_or_else(|| missing("uevent"))?;
        let partition = match text(&folder, "partition") {
            None => None,
            Some(number) => Some(number.parse().map_err(|_| missing("partition"))?),
        };
        Ok(Some(Device { folder, dev, name, partition }))
    }

    /// Whether the kernel refuses to write to it.
    pub(super) fn is_read_only(&self) -> bool {
        text(&self.folder, "ro").is_some_and(|ro| ro != "0")
    }

    /// Its node.
    pub(super) fn node(&self, sysroot: &Sysroot) -> PathBuf {
        sysroot.join("/dev").join(&self.name)
    }

    /// The disk that a partition is on: its parent.
    pub(super) fn disk(&self) -> Result<Option<Device>, PiError> {
        match (self.partition, self.folder.parent()) {
            (Some(_), Some(parent)) => Device::at(parent.into()),
            _ => Ok(None),
        }
    }

    /// What a mapped device (verity, crypt) is made of.
    pub(super) fn made_of(&self) -> Vec<Device> {
        linked(&self.folder.join("slaves"))
    }

    /// Who is on top of it: names of mapped devices.
    pub(super) fn holders(&self) -> Vec<String> {
        linked(&self.folder.join("holders")).into_iter().map(|d| d.name).collect()
    }

    /// The partitions of a disk, by number.
    pub(super) fn partitions(&self) -> Result<Vec<Part>, PiError> {
        let read = |source| PiError::Read { path: self.folder.clone(), source };
        let mut parts = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(read)? {
            let folder = entry.map_err(read)?.path();
            if folder.join("partition").exists()
                && let Some(device) = Device::at(folder)?
            {
                parts.push(Part::of(device)?);
            }
        }
        parts.sort_by_key(|p| p.number);
        Ok(parts)
    }
}

impl Part {
    fn of(device: Device) -> Result<Part, PiError> {
        let bytes = |file: &str| {
            let sectors: Option<u64> = text(&device.folder, file).and_then(|t| t.parse().ok());
            // Always in units of 512 bytes, whatever the disk's own (kernel, Documentation/ABI/stable/sysfs-block).
            sectors.and_then(|n| n.checked_mul(512)).ok_or_else(|| PiError::Content {
                path: device.folder.join(file),
                problem: "is missing or is not a number".into(),
            })
        };
        let (start, len) = (bytes("start")?, bytes("size")?);
        let name = uevent(&device.folder, "PARTNAME");
        Ok(Part { number: device.partition.unwrap_or_default(), name, start, bytes: len, device })
    }
}

fn linked(folder: &Path) -> Vec<Device> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|e| Device::at(e.ok()?.path()).ok().flatten()).collect()
}

fn text(folder: &Path, file: &str) -> Option<String> {
    Some(fs::read_to_string(folder.join(file)).ok()?.trim().to_owned())
}

fn uevent(folder: &Path, key: &str) -> Option<String> {
    let text = text(folder, "uevent")?;
    text.lines().find_map(|l| Some(l.strip_prefix(key)?.strip_prefix('=')?.to_owned()))
}
