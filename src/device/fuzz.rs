//! What `tests/fuzz` asks of a `state` partition.
use super::{
    floors::read_floors,
    roots::{SystemRoot, Verified, read_copies, trusted},
    stored::read_release,
};
use crate::{Error, ports::Volume};
use bistable_boot::{FloorsCopy, Slot};
use bistable_format::{Root, RootChain};

/// What is stored for a device whose running system carries no root.
#[derive(Debug)]
pub struct Stored {
    /// Both chains of roots.
    pub chains: [Result<RootChain, String>; 2],
    /// The root that is trusted.
    pub trusted: Result<Root, Error>,
    /// Both copies of the floors.
    pub floors: [Option<FloorsCopy>; 2],
    /// Each slot's signed release.
    pub releases: [Result<Vec<u8>, Error>; 2],
}

/// Read all that is stored beside the journal.
///
/// # Errors
/// When the partition can't be read.
pub fn stored(state: &dyn Volume) -> Result<Stored, Error> {
    Ok(Stored {
        chains: read_copies(state)?,
        trusted: trusted(state, &SystemRoot::Missing, &Verified::default()).map(|trusted| trusted.root),
        floors: read_floors(state)?,
        releases: Slot::ALL.map(|slot| read_release(state, slot)),
    })
}
