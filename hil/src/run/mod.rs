//! The device scenarios on a rig: power, a root shell, a jig, and what must have become of the device.
//!
//! | file | noun |
//! |---|---|
//! | [`rig`] | what a scenario runs on |
//! | [`scenario`] | what happens, and what must have become of the device |
//! | [`device`] | the dialogue with the device |
//! | [`seen`] | what is seen from outside, in order |
//! | [`release`] | good and bad releases |
//! | [`cuts`] | power cuts at random moments |
//! | [`qemu`], [`sim`] | the rigs |
//! | [`report`] | what came of it |
pub mod clock;
pub mod cuts;
pub mod device;
pub mod qemu;
pub mod release;
pub mod report;
pub mod rig;
pub mod scenario;
pub mod seen;
pub mod sim;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use clock::Clock;
use device::Device;
use qemu::{
    Bench, Qemu, fetch, image,
    machine::{Flow, Machine},
};
use report::Row;
use rig::Rig;
use scenario::{Needs, Told};
use sim::Sim;
use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

/// Which kind of rig.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The real program on a simulated Pi
    Sim,
    /// An emulated Pi with a real kernel and a real Debian system
    Qemu,
}

/// What to run, and on what.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What the scenarios run on
    #[arg(long, value_enum, default_value = "qemu")]
    pub rig: Kind,
    /// Only this emulated machine
    #[arg(long, value_enum)]
    pub machine: Option<Machine>,
    /// Only this boot flow
    #[arg(long, value_enum)]
    pub flow: Option<Flow>,
    /// Only scenarios whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub scenario: Option<String>,
    /// So many power cuts on each machine in each boot flow
    #[arg(long, value_name = "N")]
    pub cuts: Option<u32>,
    /// For the moments of the power cuts
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Each scenario once, on the machine and in the boot flow where it says most; five power cuts
    #[arg(long, conflicts_with = "long")]
    pub short: bool,
    /// Fifty power cuts
    #[arg(long)]
    pub long: bool,
    /// The device's program and files for arm64, as `package --tree` makes them; made if none are named
    #[arg(long, value_name = "DIR")]
    pub device: Option<PathBuf>,
    /// Where everything is made and kept
    #[arg(long, value_name = "DIR", default_value = "target/hil")]
    pub folder: PathBuf,
    /// Keep the cards of scenarios that passed, too
    #[arg(long)]
    pub keep: bool,
    /// Report as JSON
    #[arg(long)]
    pub json: bool,
}

/// What the short run does: each scenario where it says most, the real boot loader and the Pi's own drivers included.
const SHORT: [(&str, Machine, Flow); 12] = [
    ("update", Machine::Virt, Flow::Tryboot),
    ("update", Machine::Pi3, Flow::Uboot),
    ("self-test refused", Machine::Pi3, Flow::Tryboot),
    ("unhealthy", Machine::Virt, Flow::Uboot),
    ("panic", Machine::Virt, Flow::Tryboot),
    ("hang", Machine::Virt, Flow::Uboot),
    ("init missing", Machine::Virt, Flow::Tryboot),
    ("kernel damaged", Machine::Virt, Flow::Tryboot),
    ("kernel damaged", Machine::Virt, Flow::Uboot),
    ("writes", Machine::Virt, Flow::Tryboot),
    (CUTS, Machine::Virt, Flow::Tryboot),
    (CUTS, Machine::Virt, Flow::Uboot),
];
const CUTS: &str = "power cuts";
const CUTS_SHORT: u32 = 3;
const CUTS_USUAL: u32 = 5;
const CUTS_LONG: u32 = 50;

/// Run scenarios and report. Gives whether all passed.
///
/// # Errors
/// When a rig can't be set up; what is wrong with a device is in the report.
pub fn run(options: &Options) -> Result<bool> {
    if !options.json {
        print(&format!("{}\n", report::head()));
    }
    let rows = match options.rig {
        Kind::Sim => on_sim(options)?,
        Kind::Qemu => on_qemu(options)?,
    };
    ensure!(!rows.is_empty(), "no scenario has a name like that");
    if options.json {
        print(&format!("{}\n", report::json(&rows)));
    }
    Ok(rows.iter().all(|row| row.ended.is_ok()))
}

impl Options {
    /// Whether a scenario is to run on a machine in a boot flow.
    fn wants(&self, scenario: &str, machine: Machine, flow: Flow) -> bool {
        let named = self.scenario.as_ref().is_none_or(|text| scenario.contains(text));
        let short = !self.short || SHORT.contains(&(scenario, machine, flow));
        named && short && self.machine.is_none_or(|m| m == machine) && self.flow.is_none_or(|f| f == flow)
    }

    fn cuts(&self) -> u32 {
        let usual = if self.short {
            CUTS_SHORT
        } else if self.long {
            CUTS_LONG
        } else {
            CUTS_USUAL
        };
        self.cuts.unwrap_or(usual)
    }

    /// All wanted scenarios on one rig.
    fn all(&self, rig: &mut dyn Rig, machine: Machine, flow: Flow) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut done = |row: Row| {
            if !self.json {
                print(&format!("{}\n", report::line(&row)));
            }
            rows.push(row);
        };
        for scenario in scenario::ALL {
            let able = scenario.needs == Needs::Nothing || machine == Machine::Virt;
            if able && self.wants(scenario.name, machine, flow) {
                done(play(rig, scenario.name, scenario.story)?);
            }
        }
        if rig.has_a_clock() && self.wants(CUTS, machine, flow) {
            done(play(rig, CUTS, |device| cuts::cuts(device, self.cuts(), self.seed))?);
        }
        Ok(rows)
    }
}

fn on_sim(options: &Options) -> Result<Vec<Row>> {
    let program = env::current_exe().context("finding this program")?;
    let mut rows = Vec::new();
    for flow in [Flow::Tryboot, Flow::Uboot] {
        let folder = tempfile::tempdir().context("making a folder")?;
        let mut sim = Sim::new(folder.path(), &program, flow)?;
        for scenario in scenario::ALL {
            let named = options.scenario.as_ref().is_none_or(|text| scenario.name.contains(text));
            if named && scenario.needs == Needs::Nothing && options.flow.is_none_or(|f| f == flow) {
                let row = play(&mut sim, scenario.name, scenario.story)?;
                if !options.json {
                    print(&format!("{}\n", report::line(&row)));
                }
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

fn on_qemu(options: &Options) -> Result<Vec<Row>> {
    fetch::check()?;
    fs::create_dir_all(&options.folder).with_context(|| options.folder.display().to_string())?;
    let folder = fs::canonicalize(&options.folder)?;
    let loaders = fetch::loaders(&folder.join("arm64"))?;
    let tree = fetch::tree(&folder.join("small"))?;
    let package = image::Package(match &options.device {
        Some(device) => device.clone(),
        None => device(&folder)?,
    });
    let bench = Bench {
        loaders,
        device_tree: tree.boot.join("bcm2837-rpi-3-b.dtb"),
        work: folder.join("run"),
        logs: folder.join("logs"),
        keep: options.keep,
    };
    let mut rows = Vec::new();
    for machine in [Machine::Virt, Machine::Pi3] {
        let flows = [Flow::Tryboot, Flow::Uboot].into_iter().filter(|flow| {
            let names = scenario::ALL.iter().map(|s| s.name).chain([CUTS]);
            names.into_iter().any(|name| options.wants(name, machine, *flow))
        });
        let flows: Vec<_> = flows.collect();
        if flows.is_empty() {
            continue;
        }
        let kit = image::kit(&folder, &tree, &package, &bench.loaders.busybox, machine, &tell)?;
        for flow in flows {
            let mut rig = Qemu::new(bench.clone(), kit.clone(), machine, flow);
            rows.extend(options.all(&mut rig, machine, flow)?);
        }
    }
    Ok(rows)
}

/// The device's program and all that init and udev read, built now: cargo does nothing when nothing has changed.
fn device(folder: &Path) -> Result<PathBuf> {
    let tree = folder.join("device");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| tree.display().to_string())?;
    }
    // A process of its own: what it prints is not for our standard output.
    let status = Command::new(env::current_exe().context("finding this program")?)
        .args(["package", "--arch", "arm64", "--tree"])
        .arg(&tree)
        .stdout(io::stderr())
        .status()
        .context("starting this program")?;
    ensure!(status.success(), "the device's program was not built: {status}");
    Ok(tree)
}

/// One scenario on a rig.
///
/// # Errors
/// When the rig fails; what is wrong with the device is in the row.
pub fn play(
    rig: &mut dyn Rig,
    name: &str,
    story: impl FnOnce(&mut Device<'_>) -> Result<Told>,
) -> Result<Row> {
    let (machine, flow) = rig.name();
    let clock = Clock::start();
    let mut device = Device::new(&mut *rig, name)?;
    let ended = story(&mut device).map_err(|e| format!("{e:#}"));
    let boots = seen::boots(&device.seen);
    rig.done(ended.is_ok())?;
    Ok(Row { scenario: name.into(), machine, flow, boots, took: clock.now(), ended })
}

/// For people, while it takes its time.
fn tell(text: &str) {
    // A closed terminal is nobody's fault.
    let _ = writeln!(io::stderr(), "{text}");
}

fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
    let _ = io::stdout().flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_run_has_every_scenario() {
        let names: Vec<_> = scenario::ALL.iter().map(|s| s.name).chain([CUTS]).collect();
        for name in &names {
            assert!(SHORT.iter().any(|(short, ..)| short == name), "{name}");
        }
        for (short, ..) in SHORT {
            assert!(names.contains(&short), "{short}");
        }
    }
}
