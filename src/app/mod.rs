//! What the program answers: one type for each verb's result, and one for a failure. The command line prints them, as text or
//! as JSON; `src/docs/schemas` is published from these types.
//!
//! | file | noun |
//! |---|---|
//! | `answer` | the result of a verb that ended well |
//! | `code` | what kind of failure it was |
//! | `document` | the one JSON object on standard output |
mod answer;
mod code;
mod document;
#[cfg(test)]
mod schemas;

pub use answer::{
    Answer, CardWrites, ConfigChecked, CutAt, HealthChecked, HealthVerdict, MayInstall, Powered, Preflighted,
    Problems, Readiness, Repair, Rested, SelfTested, SelfTestsVerdict, Worlds,
};
pub use code::Code;
pub use document::{Document, Failure, SCHEMA};
