//! Every crash state of a recorded story, booted in the simulator.
use super::story::Recording;
use crate::prove::{
    crash_state::{Depth, crashes},
    explore::before,
    oracle::{Bench, Verdict, Wrong},
    product::Product,
};
use semver::Version;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

/// What came of the crash states.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// All of them.
    pub states: u64,
    /// How many differ, and were booted.
    pub distinct: u64,
    /// How many had each thing wrong.
    pub wrong: BTreeMap<Wrong, u64>,
    /// The first of each kind, in words.
    pub examples: Vec<String>,
    /// Most boots until a device was at rest.
    pub boots: u32,
}

impl Tally {
    /// How many states had that wrong.
    pub fn count(&self, wrong: Wrong) -> u64 {
        self.wrong.get(&wrong).copied().unwrap_or(0)
    }

    /// Whether all is well. That a person has to mend a card is known, counted, and no failure.
    pub fn holds(&self) -> bool {
        self.wrong.keys().all(|w| *w == Wrong::NeedsHands)
    }

    fn add(&mut self, verdict: &Verdict, how: impl Fn() -> String) {
        self.boots = self.boots.max(verdict.boots);
        for kind in verdict.wrong.iter().map(|(w, _)| *w).collect::<BTreeSet<_>>() {
            let n = self.wrong.entry(kind).or_default();
            *n += 1;
            if *n == 1 {
                let why: Vec<_> = verdict.wrong.iter().map(|(w, why)| format!("{w:?}: {why}")).collect();
                self.examples.push(format!("{}: {}", how(), why.join("; ")));
            }
        }
    }
}

/// Boot and judge each state that a power cut could have left, and the end. `first` is the version that the card came
/// with. Nothing for a story that is no scenario.
pub fn explore(recording: &Recording, product: &Arc<Product>, first: &Version, seed: u64) -> Option<Tally> {
    let bench = Bench { product: Arc::clone(product), scenario: recording.scenario?, mutant: None };
    let mut tally = Tally::default();
    tally.add(&bench.judge_end(&recording.end, &recording.life, &[]), || "without a power cut".into());
    let mut seen = HashSet::new();
    let log = &recording.ops;
    crashes(&product.old_card, log, &Depth::full(seed), &mut |crash| {
        tally.states += 1;
        let before = before(log, &crash, first, std::sync::Arc::default());
        if seen.insert((crash.image.key(), before.clone())) {
            tally.distinct += 1;
            tally.add(&bench.judge(&crash.image, &before), || crash.to_string());
        }
    });
    Some(tally)
}
