//! Revert: the old slot is default and running, and the failed one doesn't look bootable.
use crate::{
    Device, Error,
    ports::{BootControl, Fault},
    steps::install,
};
use bistable_boot::{Entry, Target, layout::Partition};
use bistable_format::compat::{self, Direction};

/// Make the old slot the default again. Normally no write: the flag was only ever set once. May be done again. The
/// state is `Reverting` and saved.
///
/// A flag that isn't ours is written again. What may have left it? A commit whose write was cut short or read back
/// differently, or this very function, cut short: our own writes. Or a person who edited the file in the middle of an
/// update, against what it says: it was ours when the update was accepted. Left alone, it might never let the old slot
/// come back, and no update would be accepted until a person comes.
///
/// # Errors
/// When the flag can't be written; [`Fault::InUse`] when it could be, but another process uses it now.
pub fn restore_flag(boot: &mut dyn BootControl, target: &Target) -> Result<(), Error> {
    let old = !target.slot;
    // One that is in use isn't lost: mostly there is nothing to write.
    match boot.read().and_then(|flag| flag.check_content().map(|()| flag)) {
        Ok(flag) if flag.default_slot()? != old => Ok(boot.make_default(old)?),
        // Torn, it boots the old slot, but the next trial would not boot the new one: repaired while this state is what is
        // stored, so that a power cut in that write is seen here again.
        Ok(_) => Ok(boot.mend().map(|_| ())?),
        Err(e) if e.stopping().is_some() => Err(e.into()),
        Err(_) => match boot.overwrite(old) {
            // Its file can't be found. What the firmware makes of that, only a reboot tells.
            Err(Fault::Unfit(problem)) => {
                log::warn!(reason:% = problem; "boot_flag_not_written");
                Ok(())
            }
            done => Ok(done?),
        },
    }
}

/// Make the failed slot not look bootable. The old one is default and running; may be done again.
///
/// # Errors
/// When the slot is the running or the default one, or the card fails.
pub fn erase(device: &mut Device, target: &Target) -> Result<(), Error> {
    // A firmware that walks through the partitions, should the old slot ever fail, must not find it.
    install::erase_header(&install::open_slot(device, target.slot)?)?;
    Ok(())
}

/// What an operator's revert goes back to: the release in the other slot, if it is still what was committed there.
///
/// # Errors
/// When the other slot holds nothing that may run.
pub fn previous(device: &mut Device) -> Result<Target, Error> {
    let slot = device.inactive();
    // As for an update: from here on the flag is ours to write.
    device.board.boot.read()?.check()?;
    if device.board.boot.default_slot()? == slot {
        let text = format!("slot {slot} is the default already: `bistable reboot` boots it");
        return Err(Error::NotNow(text));
    }
    let Some(image) = device.record.slots[slot].clone() else {
        return Err(Error::NothingToDo(format!("slot {slot} holds no complete release to go back to")));
    };
    // What was only staged there never proved itself. An operator who wants it back may have it, rejected or not.
    let proven = |e: &Entry| e.outcome.is_proven();
    let mut past = device.record.history.iter().filter(|e| e.release == image.release).peekable();
    if past.peek().is_some() && !past.any(proven) {
        return Err(Error::NothingToDo(format!("release {} in slot {slot} never ran here", image.version)));
    }
    let release = device.release_of(slot)?;
    let facts = compat::Device {
        product: &device.record.product,
        board: &device.board.name,
        running: None,
        security_floor: device.record.floors.security_version,
        components: &device.beside(&release.bound)?,
        boot_bytes: device.board.partitions.open(Partition::Boot(slot))?.bytes(),
        system_bytes: device.board.partitions.open(Partition::System(slot))?.bytes(),
    };
    let reasons = compat::check(&release.constraints(), &facts, Direction::Back);
    if !reasons.is_empty() {
        return Err(Error::Incompatible { version: release.version, reasons });
    }
    Ok(image.in_slot(slot))
}
