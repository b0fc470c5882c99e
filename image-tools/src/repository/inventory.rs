//! What a repository holds: every release that any channel ever had, and what the channels make of it now.
use super::catalog::{self, CatalogError};
use super::channel::{ChannelError, ChannelFile, ChannelLog, names};
use super::roots::Roots;
use super::store::{Store, StoreError};
use bistable_format::{Channel, Digest};
use serde::Serialize;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Why it can't be found out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of a channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Of a channel's catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// What a channel makes of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Standing {
    /// It offered it once.
    Past,
    /// It withdrew it.
    Withdrawn,
    /// It offers it.
    Offered,
}

impl Standing {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Standing::Past => "past",
            Standing::Withdrawn => "withdrawn",
            Standing::Offered => "offered",
        }
    }
}

/// A release in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRelease {
    /// What the catalog says of it, where it came in first.
    pub entry: catalog::Entry,
    /// The channels that ever had it, what they make of it now, and since when they have it.
    pub channels: BTreeMap<String, (Standing, u64)>,
    /// Whether a channel keeps it from being pruned.
    pub pinned: bool,
    /// Its blobs: one, or more if it was signed again and published again.
    pub signed: BTreeSet<Digest>,
}

/// All of a repository.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The newest file of each channel, by name.
    pub channels: BTreeMap<String, ChannelFile>,
    /// Releases by identity.
    pub releases: BTreeMap<Digest, HeldRelease>,
}

impl Inventory {
    /// Read the newest file of every channel, or of one, and the catalogs; no release is read.
    ///
    /// # Errors
    /// See [`InventoryError`].
    pub fn read(store: &Store, roots: &Roots, only: Option<&str>) -> Result<Inventory, InventoryError> {
        let wanted = match only {
            Some(name) => vec![name.to_owned()],
            None => names(store)?,
        };
        let mut inventory = Inventory { channels: BTreeMap::new(), releases: BTreeMap::new() };
        for name in wanted {
            let file = ChannelLog::new(store, roots, name.as_str()).newest()?;
            let channel = &file.channel;
            for entry in catalog::newest_first(store, &channel.catalog) {
                let entry = entry?;
                let here = HeldRelease::of(channel, entry);
                match inventory.releases.entry(here.entry.identity) {
                    Entry::Vacant(place) => {
                        place.insert(here);
                    }
                    Entry::Occupied(mut there) => there.get_mut().join(here),
                }
            }
            inventory.channels.insert(name, file);
        }
        Ok(inventory)
    }

    /// Releases by what they are versions of, newest version first: a product's images before its components.
    pub fn sorted(&self) -> Vec<&HeldRelease> {
        let mut all: Vec<&HeldRelease> = self.releases.values().collect();
        all.sort_by(|a, b| {
            a.entry
                .subject()
                .cmp(&b.entry.subject())
                .then(b.entry.version.cmp_precedence(&a.entry.version))
                .then(b.entry.at.cmp(&a.entry.at))
        });
        all
    }
}

impl HeldRelease {
    /// What one channel makes of a release in its catalog.
    pub(super) fn of(channel: &Channel, entry: catalog::Entry) -> HeldRelease {
        let offer = channel.offer(&entry.identity);
        let standing = match offer {
            Some(_) => Standing::Offered,
            None if channel.withdrawal(&entry.identity).is_some() => Standing::Withdrawn,
            None => Standing::Past,
        };
        HeldRelease {
            channels: [(channel.name.clone(), (standing, entry.at))].into(),
            pinned: channel.pins.contains(&entry.identity),
            signed: [entry.release].into_iter().chain(offer.map(|o| o.release)).collect(),
            entry,
        }
    }

    /// What the same or another channel makes of it, too.
    fn join(&mut self, other: HeldRelease) {
        self.channels.extend(other.channels);
        self.signed.extend(other.signed);
        self.pinned |= other.pinned;
    }

    /// What the most interested channel makes of it.
    pub fn standing(&self) -> Standing {
        self.channels.values().map(|(standing, _)| *standing).max().unwrap_or(Standing::Past)
    }

    /// Whether a channel withdrew it.
    pub fn is_withdrawn(&self) -> bool {
        self.channels.values().any(|(standing, _)| *standing == Standing::Withdrawn)
    }

    /// When it came into the repository, in seconds since 1970.
    pub fn since(&self) -> u64 {
        self.channels.values().map(|(_, at)| *at).min().unwrap_or(self.entry.at)
    }
}
