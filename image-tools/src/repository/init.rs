//! A new repository.
use super::audit::{self, Act, AuditError};
use super::index;
use super::probe::{ProbeError, probe};
use super::roots::{Roots, RootsError};
use super::store::{Created, Store, StoreError};
use crate::clock::Clock;
use crate::root::SignedRoot;

/// Says that the store keeps no promise to those who write at once.
const SINGLE_WRITER: &str = "single-writer";
/// For whoever finds the file.
const SINGLE_WRITER_TEXT: &[u8] =
    b"This store does not keep what was created first: only ever one program at a time may write here.\n";
/// What makes a directory an OCI image layout.
const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Who writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writers {
    /// Any number at once.
    #[default]
    Many,
    /// Only ever one at a time: on a store that lies about create-if-absent.
    Single,
}

/// Why there is no new repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The store can't be used.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The root can't be its root.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The repository is there, but the record of it isn't.
    #[error("the repository was made, but the audit has no record of it")]
    Audit(#[from] AuditError),
}

/// What was found and made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// A new repository.
    New,
    /// It was one already, with the same root.
    Already,
}

/// Make a repository with this first root. Again is harmless.
///
/// # Errors
/// See [`InitError`].
pub fn init(
    store: &Store,
    root: &SignedRoot,
    wanted: Writers,
    who: &str,
    clock: &dyn Clock,
) -> Result<Creation, InitError> {
    match (probe(store), wanted) {
        (Err(ProbeError::Liar { .. }), Writers::Single) => {
            store.put(SINGLE_WRITER, SINGLE_WRITER_TEXT)?;
        }
        (probed, _) => probed?,
    }
    // Same bytes from everybody.
    let (Created::Created | Created::Exists) = store.create("oci-layout", OCI_LAYOUT)?;
    let new = Roots::begin(store, root)?;
    // A process that died between the two is made up for now.
    if new || audit::newest(store)?.is_none() {
        let about = format!("root {:.12}", bistable_format::Digest::of(&root.bytes));
        audit::append(store, clock, &Act { who: who.into(), verb: "init".into(), about })?;
    }
    // A hint: fsck makes it, too.
    let _ = index::refresh(store, &Roots::load(store)?);
    Ok(if new { Creation::New } else { Creation::Already })
}

/// Who may write to this repository.
///
/// # Errors
/// Whatever keeps that from being known.
pub fn writers(store: &Store) -> Result<Writers, StoreError> {
    Ok(store.size(SINGLE_WRITER)?.map_or(Writers::Many, |_| Writers::Single))
}
