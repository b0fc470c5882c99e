//! What newer agents add to a durable structure.
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Most bytes that the extensions of one record may take, each with five bytes more than its content. With it, every
/// record fits its journal copy.
pub const EXTENSIONS_BYTES: usize = 256;

/// The device may hold a place at its fleet's lock. No content; see [`Record::set_place`](crate::Record::set_place).
pub(crate) const LOCK_PLACE: u16 = 2;

/// Something that a newer agent added. An agent that doesn't know an even id ignores it and saves it again; one that
/// doesn't know an odd id can't use the structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// What it is.
    pub id: u16,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Extension {
    /// Whether only an agent that knows it may use the structure.
    pub const fn is_required(&self) -> bool {
        self.id % 2 == 1
    }
}

pub(crate) fn are_bounded(extensions: &[Extension]) -> bool {
    // Three bytes of id and two of length, as postcard writes them at most.
    extensions.iter().map(|e| 5 + e.bytes.len()).sum::<usize>() <= EXTENSIONS_BYTES
}
