//! `build --bind`: a component's release, from a bundle or from a repository.
use super::place::Place;
use crate::build::BoundRelease;
use crate::error::Error;
use crate::repository::edit::Selector;
use crate::repository::inventory::Inventory;
use crate::repository::manifest::{self, Stored};
use crate::repository::roots::Roots;
use crate::repository::store::{Missing, Store};
use crate::verify;
use bistable_format::name::what;
use bistable_format::{Bound, Release, Root, release};
use semver::Version;
use std::path::Path;

/// Find and verify all of them.
pub(super) fn releases(
    binds: &[String],
    place: &Place,
    product: &str,
    root: Option<&Root>,
) -> Result<Vec<BoundRelease>, Error> {
    let Some(root) = root else { return Ok(Vec::new()) };
    binds.iter().map(|text| one(text, place, product, root)).collect()
}

fn one(text: &str, place: &Place, product: &str, root: &Root) -> Result<BoundRelease, Error> {
    // A file is what lies there, whatever its name looks like.
    let named = text.split_once('=').filter(|_| !Path::new(text).exists());
    let named = named.and_then(|(name, version)| Some((name, Version::parse(version).ok()?)));
    match named {
        Some((name, version)) => {
            let wanted = Wanted { option: "--bind", name, which: Which::Version(&version), product };
            let (_, stored, release) = stored(&wanted, place, root)?;
            Ok(BoundRelease { release, identity: stored.identity })
        }
        None => {
            let reader = verify::open(Path::new(text), root)?;
            let identity = release::identity(reader.signed_release());
            Ok(BoundRelease { release: reader.release().clone(), identity })
        }
    }
}

/// A component's release in the repository.
pub(super) struct Wanted<'a> {
    /// The option that asks for it, for messages.
    pub(super) option: &'static str,
    pub(super) name: &'a str,
    pub(super) which: Which<'a>,
    pub(super) product: &'a str,
}

/// Which of its releases.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    Version(&'a Version),
    /// The one that an image binds.
    Bound(&'a Bound),
}

/// Find and verify it: the repository, what it says of the release, and the release.
pub(super) fn stored(
    wanted: &Wanted<'_>,
    place: &Place,
    root: &Root,
) -> Result<(Store, Stored, Release), Error> {
    let Wanted { option, name, which, product } = *wanted;
    let version = match which {
        Which::Version(version) => version,
        Which::Bound(bound) => &bound.version,
    };
    let store = place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let inventory = Inventory::read(&store, &roots, None)?;
    let selector =
        Selector { product: Some(product.into()), component: Some(name.into()), what: version.to_string() };
    let found = inventory.releases.values().find(|held| {
        let entry = &held.entry;
        let is_bound = match which {
            Which::Version(_) => true,
            Which::Bound(bound) => bound.identity == entry.identity,
        };
        is_bound && selector.is_meant(entry.subject(), &entry.version, &entry.identity)
    });
    let Some(held) = found else {
        let what = what((product, Some(name)));
        return Err(Error::Usage(format!(
            "{option} {name}={version}: {} has no {what} {version}; `bistable-image search --component {name}` shows what there is",
            store.place()
        )));
    };
    if held.is_withdrawn() {
        return Err(Error::Usage(format!(
            "{option} {name}={version}: it was withdrawn, because it is bad: take another version"
        )));
    }
    let stored = manifest::read(&store, &roots, &held.entry.release)?;
    // Devices believe the root that this image is built for.
    let release = Release::open(&stored.signed, root).map_err(|e| {
        Error::Usage(format!("{option} {name}={version}: devices with this root would refuse it: {e}"))
    })?;
    Ok((store, stored, release))
}
