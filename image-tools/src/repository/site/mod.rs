//! The site: one page for people, made of what the repository says, and a manifest for Raspberry Pi Imager beside it.
//!
//! | file | noun |
//! |---|---|
//! | `page` | the page: nothing from elsewhere, light and dark, one script for what depends on when it is read |
//! | `imager` | the list that Raspberry Pi Imager shows |
//! | `about` | what is known of a release besides its offers |
mod about;
mod imager;
mod page;

pub use about::{About, about};
pub use imager::{Card, Download, downloads, imager};
pub use page::page;

use super::delta_file::StoredDelta;
use super::inventory::Inventory;
use bistable_format::{Digest, Offer};
use std::collections::BTreeMap;

/// What the page shows.
#[derive(Clone, Debug)]
pub struct Site<'a> {
    /// A name for people.
    pub title: &'a str,
    /// Where devices find the repository, if that is known.
    pub url: Option<&'a str>,
    /// What there is.
    pub inventory: &'a Inventory,
    /// Its deltas.
    pub deltas: &'a [StoredDelta],
    /// What is known of the releases on offer, by their identities.
    pub about: &'a BTreeMap<Digest, About>,
    /// Card images.
    pub downloads: &'a [Download],
    /// What comes before the path of a repository's file, so that the page can lead to it: an address, or nothing if the page lies
    /// in the repository. Without it, the page has no such links.
    pub files: Option<String>,
    /// Seconds since 1970.
    pub now: u64,
}

/// An offer with what the catalog says of it.
struct Row<'a> {
    offer: &'a Offer,
    bytes: u64,
    description: &'a str,
    about: &'a About,
}

impl Site<'_> {
    /// A channel's offers, images before components, newest first.
    fn rows(&self, channel: &str) -> Vec<Row<'_>> {
        let Some(file) = self.inventory.channels.get(channel) else { return Vec::new() };
        let about = |identity| self.about.get(identity).unwrap_or(&about::NOTHING);
        let mut rows: Vec<Row<'_>> = file
            .channel
            .offers
            .iter()
            .map(|offer| {
                let held = self.inventory.releases.get(&offer.identity);
                Row {
                    offer,
                    bytes: held.map_or(0, |h| h.entry.bytes),
                    description: held.map_or("", |h| h.entry.description.as_str()),
                    about: about(&offer.identity),
                }
            })
            .collect();
        rows.sort_by(|a, b| {
            let (x, y) = (&a.offer.constraints, &b.offer.constraints);
            x.subject().cmp(&y.subject()).then(y.version.cmp_precedence(&x.version))
        });
        rows
    }

    /// From which versions a device fetches how many bytes to have a release, newest version first.
    fn deltas(&self, identity: &Digest) -> Vec<(&semver::Version, u64)> {
        let to = self.deltas.iter().filter(|stored| stored.delta.target == *identity);
        let mut deltas: Vec<_> = to
            .filter_map(|stored| {
                let base = self.inventory.releases.get(&stored.delta.base)?;
                Some((&base.entry.version, stored.bytes()))
            })
            .collect();
        deltas.sort_by(|a, b| b.0.cmp_precedence(a.0));
        deltas
    }

    /// The channels that also offer a release, but for this one.
    fn also_in(&self, identity: &Digest, but: &str) -> Vec<&str> {
        self.inventory
            .channels
            .iter()
            .filter(|(name, file)| *name != but && file.channel.offer(identity).is_some())
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Channels in the order that releases take: staging first, production last.
    fn channels(&self) -> Vec<&str> {
        let rank = |name: &str| match name {
            "staging" => 0,
            "production" => 2,
            _ => 1,
        };
        let mut all: Vec<&str> = self.inventory.channels.keys().map(String::as_str).collect();
        all.sort_by_key(|name| (rank(name), *name));
        all
    }
}
