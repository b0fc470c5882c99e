//! What `flash` answers.
use super::path_text;
use crate::flash::{self, CardFile, Kinds};
use serde::Serialize;
use std::path::Path;

/// Disks of this computer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Disks {
    /// Those that can be taken out, or all with `--any-disk`.
    pub disks: Vec<DiskInfo>,
}

/// A disk.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DiskInfo {
    /// Its path.
    pub device: String,
    /// Bytes in all; 0 for a reader without a card.
    pub bytes: u64,
    /// Manufacturer and model; may be empty.
    pub model: String,
    /// Its serial number, or that of the reader.
    pub serial: Option<String>,
    /// What it is attached to: `USB`, `SD`, `eMMC`, `NVMe`, `SATA`, `virtual` or `other`.
    pub bus: String,
    /// What uses it or its partitions.
    pub uses: Vec<String>,
    /// Why it can't be written; null if it can.
    pub unfit: Option<String>,
}

impl DiskInfo {
    pub(crate) fn new(disk: &flash::Disk, image_bytes: u64, kinds: Kinds) -> DiskInfo {
        DiskInfo {
            device: disk.path(),
            bytes: disk.identity.bytes,
            model: disk.identity.model.clone(),
            serial: disk.identity.serial.clone(),
            bus: disk.bus.name().into(),
            uses: disk.uses.iter().map(ToString::to_string).collect(),
            unfit: disk.unfit(image_bytes, kinds).map(|why| why.to_string()),
        }
    }
}

/// A card that holds an image now.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Flashed {
    /// The disk.
    pub device: String,
    /// Its model; may be empty.
    pub model: String,
    /// The image.
    pub image: String,
    /// Bytes of the image.
    pub image_bytes: u64,
    /// The block map that says which of them matter; null if all were taken.
    pub map: Option<String>,
    /// Bytes that were read back and are those of the image.
    pub verified_bytes: u64,
    /// Bytes that were written: not those that the card had as zeros already.
    pub written_bytes: u64,
    /// Seconds in all.
    pub seconds: f64,
}

impl Flashed {
    pub(crate) fn new(image: &Path, card: &CardFile, disk: &flash::Disk, done: &flash::Flashed) -> Flashed {
        Flashed {
            device: disk.path(),
            model: disk.identity.model.clone(),
            image: path_text(image),
            image_bytes: card.bytes(),
            map: card.map().map(path_text),
            verified_bytes: done.mapped,
            written_bytes: done.written,
            seconds: done.took.as_secs_f64(),
        }
    }
}
