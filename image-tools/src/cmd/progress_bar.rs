//! Progress bars on a terminal.
use crate::progress::{Progress, Stage};
use bistable_format::text::printable;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const STEADY: Duration = Duration::from_millis(100);

/// One bar at a time; those that are done stay above it.
#[derive(Debug)]
pub(crate) struct Bars(Mutex<Option<ProgressBar>>);

impl Bars {
    pub(crate) fn new() -> Bars {
        Bars(Mutex::new(None))
    }

    fn with(&self, f: impl FnOnce(&mut Option<ProgressBar>)) {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Progress for Bars {
    fn begin(&self, stage: Stage, total: u64) {
        let style = match total {
            0 => ProgressStyle::with_template("{msg:16} {spinner} {elapsed}"),
            _ => ProgressStyle::with_template(
                "{msg:16} [{bar:30}] {bytes:>11}/{total_bytes:11} {binary_bytes_per_sec:>12} {eta:>4}",
            ),
        };
        // The templates are ours; a wrong one would only lose its looks.
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        let bar = if total == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(total) };
        bar.set_style(style);
        bar.set_message(stage.name());
        bar.enable_steady_tick(STEADY);
        self.with(|current| *current = Some(bar));
    }

    fn advance(&self, _: Stage, done: u64) {
        self.with(|current| {
            if let Some(bar) = current {
                bar.set_position(done);
            }
        });
    }

    fn end(&self, _: Stage) {
        self.with(|current| {
            if let Some(bar) = current.take() {
                bar.finish();
            }
        });
    }

    fn note(&self, text: &str) {
        self.with(|current| match current {
            Some(bar) => bar.println(format!("note: {}", printable(text, &['\n']))),
            None => super::progress_lines::say(&format!("note: {text}")),
        });
    }
}

impl Drop for Bars {
    /// A stage that failed leaves its bar as it was.
    fn drop(&mut self) {
        self.with(|current| {
            if let Some(bar) = current.take() {
                bar.abandon();
            }
        });
    }
}
