//! The device scenarios on a rig: power, a root shell, a jig, and what must have become of the device.
//!
//! | file | noun |
//! |---|---|
//! | [`rig`] | what a scenario runs on |
//! | [`scenario`] | what happens, and what must have become of the device |
//! | [`course`] | what stories are made of |
//! | [`device`] | the dialogue with the device |
//! | [`observations`] | what is seen from outside, in order |
//! | [`components`] | what happens to the product's components |
//! | [`release`], [`part`] | good and bad releases of the image and of components |
//! | [`cuts`] | power cuts at random moments |
//! | [`toll`] | the same where the daemon updates, and is killed |
//! | [`qemu`], [`sim`], [`pi`] | the rigs |
//! | [`report`] | what came of it |
pub mod clock;
pub mod components;
pub mod course;
pub mod cuts;
pub mod device;
pub mod observations;
pub mod part;
pub mod pi;
pub mod qemu;
pub mod release;
pub mod report;
pub mod rig;
pub mod scenario;
pub mod sim;
pub mod toll;

use anyhow::{Context, Result, anyhow, ensure};
use bistable_boot::Flow;
use clap::ValueEnum;
use clock::Clock;
use course::Outcome;
use device::Device;
use qemu::{
    Bench, Qemu, fetch,
    image::{self, Kit},
    machine::Machine,
};
use report::Row;
use rig::Rig;
use scenario::{Needs, Scenario};
use sim::Sim;
use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Which kind of rig.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The real program on a simulated Pi
    Sim,
    /// An emulated Pi with a real kernel and a real Debian system
    Qemu,
    /// A real Pi on the bench that --bench describes
    Pi,
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
    #[arg(long, value_parser = bistable_kit::flow::parser())]
    pub flow: Option<Flow>,
    /// Only scenarios whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub scenario: Option<String>,
    /// Power cuts on each machine in each boot flow, of each of the two scenarios that cut
    #[arg(long, value_name = "N")]
    pub cuts: Option<u32>,
    /// For the moments of the power cuts
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Each scenario where it says most, and two power cuts
    #[arg(long, conflicts_with = "long")]
    pub short: bool,
    /// Fifty power cuts
    #[arg(long)]
    pub long: bool,
    /// The device's program and files for arm64, as `package --tree` makes them; made if none are named
    #[arg(long, value_name = "DIR")]
    pub device: Option<PathBuf>,
    /// Folder with v1/, the Debian system that is emulated: system.tar and boot/; built if it is missing
    #[arg(long, value_name = "DIR", default_value = bistable_kit::SMALL_DEBIAN)]
    pub debian: PathBuf,
    /// Where everything is made and kept
    #[arg(long, value_name = "DIR", default_value = "target/hil")]
    pub folder: PathBuf,
    /// Keep the cards of scenarios that passed, too
    #[arg(long)]
    pub keep: bool,
    /// Emulated machines at a time; each takes one processor
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub jobs: usize,
    /// Report as JSON
    #[arg(long)]
    pub json: bool,
    /// What a real Pi needs
    #[command(flatten)]
    pub pi: pi::Options,
}

/// What the short run does: each scenario where it says most, the real boot loader and the Pi's own drivers included.
const SHORT: [(&str, Machine, Flow); 14] = [
    ("update", Machine::Virt, Flow::Tryboot),
    ("left alone", Machine::Virt, Flow::Uboot),
    ("self-test refused", Machine::Pi3, Flow::Uboot),
    ("unhealthy", Machine::Virt, Flow::Uboot),
    ("panic", Machine::Virt, Flow::Tryboot),
    ("hang", Machine::Virt, Flow::Uboot),
    ("init missing", Machine::Virt, Flow::Tryboot),
    ("kernel damaged", Machine::Virt, Flow::Uboot),
    ("components", Machine::Virt, Flow::Tryboot),
    ("bound", Machine::Pi3, Flow::Uboot),
    ("writes", Machine::Virt, Flow::Tryboot),
    ("writes", Machine::Virt, Flow::Uboot),
    (CUTS, Machine::Virt, Flow::Uboot),
    (TOLL, Machine::Virt, Flow::Tryboot),
];
const CUTS: &str = "power cuts";
const TOLL: &str = "kills and cuts";
const CUTS_SHORT: u32 = 5;
const CUTS_USUAL: u32 = 5;
const CUTS_LONG: u32 = 50;

/// Run scenarios and report. Gives whether all passed.
///
/// # Errors
/// When a rig can't be set up; what is wrong with a device is in the report.
pub fn run(options: &Options) -> Result<bool> {
    if options.rig == Kind::Pi
        && let Some(well) = pi::instead(options)?
    {
        return Ok(well);
    }
    if !options.json {
        print(&format!(
            "{}
",
            report::head()
        ));
    }
    let rows = match options.rig {
        Kind::Sim => on_sim(options)?,
        Kind::Qemu => on_qemu(options)?,
        Kind::Pi => pi::run(options)?,
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

    /// All that is to run on a machine in a boot flow.
    fn jobs(&self, machine: Machine, flow: Flow) -> Vec<Job> {
        let able = |scenario: &Scenario| scenario.needs != Needs::WriteLog || machine == Machine::Virt;
        let scenarios = scenario::ALL.into_iter().filter(able).map(Story::Scenario);
        let wanted = scenarios
            .chain([Story::Cuts, Story::Toll])
            .filter(|story| self.wants(story.name(), machine, flow));
        wanted.map(|story| Job { machine, flow, story }).collect()
    }

    fn tell(&self, row: &Row) {
        if !self.json {
            print(&format!("{}\n", report::line(row)));
        }
    }
}

/// What is played.
#[derive(Clone, Copy, Debug)]
enum Story {
    Scenario(Scenario),
    Cuts,
    Toll,
}

impl Story {
    fn name(self) -> &'static str {
        match self {
            Story::Scenario(scenario) => scenario.name,
            Story::Cuts => CUTS,
            Story::Toll => TOLL,
        }
    }
}

/// It, on a machine in a boot flow.
#[derive(Clone, Copy, Debug)]
struct Job {
    machine: Machine,
    flow: Flow,
    story: Story,
}

impl Job {
    fn run(self, options: &Options, bench: &Bench, kit: &Kit) -> Result<Row> {
        let mut rig = Qemu::new(bench.clone(), kit.clone(), self.machine, self.flow);
        let (name, count, seed) = (self.story.name(), options.cuts(), options.seed);
        let row = match self.story {
            Story::Scenario(scenario) => play(&mut rig, name, scenario.story)?,
            Story::Cuts => play(&mut rig, name, |device| cuts::cuts(device, name, count, seed))?,
            Story::Toll => play(&mut rig, name, |device| toll::toll(device, name, count, seed))?,
        };
        options.tell(&row);
        Ok(row)
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
                options.tell(&row);
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
    let tree = fetch::tree(&options.debian.join("v1"))?;
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
    let mut jobs = Vec::new();
    for machine in [Machine::Virt, Machine::Pi3] {
        let wanted: Vec<_> =
            [Flow::Tryboot, Flow::Uboot].into_iter().flat_map(|flow| options.jobs(machine, flow)).collect();
        if !wanted.is_empty() {
            let kit = image::kit(&folder, &tree, &package, &bench.loaders.busybox, machine, &tell)?;
            jobs.extend(wanted.into_iter().map(|job| (job, kit.clone())));
        }
    }
    in_parallel(options.jobs, &jobs, |(job, kit)| job.run(options, &bench, kit))
}

/// This many at a time; the results in the order of the jobs.
fn in_parallel<J: Sync, T: Send>(
    at_once: usize,
    jobs: &[J],
    run: impl Fn(&J) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((at, job)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            jobs.get(at).map(|job| (at, job))
        } {
            done.push((at, run(job)));
        }
        done
    };
    let mut all = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once.max(1)).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|w| w.join().map_err(|_| anyhow!("a scenario panicked")))
            .collect::<Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect::<Vec<_>>();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
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
    story: impl FnOnce(&mut Device<'_>) -> Result<Outcome>,
) -> Result<Row> {
    let (machine, flow) = rig.name();
    let clock = Clock::start();
    let mut device = Device::new(&mut *rig, name)?;
    let ended = story(&mut device).map_err(|e| format!("{e:#}"));
    let boots = observations::boots(&device.seen);
    rig.done(ended.is_ok())?;
    Ok(Row { scenario: name.into(), machine, flow, boots, took: clock.now(), ended })
}

/// Human-readable, while it takes its time.
fn tell(text: &str) {
    // A closed terminal is not an error.
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
        let names: Vec<_> = scenario::ALL.iter().map(|s| s.name).chain([CUTS, TOLL]).collect();
        for name in &names {
            assert!(SHORT.iter().any(|(short, ..)| short == name), "{name}");
        }
        for (short, ..) in SHORT {
            assert!(names.contains(&short), "{short}");
        }
    }
}
