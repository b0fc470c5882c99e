//! Which characters of a foreign text may reach a terminal, a log or a page.
//!
//! A name, a description or an error message of foreign origin can carry terminal escapes (ESC, C1), reverse the reading
//! order (bidirectional controls), begin a line of its own, or hide characters. None of that is text. One function decides for both
//! programs, and for all decoders.
use alloc::string::String;
use core::fmt::Write as _;

/// What stands in the place of a character that is not printable.
pub const REPLACEMENT: char = '\u{fffd}';

/// Whether a character is safe to print: neither a control character, nor a line separator, nor invisible.
///
/// Invisible are the characters that Unicode calls default-ignorable (bidirectional controls, fillers, tags), and interlinear
/// annotations. Allowed are the variation selectors that emoji use (U+FE00 to U+FE0F), which only choose how the character before them
/// looks, and the two joiners (U+200C and U+200D), which Persian and Indic scripts and composed emoji need: they neither reorder nor
/// hide a text.
pub const fn is_printable_char(c: char) -> bool {
    !matches!(
        c,
        // C0 controls, DEL and C1 controls.
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Soft hyphen, combining grapheme joiner, Arabic letter mark, Hangul and Khmer fillers, Mongolian selectors.
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        // Zero-width space and direction marks; line and paragraph separators, embeddings and overrides.
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        // Word joiner, invisible operators, isolates, deprecated format characters.
        | '\u{2060}'..='\u{206f}'
        // Fillers, byte order mark, unassigned ignorables, interlinear annotations.
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        // Shorthand and musical format controls; tags and variation selectors that can carry a hidden text.
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether all characters of a text are [printable](is_printable_char), but for the named ones.
pub fn is_printable(text: &str, but: &[char]) -> bool {
    text.chars().all(|c| is_printable_char(c) || but.contains(&c))
}

/// A text to print: each character that is not [printable](is_printable_char) is replaced, but for the named ones.
pub fn printable(text: &str, but: &[char]) -> String {
    text.chars().map(|c| if is_printable_char(c) || but.contains(&c) { c } else { REPLACEMENT }).collect()
}

/// JSON that may reach a terminal: each character that is not [printable](is_printable_char) becomes an escape, but for the line feeds of
/// its layout. Such characters occur within strings only, where the escape is the same character.
pub fn printable_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_printable_char(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string doesn't fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn controls_direction_marks_and_invisible_characters_are_not_printable() {
        for (what, first, last) in [
            ("C0", 0x0, 0x1f),
            ("DEL and C1", 0x7f, 0x9f),
            ("soft hyphen", 0xad, 0xad),
            ("combining grapheme joiner", 0x34f, 0x34f),
            ("Arabic letter mark", 0x61c, 0x61c),
            ("Hangul fillers", 0x115f, 0x1160),
            ("Khmer inherent vowels", 0x17b4, 0x17b5),
            ("Mongolian selectors and separator", 0x180b, 0x180f),
            ("zero-width space", 0x200b, 0x200b),
            ("direction marks", 0x200e, 0x200f),
            ("line and paragraph separator", 0x2028, 0x2029),
            ("embeddings and overrides", 0x202a, 0x202e),
            ("word joiner and invisible operators", 0x2060, 0x2065),
            ("isolates", 0x2066, 0x2069),
            ("deprecated format characters", 0x206a, 0x206f),
            ("Hangul filler", 0x3164, 0x3164),
            ("byte order mark", 0xfeff, 0xfeff),
            ("halfwidth Hangul filler", 0xffa0, 0xffa0),
            ("interlinear annotations", 0xfff9, 0xfffb),
            ("shorthand format controls", 0x1bca0, 0x1bca3),
            ("musical format controls", 0x1d173, 0x1d17a),
            ("tags", 0xe0001, 0xe007f),
            ("variation selectors supplement", 0xe0100, 0xe01ef),
        ] {
            for c in (first..=last).filter_map(char::from_u32) {
                assert!(!is_printable_char(c), "{what}: U+{:04X}", u32::from(c));
                let text = format!("a{c}b");
                assert!(!is_printable(&text, &[]) && is_printable(&text, &[c]), "{what}");
                assert_eq!(printable(&text, &[]), "a\u{fffd}b", "{what}");
                assert_eq!(printable(&text, &[c]), text, "{what}");
            }
        }
    }

    #[test]
    fn text_of_any_language_is_printable() {
        for text in [
            "",
            " plain ~",
            "Größe: 5 µm – „fertig“…",
            "Ελληνικά",
            "русский",
            "עברית",
            "العربية",
            "日本語",
            "한국어",
            "हिन्दी",
            "e\u{301}",
            "\u{26a0}\u{fe0f}",
            "🚀",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "👩\u{200d}🔧",
            "\u{a0}",
            "\u{fffd}",
        ] {
            assert!(is_printable(text, &[]), "{text:?}");
            assert_eq!(printable(text, &[]), text);
        }
    }

    #[test]
    fn a_terminal_escape_loses_its_escape() {
        assert_eq!(printable("\u{1b}[31mred\nnext", &['\n']), "\u{fffd}[31mred\nnext");
        assert_eq!(printable("one\r\nline", &[]), "one\u{fffd}\u{fffd}line");
    }
}
