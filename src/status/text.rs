//! Wrapping and measuring: what makes sure that no text breaks a frame.
use super::{Charset, Color, Style};
use bistable_format::text::is_printable_char;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What a piece of text means, and so which color it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
    Busy,
}

impl Paint {
    fn code(self) -> Option<&'static str> {
        match self {
            Paint::Plain => None,
            Paint::Strong => Some("1"),
            Paint::Faint => Some("2"),
            Paint::Good => Some("32"),
            Paint::Bad => Some("31"),
            Paint::Busy => Some("33"),
        }
    }
}

/// One line, made of painted pieces; colors don't count for its width.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Vec<(Paint, String)>);

impl Line {
    pub(super) fn new() -> Line {
        Line::default()
    }

    pub(super) fn of(paint: Paint, text: impl Into<String>) -> Line {
        Line::new().with(paint, text)
    }

    pub(super) fn with(mut self, paint: Paint, text: impl Into<String>) -> Line {
        self.push(paint, text);
        self
    }

    pub(super) fn push(&mut self, paint: Paint, text: impl Into<String>) {
        self.0.push((paint, text.into()));
    }

    pub(super) fn append(&mut self, other: Line) {
        self.0.extend(other.0);
    }

    pub(super) fn width(&self) -> usize {
        // As a whole: what stands side by side may be narrower or wider than its parts.
        self.0.iter().map(|(_, text)| text.as_str()).collect::<String>().width()
    }

    /// Blanks up to a width.
    pub(super) fn pad(&mut self, width: usize) {
        let missing = width.saturating_sub(self.width());
        if missing > 0 {
            self.push(Paint::Plain, " ".repeat(missing));
        }
    }

    pub(super) fn render(&self, color: Color, out: &mut String) {
        let ends = self.0.iter().rposition(|(_, text)| !text.trim_end().is_empty());
        for (i, (paint, text)) in self.0.iter().enumerate() {
            let text = match ends {
                Some(last) if i < last => text.as_str(),
                Some(last) if i == last => text.trim_end(),
                _ => break,
            };
            match (color, paint.code()) {
                (Color::Ansi, Some(code)) if !text.is_empty() => {
                    out.push_str(&format!("\x1b[{code}m{text}\x1b[0m"));
                }
                _ => out.push_str(text),
            }
        }
        out.push('\n');
    }
}

/// Lines as text, one per line.
pub(super) fn render(lines: &[Line], style: &Style) -> String {
    let mut out = String::new();
    for line in lines {
        line.render(style.color, &mut out);
    }
    out
}

/// The text with nothing in it that could move the cursor, reorder the line or be drawn wider than it measures:
/// control and format characters are blanks; in ASCII all else that isn't is a question mark.
pub(super) fn printable(text: &str, charset: Charset) -> String {
    text.chars().filter_map(|c| printable_char(c, charset)).collect()
}

fn printable_char(c: char, charset: Charset) -> Option<char> {
    match c {
        ' '..='~' => Some(c),
        // A variation selector can be printed, but changes the width of the character before it.
        '\u{fe00}'..='\u{fe0f}' => None,
        // Line and paragraph separators.
        '\u{2028}' | '\u{2029}' | '\u{a0}' => Some(' '),
        _ if c.width().is_none() => Some(' '),
        _ if !is_printable_char(c) => None,
        _ if charset == Charset::Unicode => Some(c),
        '\u{2010}'..='\u{2015}' => Some('-'),
        '\u{2018}' | '\u{2019}' => Some('\''),
        '\u{201c}' | '\u{201d}' => Some('"'),
        '\u{b5}' | '\u{3bc}' => Some('u'),
        // A combining mark belongs to the character before it.
        _ if c.width() == Some(0) => None,
        _ => Some('?'),
    }
}

/// The text in lines of at most `width` columns, broken at blanks, and within a word only if it is too long for a
/// line of its own. At least one line; nothing is left out but blanks.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let joined = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if joined.width() <= width {
            line = joined;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            let mut longer = line.clone();
            longer.push(c);
            if longer.width() > width && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                line.push(c);
            } else {
                line = longer;
            }
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}
