//! The event log's folder under a mutant.
use super::mutant::Mutant;
use bistable::{events::BLOCK, ports::EventStore};
use std::io;

/// The folder under a mutant.
pub(super) struct TamperedEvents {
    inner: Box<dyn EventStore>,
    mutant: Mutant,
    /// What is only pretended to be written: the file, where, and what.
    held: Option<(String, u64, Vec<u8>)>,
}

impl TamperedEvents {
    pub(super) fn new(inner: Box<dyn EventStore>, mutant: Mutant) -> TamperedEvents {
        TamperedEvents { inner, mutant, held: None }
    }

    fn let_go(&mut self) -> io::Result<()> {
        let Some((name, at, bytes)) = self.held.take() else { return Ok(()) };
        self.inner.append(&name, at, &bytes)?;
        self.inner.sync(&name)
    }
}

impl EventStore for TamperedEvents {
    fn files(&mut self) -> io::Result<Vec<(String, u64)>> {
        self.inner.files()
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = self.inner.read(name)?;
        let is_torn = !bytes.len().is_multiple_of(BLOCK) || bytes.last() != Some(&b'\n');
        match self.mutant {
            Mutant::NumberReused if is_torn => bytes.truncate(bytes.len().saturating_sub(1) / BLOCK * BLOCK),
            Mutant::LastLineCut if is_torn => {
                bytes.truncate((bytes.len().saturating_sub(1) / BLOCK).saturating_sub(1) * BLOCK);
            }
            _ => {}
        }
        Ok(bytes)
    }

    fn append(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        if self.mutant != Mutant::EventAfterAct {
            return self.inner.append(name, at, bytes);
        }
        self.let_go()?;
        self.held = Some((name.to_owned(), at, bytes.to_vec()));
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        match self.mutant {
            Mutant::EventsNotFlushed | Mutant::EventAfterAct => Ok(()),
            _ => self.inner.sync(name),
        }
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.inner.replace(name, bytes)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
}

impl Drop for TamperedEvents {
    /// The program ends: what it tells of was done long ago.
    fn drop(&mut self) {
        let _ = self.let_go();
    }
}
