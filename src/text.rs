//! Texts that were written elsewhere, made fit for a line of a report, a log or a terminal.
use bistable_format::text::{self, is_printable_char};

/// At most `max` bytes of a text, cut between characters, with an ellipsis where something is missing.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", text.get(..end).unwrap_or_default())
}

/// Text from programs and servers goes to terminals and logs: on one line, without control and invisible characters.
pub(crate) fn printable(text: &str) -> String {
    let blank = |c| if is_printable_char(c) { c } else { ' ' };
    text.chars().map(blank).collect::<String>().trim().to_owned()
}

/// The same for text of several lines.
pub(crate) fn printable_lines(text: &str) -> String {
    text::printable(text, &['\n', '\t'])
}
