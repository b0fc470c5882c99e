//! The proof: every power cut that there can be, at every write of every scenario, on the real code.
//!
//! A scenario is run once and its writes and flushes are logged. From the log, each state that a power cut could leave of
//! the card is made ([`crash_state`]), booted and judged ([`oracle`]); and each state that a second cut in the recovery could
//! leave.
//!
//! | file | noun |
//! |---|---|
//! | [`image`] | a card's bytes, cheap to copy |
//! | [`card`] | durable sectors and a volatile cache, behind the agent's own ports |
//! | [`places`] | where the partitions are |
//! | [`faults`] | what a broken card does without a power cut |
//! | [`invariants`] | the rules that hold at any time |
//! | [`product`] | releases and cards, as small as can be |
//! | `event_volume`, `event_promise`, [`event_rules`] | the event log on the card, what it promises, and what must hold of it |
//! | [`pack`] | signed releases, and what they are packed into |
//! | [`by_delta`] | releases that are offered by delta |
//! | [`pi`] | firmware, kernels, agent and owner around the card |
//! | `bound` | an image that brings components along |
//! | [`scenario`] | what happens, and how it must end |
//! | [`crash_state`] | what a power cut can leave |
//! | [`oracle`] | whether a device recovers from it |
//! | [`explore`] | all of it for one scenario |
//! | [`broken_card`] | errors without a power cut, loud and silent |
//! | [`mutant`] | protocols that are wrong on purpose |
//! | [`tampered`] | the ports as these have them |
//! | `tampered_content`, `tampered_events` | the repository and the event log as these have them |
//! | [`mutation`] | whether each of them is caught |
//! | [`report`] | the tables |
//! | [`disk`] | the real program on a logged disk |
#[cfg(test)]
mod bound;
pub mod broken_card;
pub mod by_delta;
pub mod card;
pub mod crash_state;
pub mod disk;
mod event_promise;
pub mod event_rules;
mod event_volume;
pub mod explore;
pub mod faults;
mod follow;
pub mod goal;
pub mod image;
pub mod invariants;
pub mod mutant;
pub mod mutation;
pub mod oracle;
pub mod pack;
pub mod pi;
pub mod places;
pub mod product;
mod recorder;
pub mod report;
pub mod scenario;
pub mod tampered;
mod tampered_content;
mod tampered_events;

use anyhow::{Context, Result, bail};
use bistable_boot::{Flow, Slot};
use crash_state::Depth;
use explore::{Extent, Row, Run};
use goal::Goal;
use mutant::Mutant;
use oracle::Bench;
use product::Product;
use scenario::Scenario;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

/// What to prove.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Only scenarios with this in their name, and nothing else
    #[arg(long, value_name = "TEXT")]
    scenario: Option<String>,
    /// For what is drawn: subsets of many writes, ends of long writes, noise, silent errors
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Draw ten times as much: takes an hour
    #[arg(long)]
    long: bool,
    /// Single cuts only, from one slot, most scenarios in one boot flow and those of a second update or a third goal mostly in
    /// none; leaves failing cards and mutants to `cargo test`: takes some four minutes
    #[arg(long, conflicts_with = "long")]
    quick: bool,
    /// Only this boot flow, with pairs of cuts; both if not given, with pairs in `tryboot`
    #[arg(long, value_parser = bistable_kit::flow::parser(), value_name = "FLOW")]
    flow: Option<Flow>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Options {
    fn extent(&self, flow: Flow) -> Extent {
        let more = if self.long { 10 } else { 1 };
        let mut first = Depth::full(self.seed);
        (first.ends, first.neighbors) = (first.ends * more, first.neighbors * more);
        let mut second = Depth::coarse(self.seed);
        if self.long {
            second =
                Depth { ends: 2, neighbors: 0, subset_bits: 4, every_byte: false, ..Depth::full(self.seed) };
        }
        // What follows a cut is the same in both flows but for the flag, so pairs of cuts in one of them will do, unless
        // there is time.
        let pairs = !self.quick && (flow == Flow::Tryboot || self.long || self.flow.is_some());
        let pairs = pairs.then_some(second);
        Extent { first, pairs, most_pairs: u64::MAX, first_only: false }
    }

    /// Whether a scenario is run in a flow.
    fn wants(&self, scenario: &Scenario, flow: Flow) -> bool {
        let updates = scenario.goals.iter().filter(|goal| matches!(goal, Goal::Offer(_))).count();
        let short = !self.quick || scenario.goals.len() < 3 && (flow == Flow::Tryboot || updates < 2);
        let short = short
            && !(self.quick && scenario.whole_only)
            && (!self.quick || scenario.quick.is_none_or(|only| only == flow));
        short && self.scenario.as_ref().is_none_or(|part| scenario.name.contains(part.as_str()))
    }

    /// The slots that scenarios begin in.
    fn slots(&self, flow: Flow) -> &'static [Slot] {
        match flow {
            _ if !self.quick => &Slot::ALL,
            Flow::Tryboot => &[Slot::A],
            Flow::Uboot => &[Slot::B],
        }
    }
}

/// Crash states that all scenarios of one flow have at least, and those of both in a quick run: see [`run`].
const LEAST: u64 = 2_000_000;

/// Crash states in updates by delta that a whole proof of one flow has at least.
const LEAST_BY_DELTA: u64 = 500_000;

/// Run all of it and print it. Gives whether everything held, and whether there were as many crash states as
/// there have to be.
///
/// # Errors
/// When a scenario can't even begin, or there is none of that name.
pub fn run(options: &Options) -> Result<bool> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tells a person how long it took; nothing is decided by it"
    )]
    let began = Instant::now();
    let mut proofs = Vec::new();
    let mut laps = [0; 3];
    for flow in Flow::ALL.into_iter().filter(|f| options.flow.is_none_or(|wanted| wanted == *f)) {
        let product = Arc::new(Product::new(1, flow).context("making the product")?);
        proofs.push((flow, scenarios(&product, flow, options)?));
    }
    laps[0] = began.elapsed().as_secs();
    let (mut tallies, mut catches) = (Vec::new(), Vec::new());
    let states: u64 = proofs.iter().flat_map(|(_, rows)| rows).map(Row::states).sum();
    let mut least_by_delta = u64::MAX;
    if options.scenario.is_none() {
        for (_, rows) in &mut proofs {
            let deltas: Vec<_> = scenario::ALL.iter().filter(|s| s.is_by_delta()).map(|s| s.name).collect();
            let by_delta = Row::sum("with deltas", rows.iter().filter(|row| deltas.contains(&row.name)));
            let all = Row::sum("all", &*rows);
            least_by_delta = least_by_delta.min(by_delta.states());
            rows.extend([by_delta, all]);
        }
    }
    if options.scenario.is_none() && !options.quick {
        for (flow, _) in &proofs {
            let silent = if options.long { 10_000 } else { 500 };
            let larger = Arc::new(Product::new(3, *flow).context("making the product")?);
            let jobs: Vec<_> =
                broken_card::SCENARIOS.iter().flat_map(|name| Slot::ALL.map(|slot| (*name, slot))).collect();
            let done = in_parallel(&jobs, |(name, slot)| {
                broken_card::run(&larger, name, *slot, None, silent, options.seed)
            });
            for ((_, slot), done) in jobs.iter().zip(done) {
                tallies.extend(done?.into_iter().map(|t| (*flow, *slot, t)));
            }
        }
        laps[1] = began.elapsed().as_secs() - laps[0];
        for flow in Flow::ALL.into_iter().filter(|f| options.flow.is_none_or(|wanted| wanted == *f)) {
            let product = Arc::new(Product::new(1, flow).context("making the product")?);
            let larger = Arc::new(Product::new(3, flow).context("making the product")?);
            let mutants: Vec<_> = Mutant::ALL.into_iter().filter(|m| m.flow() == flow).collect();
            let hunted =
                in_parallel(&mutants, |mutant| mutation::hunt(&product, &larger, *mutant, options.seed));
            catches.extend(hunted.into_iter().collect::<Result<Vec<_>>>()?);
        }
        laps[2] = began.elapsed().as_secs() - laps[0] - laps[1];
    }
    let least = LEAST * if options.quick { 1 } else { proofs.len() as u64 };
    let shrunk =
        options.scenario.is_none() && (states < least || !options.quick && least_by_delta < LEAST_BY_DELTA);
    let held = !shrunk
        && proofs.iter().flat_map(|(_, rows)| rows).all(Row::holds)
        && tallies.iter().all(|(_, _, t)| t.wrong.is_empty())
        && catches.iter().all(mutation::Catch::holds);
    if options.json {
        println!("{:#}", report::json(&proofs, &tallies, &catches, held));
        return Ok(held);
    }
    for (flow, rows) in &proofs {
        println!("boot flow {flow}\n{}", report::scenarios(rows));
    }
    if !tallies.is_empty() {
        println!("{}", report::broken_cards(&tallies));
    }
    if !catches.is_empty() {
        println!("{}", report::mutants(&catches));
    }
    let [crashes, cards, mutants] = laps;
    if shrunk {
        println!(
            "only {states} crash states were visited, or only {least_by_delta} with deltas in a flow: a proof that \
             shrinks unnoticed proves nothing"
        );
    }
    println!("scenarios {crashes} s, failing cards {cards} s, mutants {mutants} s");
    let verdict = if held { "everything held" } else { "NOT everything held" };
    println!("{verdict}; seed {}, {} s", options.seed, began.elapsed().as_secs());
    Ok(held)
}

/// All scenarios that are wanted, from both slots; one row for each.
fn scenarios(product: &Arc<Product>, flow: Flow, options: &Options) -> Result<Vec<Row>> {
    let scenarios: Vec<_> = scenario::ALL.into_iter().filter(|s| options.wants(s, flow)).collect();
    if scenarios.is_empty() {
        let names: Vec<_> = scenario::ALL.iter().map(|s| s.name).collect();
        bail!("there is no such scenario; there are: {}", names.join(", "));
    }
    let extent = options.extent(flow);
    let jobs: Vec<_> =
        scenarios.iter().flat_map(|s| options.slots(flow).iter().map(|slot| (*s, *slot))).collect();
    let done = in_parallel(&jobs, |(scenario, slot)| {
        let bench = Bench { product: Arc::clone(product), scenario: *scenario, mutant: None };
        Run::new(&bench, *slot)?.explore(&extent)
    });
    let mut rows: Vec<Row> = Vec::new();
    for row in done {
        let row = row?;
        match rows.last_mut().filter(|last| last.name == row.name) {
            Some(last) => last.add(&row),
            None => rows.push(row),
        }
    }
    Ok(rows)
}

/// Do all jobs, the last ones first, for they are the longest; results come in the jobs' order. One thread more than
/// there are cores, as an installation waits for its own threads now and then.
fn in_parallel<J: Sync, T: Send>(jobs: &[J], work: impl Fn(&J) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from) + 1;
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(n) = jobs.len().checked_sub(next.fetch_add(1, Ordering::SeqCst) + 1) {
                    let Some(job) = jobs.get(n) else { break };
                    let result = work(job);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((n, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, result)| result).collect()
}
