//! How far a long step is: a bar on a terminal, lines for logs, objects for programs. Always on stderr.
use bistable_format::{
    json,
    progress::{ProgressLine, Reader, Running, Step},
};
use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use std::{fmt, io::Write, time::Duration};

/// Redraws of the bar in a second.
const REDRAWS: u8 = 10;
/// The bar, with and without a total.
const KNOWN: &str = "{prefix:>10} [{wide_bar}] {percent:>3} %  {binary_bytes} of {binary_total_bytes}  {eta}";
const UNKNOWN: &str = "{prefix:>10} {spinner} {binary_bytes}";

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// Lines: start and end of a stage, and between them one for each 10 %, but none sooner than 2 s after the last.
    Plain,
    /// One JSON object per line: start and end of a stage, and between them one for each 10 % or 2 s, whichever is
    /// sooner.
    Json,
    /// Nothing.
    Quiet,
}

/// Where progress is told. What can't be told is left out: a full disk under a log must not stop an update.
pub struct Progress {
    sink: Sink,
    stage: Option<Running>,
}

enum Sink {
    Bar(Option<ProgressBar>),
    Lines { out: Box<dyn Write + Send>, clock: Box<dyn Fn() -> Duration + Send>, reader: Reader },
    Quiet,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl Progress {
    /// Tell progress. Lines go to `out`; a bar goes to stderr itself. `clock` is monotonic, from any moment.
    pub fn new(
        mode: Mode,
        stderr_is_terminal: bool,
        out: Box<dyn Write + Send>,
        clock: impl Fn() -> Duration + Send + 'static,
    ) -> Progress {
        let lines = |reader| Sink::Lines { out, clock: Box::new(clock), reader };
        let sink = match mode {
            Mode::Auto if stderr_is_terminal => Sink::Bar(None),
            Mode::Auto | Mode::Plain => lines(Reader::Log),
            Mode::Json => lines(Reader::Program),
            Mode::Quiet => Sink::Quiet,
        };
        Progress { sink, stage: None }
    }

    /// Discard progress.
    pub fn quiet() -> Progress {
        Progress { sink: Sink::Quiet, stage: None }
    }

    /// A stage begins; one that is under way ends. `total` is in bytes, 0 if it isn't known.
    pub fn start(&mut self, stage: &str, total: u64) {
        self.finish();
        if let Sink::Bar(bar) = &mut self.sink {
            *bar = Some(new_bar(stage, total));
        }
        self.stage = Some(Running::begin(stage, total, self.now()));
        self.tell(ProgressLine::Begin);
    }

    /// `bytes` more are done. Without a stage nothing happens.
    pub fn advance(&mut self, bytes: u64) {
        let now = self.now();
        let Some(stage) = &mut self.stage else { return };
        let done = stage.step().done.saturating_add(bytes);
        let reader = if let Sink::Lines { reader, .. } = &self.sink { *reader } else { Reader::Log };
        let due = stage.reach(done, now, reader);
        match &self.sink {
            Sink::Bar(Some(bar)) => bar.set_position(done),
            Sink::Lines { .. } if due => self.tell(ProgressLine::Progress),
            Sink::Bar(None) | Sink::Lines { .. } | Sink::Quiet => {}
        }
    }

    /// The stage ended well. A stage that is dropped without this stays where it was: what failed says so itself.
    pub fn finish(&mut self) {
        self.tell(ProgressLine::End);
        self.stage = None;
        if let Sink::Bar(bar) = &mut self.sink
            && let Some(bar) = bar.take()
        {
            bar.finish();
        }
    }

    fn now(&self) -> Duration {
        match &self.sink {
            Sink::Lines { clock, .. } => clock(),
            Sink::Bar(_) | Sink::Quiet => Duration::ZERO,
        }
    }

    fn tell(&mut self, line: fn(Step) -> ProgressLine) {
        let (Sink::Lines { out, reader, .. }, Some(stage)) = (&mut self.sink, &self.stage) else { return };
        let line = line(stage.step().clone());
        let text = match reader {
            Reader::Program => json::line(&line),
            Reader::Log => in_words(&line, stage.percent()),
        };
        // One write, so that lines of several processes don't mix.
        let _ = out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush());
    }
}

fn in_words(line: &ProgressLine, percent: u64) -> String {
    let bytes = BinaryBytes;
    match line {
        ProgressLine::Begin(Step { stage, total: 0, .. }) => format!("{stage}: started"),
        ProgressLine::Begin(Step { stage, total, .. }) => format!("{stage}: {}", bytes(*total)),
        ProgressLine::Progress(Step { stage, done, total: 0, .. }) => format!("{stage}: {}", bytes(*done)),
        ProgressLine::Progress(Step { stage, done, total, .. }) => {
            format!("{stage}: {percent} %, {} of {}", bytes(*done), bytes(*total))
        }
        ProgressLine::End(Step { stage, done, .. }) => format!("{stage}: done, {}", bytes(*done)),
        ProgressLine::Note { text, .. } => text.clone(),
    }
}

/// A bar that fits any terminal: ASCII, as wide as there is room.
fn new_bar(stage: &str, total: u64) -> ProgressBar {
    let length = (total > 0).then_some(total);
    let template = if length.is_some() { KNOWN } else { UNKNOWN };
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .tick_chars("-\\|/ ");
    ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(REDRAWS))
        .with_style(style)
        .with_prefix(stage.to_owned())
        .with_finish(ProgressFinish::Abandon)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io,
        sync::{
            Arc, Mutex,
            atomic::{AtomicU64, Ordering},
        },
    };

    const MIB: u64 = 1 << 20;

    /// What was written, and a clock that a test moves.
    #[derive(Clone, Default)]
    struct Recorder {
        paper: Arc<Mutex<Vec<u8>>>,
        millis: Arc<AtomicU64>,
    }

    impl Write for Recorder {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.paper.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Recorder {
        fn progress(&self, mode: Mode) -> Progress {
            let millis = Arc::clone(&self.millis);
            let clock = move || Duration::from_millis(millis.load(Ordering::Relaxed));
            Progress::new(mode, false, Box::new(self.clone()), clock)
        }
        fn pass(&self, millis: u64) {
            self.millis.fetch_add(millis, Ordering::Relaxed);
        }
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.paper.lock().unwrap().clone()).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    /// `steps` advances of one MiB, `millis` apart.
    fn run(mode: Mode, steps: u64, millis: u64) -> Vec<String> {
        let recorder = Recorder::default();
        let mut progress = recorder.progress(mode);
        progress.start("write", steps * MIB);
        for _ in 0..steps {
            recorder.pass(millis);
            progress.advance(MIB);
        }
        progress.finish();
        recorder.lines()
    }

    #[test]
    fn a_log_gets_few_lines() {
        assert_eq!(run(Mode::Plain, 512, 1), ["write: 512.00 MiB", "write: done, 512.00 MiB"]);
        // However slow: one for each 10 %.
        let slow = run(Mode::Plain, 100, 60_000);
        assert_eq!(slow.len(), 12);
        assert_eq!(slow[1], "write: 10 %, 10.00 MiB of 100.00 MiB");
        assert_eq!(slow[10], "write: 100 %, 100.00 MiB of 100.00 MiB");
        // 10 % take a second: every second one waits for its two seconds.
        assert_eq!(run(Mode::Plain, 10, 1_000).len(), 7);
        // Without a terminal, `auto` is the same.
        assert_eq!(run(Mode::Auto, 100, 60_000), slow);
    }

    #[test]
    fn without_a_total_time_alone_counts() {
        let recorder = Recorder::default();
        let mut progress = recorder.progress(Mode::Plain);
        progress.start("read", 0);
        for _ in 0..6 {
            recorder.pass(1_000);
            progress.advance(MIB);
        }
        progress.finish();
        let want =
            ["read: started", "read: 2.00 MiB", "read: 4.00 MiB", "read: 6.00 MiB", "read: done, 6.00 MiB"];
        assert_eq!(recorder.lines(), want);
    }

    #[test]
    fn programs_get_objects() {
        let lines = run(Mode::Json, 4, 1);
        assert_eq!(lines[0], r#"{"event":"begin","schema":1,"stage":"write","done":0,"total":4194304}"#);
        assert_eq!(lines[5], r#"{"event":"end","schema":1,"stage":"write","done":4194304,"total":4194304}"#);
        assert_eq!(lines.len(), 6);
        for line in run(Mode::Json, 100, 1_000) {
            let line: ProgressLine = serde_json::from_str(&line).unwrap();
            let (ProgressLine::Begin(step) | ProgressLine::Progress(step) | ProgressLine::End(step)) = line
            else {
                panic!("{line:?}");
            };
            assert!(step.done <= step.total, "{step:?}");
        }
    }

    #[test]
    fn quiet_is_quiet() {
        assert!(run(Mode::Quiet, 10, 10_000).is_empty());
        let mut quiet = Progress::quiet();
        quiet.start("write", 1);
        quiet.advance(1);
        quiet.finish();
    }

    #[test]
    fn a_new_stage_ends_the_old_one_and_only_a_finished_one_is_done() {
        let recorder = Recorder::default();
        let mut progress = recorder.progress(Mode::Plain);
        progress.advance(1);
        progress.finish();
        progress.start("write", MIB);
        progress.start("verify", MIB);
        drop(progress);
        let want = ["write: 1.00 MiB", "write: done, 0 B", "verify: 1.00 MiB"];
        assert_eq!(recorder.lines(), want);
    }

    #[test]
    fn a_log_that_is_full_stops_nothing() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::StorageFull.into())
            }
        }
        let mut progress = Progress::new(Mode::Json, true, Box::new(Full), || Duration::ZERO);
        progress.start("write", 10);
        progress.advance(10);
        progress.finish();
    }

    #[test]
    fn it_may_be_used_from_another_thread() {
        fn sendable<T: Send>() {}
        sendable::<Progress>();
    }

    #[test]
    fn the_bars_templates_are_valid() {
        for total in [0, MIB] {
            let bar = new_bar("write", total);
            assert_eq!(bar.length(), (total > 0).then_some(total));
        }
        assert!(ProgressStyle::with_template(KNOWN).is_ok());
        assert!(ProgressStyle::with_template(UNKNOWN).is_ok());
    }
}
