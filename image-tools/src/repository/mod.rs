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
//! | [`strand`] | what devices would refuse with the next root |
//! | [`mark`] | a numbered payload, by its digest |
//! | [`memory`] | what this computer remembers of repositories |
//! | [`trust`] | a repository held against that memory, so that a store can't go back |
//! | [`expiry`] | until when devices believe a channel and a root, and when to warn |
//! | [`sequence`] | numbered files, and the newest of them |
//! | [`channel`] | a channel's files |
//! | [`writer`] | the commit of a channel's next file |
//! | [`manifest`] | what a release consists of |
//! | [`sbom_file`] | the SBOM of a release |
//! | [`bundle_stream`] | a release as a bundle again |
//! | [`delta_file`] | a delta that fits its name |
//! | [`delta_publish`] | a delta becomes blobs and a file, once it was applied |
//! | [`images`] | volumes of a release as raw images |
//! | [`wanted`] | which deltas devices could use |
//! | [`edit`] | what an act makes of a channel |
//! | [`mod@promote`] | offering in another channel |
//! | [`lease`] | files that a process relies on and has not committed yet |
//! | [`index`] | what is on offer, for OCI tools |
//! | [`inventory`] | all releases, and what the channels make of them |
//! | [`mod@prune`] | what is not needed goes |
//! | [`mod@fsck`] | what is missing, damaged, unsigned or orphaned |
//! | [`mod@sync`] | the same repository in another place |
//! | [`site`] | a page for people |
//! | `version_claim` | which release a version is of, permanently |
//! | `attestation_file` | an attestation that fits its name |
//! | `hashing_reader` | a stream that has to be what its digest says |
//! | [`words`] | what people write for times and waves |
//! | [`catalog`] | all releases that a channel ever had |
//! | [`mod@listing`] | the newest of them |
//! | [`mod@publish`] | a bundle becomes blobs and an offer |
//! | [`usage`] | how much room it takes, and how full its place is |
//! | [`mod@metrics`] | what it measures of itself |
//! | [`audit`] | who did what |
//! | [`recording`] | what channels' files tell the audit |
mod attestation_file;
pub mod audit;
pub mod bundle_stream;
pub mod catalog;
pub mod channel;
pub mod delta_file;
pub mod delta_publish;
pub mod edit;
pub mod expiry;
pub mod fsck;
mod hashing_reader;
pub mod images;
pub mod index;
pub mod init;
pub mod inventory;
pub mod lease;
pub mod listing;
pub mod manifest;
pub mod mark;
pub mod memory;
pub mod metrics;
pub mod notice;
pub mod probe;
pub mod promote;
pub mod prune;
pub mod publish;
pub mod recording;
pub mod roots;
pub mod sbom_file;
pub mod sequence;
pub mod site;
pub mod store;
pub mod strand;
pub mod sync;
pub mod trust;
pub mod usage;
mod version_claim;
pub mod wanted;
pub mod words;
pub mod writer;

pub use crate::clock::{Clock, HostClock};
pub use store::{Store, StoreError};
