//! A channel's releases, newest first: as much of the catalog is read as is needed for those that are wanted.
use super::catalog::{self, CatalogError};
use super::inventory::HeldRelease;
use super::store::Store;
use bistable_format::{Channel, Digest};
use std::collections::HashSet;

/// Which releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those on offer now.
    Offered,
    /// All that the channel ever had.
    All,
}

/// The channel's releases, newest first, each once. After an error there is nothing more.
pub fn listing<'a>(
    store: &'a Store,
    channel: &'a Channel,
    wanted: Wanted,
) -> impl Iterator<Item = Result<HeldRelease, CatalogError>> + 'a {
    let mut entries = catalog::newest_first(store, &channel.catalog);
    // A release that comes back into a channel stands in its catalog twice.
    let mut seen: HashSet<Digest> = HashSet::new();
    let mut offered: HashSet<Digest> = channel.offers.iter().map(|o| o.identity).collect();
    let mut failed = false;
    std::iter::from_fn(move || {
        loop {
            if failed || (wanted == Wanted::Offered && offered.is_empty()) {
                return None;
            }
            match entries.next()? {
                Err(e) => {
                    failed = true;
                    return Some(Err(e));
                }
                Ok(entry) => {
                    let fits = match wanted {
                        Wanted::Offered => offered.remove(&entry.identity),
                        Wanted::All => seen.insert(entry.identity),
                    };
                    if fits {
                        return Some(Ok(HeldRelease::of(channel, entry)));
                    }
                }
            }
        }
    })
}
