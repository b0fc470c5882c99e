use super::{
    Charset, Digest, Style,
    text::{Line, Paint, printable, render, wrap},
};
use bistable_boot::{Outcome, Record, Slot};
use serde::Serialize;
use std::fmt;
use unicode_width::UnicodeWidthStr as _;

/// How an update ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Ending {
    /// Made at the factory.
    Provisioned,
    /// The release became the default.
    Committed,
    /// Given up before anything was armed.
    Abandoned,
    /// Tried or armed, then gone back from.
    Reverted,
    /// The record was made again.
    Rebuilt,
    /// As a newer agent has it.
    Unknown,
}

impl From<&Outcome> for Ending {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Provisioned => Ending::Provisioned,
            Outcome::Committed => Ending::Committed,
            Outcome::Abandoned(_) => Ending::Abandoned,
            Outcome::Reverted(_) => Ending::Reverted,
            Outcome::Rebuilt => Ending::Rebuilt,
            Outcome::Unknown { .. } => Ending::Unknown,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Ending::Provisioned => "provisioned",
            Ending::Committed => "committed",
            Ending::Abandoned => "abandoned",
            Ending::Reverted => "reverted",
            Ending::Rebuilt => "rebuilt",
            Ending::Unknown => "unknown",
        })
    }
}

/// The past updates that are remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct History {
    /// Oldest first.
    pub updates: Vec<Past>,
}

/// When something ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Date {
    /// What the wall clock showed, in UTC (RFC 3339).
    pub time: String,
    /// Whether the clock went by another clock. If it didn't, it may be any time.
    pub synchronized: bool,
}

/// One past update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Past {
    /// Its place among those remembered: 1 is the oldest.
    pub number: usize,
    /// The release's version.
    pub version: String,
    /// The release.
    pub release: Digest,
    /// The slot that it was about.
    #[cfg_attr(test, schemars(with = "bistable_schema::Slot"))]
    pub slot: Slot,
    /// How it ended.
    pub outcome: Ending,
    /// Trials that it took.
    pub attempts: u8,
    /// Whether the release is not installed again by itself.
    pub rejected: bool,
    /// Why it was given up.
    pub reason: Option<String>,
    /// When it ended, if the event log still knows.
    pub ended: Option<Date>,
}

/// The past updates, oldest first, with the dates that the event log has of them, in the same order.
pub fn history(record: &Record, dates: &[Option<Date>]) -> History {
    let past = |(i, entry): (usize, &bistable_boot::Entry)| Past {
        number: i + 1,
        version: entry.version.to_string(),
        release: Digest::from(&entry.release),
        slot: entry.slot,
        outcome: Ending::from(&entry.outcome),
        attempts: entry.attempts,
        rejected: record.rejection(&entry.release).is_some(),
        reason: entry.outcome.failure().map(ToString::to_string),
        ended: dates.get(i).cloned().flatten(),
    };
    History { updates: record.history.iter().enumerate().map(past).collect() }
}

const HEAD: [&str; 7] = ["#", "version", "slot", "outcome", "boots", "ended", "reason"];
/// Columns of blanks between two cells, and left of the table.
const BETWEEN: usize = 2;
/// A reason in fewer columns than this reads badly: it then gets lines of its own.
const REASON_MIN: usize = 36;

/// The past updates as a table, newest last. Ends with a newline; no line is wider than the style's width.
pub fn history_text(history: &History, style: Style) -> String {
    let columns = style.columns();
    let rows: Vec<[String; 6]> = history.updates.iter().map(|past| cells(past, style.charset)).collect();
    let mut widths: [usize; 6] = std::array::from_fn(|i| {
        rows.iter().map(|row| row[i].width()).chain([HEAD[i].width()]).max().unwrap_or_default()
    });
    // Only versions can be long.
    widths[1] = widths[1].min(columns / 4);
    // Dates are left out where none is known, and where there is no room for them.
    let all = 1 + widths.iter().map(|width| width + BETWEEN).sum::<usize>() - BETWEEN;
    let shown = if all <= columns && history.updates.iter().any(|past| past.ended.is_some()) { 6 } else { 5 };
    let widths = &widths[..shown];
    let reason_at = 1 + widths.iter().map(|width| width + BETWEEN).sum::<usize>();
    let beside = columns.saturating_sub(reason_at + 1);
    let reason_beside = beside >= REASON_MIN;

    let mut heading = row_line(&HEAD[..shown], widths, |_| Paint::Faint);
    if reason_beside && history.updates.iter().any(|past| past.reason.is_some()) {
        heading.pad(reason_at);
        heading.push(Paint::Faint, HEAD[6]);
    }
    let mut lines = vec![heading];
    for (past, row) in history.updates.iter().zip(&rows) {
        let paint = ending_paint(past.outcome);
        let version = wrap(&row[1], widths[1]);
        let reason = past.reason.as_deref().map(|reason| printable(reason, style.charset));
        let (reason, below) = match reason {
            Some(reason) if reason_beside => (wrap(&reason, beside), Vec::new()),
            Some(reason) => (Vec::new(), wrap(&reason, columns - 2 - 1 - widths[0] - BETWEEN)),
            None => (Vec::new(), Vec::new()),
        };
        for i in 0..version.len().max(reason.len()) {
            let version = version.get(i).map_or("", String::as_str);
            let mut line = if i == 0 {
                row_line(&[&row[0], version, &row[2], &row[3], &row[4], &row[5]][..shown], widths, |cell| {
                    if cell == 3 { paint } else { Paint::Plain }
                })
            } else {
                row_line(&["", version], widths, |_| Paint::Plain)
            };
            if let Some(part) = reason.get(i) {
                line.pad(reason_at);
                line.push(Paint::Plain, part.as_str());
            }
            lines.push(line);
        }
        let indent = " ".repeat(1 + widths[0] + BETWEEN);
        lines.extend(below.into_iter().map(|part| Line::of(Paint::Plain, indent.as_str()).with(paint, part)));
    }
    if history.updates.iter().any(|past| past.rejected) {
        let text = "a rejected release is not installed again by itself: `bistable update VERSION|FILE \
                    --retry-rejected` tries it again";
        lines.extend(
            wrap(text, columns - 2)
                .into_iter()
                .map(|part| Line::of(Paint::Plain, " ").with(Paint::Faint, part)),
        );
    }
    render(&lines, &style)
}

fn cells(past: &Past, charset: Charset) -> [String; 6] {
    let boots = if past.attempts == 0 { "-".into() } else { past.attempts.to_string() };
    [
        past.number.to_string(),
        printable(&past.version, charset),
        past.slot.to_string(),
        past.outcome.to_string(),
        boots,
        past.ended.as_ref().map_or_else(|| "-".into(), day),
    ]
}

/// The day; with a question mark if the clock couldn't be believed.
fn day(date: &Date) -> String {
    let day = date.time.get(..10).unwrap_or_default();
    if date.synchronized { day.into() } else { format!("{day}?") }
}

fn row_line(cells: &[&str], widths: &[usize], paint: impl Fn(usize) -> Paint) -> Line {
    let mut line = Line::of(Paint::Plain, " ");
    let mut end = 1;
    for (i, (cell, width)) in cells.iter().zip(widths).enumerate() {
        line.push(paint(i), *cell);
        end += width + BETWEEN;
        line.pad(end);
    }
    line
}

fn ending_paint(ending: Ending) -> Paint {
    match ending {
        Ending::Committed => Paint::Good,
        Ending::Provisioned | Ending::Rebuilt | Ending::Unknown => Paint::Plain,
        Ending::Abandoned => Paint::Busy,
        Ending::Reverted => Paint::Bad,
    }
}
