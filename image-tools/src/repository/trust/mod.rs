//! A repository held against what this computer [remembers](super::memory) of it, outside of its store.
//!
//! Whoever can write to a store can replace its roots, and can delete a channel's newest files so that the next one is signed under
//! a number that devices have already seen. Neither needs a key. So every verb that signs first compares the store with this memory.
//!
//! ```text
//! places/<SHA-256 of the place>.json          which repository is at a place: pinned at first use, under its path as given, too
//! repositories/<identity>/record.json         its newest root; each channel's newest number; digests of both payloads
//! repositories/<identity>/<channel>.pending   a signed file that the store may or may not have
//! ```
//! A repository's identity is the digest of its first root's payload, so a mirror and a moved repository are compared, too. What is
//! remembered only rises (I9).
//!
//! A commit of number n, in this order, each step durable before the next, all under a lock of the channel:
//!
//! | step | after a crash here |
//! |---|---|
//! | save the signed file as pending | the store may lack it: the same bytes are created again, and never others of that number |
//! | create it in the store | the store has it: it is recorded |
//! | record its number and digest | the pending file is older than the record: it is removed |
//! | remove the pending file | |
//!
//! If another computer created number n first, its file counts and the pending one is dropped: it was never in the store. Whoever
//! compares reads the memory before the store: what is recorded was in the store before, so a store that changes meanwhile can only
//! be ahead of it.
//!
//! | file | noun |
//! |---|---|
//! | [`recognize`] | whether the repository at a place is the one that it was |
//! | [`Known`] | a channel held against the memory |
//! | `pending` | a signed file that the store may lack: the next change of its channel finishes it |
mod channels;
mod pending;
mod pin;

pub use channels::Known;
pub(super) use channels::lost;
pub use pin::{PinError, Recognized, Trusted, canonical_place, recognize, recognize_to_repair};
