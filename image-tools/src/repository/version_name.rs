//! The file of a version's name: it keeps the version for one release, for ever and in all channels.
use super::store::{Claim, Store, StoreError};
use bistable_format::{Digest, repository as names};
use semver::Version;

/// Most bytes of it.
pub(super) const BYTES: usize = 128;

/// Take the name for a release, by its identity. Who died after it has it when they come back.
///
/// # Errors
/// When the store fails.
pub(super) fn claim(
    store: &Store,
    product: &str,
    version: &Version,
    identity: &Digest,
) -> Result<Claim, StoreError> {
    store.claim(&names::version(product, version), format!("{identity}\n").as_bytes(), BYTES)
}

/// The release that the file names.
pub(super) fn named(file: &[u8]) -> Option<Digest> {
    Digest::parse(String::from_utf8_lossy(file).trim())
}
