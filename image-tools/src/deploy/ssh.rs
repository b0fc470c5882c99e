//! A device that is reached by a program such as ssh.
use super::remote::{ANSWER, Ended, Remote};
use crate::keys;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::Stdio;

/// The most lines and the most bytes of one line that are kept of what a device says.
const LINES: usize = 20;
const LINE: u64 = 64 << 10;
/// What is sent at a time.
const PIECE: usize = 256 << 10;

/// How a device is reached.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// The program and its arguments, up to the host.
    pub command: Vec<OsString>,
    /// The device: whatever the program takes.
    pub host: String,
    /// Whether `bistable` runs as root through sudo.
    pub sudo: bool,
}

impl Ssh {
    /// What the device's shell is given. The words are ours and need no quotes.
    fn line(&self, words: &[&str]) -> String {
        let program = if self.sudo { "sudo -n bistable" } else { "bistable" };
        format!("{program} {}", words.join(" "))
    }
}

impl Remote for Ssh {
    fn run(
        &self,
        words: &[&str],
        input: Option<&mut dyn Read>,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> io::Result<Ended> {
        let (program, args) = self.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = keys::program(program)
            .args(args)
            .arg(&self.host)
            .arg(self.line(words))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", program.display())))?;
        let (into, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (sent, stdout, stderr) = std::thread::scope(|scope| {
            // The pipes are read while the input is written: none of them may fill up.
            let stdout = scope.spawn(|| read_all(out));
            let stderr = scope.spawn(|| read_lines(err, on_line));
            let sent = match (into, input) {
                (Some(into), Some(input)) => send(input, into),
                _ => Ok(()),
            };
            (sent, stdout.join(), stderr.join())
        });
        let status = child.wait()?;
        sent?;
        let lost = |_| io::Error::other("a thread that read the device's answer failed");
        Ok(Ended { code: status.code(), stdout: stdout.map_err(lost)?, stderr: stderr.map_err(lost)? })
    }
}

/// Copy until the device has enough: one that refuses a bundle closes the pipe, and says why on another one.
fn send(input: &mut dyn Read, mut into: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let got = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(got) => got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        match into.write_all(buffer.get(..got).unwrap_or_default()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
}

fn read_all(from: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        // A connection that breaks has given what it has given.
        let _ = from.by_ref().take(ANSWER).read_to_end(&mut bytes);
        let _ = io::copy(&mut from, &mut io::sink());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Hand over each line. Gives the last ones.
fn read_lines(from: Option<impl Read>, on_line: &mut (dyn FnMut(&str) + Send)) -> String {
    let mut last = VecDeque::new();
    let Some(from) = from else { return String::new() };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.by_ref().take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        on_line(&text);
        last.push_back(text);
        if last.len() > LINES {
            last.pop_front();
        }
    }
    Vec::from(last).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the place of ssh: a shell that runs the last word.
    fn shell(script: &str) -> Ssh {
        let command = ["sh", "-c", script].map(OsString::from).into();
        Ssh { command, host: "pi".into(), sudo: false }
    }

    #[test]
    fn input_answer_and_messages_go_their_own_ways() {
        let ssh = shell("echo $0: $1 >&2; cat; exit 3");
        let mut lines = Vec::new();
        // More than a pipe holds.
        let text = "x".repeat(1 << 20);
        let mut input = text.as_bytes();
        let ended =
            ssh.run(&["update", "-"], Some(&mut input), &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!((ended.code, ended.stdout == text), (Some(3), true));
        assert_eq!(lines, ["pi: bistable update -"]);
        assert_eq!(ended.stderr, lines[0]);
    }

    #[test]
    fn a_device_that_refuses_the_input_is_heard() {
        let ssh = Ssh { sudo: true, ..shell("exec <&-; echo refused >&2; echo $1; exit 6") };
        let mut endless = io::repeat(0);
        let ended = ssh.run(&["status"], Some(&mut endless), &mut |_| {}).unwrap();
        assert_eq!(
            (ended.code, ended.stdout.trim(), ended.stderr.as_str()),
            (Some(6), "sudo -n bistable status", "refused")
        );
    }
}
