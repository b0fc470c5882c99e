//! What every [`TrustStore`] must do: tests that run on the real one and on its twin.
use super::{Lock, Record, TrustStore};
use crate::repository::mark::Mark;
use bistable_format::Digest;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Opens the same memory again, as another process would.
pub(super) type Open = Box<dyn Fn() -> Box<dyn TrustStore> + Send + Sync>;

/// Run all of them. `fresh` gives an empty memory each time.
pub(super) fn all(fresh: &mut dyn FnMut() -> Open) {
    everything_is_found_again_by_another_process(&fresh());
    numbers_never_fall(&fresh());
    pins_are_of_one_place(&fresh());
    eight_writers_lose_nothing(&fresh());
    lock_keeps_others_out(&fresh());
    who_holds_a_lock_can_remember(&fresh());
}

fn mark(number: u64) -> Mark {
    Mark { number, digest: Digest::of(&number.to_le_bytes()) }
}

fn seen(channel: &str, number: u64) -> Record {
    let mut record = Record::new(mark(1));
    record.channels.insert(channel.into(), mark(number));
    record
}

/// All that is saved is found by whoever opens the memory next.
fn everything_is_found_again_by_another_process(open: &Open) {
    let id = Digest::of(b"repository");
    assert_eq!(open().pinned("/srv").unwrap(), None);
    assert_eq!(open().record(&id).unwrap(), None);
    assert_eq!(open().pending(&id, "staging").unwrap(), None);
    open().merge(&id, &seen("staging", 3)).unwrap();
    open().pin("/srv", &id).unwrap();
    open().set_pending(&id, "staging", Some(b"signed")).unwrap();
    open().set_pending(&id, "production", Some(b"other")).unwrap();
    assert_eq!(open().pinned("/srv").unwrap(), Some(id));
    assert_eq!(open().record(&id).unwrap(), Some(seen("staging", 3)));
    assert_eq!(open().pending(&id, "staging").unwrap().unwrap(), b"signed");
    open().set_pending(&id, "staging", None).unwrap();
    open().set_pending(&id, "staging", None).unwrap();
    assert_eq!(open().pending(&id, "staging").unwrap(), None);
    assert_eq!(open().record(&Digest::of(b"another")).unwrap(), None);
    open().forget_channels(&id).unwrap();
    assert_eq!(open().record(&id).unwrap(), Some(Record::new(mark(1))));
    assert_eq!(open().pending(&id, "production").unwrap(), None);
    open().forget_channels(&Digest::of(b"another")).unwrap();
}

/// I9.
fn numbers_never_fall(open: &Open) {
    let id = Digest::of(b"repository");
    for (number, want) in [(5, 5), (3, 5), (7, 7)] {
        open().merge(&id, &seen("staging", number)).unwrap();
        assert_eq!(open().record(&id).unwrap().unwrap().channels["staging"], mark(want));
    }
    let mut other = Record::new(Mark { number: 1, digest: Digest::of(b"another root 1") });
    other.channels.insert("staging".into(), Mark { number: 7, digest: Digest::of(b"another 7") });
    open().merge(&id, &other).unwrap();
    assert_eq!(open().record(&id).unwrap(), Some(seen("staging", 7)), "the first digest of a number stays");
}

/// A place has one pin at a time.
fn pins_are_of_one_place(open: &Open) {
    let [one, two] = [b"one", b"two"].map(|name| Digest::of(name));
    for id in [&one, &two] {
        open().merge(id, &seen("staging", 1)).unwrap();
        open().pin("/a", id).unwrap();
    }
    open().pin("/b", &one).unwrap();
    assert_eq!((open().pinned("/a").unwrap(), open().pinned("/b").unwrap()), (Some(two), Some(one)));
    assert_eq!(open().pinned("/c").unwrap(), None);
}

/// Changes of the same record at once are all kept.
fn eight_writers_lose_nothing(open: &Open) {
    let id = Digest::of(b"repository");
    thread::scope(|scope| {
        for writer in 0..8 {
            scope.spawn(move || {
                for number in 1..=5 {
                    open().merge(&id, &seen(&format!("channel-{writer}"), number)).unwrap();
                }
            });
        }
    });
    let record = open().record(&id).unwrap().unwrap();
    assert_eq!(record.channels.len(), 8);
    assert!(record.channels.values().all(|found| *found == mark(5)), "{record:?}");
}

/// Of those who lock a channel, one at a time has it.
fn lock_keeps_others_out(open: &Open) {
    let (id, inside) = (Digest::of(b"repository"), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            let inside = &inside;
            scope.spawn(move || {
                for _ in 0..20 {
                    let memory = open();
                    let lock = loop {
                        match memory.try_lock(&id, "staging").unwrap() {
                            Lock::Held(lock) => break lock,
                            Lock::Busy(name) => assert!(name.ends_with("staging.lock"), "{name}"),
                        }
                        thread::yield_now();
                    };
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(lock);
                }
            });
        }
    });
}

/// Whatever the channel is called.
fn who_holds_a_lock_can_remember(open: &Open) {
    let id = Digest::of(b"repository");
    for channel in ["record", "lock", "staging"] {
        let memory = open();
        let _lock = memory.try_lock(&id, channel).unwrap();
        memory.set_pending(&id, channel, Some(b"signed")).unwrap();
        memory.merge(&id, &seen(channel, 1)).unwrap();
        memory.set_pending(&id, channel, None).unwrap();
    }
    assert_eq!(open().record(&id).unwrap().unwrap().channels.len(), 3);
}
