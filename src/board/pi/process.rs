//! Running a program to its end: no shell, no input, bounded output, bounded time.
use crate::ports::{Clock, HostError};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use std::{
    io::{self, PipeReader, Read},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Bytes of output that are kept: the last ones.
const TAIL: usize = 8 << 10;
/// Reads of what is left in the pipe at the end: more than the 64 KiB that it holds (pipe(7)), for somebody who left the
/// group may go on writing.
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

/// Run it. When it has ended, and when its time is over, everything of its process group is killed.
pub(super) fn run(command: &[String], timeout: Duration, clock: &dyn Clock) -> Result<Output, HostError> {
    let until = clock.now().saturating_add(timeout);
    let program = command.first().map_or("", String::as_str);
    let failed = |e: io::Error| HostError::Failed(format!("{program}: {e}"));
    let (mut child, mut reader) = spawn(command).map_err(failed)?;
    let mut tail = Vec::new();
    let in_time = loop {
        if has_ended(&child).map_err(failed)? {
            break true;
        }
        let left = until.saturating_sub(clock.now());
        if left.is_zero() {
            break false;
        }
        listen(&mut reader, &mut tail, left.min(SLICE)).map_err(failed)?;
    };
    // The program isn't reaped yet, so its number, which is the group's, can't belong to anybody else. Nobody being
    // there any more is fine.
    let _ = i32::try_from(child.id()).map(|id| killpg(Pid::from_raw(id), Signal::SIGKILL));
    // What it printed last. Killed children may still hold the pipe: never wait for its end.
    for _ in 0..DRAIN {
        if !in_time || listen(&mut reader, &mut tail, Duration::ZERO).map_err(failed)? == Heard::Nothing {
            break;
        }
    }
    if !in_time {
        let gone = clock.now().saturating_add(KILL);
        while !has_ended(&child).map_err(failed)? && clock.now() < gone {
            clock.wait(Duration::from_millis(1));
        }
    }
    match (in_time, child.try_wait().map_err(failed)?) {
        (true, Some(status)) => {
            Ok(Output { code: status.code(), tail: String::from_utf8_lossy(&tail).into_owned() })
        }
        _ => Err(HostError::Timeout(timeout)),
    }
}

fn spawn(command: &[String]) -> io::Result<(Child, PipeReader)> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program is named"))?;
    let (reader, writer) = io::pipe()?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    // The command, and with it our ends of the pipe, is dropped at once.
    let child = Command::new(program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    Ok((child, reader))
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
fn listen(reader: &mut PipeReader, tail: &mut Vec<u8>, wait: Duration) -> io::Result<Heard> {
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
    let mut bytes = [0; 4096];
    match reader.read(&mut bytes) {
        // All ends are closed: the poll would return at once for ever.
        Ok(0) => {
            let _ = poll(&mut [], PollTimeout::from(millis));
            Ok(Heard::Nothing)
        }
        Ok(n) => {
            tail.extend_from_slice(&bytes[..n]);
            tail.drain(..tail.len().saturating_sub(TAIL));
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
    fn only_the_end_of_much_output_is_kept() {
        let output = shell("yes 0123456789 | head -n 1000000; echo the end", LONG).unwrap();
        assert_eq!((output.code, output.last_line()), (Some(0), "the end"));
        assert!(output.tail.len() <= TAIL);
    }

    #[test]
    fn what_cannot_be_started_is_no_timeout() {
        for command in [vec![], vec!["/nonexistent".to_owned()]] {
            assert!(matches!(run(&command, Duration::from_secs(60), &PiClock), Err(HostError::Failed(_))));
        }
    }

    /// Whether somebody still runs with this word in its command line.
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
    fn endless_output_is_no_way_around_the_timeout() {
        assert_eq!(shell("yes", 50), Err(HostError::Timeout(Duration::from_millis(50))));
    }
}
