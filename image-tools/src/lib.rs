//! The host's side of Bistable: makes keys, roots, bundles and card images, shows and verifies them.
//!
//! ```text
//! keys ─► root ──────────────────────┐
//!   └───► build (volume/) ─► bundle ─┼─► verify
//!                                    └─► card ─► flash
//! ```
//! Each verb is a function on plain options that tells a [`Progress`] how far it is; [`cli`] is one caller of them.
//!
//! | file | noun |
//! |---|---|
//! | [`keys`] | Ed25519 keys as files |
//! | [`root`] | which keys may sign what |
//! | [`volume`] | directories, tars and images become raw volume images |
//! | [`archive`] | the complete tree of a component becomes one tar |
//! | [`oci`] | images of containers become layers, each once, and manifests |
//! | [`fetch`] | releases of other people's servers |
//! | [`disk`] | a finished disk image becomes the two volumes |
//! | [`sbom`] | which packages are in a release |
//! | [`mod@build`] | raw volumes become a signed bundle |
//! | [`delta`] | a release made from the one before |
//! | [`bundle`] | reads a bundle as a stream, strictly |
//! | [`mod@verify`] | a bundle held against a root |
//! | [`mod@inspect`] | what a file says, whether one trusts it or not |
//! | [`card`] | a flashable card image with its block map |
//! | [`flash`] | a card image written onto a disk |
//! | [`mod@deploy`] | a release sent to one device, and its verdict |
//! | [`repository`] | releases and channels in a directory or bucket |
//! | [`progress`] | how far the work is |
//! | [`answer`] | what each verb answers; the JSON schemas are published from these types |
//! | [`manual`] | manual pages of both programs |
//! | [`cli`], `cmd/` | the command line, one file per verb |

mod clock;
mod cmd;
mod interrupt;
mod output;
mod parallel;
mod zero;

pub mod answer;
pub mod archive;
pub mod build;
pub mod bundle;
pub mod card;
pub mod cli;
pub mod delta;
pub mod deploy;
pub mod disk;
mod error;
pub mod fetch;
pub mod flash;
pub mod inspect;
pub mod keys;
pub mod manual;
pub mod oci;
pub mod progress;
pub mod repository;
pub mod root;
pub mod sbom;
pub mod sign;
pub mod size;
pub mod verify;
pub mod volume;

pub use build::{BuildOptions, build};
pub use error::{Error, Exit};
pub use output::{Existing, OutputError};
pub use parallel::Threads;
pub use progress::{Progress, Silent, Stage};
