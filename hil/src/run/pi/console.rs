//! What comes over the serial line, made to what is seen; and what has to be typed to get to a root shell. Data in, data
//! out: the port is elsewhere.
//!
//! A real Pi says less than an emulated one. Its boot loaders print only where they are told to (EEPROM: `BOOT_UART=1`),
//! the kernel only without `quiet`, and a reset by the watchdog says nothing at all. So each boot is counted once, at the
//! first sign of it: the firmware, U-Boot, the kernel, or at last a root shell whose boot id is a new one.
use super::bench::Login;
use crate::run::observations::{self, Fault, Line, Lines, What};

/// First line of the EEPROM's boot loader on a Pi 4 or 5 with `BOOT_UART=1`, after a time on newer ones.
const FIRMWARE: &str = "RPi: BOOTLOADER release VERSION:";
/// First line of a kernel (Linux, arch/arm64/kernel/setup.c).
const KERNEL: &str = "Booting Linux on physical CPU";
/// Last line of a kernel, an emergency, so it is printed at any level (Linux, kernel/reboot.c).
const RESTART: &str = "reboot: Restarting system";
/// An initramfs that finds no init, before it tries a shell in its place (Debian's initramfs-tools, init).
const NO_INIT: &str = "Target filesystem doesn't have requested ";
/// Prompts of login(1) and agetty(8).
const LOGIN: &str = "login: ";
const LAST_LOGIN: &str = "Last login: ";
const PASSWORD: &str = "Password: ";
const INCORRECT: &str = "Login incorrect";
/// How shells ask for a command.
const PROMPTS: [&str; 2] = ["# ", "$ "];
/// A prompt is short; all else is noise.
const TAIL: usize = 4096;

/// Makes a shell what the rig's own root shell is: no echo, no prompts, and it says who it is. The words that [`observations`]
/// looks for are not in it, for a terminal may echo it.
const SHELL: &str = r#"stty -echo; dmesg -n 1 2>/dev/null; echo; printf "rig: %s version=%s boot=%s\n" up "$(cat /etc/rig-version)" "$(cat /proc/sys/kernel/random/boot_id)"; while IFS= read -r line; do eval "$line" </dev/null; done"#;

/// How far a boot is, as far as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Firmware,
    Uboot,
    Kernel,
    Up,
}

/// How far the login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// No name was asked for yet.
    Away,
    /// It was, and other output drowned it.
    Missed,
    /// The name was typed.
    Named,
    /// The password was typed.
    Known,
    /// The shell was told what to be.
    Told,
    /// It is one.
    Up,
}

/// What came of some bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// What was seen, in order.
    pub seen: Vec<What>,
    /// What has to be typed now.
    pub answer: Option<String>,
}

/// The console of a Pi.
#[derive(Clone, Debug)]
pub struct Console {
    login: Option<Login>,
    lines: Lines,
    /// The line that has no end yet: a prompt has none.
    tail: Vec<u8>,
    step: Step,
    stage: Option<Stage>,
    boot: Option<String>,
    refused: u32,
}

impl Console {
    /// Of a Pi without power.
    pub fn new(login: Option<Login>) -> Console {
        let (lines, tail) = (Lines::default(), Vec::new());
        Console { login, lines, tail, step: Step::Away, stage: None, boot: None, refused: 0 }
    }

    /// The power is switched: half a line stays one, and the next boot is a new one.
    pub fn cut(&mut self) {
        *self = Console::new(self.login.take());
    }

    /// Whether a root shell is there, as far as is known.
    pub fn is_up(&self) -> bool {
        self.step == Step::Up
    }

    /// How often the login was refused since the last time that it went well.
    pub fn refused(&self) -> u32 {
        self.refused
    }

    /// Take what came.
    pub fn take(&mut self, bytes: &[u8]) -> Heard {
        let mut heard = Heard::default();
        for line in self.lines.take(bytes) {
            self.line(&line, &mut heard.seen);
        }
        match bytes.iter().rposition(|b| *b == b'\n') {
            Some(end) => self.tail = bytes.get(end + 1..).unwrap_or_default().to_vec(),
            None => self.tail.extend(bytes),
        }
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        heard.answer = self.prompt();
        heard
    }

    /// Nothing came for a while: what to type to get on, if a login is under way.
    pub fn nudge(&self) -> Option<String> {
        self.login.as_ref()?;
        match self.step {
            Step::Away | Step::Up => None,
            Step::Missed | Step::Named | Step::Known => Some("\n".into()),
            // Said, and perhaps not heard.
            Step::Told => Some(format!("{SHELL}\n")),
        }
    }

    fn line(&mut self, line: &str, found: &mut Vec<What>) {
        match observations::read(line) {
            What::Up { version } => {
                let boot = line.split("boot=").nth(1).map(|id| id.trim().to_owned());
                // Without an id every shell is taken for a new boot's.
                let again = boot.is_some() && boot == self.boot;
                if !again && matches!(self.stage, None | Some(Stage::Up)) {
                    found.push(What::Loader);
                }
                (self.boot, self.stage) = (boot, Some(Stage::Up));
                (self.step, self.refused) = (Step::Up, 0);
                found.push(What::Up { version });
            }
            What::Loader => self.reached(Stage::Uboot, found),
            What::Line(Line::Text(text)) => self.text(text, found),
            other => found.push(other),
        }
    }

    fn text(&mut self, text: String, found: &mut Vec<What>) {
        if text.contains(FIRMWARE) {
            self.reached(Stage::Firmware, found);
        } else if text.contains(KERNEL) {
            self.reached(Stage::Kernel, found);
        } else if text.contains(RESTART) {
            (self.stage, self.step) = (None, Step::Away);
            found.push(What::Reset);
        } else if text.contains(NO_INIT) {
            found.push(What::Fault(Fault::NoInit));
        } else if text.contains(INCORRECT) {
            self.refused += 1;
            self.step = Step::Missed;
        } else if text.contains(LOGIN) && !text.contains(LAST_LOGIN) && self.step == Step::Away {
            self.step = Step::Missed;
        }
        if !text.trim().is_empty() {
            found.push(What::Line(Line::Text(text)));
        }
    }

    /// A sign of a boot: the first of one is told.
    fn reached(&mut self, stage: Stage, found: &mut Vec<What>) {
        if self.stage.is_none_or(|last| stage <= last) {
            found.push(What::Loader);
            self.step = Step::Away;
        }
        self.stage = Some(stage);
    }

    /// Answer a prompt, once.
    fn prompt(&mut self) -> Option<String> {
        let login = self.login.as_ref()?;
        let ends = |words: &str| self.tail.ends_with(words.as_bytes());
        let (step, answer) = if ends(LOGIN) && !ends(LAST_LOGIN) {
            // At any time: it may have rebooted without a sign.
            (Step::Named, login.user.clone())
        } else if ends(PASSWORD) && self.step == Step::Named {
            (Step::Known, login.password.clone())
        } else if PROMPTS.iter().any(|p| ends(p)) && self.step == Step::Known {
            // No single quotes in it, so it can stand in them.
            let line = if login.sudo { format!("exec sudo -n sh -c '{SHELL}'") } else { SHELL.into() };
            (Step::Told, line)
        } else {
            return None;
        };
        self.step = step;
        self.tail.clear();
        Some(answer + "\n")
    }
}
