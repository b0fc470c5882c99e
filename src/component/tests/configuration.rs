//! What an operator sets of a component: it belongs to a version, is tried with it, and goes back with it.
use super::{
    desk::{CORE, Desk, Made, UNIT, component_error, files, made, made_of},
    mutant::Mutant,
};
use crate::{
    Error,
    board::memory::{Behavior, Loss},
    component::{Change, ComponentError, ComponentStep as Step, driver::name_of},
    error::Exit,
    ports::ComponentStore as _,
};
use bistable_boot::component::State;
use bistable_format::{
    configuration::{ENVIRONMENT, FILE, SETTINGS, ValueError},
    release::DataPolicy,
};

/// A version of which these can be set.
fn configurable(version: &str, behavior: &str, more: &str) -> Made {
    let text = format!("[environment.MODE]\ndefault = \"quiet\"\n{more}");
    made_of(version, files(version, behavior), |release| release.set_configuration(&text))
}

fn set(name: &str, value: &str) -> Change {
    Change { set: [(name.into(), value.into())].into(), ..Change::default() }
}

fn later(name: &str, value: &str) -> Change {
    Change { later: true, ..set(name, value) }
}

impl Desk {
    fn configure(&mut self, change: &Change) -> Result<(), Error> {
        self.act(|updater| updater.configure(change))
    }

    /// The environment that the service was started with, if it is the one that its name stands for.
    fn environment(&self) -> String {
        let running = self.services.running(UNIT).unwrap_or_default();
        let stored = self.store.stored(CORE, &running).filter(|stored| stored.is_complete);
        let file = stored.and_then(|stored| stored.files.get(ENVIRONMENT).cloned()).unwrap_or_default();
        String::from_utf8(file).unwrap()
    }
}

#[test]
fn a_version_starts_with_its_defaults_and_with_what_is_set_for_it() {
    let first = configurable("1.0.0", "good", "");
    let mut desk = Desk::with(None, &[&first]);
    assert_eq!(desk.environment(), "MODE=\"quiet\"\n");
    desk.configure(&set("MODE", "lo$ud\n")).unwrap();
    assert_eq!(desk.environment(), "MODE=\"lo\\$ud\"\n");
    assert_eq!(
        desk.steps,
        [
            Step::Configure,
            Step::SelfTest,
            Step::Stop,
            Step::Switch,
            Step::Start,
            Step::Health,
            Step::Commit,
            Step::CleanUp
        ]
    );
    assert_eq!(desk.store.clone().versions(CORE).unwrap().len(), 2, "the configuration before is removed");
    let e = desk.configure(&set("MODE", "lo$ud")).unwrap_err();
    assert_eq!(e.exit(), Exit::NothingToDo, "{e}");
    desk.configure(&Change { unset: vec!["MODE".into()], ..Change::default() }).unwrap();
    assert_eq!(desk.environment(), "MODE=\"quiet\"\n");
}

#[test]
fn values_are_carried_to_the_next_version_and_go_back_with_the_one_before() {
    let (old, new) =
        (configurable("1.0.0", "good", ""), configurable("1.1.0", "good", "[environment.NEW]\n"));
    let mut desk = Desk::with(None, &[&old]);
    desk.configure(&set("MODE", "loud")).unwrap();
    let before = name_of(&desk.component().current.unwrap());
    desk.configure(&later("NEW", "yes")).unwrap();
    assert_eq!(desk.running(), Some(before.clone()), "nothing changes before the next version");
    desk.update(&new).unwrap();
    assert_eq!(desk.environment(), "MODE=\"loud\"\nNEW=\"yes\"\n");
    desk.configure(&set("NEW", "no")).unwrap();
    let kept = desk.component().kept[0].clone();
    desk.act(|updater| updater.return_to(&kept)).unwrap();
    assert_eq!((desk.running(), desk.environment()), (Some(before), "MODE=\"loud\"\n".into()));
}

#[test]
fn what_a_version_needs_is_asked_for_before_anything_is_fetched() {
    let old = made("1.0.0", "good");
    let new = configurable("1.1.0", "good", "[environment.TOKEN]\nrequired = true\nsecret = true\n");
    let mut desk = Desk::with(None, &[&old]);
    let e = desk.update(&new).unwrap_err();
    assert_eq!(e.exit(), Exit::Incompatible);
    assert!(e.to_string().ends_with("`bistable component config core --later --from TOKEN=FILE`"), "{e}");
    let ComponentError::Configuration { problems, is_update: true, .. } = component_error(e) else {
        panic!()
    };
    assert_eq!(problems, [ValueError::Missing { name: "TOKEN".into(), secret: true }]);
    assert_eq!(desk.component().state, State::Idle);
    assert_eq!(desk.steps, [Step::Preflight]);
    desk.configure(&later("TOKEN", "hush")).unwrap();
    desk.update(&new).unwrap();
    assert!(desk.environment().contains("TOKEN=\"hush\""));
}

#[test]
fn what_a_version_does_not_take_is_refused_without_the_value() {
    let text = "[environment.N]\ntype = \"integer\"\nmin = 1\nmax = 4\ndefault = \"2\"\n";
    let mut desk = Desk::with(None, &[&configurable("1.0.0", "good", text)]);
    for (name, value, says) in [
        ("N", "5", "N: the value has to be a whole number from 1 to 4; set it with"),
        ("N", "x1x", "a whole number"),
        ("MODE", "a\nhush", "one line of printable text"),
        ("OTHER", "hush", "OTHER is not a setting of this version, which has MODE, N; `--later` keeps"),
    ] {
        let e = desk.configure(&set(name, value)).unwrap_err();
        assert_eq!(e.exit(), Exit::Usage);
        assert!(e.to_string().contains(says) && !e.to_string().contains("hush"), "{e}");
    }
    let mut bare = Desk::with(None, &[&made("1.0.0", "good")]);
    let e = bare.configure(&set("MODE", "loud")).unwrap_err();
    assert!(e.to_string().contains("1.0.0 declares nothing that can be set"), "{e}");
    let e = Desk::empty(None).configure(&set("MODE", "loud")).unwrap_err();
    assert!(e.to_string().contains("has no version yet"), "{e}");
    desk.act(|updater| updater.set_stopped(true)).unwrap();
    let e = desk.configure(&set("MODE", "loud")).unwrap_err();
    assert!(e.to_string().contains("another configuration") && e.to_string().contains("stopped"), "{e}");
}

#[test]
fn what_is_kept_for_later_goes_when_another_value_is_proven() {
    let version = configurable("1.0.0", "good", "");
    let mut desk = Desk::with(None, &[&version]);
    let kept = |desk: &mut Desk| crate::component::later(&mut desk.store, CORE).unwrap();
    desk.configure(&later("MODE", "loud")).unwrap();
    desk.configure(&set("MODE", "sick")).unwrap_err();
    assert_eq!(kept(&mut desk)["MODE"], "loud", "what was sick replaces nothing");
    desk.configure(&set("MODE", "silent")).unwrap();
    assert!(kept(&mut desk).is_empty());
}

#[test]
fn what_could_not_be_read_back_is_refused() {
    let text: String = (0..SETTINGS - 1).map(|n| format!("[file.f{n}]\n")).collect();
    let mut desk = Desk::with(None, &[&configurable("1.0.0", "good", &text)]);
    // Each control character takes six bytes where it is stored.
    let values = || (0..SETTINGS - 1).map(|n| (format!("f{n}"), "\u{1}".repeat(FILE))).collect();
    for later in [false, true] {
        let change = Change { set: values(), later, ..Change::default() };
        let e = desk.configure(&change).unwrap_err();
        assert!(e.to_string().contains("all values together may have 1048576 bytes"), "{e}");
    }
    assert_eq!(desk.component().state, State::Idle);
    desk.configure(&set("MODE", "loud")).unwrap();
}

#[test]
fn a_version_that_could_not_be_taken_back_is_refused_before_anything_begins() {
    let migrates = |version: &str| {
        made_of(version, files(version, "good"), |release| release.data = DataPolicy::Migrates)
    };
    // A first version has nothing to go back to.
    let mut desk = Desk::with(None, &[&migrates("1.0.0")]);
    let e = desk.update(&migrates("1.1.0")).unwrap_err();
    assert_eq!(e.exit(), Exit::Incompatible);
    assert!(e.to_string().contains("1.1.0 migrates its data"), "{e}");
    assert_eq!((desk.component().state, desk.running()), (State::Idle, Some(migrates("1.0.0").name())));
}

#[test]
fn values_that_make_a_service_sick_are_taken_back_and_say_nothing_against_its_version() {
    let version = configurable("1.0.0", "good", "");
    let mut desk = Desk::with(None, &[&version]);
    let before = desk.running();
    let e = desk.configure(&set("MODE", "sick")).unwrap_err();
    assert_eq!(e.exit(), Exit::Health, "{e}");
    assert_eq!((desk.running(), desk.environment()), (before, "MODE=\"quiet\"\n".into()));
    assert_eq!(desk.component().rejected, []);
    assert_eq!(desk.store.clone().versions(CORE).unwrap().len(), 2, "what nothing needs is removed");
}

/// What is done to the device.
#[derive(Clone)]
enum Act {
    Set(&'static str),
    Update(Box<Made>),
}

/// Cut what the device does at each operation, and what it does after that once more.
fn explore(mutant: Option<Mutant>, act: &Act, is_good: bool, cuts: u32) -> Result<u64, String> {
    let old = configurable("1.0.0", "good", "");
    let mut desk = Desk::with(None, &[&old]);
    desk.configure(&set("MODE", "loud")).unwrap();
    desk.mutant = mutant;
    let mut states = 0;
    cut(&desk, act, is_good, cuts, &mut states)?;
    Ok(states)
}

fn cut(desk: &Desk, act: &Act, is_good: bool, cuts: u32, states: &mut u64) -> Result<(), String> {
    let mut whole = desk.fork();
    let _ = proceed(&mut whole, act);
    ended(&mut whole, act, is_good)?;
    if cuts == 0 {
        return Ok(());
    }
    for at in 1..=whole.supply.operations() {
        for loss in [Loss::All, Loss::Nothing] {
            for is_killed in [false, true] {
                let mut cut_here = desk.fork();
                cut_here.supply.cut_at(at, loss);
                let _ = proceed(&mut cut_here, act);
                if is_killed {
                    cut_here.supply.restore();
                } else {
                    cut_here.power_cycle(loss);
                    right(&cut_here)?;
                }
                *states += 1;
                cut(&cut_here, act, is_good, cuts - 1, states)?;
            }
        }
    }
    Ok(())
}

/// Continue, and ask for the same again if it was not done.
fn proceed(desk: &mut Desk, act: &Act) -> Result<(), Error> {
    match act {
        Act::Update(made) => desk.proceed_with(made),
        Act::Set(value) => {
            desk.act(|updater| updater.run())?;
            let is_at_rest = desk.component().state == State::Idle;
            let was_tried = desk.component().last.is_some_and(|last| !last.outcome.is_proven());
            match is_at_rest && !was_tried {
                true => desk.configure(&set("MODE", value)),
                false => Ok(()),
            }
        }
    }
}

impl Desk {
    fn proceed_with(&mut self, made: &Made) -> Result<(), Error> {
        self.act(|updater| updater.run())?;
        let component = self.component();
        let is_current = component.current.as_ref().is_some_and(|held| held.release == made.held().release);
        let is_open = matches!(component.state, State::Idle | State::Installing(_));
        match is_open && !is_current && component.rejection(&made.held().release).is_none() {
            true => self.update(made),
            false => Ok(()),
        }
    }
}

/// What runs is what the state says, with the environment that goes with it.
fn right(desk: &Desk) -> Result<(), String> {
    if desk.running() != desk.wanted() {
        return Err(format!("{:?} runs instead of {:?}", desk.running(), desk.wanted()));
    }
    let version = desk.component().leads_to().map(|held| held.version.to_string());
    let environment = desk.environment();
    let is_right = match version.as_deref() {
        Some("1.0.0") => environment == "MODE=\"loud\"\n" || environment == "MODE=\"soft\"\n",
        _ => environment == "MODE=\"loud\"\nNEW=\"yes\"\n",
    };
    if is_right { Ok(()) } else { Err(format!("{version:?} runs with {environment:?}")) }
}

fn ended(desk: &mut Desk, act: &Act, is_good: bool) -> Result<(), String> {
    for _ in 0..4 {
        let _ = proceed(desk, act);
    }
    let component = desk.component();
    if component.state != State::Idle {
        return Err(format!("it does not end: {:?}", component.state));
    }
    right(desk)?;
    if desk.behavior() != Some(Behavior::Good) {
        return Err("what is committed does not run well".into());
    }
    let is_new = match act {
        Act::Set(_) => desk.environment().contains("soft"),
        Act::Update(made) => {
            component.current.as_ref().is_some_and(|held| held.release == made.held().release)
        }
    };
    if is_new != is_good {
        return Err(format!("is new: {is_new}, {:?}", component.last));
    }
    let durable = desk.durable_name();
    if durable != desk.wanted() {
        return Err(format!("the durable name leads to {durable:?}"));
    }
    Ok(())
}

fn scenarios() -> Vec<(Act, bool)> {
    let new = |behavior| {
        let text = "[environment.NEW]\ndefault = \"yes\"\n";
        Act::Update(Box::new(configurable("1.1.0", behavior, text)))
    };
    vec![(Act::Set("soft"), true), (Act::Set("sick"), false), (new("good"), true), (new("sick"), false)]
}

#[test]
fn a_cut_anywhere_leaves_a_version_with_the_configuration_that_goes_with_it() {
    let mut states = 0;
    for (act, is_good) in scenarios() {
        // A whole update has many operations, so a second cut is left to those that change a value only.
        let cuts = if matches!(act, Act::Set(_)) { 2 } else { 1 };
        states += explore(None, &act, is_good, cuts).unwrap();
    }
    println!("{states} crash states");
    assert!(states > 2_000, "{states}");
}

#[test]
fn every_mistake_with_a_configuration_is_found() {
    for mutant in Mutant::CONFIGURATION {
        let found: Vec<String> = scenarios()
            .iter()
            .filter_map(|(act, is_good)| explore(Some(*mutant), act, *is_good, 1).err())
            .collect();
        println!("{mutant:?}: {:?}", found.first());
        assert!(!found.is_empty(), "{mutant:?} goes unseen");
    }
}
