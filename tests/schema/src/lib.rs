//! What the tests of both programs need to hold `--json`: schemas that are published from the types that are written, and the
//! one object on standard output.
//!
//! | file | noun |
//! |---|---|
//! | `published` | a schema as a file in the tree |
//! | `standin` | what types of crates that know nothing of schemas look like in JSON |
//! | `compare` | holds a stand-in against its original |
//! | `object` | the one object of `--json` |
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a panic is a failure, files are the sources"
)]
mod compare;
mod object;
mod published;
mod standin;

pub use compare::{assert_fields, assert_words};
pub use object::{lines, object};
pub use published::{assert_published, assert_request_published, schema};
pub use standin::{BySlot, Document, Failure, Floors, Need, ProgressLine, Slot, Step};
