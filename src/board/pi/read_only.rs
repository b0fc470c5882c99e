//! A partition opened for reading: nothing is claimed, so that reading never stops another process from working on it.
use super::{
    Sysroot,
    node::{self, Claim},
    sysfs::Part,
};
use crate::{
    board::{Access, FileVolume, Meter},
    ports::{Fault, Volume},
};
use std::sync::Arc;

/// A partition, for reading.
#[derive(Debug)]
pub(super) struct ReadOnlyVolume {
    volume: FileVolume,
    sysroot: Sysroot,
    part: Part,
}

impl ReadOnlyVolume {
    pub(super) fn open(
        sysroot: &Sysroot,
        part: &Part,
        name: &'static str,
        meter: Meter,
    ) -> Result<ReadOnlyVolume, Fault> {
        let file = Arc::new(node::open(sysroot, part, Access::ReadOnly, Claim::Shared)?);
        let volume = FileVolume::open(&file, name, 0, part.bytes, meter);
        Ok(ReadOnlyVolume { volume, sysroot: sysroot.clone(), part: part.clone() })
    }
}

impl Volume for ReadOnlyVolume {
    fn bytes(&self) -> u64 {
        self.volume.bytes()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault> {
        self.volume.read(at, into)
    }

    /// Refused: it was opened for reading.
    fn write(&self, at: u64, from: &[u8]) -> Result<(), Fault> {
        self.volume.write(at, from)
    }

    fn flush(&self) -> Result<(), Fault> {
        self.volume.flush()
    }

    fn check_use(&self) -> Result<(), Fault> {
        node::check_use(&self.sysroot, &self.part)
    }
}
