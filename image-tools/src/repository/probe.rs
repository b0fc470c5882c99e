//! The probe: whether a store tells the truth about create-if-absent. Some S3 servers take the request and write over what is
//! there: with such a one, two writers lose each other's commits, silently.
use super::store::{Claim, Store, StoreError};
use std::sync::Barrier;
use std::thread;

/// Writers at once.
const WRITERS: u8 = 8;
/// Times that they race.
const ROUNDS: u32 = 8;

/// Why a store can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It lies.
    #[error(
        "{place} does not keep what was created first ({lie}): two people who publish at once would lose each other's work. Use a local directory or a store that knows If-None-Match, or --single-writer if only ever one program at a time writes there"
    )]
    Liar {
        /// The store.
        place: String,
        /// What it did.
        lie: Lie,
    },
    /// The system gives no randomness for an unused name.
    #[error("the system gives no random numbers")]
    Random,
}

/// What a lying store does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lie {
    /// A second create of the same name is said to have made it.
    #[error("a name was created twice")]
    Twice,
    /// A second create is refused and done nonetheless.
    #[error("a refused creation changed the content")]
    Changed,
    /// Not exactly one of those who created a name at once was told that it did.
    #[error("{winners} of {WRITERS} at once created the same name")]
    Race {
        /// How many were.
        winners: usize,
    },
    /// What is there isn't what the winner wrote.
    #[error("the winner's content was replaced")]
    Replaced,
}

/// Find out. Leaves nothing behind.
///
/// # Errors
/// [`ProbeError::Liar`], and whatever keeps it from being found out.
pub fn probe(store: &Store) -> Result<(), ProbeError> {
    let unique = getrandom::u64().map_err(|_| ProbeError::Random)?;
    let folder = format!("probe/{unique:016x}");
    let result = sequential(store, &folder)
        .and_then(|()| (0..ROUNDS).try_for_each(|round| race(store, &format!("{folder}/race-{round}"))));
    let removed = remove(store, &folder);
    result?;
    Ok(removed?)
}

fn sequential(store: &Store, folder: &str) -> Result<(), ProbeError> {
    let path = format!("{folder}/twice");
    let liar = |lie| Err(ProbeError::Liar { place: store.place().into(), lie });
    // Claims, as commits are: a request that was sent twice meets its own file.
    if store.claim(&path, b"first", 16)? != Claim::Ours {
        return liar(Lie::Changed);
    }
    if store.claim(&path, b"second", 16)? == Claim::Ours {
        return liar(Lie::Twice);
    }
    match store.get(&path, 16)? {
        Some(content) if content == b"first" => Ok(()),
        _ => liar(Lie::Changed),
    }
}

fn race(store: &Store, path: &str) -> Result<(), ProbeError> {
    let start = Barrier::new(usize::from(WRITERS));
    let results: Vec<(u8, Result<Claim, StoreError>)> = thread::scope(|scope| {
        let start = &start;
        let racers: Vec<_> = (0..WRITERS)
            .map(|n| {
                scope.spawn(move || {
                    start.wait();
                    (n, store.claim(path, &[n], 16))
                })
            })
            .collect();
        racers.into_iter().filter_map(|racer| racer.join().ok()).collect()
    });
    let mut winners = Vec::new();
    for (n, result) in results {
        if result? == Claim::Ours {
            winners.push(n);
        }
    }
    let liar = |lie| Err(ProbeError::Liar { place: store.place().into(), lie });
    let [winner] = winners.as_slice() else { return liar(Lie::Race { winners: winners.len() }) };
    if store.get(path, 16)?.as_deref() == Some(&[*winner]) { Ok(()) } else { liar(Lie::Replaced) }
}

fn remove(store: &Store, folder: &str) -> Result<(), StoreError> {
    store.list(folder)?.iter().try_for_each(|file| store.delete(&file.path))
}
