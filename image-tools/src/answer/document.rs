//! The one JSON object that a verb prints.
use super::Answer;
use crate::error::Exit;
use bistable_format::answer;
pub use bistable_format::answer::SCHEMA;

/// What a program reads.
pub type Document = answer::Document<Answer, Exit>;

/// Why a verb failed.
pub type Failure = answer::Failure<Exit>;

/// Of this kind.
pub(crate) fn failure(error: impl Into<String>, code: Exit) -> Failure {
    Failure { error: error.into(), code, exit: code as u8 }
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
        let failed = Document::failed(failure("damaged", Exit::Untrusted), Some(report));
        let read: Value = serde_json::from_str(&failed.json()).unwrap();
        let all = json!({
            "schema": 1, "files": [], "channels": 0, "cards": 0, "error": "damaged", "code": "untrusted", "exit": 5,
        });
        assert_eq!(read, all);
    }
}
