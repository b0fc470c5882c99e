//! Running a program to its end: no shell, no input, an environment of ours, bounded output, bounded time.
//!
//! It runs in a session of its own. When it has ended, when its time is over, and when this program ends (I15), all its
//! descendants are killed: see `family`.
use super::{
    family::Family,
    interpreter::{self, PATH},
};
use crate::{
    board::calls,
    ports::{Clock, HostError},
    teardown::{self, Entry},
};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::wait::{Id, WaitPidFlag, WaitStatus, waitid},
    unistd::Pid,
};
use std::{
    io::{self, PipeReader, Read, Write},
    os::fd::AsFd,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Bytes of output that are kept: the last ones.
const TAIL: usize = 8 << 10;
/// Bytes that a program may be given to read: less than a pipe holds.
const INPUT_MAX: usize = 32 << 10;
/// Reads of what is left in the pipe at the end: more than the 64 KiB that it holds (pipe(7)), for a process that left the
/// group may keep writing.
const DRAIN: u32 = 32;
/// How long one look at the output may take, so that the end of a program whose children still hold it is seen.
const SLICE: Duration = Duration::from_millis(20);
/// How long the kernel gets to end what was killed. What then still hangs in a driver is left to it.
const KILL: Duration = Duration::from_secs(1);

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    /// Its exit code; `None` if a signal ended it.
    pub(super) code: Option<i32>,
    /// The end of what it and its children printed on both outputs.
    pub(super) tail: String,
}

impl Output {
    /// The last line with something on it.
    pub(super) fn last_line(&self) -> &str {
        self.tail.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
    }
}

/// Run it. When it has ended, and when its time is over, it and all its descendants are killed.
pub(super) fn run(command: &[String], timeout: Duration, clock: &dyn Clock) -> Result<Output, HostError> {
    run_with(command, "", timeout, clock)
}

/// The same, and up to `most` bytes of what it printed are kept.
pub(super) fn run_keeping(
    command: &[String],
    most: usize,
    timeout: Duration,
    clock: &dyn Clock,
) -> Result<Output, HostError> {
    run_until(command, "", Heed { most, take: None }, timeout, clock)
}

/// The same, and `take` gets what it writes to its standard output, all of it; the other one is kept.
pub(super) fn run_reading(
    command: &[String],
    take: Take<'_>,
    timeout: Duration,
    clock: &dyn Clock,
) -> Result<Output, HostError> {
    run_until(command, "", Heed { most: TAIL, take: Some(take) }, timeout, clock)
}

/// The same with something to read: at most [`INPUT_MAX`] bytes, because the program must not wait for a child that doesn't read.
pub(super) fn run_with(
    command: &[String],
    input: &str,
    timeout: Duration,
    clock: &dyn Clock,
) -> Result<Output, HostError> {
    run_until(command, input, Heed { most: TAIL, take: None }, timeout, clock)
}

/// Takes bytes as they come.
type Take<'a> = &'a mut dyn FnMut(&[u8]);

/// What becomes of what a program prints.
struct Heed<'a> {
    /// Bytes that are kept: the last ones.
    most: usize,
    /// Takes its standard output.
    take: Option<Take<'a>>,
}

fn run_until(
    command: &[String],
    input: &str,
    mut heed: Heed<'_>,
    timeout: Duration,
    clock: &dyn Clock,
) -> Result<Output, HostError> {
    let until = clock.now().saturating_add(timeout);
    let program = command.first().map_or("", String::as_str);
    let failed = |e: io::Error| HostError::Failed(format!("{program}: {e}"));
    if let Some(problem) = interpreter::problem(program) {
        return Err(HostError::NotRunnable(format!("{program}: {problem}")));
    }
    let (mut running, mut reader, mut out) =
        Running::start(command, input, heed.take.is_some()).map_err(failed)?;
    let (mut tail, most) = (Vec::new(), heed.most);
    let mut keep = |bytes: &[u8]| {
        tail.extend_from_slice(bytes);
        tail.drain(..tail.len().saturating_sub(most));
    };
    let in_time = loop {
        if has_ended(&running.child).map_err(failed)? {
            break true;
        }
        let left = until.saturating_sub(clock.now());
        if left.is_zero() {
            break false;
        }
        match (&mut out, &mut heed.take) {
            (Some(out), Some(take)) => {
                listen(out, take, left.min(SLICE)).map_err(failed)?;
                listen(&mut reader, &mut keep, Duration::ZERO).map_err(failed)?;
            }
            _ => {
                listen(&mut reader, &mut keep, left.min(SLICE)).map_err(failed)?;
            }
        }
    };
    running.kill();
    if let (Some(out), Some(take), true) = (&mut out, &mut heed.take, in_time) {
        for _ in 0..DRAIN {
            if listen(out, take, Duration::ZERO).map_err(failed)? == Heard::Nothing {
                break;
            }
        }
    }
    // What it printed last. Killed children may still hold the pipe: never wait for its end.
    for _ in 0..DRAIN {
        if !in_time || listen(&mut reader, &mut keep, Duration::ZERO).map_err(failed)? == Heard::Nothing {
            break;
        }
    }
    if !in_time {
        let gone = clock.now().saturating_add(KILL);
        while !has_ended(&running.child).map_err(failed)? && clock.now() < gone {
            clock.wait(Duration::from_millis(1));
        }
    }
    match (in_time, running.child.try_wait().map_err(failed)?) {
        (true, Some(status)) => {
            Ok(Output { code: status.code(), tail: String::from_utf8_lossy(&tail).into_owned() })
        }
        _ => Err(HostError::Timeout(timeout)),
    }
}

/// A program that was started. It does not outlive this value, however this function is left.
struct Running {
    child: Child,
    /// Gone when it was killed.
    family: Option<(Family, Entry)>,
}

impl Running {
    /// Gives what it prints; its standard output apart from the other one, if that is wanted.
    fn start(
        command: &[String],
        input: &str,
        apart: bool,
    ) -> io::Result<(Running, PipeReader, Option<PipeReader>)> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program is named"))?;
        let (reader, writer) = io::pipe()?;
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let (out, stdout) = match apart {
            false => (None, writer.try_clone()?),
            true => {
                let (out, stdout) = io::pipe()?;
                fcntl(&out, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
                (Some(out), stdout)
            }
        };
        let (name, mark) = Family::new_mark();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir("/")
            .env_clear()
            .envs([("PATH", PATH), ("LANG", "C"), (name, &mark)])
            .stdin(stdin(input)?)
            .stdout(stdout)
            .stderr(writer);
        calls::in_new_session(&mut command);
        let start = || {
            let child = command.spawn()?;
            let session = i32::try_from(child.id()).map_err(io::Error::other)?;
            Ok::<_, io::Error>((child, Family::new(session, &mark)))
        };
        let undo = |(_, family): &(Child, Family)| -> teardown::Undo {
            let family = family.clone();
            Box::new(move || family.kill())
        };
        let ((child, family), entry) = teardown::begin(start, undo)?;
        // The command, and with it our ends of the pipe, is dropped here.
        Ok((Running { child, family: Some((family, entry)) }, reader, out))
    }

    fn kill(&mut self) {
        // The program isn't reaped yet, so its number, which is the session's, can't belong to another process.
        if let Some((family, entry)) = self.family.take() {
            family.kill();
            drop(entry);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Something to read: all of it lies in a pipe before the program begins.
fn stdin(input: &str) -> io::Result<Stdio> {
    if input.is_empty() {
        return Ok(Stdio::null());
    }
    if input.len() > INPUT_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is too much to read"));
    }
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(input.as_bytes())?;
    Ok(reader.into())
}

/// Whether it has ended, without reaping it.
fn has_ended(child: &Child) -> io::Result<bool> {
    let Ok(id) = i32::try_from(child.id()) else { return Ok(true) };
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    Ok(waitid(Id::Pid(Pid::from_raw(id)), flags)? != WaitStatus::StillAlive)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Something,
    Nothing,
}

/// Read what there is, once; wait for it at most that long.
fn listen(reader: &mut PipeReader, take: Take<'_>, wait: Duration) -> io::Result<Heard> {
    let millis = u16::try_from(wait.as_millis()).unwrap_or(u16::MAX);
    // A rest below a millisecond is one.
    let millis = if wait.is_zero() { 0 } else { millis.max(1) };
    let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    let ready = match poll(&mut fds, PollTimeout::from(millis)) {
        Err(Errno::EINTR) => 0,
        polled => polled?,
    };
    if ready == 0 {
        return Ok(Heard::Nothing);
    }
    let mut bytes = [0; 16 << 10];
    match reader.read(&mut bytes) {
        // All ends are closed: the poll would return at once forever.
        Ok(0) => {
            let _ = poll(&mut [], PollTimeout::from(millis));
            Ok(Heard::Nothing)
        }
        Ok(n) => {
            take(&bytes[..n]);
            Ok(Heard::Something)
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(Heard::Nothing)
        }
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::pi::PiClock;

    fn shell(script: &str, timeout_ms: u64) -> Result<Output, HostError> {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        run(&command, Duration::from_millis(timeout_ms), &PiClock)
    }

    const LONG: u64 = 60_000;

    #[test]
    fn how_programs_end() {
        let table = [
            ("echo one; echo two >&2; echo; exit 3", Some(3), "two"),
            ("true", Some(0), ""),
            ("printf 'no newline'", Some(0), "no newline"),
            ("kill -9 $$", None, ""),
            ("cat", Some(0), ""),
            ("pwd", Some(0), "/"),
            ("printf '\\377x\\n'", Some(0), "\u{fffd}x"),
        ];
        for (script, code, line) in table {
            let output = shell(script, LONG).unwrap();
            assert_eq!((output.code, output.last_line()), (code, line), "{script}");
        }
    }

    #[test]
    fn what_it_is_given_to_read_is_there_and_need_not_be_read() {
        let given = |script: &str, input: &str| {
            let command = ["/bin/sh", "-c", script].map(str::to_owned);
            run_with(&command, input, Duration::from_millis(LONG), &PiClock)
        };
        let much = "x".repeat(INPUT_MAX);
        for (script, input, line) in
            [("cat", "{\"a\":1}\n", "{\"a\":1}"), ("wc -c", &*much, "32768"), ("echo done", &*much, "done")]
        {
            assert_eq!(given(script, input).unwrap().last_line(), line, "{script}");
        }
        assert!(matches!(given("cat", &(much + "x")), Err(HostError::Failed(_))));
    }

    #[test]
    fn only_the_end_of_much_output_is_kept() {
        let output = shell("yes 0123456789 | head -n 1000000; echo the end", LONG).unwrap();
        assert_eq!((output.code, output.last_line()), (Some(0), "the end"));
        assert!(output.tail.len() <= TAIL);
    }

    #[test]
    fn standard_output_is_read_whole_and_apart_from_the_other() {
        let command =
            ["/bin/sh", "-c", "head -c 3000000 /dev/zero; echo trouble >&2; exit 4"].map(str::to_owned);
        let mut bytes = 0;
        let take = &mut |piece: &[u8]| bytes += piece.len();
        let output = run_reading(&command, take, Duration::from_millis(LONG), &PiClock).unwrap();
        assert_eq!((output.code, output.last_line(), bytes), (Some(4), "trouble", 3_000_000));
    }

    #[test]
    fn what_cannot_be_started_is_no_timeout() {
        for command in [vec![], vec!["/nonexistent".to_owned()]] {
            assert!(matches!(run(&command, Duration::from_secs(60), &PiClock), Err(HostError::Failed(_))));
        }
    }

    /// Whether a process still runs with this word in its command line.
    fn anybody(word: &str) -> bool {
        std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            line.split(|b| *b == 0).any(|argument| argument == word.as_bytes())
        })
    }

    /// A killed process leaves the list when the kernel has come to it.
    fn gone(word: &str) -> bool {
        (0..1000).any(|_| {
            PiClock.wait(Duration::from_millis(2));
            !anybody(word)
        })
    }

    #[test]
    fn a_timeout_takes_the_children_along() {
        // Its own number makes the word ours alone.
        let word = format!("7{:06}.25", std::process::id());
        let start = PiClock.now();
        let script = format!("sh -c 'sleep {word} & sleep {word}' & echo begun; sleep {word}");
        assert_eq!(shell(&script, 100), Err(HostError::Timeout(Duration::from_millis(100))));
        let took = PiClock.now().saturating_sub(start);
        assert!(took >= Duration::from_millis(100) && took < Duration::from_secs(20), "{took:?}");
        assert!(gone(&word));
    }

    #[test]
    fn a_program_that_ends_leaves_nothing_behind_and_is_not_waited_for() {
        let word = format!("8{:06}.25", std::process::id());
        let output = shell(&format!("sleep {word} & echo done"), LONG).unwrap();
        assert_eq!((output.code, output.last_line()), (Some(0), "done"));
        assert!(gone(&word));
    }

    #[test]
    fn descendants_that_left_the_group_and_the_session_are_killed() {
        for (at, leave) in ["setsid sleep", "setsid setsid -f sleep", "set -m; sleep"].iter().enumerate() {
            let word = format!("9{at}{:06}.25", std::process::id());
            let output = shell(&format!("{leave} {word} & sleep 0.2; echo done"), LONG).unwrap();
            assert_eq!((output.code, output.last_line()), (Some(0), "done"), "{leave}");
            assert!(gone(&word), "{leave}");
        }
    }

    #[test]
    fn the_environment_is_fixed() {
        // A shell adds variables of its own.
        let command = ["/usr/bin/env".to_owned()];
        let output = run(&command, Duration::from_millis(LONG), &PiClock).unwrap();
        let names: Vec<&str> = output.tail.lines().filter_map(|l| l.split('=').next()).collect();
        assert_eq!(names, ["BISTABLE_RUN", "LANG", "PATH"]);
        assert!(output.tail.contains("LANG=C\n"), "{}", output.tail);
    }

    #[test]
    fn no_signal_is_blocked_in_a_program() {
        let mut blocked = nix::sys::signal::SigSet::empty();
        blocked.add(nix::sys::signal::Signal::SIGTERM);
        let output = blocked.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK).map(|before| {
            let output = shell("grep SigBlk /proc/self/status", LONG).unwrap();
            before.thread_set_mask().unwrap();
            output
        });
        assert_eq!(output.unwrap().last_line(), "SigBlk:\t0000000000000000");
    }

    #[test]
    fn a_program_does_not_outlive_a_panic() {
        let word = format!("6{:06}.25", std::process::id());
        let command = ["/bin/sh", "-c", &format!("setsid sleep {word} & sleep {word}")].map(str::to_owned);
        let panicked = std::panic::catch_unwind(|| {
            let _running = Running::start(&command, "", false).unwrap();
            std::panic::resume_unwind(Box::new("stop"));
        });
        assert!(panicked.is_err() && gone(&word));
    }

    #[test]
    fn endless_output_is_no_way_around_the_timeout() {
        assert_eq!(shell("yes", 50), Err(HostError::Timeout(Duration::from_millis(50))));
    }
}
