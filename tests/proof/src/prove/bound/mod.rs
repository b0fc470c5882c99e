//! Power cuts around an image that brings two components along: at each operation, of the card, of the partition `persistent` and of the
//! service manager, one after the other; and mistakes that have to be found so.
//!
//! | file | noun |
//! |---|---|
//! | `world` | images and components, and which of them belong together |
//! | `desk` | a device and its owner |
//! | `board` | what the device is plugged into |
//! | `mutant` | mistakes |
mod board;
mod desk;
mod mutant;
mod world;

use super::{card::Op, recorder::CardRecorder};
use bistable::{
    Device, Error,
    agent::{Agent, BoundSource, is_reboot},
    board::memory::Loss,
    component::Archive,
    error::ComponentError,
    ports::ComponentStore,
    steps::install::Overrides,
};
use bistable_boot::layout::Partition;
use bistable_format::Bound;
use desk::{Desk, End, Goal};
use mutant::{MUTANTS, Mutant};
use semver::Version;
use world::{NAMES, World};

/// What happens to a device that runs 1.0.0, which versions it runs in the end, and what it rejects.
struct Scenario {
    name: &'static str,
    goals: &'static [Goal],
    ends: &'static str,
    rejects: &'static [&'static str],
}

const SCENARIOS: [Scenario; 4] = [
    Scenario { name: "good", goals: &[Goal::Offer("2.0.0")], ends: "2.0.0", rejects: &[] },
    Scenario { name: "one is sick", goals: &[Goal::Offer("3.0.0")], ends: "1.0.0", rejects: &["3.0.0"] },
    Scenario {
        name: "taken back",
        goals: &[Goal::Offer("2.0.0"), Goal::Return("1.0.0")],
        ends: "1.0.0",
        rejects: &["2.0.0"],
    },
    Scenario {
        name: "second right after",
        goals: &[Goal::Offer("2.0.0"), Goal::Offer("4.0.0")],
        ends: "4.0.0",
        rejects: &[],
    },
];

impl Scenario {
    /// Left alone, the device comes to rest where it should.
    fn ended(&self, desk: &mut Desk<'_>, end: &End) {
        desk.check(*end == End::Settled, &format!("{end:?}"));
        if *end != End::Settled {
            return;
        }
        let Ok((version, rejected, is_idle)) = desk.rests() else {
            desk.check(false, "it can't be read");
            return;
        };
        let rejected: Vec<String> = rejected.iter().map(ToString::to_string).collect();
        desk.check(is_idle, "it is not at rest");
        desk.check(version.to_string() == self.ends, &format!("it runs {version}"));
        desk.check(rejected == self.rejects, &format!("it rejects {rejected:?}"));
        desk.booted();
    }

    /// Cut it everywhere. Gives the crash states, and the first problem.
    fn explore(&self, start: &Desk<'_>, mutant: Option<Mutant>) -> (u64, Option<String>) {
        let mut whole = Desk { mutant, ..start.fork(None) };
        let end = whole.live(&mut self.goals.to_vec());
        let (accesses, operations) = (whole.card.accesses(), whole.supply.operations());
        self.ended(&mut whole, &end);
        if whole.problem.is_some() {
            return (0, whole.problem);
        }
        let cuts =
            (1..=accesses).map(|at| (Some(at), None)).chain((1..=operations).map(|at| (None, Some(at))));
        let mut states = 0;
        for (access, operation) in cuts {
            for loss in [Loss::All, Loss::Nothing] {
                let mut desk = Desk { mutant, ..start.fork(access) };
                if let Some(at) = operation {
                    desk.supply.cut_at(at, loss);
                }
                let mut goals = self.goals.to_vec();
                let mut end = desk.live(&mut goals);
                if end == End::Off {
                    desk.power_cycle(loss);
                    end = desk.live(&mut goals);
                }
                states += 1;
                self.ended(&mut desk, &end);
                if let Some(problem) = desk.problem {
                    return (states, Some(format!("cut at {access:?}/{operation:?}, {loss:?}: {problem}")));
                }
            }
        }
        (states, None)
    }
}

/// A device that runs 1.0.0 with the versions that it brings along.
fn start(world: &World) -> Desk<'_> {
    let mut desk = Desk::new(world);
    assert_eq!(desk.live(&mut vec![Goal::Offer("1.0.0")]), End::Settled);
    assert_eq!(desk.problem, None);
    assert!(desk.card.is_durable());
    desk
}

#[test]
fn a_cut_anywhere_leaves_image_and_components_of_one_release() {
    let world = World::new();
    let start = start(&world);
    let mut all = 0;
    for scenario in &SCENARIOS {
        let (states, problem) = scenario.explore(&start, None);
        println!("{}: {states} crash states", scenario.name);
        assert_eq!(problem, None, "{}", scenario.name);
        all += states;
    }
    assert!(all > 500, "{all}");
}

#[test]
fn every_mistake_is_found() {
    let world = World::new();
    let start = start(&world);
    for mutant in MUTANTS {
        let found = SCENARIOS.iter().find_map(|scenario| {
            scenario.explore(&start, Some(mutant)).1.map(|problem| format!("{}: {problem}", scenario.name))
        });
        println!("{mutant:?}: {found:?}");
        assert!(found.is_some(), "{mutant:?} goes unseen");
    }
}

/// The writes of an update from its trial on, by partition and place.
fn writes_from_the_trial(start: &Desk<'_>, version: &'static str) -> Vec<(Partition, u64)> {
    let mut desk = start.fork(None);
    let mut goals = vec![Goal::Offer(version)];
    desk.started().unwrap();
    let ended = desk.agent(&mut goals);
    assert!(is_reboot(&ended.unwrap_err()), "into the trial");
    desk.card.take_log();
    desk.down.set(false);
    let content = |desk: &Desk<'_>| {
        let parts = desk.world.parts.iter();
        let stored =
            parts.map(|part| desk.store.stored(part.release.component.as_deref().unwrap(), &part.folder()));
        let mut store = desk.store.clone();
        (stored.collect::<Vec<_>>(), NAMES.map(|name| store.current(name).unwrap()))
    };
    let before = content(&desk);
    desk.store.lose(Loss::Nothing);
    desk.services.lose();
    assert_eq!(desk.live(&mut goals), End::Settled);
    assert_eq!(desk.rests().unwrap().0, Version::new(1, 0, 0));
    assert!(content(&desk) == before, "nothing of the partition `persistent` changes for it");
    let write = |op: Op| match op {
        Op::Write { partition, at, .. } => Some((partition, at)),
        _ => None,
    };
    desk.card.take_log().into_iter().filter_map(write).collect()
}

#[test]
fn trial_and_way_back_write_what_those_of_an_image_alone_do() {
    let world = World::new();
    let start = start(&world);
    let (bound, alone) = (writes_from_the_trial(&start, "3.0.0"), writes_from_the_trial(&start, "5.0.0"));
    assert_eq!(bound, alone);
    assert!(bound.len() > 1, "{bound:?}");
    assert!(
        bound.iter().all(|(partition, _)| *partition != Partition::Bootconfig),
        "not the boot flag: {bound:?}"
    );
}

/// A source that brings another release than the image names: nothing begins.
#[test]
fn release_that_the_image_does_not_name_is_refused_before_anything_is_written() {
    struct Other<'a>(&'a World);
    impl BoundSource for Other<'_> {
        fn open(&mut self, _: &mut Device, bound: &Bound) -> Result<Option<Box<dyn Archive>>, Error> {
            let other = self.0.parts.iter().find(|part| part.is(&bound.component, "9.0.0"));
            Ok(other.map(|other| Box::new(other.clone()) as Box<dyn Archive>))
        }
    }
    let world = World::new();
    let mut desk = start(&world).fork(None);
    desk.started().unwrap();
    let before = desk.card.accesses();
    let mut recorder = CardRecorder { card: desk.card.clone(), good: true };
    let mut agent = Agent::attach(desk.device().unwrap(), &mut recorder);
    let offer = world.image(&Version::new(2, 0, 0));
    let e = agent
        .install_or_fetch(&mut &offer.bundle[..], None, &mut Other(&world), Overrides::NONE)
        .unwrap_err();
    assert!(matches!(&e, Error::Component(e) if matches!(**e, ComponentError::NotBrought { .. })), "{e}");
    assert_eq!(desk.card.accesses(), before);
}
