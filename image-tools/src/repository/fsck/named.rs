//! Files that have to fit their names: those of versions and attestations. Devices read neither, but a wrong one keeps a version from
//! being published, or a release from being promoted.
use super::{Fault, Report};
use crate::repository::store::{Store, StoreError};
use crate::repository::version_claim::Named;
use crate::repository::{attestation_file, version_claim};
use bistable_format::{Digest, Envelope, repository as names};
use std::collections::{BTreeMap, BTreeSet};

/// The releases that catalogs have of each version.
pub(super) type Versions = BTreeMap<Named, BTreeSet<Digest>>;

/// Versions that the catalogs have, and that have no file.
pub(super) struct Unnamed<'a>(BTreeSet<&'a Named>);

impl Unnamed<'_> {
    pub(super) fn report_missing(self, report: &mut Report) {
        for (product, component, version) in self.0 {
            let text = "is gone: another release could be published under this version; `bistable-image fsck --repair` makes it \
                        again";
            report.add(Fault::Unnamed, names::version((product, component.as_deref()), version), text);
        }
    }
}

/// Whether each version's file names a release, and the one that the catalogs have, if they have one. Gives those without a
/// file.
pub(super) fn versions<'a>(
    store: &Store,
    report: &mut Report,
    known: &'a Versions,
) -> Result<Unnamed<'a>, StoreError> {
    let mut unnamed: BTreeSet<_> = known.keys().collect();
    for file in store.list("versions")? {
        let Some(version) = version_claim::version(&file.path) else {
            report.add(Fault::Foreign, file.path, "is not the name of a version");
            continue;
        };
        unnamed.remove(&version);
        match small(store, &file.path, version_claim::BYTES)?.as_deref().and_then(version_claim::named) {
            None => {
                let text = "names no release: this version can't be published before the file is removed";
                report.add(Fault::Foreign, file.path, text);
            }
            Some(release) if known.get(&version).is_some_and(|there| !there.contains(&release)) => {
                let text = format!("names another release ({release:.12}) than the catalog has");
                report.add(Fault::Foreign, file.path, text);
            }
            Some(_) => {}
        }
    }
    Ok(Unnamed(unnamed))
}

/// Whether each attestation is one, and signed by the key that its name says. Whose word counts, a channel's gates say.
pub(super) fn attestations(store: &Store, report: &mut Report) -> Result<(), StoreError> {
    for file in store.list("attestations")? {
        let bytes = small(store, &file.path, Envelope::MAX_BYTES)?.unwrap_or_default();
        if let Err(e) = attestation_file::signer(&file.path, &bytes) {
            report.add(Fault::Foreign, file.path, e.to_string());
        }
    }
    Ok(())
}

/// A file's bytes; none if it has more than it can have.
fn small(store: &Store, path: &str, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
    match store.get(path, limit) {
        Err(StoreError::TooLarge { .. }) => Ok(None),
        bytes => bytes,
    }
}
