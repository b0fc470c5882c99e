//! The one JSON object that a verb of either program prints.
use alloc::string::String;
use serde::Serialize;

/// Version of the JSON objects on standard output. Fields may be added; a change of meaning gets a new number.
pub const SCHEMA: u32 = 1;

/// What a program reads: `A` is what the verbs answer, `C` the kinds of failures.
#[derive(Clone, Debug, Serialize)]
pub struct Document<A, C> {
    /// Version of this form.
    pub schema: u32,
    /// The answer; of a failure, the report that says why, if there is one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub answer: Option<A>,
    /// The failure, if it failed.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure<C>>,
}

/// Why a verb failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure<C> {
    /// What went wrong, human-readable.
    pub error: String,
    /// What kind of failure it is.
    pub code: C,
    /// The exit code.
    pub exit: u8,
}

impl<A, C> Document<A, C> {
    /// Of a verb that ended well.
    pub fn of(answer: A) -> Document<A, C> {
        Document { schema: SCHEMA, answer: Some(answer), failure: None }
    }

    /// Of a verb that failed, with the report that says why, if there is one.
    pub fn failed(failure: Failure<C>, report: Option<A>) -> Document<A, C> {
        Document { schema: SCHEMA, answer: report, failure: Some(failure) }
    }
}

#[cfg(feature = "json")]
impl<A: Serialize, C: Serialize> Document<A, C> {
    /// The object, on one line.
    pub fn json(&self) -> String {
        crate::json::line(self)
    }
}
