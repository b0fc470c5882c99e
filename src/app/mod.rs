//! What the program answers: one type for each verb's result, and one for a failure. The command line prints them, as text or
//! as JSON; `src/docs/schemas` is published from these types.
//!
//! | file | noun |
//! |---|---|
//! | `answer` | the result of a verb that ended well |
//! | `code` | what kind of failure it was |
//! | `document` | the one JSON object on standard output |
//! | [`policy`] | what the device does without being asked |
//! | `simulated` | what the verbs of the simulated Pi answer |
mod answer;
mod code;
mod document;
pub mod policy;
#[cfg(test)]
#[cfg(feature = "sim")]
mod schemas;
#[cfg(feature = "sim")]
mod simulated;

pub use answer::{
    Answer, CardWrites, ConfigChecked, Events, HealthChecked, HealthVerdict, MayInstall, Preflighted,
    Problems, Readiness, Repair, Rested, SelfTested, SelfTestsVerdict,
};
pub use code::Code;
pub use document::{Document, Failure, SCHEMA};
#[cfg(feature = "sim")]
pub use simulated::{CutAt, Powered, Worlds};
