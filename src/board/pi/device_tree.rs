//! What the firmware tells Linux: properties of the device tree, as files.
//!
//! Numbers are big-endian (Devicetree specification, 2.2.4). `/chosen/bootloader` is Raspberry Pi's (documentation,
//! "Device Trees", firmware parameters).
use super::{PiError, Sysroot, names};

const TREE: &str = "/proc/device-tree";

/// The device tree of the running system.
#[derive(Clone, Debug)]
pub(super) struct DeviceTree(Sysroot);

impl DeviceTree {
    /// # Errors
    /// When this machine has none.
    pub(super) fn of(sysroot: &Sysroot) -> Result<DeviceTree, PiError> {
        let path = sysroot.join(TREE).join("compatible");
        if path.exists() { Ok(DeviceTree(sysroot.clone())) } else { Err(PiError::NotAPi(path)) }
    }

    /// What this machine is compatible with, the most specific first.
    pub(super) fn compatible(&self) -> Result<Vec<String>, PiError> {
        let bytes = self.0.bytes(format!("{TREE}/compatible"))?.unwrap_or_default();
        let names = bytes.split(|b| *b == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    /// How releases name this board.
    pub(super) fn board(&self) -> Result<&'static str, PiError> {
        let compatible = self.compatible()?;
        names::board(&compatible)
            .ok_or_else(|| PiError::UnknownBoard(crate::text::shorten(&compatible.join(", "), 100)))
    }

    /// A number that the boot loader left; `None` if it didn't.
    pub(super) fn bootloader(&self, property: &str) -> Result<Option<u32>, PiError> {
        let path = bootloader(property);
        let Some(bytes) = self.0.bytes(&path)? else { return Ok(None) };
        match <[u8; 4]>::try_from(bytes.as_slice()) {
            Ok(bytes) => Ok(Some(u32::from_be_bytes(bytes))),
            Err(_) => {
                let problem = format!("has {} bytes, and is not a 32-bit number", bytes.len());
                Err(PiError::Content { path: self.0.join(path), problem })
            }
        }
    }

    /// The partition that was booted.
    pub(super) fn partition(&self) -> Result<u32, PiError> {
        let missing = || PiError::NoBootedPartition(self.0.join(bootloader("partition")));
        self.bootloader("partition")?.ok_or_else(missing)
    }
}

fn bootloader(property: &str) -> String {
    format!("{TREE}/chosen/bootloader/{property}")
}
