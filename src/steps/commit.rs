//! Commit: make the slot on trial the default. One sector.
use crate::{Error, ports::BootControl};
use bistable_boot::Target;

/// Make the target's slot the default, durably. The state is `Committing` and saved; may be done again.
///
/// # Errors
/// When the target's slot isn't the running one, or the flag can't be written.
pub fn run(boot: &mut dyn BootControl, target: &Target) -> Result<(), Error> {
    if boot.booted() != target.slot {
        return Err(Error::NotNow(format!("slot {} is not running: it can't be committed", target.slot)));
    }
    Ok(boot.make_default(target.slot)?)
}
