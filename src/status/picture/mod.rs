//! The status as a drawing.
//!
//! ```text
//!             ┌──────────── boot flag ╌╌╌╌ once ╌╌╌╌┐
//!             ▼                                     ▽
//! ┏━ A ━━━━━━━━━━━━━━━━━━━━━━━┓   ┌─ B ───────────────────────┐
//! ┃  1.2.0                    ┃   │  1.3.0                    │
//! ```
//! The heavy frame is the running slot, the solid arrow the default, the dashed one the next boot only.
mod below;
mod glyphs;
mod slots;

use super::{
    Charset, Status, Style,
    text::{Line, Paint, printable, render, wrap},
};
use crate::ports::Power;
use glyphs::{ASCII, Glyphs, UNICODE};

/// Blanks at both sides.
const MARGIN: usize = 1;
/// Blanks between the boxes.
const GAP: usize = 3;
/// Width of the labels left of the facts.
const LABEL: usize = 13;

/// The two slots side by side, and below them what happened and what to do. Ends with a newline; no line is wider
/// than the style's width.
pub fn picture(status: &Status, style: Style) -> String {
    let pen = Pen::new(style);
    let mut lines = pen.header(status);
    lines.push(Line::new());
    lines.extend(pen.flag(status));
    lines.extend(pen.boxes(status));
    if let Some(problem) = &status.default_problem {
        lines.push(Line::new());
        let unreadable = if status.default.is_none() { "unreadable: " } else { "" };
        lines.extend(pen.labelled("boot flag", Paint::Bad, &format!("{unreadable}{problem}")));
    }
    lines.push(Line::new());
    lines.extend(pen.update(status));
    lines.push(Line::new());
    lines.extend(pen.facts(status));
    lines.push(Line::new());
    lines.extend(pen.advice(status));
    render(&lines, &style)
}

/// What draws: the glyphs and the measures.
struct Pen {
    glyphs: &'static Glyphs,
    charset: Charset,
    columns: usize,
    /// Width of a box with its frame.
    box_width: usize,
    /// Blanks between frame and text.
    padding: usize,
}

impl Pen {
    fn new(style: Style) -> Pen {
        let columns = style.columns();
        Pen {
            glyphs: match style.charset {
                Charset::Unicode => &UNICODE,
                Charset::Ascii => &ASCII,
            },
            charset: style.charset,
            columns,
            box_width: (columns - 2 * MARGIN - GAP) / 2,
            padding: if columns < 70 { 1 } else { 2 },
        }
    }

    /// `product on board`, and the state at the right.
    fn header(&self, status: &Status) -> Vec<Line> {
        let state = match status.power {
            Power::On => status.state,
            Power::Off => "power off",
        };
        let right = self.columns - MARGIN;
        let name = self.clean(&format!("{} on {}", status.product, status.board));
        let mut parts = wrap(&name, right - MARGIN - state.len() - 2).into_iter();
        let mut first = indent(MARGIN).with(Paint::Strong, parts.next().unwrap_or_default());
        first.pad(right - state.len());
        first.push(state_paint(status.state), state);
        let rest = parts.map(|part| indent(MARGIN).with(Paint::Strong, part));
        std::iter::once(first).chain(rest).collect()
    }

    fn advice(&self, status: &Status) -> Vec<Line> {
        self.hanging(MARGIN, &format!("{} ", self.glyphs.running), Paint::Strong, &status.advice)
    }

    /// A label, and a text that wraps beside it.
    fn labelled(&self, label: &str, paint: Paint, text: &str) -> Vec<Line> {
        let parts = wrap(&self.clean(text), self.columns - 2 * MARGIN - LABEL);
        let label = |i| if i == 0 { label } else { "" };
        let line = |(i, part)| {
            let mut line = indent(MARGIN).with(Paint::Faint, label(i));
            line.pad(MARGIN + LABEL);
            line.with(paint, part)
        };
        parts.into_iter().enumerate().map(line).collect()
    }

    /// A text that wraps beside a mark of two columns.
    fn hanging(&self, at: usize, mark: &str, paint: Paint, text: &str) -> Vec<Line> {
        let parts = wrap(&self.clean(text), self.columns - MARGIN - at - 2);
        let line = |(i, part): (usize, String)| {
            indent(at).with(paint, if i == 0 { mark } else { "  " }).with(paint, part)
        };
        parts.into_iter().enumerate().map(line).collect()
    }

    fn clean(&self, text: &str) -> String {
        printable(text, self.charset)
    }
}

fn indent(width: usize) -> Line {
    Line::of(Paint::Plain, " ".repeat(width))
}

/// Items side by side, two blanks between them, on as few lines as they fit.
fn flow(items: impl Iterator<Item = Line>, width: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.width() + 2 + item.width() <= width => {
                line.push(Paint::Plain, "  ");
                line.append(item);
            }
            _ => lines.push(item),
        }
    }
    lines
}

fn state_paint(state: &str) -> Paint {
    match state {
        "idle" => Paint::Good,
        "reverting" => Paint::Bad,
        _ => Paint::Busy,
    }
}
