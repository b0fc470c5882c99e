//! A chunk on its way into the slot.
use super::{attempts::Ticket, buffer::Loan, chunk::Wanted};
use bistable_format::chunklist::Range;

/// A chunk on its way.
pub(super) struct Job {
    pub(super) wanted: Wanted,
    pub(super) payload: Payload,
    pub(super) searched: Searched,
    /// Of a chunk whose full data can still be had if it doesn't come out right.
    pub(super) ticket: Option<Ticket>,
}

/// What a chunk's raw bytes are made from.
pub(super) enum Payload {
    /// Nothing but zeros.
    Zero,
    /// A zstd frame; its digest was checked.
    Zstd(Loan),
    /// The raw bytes themselves; their digest was checked.
    Raw(Loan),
    /// A range of the running slot's volume.
    Copy(Range),
    /// A zstd frame, whose digest was checked, and the ranges of the running slot's volume that are its prefix.
    Patch(Loan, Vec<Range>),
}

/// Whether the slot was searched for a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Searched {
    /// Not yet.
    No,
    /// It isn't there.
    NotThere,
}
