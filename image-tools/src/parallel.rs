//! Work on a stream of items by many threads, with the results in order and few items in memory.
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::mpsc::{self, Sender};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A number of worker threads. No result depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(NonZeroUsize);

impl Threads {
    /// More than that only costs memory.
    const MAX: usize = 256;

    /// That many, but at least one.
    pub fn new(n: usize) -> Threads {
        Threads(NonZeroUsize::new(n.min(Self::MAX)).unwrap_or(NonZeroUsize::MIN))
    }

    /// The number that was asked for, else as many as are [available](Self::available).
    pub fn asked(n: Option<usize>) -> Threads {
        n.map_or_else(Threads::available, Threads::new)
    }

    /// As many as the machine has processors for us.
    pub fn available() -> Threads {
        Threads::new(thread::available_parallelism().map_or(1, NonZeroUsize::get))
    }

    /// Items that may be on their way at once.
    fn in_flight(self) -> usize {
        self.0.get() * 2
    }
}

impl Default for Threads {
    fn default() -> Self {
        Threads::available()
    }
}

/// A downstream stage failed; stop producing. The failure itself is reported elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// Where the producer puts its items.
#[derive(Debug)]
pub(crate) struct Feed<'a, T> {
    jobs: Sender<(u64, T)>,
    next: u64,
    places: &'a Places,
}

impl<T> Feed<'_, T> {
    /// Hand over an item; waits while too many are on their way.
    pub(crate) fn send(&mut self, item: T) -> Result<(), Stopped> {
        self.places.take()?;
        let sent = self.jobs.send((self.next, item));
        self.next += 1;
        sent.map_err(|_| Stopped)
    }
}

/// Let `produce` make items (on this thread), each worker work on some of them, and `consume` take the results in the
/// order of the items (on a thread of its own). At most two items per worker are between the two ends.
///
/// The error that is returned is the first in the order of items; the producer's only if there is no other.
pub(crate) fn ordered<T, U, E, W>(
    threads: Threads,
    produce: impl FnOnce(&mut Feed<'_, T>) -> Result<(), E>,
    worker: impl Fn() -> W + Sync,
    mut consume: impl FnMut(U) -> Result<(), E> + Send,
) -> Result<(), E>
where
    T: Send,
    U: Send,
    E: Send,
    W: FnMut(T) -> Result<U, E>,
{
    let (jobs, waiting) = mpsc::channel::<(u64, T)>();
    let waiting = Mutex::new(waiting);
    let (results, done) = mpsc::channel::<(u64, Result<U, E>)>();
    let places = Places::new(threads.in_flight());
    thread::scope(|scope| {
        for _ in 0..threads.0.get() {
            let (results, waiting, worker, places) = (results.clone(), &waiting, &worker, &places);
            scope.spawn(move || {
                // Only a panic needs it: an item that is never done would keep its place forever.
                let _stop = StopOnPanic(places);
                let mut work = worker();
                loop {
                    let job = lock(waiting).recv();
                    let Ok((index, item)) = job else { return };
                    if results.send((index, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        let places = &places;
        let consumer = scope.spawn(move || {
            let _stop = Stop(places);
            let mut early = BTreeMap::new();
            let mut next = 0;
            for (index, result) in done {
                early.insert(index, result);
                while let Some(result) = early.remove(&next) {
                    consume(result?)?;
                    next += 1;
                    places.give_back();
                }
            }
            Ok(())
        });
        let mut feed = Feed { jobs, next: 0, places };
        let produced = produce(&mut feed);
        drop(feed);
        match consumer.join() {
            Ok(Ok(())) => produced,
            Ok(Err(e)) => Err(e),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Counts the items on their way.
#[derive(Debug)]
struct Places {
    free: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Places {
    fn new(free: usize) -> Self {
        Places { free: Mutex::new(Some(free)), changed: Condvar::new() }
    }

    fn take(&self) -> Result<(), Stopped> {
        let mut free = lock(&self.free);
        loop {
            match free.as_mut() {
                None => return Err(Stopped),
                Some(0) => free = self.changed.wait(free).unwrap_or_else(PoisonError::into_inner),
                Some(n) => {
                    *n -= 1;
                    return Ok(());
                }
            }
        }
    }

    fn give_back(&self) {
        if let Some(n) = lock(&self.free).as_mut() {
            *n += 1;
        }
        self.changed.notify_one();
    }

    fn stop(&self) {
        *lock(&self.free) = None;
        self.changed.notify_all();
    }
}

struct Stop<'a>(&'a Places);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

struct StopOnPanic<'a>(&'a Places);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

/// Nothing that is guarded here can be left half changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn squares(threads: usize, items: u64, fail_at: &[u64]) -> (Result<(), String>, Vec<u64>) {
        let mut out = Vec::new();
        let result = ordered(
            Threads::new(threads),
            |feed| (0..items).try_for_each(|i| feed.send(i)).map_err(|Stopped| "stopped".to_owned()),
            || {
                |i: u64| {
                    // Uneven work, so that results overtake each other.
                    (0..(i % 7) * 2000).for_each(|x| {
                        std::hint::black_box(x);
                    });
                    if fail_at.contains(&i) { Err(format!("item {i}")) } else { Ok(i * i) }
                }
            },
            |u| {
                out.push(u);
                Ok(())
            },
        );
        (result, out)
    }

    #[test]
    fn results_come_in_order_for_any_number_of_threads() {
        for threads in [0, 1, 2, 5, 16] {
            let (result, out) = squares(threads, 500, &[]);
            result.unwrap();
            assert!(out.iter().copied().eq((0..500).map(|i| i * i)));
        }
        assert_eq!(squares(3, 0, &[]), (Ok(()), vec![]));
    }

    #[test]
    fn the_first_error_in_order_is_told_and_everything_stops() {
        for threads in [1, 4] {
            let (result, out) = squares(threads, 100_000, &[300, 200, 201, 250]);
            assert_eq!(result, Err("item 200".into()));
            assert_eq!(out.len(), 200);
        }
    }

    #[test]
    fn the_producers_error_comes_after_what_it_produced() {
        let mut out = 0;
        let result = ordered(
            Threads::new(2),
            |feed| {
                (0..10).try_for_each(|i| feed.send(i)).map_err(|Stopped| "stopped")?;
                Err("input")
            },
            || Ok,
            |_: i32| {
                out += 1;
                Ok(())
            },
        );
        assert_eq!((result, out), (Err("input"), 10));
    }

    #[test]
    fn a_failing_consumer_stops_the_producer() {
        let result = ordered(
            Threads::new(2),
            |feed| loop {
                feed.send(()).map_err(|Stopped| "stopped")?;
            },
            || Ok,
            |()| Err("full"),
        );
        assert_eq!(result, Err("full"));
    }

    #[test]
    fn few_items_are_on_their_way() {
        let (made, most, taken) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        ordered(
            Threads::new(3),
            |feed| {
                (0..1000).try_for_each(|i| {
                    feed.send(i)?;
                    let on_the_way = made.fetch_add(1, Ordering::SeqCst) + 1 - taken.load(Ordering::SeqCst);
                    most.fetch_max(on_the_way, Ordering::SeqCst);
                    Ok::<_, Stopped>(())
                })
            },
            || Ok,
            |_: i32| {
                taken.fetch_add(1, Ordering::SeqCst);
                Ok(())
            },
        )
        .unwrap();
        // One more between the place that was given back and the count that follows.
        assert!(most.into_inner() <= 7);
    }

    #[test]
    #[should_panic(expected = "scoped thread")]
    fn a_panic_in_a_worker_ends_it() {
        let _ = ordered(
            Threads::new(2),
            |feed| loop {
                feed.send(())?;
            },
            || |()| -> Result<(), Stopped> { panic!("on purpose") },
            |()| Ok(()),
        );
    }
}
