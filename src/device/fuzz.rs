//! What `tests/fuzz` asks of a `state` partition.
use super::stored::{Verified, read_release, read_root, read_roots};
use crate::{Error, config::Settings, ports::Volume};
use bistable_boot::Slot;
use bistable_format::Root;

/// The copies of the root, the one that is trusted, and each slot's release, as they are stored.
///
/// # Errors
/// When the partition can't be read.
#[expect(clippy::type_complexity, reason = "the three that are stored, for one caller")]
pub fn stored(
    state: &dyn Volume,
) -> Result<([Result<Root, String>; 2], Result<Root, Error>, [Result<Vec<u8>, Error>; 2]), Error> {
    let verified = Verified::default();
    let trusted = read_root(state, &verified, &Settings::default());
    Ok((read_roots(state, &verified)?, trusted, Slot::ALL.map(|slot| read_release(state, slot))))
}
