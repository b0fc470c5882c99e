//! What stands below the boxes: the last update and the facts.
use super::{MARGIN, Pen, flow, indent};
use crate::{
    date::utc_date,
    event::ComponentShown,
    status::{
        Mark, Status, Step,
        text::{Line, Paint},
    },
};
use bistable_boot::Floors;

impl Pen {
    /// The last update: a heading, its steps, and why one failed.
    pub(super) fn update(&self, status: &Status) -> Vec<Line> {
        let Some(update) = &status.update else {
            return self.labelled("update", Paint::Faint, "none yet");
        };
        let tries = match (update.attempts, update.outcome) {
            (0, _) => String::new(),
            (n, None) => format!(", trial {n} of {}", update.attempts_allowed),
            (1, Some(_)) => " after 1 trial boot".into(),
            (n, Some(_)) => format!(" after {n} trial boots"),
        };
        let how = update.outcome.map_or("in flight".into(), |outcome| outcome.to_string());
        let heading = format!("{} into slot {}: {how}{tries}", update.version, update.slot);
        let label = if update.outcome.is_some() { "last update" } else { "update" };
        let mut lines = self.labelled(label, Paint::Strong, &heading);
        let width = self.columns - 2 * MARGIN - 2;
        let steps = update.steps.iter().map(|step| self.step(step));
        lines.extend(flow(steps, width).into_iter().map(|line| {
            let mut indented = indent(MARGIN + 2);
            indented.append(line);
            indented
        }));
        for step in &update.steps {
            if let Some(reason) = &step.reason {
                let mark = self.glyphs.failed;
                lines.extend(self.hanging(MARGIN + 2, &format!("{mark} "), Paint::Bad, reason));
            }
        }
        lines
    }

    fn step(&self, step: &Step) -> Line {
        let g = self.glyphs;
        let (mark, mark_paint, paint) = match step.mark {
            Mark::Done => (g.done, Paint::Good, Paint::Plain),
            Mark::Failed => (g.failed, Paint::Bad, Paint::Bad),
            Mark::Running => (g.running, Paint::Busy, Paint::Busy),
            Mark::NotReached => (g.not_reached, Paint::Faint, Paint::Faint),
        };
        Line::of(mark_paint, mark).with(paint, format!(" {}", step.step))
    }

    /// Floors, rejected releases, trust and memory.
    pub(super) fn facts(&self, status: &Status) -> Vec<Line> {
        let mut lines = self.labelled("floors", Paint::Plain, &self.floors(&status.floors));
        if let Some(found) = &status.equivocation {
            lines.extend(self.labelled("channel", Paint::Bad, &found.text(&status.channel)));
        }
        if status.rejected.is_empty() {
            lines.extend(self.labelled("rejected", Paint::Faint, "none"));
        }
        for (i, rejected) in status.rejected.iter().enumerate() {
            let label = if i == 0 { "rejected" } else { "" };
            let text = format!("{} ({}): {}", rejected.version, rejected.release.short, rejected.reason);
            lines.extend(self.labelled(label, Paint::Plain, &text));
        }
        for (i, component) in status.components.iter().enumerate() {
            let label = if i == 0 { "components" } else { "" };
            let paint = match component.lifecycle.as_str() {
                "running" => Paint::Good,
                "failed" => Paint::Bad,
                "stopped" => Paint::Faint,
                _ => Paint::Busy,
            };
            lines.extend(self.labelled(label, paint, &self.component(component)));
        }
        let (paint, trust) = match (&status.root.problem, status.root.version) {
            (Some(problem), _) => (Paint::Bad, format!("no root of trust: {problem}")),
            (None, Some(version)) if status.root.demo => {
                (Paint::Busy, format!("root {version}, demo keys: not for production"))
            }
            (None, Some(version)) => (Paint::Plain, format!("root {version}")),
            (None, None) => (Paint::Bad, "no root of trust".into()),
        };
        lines.extend(self.labelled("trust", paint, &trust));
        if status.root.problem.is_none() && !status.system_root {
            let text = "the running system carries no root, so the stored one is held against nothing: build the next \
                        release with `--root`";
            lines.extend(self.labelled("", Paint::Busy, text));
        }
        let seq = status.journal.seq;
        let (paint, journal) = match status.journal.copies {
            [Some(_), Some(_)] => (Paint::Plain, format!("save {seq}, both copies good")),
            [None, Some(_)] => {
                (Paint::Busy, format!("save {seq}, copy 1 unreadable: the next save repairs it"))
            }
            [Some(_), None] => {
                (Paint::Busy, format!("save {seq}, copy 2 unreadable: the next save repairs it"))
            }
            [None, None] => (Paint::Bad, "both copies unreadable".into()),
        };
        lines.extend(self.labelled("journal", paint, &journal));
        lines
    }

    fn component(&self, component: &ComponentShown) -> String {
        let dot = self.glyphs.dot;
        let version = component.version.as_deref().unwrap_or("no version");
        let mut text = format!("{} {version} {dot} {}", component.component, component.lifecycle);
        if let Some(bound) = &component.bound {
            text.push_str(&format!(" {dot} {}", bound.text()));
        }
        if let Some(target) = &component.target {
            text.push_str(&format!(" {dot} {target} is {}", component.state));
        }
        if let Some(reason) = &component.reason {
            text.push_str(&format!(": {reason}"));
        }
        text
    }

    fn floors(&self, floors: &Floors) -> String {
        let dot = self.glyphs.dot;
        let mut text = format!(
            "security {} {dot} channel {} {dot} root {}",
            floors.security_version, floors.channel_sequence, floors.root_version
        );
        if floors.issued_at > 0 {
            text.push_str(&format!(" {dot} time {}", utc_date(floors.issued_at)));
        }
        text
    }
}
