//! The one JSON object that a verb prints.
use super::Answer;
use crate::error::Exit;
use bistable_format::text::printable_json;
use serde::Serialize;

/// Version of the JSON objects on standard output. Fields may be added; a change of meaning gets a new number.
pub const SCHEMA: u32 = 1;

/// What a program reads.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// Version of this form.
    pub schema: u32,
    /// The answer; of a failure, the report that says why, if there is one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
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
    pub code: Exit,
    /// The exit code.
    pub exit: u8,
}

impl Failure {
    /// Of this kind.
    pub fn new(error: impl Into<String>, code: Exit) -> Failure {
        Failure { error: error.into(), code, exit: code as u8 }
    }
}

impl Document {
    /// Of a verb that ended well.
    pub fn of(answer: Answer) -> Document {
        Document { schema: SCHEMA, answer: Some(answer), failure: None }
    }

    /// Of a verb that failed, with the report that says why, if there is one.
    pub fn failed(failure: Failure, report: Option<Answer>) -> Document {
        Document { schema: SCHEMA, answer: report, failure: Some(failure) }
    }

    /// The object, laid out for reading; it may reach a terminal.
    pub fn json(&self) -> String {
        // Only a map whose keys aren't strings fails, and there is none.
        printable_json(&serde_json::to_string_pretty(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::SiteWritten;
    use serde_json::{Value, json};

    #[test]
    fn json_has_only_printable_characters_and_says_the_same() {
        let file = "\u{1b}[2J \u{9b}31m \u{202e}x\u{e0041} ü 🚀 \n\t\"\\";
        let answer = SiteWritten { files: vec![file.into()], channels: 1, cards: 0 };
        let text = Document::of(Answer::SiteWritten(answer)).json();
        assert!(bistable_format::text::is_printable(&text, &['\n']), "{text:?}");
        assert!(text.contains("\\udb40\\udc41") && text.contains("ü 🚀"), "{text}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, json!({ "schema": 1, "files": [file], "channels": 1, "cards": 0 }));
    }

    #[test]
    fn failure_stands_beside_the_report_that_it_was_drawn_from() {
        let report = Answer::SiteWritten(SiteWritten { files: Vec::new(), channels: 0, cards: 0 });
        let failed = Document::failed(Failure::new("damaged", Exit::Untrusted), Some(report));
        let read: Value = serde_json::from_str(&failed.json()).unwrap();
        let all = json!({
            "schema": 1, "files": [], "channels": 0, "cards": 0, "error": "damaged", "code": "untrusted", "exit": 5,
        });
        assert_eq!(read, all);
    }
}
