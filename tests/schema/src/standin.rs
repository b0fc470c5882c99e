//! What types of crates that know nothing of schemas look like in JSON. Nothing is made of these but their schemas.
#![allow(dead_code, missing_debug_implementations, reason = "nothing is made of these but their schemas")]
use schemars::JsonSchema;

/// Of `bistable_boot::Slot`.
#[derive(JsonSchema)]
pub enum Slot {
    #[doc(hidden)]
    A,
    #[doc(hidden)]
    B,
}

/// Of `bistable_boot::BySlot`.
#[derive(JsonSchema)]
pub struct BySlot<T> {
    a: T,
    b: T,
}

/// Numbers that only rise: what was accepted once can't be undercut.
#[derive(JsonSchema)]
pub struct Floors {
    /// Version of the root.
    root_version: u32,
    /// Number of the newest channel file that was seen.
    channel_sequence: u64,
    /// Security version of the newest committed release.
    security_version: u32,
    /// The newest time of issue that was seen, in seconds since 1970.
    issued_at: u64,
}

/// Whether a test or check must pass.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// It must.
    Required,
    /// It should: a failure is only told.
    Wanted,
}

/// What a program reads: an answer, a failure, or both.
#[derive(JsonSchema)]
#[schemars(rename = "Document")]
pub struct Document<A, C> {
    /// Version of this form.
    schema: u32,
    #[serde(flatten)]
    answer: Option<A>,
    #[serde(flatten)]
    failure: Option<Failure<C>>,
}

/// Why a verb failed.
#[derive(JsonSchema)]
#[schemars(rename = "Failure")]
pub struct Failure<C> {
    /// What went wrong, human-readable.
    error: String,
    /// What kind of failure it is.
    code: C,
    /// The exit code.
    exit: u8,
}

/// What a program reads about the progress: one line of `--progress json`.
#[derive(JsonSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum ProgressLine {
    /// A stage begins.
    Begin(Step),
    /// It is under way.
    Progress(Step),
    /// It is done. A stage that fails has no such line.
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
#[derive(JsonSchema)]
pub struct Step {
    /// Version of this form.
    schema: u32,
    /// The stage's name.
    stage: String,
    /// Bytes that are done.
    done: u64,
    /// Bytes in all; 0 if that isn't known.
    total: u64,
}

#[cfg(test)]
mod tests {
    use crate::{assert_fields, assert_words};
    use bistable_format::{answer, progress};

    #[test]
    fn stand_ins_look_like_their_originals() {
        assert_fields::<super::Floors>(&bistable_boot::Floors::default());
        assert_fields::<super::BySlot<u8>>(&bistable_boot::BySlot::new(|_| 0_u8));
        assert_words::<super::Slot>(&bistable_boot::Slot::ALL);
        let failure = answer::Failure { error: String::new(), code: "", exit: 1 };
        assert_fields::<super::Failure<String>>(&failure);
        let step = progress::Running::begin("", 1, Default::default()).step().clone();
        assert_fields::<super::Step>(&step);
    }

    #[test]
    fn each_line_of_progress_has_the_fields_of_its_stand_in() {
        let step = || progress::Running::begin("", 1, Default::default()).step().clone();
        let lines = [
            progress::ProgressLine::Begin(step()),
            progress::ProgressLine::Progress(step()),
            progress::ProgressLine::End(step()),
            progress::ProgressLine::note(""),
        ];
        let schema = schemars::schema_for!(super::ProgressLine);
        let drawn = schema.get("oneOf").and_then(serde_json::Value::as_array).unwrap();
        assert_eq!(drawn.len(), lines.len());
        for (drawn, line) in drawn.iter().zip(&lines) {
            let written = serde_json::to_value(line).unwrap();
            assert_eq!(drawn["properties"]["event"]["const"], written["event"], "{drawn:#}");
            assert!(written["schema"].is_u64() && (drawn["$ref"].is_string() || written["text"].is_string()));
        }
    }
}
