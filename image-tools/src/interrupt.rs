//! What a signal takes with it: the temporary files that have a name.
//!
//! A signal ends the program at once, wherever it is: all that it does to a repository or an output can be cut anywhere. Only what lies
//! under a temporary name would stay for good, and can be as large as a card.
use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::{NamedTempFile, TempDir};

static PATHS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static STATE: Mutex<String> = Mutex::new(String::new());
/// The terminal as it was before what is typed was hidden.
static TERMINAL: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// Whatever a thread that failed left there.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file or folder, which goes if a signal ends the program, too.
#[derive(Debug)]
pub(crate) struct Temporary<T> {
    what: T,
    /// Forgotten after `what` is gone.
    remembered: Remembered,
}

impl Temporary<TempDir> {
    /// This folder.
    pub(crate) fn folder(folder: TempDir) -> Self {
        Temporary { remembered: Remembered::new(folder.path()), what: folder }
    }
}

impl Temporary<NamedTempFile> {
    /// This file.
    pub(crate) fn file(file: NamedTempFile) -> Self {
        Temporary { remembered: Remembered::new(file.path()), what: file }
    }

    /// The file, to be given another name, and what remembers its own until that is done.
    pub(crate) fn into_parts(self) -> (NamedTempFile, Remembered) {
        (self.what, self.remembered)
    }
}

impl<T> Deref for Temporary<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.what
    }
}

/// A path that a signal removes, as long as this lives.
#[derive(Debug)]
pub(crate) struct Remembered(PathBuf);

impl Remembered {
    fn new(path: &Path) -> Remembered {
        // The program may be somewhere else when the signal comes.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        with(|paths| paths.insert(path.clone()));
        Remembered(path)
    }
}

impl Drop for Remembered {
    fn drop(&mut self) {
        with(|paths| paths.remove(&self.0));
    }
}

/// What is reported if a signal ends the program while this lives: what state the work is left in, and what to do about it.
#[derive(Debug)]
pub(crate) struct LeftAs(());

impl LeftAs {
    /// From now on this is the state.
    pub(crate) fn new(text: String) -> LeftAs {
        *lock(&STATE) = text;
        LeftAs(())
    }
}

impl Drop for LeftAs {
    fn drop(&mut self) {
        lock(&STATE).clear();
    }
}

/// The terminal is as it was when this began, once a signal ends the program.
#[derive(Debug)]
pub(crate) struct Terminal(());

impl Terminal {
    /// From now on. Without a terminal there is nothing to do.
    pub(crate) fn remember() -> Terminal {
        let there = File::open("/dev/tty").ok().and_then(|terminal| {
            let settings = tcgetattr(&terminal).ok()?;
            Some((terminal, settings))
        });
        *lock(&TERMINAL) = there;
        Terminal(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        lock(&TERMINAL).take();
    }
}

fn restore_terminal() {
    if let Some((terminal, settings)) = &*lock(&TERMINAL) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(terminal, SetArg::TCSANOW, settings);
    }
}

/// What a program says that a signal ends.
fn last_line() -> String {
    match lock(&STATE).as_str() {
        "" => "interrupted".into(),
        state => format!("interrupted: {state}"),
    }
}

fn with<T>(act: impl FnOnce(&mut BTreeSet<PathBuf>) -> T) -> T {
    act(&mut lock(&PATHS))
}

/// Remove all that is temporary now.
fn remove_all() {
    with(|paths| {
        for path in std::mem::take(paths) {
            // It may be gone already, and nothing can be done about what can't be removed.
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    });
}

/// From now on, the signals that end a program remove what is temporary before they do. Called before any thread is started, so that all
/// of them leave these signals to this one; a child process gets them as ever.
pub(crate) fn watch() {
    let ignored = ignored();
    let mut waited = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // As with nohup: the program is to live through it.
        if ignored >> (signal as u32 - 1) & 1 == 0 {
            waited.add(signal);
        }
    }
    if waited.thread_block().is_err() {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "as the signal itself: what must not stay is removed")]
    let wait = move || {
        if let Ok(signal) = waited.wait() {
            remove_all();
            restore_terminal();
            // Nothing can be done about a closed stderr.
            let _ = writeln!(io::stderr(), "\n{}", last_line());
            std::process::exit(128 + signal as i32);
        }
    };
    // Without a thread the signals are as they were.
    if std::thread::Builder::new().name("signals".into()).spawn(wait).is_err() {
        let _ = waited.thread_unblock();
    }
}

/// The signals that are ignored, a bit for each, from the first: see proc_pid_status(5). None where that can't be read.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_is_known_and_what_is_dropped_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let kept = Remembered::new(&path);
        assert!(with(|paths| paths.contains(&path)));
        drop(kept);
        assert!(!with(|paths| paths.contains(&path)));
    }

    #[test]
    fn a_signal_reports_the_state_of_work_under_way_only() {
        let left = LeftAs::new("half".into());
        assert_eq!(last_line(), "interrupted: half");
        drop(left);
        assert_eq!(last_line(), "interrupted");
    }
}
