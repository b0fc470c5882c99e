//! How far a long step is: a bar on a terminal, lines for logs, objects for programs. Always on stderr.
use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use serde::Serialize;
use std::{fmt, io::Write, time::Duration};

/// Version of the JSON lines.
pub const SCHEMA: u32 = 1;

/// A line is due at the earliest after this time, so that a fast step does not fill a log.
const SHORTEST: Duration = Duration::from_secs(2);
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
    stage: Option<Stage>,
}

enum Sink {
    Bar(Option<ProgressBar>),
    Lines { out: Box<dyn Write + Send>, clock: Box<dyn Fn() -> Duration + Send>, json: bool },
    Quiet,
}

/// A stage under way.
#[derive(Debug)]
struct Stage {
    name: String,
    total: u64,
    done: u64,
    /// When and where the last line was.
    told_at: Duration,
    told_tenth: u64,
}

/// One line for programs.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Object<'a> {
    /// Version of this form.
    schema: u32,
    /// What is under way.
    stage: &'a str,
    /// Bytes.
    done: u64,
    /// Bytes; 0 if it isn't known.
    total: u64,
    /// Whether the stage ended well.
    finished: bool,
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
        let lines = |json| Sink::Lines { out, clock: Box::new(clock), json };
        let sink = match mode {
            Mode::Auto if stderr_is_terminal => Sink::Bar(None),
            Mode::Auto | Mode::Plain => lines(false),
            Mode::Json => lines(true),
            Mode::Quiet => Sink::Quiet,
        };
        Progress { sink, stage: None }
    }

    /// Tell nobody.
    pub fn quiet() -> Progress {
        Progress { sink: Sink::Quiet, stage: None }
    }

    /// A stage begins; one that is under way ends. `total` is in bytes, 0 if it isn't known.
    pub fn start(&mut self, stage: &str, total: u64) {
        self.finish();
        if let Sink::Bar(bar) = &mut self.sink {
            *bar = Some(new_bar(stage, total));
        }
        let now = self.now();
        self.stage = Some(Stage { name: stage.into(), total, done: 0, told_at: now, told_tenth: 0 });
        self.tell(Moment::Start);
    }

    /// `bytes` more are done. Without a stage nothing happens.
    pub fn advance(&mut self, bytes: u64) {
        let now = self.now();
        let Some(stage) = &mut self.stage else { return };
        stage.done = stage.done.saturating_add(bytes);
        let tenth = stage.tenth();
        let (crossed, waited) = (tenth > stage.told_tenth, now.saturating_sub(stage.told_at) >= SHORTEST);
        let due = match &self.sink {
            Sink::Bar(Some(bar)) => {
                bar.set_position(stage.done);
                false
            }
            Sink::Bar(None) | Sink::Quiet => false,
            Sink::Lines { json: true, .. } => crossed || waited,
            // Without a total there are no tenths to wait for.
            Sink::Lines { json: false, .. } => waited && (crossed || stage.total == 0),
        };
        if due {
            stage.told_at = now;
            stage.told_tenth = tenth;
            self.tell(Moment::Between);
        }
    }

    /// The stage ended well. A stage that is dropped without this stays where it was: what failed says so itself.
    pub fn finish(&mut self) {
        self.tell(Moment::End);
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

    fn tell(&mut self, moment: Moment) {
        let (Sink::Lines { out, json, .. }, Some(stage)) = (&mut self.sink, &self.stage) else { return };
        let line = if *json { stage.object(moment) } else { stage.line(moment) };
        if let Some(line) = line {
            // One write, so that lines of several processes don't mix.
            let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Start,
    Between,
    End,
}

impl Stage {
    fn tenth(&self) -> u64 {
        self.percent() / 10
    }

    fn percent(&self) -> u64 {
        let percent = u128::from(self.done) * 100 / u128::from(self.total.max(1));
        u64::try_from(percent).unwrap_or(100).min(100)
    }

    fn object(&self, moment: Moment) -> Option<String> {
        let object = Object {
            schema: SCHEMA,
            stage: &self.name,
            done: self.done,
            total: self.total,
            finished: moment == Moment::End,
        };
        serde_json::to_string(&object).ok()
    }

    fn line(&self, moment: Moment) -> Option<String> {
        let (name, done, total) = (&self.name, BinaryBytes(self.done), BinaryBytes(self.total));
        Some(match (moment, self.total) {
            (Moment::Start, 0) => format!("{name}: started"),
            (Moment::Start, _) => format!("{name}: {total}"),
            (Moment::Between, 0) => format!("{name}: {done}"),
            (Moment::Between, _) => format!("{name}: {} %, {done} of {total}", self.percent()),
            (Moment::End, _) => format!("{name}: done, {done}"),
        })
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
    struct Desk {
        paper: Arc<Mutex<Vec<u8>>>,
        millis: Arc<AtomicU64>,
    }

    impl Write for Desk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.paper.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Desk {
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
        let desk = Desk::default();
        let mut progress = desk.progress(mode);
        progress.start("write", steps * MIB);
        for _ in 0..steps {
            desk.pass(millis);
            progress.advance(MIB);
        }
        progress.finish();
        desk.lines()
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
        let desk = Desk::default();
        let mut progress = desk.progress(Mode::Plain);
        progress.start("read", 0);
        for _ in 0..6 {
            desk.pass(1_000);
            progress.advance(MIB);
        }
        progress.finish();
        let want =
            ["read: started", "read: 2.00 MiB", "read: 4.00 MiB", "read: 6.00 MiB", "read: done, 6.00 MiB"];
        assert_eq!(desk.lines(), want);
    }

    #[test]
    fn programs_get_objects() {
        let lines = run(Mode::Json, 4, 1);
        assert_eq!(lines[0], r#"{"schema":1,"stage":"write","done":0,"total":4194304,"finished":false}"#);
        assert_eq!(
            lines[5],
            r#"{"schema":1,"stage":"write","done":4194304,"total":4194304,"finished":true}"#
        );
        assert_eq!(lines.len(), 6);
        // Fast: one for each 10 %; slow: one for each 2 s.
        assert_eq!(run(Mode::Json, 512, 1).len(), 12);
        assert_eq!(run(Mode::Json, 100, 1_000).len(), 52);
        for line in run(Mode::Json, 100, 1_000) {
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert!(object["done"].as_u64() <= object["total"].as_u64());
        }
    }

    #[test]
    fn quiet_is_quiet() {
        assert!(run(Mode::Quiet, 10, 10_000).is_empty());
        let mut nobody = Progress::quiet();
        nobody.start("write", 1);
        nobody.advance(1);
        nobody.finish();
    }

    #[test]
    fn a_new_stage_ends_the_old_one_and_only_a_finished_one_is_done() {
        let desk = Desk::default();
        let mut progress = desk.progress(Mode::Plain);
        progress.advance(1);
        progress.finish();
        progress.start("write", MIB);
        progress.start("verify", MIB);
        drop(progress);
        let want = ["write: 1.00 MiB", "write: done, 0 B", "verify: 1.00 MiB"];
        assert_eq!(desk.lines(), want);
    }

    #[test]
    fn more_than_the_total_is_no_more_than_all() {
        let stage =
            |done, total| Stage { name: "write".into(), total, done, told_at: Duration::ZERO, told_tenth: 0 };
        let table = [(0, 0, 0), (5, 10, 50), (20, 10, 100), (u64::MAX, u64::MAX, 100), (u64::MAX, 1, 100)];
        for (done, total, percent) in table {
            assert_eq!(stage(done, total).percent(), percent);
        }
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
