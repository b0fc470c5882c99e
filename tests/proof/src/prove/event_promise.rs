//! What the event log was told is durable: from here on it must be there.
use super::card::{Card, Op};
use bistable::{events::Segment, ports::EventStore};
use std::io;

/// Notes what the log was told is durable: from here on it must be.
#[allow(missing_debug_implementations, reason = "the folder is a trait object")]
pub(super) struct Promising {
    /// The folder, as a mutant has it.
    pub(super) inner: Box<dyn EventStore>,
    /// Whose log notes it.
    pub(super) card: Card,
    /// What was appended since the last time.
    pub(super) appended: Vec<u8>,
}

impl EventStore for Promising {
    fn files(&mut self) -> io::Result<Vec<(String, u64)>> {
        self.inner.files()
    }
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.inner.read(name)
    }
    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.append(name, at, bytes)?;
        self.appended.extend_from_slice(bytes);
        Ok(())
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.inner.sync(name)?;
        for entry in Segment::parse(&std::mem::take(&mut self.appended)).entries {
            if let Some(line) = entry.line() {
                self.card.note(Op::Logged(entry.seq, line.into()));
            }
        }
        Ok(())
    }
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.inner.replace(name, bytes)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
}
