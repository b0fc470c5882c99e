//! `build --bind`: a component's release, from a bundle or from a repository.
use super::place::Place;
use crate::build::BoundRelease;
use crate::error::Error;
use crate::repository::edit::Selector;
use crate::repository::inventory::{Inventory, Standing};
use crate::repository::manifest;
use crate::repository::roots::Roots;
use crate::repository::store::Missing;
use crate::verify;
use bistable_format::name::what;
use bistable_format::{Release, Root, release};
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
        Some((name, version)) => stored((name, &version), place, product, root),
        None => {
            let reader = verify::open(Path::new(text), root)?;
            let identity = release::identity(reader.signed_release());
            Ok(BoundRelease { release: reader.release().clone(), identity })
        }
    }
}

fn stored(
    (name, version): (&str, &Version),
    place: &Place,
    product: &str,
    root: &Root,
) -> Result<BoundRelease, Error> {
    let store = place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let inventory = Inventory::read(&store, &roots, None)?;
    let which =
        Selector { product: Some(product.into()), component: Some(name.into()), what: version.to_string() };
    let found = inventory.releases.values().find(|held| {
        let entry = &held.entry;
        which.is_meant(entry.subject(), &entry.version, &entry.identity)
    });
    let Some(held) = found else {
        let what = what((product, Some(name)));
        return Err(Error::Usage(format!(
            "--bind {name}={version}: {} has no {what} {version}; `bistable-image search --component {name}` shows what there is",
            store.place()
        )));
    };
    if held.channels.values().any(|(standing, _)| *standing == Standing::Withdrawn) {
        return Err(Error::Usage(format!(
            "--bind {name}={version}: it was withdrawn, because it is bad: bind another version"
        )));
    }
    let stored = manifest::read(&store, &roots, &held.entry.release)?;
    // Devices believe the root that this image is built for.
    let release = Release::open(&stored.signed, root).map_err(|e| {
        Error::Usage(format!("--bind {name}={version}: devices with this root would refuse it: {e}"))
    })?;
    Ok(BoundRelease { release, identity: stored.identity })
}
