//! The rig `sim`: the real program on a simulated Pi, each call in a process of its own. What takes a boot on a real machine
//! takes a moment here, so this is where a scenario itself is tried first.
use super::{
    clock::Clock,
    observations::{Fault, Line, Seen, What, unframed},
    qemu::flow,
    release::{self, FACTORY, HEALTH, Nature, PRODUCT, Release},
    rig::{Jig, Pace, Power, Rig},
};
use anyhow::{Context, Result, bail, ensure};
use bistable::board::sim::{console::KernelLine, world::Boots};
use bistable_boot::{Flow, Slot};
use bistable_kit::program::Program;
use std::{
    collections::VecDeque,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The two pins of the jig.
const PINS: [&str; 2] = ["23", "24"];
const SELF_TESTS: &str = "[[test]]\nname = \"relay\"\nkind = \"loopback\"\nout = 23\nin = 24\n";
/// A boot unit that still reboots after this many boots is given up.
const BOOTS: u32 = 20;

/// A simulated Pi.
#[derive(Debug)]
pub struct Sim {
    /// This program, which is the other two by their names.
    program: PathBuf,
    folder: PathBuf,
    flow: Flow,
    clock: Clock,
    seen: VecDeque<Seen>,
}

/// How a call ended.
struct Ended {
    code: i32,
    text: String,
    booted: bool,
}

impl Sim {
    /// Make keys, releases and a card in a folder. `program` is this program.
    ///
    /// # Errors
    /// When a call fails.
    pub fn new(folder: &Path, program: &Path, flow: Flow) -> Result<Sim> {
        let sim = Sim {
            program: program.into(),
            folder: folder.into(),
            flow,
            clock: Clock::start(),
            seen: VecDeque::new(),
        };
        for part in ["system/etc", "boot"] {
            fs::create_dir_all(folder.join(part)).with_context(|| folder.display().to_string())?;
        }
        let put = |name: &str, text: &str| super::qemu::fetch::put(&folder.join(name), text.as_bytes());
        put("self-tests.toml", SELF_TESTS)?;
        put("health.toml", HEALTH)?;
        put("boot/config.txt", "kernel=kernel8.img\n")?;
        put("boot/cmdline.txt", "quiet\n")?;
        put("boot/kernel8.img", "not a kernel\n")?;
        for name in ["root-1", "root-2", "root-3", "release", "channel"] {
            sim.host(&format!("key new --demo --out {name}"))?;
        }
        sim.host(
            "root new --out root.root --root-key root-1.pub --root-key root-2.pub --root-key root-3.pub --threshold root=2 \
             --release-key release.pub --channel-key channel.pub --sign root-1.key --sign root-2.key",
        )?;
        for release in release::ALL {
            put("system/etc/rig-version", release.version)?;
            sim.host(&format!(
                "build --progress none --product {PRODUCT} --version {version} --board pi4 --level 1 --system system --boot boot \
                 --self-tests self-tests.toml --health health.toml --key release.key --root root.root \
                 --uboot --out {PRODUCT}-{version}.bundle",
                version = release.version,
            ))?;
        }
        let factory = FACTORY.version;
        let more = flow::card_arguments(flow).join(" ");
        sim.host(&format!(
            "card --progress none --bundle {PRODUCT}-{factory}.bundle --root root.root --allow-demo --no-agent --out factory.img {more}"
        ))?;
        Ok(sim)
    }

    fn host(&self, line: &str) -> Result<()> {
        let output = self.run(Program::Host, line.split_whitespace())?;
        ensure!(
            output.status.success(),
            "bistable-image {line}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    fn run<'a>(
        &self,
        program: Program,
        words: impl Iterator<Item = &'a str>,
    ) -> Result<std::process::Output> {
        Command::new(&self.program)
            .arg0(program.name())
            .args(words)
            .current_dir(&self.folder)
            .env_remove("BISTABLE_CARD")
            .output()
            .with_context(|| format!("starting {}", program.name()))
    }

    fn note(&mut self, what: What) {
        self.seen.push_back(Seen { at: self.clock.now(), what });
    }

    /// A call of the device's program; what the machine says on its console is seen.
    fn device(&mut self, line: &str) -> Result<Ended> {
        let words = ["--card", "card.img"].into_iter().chain(line.split_whitespace());
        let output = self.run(Program::Device, words)?;
        let mut booted = false;
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            for what in line.parse().map(started).into_iter().flatten() {
                booted |= matches!(what, What::Up { .. });
                self.note(what);
            }
        }
        let code = output.status.code().context("the program was killed")?;
        Ok(Ended { code, text: String::from_utf8_lossy(&output.stdout).into_owned(), booted })
    }

    /// What the boot unit does, at this boot and at those that it leads to.
    fn boot_unit(&mut self) -> Result<()> {
        for _ in 0..BOOTS {
            if !self.device("resume")?.booted {
                return Ok(());
            }
        }
        bail!("the boot unit rebooted {BOOTS} times")
    }

    fn write_world(&self, more: &[(&str, &str)]) -> Result<()> {
        let mut text = format!(
            "board = \"pi4\"\n\n[gpio]\nwires = [[{}, {}]]\n\n[units]\n\"app.service\" = \"active\"\n",
            PINS[0], PINS[1]
        );
        let described = release::ALL.into_iter().filter_map(|r| Some((r.version, different(r)?)));
        for (version, what) in described.chain(more.iter().copied()) {
            text += &format!("\n[[system]]\nversion = \"{version}\"\n{what}\n");
        }
        let folder = self.folder.join("card.img.sim");
        let config = folder.join("root/etc/bistable/config.d");
        fs::create_dir_all(&config).with_context(|| config.display().to_string())?;
        super::qemu::fetch::put(&config.join("50-rig.toml"), b"allow_demo_keys = true\n")?;
        super::qemu::fetch::put(&folder.join("world.toml"), text.as_bytes())
    }
}

/// What is different while a release runs, as the simulator's world has it.
fn different(release: Release) -> Option<&'static str> {
    match release.nature {
        Nature::Good => None,
        Nature::Sick => Some("units.\"app.service\" = \"failed\""),
        // A kernel without an init panics.
        Nature::Panics | Nature::NoInit => Some("boots = \"panic\""),
        Nature::Hangs => Some("boots = \"hang\""),
    }
}

/// What is seen when the simulated machine's kernel started, or didn't.
fn started(line: KernelLine) -> [What; 2] {
    let end = match line.boots {
        Boots::Yes => What::Up { version: line.version },
        Boots::Panic => What::Fault(Fault::Panic),
        Boots::Hang => What::Fault(Fault::Hang),
        Boots::No => What::Fault(Fault::NoKernel),
    };
    [What::Loader, end]
}

impl Rig for Sim {
    fn name(&self) -> (String, String) {
        ("sim".into(), self.flow.to_string())
    }

    fn pace(&self) -> Pace {
        let moment = Duration::from_secs(60);
        Pace { boot: moment, usual_boot: moment, install: moment, answer: moment }
    }

    fn factory(&mut self, _scenario: &str) -> Result<()> {
        let folder = self.folder.join("card.img.sim");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        let status = Command::new("cp")
            .args(["--sparse=auto", "factory.img", "card.img"])
            .current_dir(&self.folder)
            .status()
            .context("starting cp")?;
        ensure!(status.success(), "copying the card failed");
        self.seen.clear();
        self.write_world(&[])?;
        self.device("sim power off").map(drop)
    }

    fn power(&mut self, power: Power) -> Result<()> {
        match power {
            Power::On => {
                self.note(What::On);
                let ended = self.device("sim power on")?;
                ensure!(ended.code == 0, "the simulated Pi can't be switched on");
                self.boot_unit()
            }
            Power::Off => {
                self.device("sim power off")?;
                self.note(What::Off);
                Ok(())
            }
        }
    }

    fn send(&mut self, line: &str) -> Result<()> {
        let (question, commands) = unframed(line).with_context(|| format!("no shell for {line}"))?;
        self.note(What::Line(Line::Begin(question)));
        let (mut code, mut booted) = (0, false);
        for command in commands.split("&&") {
            let words = command.trim().strip_prefix("bistable ");
            let ended = self.device(words.with_context(|| format!("no shell for {command}"))?)?;
            ended.text.lines().for_each(|text| self.note(What::Line(Line::Text(text.into()))));
            (code, booted) = (ended.code, ended.booted);
            if code != 0 || booted {
                break;
            }
        }
        if booted {
            // The shell is gone with the system that it ran on.
            return self.boot_unit();
        }
        self.note(What::Line(Line::End(question, code)));
        Ok(())
    }

    fn watch(&mut self, _within: Duration) -> Result<Vec<Seen>> {
        Ok(self.seen.drain(..).collect())
    }

    fn jig(&mut self, jig: Jig) -> Result<()> {
        let line = match jig {
            Jig::Wired => format!("sim wire {} {}", PINS[0], PINS[1]),
            Jig::Unwired => format!("sim unwire {}", PINS[1]),
        };
        self.device(&line).map(drop)
    }

    fn bundle(&self, version: &str) -> String {
        format!("{PRODUCT}-{version}.bundle")
    }

    fn spoil_kernel(&mut self, slot: Slot) -> Result<()> {
        // The simulated firmware starts no kernel; its world says whether one starts.
        ensure!(slot == Slot::B, "only for the slot that scenarios spoil");
        self.write_world(&[(release::GOOD.version, "boots = \"no\"")])
    }

    fn default_slot(&mut self) -> Result<Slot> {
        flow::default_slot(&self.folder.join("card.img"), self.flow)
    }

    fn has_a_clock(&self) -> bool {
        false
    }

    fn done(&mut self, _passed: bool) -> Result<()> {
        Ok(())
    }
}
