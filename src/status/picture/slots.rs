//! The boot flag, its arrows, and the two boxes.
use super::{GAP, Glyphs, MARGIN, Pen, flow, indent};
use crate::ports::Power;
use crate::status::{
    SlotState, SlotStatus, Status,
    text::{Line, Paint, wrap},
};
use bistable_boot::Slot;

impl Pen {
    /// The boot flag with its arrows to the slots.
    pub(super) fn flag(&self, status: &Status) -> Vec<Line> {
        let g = self.glyphs;
        let label = " boot flag ";
        let (a, b) = (self.center(Slot::A), self.center(Slot::B));
        let label_at = (a + b + 1 - label.len()) / 2;
        let label_end = label_at + label.len();
        let mut line = Line::new();
        match arrow(status, Slot::A) {
            Arrow::To(kind) => {
                line.pad(a);
                let shaft = kind.shaft(g, label_at - a - 1);
                line.push(kind.paint(), format!("{}{shaft}", g.corner[0]));
            }
            Arrow::Unknown => {
                line.pad(label_at - 1);
                line.push(Paint::Bad, "?");
            }
            Arrow::None => {
                let fallback = fallback(status).filter(|text| text.len() + MARGIN < label_at);
                let fallback = fallback.unwrap_or_default();
                line.pad(label_at - 1 - fallback.len());
                line.push(Paint::Busy, fallback);
                line.pad(label_at);
            }
        }
        line.push(Paint::Strong, label);
        match arrow(status, Slot::B) {
            Arrow::To(kind) => {
                let shaft = kind.shaft(g, b - label_end);
                line.push(kind.paint(), format!("{shaft}{}", g.corner[1]));
            }
            Arrow::Unknown => line.push(Paint::Bad, "?"),
            Arrow::None => {
                let room = self.columns - MARGIN - label_end - 1;
                if let Some(fallback) = fallback(status).filter(|text| text.len() <= room) {
                    line.push(Paint::Busy, format!(" {fallback}"));
                }
            }
        }
        let mut heads = Line::new();
        for slot in Slot::ALL {
            if let Arrow::To(kind) = arrow(status, slot) {
                heads.pad(self.center(slot));
                heads.push(kind.paint(), kind.head(g));
            }
        }
        if status.default.is_some() { vec![line, heads] } else { vec![line] }
    }

    /// The column of a box's middle.
    fn center(&self, slot: Slot) -> usize {
        let left = match slot {
            Slot::A => MARGIN,
            Slot::B => MARGIN + self.box_width + GAP,
        };
        left + self.box_width / 2
    }

    /// Both boxes, line by line.
    pub(super) fn boxes(&self, status: &Status) -> Vec<Line> {
        let mut contents = Slot::ALL.map(|slot| (slot, self.content(&status.slots[slot])));
        let height = contents.iter().map(|(_, lines)| lines.len()).max().unwrap_or_default();
        for (_, lines) in &mut contents {
            lines.resize(height, Line::new());
        }
        let [left, right] = contents.map(|(slot, lines)| self.framed(&status.slots[slot], slot, lines));
        left.into_iter()
            .zip(right)
            .map(|(left, right)| {
                let mut line = indent(MARGIN);
                line.append(left);
                line.push(Paint::Plain, " ".repeat(GAP));
                line.append(right);
                line
            })
            .collect()
    }

    /// What stands in a box.
    fn content(&self, it: &SlotStatus) -> Vec<Line> {
        let inner = self.box_width - 2 - 2 * self.padding;
        let text = |paint, text: &str| {
            wrap(&self.clean(text), inner).into_iter().map(move |part| Line::of(paint, part))
        };
        let mut lines = Vec::new();
        if let Some(version) = &it.version {
            lines.extend(text(Paint::Strong, version));
        }
        lines.extend(self.badges(it, inner));
        if let Some(release) = &it.release {
            lines.extend(text(Paint::Faint, &format!("release {}", release.short)));
        }
        if let Some(note) = &it.note {
            lines.extend(text(Paint::Faint, note));
        }
        lines
    }

    /// What a slot is. Its word is left out where a badge says the same.
    fn badges(&self, it: &SlotStatus, inner: usize) -> Vec<Line> {
        let g = self.glyphs;
        let default = it.default == Some(true);
        let said = match it.state {
            SlotState::Running => it.booted,
            SlotState::Default => default,
            SlotState::OnTrial => it.on_trial,
            _ => false,
        };
        let badges = [
            (it.booted, g.booted, "booted", Paint::Good),
            (default, g.default, "default", Paint::Good),
            (it.on_trial, g.on_trial, "on trial", Paint::Busy),
        ];
        let badges = badges.into_iter().filter(|(is, ..)| *is);
        let badges = badges.map(|(_, glyph, name, paint)| Line::of(paint, format!("{glyph} {name}")));
        let word = (!said).then(|| Line::of(slot_paint(it.state), it.state.to_string()));
        flow(badges.chain(word), inner)
    }

    fn framed(&self, it: &SlotStatus, slot: Slot, lines: Vec<Line>) -> Vec<Line> {
        let frame = if it.booted { &self.glyphs.heavy } else { &self.glyphs.light };
        let paint = if it.booted { Paint::Strong } else { Paint::Plain };
        let across = |count| frame.across.repeat(count);
        let inside = self.box_width - 2;
        let title = format!(" {slot} ");
        let mut framed = vec![
            Line::of(paint, format!("{}{}", frame.top[0], frame.across))
                .with(Paint::Strong, title.as_str())
                .with(paint, format!("{}{}", across(inside - 1 - title.len()), frame.top[1])),
        ];
        for line in lines {
            let mut row = Line::of(paint, frame.side).with(Paint::Plain, " ".repeat(self.padding));
            row.append(line);
            row.pad(self.box_width - 1);
            row.push(paint, frame.side);
            framed.push(row);
        }
        framed.push(Line::of(paint, format!("{}{}{}", frame.bottom[0], across(inside), frame.bottom[1])));
        framed
    }
}

/// What the boot flag has to do with a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrow {
    To(Boots),
    Unknown,
    None,
}

/// For how long an arrow holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boots {
    Always,
    Once,
}

impl Boots {
    fn shaft(self, g: &Glyphs, width: usize) -> String {
        match self {
            Boots::Always => g.solid.repeat(width),
            Boots::Once => dashes(g, width),
        }
    }

    fn head(self, g: &Glyphs) -> &'static str {
        match self {
            Boots::Always => g.head,
            Boots::Once => g.once_head,
        }
    }

    fn paint(self) -> Paint {
        match self {
            Boots::Always => Paint::Good,
            Boots::Once => Paint::Busy,
        }
    }
}

fn arrow(status: &Status, slot: Slot) -> Arrow {
    match status.default {
        None => Arrow::Unknown,
        Some(default) if default == slot => Arrow::To(Boots::Always),
        Some(_) if status.once == Some(slot) => Arrow::To(Boots::Once),
        Some(_) => Arrow::None,
    }
}

/// What a slot that runs without being the default means.
fn fallback(status: &Status) -> Option<String> {
    let running = status.power == Power::On && status.pending == Some(true);
    let default = status.default.filter(|_| running)?;
    Some(format!("any reset boots {default} again"))
}

/// A dashed line that says what it is.
fn dashes(g: &Glyphs, width: usize) -> String {
    let word = " once ";
    match width.checked_sub(word.len()) {
        Some(left) if left >= 2 => {
            format!("{}{word}{}", g.dashed.repeat(left / 2), g.dashed.repeat(left - left / 2))
        }
        _ => g.dashed.repeat(width),
    }
}

fn slot_paint(state: SlotState) -> Paint {
    match state {
        SlotState::Running | SlotState::Default => Paint::Good,
        SlotState::Empty | SlotState::Previous => Paint::Faint,
        SlotState::Rejected | SlotState::Reverting => Paint::Bad,
        SlotState::Installing
        | SlotState::Staged
        | SlotState::Armed
        | SlotState::OnTrial
        | SlotState::Committing => Paint::Busy,
    }
}
