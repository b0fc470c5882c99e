//! The floors beside each chain of roots: see [`FloorsCopy`].
use super::stored::write_stored;
use crate::{
    Error,
    ports::{Fault, Volume},
};
use bistable_boot::{FLOORS_BYTES, FloorsCopy, Record, SECTOR, layout};

/// Each copy that can be read.
pub(super) fn read_floors(state: &dyn Volume) -> Result<[Option<FloorsCopy>; 2], Fault> {
    let read = |at: bistable_boot::Lba| {
        let mut copy = [0; FLOORS_BYTES];
        match state.read(at.0 * SECTOR as u64, &mut copy) {
            Err(e) if e.stopping().is_some() => Err(e),
            Err(_) => Ok(None),
            Ok(()) => Ok(FloorsCopy::decode(&copy).ok()),
        }
    };
    let [first, second] = layout::FLOORS;
    Ok([read(first)?, read(second)?])
}

/// Whether both copies hold the floors of a record.
pub(super) fn are_kept(state: &dyn Volume, record: &Record) -> Result<bool, Fault> {
    Ok(all_hold(&read_floors(state)?, record))
}

fn all_hold(copies: &[Option<FloorsCopy>; 2], record: &Record) -> bool {
    copies.iter().all(|copy| copy.as_ref().is_some_and(|copy| copy.is_of(record)))
}

/// Make both copies hold the floors of a record that is about to be saved. Each write may cost the roots in its group, so
/// both copies of these must be whole before.
///
/// # Errors
/// When the card fails, or gives back something else than was written.
pub(super) fn keep_floors(state: &dyn Volume, record: &Record) -> Result<(), Error> {
    let copies = read_floors(state)?;
    if all_hold(&copies, record) {
        return Ok(());
    }
    let newest = FloorsCopy::newest(copies.clone());
    let number = newest.map_or(0, |copy| copy.number).saturating_add(1);
    let Some(bytes) = FloorsCopy::of(record, number).encode() else { return Ok(()) };
    // The damaged or older one first: a write that is cut short must leave the newest floors in the other one.
    let age = |copy: &Option<FloorsCopy>| copy.as_ref().map(|copy| copy.number);
    let mut places: Vec<_> = layout::FLOORS.into_iter().zip(copies.iter().map(age)).collect();
    places.sort_by_key(|(_, age)| *age);
    places.into_iter().try_for_each(|(at, _)| write_stored(state, at, &bytes))
}
