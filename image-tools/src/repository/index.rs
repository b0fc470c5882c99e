//! `index.json`: what makes the repository an OCI image layout that other people's tools can read: the manifests of all
//! releases on offer, each with the tag `PRODUCT-VERSION`.
//!
//! It is a hint: no device reads it, and it can be made again from what the channels say. Each entry says which signed release
//! it is of, so that a change reads only the releases that are new to it. Of two that write it at once, one may lose an entry:
//! fsck finds that, and the next change repairs it.
use super::channel::{ChannelLog, OldRoot, names};
use super::manifest;
use super::roots::Roots;
use super::store::{Store, StoreError};
use bistable_format::Digest;
use bistable_format::bundle::{Frame, INDEX_NAME};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The annotation that names the signed release.
const RELEASE: &str = "org.bistable.release";
/// Most bytes of it: some ten thousand releases.
const INDEX_BYTES: usize = 8 << 20;

/// Make it say what is on offer now. Gives whether it said something else.
///
/// # Errors
/// When the store fails.
pub fn refresh(store: &Store, roots: &Roots) -> Result<bool, StoreError> {
    let there = read(store)?;
    let mut known: BTreeMap<Digest, Value> = BTreeMap::new();
    for entry in entries(there.as_deref()) {
        if let Some(release) = entry["annotations"][RELEASE].as_str().and_then(Digest::parse) {
            known.insert(release, entry);
        }
    }
    let wanted = offered(store, roots)?;
    known.retain(|release, _| wanted.contains(release));
    for release in &wanted {
        if !known.contains_key(release)
            && let Some(entry) = entry(store, roots, release)
        {
            known.insert(*release, entry);
        }
    }
    write(store, there.as_deref(), known.into_values().collect())
}

/// Make it again, believing nothing that it says. Gives whether it said something else.
///
/// # Errors
/// When the store fails.
pub fn rebuild(store: &Store, roots: &Roots) -> Result<bool, StoreError> {
    let entries = offered(store, roots)?.iter().filter_map(|release| entry(store, roots, release)).collect();
    write(store, read(store)?.as_deref(), entries)
}

/// Whether it says what is on offer.
///
/// # Errors
/// When the store fails.
pub fn is_right(store: &Store, roots: &Roots) -> Result<bool, StoreError> {
    let entries = offered(store, roots)?.iter().filter_map(|release| entry(store, roots, release)).collect();
    Ok(read(store)?.is_some_and(|there| there == text(entries)))
}

/// What is there; nothing if it's too large to be one.
fn read(store: &Store) -> Result<Option<Vec<u8>>, StoreError> {
    match store.get(INDEX_NAME, INDEX_BYTES) {
        Err(StoreError::TooLarge { .. }) => Ok(None),
        there => there,
    }
}

fn write(store: &Store, there: Option<&[u8]>, entries: Vec<Value>) -> Result<bool, StoreError> {
    let text = text(entries);
    if there == Some(&text) {
        return Ok(false);
    }
    store.put(INDEX_NAME, &text)?;
    Ok(true)
}

/// The whole file; the same for the same entries in any order.
fn text(mut entries: Vec<Value>) -> Vec<u8> {
    let tag = |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"].to_string();
    entries.sort_by_key(|entry| (tag(entry), entry["digest"].to_string()));
    entries.dedup();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    });
    format!("{index:#}\n").into_bytes()
}

fn entries(there: Option<&[u8]>) -> Vec<Value> {
    let index: Value = there.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
    index["manifests"].as_array().cloned().unwrap_or_default()
}

/// The signed releases that any channel offers.
fn offered(store: &Store, roots: &Roots) -> Result<BTreeSet<Digest>, StoreError> {
    let mut offered = BTreeSet::new();
    for name in names(store)? {
        // One that can't be trusted offers nothing.
        if let Ok(file) = ChannelLog::new(store, roots, name).newest_or_old(OldRoot::Accept) {
            offered.extend(file.channel.offers.iter().map(|o| o.release));
        }
    }
    Ok(offered)
}

/// A release's entry, as its bundle has it, and which release it is of. None for one that isn't there as it must be.
fn entry(store: &Store, roots: &Roots, release: &Digest) -> Option<Value> {
    let stored = manifest::read(store, roots, release).ok()?;
    let index = Frame::new(&stored.signed, &stored.release).index;
    let mut entry = entries(Some(index.as_bytes())).into_iter().next()?;
    let annotations: &mut Map<String, Value> = entry.get_mut("annotations")?.as_object_mut()?;
    annotations.insert(RELEASE.into(), release.to_string().into());
    Some(entry)
}
