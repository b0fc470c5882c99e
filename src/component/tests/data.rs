//! A version that migrates its data: they are saved before it starts, and brought back before an older one does.
use super::{
    desk::{CORE, Desk, Made, UNIT, component_error, files, made_of},
    mutant::Mutant,
};
use crate::{
    Error,
    board::memory::{Behavior, Loss},
    component::{ComponentError, ComponentStep as Step, Containers, Target},
    error::Exit,
    ports::ComponentStore as _,
};
use bistable_boot::component::State;
use bistable_format::release::DataPolicy;

/// A version whose data have this format.
fn keeping(version: &str, format: &str, behavior: &str, data: DataPolicy) -> Made {
    let mut files = files(version, behavior);
    files.insert("DATA".into(), format.into());
    made_of(version, files, |release| release.data = data)
}

fn first() -> Made {
    keeping("1.0.0", "1", "good", DataPolicy::Compatible)
}

fn second(behavior: &str) -> Made {
    keeping("1.1.0", "2", behavior, DataPolicy::Migrates)
}

/// 1.0.0 runs, with data of its format.
fn desk() -> Desk {
    let mut desk = Desk::empty(None);
    desk.subject.data_hook = Some("/usr/bin/data".into());
    desk.store.set_data(CORE, "1/rows").unwrap();
    desk.update(&first()).unwrap();
    desk.steps.clear();
    desk
}

#[test]
fn data_are_saved_before_a_version_changes_them_and_come_back_with_the_one_before() {
    let mut desk = desk();
    desk.update(&second("good")).unwrap();
    assert_eq!(desk.store.data(CORE), "2/rows");
    assert_eq!(desk.steps[4..8], [Step::Stop, Step::SaveData, Step::Switch, Step::Start]);
    desk.store.set_data(CORE, "2/more").unwrap();
    let kept = desk.component().kept[0].clone();
    desk.act(|updater| updater.return_to(&kept)).unwrap();
    assert_eq!((desk.store.data(CORE), desk.behavior()), ("1/rows".into(), Some(Behavior::Good)));
    // And forth again, to what the newer version left.
    let kept = desk.component().kept[0].clone();
    desk.act(|updater| updater.return_to(&kept)).unwrap();
    assert_eq!((desk.store.data(CORE), desk.behavior()), ("2/more".into(), Some(Behavior::Good)));
}

#[test]
fn a_version_that_is_sick_leaves_the_data_as_they_were() {
    for behavior in ["sick", "dead"] {
        let mut desk = desk();
        let e = desk.update(&second(behavior)).unwrap_err();
        assert_eq!(e.exit(), Exit::Health, "{e}");
        assert_eq!((desk.store.data(CORE), desk.behavior()), ("1/rows".into(), Some(Behavior::Good)));
        assert_eq!(desk.store.clone().versions(CORE).unwrap().len(), 1, "what nothing needs is removed");
    }
}

#[test]
fn what_can_not_be_undone_is_refused_before_anything_begins() {
    let mut desk = desk();
    desk.subject.data_hook = None;
    let e = desk.update(&second("good")).unwrap_err();
    assert_eq!(e.exit(), Exit::Incompatible);
    assert!(e.to_string().ends_with("set component.core.data_hook"), "{e}");
    assert_eq!((desk.component().state, desk.store.data(CORE)), (State::Idle, "1/rows".into()));
    // A first version has nothing to save.
    let mut new = Desk::empty(None);
    new.store.set_data(CORE, "1/rows").unwrap();
    new.update(&second("good")).unwrap();

    let mut desk = self::desk();
    desk.update(&second("good")).unwrap();
    let saved = format!("{}-data", second("good").name());
    desk.store.remove(CORE, &saved).unwrap();
    let kept = desk.component().kept[0].clone();
    let e = desk.act(|updater| updater.return_to(&kept)).unwrap_err();
    assert!(matches!(component_error(e), ComponentError::DataGone { .. }));
    assert_eq!(desk.services.running(UNIT), Some(second("good").name()));

    let containers = Target::Containers(Containers { project: "hub".into(), service: CORE.into() });
    let old = super::desk::made_image("1.0.0", "good");
    let mut desk = Desk::with_kind(super::desk::Kind::Containers, None, &[&old]);
    assert_eq!(desk.target, containers);
    let new = super::desk::made_image_of("1.1.0", "good", "arm64", |r| r.data = DataPolicy::Migrates);
    let e = desk.update(&new).unwrap_err();
    assert!(e.to_string().contains("only those of a directory"), "{e}");
}

/// Cut what the device does at each operation, and what it does after that once more.
fn cut(desk: &Desk, new: &Made, is_good: bool, cuts: u32, states: &mut u64) -> Result<(), String> {
    let mut whole = desk.fork();
    let _ = whole.proceed(new);
    ended(&mut whole.fork(), new, is_good, desk.store.data(CORE).ends_with("/kept"))?;
    if cuts == 0 {
        return Ok(());
    }
    for at in 1..=whole.supply.operations() {
        for loss in [Loss::All, Loss::Nothing] {
            for is_killed in [false, true] {
                let mut cut_here = desk.fork();
                cut_here.supply.cut_at(at, loss);
                let _ = cut_here.proceed(new);
                if is_killed {
                    cut_here.supply.restore();
                } else {
                    cut_here.power_cycle(loss);
                }
                *states += 1;
                right(&cut_here, is_killed)?;
                // What a version writes while it runs again is not lost by what follows.
                let _ = cut_here.act(|updater| updater.settle());
                right(&cut_here, false)?;
                if cut_here.store.data(CORE) == "1/rows" && cut_here.behavior() == Some(Behavior::Good) {
                    cut_here.store.set_data(CORE, "1/kept").map_err(|e| e.to_string())?;
                }
                cut(&cut_here, new, is_good, cuts - 1, states)?;
            }
        }
    }
    Ok(())
}

/// No version runs on data that it can't read; after a kill, what was tried may.
fn right(desk: &Desk, is_killed: bool) -> Result<(), String> {
    let (data, behavior) = (desk.store.data(CORE), desk.behavior());
    let is_old = desk.services.running(UNIT) == Some(first().name());
    match is_old && !is_killed && (behavior != Some(Behavior::Good) || !data.starts_with("1/")) {
        true => Err(format!("1.0.0 is {behavior:?} on {data:?}: {:?}", desk.component().state)),
        false => Ok(()),
    }
}

fn ended(desk: &mut Desk, new: &Made, is_good: bool, was_kept: bool) -> Result<(), String> {
    for _ in 0..4 {
        let _ = desk.proceed(new);
    }
    let component = desk.component();
    let is_new = component.current.as_ref() == Some(&new.held());
    let data = desk.store.data(CORE);
    let is_whole = data.ends_with("/kept") || data.ends_with("/rows") && !was_kept;
    let is_right = data.starts_with(if is_new { "2/" } else { "1/" }) && is_whole;
    if component.state != State::Idle || is_new != is_good || !is_right {
        return Err(format!("{:?}, is new: {is_new}, with {data:?}", component.state));
    }
    if desk.behavior() == Some(Behavior::Good) && desk.running() == desk.wanted() {
        return Ok(());
    }
    Err(format!("{:?} is {:?} on {data:?}", desk.running(), desk.behavior()))
}

fn explore(mutant: Option<Mutant>, behavior: &str, cuts: u32) -> Result<u64, String> {
    let mut desk = desk();
    desk.mutant = mutant;
    let mut states = 0;
    cut(&desk, &second(behavior), behavior == "good", cuts, &mut states)?;
    Ok(states)
}

#[test]
fn a_cut_anywhere_leaves_no_version_on_data_that_it_can_not_read() {
    let states = explore(None, "good", 1).unwrap() + explore(None, "sick", 2).unwrap();
    println!("{states} crash states");
    assert!(states > 1_000, "{states}");
}

#[test]
fn every_mistake_with_data_is_found() {
    for mutant in Mutant::DATA {
        let found =
            ["good", "sick", "dead"].iter().find_map(|behavior| explore(Some(*mutant), behavior, 1).err());
        println!("{mutant:?}: {found:?}");
        assert!(found.is_some(), "{mutant:?} goes unseen");
    }
}

/// The way back is cut, too, and so is the way forth after it.
#[test]
fn a_return_that_is_cut_anywhere_ends_with_the_data_of_the_version_that_runs() {
    let mut desk = desk();
    desk.update(&second("good")).unwrap();
    desk.store.set_data(CORE, "2/more").unwrap();
    let kept = desk.component().kept[0].clone();
    let back = |desk: &mut Desk| -> Result<(), Error> {
        desk.act(|updater| updater.run())?;
        let is_there = desk.component().current.as_ref() == Some(&kept);
        if is_there { Ok(()) } else { desk.act(|updater| updater.return_to(&kept)) }
    };
    let mut whole = desk.fork();
    back(&mut whole).unwrap();
    let operations = whole.supply.operations();
    for at in 1..=operations {
        for loss in [Loss::All, Loss::Nothing] {
            let mut cut = desk.fork();
            cut.supply.cut_at(at, loss);
            let _ = back(&mut cut);
            cut.power_cycle(loss);
            for _ in 0..3 {
                let _ = back(&mut cut);
            }
            assert_eq!(cut.component().current, Some(kept.clone()), "cut {at}");
            assert_eq!(
                (cut.store.data(CORE), cut.behavior()),
                ("1/rows".into(), Some(Behavior::Good)),
                "cut {at}"
            );
        }
    }
    assert!(operations > 10, "{operations}");
}
