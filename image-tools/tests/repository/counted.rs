//! What is asked of a store, counted.
use bistable_image::repository::Store;
use bistable_image::repository::store::{Faults, Faulty, Memory, Operation};
use std::sync::{Arc, Mutex};

/// A store in memory that remembers what it was asked.
pub(crate) struct Counted {
    pub store: Store,
    /// The same files, without counting.
    pub quiet: Store,
    asked: Arc<Mutex<Vec<(Operation, u64)>>>,
}

/// What something took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// All that was asked.
    pub operations: usize,
    /// Files that were read, whole or in part.
    pub reads: usize,
    /// Bytes of the files that were read whole.
    pub read_bytes: u64,
    /// Bytes of files that weren't there before.
    pub new_bytes: u64,
}

impl Counted {
    pub(crate) fn new() -> Counted {
        let memory = Memory::new();
        let quiet = Store::new(memory.clone());
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let (sizes, log) = (quiet.clone(), Arc::clone(&asked));
        let before = move |operation, path: &str| {
            let bytes = match operation {
                Operation::Get => sizes.size(path).unwrap().unwrap_or(0),
                _ => 0,
            };
            log.lock().unwrap().push((operation, bytes));
        };
        let faults = Faults { before: Some(Arc::new(before)), ..Faults::default() };
        Counted { store: Store::new(Faulty::new(memory, faults)), quiet, asked }
    }

    /// What this takes.
    pub(crate) fn cost<T>(&self, act: impl FnOnce(&Store) -> T) -> (T, Cost) {
        let bytes = || self.quiet.list("").unwrap().iter().map(|f| f.bytes).sum::<u64>();
        let before = bytes();
        self.asked.lock().unwrap().clear();
        let done = act(&self.store);
        let asked = self.asked.lock().unwrap();
        let is_read = |o: &Operation| matches!(o, Operation::Get | Operation::Range);
        let cost = Cost {
            operations: asked.len(),
            reads: asked.iter().filter(|(o, _)| is_read(o)).count(),
            read_bytes: asked.iter().map(|(_, bytes)| bytes).sum(),
            new_bytes: bytes() - before,
        };
        (done, cost)
    }
}
