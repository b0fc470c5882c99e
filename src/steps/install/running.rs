//! The running slot, to be read: what it has needn't be fetched.
use super::{content::Base, delta::Known, slots::Slots};
use crate::{
    Device, Error,
    ports::{Fault, Volume},
};
use bistable_boot::{Slot, layout::Partition};
use bistable_format::Digest;
use std::sync::Arc;

/// A volume that is only read through this.
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

/// The running slot, if the device knows what it was written from, and it isn't the one that is written. That it doesn't know is
/// no reason to fail: everything is fetched then.
///
/// # Errors
/// When the machine goes down.
pub(super) fn base(device: &mut Device, written: Slot) -> Result<Option<Base>, Error> {
    let slot = device.board.boot.booted();
    if slot == written {
        return Ok(None);
    }
    let Some(Known { identity, release }) = known(device)? else { return Ok(None) };
    let partitions = &mut device.board.partitions;
    let mut open =
        |partition| -> Result<Arc<dyn Volume>, Fault> { Ok(Arc::new(ReadOnly(partitions.open(partition)?))) };
    let slots = open(Partition::Boot(slot)).and_then(|boot| {
        let system = open(Partition::System(slot))?;
        Ok(Slots { boot, system })
    });
    Ok(unless_stopping(slots.map_err(Error::Fault))?.map(|slots| Base { release, identity, slots }))
}

/// The release that runs, if the device knows it.
///
/// # Errors
/// When the machine goes down.
pub fn known(device: &mut Device) -> Result<Option<Known>, Error> {
    let slot = device.board.boot.booted();
    let found = device.release_of(slot);
    let identity = device.running().map(|image| Digest(image.release.0));
    let release = unless_stopping(found)?;
    Ok(identity.zip(release).map(|(identity, release)| Known { identity, release }))
}

fn unless_stopping<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::Fault(fault)) if fault.stopping().is_some() => Err(fault.into()),
        Err(e) => {
            log::info!(reason:% = e; "nothing_reused");
            Ok(None)
        }
    }
}
