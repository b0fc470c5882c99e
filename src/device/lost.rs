//! What can be known of a device whose journal is lost, without changing anything.
use super::{
    Device, floors,
    repair::stored_release,
    roots::{SystemRoot, Verified, refuse_demo, trusted},
};
use crate::{Error, config::Settings, ports::Board};
use bistable_boot::{BySlot, Floors, FloorsCopy, Slot, layout::Partition};
use bistable_format::{Release, Root};

/// What `state` still holds besides the journal.
#[derive(Debug)]
pub struct Remains {
    /// The root of trust, or why there is none that may be trusted.
    pub root: Result<Root, Error>,
    /// The release stored for each slot, if it is signed as it must be.
    pub releases: BySlot<Option<Release>>,
    /// The copy of the floors.
    pub floors: Option<Floors>,
}

impl Device {
    /// Gather it.
    ///
    /// # Errors
    /// When the card can't be read at all, or the machine goes down.
    pub fn remains(board: &mut Board, settings: &Settings) -> Result<Remains, Error> {
        let state = board.partitions.open(Partition::State)?;
        let system = SystemRoot::read(board);
        let trusted = trusted(&*state, &system, &Verified::default())
            .and_then(|trusted| refuse_demo(&trusted.root, settings).map(|()| trusted));
        let mut releases = BySlot { a: None, b: None };
        if let Ok(trusted) = &trusted {
            for slot in Slot::ALL {
                releases[slot] = stored_release(&*state, slot, trusted)?.map(|(release, _)| release);
            }
        }
        let floors = FloorsCopy::newest(floors::read_floors(&*state)?).map(|copy| copy.floors);
        Ok(Remains { root: trusted.map(|trusted| trusted.root), releases, floors })
    }
}
