//! Every power cut and every kill, and every further one while the device recovers.
use super::{
    desk::{CORE, Desk, Kind, Made, PROJECT},
    mutant::Mutant,
};
use crate::board::memory::{Behavior, Loss};
use bistable_boot::{
    MAX_ATTEMPTS, Reason,
    component::{Component, Lifecycle, State},
};
use std::{
    collections::{HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

/// What ends a process.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The power goes. What comes up is another boot.
    Power,
    /// A signal that nothing can catch. Everything else runs on.
    Killed,
}

/// An update, cut everywhere.
struct Exploration<'a> {
    /// The versions there are: the last one is the one that is offered.
    versions: &'a [&'a Made],
    /// Whether it is good.
    is_good: bool,
    seen: HashSet<(u32, u64)>,
    states: u64,
    problem: Option<String>,
}

impl Exploration<'_> {
    fn offered(&self) -> &Made {
        self.versions[self.versions.len() - 1]
    }

    /// Cut what the device does from there at each operation, up to this many cuts one after the other.
    fn explore(&mut self, desk: &Desk, cuts: u32, before: u32) {
        let mut whole = desk.fork();
        let _ = whole.proceed(self.offered());
        let operations = whole.supply.operations();
        self.settled(&mut whole, before);
        for at in 1..=operations {
            for (end, loss) in [
                (End::Power, Loss::All),
                (End::Power, Loss::Nothing),
                (End::Killed, Loss::All),
                (End::Killed, Loss::Nothing),
            ] {
                if self.problem.is_some() {
                    return;
                }
                let mut cut = desk.fork();
                cut.supply.cut_at(at, loss);
                let _ = cut.proceed(self.offered());
                self.named(&cut);
                match end {
                    End::Power => {
                        cut.power_cycle(loss);
                        self.booted(&cut);
                    }
                    End::Killed => cut.supply.restore(),
                }
                self.states += 1;
                self.nothing_lost(desk, &cut);
                let mut whole = cut.fork();
                let _ = whole.proceed(self.offered());
                self.settled(&mut whole, before + 1);
                if cuts > 1 && self.seen.insert((cuts, hash(&cut))) {
                    self.explore(&cut, cuts - 1, before + 1);
                }
            }
        }
    }

    fn check(&mut self, holds: bool, desk: &Desk, what: &str) {
        if !holds && self.problem.is_none() {
            self.problem = Some(format!("{what}: {:?}, runs {:?}", desk.component(), desk.running()));
        }
    }

    /// Whatever happens to the record: the durable name leads to a version that was committed, or is being committed or gone back to.
    fn named(&mut self, desk: &Desk) {
        let component = desk.component();
        let versions = component.current.iter().chain(component.leads_to());
        let versions: Vec<_> = versions.map(|held| held.release.to_string()).collect();
        let named = desk.durable_name();
        self.check(
            named.is_none_or(|name| versions.contains(&name)),
            desk,
            "a trial changed the durable name (I14)",
        );
    }

    /// Right after a boot: what runs is what the state says, whole, and no version on trial.
    fn booted(&mut self, desk: &Desk) {
        let component = desk.component();
        self.check(
            desk.early.iter().all(|early| desk.may_start_itself(early)),
            desk,
            "the engine started a version that is not committed",
        );
        self.check(
            desk.running() == desk.wanted(),
            desk,
            "the boot runs another version than the state says",
        );
        let is_on_trial = |held: &bistable_boot::component::Held| matches!(&component.state, State::Installing(t) | State::Staged(t) | State::Armed { target: t, .. } if t == held);
        let runs_trial = component.leads_to().is_some_and(is_on_trial)
            && component.current != component.leads_to().cloned();
        self.check(!runs_trial, desk, "a version that is not committed runs after a boot");
        self.is_whole(desk);
    }

    /// What runs is one version, with all of its bytes.
    fn is_whole(&mut self, desk: &Desk) {
        let Some(running) = desk.running().filter(|running| running != "factory") else { return };
        let wanted = self.versions.iter().find(|made| made.name() == running);
        self.check(
            wanted.is_some_and(|made| desk.is_whole(made)),
            desk,
            "a version runs that is mixed or empty",
        );
    }

    /// A commit that returned survives, and floors don't fall.
    fn nothing_lost(&mut self, before: &Desk, after: &Desk) {
        let (before, now) = (before.component(), after.component());
        self.check(now.security_floor >= before.security_floor, after, "the floor fell (I9)");
        if let Some(current) = &now.current {
            let stored = after.store.stored(CORE, &current.release.to_string());
            self.check(stored.is_some_and(|s| s.is_complete), after, "the current version is gone");
        }
    }

    /// Left alone, the device comes to rest where it should.
    fn settled(&mut self, desk: &mut Desk, cuts: u32) {
        for _ in 0..4 {
            if matches!(desk.component().state, State::Idle | State::Failed(_)) {
                break;
            }
            let _ = desk.proceed(self.offered());
        }
        let component = desk.component();
        let offered = self.offered().held();
        let is_at_rest = matches!(component.state, State::Idle | State::Failed(_));
        self.check(is_at_rest, desk, "the update does not end");
        let leads_to = component.leads_to().map(|held| held.release.to_string());
        self.check(desk.durable_name() == leads_to, desk, "the durable name leads elsewhere");
        let policies = desk.engine.policies(PROJECT, CORE);
        self.check(
            desk.kind() == Kind::Directory || policies == ["always"],
            desk,
            "the engine would not start it by itself",
        );
        self.check(desk.running() == desk.wanted(), desk, "another version runs than the current one");
        self.is_whole(desk);
        let may_be_used_up = cuts >= u32::from(MAX_ATTEMPTS);
        if self.is_good {
            let is_current = component.current.as_ref() == Some(&offered);
            let is_used_up = component
                .rejection(&offered.release)
                .is_some_and(|r| r.failure.reason == Reason::OutOfAttempts);
            self.check(is_current || may_be_used_up && is_used_up, desk, "a good version was not committed");
            if is_current {
                self.check(
                    desk.behavior() == Some(Behavior::Good),
                    desk,
                    "the committed version does not run well",
                );
            }
        } else {
            self.check(component.current.as_ref() != Some(&offered), desk, "a bad version was committed");
            let is_rejected = component.rejection(&offered.release).is_some();
            self.check(is_rejected, desk, "a bad version was not rejected");
            let is_one_too_many = desk.max_rollbacks == 1 && component.current.is_some();
            self.check(
                component.is_halted() == is_one_too_many,
                desk,
                "the limit of rollbacks does not hold",
            );
            if component.current.is_none() {
                self.check(
                    Lifecycle::from(&component) == Lifecycle::Failed,
                    desk,
                    "no version, and not failed",
                );
            }
        }
    }
}

fn hash(desk: &Desk) -> u64 {
    let mut hasher = DefaultHasher::new();
    let component: Component = desk.component();
    format!("{component:?}").hash(&mut hasher);
    format!("{:?}", desk.store).hash(&mut hasher);
    format!("{:?}", desk.engine).hash(&mut hasher);
    desk.running().hash(&mut hasher);
    hasher.finish()
}

/// Scenario: what is there, what is offered, and whether that is good.
fn scenarios(kind: Kind) -> Vec<(&'static str, Vec<Made>, bool)> {
    let made = |versions: &[&str], last: &str| -> Vec<Made> {
        let behavior = |at: usize| if at + 1 == versions.len() { last } else { "good" };
        versions.iter().enumerate().map(|(at, version)| kind.made(version, behavior(at))).collect()
    };
    let mut scenarios = vec![
        ("first version", made(&["1.0.0"], "good"), true),
        ("first version, sick", made(&["1.0.0"], "sick"), false),
        ("good", made(&["1.0.0", "1.1.0"], "good"), true),
        ("sick", made(&["1.0.0", "1.1.0"], "sick"), false),
        ("dead", made(&["1.0.0", "1.1.0"], "dead"), false),
        ("restarting", made(&["1.0.0", "1.1.0"], "restarting"), false),
        ("second", made(&["1.0.0", "1.1.0", "1.2.0"], "good"), true),
        ("fourth, sick", made(&["1.0.0", "1.1.0", "1.2.0", "1.3.0"], "sick"), false),
    ];
    if kind == Kind::Containers {
        scenarios.push(("unhealthy", made(&["1.0.0", "1.1.0"], "unhealthy"), false));
    }
    scenarios
}

fn explore(kind: Kind, mutant: Option<Mutant>, cuts: u32) -> (u64, Option<String>) {
    // An engine has many operations, so the last cut is left to the scenario that has all of them.
    let spared = |name: &str| u32::from(kind == Kind::Containers && name != "good" && cuts > 1);
    explore_with(kind, mutant, |name| cuts - spared(name))
}

/// With as many cuts in each scenario as is said for its name.
fn explore_with(kind: Kind, mutant: Option<Mutant>, cuts: impl Fn(&str) -> u32) -> (u64, Option<String>) {
    let mut states = 0;
    let scenarios = scenarios(kind).into_iter().map(|scenario| (scenario, 3));
    let limited =
        ("sick, and one too many", vec![kind.made("1.0.0", "good"), kind.made("1.1.0", "sick")], false);
    for ((name, versions, is_good), max_rollbacks) in scenarios.chain([(limited, 1)]) {
        let versions: Vec<&Made> = versions.iter().collect();
        let (_, installed) = versions.split_last().unwrap();
        let mut desk = Desk { max_rollbacks, ..Desk::with_kind(kind, None, installed) };
        desk.mutant = mutant;
        let mut exploration =
            Exploration { versions: &versions, is_good, seen: HashSet::new(), states: 0, problem: None };
        exploration.explore(&desk, cuts(name), 0);
        states += exploration.states;
        if let Some(problem) = exploration.problem {
            return (states, Some(format!("{name}: {problem}")));
        }
    }
    (states, None)
}

#[test]
fn two_cuts_anywhere_leave_whole_versions_and_the_right_end() {
    for (kind, least) in [(Kind::Directory, 10_000), (Kind::Containers, 5_000)] {
        let (states, problem) = explore(kind, None, 2);
        assert_eq!(problem, None);
        println!("{kind:?}: {states} crash states");
        assert!(states > least, "{states}");
    }
}

#[test]
#[ignore = "half a minute without optimization: CI runs it with the tests against other tools"]
fn five_cuts_anywhere_leave_whole_versions_and_the_right_end() {
    for (kind, cuts, least) in [(Kind::Directory, 5, 40_000), (Kind::Containers, 3, 40_000)] {
        let (states, problem) = explore(kind, None, cuts);
        assert_eq!(problem, None);
        println!("{kind:?}: {states} crash states");
        assert!(states > least, "{states}");
    }
}

#[test]
#[ignore = "takes long: .ci/long has it"]
fn toll_of_many_cuts_of_components() {
    let mut all = 0;
    for (kind, cuts) in [(Kind::Directory, 9), (Kind::Containers, 5)] {
        let (states, problem) = explore_with(kind, None, |_| cuts);
        assert_eq!(problem, None);
        println!("{kind:?}: {states} crash states");
        all += states;
    }
    assert!(all >= 500_000, "{all}");
}

#[test]
fn every_mistake_is_found() {
    for (kind, mutants) in [(Kind::Directory, Mutant::DIRECTORY), (Kind::Containers, Mutant::CONTAINERS)] {
        for mutant in mutants {
            let explored = |cuts| explore(kind, Some(*mutant), cuts).1.is_some();
            let found = explored(1) || trials_do_not_end(kind, *mutant) || explored(2);
            println!("{kind:?}: {mutant:?}");
            assert!(found, "{kind:?}: {mutant:?} goes unseen");
        }
    }
}

/// Each trial ends with a power cut: after three of them the version is given up (I11).
fn trials_do_not_end(kind: Kind, mutant: Mutant) -> bool {
    let (old, new) = (kind.made("1.0.0", "good"), kind.made("1.1.0", "good"));
    let mut desk = Desk::with_kind(kind, Some(mutant), &[&old]);
    cut_in_each_trial(&mut desk, &new, 8).is_none()
}

/// How many trials began before the version was given up.
fn cut_in_each_trial(desk: &mut Desk, new: &Made, most: u32) -> Option<u32> {
    for trial in 0..most {
        // The first operation after the new version was shown, or the end.
        for at in 1.. {
            let mut cut = desk.fork();
            cut.supply.cut_at(at, Loss::All);
            let _ = cut.proceed(new);
            if !cut.supply.is_off() {
                let component = cut.component();
                return component.rejection(&new.held().release).map(|_| trial);
            }
            if cut.running() == Some(new.name()) {
                cut.power_cycle(Loss::All);
                *desk = cut;
                break;
            }
        }
    }
    None
}

#[test]
fn a_version_whose_trials_all_lose_the_power_is_given_up_after_three() {
    for kind in [Kind::Directory, Kind::Containers] {
        let (old, new) = (kind.made("1.0.0", "good"), kind.made("1.1.0", "good"));
        let mut desk = Desk::with_kind(kind, None, &[&old]);
        assert_eq!(cut_in_each_trial(&mut desk, &new, 8), Some(u32::from(MAX_ATTEMPTS)));
    }
}

/// A cut while the boot brings the containers to where they have to be, and the next boot.
#[test]
fn a_cut_in_what_a_boot_does_about_containers_is_healed_by_the_next_boot() {
    let (old, new) = (Kind::Containers.made("1.0.0", "good"), Kind::Containers.made("1.1.0", "good"));
    let start = Desk::with_kind(Kind::Containers, None, &[&old]);
    let mut whole = start.fork();
    whole.proceed(&new).unwrap();
    let mut cuts = 0;
    for at in 1..=whole.supply.operations() {
        for loss in [Loss::All, Loss::Nothing] {
            let mut cut = start.fork();
            cut.supply.cut_at(at, loss);
            let _ = cut.proceed(&new);
            for again in 1.. {
                let mut booting = cut.fork();
                booting.engine.lose(loss);
                booting.engine.boot();
                booting.supply.cut_at(again, loss);
                if booting.converge().is_ok() && !booting.supply.is_off() {
                    break;
                }
                booting.power_cycle(loss);
                assert!(booting.early.iter().all(|early| booting.may_start_itself(early)));
                assert_eq!(booting.running(), booting.wanted(), "cut {at}, then {again}");
                cuts += 1;
            }
        }
    }
    assert!(cuts > 100, "{cuts}");
}
