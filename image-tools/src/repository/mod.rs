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
//! | [`mod@probe`] | whether the store tells the truth |
//! | [`mod@init`] | a new repository |
//! | [`roots`] | the roots, each vouching for the next |
//! | [`sequence`] | numbered files, and the newest of them |
//! | [`channel`] | a channel's files, and the commit of the next |
//! | [`catalog`] | all releases that a channel ever had |
//! | [`mod@publish`] | a bundle becomes blobs and an offer |
//! | [`audit`] | who did what |
pub mod audit;
pub mod catalog;
pub mod channel;
pub mod init;
pub mod probe;
pub mod publish;
pub mod roots;
pub mod sequence;
pub mod store;

pub use crate::clock::{Clock, HostClock};
pub use store::{Store, StoreError};
