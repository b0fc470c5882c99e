//! The running slot, to be read: what it has needn't be fetched.
use super::{content::Base, pipeline::Slots};
use crate::{
    Device, Error,
    ports::{Fault, Volume},
};
use bistable_boot::layout::Partition;
use std::sync::Arc;

/// A volume that nobody writes through.
struct ReadOnly(Arc<dyn Volume>);

impl Volume for ReadOnly {
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), Fault> {
        self.0.read(at, into)
    }
    fn write(&self, _: u64, _: &[u8]) -> Result<(), Fault> {
        Err(Fault::Unfit("the running slot is never written".into()))
    }
    fn flush(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// The running slot, if the device knows what it was written from. That it doesn't is no reason to fail: everything is
/// fetched then.
///
/// # Errors
/// When the machine goes down.
pub(super) fn base(device: &mut Device) -> Result<Option<Base>, Error> {
    let slot = device.board.boot.booted();
    let found = device.release_of(slot).and_then(|release| {
        let partitions = &mut device.board.partitions;
        let mut open = |partition| -> Result<Arc<dyn Volume>, Error> {
            Ok(Arc::new(ReadOnly(partitions.open(partition)?)))
        };
        let slots = Slots { boot: open(Partition::Boot(slot))?, system: open(Partition::System(slot))? };
        Ok(Base { release, slots })
    });
    match found {
        Ok(base) => Ok(Some(base)),
        Err(Error::Fault(fault)) if fault.stopping().is_some() => Err(fault.into()),
        Err(e) => {
            log::info!("reuse=none {e}");
            Ok(None)
        }
    }
}
