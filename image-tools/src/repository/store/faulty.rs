//! Whatever can go wrong with a store, on demand: a decorator around any other.
use super::error::{Cause, StoreError, at};
use super::{Backend, Created, Foreign, Leftover, Listed};
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `get`
    Get,
    /// `size`
    Size,
    /// `range`
    Range,
    /// `create`
    Create,
    /// `put`
    Put,
    /// `upload`
    Upload,
    /// `list`
    List,
    /// `delete`
    Delete,
}

impl Operation {
    /// Whether it changes something.
    pub fn writes(self) -> bool {
        matches!(self, Operation::Create | Operation::Put | Operation::Upload | Operation::Delete)
    }
}

/// Called before an operation, with its file.
pub type Before = Arc<dyn Fn(Operation, &str) + Send + Sync>;

/// What is wrong with a store. The default: nothing.
#[derive(Clone, Default)]
pub struct Faults {
    /// Create-if-absent writes over what is there and says that it created it.
    pub overwrites: bool,
    /// Create-if-absent looks first and then writes: of two at once, both win.
    pub looks_first: bool,
    /// The process dies before its n-th change: from then on nothing is done.
    pub dies_at: Option<u64>,
    /// Every n-th create is done, but the answer gets lost.
    pub loses_answers: Option<u64>,
    /// Called before each operation: to be slow, to let others go first.
    pub before: Option<Before>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("overwrites", &self.overwrites)
            .field("looks_first", &self.looks_first)
            .field("dies_at", &self.dies_at)
            .field("loses_answers", &self.loses_answers)
            .finish_non_exhaustive()
    }
}

/// A store with faults.
#[derive(Debug)]
pub struct Faulty<B> {
    inner: B,
    faults: Faults,
    changes: AtomicU64,
    creates: AtomicU64,
}

impl<B: Backend> Faulty<B> {
    /// Around this one.
    pub fn new(inner: B, faults: Faults) -> Self {
        Faulty { inner, faults, changes: AtomicU64::new(0), creates: AtomicU64::new(0) }
    }

    fn before(&self, operation: Operation, path: &str) -> Result<(), StoreError> {
        if let Some(before) = &self.faults.before {
            before(operation, path);
        }
        let add = u64::from(operation.writes());
        let done = self.changes.fetch_add(add, Ordering::SeqCst);
        match self.faults.dies_at {
            Some(at) if done + add > at => Err(self.failure("reach", path, "the process is dead")),
            _ => Ok(()),
        }
    }

    fn failure(&self, action: &'static str, path: &str, why: &str) -> StoreError {
        StoreError::Other { action, place: at(self.inner.place(), path), source: Cause::new(why) }
    }
}

impl<B: Backend> Backend for Faulty<B> {
    fn place(&self) -> &str {
        self.inner.place()
    }

    fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        self.before(Operation::Get, path)?;
        self.inner.get(path, limit)
    }

    fn size(&self, path: &str) -> Result<Option<u64>, StoreError> {
        self.before(Operation::Size, path)?;
        self.inner.size(path)
    }

    fn range(&self, path: &str, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        self.before(Operation::Range, path)?;
        self.inner.range(path, range)
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        self.before(Operation::Create, path)?;
        let created = if self.faults.overwrites {
            self.inner.delete(path)?;
            let _ = self.inner.create(path, bytes)?;
            Created::Created
        } else if self.faults.looks_first {
            if self.inner.size(path)?.is_some() {
                return Ok(Created::Exists);
            }
            // Time for another to look, too.
            self.before(Operation::Size, path)?;
            self.inner.delete(path)?;
            let _ = self.inner.create(path, bytes)?;
            Created::Created
        } else {
            self.inner.create(path, bytes)?
        };
        let n = self.creates.fetch_add(1, Ordering::SeqCst) + 1;
        match self.faults.loses_answers {
            Some(every) if n.is_multiple_of(every) => {
                Err(self.failure("create", path, "the answer got lost"))
            }
            _ => Ok(created),
        }
    }

    fn check_create(&self) -> Result<(), StoreError> {
        self.inner.check_create()
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.before(Operation::Put, path)?;
        self.inner.put(path, bytes)
    }

    fn upload(&self, path: &str, from: &mut dyn Read, bytes: u64) -> Result<(), StoreError> {
        self.before(Operation::Upload, path)?;
        self.inner.upload(path, from, bytes)
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        self.before(Operation::List, folder)?;
        self.inner.list(folder)
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.before(Operation::List, folder)?;
        self.inner.folders(folder)
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.before(Operation::Delete, path)?;
        self.inner.delete(path)
    }

    fn leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        self.before(Operation::List, "")?;
        self.inner.leftovers()
    }

    fn remove_leftover(&self, path: &str) -> Result<(), StoreError> {
        self.before(Operation::Delete, path)?;
        self.inner.remove_leftover(path)
    }

    fn foreign(&self) -> Result<Vec<Foreign>, StoreError> {
        self.before(Operation::List, "")?;
        self.inner.foreign()
    }
}
