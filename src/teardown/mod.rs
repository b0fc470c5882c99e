//! Undoes unfinished work when the program ends early: driven pins, running children, temporary files (I15).
//!
//! Anything that must not outlive the program begins through `begin`, under the one lock of the registry, and is
//! forgotten when its `Entry` is dropped. `end` takes the same lock, undoes what is left, the newest first, and never
//! releases the lock: nothing new can be driven or spawned once the end has begun. It works from any thread, also while
//! the main thread blocks in a system call.
//!
//! Orderly ends, errors and panics undo by `Drop` as before; [`AtEnd`] in `main` undoes the rest, of other threads.
//! [`signals`] does it for SIGTERM, SIGINT and SIGHUP. Nothing can be done about SIGKILL.
pub mod signals;

use crate::{clock::SystemClock, ports::Clock};
use std::{
    collections::BTreeMap,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

/// How long the end of the program waits for something that is just being begun.
const LOCK: Duration = Duration::from_secs(2);
/// How often it looks.
const STEP: Duration = Duration::from_millis(10);

/// Undoes one thing. It may run in any thread, and the program ends after it.
pub(crate) type Undo = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Pending {
    next: u64,
    undos: BTreeMap<u64, Undo>,
}

/// Everything that is pending, by age.
struct Registry(Mutex<Pending>);

/// That of this program.
static PROGRAM: Registry = Registry(Mutex::new(Pending { next: 0, undos: BTreeMap::new() }));

/// Something that was begun and is not undone yet. Dropping it says that there is nothing to undo any more.
#[must_use = "an entry that is dropped is not undone"]
pub(crate) struct Entry {
    registry: &'static Registry,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let undo = self.registry.lock().undos.remove(&self.id);
        // Outside of the lock: it may own what takes the lock when it is dropped.
        drop(undo);
    }
}

/// Begin something, and remember how to undo it. `start` must be short and must not call this module.
///
/// # Errors
/// That of `start`: then there is nothing to undo.
pub(crate) fn begin<T, E>(
    start: impl FnOnce() -> Result<T, E>,
    undo: impl FnOnce(&T) -> Undo,
) -> Result<(T, Entry), E> {
    PROGRAM.begin(start, undo)
}

/// Undo everything that is pending. From now on nothing can be begun: a thread that tries waits until the program has ended.
pub(crate) fn end() {
    mem::forget(PROGRAM.end(PROGRAM.lock()));
}

/// [`end`], unless another thread keeps the registry: what it begins may hang in a driver or on a mount, and must not keep
/// a signal from ending the program.
pub(crate) fn end_if_free() {
    if let Some(pending) = PROGRAM.lock_within(LOCK, &SystemClock) {
        mem::forget(PROGRAM.end(pending));
    }
}

/// Undoes everything that is pending when `main` ends, by a panic too.
#[derive(Debug)]
pub struct AtEnd;

impl Drop for AtEnd {
    fn drop(&mut self) {
        end();
    }
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, unless it isn't free for that long.
    fn lock_within(&self, time: Duration, clock: &dyn Clock) -> Option<MutexGuard<'_, Pending>> {
        let until = clock.now().saturating_add(time);
        loop {
            match self.0.try_lock() {
                Ok(pending) => return Some(pending),
                Err(TryLockError::Poisoned(pending)) => return Some(pending.into_inner()),
                Err(TryLockError::WouldBlock) if clock.now() >= until => return None,
                Err(TryLockError::WouldBlock) => clock.wait(STEP),
            }
        }
    }

    fn begin<T, E>(
        &'static self,
        start: impl FnOnce() -> Result<T, E>,
        undo: impl FnOnce(&T) -> Undo,
    ) -> Result<(T, Entry), E> {
        let mut pending = self.lock();
        let started = start()?;
        let id = pending.next;
        pending.next += 1;
        pending.undos.insert(id, undo(&started));
        Ok((started, Entry { registry: self, id }))
    }

    fn end<'a>(&self, mut pending: MutexGuard<'a, Pending>) -> MutexGuard<'a, Pending> {
        while let Some((_, undo)) = pending.undos.pop_last() {
            // One that panics must not keep the others from being undone.
            let _ = catch_unwind(AssertUnwindSafe(undo));
        }
        pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{convert::Infallible, sync::mpsc};

    fn registry() -> &'static Registry {
        Box::leak(Box::new(Registry(Mutex::default())))
    }

    #[test]
    fn pending_entries_are_undone_once_and_newest_first() {
        let registry = registry();
        let (undone, order) = mpsc::channel();
        let begin = |name: &'static str| {
            let undone = undone.clone();
            let undo = |_: &()| -> Undo {
                Box::new(move || {
                    assert_ne!(name, "broken");
                    undone.send(name).unwrap();
                })
            };
            registry.begin(|| Ok::<_, Infallible>(()), undo).unwrap().1
        };
        let (first, second, _broken, third) =
            (begin("first"), begin("second"), begin("broken"), begin("third"));
        drop(second);
        let ended = registry.end(registry.lock());
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["third", "first"]);
        assert!(registry.0.try_lock().is_err(), "nothing new can begin while the program ends");
        drop(ended);
        drop((first, third));
        drop(registry.end(registry.lock()));
        assert_eq!(order.try_iter().count(), 0);
    }

    #[test]
    fn a_failed_start_is_not_undone() {
        let registry = registry();
        let begun = registry.begin(|| Err::<(), _>("no"), |()| Box::new(|| unreachable!()));
        assert_eq!(begun.err(), Some("no"));
        assert!(registry.end(registry.lock()).undos.is_empty());
    }

    /// Time passes when it is waited for.
    #[derive(Default)]
    struct Waits(std::sync::atomic::AtomicU64);

    impl Clock for Waits {
        fn now(&self) -> Duration {
            Duration::from_millis(self.0.load(std::sync::atomic::Ordering::SeqCst))
        }
        fn wait(&self, time: Duration) {
            let millis = time.as_millis().try_into().unwrap();
            self.0.fetch_add(millis, std::sync::atomic::Ordering::SeqCst);
        }
    }

    #[test]
    fn a_start_that_hangs_delays_the_end_by_two_seconds_at_most() {
        let registry = registry();
        let (clock, hangs) = (Waits::default(), registry.lock());
        assert!(registry.lock_within(LOCK, &clock).is_none());
        assert_eq!(clock.now(), LOCK);
        drop(hangs);
        assert!(registry.lock_within(LOCK, &clock).is_some());
        assert_eq!(clock.now(), LOCK, "a free lock is not waited for");
    }
}
