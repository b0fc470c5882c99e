//! The suite `real`: two versions of a real Debian system go through a whole update, and every claim about it is proven.
//!
//! | file | noun |
//! |---|---|
//! | `debian` | the two versions, built if they aren't there |
//! | `meter` | a call of a program, with its time and peak memory |
//! | `workdir` | the folder that the suite works in: inputs, bundles, the card |
//! | `build` | keys, bundles and the card |
//! | `update` | the steps on the virtual Pi: install, cut short, install again, commit |
//! | `race` | installing against `zstd -dc \| dd` of the same data |
//! | `claim` | what is claimed, and what speaks against it |
//! | `card` | partitions of a card image, read through its table |
//! | `proof` | claims, and what speaks against them |
//! | `tools` | small things that several of these need |
//! | `report` | everything measured, as a table and as JSON |
mod build;
mod card;
mod claim;
mod debian;
pub mod meter;
mod proof;
mod race;
mod report;
mod tools;
mod update;
mod workdir;

use anyhow::{Context, Result};
use debian::Size;
use report::Report;
use std::{
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};
use workdir::Workdir;

/// What the suite uses.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Folder with v1/ and v2/, each with system.tar and boot/; built from Debian's packages if they are missing
    /// [default: target/debian, with --quick target/debian-small]
    #[arg(long, value_name = "DIR")]
    pub debian: Option<PathBuf>,
    /// Where everything else is made; cleared at the start
    #[arg(long, value_name = "DIR", default_value = "target/real")]
    pub folder: PathBuf,
    /// For CI: every proof, on smaller systems, with one pair instead of three of timed installations, and the fastest
    /// compression
    #[arg(long)]
    pub quick: bool,
    /// Keep bundles, cards and images
    #[arg(long)]
    pub keep: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// What differs between a full and a quick run.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// zstd level of the bundles; the builder's own default if none.
    level: Option<u8>,
    /// Timed pairs of an installation and `zstd | dd`.
    pairs: usize,
}

impl Effort {
    const fn of(quick: bool) -> Effort {
        if quick { Effort { level: Some(1), pairs: 1 } } else { Effort { level: None, pairs: 3 } }
    }
}

/// Run the suite. Gives whether every proof held.
///
/// # Errors
/// When a step can't be taken at all; a proof that fails is no error but part of the report.
pub fn run(options: &Options) -> Result<bool> {
    let start = now();
    let size = if options.quick { Size::Small } else { Size::Product };
    let inputs = debian::ready(options.debian.as_deref().unwrap_or(size.folder()), size)?;
    let desk = Workdir::clear(&options.folder, inputs)?;
    let report = life(&desk, Effort::of(options.quick), start)?;
    if options.json {
        let text = serde_json::to_string_pretty(&report).context("the report as JSON")?;
        print(&text);
    } else {
        print(&report.table());
    }
    let held = report.held();
    if held && !options.keep {
        desk.sweep()?;
    }
    Ok(held)
}

/// Everything, in order.
fn life(desk: &Workdir, effort: Effort, start: Instant) -> Result<Report> {
    let seconds_debian = start.elapsed().as_secs_f64();
    let mut report = Report { schema: report::SCHEMA, seconds_debian, ..Report::default() };
    build::keys(desk)?;
    report.builds = build::bundles(desk, effort)?;
    report.proofs.push(build::same_bytes(desk, effort)?);
    build::card(desk)?;
    let race = race::run(desk, effort.pairs)?;
    report.proofs.push(race.claim);
    report.onto_new_card = race.onto_new_card;
    report.over_old_release = race.over_old_release;
    report.caches_dropped = race.caches_dropped;
    // The card that was cut short is the one that continues to the commit and is proven.
    let (resume, claim) = update::killed_and_resumed(desk, report.onto_new_card.first())?;
    report.resume = Some(resume);
    report.proofs.push(claim);
    let (again, claim) = update::identical_again(desk)?;
    report.again = Some(again);
    report.proofs.push(claim);
    report.proofs.push(update::to_commit(desk)?);
    report.proofs.extend(proof::all(desk)?);
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

#[expect(clippy::disallowed_methods, reason = "measures how long real work took")]
fn now() -> Instant {
    Instant::now()
}

/// What happens, for people.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The result.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end());
}
