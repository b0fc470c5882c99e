//! What fsck can repair by itself: hints are made again, and files are removed that are worth nothing.
use super::{Fault, Report, deltas};
use crate::repository::catalog::Entry;
use crate::repository::index;
use crate::repository::inventory::{HeldRelease, Inventory};
use crate::repository::manifest;
use crate::repository::roots::Roots;
use crate::repository::sequence::Sequence;
use crate::repository::store::{Claim, Store, StoreError};
use crate::repository::version_claim;
use bistable_format::bundle::{INDEX_NAME, blob_digest};
use bistable_format::repository as names;
use std::collections::BTreeMap;

/// What was repaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Hints made again.
    pub hints: u64,
    /// Blobs removed because their bytes weren't what their names say: `publish` and `sync` skip what is there.
    pub damaged: u64,
    /// Deltas removed that only blocked their names.
    pub deltas: u64,
    /// Files of versions' names made again.
    pub names: u64,
    /// Files removed that a program left which was stopped.
    pub leftovers: u64,
}

/// Mend what was found.
///
/// # Errors
/// When the store fails.
pub fn repair(store: &Store, roots: &Roots, report: &Report) -> Result<Repaired, StoreError> {
    let mut done = Repaired::default();
    if report.problems.iter().any(|p| p.fault == Fault::Unnamed) {
        done.names = names_again(store, roots, report)?;
    }
    for problem in &report.problems {
        let path = problem.path.as_str();
        match problem.fault {
            Fault::Hint if path == INDEX_NAME => done.hints += u64::from(index::rebuild(store, roots)?),
            Fault::Hint => done.hints += u64::from(mend_hint(store, path)?),
            Fault::Damaged => done.damaged += u64::from(remove_damaged(store, path)?),
            Fault::Leftover => {
                store.remove_leftover(path)?;
                done.leftovers += 1;
            }
            _ => {}
        }
    }
    // After the blobs: a delta of one that was removed is worth nothing.
    if report.is_serious() {
        done.deltas = deltas::remove(store, roots, report)?;
    }
    Ok(done)
}

fn mend_hint(store: &Store, path: &str) -> Result<bool, StoreError> {
    let Some(folder) = path.strip_suffix("/latest") else { return Ok(false) };
    let sequence = match folder.strip_prefix("channels/") {
        Some(name) => Sequence::Channel(name.into()),
        None => Sequence::Audit,
    };
    let newest = sequence.newest(store)?;
    if newest > 0 {
        sequence.write_hint(store, newest)?;
    }
    Ok(newest > 0)
}

/// Give the versions' names to the releases that the catalogs have under them, each to one.
fn names_again(store: &Store, roots: &Roots, report: &Report) -> Result<u64, StoreError> {
    // What can't be read was told of already.
    let Ok(inventory) = Inventory::read(store, roots, None) else { return Ok(0) };
    let mut releases: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
    for HeldRelease { entry, .. } in inventory.releases.values() {
        releases.entry(names::version(entry.subject(), &entry.version)).or_default().push(entry);
    }
    let mut done = 0;
    for problem in report.problems.iter().filter(|p| p.fault == Fault::Unnamed) {
        if let Some([only]) = releases.get(&problem.path).map(Vec::as_slice) {
            let claimed = version_claim::claim(store, only.subject(), &only.version, &only.identity)?;
            done += u64::from(claimed == Claim::Ours);
        }
    }
    Ok(done)
}

/// Remove a blob, but only if it was read whole and is another one: what can't be read now may be read later.
fn remove_damaged(store: &Store, path: &str) -> Result<bool, StoreError> {
    let Some(digest) = blob_digest(path) else { return Ok(false) };
    let worthless = manifest::read_through(store, &digest)?.is_err_and(|wrong| wrong.is_worthless);
    if worthless {
        store.delete(path)?;
    }
    Ok(worthless)
}
