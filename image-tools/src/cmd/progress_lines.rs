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
                format!("{}: {} % of {}", step.stage, running.percent(), Bytes(step.total))
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
