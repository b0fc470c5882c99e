//! The repository: a directory or bucket of releases, and the signed lists of what is on offer.
//!
//! ```text
//! oci-layout  blobs/sha256/<hex>         what anybody may fetch, named by its content
//! roots/<n>.root                         which keys may sign what
//! channels/<name>/<00000042>.channel     signed, numbered, created once, never changed: the only commit point
//! audit/<00000042>.json                  who did what: hash-chained
//! channels/<name>/latest  audit/latest   hints that can be rebuilt
//! ```
//! | file | noun |
//! |---|---|
//! | [`store`] | where the files are |
//! | [`sequence`] | numbered files, and the newest of them |
pub mod sequence;
pub mod store;

pub use store::{Store, StoreError};
