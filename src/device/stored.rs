//! Signed things in their places in the `state` partition: the root, and each slot's release.
use crate::{
    Error,
    board::CardError,
    config::Settings,
    ports::{Fault, Volume},
};
use bistable_boot::{Lba, SECTOR, Slot, layout};
use bistable_format::{Envelope, EnvelopeError, Role, Root};
use std::cell::RefCell;

/// Bytes of a card's page: what is read of a stored envelope at first, and written of one at least.
const PAGE: usize = 4096;

/// The root that was verified last, with its bytes: the same bytes need no second verification.
#[derive(Default)]
pub(super) struct Verified(RefCell<Option<(Vec<u8>, Root)>>);

impl Verified {
    fn open(&self, bytes: Vec<u8>) -> Result<Root, String> {
        let mut last = self.0.borrow_mut();
        if let Some((known, root)) = &*last
            && *known == bytes
        {
            return Ok(root.clone());
        }
        let root = Root::open(&bytes).map_err(|e| e.to_string())?;
        *last = Some((bytes, root.clone()));
        Ok(root)
    }
}

/// Each copy of the root, or why it doesn't open.
pub(super) fn read_roots(
    state: &dyn Volume,
    verified: &Verified,
) -> Result<[Result<Root, String>; 2], Fault> {
    let [first, second] = layout::ROOT.map(|at| match read_stored(state, at, Role::Root) {
        // One copy is enough, and the next install mends the other.
        Err(e) if e.stopping().is_none() => Ok(Err(e.to_string())),
        read => read,
    });
    Ok([first?, second?].map(|bytes| bytes.and_then(|bytes| verified.open(bytes))))
}

/// The newest copy of the root that opens.
pub(super) fn read_root(state: &dyn Volume, verified: &Verified, settings: &Settings) -> Result<Root, Error> {
    let newest = match read_roots(state, verified)? {
        [Ok(a), Ok(b)] => Ok(if b.version > a.version { b } else { a }),
        [Ok(one), Err(_)] | [Err(_), Ok(one)] => Ok(one),
        [Err(problem), Err(_)] => Err(Error::NoRoot(problem)),
    }?;
    if !settings.allow_demo_keys {
        newest.refuse_demo().map_err(Error::Root)?;
    }
    Ok(newest)
}

pub(super) fn read_release(state: &dyn Volume, slot: Slot) -> Result<Vec<u8>, Error> {
    read_stored(state, layout::RELEASE[slot], Role::Release)?
        .map_err(|problem| Error::StoredRelease { slot, problem })
}

/// An envelope from its place in the `state` partition; the inner error says what lies there instead.
pub(super) fn read_stored(state: &dyn Volume, at: Lba, role: Role) -> Result<Result<Vec<u8>, String>, Fault> {
    // Most are small: read all that there may be only when the first page says that it goes on.
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

/// Put an envelope into its place in the `state` partition, durably and read back; what is there already isn't written
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
    Err(CardError::Failing(text).into())
}
