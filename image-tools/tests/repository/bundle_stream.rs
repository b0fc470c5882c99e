//! A release of the repository, as a bundle again.
use crate::product::Product;
use crate::publish::{bundle, published};
use bistable_format::repository as names;
use bistable_image::repository::bundle_stream::BundleStream;
use bistable_image::repository::inventory::Inventory;
use bistable_image::repository::manifest::{self, ManifestError};
use bistable_image::repository::store::{Missing, Store};
use std::fs;
use std::io::Read;

#[test]
fn a_published_bundle_is_read_back_byte_for_byte() {
    let (product, folder) = (Product::new(), tempfile::tempdir().unwrap());
    let place = folder.path().join("repository");
    let store = Store::open(place.to_str().unwrap(), Missing::Create).unwrap();
    let roots = product.init(&store);
    let file = bundle(&product, &folder, 1, "one");
    published(&product, &store, &roots, &file).unwrap();
    let inventory = Inventory::read(&store, &roots, None).unwrap();
    let held = inventory.releases.values().next().unwrap();
    let stored = manifest::read(&store, &roots, &held.entry.release).unwrap();
    let mut stream = BundleStream::new(&store, &stored).unwrap();
    let (mut bytes, size) = (Vec::new(), stream.bundle_bytes());
    stream.read_to_end(&mut bytes).unwrap();
    assert!(bytes == fs::read(&file).unwrap(), "{} bytes of {size}", bytes.len());
    assert_eq!(size, bytes.len() as u64);
    // One that isn't whole is found before a byte is sent.
    let data = stored.release.content.artifacts()[0].1.data;
    fs::remove_file(place.join(names::blob(&data))).unwrap();
    let missing = BundleStream::new(&store, &stored).unwrap_err();
    assert!(matches!(missing, ManifestError::Incomplete { .. }), "{missing:?}");
}
