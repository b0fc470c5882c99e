//! The blobs of a repository, and which of them each release consists of: releases share what is the same in them.
use super::{Parts, PruneError};
use crate::repository::delta_file;
use crate::repository::inventory::Inventory;
use crate::repository::manifest::{self, ManifestError};
use crate::repository::roots::Roots;
use crate::repository::store::{Store, StoreError};
use bistable_format::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// The blobs of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Bytes of each blob that is there, whatever names it.
    pub bytes: BTreeMap<Digest, u64>,
    /// What each release consists of, by its identity. A blob may belong to many.
    pub of: BTreeMap<Digest, BTreeSet<Digest>>,
    /// What each image brings along, by identities.
    pub bound: BTreeMap<Digest, BTreeSet<Digest>>,
    /// What makes a release from another one.
    pub deltas: Vec<DeltaFiles>,
}

/// A delta, and its blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaFiles {
    /// What it makes.
    pub target: Digest,
    /// What it takes.
    pub base: Digest,
    /// Its blobs. Others may have the same.
    pub blobs: BTreeSet<Digest>,
}

impl Files {
    /// List the blobs, and read what each release consists of. What can't be read or trusted consists of itself alone.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read(store: &Store, roots: &Roots, inventory: &Inventory) -> Result<Files, PruneError> {
        let mut parts = Parts::new(store, roots);
        let mut files = Files { bytes: manifest::blobs(store)?, ..Files::default() };
        for (identity, held) in &inventory.releases {
            let mut all = held.signed.clone();
            for signed in &held.signed {
                match parts.of(signed) {
                    Ok(more) => {
                        all.extend(&more.blobs);
                        if !more.bound.is_empty() {
                            files.bound.entry(*identity).or_default().extend(&more.bound);
                        }
                    }
                    Err(ManifestError::Store(e)) => return Err(e.into()),
                    Err(_) => {}
                }
            }
            files.of.insert(*identity, all);
        }
        for delta in delta_file::all(store, roots)?.into_known() {
            let blobs = delta.parts().iter().map(|part| part.digest).collect();
            files.deltas.push(DeltaFiles { target: delta.delta.target, base: delta.delta.base, blobs });
        }
        Ok(files)
    }
}

/// Bytes of all blobs that are there.
///
/// # Errors
/// When the store fails.
pub fn blob_bytes(store: &Store) -> Result<u64, StoreError> {
    Ok(manifest::blobs(store)?.values().sum())
}
