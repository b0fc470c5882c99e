//! One scenario on one slot: run it once and count, then cut the power everywhere, and everywhere in the recovery.
use super::{
    card::{Card, Op},
    crash_state::{Crash, Depth, Flight, crashes},
    event_rules::Lines,
    image::Image,
    invariants::Watch,
    oracle::{Before, Bench, Known, Verdict, Wrong},
    pi::{End, Life, Pi},
    places::Snapshot,
    product::Product,
    scenario::{Scenario, Start},
};
use anyhow::{Result, bail};
use bistable::flow::uboot::BootBlocks;
use bistable_boot::{
    Autoboot, Flow, SECTOR, Slot,
    bootblock::newest,
    layout::{BOOT_BLOCK, BOOT_PARTITIONS, Partition},
};
use semver::Version;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// For the first cut.
    pub first: Depth,
    /// For each of two cuts; `None` for no pairs.
    pub pairs: Option<Depth>,
    /// Stop a scenario after this many pairs.
    pub most_pairs: u64,
    /// Stop at the first thing that is wrong.
    pub first_only: bool,
}

/// What came of one scenario.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Writes and flushes of the run without a cut.
    pub accesses: usize,
    /// Crash states after one cut.
    pub single: u64,
    /// Crash states after a second cut, in the recovery from the first.
    pub pairs: u64,
    /// How many of all of them differ, and were booted.
    pub distinct: u64,
    /// How many had each thing wrong.
    pub wrong: BTreeMap<Wrong, u64>,
    /// The first of each kind, in words.
    pub examples: Vec<String>,
    /// Most boots until a device was at rest.
    pub boots: u32,
}

impl Row {
    /// All crash states.
    pub fn states(&self) -> u64 {
        self.single + self.pairs
    }

    /// How many states had that wrong.
    pub fn count(&self, wrong: Wrong) -> u64 {
        self.wrong.get(&wrong).copied().unwrap_or(0)
    }

    /// Whether all is well. That a person has to mend a card is known, counted, and no failure.
    pub fn holds(&self) -> bool {
        self.wrong.keys().all(|w| *w == Wrong::NeedsHands)
    }

    /// All of these, but for what was wrong in words.
    pub fn sum<'a>(name: &'static str, rows: impl IntoIterator<Item = &'a Row>) -> Row {
        let mut sum = Row { name, ..Row::default() };
        rows.into_iter().for_each(|row| sum.add(row));
        sum.examples.clear();
        sum
    }

    /// Put another one's counts to these.
    pub fn add(&mut self, other: &Row) {
        self.accesses = self.accesses.max(other.accesses);
        self.single += other.single;
        self.pairs += other.pairs;
        self.distinct += other.distinct;
        for (wrong, n) in &other.wrong {
            *self.wrong.entry(*wrong).or_default() += n;
        }
        self.examples.extend(other.examples.iter().cloned());
        self.boots = self.boots.max(other.boots);
    }

    fn count_in(&mut self, verdict: &Verdict, how: impl FnOnce() -> String) {
        self.distinct += 1;
        self.boots = self.boots.max(verdict.boots);
        let kinds: std::collections::BTreeSet<_> = verdict.wrong.iter().map(|(w, _)| *w).collect();
        let mut how = Some(how);
        for kind in kinds {
            let n = self.wrong.entry(kind).or_default();
            *n += 1;
            if *n == 1
                && let Some(how) = how.take()
            {
                let why: Vec<_> = verdict.wrong.iter().map(|(w, why)| format!("{w:?}: {why}")).collect();
                self.examples.push(format!("{}: {}", how(), why.join("; ")));
            }
        }
    }
}

/// A scenario that was run once.
#[derive(Debug)]
pub struct Run {
    bench: Bench,
    /// The card before it.
    pub start: Image,
    /// What happened to the card.
    pub log: Vec<Op>,
    /// How it ended.
    pub life: Life,
    /// Rules that it broke, cut or not.
    pub broken: Vec<String>,
    /// The card after it.
    pub end: Image,
}

/// The version that every scenario begins with.
pub const OLD: &str = "1.1.0";

/// The card that a scenario begins with: 1.1.0 is the default, in that slot.
///
/// # Errors
/// When the device can't even be brought there.
pub fn start(product: &Arc<Product>, scenario: &Scenario, slot: Slot) -> Result<Image> {
    let mut image = match slot {
        Slot::A => product.old_card.clone(),
        Slot::B => {
            let watch =
                Watch::new(product, product.releases.iter().take(1).map(|r| r.version.clone()).collect());
            let card = Card::new(&product.oldest_card, &product.places, watch, None);
            let life = Pi::new(product, &card, true, None).live(&[super::goal::Goal::Offer(OLD)]);
            if life.end != End::Settled || life.slot != Some(Slot::B) {
                bail!("the card can't be brought to slot B: {life:?}");
            }
            card.seen()
        }
    };
    if scenario.start == Start::TornFlag && product.flow == Flow::Uboot {
        // The older copy, torn while it was being replaced by one that would try the other slot.
        let state = Snapshot::new(&image, &product.places).volume(Partition::State);
        let Some((newest, block)) = newest(BootBlocks::new(state).copies()?) else {
            bail!("no boot block to tear")
        };
        let at = product.places.start(Partition::State) + BOOT_BLOCK[1 - newest].0 * SECTOR as u64;
        image.write(at, &block.armed(!slot).render()[..SECTOR / 8]);
    } else if scenario.start == Start::TornFlag {
        let [old, new] =
            [slot, !slot].map(|default| Autoboot { partitions: BOOT_PARTITIONS, default }.render());
        let (at, end) =
            (product.places.start(Partition::Bootconfig), product.places.bytes(Partition::Bootconfig));
        let used = image.used_sectors(at, at + end);
        let Some(sector) = used.into_iter().find(|s| image.holds(*s, &old)) else {
            bail!("no boot flag to tear")
        };
        // The default's digit comes first; torn behind it, and then as if it had been written from the other side.
        let digit = old.iter().zip(&new).position(|(a, b)| a != b).unwrap_or(0);
        let mut torn = new;
        torn[..=digit].copy_from_slice(&old[..=digit]);
        debug_assert_eq!(torn.len(), SECTOR);
        torn[digit + 1..].copy_from_slice(&new[digit + 1..]);
        image.write(sector, &torn);
    }
    image.settle();
    Ok(image)
}

impl Run {
    /// Run a scenario once.
    ///
    /// # Errors
    /// When its card can't be made.
    pub fn new(bench: &Bench, slot: Slot) -> Result<Run> {
        let start = start(&bench.product, &bench.scenario, slot)?;
        let old: Version = OLD.parse()?;
        let oldest: Version = "1.0.0".parse()?;
        let proven = [old, oldest].into_iter().collect();
        let watch = Watch::new(&bench.product, proven);
        let card = Card::new(&start, &bench.product.places, watch, bench.scenario.trouble());
        let mut pi = Pi::new(&bench.product, &card, bench.scenario.wired, bench.mutant);
        pi.reboots = bench.scenario.reboots;
        pi.logs = bench.scenario.logs;
        pi.mode = bench.scenario.mode;
        let life = pi.live(bench.scenario.goals);
        let broken = card.watch(|w| std::mem::take(&mut w.broken));
        Ok(Run { bench: bench.clone(), start, log: card.take_log(), life, broken, end: card.seen() })
    }

    /// Cut the power everywhere.
    ///
    /// # Errors
    /// When a version makes no sense.
    pub fn explore(&self, extent: &Extent) -> Result<Row> {
        let old: Version = OLD.parse()?;
        let mut row = Row {
            name: self.bench.scenario.name,
            accesses: self.log.iter().filter(|op| op.is_access()).count(),
            ..Row::default()
        };
        let uncut = self.bench.judge_end(&self.end, &self.life, &self.broken);
        row.count_in(&uncut, || "without a power cut".into());
        row.distinct = 0;
        let (mut seen, mut known, mut logged) = (HashSet::new(), Known::default(), Logged::default());
        crashes(&self.start, &self.log, &extent.first, &mut |crash| {
            if extent.first_only && !row.holds() {
                return;
            }
            row.single += 1;
            let before = before(&self.log, &crash, &old, logged.until(&self.log, crash.at));
            if seen.insert((crash.image.key(), before.clone())) {
                let verdict = self.bench.judge_knowing(&crash.image, &before, Some(&mut known));
                row.count_in(&verdict, || crash.to_string());
            }
        });
        if let Some(depth) = &extent.pairs {
            crashes(&self.start, &self.log, depth, &mut |first| {
                if row.pairs < extent.most_pairs && (row.holds() || !extent.first_only) {
                    self.second(&first, depth, &old, &mut seen, &mut known, &mut row);
                }
            });
        }
        Ok(row)
    }

    /// Cut the power again, everywhere in the recovery from a first cut.
    fn second(
        &self,
        first: &Crash,
        depth: &Depth,
        old: &Version,
        seen: &mut HashSet<(u128, Before)>,
        known: &mut Known,
        row: &mut Row,
    ) {
        let held = before(&self.log, first, old, Logged::default().until(&self.log, first.at));
        let recovery = self.bench.judge(&first.image, &held).log;
        let mut logged = Logged(0, Arc::clone(&held.logged));
        crashes(&first.image, &recovery, depth, &mut |crash| {
            row.pairs += 1;
            let mut before = before(&recovery, &crash, &held.promised, logged.until(&recovery, crash.at));
            if !recovery[..crash.at].iter().any(|op| matches!(op, Op::Promised(_))) {
                before.coming.extend(held.coming.clone());
            }
            if !recovery[..crash.at].iter().any(|op| matches!(op, Op::NewGoal)) {
                before.trials = before.trials.saturating_add(held.trials);
            }
            before.proven.extend(held.proven.clone());
            // Their commit may be on the card, and was not reported.
            before.proven.extend(held.coming.clone());
            before.lost_neighbor |= held.lost_neighbor;
            before.cuts += held.cuts;
            if seen.insert((crash.image.key(), before.clone())) {
                let verdict = self.bench.judge_knowing(&crash.image, &before, Some(known));
                row.count_in(&verdict, || format!("{first}; then {crash}"));
            }
        });
    }
}

/// The events that were promised up to a place in a log. Places only rise, and crash states of one place share them.
#[derive(Default)]
struct Logged(usize, Arc<Lines>);

impl Logged {
    fn until(&mut self, log: &[Op], at: usize) -> Arc<Lines> {
        for op in &log[self.0..at] {
            if let Op::Logged(number, line) = op {
                Arc::make_mut(&mut self.1).insert(*number, Arc::clone(line));
            }
        }
        self.0 = at;
        Arc::clone(&self.1)
    }
}

/// What the device had promised when the power went, and what it was about to promise.
pub fn before(log: &[Op], crash: &Crash, at_first: &Version, logged: Arc<Lines>) -> Before {
    let promise = |op: &Op| match op {
        Op::Promised(version) => Some(version.clone()),
        _ => None,
    };
    let past = &log[..crash.at];
    let since_goal = past.iter().rev().take_while(|op| !matches!(op, Op::NewGoal));
    let trials = since_goal.filter(|op| matches!(op, Op::Trial)).count();
    let factory = [Version::new(1, 0, 0), at_first.clone()];
    Before {
        promised: past.iter().rev().find_map(promise).unwrap_or_else(|| at_first.clone()),
        coming: log[crash.at..].iter().find_map(promise).into_iter().collect(),
        proven: factory.into_iter().chain(past.iter().filter_map(promise)).collect(),
        trials: u8::try_from(trials).unwrap_or(u8::MAX),
        cuts: 1,
        logged,
        lost_neighbor: matches!(crash.flight, Flight::Neighbor(..) | Flight::Page(..)),
    }
}
