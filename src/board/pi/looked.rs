//! A partition that is only looked at: nothing is claimed, so that nobody who works on it is in the way.
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
pub(super) struct Looked {
    volume: FileVolume,
    sysroot: Sysroot,
    part: Part,
}

impl Looked {
    pub(super) fn open(
        sysroot: &Sysroot,
        part: &Part,
        name: &'static str,
        meter: Meter,
    ) -> Result<Looked, Fault> {
        let file = Arc::new(node::open(sysroot, part, Access::Look, Claim::Shared)?);
        let volume = FileVolume::open(&file, name, 0, part.bytes, meter);
        Ok(Looked { volume, sysroot: sysroot.clone(), part: part.clone() })
    }
}

impl Volume for Looked {
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
