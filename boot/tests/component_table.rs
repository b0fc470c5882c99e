//! Every (state, event) pair of a component: against a list written by hand, and against the table in the README.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]
use bistable_boot::{
    BootId, Failure, MAX_ATTEMPTS, Origin, Outcome, Reason, ReleaseId,
    component::{Action, BootTime, Component, Event, Held, Lifecycle, ROLLBACKS_LEN, State},
};
use semver::Version;
use std::{fmt::Write, fs, path::Path};

/// The boot that runs.
const THIS: BootId = BootId([1; 16]);
/// What is refused until an operator has looked into it.
const TOO_MANY: &str = "an update after too many rollbacks";
/// An earlier one.
const OTHER: BootId = BootId([2; 16]);

fn held(n: u8) -> Held {
    Held {
        release: ReleaseId([n; 32]),
        version: Version::new(1, u64::from(n), 0),
        security_version: u32::from(n),
        configuration: None,
    }
}

fn failure() -> Failure {
    Failure::new(Reason::Health, "HTTP 500")
}

fn halted() -> Failure {
    Failure::new(Reason::RollbackLimit, "3 updates within an hour")
}

fn armed(attempts: u8, begun: Option<BootId>) -> State {
    State::Armed { target: held(7), attempts, begun }
}

fn committing() -> State {
    State::Committing { target: held(7), attempts: 1 }
}

fn reverting(skipped: u8) -> State {
    State::Reverting { target: held(7), failure: failure(), skipped }
}

fn given_up() -> State {
    State::Reverting { target: held(7), failure: Failure::out_of_attempts(MAX_ATTEMPTS), skipped: 0 }
}

fn states() -> [State; 13] {
    [
        State::Idle,
        State::Installing(held(7)),
        State::Staged(held(7)),
        armed(0, None),
        armed(1, Some(THIS)),
        armed(1, Some(OTHER)),
        armed(MAX_ATTEMPTS, Some(OTHER)),
        committing(),
        reverting(0),
        reverting(2),
        State::Failed(failure()),
        State::Failed(halted()),
        State::Removing,
    ]
}

fn events() -> [(&'static str, Event); 16] {
    [
        ("an update is offered", Event::Offer(held(7))),
        ("an operator wants a kept version back", Event::Return(held(4))),
        ("unpacked, verified and durable", Event::Installed),
        ("self-tests passed", Event::SelfTestsPassed),
        ("a trial begins", Event::Trying(THIS)),
        ("the trial was canceled", Event::Canceled(THIS)),
        ("healthy in this boot", Event::Healthy(THIS)),
        ("the durable name leads to it", Event::Committed),
        ("the version on the way back is healthy", Event::Reverted),
        ("it is healthy, and too many were rolled back", Event::Halted(halted())),
        ("it is not healthy either", Event::StillUnhealthy(failure())),
        ("failed for good", Event::Failed(failure())),
        ("an operator resets it", Event::Reset),
        ("an operator stops it", Event::Stop),
        ("an operator starts it", Event::Start),
        ("an operator removes it", Event::Remove),
    ]
}

/// 5 runs, 4 and 3 are kept.
fn component(state: State) -> Component {
    Component {
        state,
        current: Some(held(5)),
        kept: vec![held(4), held(3)],
        security_floor: 5,
        ..Component::registered("core")
    }
}

/// All that a decision may lead to, written by hand.
fn permitted() -> Vec<(State, Event, State)> {
    let failed = || State::Failed(failure());
    let mut list = vec![
        (State::Idle, Event::Offer(held(7)), State::Installing(held(7))),
        (State::Idle, Event::Return(held(4)), State::Staged(held(4))),
        (State::Idle, Event::Stop, State::Idle),
        (failed(), Event::Offer(held(7)), State::Installing(held(7))),
        (failed(), Event::Return(held(4)), State::Staged(held(4))),
        (failed(), Event::Reset, State::Idle),
        (failed(), Event::Stop, failed()),
        (State::Installing(held(7)), Event::Installed, State::Staged(held(7))),
        (State::Installing(held(7)), Event::Failed(failure()), State::Idle),
        (State::Staged(held(7)), Event::SelfTestsPassed, armed(0, None)),
        (State::Staged(held(7)), Event::Failed(failure()), State::Idle),
        (armed(0, None), Event::Trying(THIS), armed(1, Some(THIS))),
        (armed(1, Some(THIS)), Event::Trying(THIS), armed(2, Some(THIS))),
        (armed(1, Some(OTHER)), Event::Trying(THIS), armed(2, Some(THIS))),
        (armed(MAX_ATTEMPTS, Some(OTHER)), Event::Trying(THIS), given_up()),
        (armed(1, Some(THIS)), Event::Canceled(THIS), armed(0, None)),
        (armed(1, Some(THIS)), Event::Healthy(THIS), committing()),
        (committing(), Event::Committed, State::Idle),
        (committing(), Event::Failed(failure()), reverting(0)),
        (reverting(0), Event::Reverted, State::Idle),
        (reverting(2), Event::Reverted, State::Idle),
        (reverting(0), Event::Halted(halted()), State::Failed(halted())),
        (reverting(2), Event::Halted(halted()), State::Failed(halted())),
        (State::Failed(halted()), Event::Reset, State::Idle),
        (State::Failed(halted()), Event::Stop, State::Failed(halted())),
        (reverting(0), Event::StillUnhealthy(failure()), reverting(1)),
        (reverting(2), Event::StillUnhealthy(failure()), failed()),
    ];
    let at_risk =
        [armed(0, None), armed(1, Some(THIS)), armed(1, Some(OTHER)), armed(MAX_ATTEMPTS, Some(OTHER))];
    list.extend(at_risk.map(|state| (state, Event::Failed(failure()), reverting(0))));
    list
}

#[test]
fn exactly_the_listed_decisions_are_permitted() {
    let list = permitted();
    let mut used = 0;
    for state in states() {
        for (_, event) in events() {
            let before = component(state.clone());
            let mut after = before.clone();
            let told = after.on(event.clone());
            let Some((_, _, want)) = list.iter().find(|(s, e, _)| (s, e) == (&state, &event)) else {
                let refused = told.unwrap_err();
                let is_update = matches!(event, Event::Offer(_) | Event::Return(_));
                let name = if is_update && before.is_halted() { TOO_MANY } else { event.name() };
                assert_eq!((refused.state, refused.event), (state.name(), name));
                assert_eq!(after, before, "refused, and yet changed: {event:?}");
                continue;
            };
            used += 1;
            assert_eq!(after.state, *want, "{event:?} while {state:?}");
            assert_eq!(told, Ok(after != before), "{event:?} while {state:?}: to be saved?");
            assert!(after.security_floor >= before.security_floor, "I9: {event:?} while {state:?}");
        }
    }
    assert_eq!(used, list.len(), "each line of the list is about one of the pairs");
}

#[test]
fn each_state_says_which_version_the_durable_name_leads_to() {
    for state in states() {
        let leads_to = match &state {
            State::Committing { .. } => Some(held(7)),
            State::Reverting { skipped: 2, .. } => Some(held(3)),
            State::Removing => None,
            _ => Some(held(5)),
        };
        let component = component(state);
        assert_eq!(component.leads_to(), leads_to.as_ref(), "{:?}", component.state);
        assert_eq!(component.runs(), component.leads_to());
        assert_eq!(Component { is_stopped: true, ..component }.runs(), None);
    }
}

/// I14: no state names a version that isn't complete as the one that runs.
#[test]
fn nothing_runs_by_default_before_it_is_staged() {
    for state in
        states().into_iter().filter(|s| matches!(s.todo(), Action::Install | Action::SelfTest | Action::Try))
    {
        assert_eq!(component(state).leads_to(), Some(&held(5)));
    }
}

#[test]
fn a_commit_keeps_the_versions_before_and_raises_the_floor() {
    let mut core = component(committing());
    assert_eq!(core.on(Event::Committed), Ok(true));
    assert_eq!(core.current, Some(held(7)));
    assert_eq!(core.kept, [held(5), held(4)]);
    assert_eq!(core.security_floor, 7);
    assert_eq!(core.last.as_ref().map(|l| &l.outcome), Some(&Outcome::Committed));
    assert_eq!(core.on(Event::Offer(held(6))).unwrap_err().event, "an offer below the security floor");
}

#[test]
fn a_failed_update_is_rejected_and_one_that_the_device_kept_from_being_judged_is_not() {
    for (reason, is_rejected) in
        [(Reason::Health, true), (Reason::Environment, false), (Reason::Operator, true)]
    {
        let failure = Failure::new(reason, "why");
        let mut core = component(State::Reverting { target: held(7), failure, skipped: 0 });
        core.on(Event::Reverted).unwrap();
        assert_eq!(core.rejection(&held(7).release).is_some(), is_rejected, "I16: {reason}");
        assert_eq!(core.current, Some(held(5)));
    }
}

#[test]
fn a_kept_version_that_fails_is_neither_rejected_nor_lost() {
    let mut core = component(State::Idle);
    core.on(Event::Return(held(4))).unwrap();
    assert_eq!(core.origin, Origin::Slot);
    core.on(Event::SelfTestsPassed).unwrap();
    core.on(Event::Trying(THIS)).unwrap();
    core.on(Event::Failed(failure())).unwrap();
    core.on(Event::Reverted).unwrap();
    assert!(core.rejected.is_empty());
    assert_eq!((core.current, core.kept), (Some(held(5)), vec![held(4), held(3)]));
}

#[test]
fn an_operator_who_goes_back_is_not_updated_again_by_itself() {
    let mut core = component(State::Committing { target: held(4), attempts: 1 });
    core.on(Event::Committed).unwrap();
    assert_eq!((core.current.clone(), core.kept.clone()), (Some(held(4)), vec![held(5), held(3)]));
    assert_eq!(core.rejection(&held(5).release).map(|r| r.failure.reason), Some(Reason::Operator));
}

#[test]
fn the_way_back_leads_over_kept_versions_and_ends() {
    let mut core = component(reverting(0));
    let mut tried = vec![core.leads_to().cloned()];
    while core.on(Event::StillUnhealthy(failure())).is_ok() && !matches!(core.state, State::Failed(_)) {
        tried.push(core.leads_to().cloned());
    }
    assert_eq!(tried, [5, 4, 3].map(|n| Some(held(n))), "at most two older ones");
    assert_eq!(core.current, Some(held(5)), "the durable name is where it was");
    // An older version is healthy: the skipped ones can no longer be returned to.
    let mut core = component(reverting(1));
    core.on(Event::Reverted).unwrap();
    assert_eq!((core.current, core.kept), (Some(held(4)), vec![held(3)]));
}

#[test]
fn a_first_version_that_fails_leaves_a_failed_component() {
    let mut core = Component { current: None, kept: Vec::new(), ..component(reverting(0)) };
    assert_eq!(core.leads_to(), None);
    core.on(Event::Reverted).unwrap();
    assert_eq!((core.state.clone(), Lifecycle::from(&core)), (State::Failed(failure()), Lifecycle::Failed));
    let mut core = Component { current: None, kept: vec![held(4)], ..component(reverting(0)) };
    core.on(Event::StillUnhealthy(failure())).unwrap();
    assert!(
        matches!(core.state, State::Failed(_)),
        "without a current version nothing is kept to go back to"
    );
}

#[test]
fn a_stopped_component_is_started_before_it_is_updated() {
    let mut core = component(State::Idle);
    assert_eq!(core.on(Event::Stop), Ok(true));
    assert!(core.on(Event::Stop).is_err());
    assert_eq!(core.on(Event::Offer(held(7))).unwrap_err().state, "stopped");
    assert_eq!(core.on(Event::Return(held(4))).unwrap_err().state, "stopped");
    assert_eq!(Lifecycle::from(&core), Lifecycle::Stopped);
    assert_eq!(core.on(Event::Start), Ok(true));
    assert!(core.on(Event::Start).is_err());
    assert_eq!(core.on(Event::Offer(held(7))), Ok(true));
}

#[test]
fn only_a_component_of_which_nothing_runs_is_removed() {
    for state in [State::Idle, State::Failed(failure()), State::Failed(halted())] {
        let mut core = component(state.clone());
        assert!(core.on(Event::Remove).is_err(), "it runs");
        core.on(Event::Stop).unwrap();
        assert_eq!(core.on(Event::Remove), Ok(true));
        assert_eq!((core.state.todo(), core.leads_to()), (Action::Remove, None));
        assert_eq!(Lifecycle::from(&core), Lifecycle::Stopped);
        let mut first = Component { current: None, kept: Vec::new(), ..component(state) };
        assert_eq!(first.on(Event::Remove), Ok(true), "there is nothing that could run");
    }
    for state in [State::Installing(held(7)), State::Staged(held(7)), committing(), reverting(0)] {
        let mut busy = Component { is_stopped: true, ..component(state) };
        assert!(busy.on(Event::Remove).is_err(), "an update is in flight");
    }
}

/// The arrows of a component's life: (from, what happens, to).
#[test]
fn the_lifecycle_has_the_documented_arrows() {
    let first = |state| Component { current: None, kept: Vec::new(), ..component(state) };
    let stopped = |state| Component { is_stopped: true, ..component(state) };
    use Lifecycle::{Deploying, Failed, Registered, Running, Stopped, Updating};
    let arrows = [
        (first(State::Idle), Registered, Event::Offer(held(7)), Deploying),
        (first(committing()), Deploying, Event::Committed, Running),
        (first(reverting(0)), Deploying, Event::Reverted, Failed),
        (component(State::Idle), Running, Event::Offer(held(7)), Updating),
        (component(committing()), Updating, Event::Committed, Running),
        (component(reverting(0)), Updating, Event::Reverted, Running),
        (component(reverting(2)), Updating, Event::StillUnhealthy(failure()), Failed),
        (component(State::Idle), Running, Event::Stop, Stopped),
        (stopped(State::Idle), Stopped, Event::Start, Running),
        (component(reverting(0)), Updating, Event::Halted(halted()), Failed),
        (component(State::Failed(halted())), Failed, Event::Reset, Running),
        (first(State::Failed(failure())), Failed, Event::Reset, Registered),
        (component(State::Failed(failure())), Failed, Event::Reset, Running),
        (first(State::Failed(failure())), Failed, Event::Offer(held(7)), Deploying),
    ];
    for (mut component, from, event, to) in arrows {
        assert_eq!(Lifecycle::from(&component), from);
        component.on(event.clone()).unwrap();
        assert_eq!(Lifecycle::from(&component), to, "{from} and {event:?}");
    }
}

/// A moment of a boot, in minutes; with a wall clock that shows the same, or none.
fn at(boot: u8, minute: u32, clock: bool) -> BootTime {
    let wall = clock.then(|| 1_700_000_000 + u64::from(minute) * 60);
    BootTime { boot: BootId([boot; 16]), uptime: minute * 60, wall }
}

#[test]
fn a_rollback_counts_for_an_hour_by_whatever_clock_there_is() {
    for (then, now, counts) in [
        (at(1, 0, true), at(1, 59, true), true),
        (at(1, 0, true), at(1, 60, true), false),
        // The wall clock was set back in this boot.
        (at(1, 0, true), BootTime { wall: Some(0), ..at(1, 60, true) }, false),
        (at(1, 100, true), BootTime { uptime: 0, ..at(2, 159, true) }, true),
        (at(1, 100, true), BootTime { uptime: 0, ..at(2, 160, true) }, false),
        // Nothing tells how long it was off.
        (at(1, 100, true), at(2, 59, false), true),
        (at(1, 100, false), at(2, 59, true), true),
        (at(1, 100, false), at(2, 60, false), false),
        (at(1, 100, true), BootTime { wall: Some(0), ..at(2, 60, true) }, false),
    ] {
        let core = Component { rollbacks: vec![then], ..component(State::Idle) };
        assert_eq!(core.recent_rollbacks(&now), usize::from(counts), "{then:?} {now:?}");
    }
}

#[test]
fn each_rollback_is_remembered_once_with_the_state_that_it_begins_with() {
    let mut core = component(armed(1, Some(THIS)));
    core.on_at(Event::Failed(failure()), at(1, 7, true)).unwrap();
    assert_eq!(core.rollbacks, [at(1, 7, true)], "before anything is done about it");
    core.on_at(Event::StillUnhealthy(failure()), at(1, 8, true)).unwrap();
    core.on_at(Event::Halted(halted()), at(1, 9, true)).unwrap();
    assert_eq!((core.rollbacks.len(), core.is_halted(), core.current.clone()), (1, true, Some(held(4))));
    assert_eq!(core.rejection(&held(7).release).map(|r| r.failure.reason), Some(Reason::Health));
    for event in [Event::Offer(held(8)), Event::Return(held(3))] {
        assert_eq!(core.on(event).unwrap_err().event, TOO_MANY);
    }
    core.on_at(Event::Reset, at(1, 10, true)).unwrap();
    assert!(core.rollbacks.is_empty() && core.on(Event::Offer(held(8))).is_ok());

    let mut core = component(armed(1, Some(THIS)));
    let given_up = Failure::new(Reason::Operator, "given up");
    core.on_at(Event::Failed(given_up), at(1, 7, true)).unwrap();
    assert!(core.rollbacks.is_empty(), "an operator did");
    let mut core = Component {
        rollbacks: vec![at(1, 1, true); ROLLBACKS_LEN],
        ..component(armed(MAX_ATTEMPTS, Some(OTHER)))
    };
    core.on_at(Event::Trying(THIS), at(1, 9, true)).unwrap();
    assert_eq!((core.rollbacks.len(), core.rollbacks.last()), (ROLLBACKS_LEN, Some(&at(1, 9, true))));
}

fn label(state: &State) -> String {
    match state {
        State::Armed { attempts, begun, .. } => {
            let begun = match begun {
                None => "",
                Some(boot) if *boot == THIS => ", the last one in this boot",
                Some(_) => ", the last one in another boot",
            };
            format!("armed, {attempts} of {MAX_ATTEMPTS} trials{begun}")
        }
        State::Reverting { skipped, .. } => format!("reverting, {skipped} of 2 skipped"),
        State::Failed(why) if why.reason == Reason::RollbackLimit => "failed, too many rollbacks".into(),
        state => state.name().into(),
    }
}

fn table() -> String {
    let mut text = String::from("| event \\ while |");
    states().iter().for_each(|s| write!(text, " {} |", label(s)).unwrap());
    text += "\n|---|";
    text += &"---|".repeat(states().len());
    for (words, event) in events() {
        write!(text, "\n| {words} |").unwrap();
        for state in states() {
            match component(state).next(&event) {
                Ok(next) => write!(text, " {} |", label(&next)).unwrap(),
                Err(_) => text += " |",
            }
        }
    }
    text
}

const BEGIN: &str =
    "<!-- component table: `BLESS=1 cargo test -p bistable-boot --test component_table` writes it -->\n";
const END: &str = "\n<!-- end of the component table -->";

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

#[test]
fn another_configuration_of_the_current_version_is_tried_like_a_kept_version_and_takes_no_way_back() {
    let configured = |n: u8, number| Held { configuration: Some(number), ..held(n) };
    let mut core = Component { current: Some(configured(5, 2)), ..component(State::Idle) };
    assert_eq!(core.next_configuration(), 3);
    let other_version = Held { version: Version::new(9, 0, 0), ..configured(5, 3) };
    for wrong in [configured(5, 2), configured(6, 3), other_version] {
        assert!(core.on(Event::Return(wrong.clone())).is_err(), "{wrong:?}");
    }
    let target = configured(5, 3);
    let tried = |core: &mut Component| {
        core.on(Event::Return(target.clone())).unwrap();
        assert_eq!(core.state, State::Staged(target.clone()));
        assert_eq!(core.next_configuration(), 4);
        core.on(Event::SelfTestsPassed).unwrap();
        core.on(Event::Trying(THIS)).unwrap();
    };
    let mut sick = core.clone();
    tried(&mut sick);
    sick.on(Event::Failed(failure())).unwrap();
    assert_eq!(sick.leads_to(), Some(&configured(5, 2)));
    sick.on(Event::Reverted).unwrap();
    assert_eq!((sick.current, sick.rejected), (Some(configured(5, 2)), Vec::new()));
    tried(&mut core);
    core.on(Event::Healthy(THIS)).unwrap();
    core.on(Event::Committed).unwrap();
    assert_eq!((core.current, core.kept), (Some(target), vec![held(4), held(3)]));
}
