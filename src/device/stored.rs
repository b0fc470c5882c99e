//! Signed things in their places in the `state` partition: the chain of roots, and each slot's release.
use crate::{
    Error,
    ports::{Fault, Volume},
};
use bistable_boot::{Lba, SECTOR, Slot, layout};
use bistable_format::{ChainError, Envelope, EnvelopeError, Role, RootChain};

/// Bytes of a card's page: what is read of a stored envelope at first, and written of one at least.
const PAGE: usize = 4096;

pub(super) fn read_release(state: &dyn Volume, slot: Slot) -> Result<Vec<u8>, Error> {
    read_stored(state, layout::RELEASE[slot], Role::Release)?
        .map_err(|problem| Error::StoredRelease { slot, problem })
}

/// The bytes of a chain of roots from its place in the `state` partition; the inner error says what lies there instead.
pub(super) fn read_stored_chain(state: &dyn Volume, at: Lba) -> Result<Result<Vec<u8>, String>, Fault> {
    let at = at.0 * SECTOR as u64;
    let mut bytes = vec![0; PAGE];
    state.read(at, &mut bytes)?;
    let len = match RootChain::stored_len(&bytes) {
        Ok(len) => len,
        Err(e) => return Ok(Err(e.to_string())),
    };
    if len > PAGE {
        bytes.resize(len.next_multiple_of(SECTOR), 0);
        state.read(at, &mut bytes)?;
        // Another process may have written meanwhile.
        if RootChain::stored_len(&bytes) != Ok(len) {
            return Ok(Err(ChainError::Digest.to_string()));
        }
    }
    bytes.truncate(len);
    Ok(Ok(bytes))
}

/// An envelope from its place in the `state` partition; the inner error says what lies there instead.
pub(super) fn read_stored(state: &dyn Volume, at: Lba, role: Role) -> Result<Result<Vec<u8>, String>, Fault> {
    // Most are small: read all that there may be only when the first page says that it continues.
    for most in [PAGE, Envelope::MAX_BYTES.next_multiple_of(SECTOR)] {
        let mut bytes = vec![0; most];
        state.read(at.0 * SECTOR as u64, &mut bytes)?;
        match Envelope::stored_len(&bytes, role) {
            Err(EnvelopeError::Length) if most == PAGE => {}
            Err(e) => return Ok(Err(e.to_string())),
            Ok(len) => {
                bytes.truncate(len);
                return Ok(Ok(bytes));
            }
        }
    }
    Ok(Err(EnvelopeError::Length.to_string()))
}

/// Put a signed thing, or a copy of the floors, into its place in the `state` partition, durably and read back; what is there already isn't written
/// again.
pub(super) fn write_stored(state: &dyn Volume, at: Lba, bytes: &[u8]) -> Result<(), Error> {
    let at = at.0 * SECTOR as u64;
    let mut sectors = bytes.to_vec();
    // Whole pages: of a part of one, a card reads and writes all of it, too.
    sectors.resize(bytes.len().next_multiple_of(PAGE), 0);
    let mut there = vec![0; sectors.len()];
    let readable = match state.read(at, &mut there) {
        Err(e) if e.stopping().is_some() => return Err(e.into()),
        // What can't be read isn't there; writing it may mend it, and reading it back will tell.
        read => read.is_ok(),
    };
    if readable && there == sectors {
        // It may be of a program that was killed before its flush.
        return Ok(state.flush()?);
    }
    state.write(at, &sectors)?;
    state.flush()?;
    state.read(at, &mut there)?;
    if there == sectors {
        return Ok(());
    }
    let text = format!(
        "what was written to partition state at byte {at} reads back differently: the card is failing"
    );
    Err(Fault::Failing(text).into())
}
