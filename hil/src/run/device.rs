//! The device as its operator meets it: power, a root shell on the console, and patience.
use super::{
    clock::Clock,
    observations::{self, Line, Seen, What, is_up},
    rig::{Jig, Power, Rig},
};
use anyhow::{Context, Result, bail, ensure};
use bistable_boot::Slot;
use serde::Deserialize;
use std::time::Duration;

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);
/// A dialogue is tried again when the machine went down in the middle of it, within the time that there is.
const TRY: Duration = Duration::from_secs(10);
/// A line as long as a terminal's may be.
const SHOWN: usize = 300;

/// A device on a rig, and everything that was seen of it.
#[allow(missing_debug_implementations, reason = "a rig is a trait object")]
pub struct Device<'a> {
    rig: &'a mut dyn Rig,
    /// What was seen, oldest first.
    pub seen: Vec<Seen>,
    question: u32,
    clock: Clock,
}

/// An answer of the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Exit code of the command.
    pub code: i32,
    /// What it printed.
    pub text: String,
}

/// What `bistable status --json` says, as far as scenarios look at it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The agent's state.
    pub state: String,
    /// The slot that runs.
    pub booted: Slot,
    /// The slot that the boot flag names.
    pub default: Option<Slot>,
    /// Both slots.
    pub slots: Slots,
    /// Releases that were rejected.
    #[serde(default)]
    pub rejected: Vec<Rejected>,
}

/// Both slots.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Slots {
    /// Slot A.
    pub a: InSlot,
    /// Slot B.
    pub b: InSlot,
}

/// What is in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InSlot {
    /// Its version.
    pub version: Option<String>,
}

/// A release that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rejected {
    /// Its version.
    pub version: String,
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Past {
    /// What it was about.
    pub version: String,
    /// In one word.
    pub outcome: String,
}

impl Status {
    /// The version that runs.
    pub fn running(&self) -> Option<&str> {
        let slot = if self.booted == Slot::A { &self.slots.a } else { &self.slots.b };
        slot.version.as_deref()
    }
}

impl<'a> Device<'a> {
    /// A device on a new card, without power.
    ///
    /// # Errors
    /// When the rig has no card.
    pub fn new(rig: &'a mut dyn Rig, scenario: &str) -> Result<Device<'a>> {
        rig.factory(scenario)?;
        Ok(Device { rig, seen: Vec::new(), question: 0, clock: Clock::start() })
    }

    /// The rig.
    pub fn rig(&mut self) -> &mut dyn Rig {
        &mut *self.rig
    }

    /// Switch the power.
    ///
    /// # Errors
    /// When that fails.
    pub fn power(&mut self, power: Power) -> Result<()> {
        self.rig.power(power)
    }

    /// Change the jig.
    ///
    /// # Errors
    /// When that fails.
    pub fn jig(&mut self, jig: Jig) -> Result<()> {
        self.rig.jig(jig)
    }

    /// Watch until something is seen for which `wanted` holds, from the `from`th thing on; gives its place.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn watch(
        &mut self,
        from: usize,
        within: Duration,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Result<Option<usize>> {
        let end = self.clock.now() + within;
        let mut next = from;
        loop {
            if let Some(at) = self.seen.get(next..).and_then(|new| new.iter().position(&wanted)) {
                return Ok(Some(next + at));
            }
            next = self.seen.len().max(from);
            let left = end.saturating_sub(self.clock.now());
            if left.is_zero() {
                return Ok(None);
            }
            let new = self.rig.watch(left.min(PAUSE))?;
            if new.is_empty() && !self.rig.has_a_clock() {
                // Nothing comes by itself.
                return Ok(None);
            }
            self.seen.extend(new);
        }
    }

    /// Wait for a system of a version to come up, counted from the `from`th thing on; gives the place.
    ///
    /// # Errors
    /// When it doesn't, with what was seen last.
    pub fn up(&mut self, version: &str, from: usize, within: Duration) -> Result<usize> {
        let found = self.watch(from, within, |s| is_up(s, version))?;
        found.with_context(|| format!("{version} did not come up in {} s; {}", within.as_secs(), self.last()))
    }

    /// Ask the root shell, and wait for the whole answer. None if the machine went down before, or the time was over.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn ask(&mut self, command: &str, within: Duration) -> Result<Option<Said>> {
        self.question += 1;
        let question = self.question;
        let from = self.seen.len();
        self.rig.send(&observations::framed(question, command))?;
        let over = |s: &Seen| match &s.what {
            What::Line(Line::End(q, _)) => *q == question,
            What::Up { .. } | What::Off | What::Reset | What::Loader => true,
            _ => false,
        };
        let Some(end) = self.watch(from, within, over)? else { return Ok(None) };
        let part = self.seen.get(from..=end).unwrap_or_default();
        let Some(Seen { what: What::Line(Line::End(_, code)), .. }) = part.last() else { return Ok(None) };
        let begin = part.iter().position(|s| s.what == What::Line(Line::Begin(question)));
        let lines = part.get(begin.unwrap_or_default()..).unwrap_or_default().iter();
        let text = lines.filter_map(|s| match &s.what {
            What::Line(Line::Text(text)) => Some(text.as_str()),
            _ => None,
        });
        Ok(Some(Said { code: *code, text: text.collect::<Vec<_>>().join("\n") }))
    }

    /// Ask again and again until a command ends with 0; whether it did in time.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn tries(&mut self, within: Duration, command: &str) -> Result<bool> {
        let end = self.clock.now() + within;
        while self.clock.now() < end {
            if self.ask(command, TRY)?.is_some_and(|said| said.code == 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Type a command whose end isn't waited for: it reboots the machine.
    ///
    /// # Errors
    /// When it can't be typed.
    pub fn start(&mut self, command: &str) -> Result<()> {
        self.question += 1;
        self.rig.send(&observations::framed(self.question, command))
    }

    /// What the device says of itself. None if it didn't answer.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn status(&mut self) -> Result<Option<Status>> {
        Ok(self.ask("bistable status --json", TRY)?.and_then(|said| json(&said.text)))
    }

    /// How past updates ended.
    ///
    /// # Errors
    /// When it doesn't say.
    pub fn history(&mut self) -> Result<Vec<Past>> {
        #[derive(Deserialize)]
        struct History {
            updates: Vec<Past>,
        }
        let answer = self.rig.pace().answer;
        let said = self.ask("bistable history --json", answer)?.context("no answer to `bistable history`")?;
        let history: Option<History> = json(&said.text);
        Ok(history.with_context(|| format!("`bistable history --json` said {}", said.text))?.updates)
    }

    /// Wait until the agent has nothing to do any more, through as many reboots as it takes.
    ///
    /// # Errors
    /// When it doesn't come to rest, with what was seen last.
    pub fn settle(&mut self, within: Duration) -> Result<Status> {
        let end = self.clock.now() + within;
        let mut last = None;
        while self.clock.now() < end {
            let from = self.seen.len();
            if let Some(status) = self.status()? {
                // "Installing" is half an installation that waits for its bundle, and "staged" waits for the operator.
                if matches!(status.state.as_str(), "idle" | "installing" | "staged") {
                    return Ok(status);
                }
                last = Some(status.state);
            }
            // A reboot may be under way: don't type into a boot loader.
            let down = |s: &Seen| matches!(s.what, What::Reset | What::Loader);
            if self.watch(from, PAUSE, down)?.is_some() {
                let left = end.saturating_sub(self.clock.now());
                self.watch(from, left, |s| matches!(s.what, What::Up { .. }))?;
            }
        }
        bail!(
            "the agent did not come to rest in {} s, last state {last:?}; {}",
            within.as_secs(),
            self.last()
        )
    }

    /// The last thing that says something, for people.
    pub fn last(&self) -> String {
        let mut told = self.seen.iter().rev().filter_map(|s| match &s.what {
            What::Line(Line::Text(text)) if !text.trim().is_empty() => Some(text.clone()),
            What::Line(_) => None,
            other => Some(format!("{other:?}")),
        });
        let last: Vec<_> = told.by_ref().take(3).collect();
        let text = last.into_iter().rev().collect::<Vec<_>>().join(" / ");
        format!("last seen: {}", text.chars().take(SHOWN).collect::<String>())
    }

    /// Cut the power and look at the card: the flag must name this slot.
    ///
    /// # Errors
    /// When it names another one.
    pub fn off_with_default(&mut self, wanted: Slot) -> Result<()> {
        self.power(Power::Off)?;
        let found = self.rig.default_slot()?;
        ensure!(found == wanted, "the boot flag on the card names slot {found}, not {wanted}");
        Ok(())
    }
}

/// The one JSON object in a text; other lines may have come between.
pub(super) fn json<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    text.lines().find_map(|line| serde_json::from_str(line.get(line.find('{')?..)?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = r#"{"schema":1,"state":"idle","booted":"B","default":"B","slots":{"a":{"version":"1.0.0"},"b":{"version":"2.0.0"}},"rejected":[]}"#;

    #[test]
    fn an_answer_is_found_among_other_lines() {
        let status: Status = json(&format!("[  3.1] some driver\n{STATUS}\n")).unwrap();
        assert_eq!((status.running(), status.default), (Some("2.0.0"), Some(Slot::B)));
        assert_eq!(json::<Status>("no object"), None);
        assert_eq!(json::<Status>("{\"half\": "), None);
    }
}
