//! One line of `--progress json`.
use super::SCHEMA;
use crate::progress::Stage;
use bistable_format::text::printable_json;
use serde::Serialize;

/// What a program reads about the progress.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Line {
    /// A stage begins.
    Begin(Step),
    /// It is under way.
    Progress(Step),
    /// It is done.
    End(Step),
    /// Something that a person should know, and that stops nothing.
    Note {
        /// Version of this form.
        schema: u32,
        /// What.
        text: String,
    },
}

/// How far a stage is.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Step {
    /// Version of this form.
    pub schema: u32,
    /// The stage's name.
    pub stage: String,
    /// Bytes that are done.
    pub done: u64,
    /// Bytes in all; 0 if that isn't known.
    pub total: u64,
}

impl Step {
    /// Of a stage.
    pub(crate) fn new(stage: Stage, done: u64, total: u64) -> Step {
        Step { schema: SCHEMA, stage: stage.name().into(), done, total }
    }
}

impl Line {
    /// A note.
    pub(crate) fn note(text: &str) -> Line {
        Line::Note { schema: SCHEMA, text: text.into() }
    }

    /// The object, on one line.
    pub fn json(&self) -> String {
        // Only a map whose keys aren't strings fails, and there is none.
        printable_json(&serde_json::to_string(self).unwrap_or_default())
    }
}
