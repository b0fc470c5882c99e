//! The `bootconfig` partition: read at any time, opened for writing at the last moment, and only if no other process writes to it
//! through a file system.
use super::{
    Mounts, Sysroot,
    mounts::Mode,
    node::{self, Claim},
    sysfs::Part,
};
use crate::{
    board::{Access, FileVolume, Meter},
    ports::{Fault, Volume},
};
use bistable_boot::layout::Partition;
use std::sync::{Arc, Mutex, PoisonError};

/// The partition with the boot flag.
#[derive(Debug)]
pub(super) struct Bootconfig {
    look: FileVolume,
    access: Access,
    writer: Mutex<Option<Arc<FileVolume>>>,
    sysroot: Sysroot,
    part: Part,
    meter: Meter,
}

impl Bootconfig {
    pub(super) fn open(
        sysroot: &Sysroot,
        part: &Part,
        access: Access,
        meter: Meter,
    ) -> Result<Bootconfig, Fault> {
        let look = volume(sysroot, part, Access::ReadOnly, meter.clone())?;
        let (writer, sysroot, part) = (Mutex::default(), sysroot.clone(), part.clone());
        Ok(Bootconfig { look, access, writer, sysroot, part, meter })
    }

    fn writer(&self) -> Option<Arc<FileVolume>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn volume(sysroot: &Sysroot, part: &Part, access: Access, meter: Meter) -> Result<FileVolume, Fault> {
    let file = node::open(sysroot, part, access, Claim::Shared)?;
    Ok(FileVolume::open(&Arc::new(file), Partition::Bootconfig.name(), 0, part.bytes, meter))
}

impl Volume for Bootconfig {
    fn bytes(&self) -> u64 {
        self.look.bytes()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault> {
        match self.writer() {
            // It knows what it wrote and hasn't flushed yet.
            Some(writer) => writer.read(at, into),
            None => self.look.read(at, into),
        }
    }

    fn write(&self, at: u64, from: &[u8]) -> Result<(), Fault> {
        if self.access == Access::ReadOnly {
            return self.look.write(at, from);
        }
        // Each time: it may have been mounted since.
        self.check_use()?;
        let writer = match self.writer() {
            Some(writer) => writer,
            None => {
                let new = Arc::new(volume(&self.sysroot, &self.part, self.access, self.meter.clone())?);
                *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&new));
                new
            }
        };
        writer.write(at, from)
    }

    fn flush(&self) -> Result<(), Fault> {
        match self.writer() {
            Some(writer) => writer.flush(),
            // What another process wrote shall be durable, too.
            None => self.look.flush(),
        }
    }

    /// It may be mounted read-only: then nothing but us changes it.
    fn check_use(&self) -> Result<(), Fault> {
        let dev = self.part.device.dev;
        let mounts = Mounts::read(&self.sysroot).map_err(|e| Fault::Unfit(e.to_string()))?;
        if let Some(mount) = mounts.of(dev).find(|m| m.mode == Mode::ReadWrite) {
            let by = format!(
                "mounted read-write on {}: a file system would write over the boot flag; `mount -o remount,ro {0}`",
                mount.point
            );
            return Err(node::in_use(&self.part, &by));
        }
        // A reader claims nothing, not even for a moment: the claim of another process, which commits, would fail.
        if self.access == Access::Exclusive && mounts.of(dev).next().is_none() {
            // It isn't mounted here. It may be elsewhere, in another name space, where it can't be seen how.
            node::open(&self.sysroot, &self.part, Access::ReadOnly, Claim::Alone)?;
        }
        Ok(())
    }
}
