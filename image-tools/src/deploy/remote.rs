//! The device at the other end: a port, and what its answers mean.
use serde::Deserialize;
use serde_json::Value;
use std::io::{self, Read};

/// Bytes of an answer at most: a status is a few KiB.
pub(super) const ANSWER: u64 = 4 << 20;

/// How a program on the device ended, as far as the connection tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code, or that of the connection (255); `None` if it was killed.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// The last lines that it wrote to standard error.
    pub stderr: String,
}

/// Runs `bistable` on a device.
pub trait Remote {
    /// Run it with these words, with `input` as its standard input, and hand over each line that it writes to standard error.
    ///
    /// # Errors
    /// The connection's program can't be started, or the input can't be read.
    fn run(
        &self,
        words: &[&str],
        input: Option<&mut dyn Read>,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> io::Result<Ended>;
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// It succeeded, with this answer.
    Answer(Value),
    /// The device's program failed.
    Failed(Failure),
    /// There is no connection, or it broke.
    Away(String),
    /// The device has no such program.
    NoProgram,
    /// The user there may not do this.
    NotAllowed(String),
    /// Anything else.
    Unclear(String),
}

/// A failure of the device's program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// In words.
    pub error: String,
    /// Its kind.
    pub code: String,
    /// The exit code.
    pub exit: u8,
}

/// ssh's own failures; a device's program has no such exit code.
const CONNECTION: i32 = 255;
/// The shell's: not found, and found but not executable.
const NO_PROGRAM: [i32; 2] = [127, 126];

impl Reply {
    pub(super) fn of(ended: &Ended) -> Reply {
        let said = last_line(&ended.stderr);
        let answer: Option<Value> = serde_json::from_str(&ended.stdout).ok();
        let failure = answer.as_ref().and_then(|answer| Failure::deserialize(answer).ok());
        match (ended.code, answer, failure) {
            (_, _, Some(failure)) if failure.error.contains("ermission denied") => {
                Reply::NotAllowed(failure.error)
            }
            (_, _, Some(failure)) => Reply::Failed(failure),
            (Some(0), Some(answer), None) => Reply::Answer(answer),
            (Some(CONNECTION) | None, ..) => Reply::Away(said),
            (Some(code), ..) if NO_PROGRAM.contains(&code) => Reply::NoProgram,
            // sudo ends with 1 for each of its own failures.
            (Some(1), None, _) if said.starts_with("sudo:") && said.contains("command not found") => {
                Reply::NoProgram
            }
            (Some(1), None, _) if said.starts_with("sudo:") => Reply::NotAllowed(said),
            (Some(code), ..) => Reply::Unclear(format!("exit code {code}: {said}")),
        }
    }
}

fn last_line(text: &str) -> String {
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: impl Into<Option<i32>>, stdout: &str, stderr: &str) -> Ended {
        Ended { code: code.into(), stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn what_a_call_came_to_follows_from_how_it_ended() {
        let failure = r#"{"schema":1,"error":"another process works on the card","code":"busy","exit":75}"#;
        let denied =
            r#"{"schema":1,"error":"can't open /dev/mmcblk0: Permission denied","code":"card","exit":1}"#;
        let busy =
            Failure { error: "another process works on the card".into(), code: "busy".into(), exit: 75 };
        let table = [
            (ended(0, r#"{"schema":1}"#, ""), Reply::Answer(serde_json::json!({"schema": 1}))),
            (ended(75, failure, "error: …"), Reply::Failed(busy)),
            (ended(1, denied, ""), Reply::NotAllowed("can't open /dev/mmcblk0: Permission denied".into())),
            (
                ended(255, "", "Warning: x\nssh: connect to host pi port 22: No route to host\n\n"),
                Reply::Away("ssh: connect to host pi port 22: No route to host".into()),
            ),
            (ended(None, "", ""), Reply::Away("it said nothing".into())),
            (ended(127, "", "bash: bistable: command not found"), Reply::NoProgram),
            (ended(1, "", "sudo: bistable: command not found"), Reply::NoProgram),
            (
                ended(1, "", "sudo: a password is required\n"),
                Reply::NotAllowed("sudo: a password is required".into()),
            ),
            (ended(0, "Welcome!", ""), Reply::Unclear("exit code 0: it said nothing".into())),
            (ended(2, "", "error: unexpected"), Reply::Unclear("exit code 2: error: unexpected".into())),
        ];
        for (ended, expected) in table {
            assert_eq!(Reply::of(&ended), expected, "{ended:?}");
        }
    }
}
