//! Every (state, event) pair: against a list written by hand, and against the table in the README.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]
mod common;
use bistable_boot::{
    Boot, BySlot, Event, Evidence, Failure, Image, MAX_ATTEMPTS, Reason, Record, Slot, State, Tries,
};
use common::{ASKED, boots, provisioned, target};
use std::{fmt::Write, fs, path::Path};

/// The update that all of this is about.
const N: u8 = 7;

fn failure() -> Failure {
    Failure::new(Reason::Health, "HTTP 500")
}

fn armed(slot: Slot, tries: Tries) -> State {
    State::Armed { target: target(slot, N), tries }
}

fn trial(slot: Slot, attempts: u8) -> State {
    State::Trial { target: target(slot, N), attempts }
}

fn committing(slot: Slot, attempts: u8) -> State {
    State::Committing { target: target(slot, N), attempts }
}

fn reverting(slot: Slot, reboots: u8) -> State {
    State::Reverting { target: target(slot, N), failure: failure(), reboots, asked: None }
}

fn leaving(slot: Slot, reboots: u8) -> State {
    State::Reverting { target: target(slot, N), failure: failure(), reboots, asked: Some(ASKED.boot) }
}

fn asked(attempts: u8, refused: u8) -> Tries {
    Tries { attempts, refused, asked: Some(ASKED) }
}

const REFUSED: Tries = Tries { attempts: 1, refused: MAX_ATTEMPTS, asked: None };

/// One of each kind. The number of trials matters only while armed, that of reboots while reverting.
fn states(slot: Slot) -> [State; 12] {
    let t = || target(slot, N);
    [
        State::Idle,
        State::Installing(t()),
        State::Staged(t()),
        armed(slot, Tries::after(1)),
        armed(slot, asked(1, 1)),
        armed(slot, Tries::after(MAX_ATTEMPTS)),
        armed(slot, REFUSED),
        trial(slot, 2),
        committing(slot, 2),
        reverting(slot, 0),
        leaving(slot, 0),
        reverting(slot, MAX_ATTEMPTS),
    ]
}

fn again() -> Boot {
    Boot { id: ASKED.boot, ..boots(Slot::A) }
}

fn not_tried(slot: Slot) -> Boot {
    Boot { evidence: Evidence::NotTried, ..boots(!slot) }
}

/// One of each kind, with the words of the table.
fn events(slot: Slot) -> [(&'static str, Event); 15] {
    [
        ("an update is offered", Event::Offer(target(slot, N))),
        ("an operator wants the other slot back", Event::Return(target(slot, N))),
        ("written and read back", Event::Installed),
        ("self-tests passed", Event::SelfTestsPassed),
        ("about to reboot", Event::Rebooting(ASKED)),
        ("that reboot failed", Event::RebootCanceled),
        ("started again in the boot that asked, old slot", Event::Booted(Boot { slot: !slot, ..again() })),
        ("booted: the update's slot", Event::Booted(boots(slot))),
        ("booted: the other slot", Event::Booted(boots(!slot))),
        ("booted: the other slot, trial never began", Event::Booted(not_tried(slot))),
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
    let text = "3 trials ended without a verdict (crash, hang or power loss)";
    let used_up = Failure::new(Reason::OutOfAttempts, text);
    let given_up = State::Reverting { target: t(), failure: used_up, reboots: 0, asked: None };
    let (once, all) = (Tries::after(1), Tries::after(MAX_ATTEMPTS));
    let mut list = vec![
        (State::Idle, Event::Offer(t()), State::Installing(t())),
        (State::Idle, Event::Return(t()), State::Staged(t())),
        (State::Installing(t()), Event::Installed, State::Staged(t())),
        (State::Installing(t()), Event::Failed(failure()), State::Idle),
        (State::Staged(t()), Event::SelfTestsPassed, armed(slot, Tries::default())),
        (State::Staged(t()), Event::Failed(failure()), State::Idle),
        (armed(slot, once), Event::Rebooting(ASKED), armed(slot, asked(1, 0))),
        (armed(slot, once), Event::RebootCanceled, armed(slot, once)),
        (armed(slot, asked(1, 1)), Event::Rebooting(ASKED), armed(slot, asked(1, 1))),
        (armed(slot, asked(1, 1)), Event::RebootCanceled, armed(slot, Tries { refused: 1, ..once })),
        (armed(slot, all), Event::Rebooting(ASKED), given_up),
        (armed(slot, all), Event::RebootCanceled, armed(slot, all)),
        (armed(slot, REFUSED), Event::SelfTestsPassed, armed(slot, once)),
        (armed(slot, REFUSED), Event::RebootCanceled, armed(slot, REFUSED)),
        // The slot on trial runs.
        (armed(slot, once), Event::Booted(boots(slot)), trial(slot, 1)),
        (armed(slot, asked(1, 1)), Event::Booted(boots(slot)), trial(slot, 2)),
        (armed(slot, all), Event::Booted(boots(slot)), trial(slot, 3)),
        (armed(slot, REFUSED), Event::Booted(boots(slot)), trial(slot, 1)),
        // The old slot runs after a reboot that was asked for.
        (armed(slot, asked(1, 1)), Event::Booted(boots(!slot)), armed(slot, Tries::after(2))),
        (
            armed(slot, asked(1, 1)),
            Event::Booted(not_tried(slot)),
            armed(slot, Tries { attempts: 1, refused: 2, asked: None }),
        ),
        (trial(slot, 2), Event::Booted(boots(!slot)), armed(slot, Tries::after(2))),
        (trial(slot, 2), Event::Booted(not_tried(slot)), armed(slot, Tries::after(2))),
        (trial(slot, 2), Event::Booted(Boot { slot: !slot, ..again() }), armed(slot, Tries::after(2))),
        (trial(slot, 2), Event::Healthy, committing(slot, 2)),
        (committing(slot, 2), Event::Booted(boots(!slot)), armed(slot, Tries::after(2))),
        (committing(slot, 2), Event::Booted(not_tried(slot)), armed(slot, Tries::after(2))),
        (committing(slot, 2), Event::Booted(Boot { slot: !slot, ..again() }), armed(slot, Tries::after(2))),
        (committing(slot, 2), Event::Unproven, trial(slot, 2)),
        (committing(slot, 2), Event::Committed, State::Idle),
        (reverting(slot, 0), Event::Rebooting(ASKED), leaving(slot, 0)),
        (reverting(slot, 0), Event::RebootCanceled, reverting(slot, 0)),
        (leaving(slot, 0), Event::Rebooting(ASKED), leaving(slot, 0)),
        (leaving(slot, 0), Event::RebootCanceled, reverting(slot, 0)),
        (leaving(slot, 0), Event::Booted(boots(slot)), reverting(slot, 1)),
        (reverting(slot, MAX_ATTEMPTS), Event::RebootCanceled, reverting(slot, MAX_ATTEMPTS)),
    ];
    for state in [reverting(slot, 0), leaving(slot, 0), reverting(slot, MAX_ATTEMPTS)] {
        list.push((state, Event::Reverted, State::Idle));
    }
    let tried = [trial(slot, 2), committing(slot, 2)];
    let at_risk = [once, asked(1, 1), all, REFUSED].map(|tries| armed(slot, tries)).into_iter().chain(tried);
    for state in at_risk {
        list.push((state, Event::Failed(failure()), reverting(slot, 0)));
    }
    // Nothing changes: every other start of the agent.
    for (state, (_, event)) in states(slot).into_iter().flat_map(|s| events(slot).map(|e| (s.clone(), e))) {
        let listed = list.iter().any(|(s, e, _)| (s, e) == (&state, &event));
        if matches!(event, Event::Booted(_)) && !listed {
            list.push((state.clone(), event, state));
        }
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
            for (_, event) in events(slot).into_iter().filter(|(_, e)| e.is_derived()) {
                let Ok(once) = state.clone().on(event.clone()) else { continue };
                if event == Event::Unproven {
                    continue;
                }
                assert_eq!(once.clone().on(event), Ok(once), "{state:?}");
            }
        }
    }
    let derived = events(Slot::A).into_iter().filter(|(_, e)| e.is_derived()).count();
    assert_eq!(derived, 5, "all else is decided");
}

fn label(state: &State) -> String {
    match state {
        State::Armed { tries, .. } => {
            let asked = if tries.asked.is_some() { ", reboot asked for" } else { "" };
            let refused = match tries.refused {
                0 => String::new(),
                n => format!(", {n} of {MAX_ATTEMPTS} refused"),
            };
            format!("armed, {} of {MAX_ATTEMPTS} trials{refused}{asked}", tries.attempts)
        }
        State::Reverting { reboots, asked, .. } => {
            let asked = if asked.is_some() { ", reboot asked for" } else { "" };
            format!("reverting, {reboots} of {MAX_ATTEMPTS} reboots{asked}")
        }
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
