//! The one JSON object that a verb prints.
use super::{Answer, Code, Failed, Reply};
use crate::{error::Exit, offer::channel::Unusable};
pub use bistable_format::answer::SCHEMA;
use bistable_format::{answer, failure::on_one_line};
use serde::Serialize;

/// What a program reads.
pub type Document = answer::Document<Answered, Code>;

/// Why a verb failed.
pub type Failure = answer::Failure<Code>;

/// What a verb found.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Answered {
    /// The answer; of a failure, the report that says why, if there is one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Offers that fit this device and couldn't be opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unusable: Vec<Unusable>,
}

impl From<Answer> for Answered {
    fn from(answer: Answer) -> Answered {
        Answered { answer: Some(answer), unusable: Vec::new() }
    }
}

/// Of a request that ended, with the exit code that it has on a command line.
pub fn document(ended: Result<Reply, Failed>) -> (Document, Exit) {
    match ended {
        Ok(Reply { answer, unusable, .. }) => {
            (Document::of(Answered { answer: Some(answer), unusable }), Exit::Done)
        }
        Err(Failed { error, report, unusable }) => {
            let exit = error.exit();
            let failure = Failure { error: on_one_line(&*error), code: Code::of(&error), exit: exit.code() };
            let report = Answered { answer: report.map(|report| *report), unusable };
            (Document::failed(failure, Some(report)), exit)
        }
    }
}
