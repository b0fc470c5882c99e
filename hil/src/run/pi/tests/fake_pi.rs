//! A Pi that is a thread at the other end of a pseudo terminal: it boots, logs in, answers, updates and reverts, as far as
//! can be seen from its console.
use crate::run::{
    observations,
    pi::{
        person::Person,
        relay::{Contact, Relay},
    },
};
use anyhow::Result;
use bistable_boot::{
    SECTOR, Slot,
    bootblock::BootBlock,
    layout::{BOOT_BLOCK, Partition},
};
use nix::{pty::openpty, sys::termios};
use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

/// Both ends of a pseudo terminal; the second one is raw and as a port is before it is opened.
pub(super) fn pty() -> (File, OwnedFd) {
    let ends = openpty(None, None).unwrap();
    let mut settings = termios::tcgetattr(&ends.slave).unwrap();
    termios::cfmakeraw(&mut settings);
    termios::tcsetattr(&ends.slave, termios::SetArg::TCSANOW, &settings).unwrap();
    (ends.master.into(), ends.slave)
}

/// A new card with nothing on it but a boot block.
pub(super) fn uboot_card(path: &Path) {
    card_with_default(path, Slot::A);
}

pub(super) fn card_with_default(path: &Path, default: Slot) {
    const START: u64 = 2048;
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len(64 << 20).unwrap();
    let mut table = gptman::GPT::new_from(&mut file, SECTOR as u64, [1; 16]).unwrap();
    let state = gptman::GPTPartitionEntry {
        partition_type_guid: [2; 16],
        unique_partition_guid: [3; 16],
        starting_lba: START,
        ending_lba: START + (48 << 20) / SECTOR as u64,
        attribute_bits: 0,
        partition_name: Partition::State.name().into(),
    };
    table[Partition::State.number().into()] = state;
    table.write_into(&mut file).unwrap();
    let block = BootBlock { seq: 1, default, trial: None }.render();
    file.write_all_at(&block, (START + BOOT_BLOCK[0].0) * SECTOR as u64).unwrap();
}

/// How the console greets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    RootShell,
    Login,
}

#[derive(Debug)]
struct State {
    tty: File,
    greeting: Greeting,
    power: bool,
    wired: bool,
    /// Answers to commands: a shell is there.
    shell: bool,
    boots: u32,
    slots: [&'static str; 2],
    running: usize,
    default: usize,
    spoiled: bool,
    history: Vec<String>,
    rejected: Vec<String>,
}

/// A Pi, as long as its terminal is open.
#[derive(Clone, Debug)]
pub(super) struct FakePi(Arc<Mutex<State>>);

const BAD: [&str; 4] = ["1.1.0", "1.2.0", "1.3.0", "1.4.0"];
const VERSIONS: [&str; 7] = ["1.0.0", "2.0.0", "3.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"];

impl FakePi {
    pub(super) fn start(master: File, greeting: Greeting) -> FakePi {
        let state = State {
            tty: master.try_clone().unwrap(),
            greeting,
            power: false,
            wired: true,
            shell: false,
            boots: 0,
            slots: ["1.0.0", ""],
            running: 0,
            default: 0,
            spoiled: false,
            history: Vec::new(),
            rejected: Vec::new(),
        };
        let pi = FakePi(Arc::new(Mutex::new(state)));
        let other = pi.clone();
        thread::spawn(move || {
            // Ends with the terminal.
            for line in BufReader::new(master).lines().map_while(Result::ok) {
                other.0.lock().unwrap().typed(&line);
            }
        });
        pi
    }

    pub(super) fn boots(&self) -> u32 {
        self.0.lock().unwrap().boots
    }

    pub(super) fn has_power(&self) -> bool {
        self.0.lock().unwrap().power
    }
}

impl State {
    fn say(&mut self, text: &str) {
        if self.power {
            // The other end may be closed at the end of a test.
            let _ = self.tty.write_all(text.as_bytes());
        }
    }

    fn boot(&mut self, slot: usize) {
        self.boots += 1;
        self.running = slot;
        self.shell = false;
        self.say("\u{0}garbage without an end");
        self.say("\r\nRPi: BOOTLOADER release VERSION:8ba17717 DATE: 2023/01/11 TIME: 17:40:52\r\n");
        match self.greeting {
            Greeting::RootShell => self.up(),
            Greeting::Login => self.say("\r\nDebian GNU/Linux 12 rig ttyAMA0\r\n\r\nrig login: "),
        }
    }

    fn up(&mut self) {
        self.shell = true;
        let version = self.slots[self.running];
        self.say(&format!("\r\nrig: up version={version} boot=id-{}\r\n", self.boots));
    }

    fn restart(&mut self, slot: usize) {
        self.say("[   61.2] reboot: Restarting system\r\n");
        self.boot(slot);
    }

    fn typed(&mut self, line: &str) {
        if !self.power {
            return;
        }
        if !self.shell {
            match line {
                "root" => self.say("root\r\nPassword: "),
                "secret" => self.say("\r\nLast login: Sat Nov 21 on ttyAMA0\r\n\x1b[?2004hroot@rig:~# "),
                _ if line.starts_with("stty -echo;") => {
                    self.say(&format!("{line}\r\n\x1b[?2004l\r"));
                    self.up();
                }
                _ => self.say("\r\nLogin incorrect\r\nrig login: "),
            }
            return;
        }
        let Some((question, command)) = observations::unframed(line) else { return };
        let (question, boots) = (question, self.boots);
        self.say(&format!("@@begin {question}\r\n"));
        let code = self.run(command);
        if self.boots == boots {
            self.say(&format!("@@end {question} {code}\r\n"));
        }
    }

    fn run(&mut self, command: &str) -> i32 {
        let (here, there) = (self.running, 1 - self.running);
        match command {
            "bistable status --json" => {
                let text = self.status();
                self.say(&text);
            }
            "bistable history --json" => {
                let text = format!("{{\"schema\":1,\"updates\":[{}]}}\r\n", self.history.join(","));
                self.say(&text);
            }
            "bistable reboot" => {
                // No checksum, no message: the firmware's watchdog has enough, twice, and the trial is over.
                self.restart(there);
                assert!(self.spoiled, "only a damaged kernel is rebooted into");
                self.reverted(here);
            }
            _ if command.contains("dd if=/dev/zero") => {
                assert!(command.contains("/dev/disk/by-partlabel/boot_b"), "{command}");
                self.spoiled = true;
                self.greeting = Greeting::RootShell;
            }
            _ => {
                let version = VERSIONS.into_iter().find(|v| command.contains(&format!("/rig-{v}.bundle")));
                let version = version.unwrap_or_else(|| panic!("unknown command {command}"));
                return self.update(command, version);
            }
        }
        0
    }

    fn update(&mut self, command: &str, version: &'static str) -> i32 {
        let (here, there) = (self.running, 1 - self.running);
        if !self.wired {
            self.say("self-test relay: GPIO27 does not follow GPIO17\r\n");
            return 7;
        }
        self.slots[there] = version;
        if command.starts_with("bistable install") {
            return 0;
        }
        if BAD.contains(&version) {
            match version {
                "1.2.0" => self.restart_into("[    9.1] Kernel panic - not syncing: sysrq\r\n"),
                "1.3.0" => self.restart_into("rig: fault hang\r\n"),
                "1.4.0" => self.restart_into("Kernel panic - not syncing: No working init found.\r\n"),
                _ => self.restart(there),
            }
            self.reverted(here);
        } else {
            self.default = there;
            self.history.push(format!("{{\"version\":\"{version}\",\"outcome\":\"committed\"}}"));
            self.restart(there);
        }
        0
    }

    fn restart_into(&mut self, fault: &str) {
        self.boots += 1;
        self.say("[   61.2] reboot: Restarting system with command '0 tryboot'\r\n");
        self.say("[    0.0] Booting Linux on physical CPU 0x0\r\n");
        self.say(fault);
    }

    fn reverted(&mut self, back: usize) {
        let version = self.slots[1 - back];
        self.history.push(format!("{{\"version\":\"{version}\",\"outcome\":\"reverted\"}}"));
        self.rejected.push(format!("{{\"version\":\"{version}\"}}"));
        self.boot(back);
    }

    fn status(&self) -> String {
        let name = |slot: usize| ["A", "B"][slot];
        let version = |slot: usize| match self.slots[slot] {
            "" => "null".into(),
            version => format!("\"{version}\""),
        };
        format!(
            "{{\"schema\":1,\"state\":\"idle\",\"booted\":\"{}\",\"default\":\"{}\",\"slots\":{{\"a\":{{\"version\":{}}},\"b\":{{\"version\":{}}}}},\"rejected\":[{}]}}\r\n",
            name(self.running),
            name(self.default),
            version(0),
            version(1),
            self.rejected.join(",")
        )
    }
}

/// The relay in its supply.
#[derive(Debug)]
pub(super) struct Supply(pub(super) FakePi);

impl Relay for Supply {
    fn set(&mut self, to: Contact) -> Result<()> {
        let mut pi = self.0.0.lock().unwrap();
        match to {
            Contact::Closed => {
                pi.power = true;
                let slot = pi.default;
                pi.boot(slot);
            }
            Contact::Open => {
                pi.say("{\"schema\":1,\"state\":\"id");
                (pi.power, pi.shell) = (false, false);
            }
        }
        Ok(())
    }
}

/// The relay in the jig's wire.
#[derive(Debug)]
pub(super) struct Wire(pub(super) FakePi);

impl Relay for Wire {
    fn set(&mut self, to: Contact) -> Result<()> {
        self.0.0.lock().unwrap().wired = to == Contact::Closed;
        Ok(())
    }
}

/// Does what is asked for, and remembers it.
#[derive(Clone, Debug)]
pub(super) struct Helper(pub(super) FakePi, pub(super) Arc<Mutex<Vec<String>>>);

impl Person for Helper {
    fn please(&mut self, text: &str) -> Result<()> {
        if text.contains("wire") {
            self.0.0.lock().unwrap().wired = text.starts_with("Connect");
        }
        self.1.lock().unwrap().push(text.into());
        Ok(())
    }
}
