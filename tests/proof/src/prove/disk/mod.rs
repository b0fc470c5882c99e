//! The real program on a disk that logs: what the in-memory card can't see, wrong open flags, a missing sync, a write that
//! takes its neighbors along, is seen here.
//!
//! `qemu-storage-daemon` shows a file as another one and logs each write and flush. The program takes updates with that
//! as its card, each call in a process of its own. Every crash state of the log is booted in the simulator; and the
//! program is killed at every entry of the log, and started again.
//!
//! | file | noun |
//! |---|---|
//! | [`export`] | the disk that logs |
//! | [`trace`] | from the log to the writes and flushes of a card |
//! | [`device`] | the program's calls |
//! | [`story`] | the scenarios, as they are typed |
//! | [`economy`] | what was written, and the rules for it |
//! | [`crashes`] | the crash states |
//! | [`kills`] | the program killed |
pub mod crashes;
pub mod device;
pub mod economy;
pub mod export;
pub mod kills;
pub mod story;
pub mod trace;

use super::{oracle::Wrong, product::Product};
use anyhow::{Context, Result};
use bistable_boot::Flow;
use crashes::Tally;
use economy::Phase;
use kills::Kills;
use std::{path::PathBuf, sync::Arc};
use story::Bundles;

/// What to prove, and with what.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// For what is drawn: which subsets of many writes, where long writes end, which noise
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Keep the disk's logs in this folder
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// The program to prove; this one's own copy of it if none is named
    #[arg(long, value_name = "PATH")]
    pub bistable: Option<PathBuf>,
}

/// What came of one story.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What each call wrote.
    pub phases: Vec<Phase>,
    /// What came of the crash states; none where none were made.
    pub tally: Option<Tally>,
    /// Rules that the writes broke, in words.
    pub broken: Vec<String>,
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// One row for each story.
    pub rows: Vec<Row>,
    /// What came of killing the program.
    pub kills: Kills,
}

impl Report {
    /// Whether everything held.
    pub fn holds(&self) -> bool {
        let rows = self.rows.iter().all(|r| r.broken.is_empty() && r.tally.as_ref().is_none_or(Tally::holds));
        rows && self.kills.wrong.is_empty()
    }
}

/// Prove it, and print what was found. Gives whether everything held.
///
/// # Errors
/// When there is no logged disk to be had, with what is missing, or the bench itself fails.
pub fn run(options: &Options) -> Result<bool> {
    let report = study(options)?;
    print(&report);
    Ok(report.holds())
}

/// Prove it.
///
/// # Errors
/// As for [`run`].
pub fn study(options: &Options) -> Result<Report> {
    export::available()?;
    let product = Arc::new(Product::new(1, Flow::Tryboot).context("making the product")?);
    let bundles = Bundles::new(&product)?;
    let recordings = story::ALL
        .iter()
        .map(|s| s.record(&product, &bundles, options).with_context(|| format!("story \"{}\"", s.name)))
        .collect::<Result<Vec<_>>>()?;
    let first = story::first_version();
    let tallies = super::in_parallel(&recordings, |r| crashes::explore(r, &product, &first, options.seed));
    // Alone, so that the program dies where it is to die.
    let kills = kills::every_entry(&product, &bundles, &recordings[0], options)?;
    let rows = story::ALL.iter().zip(recordings).zip(tallies).map(|((story, recording), tally)| {
        let broken = recording.phases.iter().flat_map(Phase::broken).collect();
        Row { name: story.name, phases: recording.phases, tally, broken }
    });
    Ok(Report { rows: rows.collect(), kills })
}

fn print(report: &Report) {
    println!(
        "{:18} {:32} {:>6} {:>9} {:>8} {:>7}",
        "written", "what", "writes", "bytes", "aligned", "flushed"
    );
    for row in &report.rows {
        for phase in &row.phases {
            println!("{}: {}, {} flushes", row.name, phase.name, phase.flushes);
            for ((kind, partition), sum) in phase.sums() {
                println!(
                    "{:18} {kind:14} {partition:17} {:>6} {:>9} {:>8} {:>7}",
                    "", sum.writes, sum.bytes, sum.aligned, sum.flushed
                );
            }
        }
    }
    println!(
        "\n{:18} {:>6} {:>7} {:>7} {:>8} {:>6} {:>4} {:>9} {:>8} {:>5} {:>6} {:>5}",
        "story",
        "writes",
        "flushes",
        "states",
        "distinct",
        "bricks",
        "lost",
        "unhealthy",
        "rejected",
        "hands",
        "broken",
        "boots"
    );
    for row in &report.rows {
        let writes: usize = row.phases.iter().map(|p| p.writes.len()).sum();
        let flushes: u64 = row.phases.iter().map(|p| p.flushes).sum();
        print!("{:18} {writes:>6} {flushes:>7}", row.name);
        match &row.tally {
            None => println!(" {:>7}", "-"),
            Some(t) => println!(
                " {:>7} {:>8} {:>6} {:>4} {:>9} {:>8} {:>5} {:>6} {:>5}",
                t.states,
                t.distinct,
                t.count(Wrong::Brick),
                t.count(Wrong::LostCommit),
                t.count(Wrong::Unhealthy),
                t.count(Wrong::RejectedGood),
                t.count(Wrong::NeedsHands),
                t.count(Wrong::Broken),
                t.boots
            ),
        }
        row.tally.iter().flat_map(|t| &t.examples).chain(&row.broken).for_each(|e| println!("    {e}"));
    }
    let kills = &report.kills;
    let late: Vec<_> = kills.late.iter().map(|(late, n)| format!("{n} {late} entries late")).collect();
    println!(
        "\nkilled exactly at {} of {} entries, {} times in all ({}), {} wrong, at most {} calls to recover",
        kills.exact,
        kills.planned,
        kills.killed,
        late.join(", "),
        kills.wrong.len(),
        kills.calls
    );
    kills.wrong.iter().for_each(|w| println!("    {w}"));
}
