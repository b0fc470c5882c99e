//! Every (state, event) pair: against a list written by hand, and against the table in the README.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]
mod common;
use bistable_boot::{BySlot, Event, Failure, Image, MAX_ATTEMPTS, Reason, Record, Slot, State};
use common::{provisioned, target};
use std::{fmt::Write, fs, path::Path};

/// The update that all of this is about.
const N: u8 = 7;

fn failure() -> Failure {
    Failure::new(Reason::Health, "HTTP 500")
}

fn armed(slot: Slot, attempts: u8) -> State {
    State::Armed { target: target(slot, N), attempts }
}

fn trial(slot: Slot, attempts: u8) -> State {
    State::Trial { target: target(slot, N), attempts }
}

fn committing(slot: Slot, attempts: u8) -> State {
    State::Committing { target: target(slot, N), attempts }
}

fn reverting(slot: Slot, reboots: u8) -> State {
    State::Reverting { target: target(slot, N), failure: failure(), reboots }
}

/// One of each kind. The number of boots matters only while armed and while reverting.
fn states(slot: Slot) -> [State; 9] {
    let t = || target(slot, N);
    [
        State::Idle,
        State::Installing(t()),
        State::Staged(t()),
        armed(slot, 1),
        armed(slot, MAX_ATTEMPTS),
        trial(slot, 2),
        committing(slot, 2),
        reverting(slot, 0),
        reverting(slot, MAX_ATTEMPTS),
    ]
}

/// One of each kind, with the words of the table.
fn events(slot: Slot) -> [(&'static str, Event); 12] {
    [
        ("an update is offered", Event::Offer(target(slot, N))),
        ("an operator wants the other slot back", Event::Return(target(slot, N))),
        ("written and read back", Event::Installed),
        ("self-tests passed", Event::SelfTestsPassed),
        ("about to reboot", Event::Rebooting),
        ("booted: the update's slot", Event::Booted(slot)),
        ("booted: the other slot", Event::Booted(!slot)),
        ("health check passed", Event::Healthy),
        ("the verdict was about another boot", Event::Unproven),
        ("the slot is the default", Event::Committed),
        ("the old slot is back", Event::Reverted),
        ("failed for good", Event::Failed(failure())),
    ]
}

/// All that is allowed, written by hand: (state, event, next state).
fn permitted(slot: Slot) -> Vec<(State, Event, State)> {
    let t = || target(slot, N);
    let used_up = Failure::new(Reason::OutOfAttempts, "3 trial boots ended without a report");
    let mut list = vec![
        (State::Idle, Event::Offer(t()), State::Installing(t())),
        (State::Idle, Event::Return(t()), State::Staged(t())),
        (State::Installing(t()), Event::Installed, State::Staged(t())),
        (State::Installing(t()), Event::Failed(failure()), State::Idle),
        (State::Staged(t()), Event::SelfTestsPassed, armed(slot, 0)),
        (State::Staged(t()), Event::Failed(failure()), State::Idle),
        (armed(slot, 1), Event::Rebooting, armed(slot, 2)),
        (armed(slot, 1), Event::Booted(slot), trial(slot, 1)),
        (armed(slot, 1), Event::Failed(failure()), reverting(slot, 0)),
        (armed(slot, 3), Event::Rebooting, State::Reverting { target: t(), failure: used_up, reboots: 0 }),
        (armed(slot, 3), Event::Booted(slot), trial(slot, 3)),
        (armed(slot, 3), Event::Failed(failure()), reverting(slot, 0)),
        (trial(slot, 2), Event::Booted(!slot), armed(slot, 2)),
        (trial(slot, 2), Event::Healthy, committing(slot, 2)),
        (trial(slot, 2), Event::Failed(failure()), reverting(slot, 0)),
        (committing(slot, 2), Event::Booted(!slot), armed(slot, 2)),
        (committing(slot, 2), Event::Unproven, trial(slot, 2)),
        (committing(slot, 2), Event::Committed, State::Idle),
        (committing(slot, 2), Event::Failed(failure()), reverting(slot, 0)),
        (reverting(slot, 0), Event::Rebooting, reverting(slot, 1)),
        (reverting(slot, 0), Event::Reverted, State::Idle),
        (reverting(slot, MAX_ATTEMPTS), Event::Reverted, State::Idle),
    ];
    // Seen and nothing changes.
    for (same, booted) in [
        (State::Idle, slot),
        (State::Idle, !slot),
        (State::Installing(t()), slot),
        (State::Installing(t()), !slot),
        (State::Staged(t()), slot),
        (State::Staged(t()), !slot),
        (armed(slot, 1), !slot),
        (armed(slot, 3), !slot),
        (trial(slot, 2), slot),
        (committing(slot, 2), slot),
        (reverting(slot, 0), slot),
        (reverting(slot, 0), !slot),
        (reverting(slot, MAX_ATTEMPTS), slot),
        (reverting(slot, MAX_ATTEMPTS), !slot),
    ] {
        list.push((same.clone(), Event::Booted(booted), same));
    }
    list
}

/// A record in that state, as the events before it would have left it.
fn record(state: &State, slot: Slot) -> Record {
    let held = Some(Image::from(&target(slot, N)));
    Record {
        slots: BySlot::new(|s| if s == slot { held.clone() } else { Some(Image::from(&target(s, 1))) }),
        state: state.clone(),
        ..provisioned()
    }
}

#[test]
fn exactly_the_listed_transitions_are_permitted() {
    for slot in Slot::ALL {
        let (list, mut used) = (permitted(slot), 0);
        for state in states(slot) {
            for (_, event) in events(slot) {
                let before = record(&state, slot);
                let mut after = before.clone();
                let told = after.on(event.clone());
                let listed = list.iter().find(|(s, e, _)| (s, e) == (&state, &event));
                let Some((_, _, want)) = listed else {
                    let refused = told.unwrap_err();
                    assert_eq!((refused.state, refused.event), (state.name(), event.name()));
                    assert_eq!(after, before, "refused, and yet changed: {event:?} while {state:?}");
                    continue;
                };
                used += 1;
                assert_eq!(after.state, *want, "{event:?} while {state:?}");
                assert_eq!(told, Ok(*want != state), "{event:?} while {state:?}: to be saved?");
                if *want == state {
                    assert_eq!(after, before, "nothing to save, and yet changed: {event:?} while {state:?}");
                }
            }
        }
        assert_eq!(used, list.len(), "each line of the list is about one of the pairs");
    }
}

/// What isn't saved must come out the same when it is told to the stored state again, however often.
#[test]
fn where_the_device_is_follows_from_what_is_stored() {
    for slot in Slot::ALL {
        for state in states(slot) {
            for booted in Slot::ALL {
                let event = || Event::Booted(booted);
                assert!(event().is_derived() && Event::Unproven.is_derived());
                let once = state.clone().on(event()).unwrap();
                assert_eq!(once.clone().on(event()), Ok(once.clone()), "{state:?} in {booted}");
                // Another boot begins with what is stored. A trial that an older version stored is no different.
                if let State::Armed { target, attempts } = &state {
                    let stored_trial = State::Trial { target: target.clone(), attempts: *attempts };
                    assert_eq!(stored_trial.on(event()), Ok(once));
                }
            }
        }
    }
    let derived = events(Slot::A).into_iter().filter(|(_, e)| e.is_derived()).count();
    assert_eq!(derived, 3, "all else is decided");
}

fn label(state: &State) -> String {
    match state {
        State::Armed { attempts, .. } => format!("armed, {attempts} of {MAX_ATTEMPTS} boots"),
        State::Reverting { reboots, .. } => format!("reverting, {reboots} of {MAX_ATTEMPTS} reboots"),
        state => state.name().into(),
    }
}

fn table() -> String {
    let slot = Slot::B;
    let mut text = String::from("| event \\ while |");
    states(slot).iter().for_each(|s| write!(text, " {} |", label(s)).unwrap());
    text += "\n|---|";
    text += &"---|".repeat(states(slot).len());
    for (words, event) in events(slot) {
        write!(text, "\n| {words} |").unwrap();
        for state in states(slot) {
            match state.clone().on(event.clone()) {
                Ok(next) if next == state => text += " = |",
                Ok(next) => write!(text, " {} |", label(&next)).unwrap(),
                Err(_) => text += " |",
            }
        }
    }
    text
}

const BEGIN: &str =
    "<!-- state table: `BLESS=1 cargo test -p bistable-boot --test state_table` writes it -->\n";
const END: &str = "\n<!-- end of the state table -->";

#[test]
fn the_readme_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("the table's first marker");
    let (old, tail) = rest.split_once(END).expect("the table's last marker");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, [head, BEGIN, &table(), END, tail].concat()).unwrap();
    } else {
        assert_eq!(old, table(), "README.md is not what the code does; see the marker for how to renew it");
    }
}
