//! What is known of a release besides what its offers say.
use crate::repository::attestation_file;
use crate::repository::inventory::Inventory;
use crate::repository::manifest::{self, ManifestError};
use crate::repository::roots::Roots;
use crate::repository::store::{Store, StoreError};
use bistable_format::content::Blob;
use bistable_format::{Digest, Envelope, repository as names};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// What a key that gates or roots name attested of it: `tests-passed`.
    pub attested: Vec<String>,
    /// The components that it brings along, with their versions.
    pub bound: Vec<String>,
    /// What a device must have before.
    pub requires: Vec<String>,
    /// Its SBOM.
    pub sbom: Option<Blob>,
}

/// Nothing.
pub(super) static NOTHING: About =
    About { attested: Vec::new(), bound: Vec::new(), requires: Vec::new(), sbom: None };

/// What is known of all releases on offer. Of one that can't be read or trusted nothing is.
///
/// # Errors
/// When the store fails.
pub fn about(
    store: &Store,
    roots: &Roots,
    inventory: &Inventory,
) -> Result<BTreeMap<Digest, About>, StoreError> {
    let attestors = attestation_file::attestors(store, roots)?;
    let mut all = BTreeMap::new();
    for offer in inventory.channels.values().flat_map(|file| &file.channel.offers) {
        if all.contains_key(&offer.identity) {
            continue;
        }
        let mut attested = BTreeSet::new();
        for file in store.list(&names::attestations(&offer.identity))? {
            let bytes = match store.get(&file.path, Envelope::MAX_BYTES) {
                Err(StoreError::TooLarge { .. }) => None,
                bytes => bytes?,
            };
            let opened = attestation_file::open(&file.path, &bytes.unwrap_or_default(), &attestors);
            attested.extend(opened.map(|attestation| attestation.kind));
        }
        let mut about = About { attested: attested.into_iter().collect(), ..About::default() };
        match manifest::read(store, roots, &offer.release) {
            Ok(stored) => {
                let (release, requires) = (&stored.release, &stored.release.requires);
                about.bound =
                    release.bound.iter().map(|b| format!("{} {}", b.component, b.version)).collect();
                let running = requires.running.iter().map(|req| format!("{} {req}", release.product()));
                let components = requires.components.iter().map(|(name, req)| format!("{name} {req}"));
                about.requires = running.chain(components).collect();
                about.sbom = release.sbom_file();
            }
            Err(ManifestError::Store(e)) => return Err(e),
            Err(_) => {}
        }
        all.insert(offer.identity, about);
    }
    Ok(all)
}
