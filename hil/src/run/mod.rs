//! The device scenarios on a rig: power, a root shell, a jig, and what must have become of the device.
//!
//! | file | noun |
//! |---|---|
//! | [`rig`] | what a scenario runs on |
//! | [`scenario`] | what happens, and what must have become of the device |
//! | [`device`] | the dialogue with the device |
//! | [`seen`] | what is seen from outside, in order |
//! | [`release`] | good and bad releases |
//! | [`qemu`] | an emulated Pi |
//! | [`pi`] | a real Pi on the bench |
//! | [`report`] | what came of it |
pub mod clock;
pub mod cuts;
pub mod device;
pub mod pi;
pub mod qemu;
pub mod release;
pub mod report;
pub mod rig;
pub mod scenario;
pub mod seen;

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
use scenario::Scenario;
use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

/// Which kind of rig.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
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
    #[arg(long, value_enum)]
    pub flow: Option<Flow>,
    /// Only scenarios whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub scenario: Option<String>,
    /// Everything on everything
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
    /// What a real Pi needs
    #[command(flatten)]
    pub pi: pi::Options,
}

/// Run scenarios and report. Gives whether all passed.
///
/// # Errors
/// When a rig can't be set up; what is wrong with a device is in the report.
pub fn run(options: &Options) -> Result<bool> {
    if options.rig == Kind::Pi && options.pi.dry_run {
        return pi::dry_run(options);
    }
    let rows = match options.rig {
        Kind::Qemu => on_qemu(options)?,
        Kind::Pi => pi::run(options)?,
    };
    ensure!(!rows.is_empty(), "no scenario has a name like that");
    if options.json {
        print(&format!("{}\n", report::json(&rows)));
    }
    Ok(rows.iter().all(|row| row.ended.is_ok()))
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
    if !options.json {
        print(&format!("{}\n", report::head()));
    }
    for machine in [Machine::Virt, Machine::Pi3] {
        if options.machine.is_some_and(|m| m != machine) {
            continue;
        }
        let kit = image::kit(&folder, &tree, &package, &bench.loaders.busybox, machine, &tell)?;
        for flow in [Flow::Tryboot, Flow::Uboot] {
            if options.flow.is_some_and(|f| f != flow) {
                continue;
            }
            let mut rig = Qemu::new(bench.clone(), kit.clone(), machine, flow);
            for scenario in scenario::ALL {
                if options.scenario.as_ref().is_none_or(|text| scenario.name.contains(text)) {
                    let row = play(&mut rig, scenario)?;
                    if !options.json {
                        print(&format!("{}\n", report::line(&row)));
                    }
                    rows.push(row);
                }
            }
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
fn play(rig: &mut dyn Rig, scenario: Scenario) -> Result<Row> {
    let (machine, flow) = rig.name();
    let clock = Clock::start();
    let mut device = Device::new(&mut *rig, scenario.name)?;
    let ended = (scenario.story)(&mut device).map_err(|e| format!("{e:#}"));
    let boots = seen::boots(&device.seen);
    rig.done(ended.is_ok())?;
    Ok(Row { scenario: scenario.name.into(), machine, flow, boots, took: clock.now(), ended })
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
