//! The rig `qemu`: an emulated Pi with a real boot loader or the player of the Pi's firmware, a real kernel and a real
//! Debian system.
//!
//! | file | noun |
//! |---|---|
//! | [`fetch`] | what it is made of: programs, boot loaders, the Debian system |
//! | [`overlay`] | what makes releases of it, good and bad ones |
//! | [`initramfs`] | what mounts the root file system |
//! | [`image`] | bundles and cards |
//! | [`flow`] | what the two boot flows differ in |
//! | [`machine`] | the two emulated machines, and what QEMU is started with |
//! | [`process`] | one running QEMU |
//! | [`firmware`], [`config_txt`], [`fdt`] | the Pi's firmware, played |
//! | [`jig`] | a wire between two pins |
pub mod config_txt;
pub mod fdt;
pub mod fetch;
pub mod firmware;
pub mod flow;
pub mod image;
pub mod initramfs;
pub mod jig;
pub mod machine;
pub mod overlay;
pub mod process;

use super::{
    clock::Clock,
    observations::{self, Fault, Line, Lines, Seen, What},
    rig::{Jig, Pace, Power, Rig, Written},
};
use anyhow::{Context, Result, bail};
use bistable_boot::{
    Flow, Slot,
    layout::{BOOT_PARTITIONS, Partition},
};
use bistable_kit::disk_log;
use fetch::Loaders;
use firmware::{Choice, Registers};
use image::Kit;
use machine::{Disk, Machine, Start};
use process::{Input, Process};
use serde_json::Value;
use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The Pi's power manager: PM_RSTS, where a reset leaves the partition to boot (BCM2835, as Linux' bcm2835_wdt uses it).
const PM_RSTS: u32 = 0x3f10_0020;
/// The kernel's last words, with the argument of the reboot.
const RESTARTING: &str = "reboot: Restarting system with command '";
/// What QEMU still has to say after a reset.
const DRAIN: Duration = Duration::from_secs(2);
/// How often the firmware's own watchdog lets a boot fail before the rig says that nothing boots.
const BOOT_FAILURES: u32 = 3;

/// What a rig needs besides a kit.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The boot loaders.
    pub loaders: Loaders,
    /// The Pi's device tree.
    pub device_tree: PathBuf,
    /// Working copies of cards, and what else is made.
    pub work: PathBuf,
    /// Logs of the console.
    pub logs: PathBuf,
    /// Whether cards of scenarios that passed are kept, too.
    pub keep: bool,
}

/// An emulated Pi.
#[derive(Debug)]
pub struct Qemu {
    bench: Bench,
    kit: Kit,
    machine: Machine,
    flow: Flow,
    clock: Clock,
    card: PathBuf,
    /// Logs of the card's writes, one for each QEMU, if there are to be any.
    writes: Option<Vec<PathBuf>>,
    log: Option<File>,
    process: Option<Process>,
    wire: Option<jig::Wire>,
    jig: Jig,
    lines: Lines,
    seen: VecDeque<Seen>,
    registers: Registers,
    /// The argument of the last reboot, as the kernel said it.
    argument: Option<String>,
}

impl Qemu {
    /// A rig without power and without a card.
    pub fn new(bench: Bench, kit: Kit, machine: Machine, flow: Flow) -> Qemu {
        Qemu {
            bench,
            kit,
            machine,
            flow,
            clock: Clock::start(),
            card: PathBuf::new(),
            writes: None,
            log: None,
            process: None,
            wire: None,
            jig: Jig::Wired,
            lines: Lines::default(),
            seen: VecDeque::new(),
            registers: Registers::default(),
            argument: None,
        }
    }

    fn note(&mut self, what: What) {
        let at = self.clock.now();
        if let Some(log) = &mut self.log
            && !matches!(what, What::Line(_))
        {
            // A log is for people; what is judged is in memory.
            let _ = writeln!(log, "\n[rig {:9.2}] {what:?}", at.as_secs_f64());
        }
        self.seen.push_back(Seen { at, what });
    }

    /// Reset or power: begin at the boot loader.
    fn boot(&mut self) -> Result<()> {
        let start = match self.flow {
            Flow::Uboot => self.loader(),
            Flow::Tryboot => self.firmware()?,
        };
        let log = self.writes.as_mut().map(|logs| {
            let log = self.card.with_extension(format!("writes-{}", logs.len()));
            logs.push(log.clone());
            log
        });
        if let Some(log) = &log {
            File::create(log).with_context(|| log.display().to_string())?;
        }
        let disk = Disk { card: self.card.clone(), log };
        let mut process = Process::start(self.machine, &start, &disk)?;
        self.wire = process.qtest.take().map(|stream| jig::Wire::start(stream, self.jig == Jig::Wired));
        self.process = Some(process);
        self.lines = Lines::default();
        Ok(())
    }

    fn loader(&self) -> Start {
        match self.machine {
            Machine::Pi3 => Start::Loader {
                uboot: self.bench.loaders.pi3.clone(),
                device_tree: Some(self.bench.device_tree.clone()),
            },
            Machine::Virt => Start::Loader { uboot: self.bench.loaders.virt.clone(), device_tree: None },
        }
    }

    /// Play the firmware until it has something to start. A kernel that can't be loaded makes the Pi's own boot watchdog
    /// reset it (EEPROM: BOOT_WATCHDOG_TIMEOUT); the one-shot flag is used up then.
    fn firmware(&mut self) -> Result<Start> {
        for _ in 0..BOOT_FAILURES {
            self.note(What::Loader);
            let registers = std::mem::take(&mut self.registers);
            let card = firmware::Card::open(&self.card)?;
            let Some(choice) = card.choose(registers) else { bail!("no partition of the card is bootable") };
            self.note(What::Note(format!(
                "firmware: {}partition {}, tryboot {}",
                choice.note,
                choice.partition,
                u8::from(choice.tryboot)
            )));
            match card.load(&choice) {
                Ok(payload) => return self.start(&choice, &payload),
                Err(e) => {
                    self.note(What::Fault(Fault::NoKernel));
                    self.note(What::Note(format!("firmware: {e:#}; reset by the boot watchdog")));
                }
            }
        }
        bail!("the firmware finds no kernel that can be started")
    }

    fn start(&self, choice: &Choice, payload: &firmware::Payload) -> Result<Start> {
        let at = |name: &str| self.card.with_extension(name);
        let tree = match self.machine {
            Machine::Pi3 => match &payload.device_tree {
                Some(tree) => tree.clone(),
                None => bail!("the boot volume has no device tree"),
            },
            Machine::Virt => self.own_tree()?,
        };
        // As on a Pi 4: where it booted from, and whether the one-shot flag was set (bootloader's device tree
        // properties, Raspberry Pi documentation).
        let numbers = [
            ("partition", u32::from(choice.partition)),
            ("tryboot", u32::from(choice.tryboot)),
            ("boot-mode", 1),
            ("pm_rsts", 0x1000),
            ("capabilities", 0x7f),
            // 2025-08-27, a version that has all that A/B needs.
            ("build-timestamp", 1_756_252_800),
        ];
        let tree = fdt::with_bootloader(&tree, &numbers)?;
        fetch::put(&at("dtb"), &tree)?;
        fetch::put(&at("kernel"), &payload.kernel)?;
        if let Some(initramfs) = &payload.initramfs {
            fetch::put(&at("initrd"), initramfs)?;
        }
        Ok(Start::kernel(payload, at("kernel"), at("initrd"), at("dtb")))
    }

    /// The device tree that the machine makes for itself.
    fn own_tree(&self) -> Result<Vec<u8>> {
        let path = self.card.with_extension("own-dtb");
        let output = Command::new(process::QEMU).args(self.machine.dump_device_tree(&path)).output();
        output.with_context(|| format!("starting {}", process::QEMU))?;
        fs::read(&path).with_context(|| format!("{} wrote no device tree", process::QEMU))
    }

    /// Take what came from the machine.
    fn take(&mut self, input: Input) -> Result<()> {
        match input {
            Input::Console(bytes) => {
                if let Some(log) = &mut self.log {
                    log.write_all(&bytes)?;
                }
                for line in self.lines.take(&bytes) {
                    if let Some(argument) =
                        line.split(RESTARTING).nth(1).and_then(|rest| rest.split('\'').next())
                    {
                        self.argument = Some(argument.to_owned());
                    }
                    match observations::read(&line) {
                        What::Line(Line::Text(text)) if text.is_empty() => {}
                        what => self.note(what),
                    }
                }
            }
            Input::Monitor(event) => match event.get("event").and_then(Value::as_str) {
                Some("RESET") => self.note(What::Reset),
                Some("WATCHDOG") => self.note(What::Watchdog),
                Some("SHUTDOWN") if self.flow == Flow::Tryboot => self.reset()?,
                _ => {}
            },
            Input::Closed => {
                let said = self.process.as_ref().map(Process::complaints).unwrap_or_default();
                bail!("QEMU ended by itself: {said}");
            }
        }
        Ok(())
    }

    /// The machine was reset, and QEMU stopped for the firmware's sake.
    fn reset(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        // The kernel's last line may still be on its way, behind what the monitor says: on a busy machine by a good while.
        while self.argument.is_none() {
            match process.next(DRAIN) {
                Some(input @ Input::Console(_)) => self.take(input)?,
                Some(Input::Monitor(_)) => {}
                Some(Input::Closed) | None => break,
            }
        }
        // What the hardware keeps, and what only the Pi's own kernel would have put there: mainline prints the argument.
        let mut registers = Registers::from_argument(&self.argument.take().unwrap_or_default());
        if self.machine == Machine::Pi3 && registers.partition == 0 {
            let value = process.register(PM_RSTS)?;
            // Every second bit of the lowest twelve.
            let partition = (0..6).map(|bit| (value >> (2 * bit) & 1) << bit).sum::<u32>();
            registers.partition = u8::try_from(partition).unwrap_or(0) % 63;
        }
        if self.writes.is_some() {
            // So that the log is whole.
            process.quit()?;
        } else {
            drop(process);
        }
        self.registers = registers;
        self.note(What::Reset);
        self.boot()
    }
}

impl Rig for Qemu {
    fn name(&self) -> (String, String) {
        (self.machine.to_string(), self.flow.to_string())
    }

    fn pace(&self) -> Pace {
        // Several times what a loaded machine with two processors takes.
        let (boot, usual_boot, install) = match self.machine {
            Machine::Pi3 => (180, 30, 600),
            Machine::Virt => (120, 15, 300),
        };
        Pace {
            boot: Duration::from_secs(boot),
            usual_boot: Duration::from_secs(usual_boot),
            install: Duration::from_secs(install),
            answer: Duration::from_secs(30),
        }
    }

    fn factory(&mut self, scenario: &str) -> Result<()> {
        self.process = None;
        let (machine, flow) = self.name();
        let name =
            format!("{}-{machine}-{flow}", scenario.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        for folder in [&self.bench.work, &self.bench.logs] {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let card = self.bench.work.join(format!("{name}.img"));
        copy(&self.kit.card(self.flow), &card)?;
        // A second card of one scenario continues with its log.
        if self.card != card || self.log.is_none() {
            let log = self.bench.logs.join(format!("{name}.log"));
            self.log = Some(File::create(&log).with_context(|| log.display().to_string())?);
            self.clock = Clock::start();
        }
        self.card = card;
        self.writes = None;
        self.jig = Jig::Wired;
        self.seen.clear();
        Ok(())
    }

    fn power(&mut self, power: Power) -> Result<()> {
        match power {
            Power::On => {
                self.note(What::On);
                self.registers = Registers::default();
                self.argument = None;
                self.boot()
            }
            Power::Off => {
                // What QEMU had not yet handed to the host is lost; so are RAM and registers.
                self.process = None;
                self.wire = None;
                self.note(What::Off);
                Ok(())
            }
        }
    }

    fn send(&mut self, line: &str) -> Result<()> {
        let Some(process) = &mut self.process else { bail!("the emulated Pi has no power") };
        process.type_in(&format!("{line}\n"))
    }

    fn watch(&mut self, within: Duration) -> Result<Vec<Seen>> {
        let end = self.clock.now() + within;
        while self.seen.is_empty() {
            let left = end.saturating_sub(self.clock.now());
            let Some(process) = &mut self.process else { break };
            let Some(input) = process.next(left) else { break };
            self.take(input)?;
        }
        Ok(self.seen.drain(..).collect())
    }

    fn jig(&mut self, jig: Jig) -> Result<()> {
        self.jig = jig;
        match (self.machine, &self.wire) {
            (Machine::Pi3, Some(wire)) => wire.set(jig == Jig::Wired),
            (Machine::Pi3, None) => {}
            (Machine::Virt, _) => {
                let file = overlay::JIG_OFF;
                let line = if jig == Jig::Wired { format!("rm -f {file}") } else { format!("touch {file}") };
                self.send(&line)?;
            }
        }
        Ok(())
    }

    fn bundle(&self, version: &str) -> String {
        Kit::bundle(version)
    }

    fn repository(&self) -> Result<String> {
        Ok(Kit::REPOSITORY.into())
    }

    fn spoil_kernel(&mut self, slot: Slot) -> Result<()> {
        let card = firmware::Card::open(&self.card)?;
        let volume = card.volume(BOOT_PARTITIONS[slot]).context("the slot has no boot volume")?;
        let place = volume.place_of("kernel8.img", 1 << 20)?.context("the slot has no kernel")?;
        let file = File::options().read(true).write(true).open(&self.card)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, place)?;
        file.write_all_at(&[byte[0] ^ 1], place)?;
        Ok(())
    }

    fn default_slot(&mut self) -> Result<Slot> {
        flow::default_slot(&self.card, self.flow)
    }

    fn log_writes(&mut self) -> bool {
        // Only this machine's disk passes on flushes.
        self.writes = (self.machine == Machine::Virt).then(Vec::new);
        self.writes.is_some()
    }

    fn written(&mut self) -> Result<Vec<Written>> {
        let logs = self.writes.take().context("nothing was logged")?;
        self.process.take().context("the emulated Pi has no power")?.quit()?;
        self.note(What::Off);
        let mut entries = Vec::new();
        for log in &logs {
            let bytes = fs::read(log).with_context(|| log.display().to_string())?;
            entries.extend(disk_log::parse(&bytes)?);
            fs::remove_file(log)?;
        }
        let card = firmware::Card::open(&self.card)?;
        let places: Vec<_> =
            Partition::ALL.into_iter().filter_map(|p| card.place(p.number()).map(|at| (p, at))).collect();
        let writes = entries.into_iter().filter_map(|entry| match entry.what {
            disk_log::What::Write { at, data, .. } => Some((at, data.len() as u64)),
            _ => None,
        });
        Ok(writes
            .map(|(at, bytes)| {
                let found = places.iter().find(|(_, place)| place.contains(&at));
                Written { partition: found.map(|f| f.0), at: at - found.map_or(0, |f| f.1.start), bytes }
            })
            .collect())
    }

    fn done(&mut self, passed: bool) -> Result<()> {
        self.process = None;
        if passed && !self.bench.keep {
            for extension in ["img", "dtb", "own-dtb", "kernel", "initrd"] {
                // Some were never made.
                let _ = fs::remove_file(self.card.with_extension(extension));
            }
        }
        Ok(())
    }
}

/// Copy a card with its holes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").args(["--sparse=auto", "--reflink=auto"]).arg(from).arg(to).status();
    if status.context("starting cp")?.success() { Ok(()) } else { bail!("copying {} failed", from.display()) }
}
