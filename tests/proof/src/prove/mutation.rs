//! Hunts the mutants: each must be caught, or do no harm for a reason that was given.
use super::{
    broken_card,
    crash_state::Depth,
    explore::{Extent, Run},
    mutant::{Fate, Mutant},
    oracle::Bench,
    product::Product,
    scenario::{self, Scenario},
};
use anyhow::Result;
use bistable_boot::Slot;
use std::sync::Arc;

/// What came of one mutant.
#[derive(Clone, Debug)]
pub struct Catch {
    /// The mutant.
    pub mutant: Mutant,
    /// What gave it away first, in words.
    pub by: Option<String>,
}

impl Catch {
    /// Whether it came as it must.
    pub fn holds(&self) -> bool {
        matches!(self.mutant.fate(), Fate::Harmless(_)) == self.by.is_none()
    }
}

/// Scenarios in which mutants show, the quick ones first.
const GROUNDS: [&str; 8] = [
    "killed in a save",
    "unwired jig",
    "sick release",
    "dead release",
    "good release",
    "operator's revert",
    "second update",
    "newer agent",
];

/// Those in which mutants of deltas show.
const DELTA_GROUNDS: [&str; 1] = [broken_card::BY_DELTA];

/// Those in which mutants of the event log show.
const LOG_GROUNDS: [&str; 2] = ["log", "log of a failure"];

/// Those in which mutants of the daemon show.
const DAEMON_GROUNDS: [&str; 1] = ["only reported"];

/// Hunt one mutant. `larger` is a product with some chunks, for the cards that fail.
///
/// # Errors
/// When a scenario can't begin.
pub fn hunt(product: &Arc<Product>, larger: &Arc<Product>, mutant: Mutant, seed: u64) -> Result<Catch> {
    let extent = |first| Extent { first, pairs: None, most_pairs: 0, first_only: true };
    // First a glance at each, then a closer look.
    for depth in [Depth::coarse(seed), Depth::medium(seed)] {
        for scenario in grounds(mutant) {
            for slot in Slot::ALL {
                let bench = Bench { product: Arc::clone(product), scenario, mutant: Some(mutant) };
                let row = Run::new(&bench, slot)?.explore(&extent(depth))?;
                if !row.holds() {
                    let how = row.examples.into_iter().next().unwrap_or_default();
                    return Ok(Catch { mutant, by: Some(format!("{}, slot {slot}: {how}", scenario.name)) });
                }
            }
        }
    }
    if mutant.fate() != Fate::CaughtByTrouble {
        return Ok(Catch { mutant, by: None });
    }
    let of = if mutant.is_of_deltas() { broken_card::BY_DELTA } else { broken_card::FULL };
    for slot in Slot::ALL {
        for tally in broken_card::run(larger, of, slot, Some(mutant), 8, seed)? {
            if let Some(how) = tally.wrong.into_iter().next() {
                return Ok(Catch { mutant, by: Some(format!("{}, slot {slot}: {how}", tally.name)) });
            }
        }
    }
    Ok(Catch { mutant, by: None })
}

fn grounds(mutant: Mutant) -> impl Iterator<Item = Scenario> {
    let names = match mutant {
        mutant if mutant.is_of_deltas() => &DELTA_GROUNDS[..],
        mutant if mutant.is_of_events() => &LOG_GROUNDS,
        mutant if mutant.is_of_daemon() => &DAEMON_GROUNDS,
        _ => &GROUNDS,
    };
    names.iter().filter_map(|name| scenario::ALL.into_iter().find(|s| s.name == *name))
}
