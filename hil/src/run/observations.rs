//! What is seen of a machine from outside, in order and with the time: the verdicts and the figures come from this alone.
use std::time::Duration;

/// Why a system stops working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its kernel panics.
    Panic,
    /// It makes no progress any more.
    Hang,
    /// The initramfs finds no init.
    NoInit,
    /// The boot loader can't start its kernel.
    NoKernel,
}

/// One thing that is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Power was switched on.
    On,
    /// Power was cut.
    Off,
    /// A boot loader or the firmware began.
    Loader,
    /// The machine was reset, by itself or by its watchdog.
    Reset,
    /// A watchdog had enough.
    Watchdog,
    /// Something is wrong with the system that runs.
    Fault(Fault),
    /// A system's root shell answers.
    Up {
        /// The system's version.
        version: String,
    },
    /// A line of the answer to a question, or its begin or end; see [`Line`].
    Line(Line),
    /// Any other line that is worth being told: the boot loader's decisions.
    Note(String),
}

/// What is seen, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Since the rig was started.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// A line of the dialogue with the root shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The answer to a question begins.
    Begin(u32),
    /// The answer to a question ended with this exit code.
    End(u32, i32),
    /// Text, which is part of an answer if it stands between the two.
    Text(String),
}

/// What the shell of the system says before and after an answer, and when it is there.
const BEGIN: &str = "@@begin ";
const END: &str = "@@end ";
const UP: &str = "rig: up version=";
const FAULT: &str = "rig: fault ";

/// The line to type so that the answer to `command` can be told from all else that is printed.
pub fn framed(question: u32, command: &str) -> String {
    format!("echo '{BEGIN}{question}'; {command} ; echo \"{END}{question} $?\"")
}

/// The question and the command in a line that [`framed`] made.
pub fn unframed(line: &str) -> Option<(u32, &str)> {
    let (question, rest) = line.strip_prefix("echo '")?.strip_prefix(BEGIN)?.split_once("'; ")?;
    let question: u32 = question.parse().ok()?;
    let command = rest.strip_suffix(&format!(" ; echo \"{END}{question} $?\""))?;
    Some((question, command))
}

/// What a line on the console says.
pub fn read(line: &str) -> What {
    let text = without_escapes(line);
    let text = text.trim_end();
    if let Some(version) = after(text, UP) {
        return What::Up { version: version.split(' ').next().unwrap_or_default().into() };
    }
    if let Some(rest) = text.strip_prefix(BEGIN).and_then(|n| n.parse().ok()) {
        return What::Line(Line::Begin(rest));
    }
    if let Some((question, code)) = text.strip_prefix(END).and_then(|rest| rest.split_once(' '))
        && let (Ok(question), Ok(code)) = (question.parse(), code.parse())
    {
        return What::Line(Line::End(question, code));
    }
    match after(text, FAULT) {
        Some("panic") => return What::Fault(Fault::Panic),
        Some("hang") => return What::Fault(Fault::Hang),
        _ => {}
    }
    let has = |words: &str| text.contains(words);
    if has("No init found. Try passing init=") || has("No working init found") {
        What::Fault(Fault::NoInit)
    } else if has("Kernel panic - not syncing") {
        What::Fault(Fault::Panic)
    } else if has("softdog: Initiating system reboot") {
        What::Watchdog
    } else if text.starts_with("U-Boot 20") {
        What::Loader
    } else if text.to_ascii_lowercase().starts_with("bistable: ") {
        if has("is damaged") { What::Fault(Fault::NoKernel) } else { What::Note(text.into()) }
    } else {
        What::Line(Line::Text(text.into()))
    }
}

fn after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    // Something else may have printed half a line before.
    text.find(words).and_then(|at| text.get(at + words.len()..))
}

/// Without what moves a terminal's cursor or changes its colors.
fn without_escapes(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                if chars.next() == Some('[') {
                    chars.find(|c| ('@'..='~').contains(c));
                }
            }
            c if c.is_control() && c != '\t' => {}
            c => text.push(c),
        }
    }
    text
}

/// Bytes from a serial line, made to lines.
#[derive(Clone, Debug, Default)]
pub struct Lines(Vec<u8>);

/// No line of a console is longer; what is gets cut.
const LONGEST: usize = 1 << 16;

impl Lines {
    /// Take bytes, and give the lines that are complete.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte == b'\n' || self.0.len() >= LONGEST {
                lines.push(String::from_utf8_lossy(&self.0).into_owned());
                self.0.clear();
            } else {
                self.0.push(*byte);
            }
        }
        lines
    }
}

/// Boots in what was seen.
pub fn boots(seen: &[Seen]) -> usize {
    // A system whose boot loader says nothing is seen when it comes up, one that never does when its loader begins.
    seen.iter().filter(|s| s.what == What::Loader).count()
}

/// The time from the first fault, or else from the first time that `bad` came up, to when `good` came up after it.
pub fn time_back(seen: &[Seen], bad: &str, good: &str) -> Option<Duration> {
    let fault = seen.iter().position(|s| matches!(s.what, What::Fault(_)));
    let first = fault.or_else(|| seen.iter().position(|s| is_up(s, bad)))?;
    let rest = seen.get(first..)?;
    let back = rest.iter().find(|s| is_up(s, good))?;
    Some(back.at.saturating_sub(rest.first()?.at))
}

/// Whether a system of a version came up.
pub fn is_up(seen: &Seen, wanted: &str) -> bool {
    matches!(&seen.what, What::Up { version } if version == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> What {
        What::Line(Line::Text(line.into()))
    }

    #[test]
    fn lines_of_a_console_are_understood() {
        let table = [
            ("rig: up version=1.0.0 boot=1234", What::Up { version: "1.0.0".into() }),
            ("[  OK  ] rig: up version=2.0.0", What::Up { version: "2.0.0".into() }),
            ("\x1b[0;1;39mU-Boot 2023.01+dfsg-2 (Feb 2023)\x1b[0m\r", What::Loader),
            ("U-Boot 2023.01+dfsg-2 (Feb 2023)\r", What::Loader),
            ("@@begin 7\r", What::Line(Line::Begin(7))),
            ("@@end 7 75", What::Line(Line::End(7, 75))),
            ("@@end 7 x", text("@@end 7 x")),
            (
                "# echo '@@begin 7'; ls ; echo \"@@end 7 $?\"",
                text("# echo '@@begin 7'; ls ; echo \"@@end 7 $?\""),
            ),
            ("[    5.1] Kernel panic - not syncing: sysrq", What::Fault(Fault::Panic)),
            ("No init found. Try passing init= bootarg.", What::Fault(Fault::NoInit)),
            ("rig: fault hang", What::Fault(Fault::Hang)),
            ("[   30.1] softdog: Initiating system reboot", What::Watchdog),
            ("bistable: slot B: kernel8.img is damaged", What::Fault(Fault::NoKernel)),
            ("bistable: slot B, trial 1", What::Note("bistable: slot B, trial 1".into())),
        ];
        for (line, want) in table {
            assert_eq!(read(line), want, "{line:?}");
        }
    }

    #[test]
    fn an_answer_can_be_told_from_its_question() {
        let typed = framed(3, "cat /x");
        assert!(matches!(read(&typed), What::Line(Line::Text(_))), "the echo of what was typed is no answer");
        assert_eq!(unframed(&typed), Some((3, "cat /x")));
        assert_eq!(unframed("cat /x"), None);
    }

    #[test]
    fn lines_come_when_they_are_complete() {
        let mut lines = Lines::default();
        assert!(lines.take(b"half").is_empty());
        assert_eq!(lines.take(b" a line\r\nand\nan"), ["half a line\r", "and"]);
        assert_eq!(lines.take(b"other\n"), ["another"]);
    }

    fn at(seconds: u64, what: What) -> Seen {
        Seen { at: Duration::from_secs(seconds), what }
    }

    fn up(seconds: u64, version: &str) -> Seen {
        at(seconds, What::Up { version: version.into() })
    }

    #[test]
    fn the_way_back_is_timed_from_the_fault() {
        let seen = [
            at(0, What::Loader),
            up(5, "1"),
            at(10, What::Loader),
            at(13, What::Fault(Fault::Panic)),
            at(20, What::Loader),
            up(27, "1"),
        ];
        assert_eq!(time_back(&seen, "2", "1"), Some(Duration::from_secs(14)));
        assert_eq!(boots(&seen), 3);
        let sick = [up(5, "1"), up(12, "2"), up(30, "1")];
        assert_eq!(time_back(&sick, "2", "1"), Some(Duration::from_secs(18)));
        assert_eq!(time_back(&sick, "3", "1"), None);
        assert_eq!(time_back(&sick[..2], "2", "1"), None);
    }
}
