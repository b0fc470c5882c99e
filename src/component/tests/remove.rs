//! A removal, and each power cut and kill in it.
use super::{
    desk::{CORE, Desk, Made, UNIT, made},
    mutant::Mutant,
};
use crate::{
    board::memory::{Loss, Supply},
    ports::ComponentStore as _,
};
use bistable_boot::component::State;

/// A device with two versions, stopped by an operator.
fn stopped(mutant: Option<Mutant>) -> Desk {
    let versions = [made("1.0.0", "good"), made("1.1.0", "good")];
    let mut desk = Desk::with(None, &versions.iter().collect::<Vec<&Made>>());
    desk.act(|updater| updater.set_stopped(true)).unwrap();
    desk.mutant = mutant;
    desk
}

/// What is wrong on a device on which a removal may have been cut.
fn problem(desk: &Desk) -> Option<&'static str> {
    let store = desk.store.fork(Supply::new());
    let record = desk.record.borrow();
    let component = record.get(CORE);
    if desk.services.running(UNIT).is_some() {
        return Some("it runs");
    }
    let is_whole = |held: &bistable_boot::component::Held| {
        store.stored(CORE, &held.release.to_string()).is_some_and(|stored| stored.is_complete)
    };
    match component {
        None if !store.clone().versions(CORE).unwrap().is_empty() => Some("forgotten, and yet there"),
        None if store.clone().current(CORE).unwrap().is_some() => Some("forgotten, and yet named"),
        Some(component) if component.state != State::Removing => {
            let is_whole = component.current.iter().chain(&component.kept).all(is_whole);
            (!is_whole).then_some("a version is gone, and nothing says so")
        }
        _ => None,
    }
}

/// Cut a removal at each operation, once or twice, and then let it end.
fn cut_everywhere(desk: &Desk, cuts: u32) -> Result<u64, &'static str> {
    let mut whole = desk.fork();
    whole.act(|updater| updater.remove()).map_err(|_| "it does not end")?;
    if let Some(problem) = problem(&whole) {
        return Err(problem);
    }
    if whole.record.borrow().get(CORE).is_some() {
        return Err("it is remembered");
    }
    let mut states = 1;
    for at in 1..=whole.supply.operations() {
        for (is_power, loss) in
            [(true, Loss::All), (true, Loss::Nothing), (false, Loss::All), (false, Loss::Nothing)]
        {
            let mut cut = desk.fork();
            cut.supply.cut_at(at, loss);
            let _ = cut.act(|updater| updater.remove());
            if is_power {
                cut.power_cycle(loss);
            } else {
                cut.supply.restore();
            }
            if let Some(problem) = problem(&cut) {
                return Err(problem);
            }
            states += 1;
            // Without a record of it there is nothing left to do.
            if cuts > 1 && cut.record.borrow().get(CORE).is_some() {
                states += cut_everywhere(&cut, cuts - 1)?;
            }
        }
    }
    Ok(states)
}

#[test]
fn removal_that_is_cut_anywhere_ends_with_nothing_left() {
    let states = cut_everywhere(&stopped(None), 3).unwrap();
    println!("{states} crash states");
    assert!(states > 100, "{states}");
}

#[test]
fn every_mistake_in_a_removal_is_found() {
    for mutant in [Mutant::RemovalForgotten, Mutant::ForgottenFirst] {
        assert!(cut_everywhere(&stopped(Some(mutant)), 2).is_err(), "{mutant:?} goes unseen");
    }
}

#[test]
fn what_runs_is_not_removed() {
    let old = made("1.0.0", "good");
    let mut desk = Desk::with(None, &[&old]);
    desk.act(|updater| updater.remove()).unwrap_err();
    assert_eq!(desk.services.running(UNIT), Some(old.name()));
    desk.act(|updater| updater.set_stopped(true)).unwrap();
    desk.act(|updater| updater.remove()).unwrap();
    // It can be installed again as if it had never been there.
    desk.update(&old).unwrap();
    assert_eq!(desk.services.running(UNIT), Some(old.name()));
}
