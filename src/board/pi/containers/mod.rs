//! Docker and Compose, as programs with fixed arguments.
//!
//! | file | noun |
//! |---|---|
//! | `docker` | the engine |
//! | `compose` | the plugin, and the projects that it runs |
//! | `registry` | what the engine pulls from: read-only, on this machine, and only while it pulls |
//! | `saved` | what the engine reads back of an image: the digest of each layer |
//! | `program` | how both programs are run |
mod compose;
mod docker;
mod program;
mod registry;
mod saved;

pub use compose::Compose;
pub use docker::Docker;
pub use program::Programs;
