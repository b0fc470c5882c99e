//! What a repository holds: every release that any channel ever had, and what the channels make of it now.
use super::catalog::{self, CatalogError, Entry};
use super::channel::{ChannelError, ChannelFile, Log, names};
use super::roots::Roots;
use super::store::{Store, StoreError};
use bistable_format::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// Why it can't be found out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HoldingsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of a channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Of a channel's catalogue.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// What a channel makes of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It was there once.
    Past,
    /// Taken off, because it is bad.
    Withdrawn,
    /// On offer.
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
pub struct Held {
    /// What the catalogue says of it, where it came in first.
    pub entry: Entry,
    /// The channels that ever had it, what they make of it now, and since when they have it.
    pub channels: BTreeMap<String, (Standing, u64)>,
    /// Whether a channel keeps it from being pruned.
    pub pinned: bool,
    /// Its blobs: one, or more if it was signed again and published again.
    pub signed: BTreeSet<Digest>,
}

/// All of a repository.
#[derive(Clone, Debug)]
pub struct Holdings {
    /// The newest file of each channel, by name.
    pub channels: BTreeMap<String, ChannelFile>,
    /// Releases by identity.
    pub releases: BTreeMap<Digest, Held>,
}

impl Holdings {
    /// Read the newest file of every channel, or of one, and the catalogues; no release is read.
    ///
    /// # Errors
    /// See [`HoldingsError`].
    pub fn read(store: &Store, roots: &Roots, only: Option<&str>) -> Result<Holdings, HoldingsError> {
        let wanted = match only {
            Some(name) => vec![name.to_owned()],
            None => names(store)?,
        };
        let mut holdings = Holdings { channels: BTreeMap::new(), releases: BTreeMap::new() };
        for name in wanted {
            let file = Log::new(store, roots, name.as_str()).newest()?;
            let channel = &file.channel;
            for entry in catalog::newest_first(store, &channel.catalog) {
                let entry = entry?;
                let (identity, at, signed) = (entry.identity, entry.at, entry.release);
                let standing = if channel.offer(&identity).is_some() {
                    Standing::Offered
                } else if channel.withdrawal(&identity).is_some() {
                    Standing::Withdrawn
                } else {
                    Standing::Past
                };
                let new =
                    || Held { entry, channels: BTreeMap::new(), pinned: false, signed: BTreeSet::new() };
                let held = holdings.releases.entry(identity).or_insert_with(new);
                held.channels.insert(name.clone(), (standing, at));
                held.signed.insert(signed);
                held.signed.extend(channel.offer(&identity).map(|o| o.release));
                held.pinned |= channel.pins.contains(&identity);
            }
            holdings.channels.insert(name, file);
        }
        Ok(holdings)
    }

    /// Releases by product, newest version first.
    pub fn sorted(&self) -> Vec<&Held> {
        let mut all: Vec<&Held> = self.releases.values().collect();
        all.sort_by(|a, b| {
            a.entry
                .product
                .cmp(&b.entry.product)
                .then(b.entry.version.cmp_precedence(&a.entry.version))
                .then(b.entry.at.cmp(&a.entry.at))
        });
        all
    }
}

impl Held {
    /// What the most interested channel makes of it.
    pub fn standing(&self) -> Standing {
        self.channels.values().map(|(standing, _)| *standing).max().unwrap_or(Standing::Past)
    }

    /// When it came into the repository, in seconds since 1970.
    pub fn since(&self) -> u64 {
        self.channels.values().map(|(_, at)| *at).min().unwrap_or(self.entry.at)
    }
}
