//! Progress as lines: for logs, and as JSON for programs.
use crate::clock::Stopwatch;
use crate::progress::{Progress, Stage};
use crate::repository::notice::{Notice, Notices};
use crate::size::Bytes;
use bistable_format::json;
use bistable_format::progress::{ProgressLine, Reader, Running, Step};
use bistable_format::text::printable;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Lines on stderr.
#[derive(Debug)]
pub(crate) struct Lines {
    reader: Reader,
    watch: Stopwatch,
    running: Mutex<Option<Running>>,
}

impl Lines {
    pub(crate) fn new(reader: Reader) -> Lines {
        Lines { reader, watch: Stopwatch::start(), running: Mutex::default() }
    }

    fn tell(&self, line: fn(Step) -> ProgressLine, running: &Running) {
        let step = running.step();
        let line = line(step.clone());
        say(&match (self.reader, &line) {
            (Reader::Program, _) => json::line(&line),
            (Reader::Log, ProgressLine::Progress(_)) => {
                let pace = pace(step.done, step.total, running.took(self.watch.elapsed()));
                format!("{}: {} % of {}{pace}", step.stage, running.percent(), Bytes(step.total))
            }
            (Reader::Log, ProgressLine::End(_)) => {
                let took = running.took(self.watch.elapsed());
                format!("{}: done in {:.1} s", step.stage, took.as_secs_f64())
            }
            (Reader::Log, ProgressLine::Begin(_) | ProgressLine::Note { .. }) => return,
        });
    }

    fn with(&self, f: impl FnOnce(&mut Option<Running>)) {
        f(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Progress for Lines {
    fn begin(&self, stage: Stage, total: u64) {
        self.with(|running| {
            let begun = Running::begin(&stage.name(), total, self.watch.elapsed());
            self.tell(ProgressLine::Begin, running.insert(begun));
        });
    }

    fn advance(&self, _: Stage, done: u64) {
        self.with(|running| {
            let Some(running) = running else { return };
            if running.reach(done, self.watch.elapsed(), self.reader) {
                self.tell(ProgressLine::Progress, running);
            }
        });
    }

    fn end(&self, _: Stage) {
        self.with(|running| {
            let Some(mut running) = running.take() else { return };
            let done = running.step().total.max(running.step().done);
            running.reach(done, self.watch.elapsed(), self.reader);
            self.tell(ProgressLine::End, &running);
        });
    }

    fn note(&self, text: &str) {
        say(&match self.reader {
            Reader::Log => format!("note: {text}"),
            Reader::Program => json::line(&ProgressLine::note(text)),
        });
    }
}

/// Says the notes, and nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnlyNotes;

impl Progress for OnlyNotes {
    fn begin(&self, _: Stage, _: u64) {}

    fn advance(&self, _: Stage, _: u64) {}

    fn end(&self, _: Stage) {}

    fn note(&self, text: &str) {
        say(&format!("note: {text}"));
    }
}

/// How fast a stage is, and how long it still takes at that rate.
fn pace(done: u64, total: u64, took: Duration) -> String {
    let millis = took.as_millis();
    // Until something was done, nothing can be said.
    if done == 0 || millis == 0 {
        return String::new();
    }
    let rate = u64::try_from(u128::from(done) * 1000 / millis).unwrap_or(u64::MAX);
    let left = u128::from(total.saturating_sub(done)) * millis / u128::from(done) / 1000;
    format!(", {}/s, {left} s left", Bytes(rate))
}

/// A line on stderr, as far as there is one. Foreign text in it can't control the terminal.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(line, &['\n']));
}

/// Prints notices on stderr.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnStderr;

impl Notices for OnStderr {
    fn notice(&self, notice: &Notice) {
        say(&notice.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_rate_and_the_time_left() {
        let text = |done, seconds| pace(done, 100 << 20, Duration::from_secs(seconds));
        assert_eq!(text(25 << 20, 10), ", 2.5 MiB/s, 30 s left");
        assert_eq!(text(100 << 20, 10), ", 10.0 MiB/s, 0 s left");
        assert_eq!([text(0, 10), text(5, 0)], ["", ""]);
    }
}
