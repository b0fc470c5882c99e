//! Formats of durable structures: which ones an agent reads, and in which one it writes.
//!
//! Two agents share what is durable, one in each slot, and one of them may be older. What one of them wrote, the other one
//! can use (I18): an agent that knows format N reads all formats up to N, and writes the highest one that the agents of
//! both slots read. What a slot's agent reads is in its signed release; the journal keeps the number with each slot's
//! image, so the rule is a function of the record that is saved:
//!
//! | a slot | its agent reads |
//! |---|---|
//! | holds a release | what that release says |
//! | is empty, being written, or holds an unknown release | only the first format, as each agent does |
//!
//! So the format rises with the save that says that the second of two newer agents is complete. And it falls with the save
//! that says that a slot is about to be written, which comes before the first byte of an older agent is. That save replaces
//! one copy, and the next one, which says that the slot is complete, replaces the other one: before an older agent may be
//! tried, it can read both.
use crate::{BySlot, Image};

/// The format that every agent reads.
pub const FIRST_FORMAT: u16 = 1;

/// The formats of durable structures that an agent reads: all up to a newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    newest: u16,
}

impl Formats {
    /// Those of this version's agent.
    pub const OURS: Formats = Formats { newest: 1 };
    /// Those of an agent that knows one more, for tests and proofs of what two agents do on one device. Its format 2 is
    /// format 1 with an extension that an agent must know.
    pub const TOMORROW: Formats = Formats { newest: 2 };

    /// The newest one: what an image's release says with this agent in it.
    pub const fn newest(self) -> u16 {
        self.newest
    }

    /// Whether the agent reads a format.
    pub const fn reads(self, format: u16) -> bool {
        FIRST_FORMAT <= format && format <= self.newest
    }

    /// The format that the agent writes in, on a device whose slots hold these images.
    pub fn to_write(self, slots: &BySlot<Option<Image>>) -> u16 {
        let reads = |image: &Option<Image>| image.as_ref().map(|image| image.durable);
        format_to_write(self.newest, BySlot { a: reads(&slots.a), b: reads(&slots.b) })
    }
}

/// The highest format that a writer and the agents of both slots read. `None` where it isn't known what reads.
pub fn format_to_write(newest: u16, reads: BySlot<Option<u16>>) -> u16 {
    let [a, b] = [reads.a, reads.b].map(|reads| reads.unwrap_or(FIRST_FORMAT));
    newest.min(a).min(b).max(FIRST_FORMAT)
}
