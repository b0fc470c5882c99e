//! Buffers that direct I/O accepts.
use std::ops::{Deref, DerefMut};

/// What direct I/O wants a buffer's address to be a multiple of: a page.
pub(crate) const ALIGN: usize = 4096;

/// Bytes whose first lies at a multiple of [`ALIGN`].
#[derive(Debug)]
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// That many zeros.
    pub(crate) fn new(len: usize) -> Buffer {
        let memory = vec![0; len + ALIGN];
        // Never moved again: a `Vec`'s content stays where it is when the `Vec` moves.
        let start = memory.as_ptr().align_offset(ALIGN).min(ALIGN);
        Buffer { memory, start, len }
    }

    /// Use fewer or again as many bytes as there were at first.
    pub(crate) fn resize(&mut self, len: usize) {
        self.len = len.min(self.memory.len() - ALIGN);
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}
