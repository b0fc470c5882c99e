//! One line of `--progress json`, and when a line is due: the same in both programs.
use crate::answer::SCHEMA;
use alloc::string::String;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A line is due at the earliest after this time, so that a fast step does not fill a log.
const SHORTEST: Duration = Duration::from_secs(2);

/// What a program reads about the progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum ProgressLine {
    /// A stage begins.
    Begin(Step),
    /// It is under way.
    Progress(Step),
    /// It is done. A stage that fails has no such line.
    End(Step),
    /// Something that a person should know, and that stops nothing.
    Note {
        /// Version of this form.
        schema: u32,
        /// What.
        text: String,
    },
}

/// How far a stage is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Version of this form.
    pub schema: u32,
    /// The stage's name.
    pub stage: String,
    /// Bytes that are done.
    pub done: u64,
    /// Bytes in all; 0 if that isn't known.
    pub total: u64,
}

impl ProgressLine {
    /// A note.
    pub fn note(text: &str) -> ProgressLine {
        ProgressLine::Note { schema: SCHEMA, text: text.into() }
    }
}

/// Who reads the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A log: between the first and the last line of a stage one for each 10 %, but none sooner than 2 s after the last.
    Log,
    /// A program: one for each 10 % or 2 s, whichever is sooner.
    Program,
}

/// A stage under way. Time is counted from any moment.
#[derive(Clone, Debug)]
pub struct Running {
    step: Step,
    began: Duration,
    told_at: Duration,
    told_tenth: u64,
}

impl Running {
    /// A stage begins; `total` is in bytes, 0 if it isn't known.
    pub fn begin(stage: &str, total: u64, now: Duration) -> Running {
        let step = Step { schema: SCHEMA, stage: stage.into(), done: 0, total };
        Running { step, began: now, told_at: now, told_tenth: 0 }
    }

    /// How far it is.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// How long it has run.
    pub fn took(&self, now: Duration) -> Duration {
        now.saturating_sub(self.began)
    }

    /// How much is done, in percent of the total.
    pub fn percent(&self) -> u64 {
        let percent = u128::from(self.step.done) * 100 / u128::from(self.step.total.max(1));
        u64::try_from(percent).unwrap_or(100).min(100)
    }

    /// This many bytes are done in all. Whether a line is due.
    pub fn reach(&mut self, done: u64, now: Duration, reader: Reader) -> bool {
        self.step.done = done;
        let tenth = self.percent() / 10;
        let (crossed, waited) = (tenth > self.told_tenth, now.saturating_sub(self.told_at) >= SHORTEST);
        let due = match reader {
            Reader::Program => crossed || waited,
            // Without a total, tenths can't be computed.
            Reader::Log => waited && (crossed || self.step.total == 0),
        };
        if due {
            self.told_at = now;
            self.told_tenth = tenth;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many lines are due between begin and end of `steps` steps of one byte, `millis` apart.
    fn due(reader: Reader, steps: u64, total: u64, millis: u64) -> usize {
        let mut running = Running::begin("write", total, Duration::ZERO);
        (1..=steps).filter(|n| running.reach(*n, Duration::from_millis(n * millis), reader)).count()
    }

    #[test]
    fn a_log_gets_few_lines_and_a_program_a_sign_of_life() {
        for (reader, steps, total, millis, lines) in [
            (Reader::Log, 512, 512, 1, 0),
            (Reader::Log, 100, 100, 60_000, 10),
            // 10 % take a second: every second one waits for its two seconds.
            (Reader::Log, 10, 10, 1_000, 5),
            (Reader::Log, 6, 0, 1_000, 3),
            (Reader::Program, 512, 512, 1, 10),
            (Reader::Program, 100, 100, 1_000, 50),
        ] {
            assert_eq!(due(reader, steps, total, millis), lines, "{reader:?} {steps} {total} {millis}");
        }
    }

    #[test]
    fn percentage_never_exceeds_a_hundred() {
        let table = [(0, 0, 0), (5, 10, 50), (20, 10, 100), (u64::MAX, u64::MAX, 100), (u64::MAX, 1, 100)];
        for (done, total, percent) in table {
            let mut running = Running::begin("write", total, Duration::ZERO);
            running.reach(done, Duration::ZERO, Reader::Program);
            assert_eq!(running.percent(), percent);
        }
    }
}
