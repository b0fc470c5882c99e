use super::ComponentError;
use crate::Error;

/// What must be free beside what a version needs itself.
pub(crate) const SPARE_BYTES: u64 = 64 << 20;

/// Refuse a version of a component that doesn't fit.
///
/// # Errors
/// [`ComponentError::Space`].
pub(crate) fn check_space(name: &str, needed: u64, free: u64) -> Result<(), Error> {
    match needed <= free {
        true => Ok(()),
        false => Err(ComponentError::Space { name: name.into(), needed, free }.into()),
    }
}
