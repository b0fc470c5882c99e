//! The one JSON object that a verb prints.
use super::{Answer, Code, Failed, Reply};
use crate::{error::Exit, offer::channel::Unusable};
use bistable_format::{failure::on_one_line, text::printable_json};
use serde::Serialize;

/// Version of the JSON objects on standard output. Fields may be added; a change of meaning gets a new number.
pub const SCHEMA: u32 = 1;

/// What a program reads.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Document {
    /// Version of this form.
    pub schema: u32,
    /// The answer; of a failure, the report that says why, if there is one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Offers that fit this device and couldn't be opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unusable: Vec<Unusable>,
    /// The failure, if it failed.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Why a verb failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Failure {
    /// What went wrong, human-readable.
    pub error: String,
    /// What kind of failure it is.
    pub code: Code,
    /// The exit code.
    pub exit: u8,
}

impl Document {
    /// Of a request that ended, with the exit code that it has on a command line.
    pub fn ended(ended: Result<Reply, Failed>) -> (Document, Exit) {
        match ended {
            Ok(Reply { answer, unusable, .. }) => (Document { unusable, ..Document::of(answer) }, Exit::Done),
            Err(Failed { error, report, unusable }) => {
                let exit = error.exit();
                let failure =
                    Failure { error: on_one_line(&*error), code: Code::of(&error), exit: exit.code() };
                let report = report.map(|report| *report);
                (Document { unusable, ..Document::failed(failure, report) }, exit)
            }
        }
    }

    /// Of a verb that ended well.
    pub fn of(answer: Answer) -> Document {
        Document { schema: SCHEMA, answer: Some(answer), unusable: Vec::new(), failure: None }
    }

    /// Of a verb that failed, with the report that says why, if there is one.
    pub fn failed(failure: Failure, report: Option<Answer>) -> Document {
        Document { schema: SCHEMA, answer: report, unusable: Vec::new(), failure: Some(failure) }
    }

    /// The object, on one line; it may reach a terminal.
    pub fn json(&self) -> String {
        // Only a map whose keys aren't strings fails, and there is none.
        printable_json(&serde_json::to_string(self).unwrap_or_default())
    }
}
