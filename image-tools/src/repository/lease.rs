//! Leases: files that a publish relies on, though no channel names them yet.
//!
//! Whoever publishes finds some of a release's files there already, and a prune may be about to remove just these. So each says
//! what it is at before it looks what the other is at, and one of the two sees the other:
//!
//! ```text
//! publish: write the lease ─► is a prune at one of these? then not now ─► upload, commit ─► remove the lease
//! prune:   write what may go ─► read the leases, then the channels ─► remove what neither names
//! ```
//! A lease whose owner died expires after [`LONGEST`].
use super::store::{Store, StoreError};
use crate::clock::Clock;
use bistable_format::Digest;
use std::collections::BTreeSet;

/// Seconds after which a lease has expired: no upload takes a week.
pub const LONGEST: u64 = 7 * 86_400;
/// Where leases are.
const HOLDS: &str = "holds";
/// Where prunes say what they are at.
pub(super) const PRUNES: &str = "prune";
/// End of the name of such a file.
pub(super) const PENDING: &str = ".pending";
/// Most bytes of these: half a million digests.
pub(super) const NOTE_BYTES: usize = 32 << 20;

/// Why a lease can't be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A prune is removing just these.
    #[error(
        "a prune of {place} is under way ({note}): try again when it is done; if it was stopped, run `bistable-image prune` again, which finishes it"
    )]
    Pruning {
        /// The repository.
        place: String,
        /// What the prune wrote.
        note: String,
    },
    /// The system gives no randomness.
    #[error("the system gives no random numbers")]
    Random,
}

/// Files that are relied on until this is dropped.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    path: String,
}

impl Lease {
    /// Take a lease on these blobs.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub fn take(
        store: &Store,
        clock: &dyn Clock,
        blobs: impl IntoIterator<Item = Digest>,
    ) -> Result<Lease, LeaseError> {
        let nonce = getrandom::u64().map_err(|_| LeaseError::Random)?;
        let blobs: BTreeSet<Digest> = blobs.into_iter().collect();
        let lease = Lease { store: store.clone(), path: format!("{HOLDS}/{nonce:016x}") };
        store.put(&lease.path, note(clock.now(), &blobs).as_bytes())?;
        for (path, pending) in pendings(store)? {
            if !pending.is_disjoint(&blobs) {
                return Err(LeaseError::Pruning { place: store.place().into(), note: path });
            }
        }
        Ok(lease)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // One that stays ends by itself.
        let _ = self.store.delete(&self.path);
    }
}

/// All blobs that are leased. Removes leases whose owner died long ago.
///
/// # Errors
/// Whatever keeps them from being read.
pub fn held(store: &Store, now: u64) -> Result<BTreeSet<Digest>, StoreError> {
    let mut held = BTreeSet::new();
    for file in store.list(HOLDS)? {
        let text = store.get(&file.path, NOTE_BYTES)?.unwrap_or_default();
        let (at, blobs) = parse(&text);
        // One from far in the future would never end.
        if now.abs_diff(at) > LONGEST {
            store.delete(&file.path)?;
        } else {
            held.extend(blobs);
        }
    }
    Ok(held)
}

/// What prunes are at: each one's file, with the blobs that it may remove.
pub(super) fn pendings(store: &Store) -> Result<Vec<(String, BTreeSet<Digest>)>, StoreError> {
    let mut pendings = Vec::new();
    for file in store.list(PRUNES)?.into_iter().filter(|f| f.path.ends_with(PENDING)) {
        let text = store.get(&file.path, NOTE_BYTES)?.unwrap_or_default();
        pendings.push((file.path, parse(&text).1));
    }
    Ok(pendings)
}

/// A time, and a digest a line.
pub(super) fn note<'a>(at: u64, blobs: impl IntoIterator<Item = &'a Digest>) -> String {
    std::iter::once(format!("{at}\n")).chain(blobs.into_iter().map(|digest| format!("{digest}\n"))).collect()
}

/// Total: what is no digest says nothing.
fn parse(text: &[u8]) -> (u64, BTreeSet<Digest>) {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let at = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    (at, lines.filter_map(Digest::parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::store::Memory;
    use std::time::Duration;

    #[derive(Debug)]
    struct At(u64);

    impl Clock for At {
        fn now(&self) -> u64 {
            self.0
        }

        fn wait(&self, _: Duration) {}
    }

    #[test]
    fn what_is_held_is_known_until_it_is_let_go_or_forgotten() {
        let store = Store::new(Memory::new());
        let [a, b] = [b"a", b"b"].map(|x| Digest::of(x));
        let lease = Lease::take(&store, &At(100), [a, b]).unwrap();
        assert_eq!(held(&store, 100 + LONGEST).unwrap(), [a, b].into());
        drop(lease);
        assert!(held(&store, 100).unwrap().is_empty());
        std::mem::forget(Lease::take(&store, &At(100), [a]).unwrap());
        store.put("holds/x", b"no time\nno digest\n").unwrap();
        assert_eq!(held(&store, 101 + LONGEST).unwrap(), [].into());
        assert!(store.list("holds").unwrap().is_empty());
    }

    #[test]
    fn what_a_prune_is_at_cannot_be_held() {
        let store = Store::new(Memory::new());
        let [a, b] = [b"a", b"b"].map(|x| Digest::of(x));
        store.put("prune/1.pending", note(1, [&a]).as_bytes()).unwrap();
        assert!(Lease::take(&store, &At(100), [b]).is_ok());
        assert!(matches!(Lease::take(&store, &At(100), [a, b]), Err(LeaseError::Pruning { .. })));
        assert!(store.list("holds").unwrap().is_empty());
    }
}
