//! The rig: a real Pi, a serial port, a relay for its power, one for the jig's wire, and a card.
use super::{
    bench::Bench,
    card,
    console::Console,
    person::Person,
    relay::{Contact, Relay},
    releases::{IN, OUT},
    serial::{self, Serial},
};
use crate::run::{
    clock::Clock,
    device::Status,
    observations::{self, Fault, Line, Seen, What},
    release::PRODUCT,
    rig::{Jig, Pace, Power, Rig},
};
use anyhow::{Context, Result, bail, ensure};
use bistable_boot::{Flow, Slot, layout::Partition};
use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    time::Duration,
};

/// What is on its way on the serial line when the power goes.
const DRAIN: Duration = Duration::from_millis(50);
/// So often something may come in before it is said that the power isn't off: some seconds of constant talk.
const LAST_WORDS: u32 = 1000;
/// A prompt that is this old was not heard.
const QUIET: Duration = Duration::from_secs(5);
/// Wrong passwords in a row; noise can spoil one.
const REFUSALS: u32 = 3;
/// Questions of the rig's own; those of a scenario count up from 1.
const OWN_QUESTIONS: u32 = 1 << 30;

/// What the rig's hands and ears are.
#[allow(missing_debug_implementations, reason = "its parts are trait objects")]
pub struct Parts {
    /// The port to the Pi's console.
    pub serial: Serial,
    /// The Pi's power.
    pub power: Box<dyn Relay>,
    /// The jig's wire; none if a person does it.
    pub jig: Option<Box<dyn Relay>>,
    /// The person at the bench.
    pub person: Box<dyn Person>,
    /// A folder for logs of the console, one for each scenario.
    pub logs: PathBuf,
}

/// A Pi on the bench.
#[allow(missing_debug_implementations, reason = "its parts are trait objects")]
pub struct RealPi {
    bench: Bench,
    parts: Parts,
    clock: Clock,
    log: Option<File>,
    console: Console,
    seen: VecDeque<Seen>,
    power: Power,
    jig: Jig,
    /// When something came or was typed last.
    heard: Duration,
    questions: u32,
    /// A kernel was damaged, and the firmware hasn't met it yet.
    spoiled: bool,
}

impl RealPi {
    /// With a Pi whose power is off, and the wire on.
    pub fn new(bench: Bench, parts: Parts) -> RealPi {
        let console = Console::new(bench.device.login.clone());
        RealPi {
            bench,
            parts,
            clock: Clock::start(),
            log: None,
            console,
            seen: VecDeque::new(),
            power: Power::Off,
            jig: Jig::Wired,
            heard: Duration::ZERO,
            questions: OWN_QUESTIONS,
            spoiled: false,
        }
    }

    fn note(&mut self, what: What) {
        let at = self.clock.now();
        if !matches!(what, What::Line(_)) {
            self.log(&format!("\n[rig {:9.2}] {what:?}\n", at.as_secs_f64()));
        }
        let boots = matches!(what, What::Reset | What::Loader);
        self.seen.push_back(Seen { at, what });
        if boots && self.spoiled {
            // The Pi's firmware checks no checksum, and says nothing of a kernel that it can't start.
            self.spoiled = false;
            self.note(What::Fault(Fault::NoKernel));
        }
    }

    fn log(&mut self, text: &str) {
        if let Some(log) = &mut self.log {
            // A log is for people; what is judged is in memory.
            let _ = log.write_all(text.as_bytes());
        }
    }

    /// Take what comes within a time; whether something did.
    fn hear(&mut self, within: Duration) -> Result<bool> {
        let bytes = self.parts.serial.read(within)?;
        let now = self.clock.now();
        if !bytes.is_empty() {
            self.heard = now;
            if let Some(log) = &mut self.log {
                log.write_all(&bytes).context("writing the log")?;
            }
            let heard = self.console.take(&bytes);
            heard.seen.into_iter().for_each(|what| self.note(what));
            if let Some(answer) = heard.answer.filter(|_| self.power == Power::On) {
                self.parts.serial.write(answer.as_bytes())?;
            }
        } else if self.power == Power::On && now.saturating_sub(self.heard) >= QUIET {
            self.heard = now;
            if let Some(line) = self.console.nudge() {
                self.parts.serial.write(line.as_bytes())?;
            }
        }
        Ok(!bytes.is_empty())
    }

    /// The same while a root shell is waited for, or its answer.
    fn wait(&mut self, within: Duration) -> Result<()> {
        self.hear(within.min(QUIET))?;
        let user = self.bench.device.login.as_ref().map_or("", |l| l.user.as_str());
        ensure!(self.console.refused() < REFUSALS, "the Pi refused {user}'s password {REFUSALS} times");
        Ok(())
    }

    fn cut(&mut self) -> Result<()> {
        self.parts.power.set(Contact::Open).context("switching the power off")?;
        // What it said before is still on its way.
        last_words(|| self.hear(DRAIN))?;
        if self.power == Power::On {
            self.note(What::Off);
        }
        self.power = Power::Off;
        self.console.cut();
        self.spoiled = false;
        serial::pause(self.bench.off);
        // An adapter makes bytes of a line that falls with the supply.
        self.parts.serial.forget()
    }

    /// A dialogue of the rig's own with the root shell, hidden from the scenario: exit code and text.
    fn ask(&mut self, command: &str) -> Result<(i32, String)> {
        self.questions += 1;
        let question = self.questions;
        self.send(&observations::framed(question, command))?;
        let end = self.clock.now() + self.bench.device.pace.answer;
        let (mut before, mut text) = (VecDeque::new(), None::<Vec<String>>);
        let code = loop {
            let left = end.saturating_sub(self.clock.now());
            ensure!(!left.is_zero(), "the Pi did not answer `{command}`");
            for seen in self.watch(left)? {
                match (&seen.what, &mut text) {
                    (What::Line(Line::Begin(q)), _) if *q == question => text = Some(Vec::new()),
                    (What::Line(Line::Text(line)), Some(text)) => text.push(line.clone()),
                    _ => before.push_back(seen),
                }
            }
            let over = |s: &Seen| match s.what {
                What::Line(Line::End(q, code)) if q == question => Some(code),
                _ => None,
            };
            if let Some((at, code)) = before.iter().enumerate().find_map(|(i, s)| Some((i, over(s)?))) {
                before.remove(at);
                break code;
            }
        };
        before.append(&mut self.seen);
        self.seen = before;
        Ok((code, text.unwrap_or_default().join("\n")))
    }

    /// Switch on, ask, and switch off again: for a card that only the Pi can read.
    fn asked_default(&mut self) -> Result<Slot> {
        let kept = std::mem::take(&mut self.seen);
        self.power(Power::On)?;
        let end = self.clock.now() + self.bench.device.pace.boot;
        while !self.console.is_up() {
            let left = end.saturating_sub(self.clock.now());
            ensure!(!left.is_zero(), "the Pi did not come up to be asked for its default slot");
            self.wait(left)?;
        }
        let (code, text) = self.ask("bistable status --json")?;
        self.cut()?;
        self.seen = kept;
        let status = text.lines().find_map(|l| serde_json::from_str::<Status>(l.get(l.find('{')?..)?).ok());
        let status = status.with_context(|| format!("`bistable status --json` ended with {code}: {text}"))?;
        status.default.context("the boot flag names no slot")
    }
}

/// Listen until nothing comes any more.
///
/// # Errors
/// When that doesn't end, or listening fails.
pub(super) fn last_words(mut hear: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..LAST_WORDS {
        if !hear()? {
            return Ok(());
        }
    }
    bail!("the Pi goes on talking without power: does the relay switch, does something else feed it?")
}

/// Damage every kernel of a slot's boot volume: a mebibyte of zeros, behind the header of an image and within a packed one.
/// One byte would do for U-Boot's checksum, but the Pi's firmware checks none, and one byte may be an unused one.
fn spoil(slot: Slot) -> String {
    let volume = Partition::Boot(slot).name();
    format!(
        "( set -e; d=$(mktemp -d); mount /dev/disk/by-partlabel/{volume} \"$d\"; for k in \"$d\"/kernel*.img; do \
         dd if=/dev/zero of=\"$k\" bs=64k seek=1 count=16 conv=notrunc 2>/dev/null; done; umount \"$d\"; rmdir \"$d\"; sync )"
    )
}

impl Rig for RealPi {
    fn name(&self) -> (String, String) {
        (self.bench.device.board.clone(), self.bench.device.flow.to_string())
    }

    fn pace(&self) -> Pace {
        self.bench.device.pace
    }

    fn factory(&mut self, scenario: &str) -> Result<()> {
        self.log = None;
        self.cut()?;
        let name = scenario.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let path = self.parts.logs.join(format!("{name}-{}.log", self.bench.device.board));
        fs::create_dir_all(&self.parts.logs).with_context(|| self.parts.logs.display().to_string())?;
        card::write(&self.bench.card, self.parts.person.as_mut())?;
        self.jig(Jig::Wired)?;
        self.log = Some(File::create(&path).with_context(|| path.display().to_string())?);
        self.clock = Clock::start();
        self.heard = Duration::ZERO;
        self.seen.clear();
        Ok(())
    }

    fn power(&mut self, power: Power) -> Result<()> {
        match power {
            Power::On => {
                self.power = Power::On;
                self.note(What::On);
                self.parts.power.set(Contact::Closed).context("switching the power on")
            }
            Power::Off => self.cut(),
        }
    }

    fn send(&mut self, line: &str) -> Result<()> {
        ensure!(self.power == Power::On, "the Pi has no power");
        if !self.console.is_up() {
            // A boot loader would take it for a key that stops it, and a login for a name.
            self.log(&format!("\n[rig] not typed, for there is no shell: {line}\n"));
            return Ok(());
        }
        self.parts.serial.write(format!("{line}\n").as_bytes())
    }

    fn watch(&mut self, within: Duration) -> Result<Vec<Seen>> {
        let end = self.clock.now() + within;
        while self.seen.is_empty() && self.power == Power::On {
            let left = end.saturating_sub(self.clock.now());
            self.wait(left)?;
            if left.is_zero() {
                break;
            }
        }
        Ok(self.seen.drain(..).collect())
    }

    fn jig(&mut self, jig: Jig) -> Result<()> {
        match &mut self.parts.jig {
            Some(relay) => {
                let contact = if jig == Jig::Wired { Contact::Closed } else { Contact::Open };
                relay.set(contact).context("switching the jig")?;
            }
            None if self.jig != jig => {
                let what = if jig == Jig::Wired { "Connect" } else { "Take off" };
                self.parts.person.please(&format!("{what} the jig's wire between GPIO{OUT} and GPIO{IN}"))?;
            }
            None => {}
        }
        self.jig = jig;
        Ok(())
    }

    fn bundle(&self, version: &str) -> String {
        format!("{}/{PRODUCT}-{version}.bundle", self.bench.device.bundles)
    }

    fn spoil_kernel(&mut self, slot: Slot) -> Result<()> {
        let (code, text) = self.ask(&spoil(slot))?;
        ensure!(code == 0, "damaging the kernel of slot {slot} ended with {code}: {text}");
        // U-Boot says by itself that a checksum is wrong.
        self.spoiled = self.bench.device.flow == Flow::Tryboot;
        Ok(())
    }

    fn default_slot(&mut self) -> Result<Slot> {
        if self.power == Power::On {
            bail!("the boot flag is looked at without power");
        }
        match card::default_slot(&self.bench.card, self.bench.device.flow)? {
            Some(slot) => Ok(slot),
            None => self.asked_default(),
        }
    }

    fn done(&mut self, _: bool) -> Result<()> {
        self.cut()?;
        self.log = None;
        Ok(())
    }
}
