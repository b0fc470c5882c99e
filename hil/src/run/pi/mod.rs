//! The rig `pi`: a real Pi on a bench, with a serial port, a relay for its power and one for the jig's wire.
//!
//! | file | noun |
//! |---|---|
//! | [`mod@bench`] | `bench.toml` |
//! | [`serial`] | the port to the Pi's console |
//! | [`console`] | what comes over it, and the login |
//! | [`relay`] | a relay: programs, or a GPIO line |
//! | [`program`] | a program of the bench |
//! | [`person`] | a person at the bench |
//! | [`card`] | the factory's card, and the boot flag on it |
//! | [`real_pi`] | all of it together: the rig |
//! | [`releases`] | what is put over the Pi's system to make the releases |
//! | [`check`] | a look at the bench that switches nothing |
pub mod bench;
pub mod card;
pub mod check;
pub mod console;
pub mod person;
pub mod program;
mod reader;
pub mod real_pi;
pub mod relay;
pub mod releases;
pub mod serial;
#[cfg(test)]
mod tests;

use super::{cuts, play, print, report::Row, scenario, tell};
use anyhow::{Context, Result, bail};
use bench::Bench;
use person::{AtTerminal, Nobody, Person};
use real_pi::{Parts, RealPi};
use serial::Serial;
use std::path::PathBuf;

/// What only this rig needs.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "pi")]
pub struct Options {
    /// What stands on the bench of a real Pi
    #[arg(long, value_name = "FILE")]
    pub bench: Option<PathBuf>,
    /// Only look at the bench, and switch nothing
    #[arg(short = 'n', long, requires = "bench")]
    pub dry_run: bool,
    /// No person is at the bench: skip what needs a hand
    #[arg(long, requires = "bench")]
    pub no_hands: bool,
    /// Run nothing, but write what makes the releases for the Pi of that bench into this folder
    #[arg(long, value_name = "DIR", requires = "bench", conflicts_with = "dry_run")]
    pub releases: Option<PathBuf>,
}

fn load(options: &Options) -> Result<Bench> {
    let path =
        options.bench.as_ref().context("a real Pi needs --bench FILE; hil/docs/bench.md has an example")?;
    Ok(Bench::load(path)?)
}

/// What is asked for instead of a run, if anything is: whether it went well.
///
/// # Errors
/// When `bench.toml` is wrong, or something can't be written.
pub fn instead(options: &super::Options) -> Result<Option<bool>> {
    if let Some(folder) = &options.pi.releases {
        releases::write(folder, &load(&options.pi)?)?;
        return Ok(Some(true));
    }
    if options.pi.dry_run { dry_run(options).map(Some) } else { Ok(None) }
}

/// Look at the bench, and say what is there and what would run.
fn dry_run(options: &super::Options) -> Result<bool> {
    let bench = load(&options.pi)?;
    let found = check::look(&bench, !options.pi.no_hands);
    let planned = check::plan(&bench, !options.pi.no_hands, &scenario::ALL, options.scenario.as_deref());
    if options.json {
        print(&format!("{}\n", check::json(&found, &planned)));
    } else {
        print(&check::table(&found, &planned));
    }
    Ok(check::ready(&found) && planned.iter().any(|p| p.skipped.is_none()))
}

/// Run the scenarios.
///
/// # Errors
/// When `bench.toml` is wrong, or something of the bench is missing or fails.
pub fn run(options: &super::Options) -> Result<Vec<Row>> {
    let bench = load(&options.pi)?;
    let hands = !options.pi.no_hands;
    let found = check::look(&bench, hands);
    let planned = check::plan(&bench, hands, &scenario::ALL, options.scenario.as_deref());
    if !check::ready(&found) {
        bail!("the bench isn't complete:\n{}", check::table(&found, &planned).trim_end());
    }
    let parts = Parts {
        serial: Serial::open(&bench.serial)?,
        power: relay::relay(&bench.power),
        jig: bench.jig.as_ref().map(relay::relay),
        person: if hands { Box::new(AtTerminal) as Box<dyn Person> } else { Box::new(Nobody) },
        logs: options.folder.join("logs"),
    };
    let mut rig = RealPi::new(bench, parts);
    let mut rows = Vec::new();
    for check::Planned { name, scenario, skipped } in planned {
        if let Some(why) = skipped {
            tell(&format!("{name} is skipped: {why}"));
            continue;
        }
        let row = match scenario {
            Some(scenario) => play(&mut rig, name, scenario.story)?,
            None => play(&mut rig, name, |device| cuts::cuts(device, name, options.cuts(), options.seed))?,
        };
        options.tell(&row);
        rows.push(row);
    }
    Ok(rows)
}
