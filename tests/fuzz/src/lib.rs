//! What several targets share.
mod bundled;
mod disk;
mod served;
mod signed;

pub use bundled::{BASE, Bundled, TARGET, no_slots};
pub use disk::Disk;
pub use served::{Served, agent};
pub use signed::{KEY, ROOT, STRANGER};

/// Takes bytes off the front of an input; what isn't there reads as nothing.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// One byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// As many bytes, or all that are left.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        let mut number = [0; 4];
        for to in number.iter_mut().take(3) {
            *to = self.byte();
        }
        u64::from(u32::from_le_bytes(number)) % end.max(1)
    }

    /// A length in one byte, and as many bytes.
    pub fn counted(&mut self) -> &'a [u8] {
        let len = self.byte().into();
        self.bytes(len)
    }
}
