//! Progress as lines: for logs, and as JSON for programs.
use crate::answer::{Line, Step};
use crate::clock::Stopwatch;
use crate::progress::{Progress, Stage};
use crate::repository::notice::{Notice, Notices};
use crate::size::Bytes;
use bistable_format::text::printable;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A log gets no more than one line in this time, but one for every tenth.
const PLAIN_EVERY: Duration = Duration::from_secs(2);
const JSON_EVERY: Duration = Duration::from_millis(100);

/// Lines on stderr.
#[derive(Debug)]
pub(crate) struct Lines {
    format: Format,
    watch: Stopwatch,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Plain,
    Json,
}

#[derive(Debug, Default)]
struct State {
    total: u64,
    began: Duration,
    said: Duration,
    tenth: u64,
}

impl Lines {
    pub(crate) fn plain() -> Lines {
        Lines { format: Format::Plain, watch: Stopwatch::start(), state: Mutex::default() }
    }

    pub(crate) fn json() -> Lines {
        Lines { format: Format::Json, ..Lines::plain() }
    }

    fn tell(&self, event: fn(Step) -> Line, stage: Stage, done: u64, state: &State) {
        let line = event(Step::new(stage, done, state.total));
        say(&match (self.format, &line) {
            (Format::Json, _) => line.json(),
            (Format::Plain, Line::Progress(_)) => {
                let percent = done.saturating_mul(100) / state.total.max(1);
                format!("{}: {percent} % of {}", stage.name(), Bytes(state.total))
            }
            (Format::Plain, Line::End(_)) => {
                let took = self.watch.elapsed().saturating_sub(state.began);
                format!("{}: done in {:.1} s", stage.name(), took.as_secs_f64())
            }
            (Format::Plain, Line::Begin(_) | Line::Note { .. }) => return,
        });
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Progress for Lines {
    fn begin(&self, stage: Stage, total: u64) {
        self.with(|state| {
            let now = self.watch.elapsed();
            *state = State { total, began: now, said: now, tenth: 0 };
            self.tell(Line::Begin, stage, 0, state);
        });
    }

    fn advance(&self, stage: Stage, done: u64) {
        self.with(|state| {
            let now = self.watch.elapsed();
            let tenth = done.saturating_mul(10) / state.total.max(1);
            let every = match self.format {
                Format::Plain => PLAIN_EVERY,
                Format::Json => JSON_EVERY,
            };
            // Both: a short stage says nothing between its beginning and its end, a long one says little.
            if now.saturating_sub(state.said) < every
                || (self.format == Format::Plain && tenth == state.tenth)
            {
                return;
            }
            state.said = now;
            state.tenth = tenth;
            self.tell(Line::Progress, stage, done, state);
        });
    }

    fn end(&self, stage: Stage) {
        self.with(|state| self.tell(Line::End, stage, state.total, state));
    }

    fn note(&self, text: &str) {
        say(&match self.format {
            Format::Plain => format!("note: {text}"),
            Format::Json => Line::note(text).json(),
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
