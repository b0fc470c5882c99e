//! The proof in small: some scenarios with a few fates, the right ways to fail, and every mutant caught. `cargo prove`
//! runs all of it with all fates.
#![allow(clippy::unwrap_used)]
use bistable::config::Mode;
use bistable_boot::{Flow, Slot};
use bistable_proof::prove::{
    broken_card,
    crash_state::Depth,
    explore::{Extent, Row, Run},
    mutant::{Fate, Mutant},
    mutation::hunt,
    oracle::{Bench, Wrong},
    product::Product,
    scenario::{self, Scenario},
};
use std::sync::{Arc, OnceLock};

fn product(flow: Flow) -> &'static Arc<Product> {
    static PRODUCTS: [OnceLock<Arc<Product>>; 2] = [const { OnceLock::new() }; 2];
    PRODUCTS[usize::from(flow == Flow::Uboot)].get_or_init(|| Arc::new(Product::new(1, flow).unwrap()))
}

fn bench(scenario: Scenario, flow: Flow) -> Bench {
    Bench { product: Arc::clone(product(flow)), scenario, mutant: None }
}

fn explore(scenario: Scenario, flow: Flow, slot: Slot, first: Depth) -> Row {
    let extent = Extent { first, pairs: None, most_pairs: 0, first_only: false };
    Run::new(&bench(scenario, flow), slot).unwrap().explore(&extent).unwrap()
}

/// Crash states that a scenario has at least, at a glance.
fn least(scenario: &Scenario) -> u64 {
    match scenario.mode {
        _ if scenario.goals.is_empty() => 1,
        // Nothing but events is written.
        Mode::Check if scenario.ends == "1.1.0" && scenario.rejected.is_empty() => 20,
        _ => 40,
    }
}

fn every_scenario_survives(slot: Slot) {
    for (flow, scenario) in Flow::ALL.into_iter().flat_map(|f| scenario::ALL.map(|s| (f, s))) {
        let row = explore(scenario, flow, slot, Depth::coarse(7));
        assert!(row.holds(), "{}, {flow:?}, slot {slot}: {:#?}", scenario.name, row.examples);
        let least = least(&scenario);
        assert!(row.single >= least, "{}: {} states", scenario.name, row.single);
    }
}

#[test]
fn every_scenario_survives_a_power_cut_at_every_write_in_slot_a() {
    every_scenario_survives(Slot::A);
}

#[test]
fn every_scenario_survives_a_power_cut_at_every_write_in_slot_b() {
    every_scenario_survives(Slot::B);
}

#[test]
fn pairs_of_power_cuts_are_survived() {
    let good = scenario::ALL.into_iter().find(|s| s.name == "good release").unwrap();
    let depth = Depth::coarse(7);
    let extent = Extent { first: depth, pairs: Some(depth), most_pairs: u64::MAX, first_only: false };
    let row = Run::new(&bench(good, Flow::Tryboot), Slot::A).unwrap().explore(&extent).unwrap();
    assert!(row.holds() && row.pairs > 1000, "{row:#?}");
}

/// The one residual risk that one power cut is enough for: it takes the tables of the boot flag's own volume along. The
/// device runs on, and says what is wrong.
#[test]
fn only_a_lost_flag_volume_needs_hands() {
    let good = scenario::ALL.into_iter().find(|s| s.name == "good release").unwrap();
    let depth = Depth { every_byte: false, ends: 1, neighbors: 1, ..Depth::full(7) };
    let row = explore(good, Flow::Tryboot, Slot::A, depth);
    assert!(row.count(Wrong::NeedsHands) > 0);
    assert!(row.examples.iter().all(|e| e.contains("Neighbor") || e.contains("Page")), "{:#?}", row.examples);
}

#[test]
fn a_card_that_fails_is_noticed_and_survived() {
    for (flow, slot) in Flow::ALL.into_iter().flat_map(|f| Slot::ALL.map(|s| (f, s))) {
        let larger = Arc::new(Product::new(3, flow).unwrap());
        for (scenario, silent) in broken_card::SCENARIOS.into_iter().zip([20, 5]) {
            for tally in broken_card::run(&larger, scenario, slot, None, silent, 7).unwrap() {
                let what = format!("{}, {scenario}, {flow:?}, slot {slot}", tally.name);
                assert!(tally.wrong.is_empty(), "{what}: {:#?}", tally.wrong);
                if tally.name.starts_with("slot data") {
                    assert_eq!(tally.noticed, tally.cases, "{what}");
                }
            }
        }
    }
}

/// The event log after each power cut: nothing that was promised is lost, no number is used twice, and it agrees with the journal.
#[test]
fn the_event_log_survives_a_power_cut_at_every_write() {
    for (flow, slot) in [(Flow::Tryboot, Slot::A), (Flow::Uboot, Slot::B)] {
        for scenario in scenario::ALL.into_iter().filter(|s| s.logs) {
            let row = explore(scenario, flow, slot, Depth::coarse(7));
            assert!(row.holds(), "{}, {flow:?}, slot {slot}: {:#?}", scenario.name, row.examples);
            assert!(row.single >= least(&scenario), "{}: {} states", scenario.name, row.single);
        }
    }
}

/// Which part of the protocol a mutant is wrong in.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Update,
    Deltas,
    Events,
}

fn part(mutant: Mutant) -> Part {
    match mutant {
        mutant if mutant.is_of_deltas() => Part::Deltas,
        mutant if mutant.is_of_events() => Part::Events,
        _ => Part::Update,
    }
}

/// How many mutants were caught, and how many are harmless.
fn hunted(of: Part) -> [usize; 2] {
    let larger = Flow::ALL.map(|flow| Arc::new(Product::new(3, flow).unwrap()));
    let (mut caught, mut harmless) = (0, 0);
    for mutant in Mutant::ALL.into_iter().filter(|mutant| part(*mutant) == of) {
        // That one does no harm takes a close look at everything: `cargo prove` takes it.
        if let Fate::Harmless(why) = mutant.fate() {
            assert!(!why.is_empty());
            harmless += 1;
            continue;
        }
        let larger = &larger[usize::from(mutant.flow() == Flow::Uboot)];
        let catch = hunt(product(mutant.flow()), larger, mutant, 7).unwrap();
        assert!(catch.holds(), "{mutant:?} was not caught");
        println!("{mutant:?}: {}", catch.by.unwrap_or_default());
        caught += 1;
    }
    [caught, harmless]
}

#[test]
fn every_mutant_is_caught_or_harmless_for_a_reason() {
    let [caught, harmless] = hunted(Part::Update);
    assert!(caught >= 12 && harmless <= 2);
}

#[test]
fn every_mutant_of_deltas_is_caught() {
    assert_eq!(hunted(Part::Deltas), [5, 0]);
}

#[test]
fn every_mutant_of_the_event_log_is_caught() {
    assert_eq!(hunted(Part::Events), [4, 0]);
}

#[test]
fn a_boot_that_tries_what_waits_for_the_owner_is_caught() {
    let larger = Arc::new(Product::new(3, Flow::Tryboot).unwrap());
    let catch = hunt(product(Flow::Tryboot), &larger, Mutant::PolicyIgnored, 7).unwrap();
    let by = catch.by.unwrap_or_default();
    assert!(by.contains("a boot tried what waits for the owner"), "{by}");
}
