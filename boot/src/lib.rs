//! What may boot next, and why.
//!
//! No I/O, no clock, no threads, no unsafe: this crate also builds for a bare-metal target, so its purity is a
//! build fact. Two functions are the whole update agent: [`Now::todo`] says what must be done now, and
//! [`Now::on`] says which state an event leads to. Everything else here is about keeping that state through a
//! power cut ([`Journal`]) and about the bytes that a boot loader reads ([`autoboot`]).
//!
//! | file | noun |
//! |---|---|
//! | [`slot`](Slot) | A, B, and a pair of things indexed by them |
//! | [`flow`](Flow) | the two boot loaders |
//! | [`saved`](Saved) | what the journal holds of an update |
//! | [`now`](Now) | where the device is, and the table: state × event → state |
//! | [`event`](Event) | what is decided, and what a state asks for |
//! | [`attempt`](Tries) | which reboot into a trial counts as an attempt |
//! | [`target`](Target) | what an update is about, and why one failed |
//! | [`record`](Record) | all that the agent remembers |
//! | [`history`](Entry) | past updates |
//! | [`durable`](Formats) | which formats an agent reads, and in which one it writes |
//! | [`extension`](Extension) | what newer agents add to a durable structure |
//! | [`journal`](Journal) | the record on its two copies |
//! | [`floors`](FloorsCopy) | the anti-rollback floors, copied beside the roots |
//! | [`autoboot`] | the boot flag of the Raspberry Pi firmware |
//! | [`bootblock`] | the boot flag of U-Boot, and what its script makes of it |
//! | `checksum` | the CRC-32 of copies and boot blocks
//! | [`fat`] | where the boot flag's sector is |
//! | [`layout`] | the card's partitions and the map of the state partition |
//! | [`component`] | what is updated beside the slots: its table and its record |
//! | [`blocks`](Blocks) | the port through which all of it is read and written |
//! | [`contract`] | the tests that each implementation of the port must pass |
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod attempt;
pub mod autoboot;
mod blocks;
pub mod bootblock;
mod checksum;
pub mod component;
pub mod contract;
mod durable;
mod event;
mod extension;
pub mod fat;
mod floors;
mod flow;
mod history;
mod journal;
pub mod layout;
mod now;
mod record;
mod saved;
mod slot;
mod target;

pub use attempt::{Asked, Boot, BootId, Evidence, MAX_ATTEMPTS, Tries};
pub use autoboot::Autoboot;
pub use blocks::{Blocks, Lba, Memory, OutOfRange, SECTOR};
pub use bootblock::BootBlock;
pub use durable::{FIRST_FORMAT, Formats, format_to_write};
pub use event::{Action, Event, Refused};
pub use extension::{EXTENSIONS_BYTES, Extension};
pub use floors::{BadFloors, FLOORS_BYTES, FloorsCopy};
pub use flow::{Flow, UnknownFlow};
pub use history::{Entry, Outcome};
pub use journal::{COPY_BYTES, DecodeError, Journal, JournalError, Kept, copy_in_format};
pub use now::Now;
pub use record::{
    Equivocation, Floors, HISTORY_LEN, Image, NAME_BYTES, Origin, PayloadDigest, REJECTED_LEN, Record,
    Rejected, WITHDRAWN_LEN,
};
pub use saved::Saved;
pub use slot::{BySlot, Slot};
pub use target::{Detail, Failure, Reason, ReleaseId, Target};
