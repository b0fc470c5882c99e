//! What is done next for a component, state by state and mode by mode.
use super::{
    super::{Act, ComponentCase, Inhibitor, Why, announced, next},
    *,
};
use crate::events::OfferedVersion;
use bistable_boot::{
    BootId, Failure, Outcome, Reason, ReleaseId,
    component::{Component, Ended, Held, State},
};

fn held(minor: u64) -> Held {
    let byte = u8::try_from(minor).unwrap();
    Held {
        release: ReleaseId([byte; 32]),
        version: semver::Version::new(1, minor, 0),
        security_version: 0,
        configuration: None,
    }
}

fn offered(minor: u64) -> OfferedVersion {
    OfferedVersion {
        version: format!("1.{minor}.0"),
        release: held(minor).release.to_string(),
        bytes: 1,
        urgent: false,
        refused: None,
    }
}

/// One that runs 1.0.0, and of which 1.1.0 is on offer.
fn case(state: State, mode: Mode) -> ComponentCase {
    let component = Component { state, current: Some(held(0)), ..Component::registered("core") };
    let staged = Some(ago(HOUR));
    ComponentCase {
        component,
        mode,
        offered: Some(offered(1)),
        staged,
        is_staged_before: false,
        stage_failed: None,
        switch_refused: None,
    }
}

fn facts(case: ComponentCase) -> Facts {
    Facts { components: vec![case], ..rested() }
}

/// On a device whose image is at rest and whose windows are closed.
fn told(facts: &Facts) -> String {
    match shown(&next(&noon(), &device(Saved::Idle), &rules(Mode::Stage, &["Thu 11:00-12:00"]), facts)) {
        act if act.starts_with("StageComponent") => "stage".into(),
        act if act.starts_with("SwitchComponent") => "switch".into(),
        wait => wait.trim_start_matches("waits: ").into(),
    }
}

#[test]
fn each_state_in_each_mode() {
    let boot = BootId::numbered(1);
    let failure = || Failure::new(Reason::Health, "sick");
    let armed = State::Armed { target: held(1), attempts: 1, begun: Some(boot) };
    let committing = State::Committing { target: held(1), attempts: 1 };
    let reverting = State::Reverting { target: held(1), failure: failure(), skipped: 0 };
    #[rustfmt::skip]
    let table = [
        (State::Idle, ["check", "stage", "stage", "stage"]),
        (State::Failed(failure()), ["check", "stage", "stage", "stage"]),
        (State::Failed(Failure::new(Reason::RollbackLimit, "")), ["component_halted"; 4]),
        (State::Installing(held(1)), ["stage"; 4]),
        (State::Staged(held(1)), ["component_staged", "component_staged", "component_next_boot", "component"]),
        (State::Staged(held(2)), ["component_staged", "stage", "stage", "stage"]),
        (armed, ["component_staged", "switch", "switch", "component"]),
        (committing, ["switch"; 4]),
        (reverting, ["switch"; 4]),
        (State::Removing, ["switch"; 4]),
    ];
    for (state, expected) in table {
        let found = MODES.map(|mode| told(&facts(case(state.clone(), mode))));
        assert_eq!(found, expected, "{state:?}");
        let not_yet = MODES.map(|mode| {
            let pending = Facts { trial_pending: true, ..facts(case(state.clone(), mode)) };
            told(&pending)
        });
        assert_eq!(not_yet, ["boot"; 4], "{state:?}: the boot is undecided");
    }
}

#[test]
fn version_is_staged_only_if_it_is_new_wanted_and_not_refused() {
    let idle = || case(State::Idle, Mode::Auto);
    assert_eq!(told(&facts(idle())), "stage");
    let no_look = Facts { last_look: None, ..facts(idle()) };
    assert_eq!(told(&no_look), "Look", "after a look of this boot");
    let before = LastTry { when: When { uptime: None, ..ago(HOUR) }, ..LastTry::default() };
    assert_ne!(told(&Facts { last_look: Some(before), ..facts(idle()) }), "stage");

    let mut stopped = idle();
    stopped.component.is_stopped = true;
    let mut rejected = idle();
    let failure = Failure::new(Reason::Health, "sick");
    let (release, version) = (held(1).release, held(1).version);
    rejected.component.rejected.push(bistable_boot::Rejected { release, version, failure });
    let large = ComponentCase {
        offered: Some(OfferedVersion { refused: Some("large".into()), ..offered(1) }),
        ..idle()
    };
    let nothing = ComponentCase { offered: None, ..idle() };
    let same = ComponentCase { offered: Some(offered(0)), ..idle() };
    for case in [stopped, rejected, large, nothing, same] {
        assert_eq!(told(&facts(case.clone())), "check", "{case:?}");
    }
}

/// An archive that can't be unpacked says nothing against other devices, so it isn't rejected; and yet fetching it each day is in vain.
#[test]
fn release_that_cannot_be_installed_is_not_fetched_again_and_a_newer_one_is() {
    let ended = |reason| Ended {
        release: held(1).release,
        version: held(1).version,
        outcome: Outcome::Abandoned(Failure::new(reason, "x")),
        attempts: 0,
    };
    let mut unfit = case(State::Idle, Mode::Auto);
    unfit.component.last = Some(ended(Reason::Install));
    assert_eq!(told(&facts(unfit.clone())), "check");
    assert_eq!(told(&facts(ComponentCase { offered: Some(offered(2)), ..unfit.clone() })), "stage");
    unfit.component.last = Some(ended(Reason::Environment));
    assert_eq!(told(&facts(unfit)), "stage", "another one had taken its place");
}

#[test]
fn failures_delay_the_next_attempt() {
    let tried = |time, failures| LastTry { when: ago(time), failures, not_before: None };
    let again = |last| ComponentCase { stage_failed: Some(last), ..case(State::Idle, Mode::Stage) };
    assert_eq!(told(&facts(again(tried(Duration::from_secs(5), 1)))), "component");
    assert_eq!(told(&facts(again(tried(7 * HOUR, 9)))), "stage");
    let asked = LastTry { not_before: Some(3 * HOUR), ..tried(HOUR, 1) };
    assert_eq!(told(&facts(again(asked))), "component", "the server asked for patience");
    let refused = |last| {
        let committing = State::Committing { target: held(1), attempts: 1 };
        ComponentCase { switch_refused: Some(last), ..case(committing, Mode::Auto) }
    };
    assert_eq!(told(&facts(refused(tried(Duration::from_secs(5), 1)))), "component");
    assert_eq!(told(&facts(refused(tried(HOUR, 9)))), "switch");
}

#[test]
fn switch_needs_a_window_or_enough_patience_and_no_inhibitor() {
    let staged = || case(State::Staged(held(1)), Mode::Auto);
    let open = rules(Mode::Stage, &["Fri 11:00-13:00"]);
    let at = |rules: &Rules, facts: &Facts| shown(&next(&noon(), &device(Saved::Idle), rules, facts));
    let switch = "SwitchComponent { component: \"core\" }";
    assert_eq!(at(&open, &facts(staged())), switch);
    assert_eq!(at(&rules(Mode::Stage, &[]), &facts(staged())), switch);
    let closed = Rules { force_after: Some(2 * HOUR), ..rules(Mode::Stage, &["Thu 11:00-12:00"]) };
    assert_eq!(at(&closed, &facts(staged())), "waits: component");
    let patient = ComponentCase { staged: Some(ago(2 * HOUR)), ..staged() };
    assert_eq!(at(&closed, &facts(patient)), switch);
    let urgent = Rules { security_force_after: Some(HOUR), ..closed.clone() };
    assert_eq!(at(&urgent, &facts(staged())), "waits: component");
    let fixes = ComponentCase { offered: Some(OfferedVersion { urgent: true, ..offered(1) }), ..staged() };
    assert_eq!(at(&urgent, &facts(fixes)), switch);

    let inhibitor = Inhibitor { owner: "lab".into(), reason: "x".into(), ends: noon().uptime + HOUR };
    for mode in [Mode::Reboot, Mode::Auto] {
        let case = ComponentCase { is_staged_before: true, ..case(State::Staged(held(1)), mode) };
        let held_off = Facts { inhibitors: vec![inhibitor.clone()], ..facts(case.clone()) };
        assert_eq!(at(&open, &held_off), "waits: component");
        let rolled_back = Facts { rollbacks: vec![ago(Duration::from_secs(60)); 3], ..facts(case.clone()) };
        assert_eq!(at(&open, &rolled_back), "waits: component");
        assert_eq!(at(&open, &facts(case)), switch);
    }
    let finished = case(State::Committing { target: held(1), attempts: 1 }, Mode::Auto);
    let held_off = Facts { inhibitors: vec![inhibitor], ..facts(finished) };
    assert_eq!(at(&open, &held_off), switch, "it is finished all the same");
}

#[test]
fn image_goes_first_and_what_was_begun_before_it() {
    let staged_image = staged();
    let auto = rules(Mode::Auto, &[]);
    let both = facts(case(State::Staged(held(1)), Mode::Auto));
    assert_eq!(shown(&next(&noon(), &staged_image, &auto, &both)), "Switch");
    let begun = facts(case(State::Committing { target: held(1), attempts: 1 }, Mode::Auto));
    assert!(shown(&next(&noon(), &staged_image, &auto, &begun)).starts_with("SwitchComponent"));
}

#[test]
fn wait_of_a_component_says_so_and_ends_when_its_window_opens() {
    let auto = rules(Mode::Auto, &["12:30-12:40"]);
    let facts = facts(case(State::Staged(held(1)), Mode::Auto));
    let Next::Sleep { until, why } = next(&noon(), &device(Saved::Idle), &auto, &facts) else { panic!() };
    assert_eq!(until - noon().uptime, Duration::from_secs(1800));
    assert!(
        why.to_string().starts_with("component core: waits for the maintenance window that opens"),
        "{why}"
    );
    assert_eq!(
        announced(&noon(), &device(Saved::Idle), &auto, &facts, until, &why),
        Some("component-resume")
    );
    assert!(matches!(why, Why::Component { .. }));
    let waits = Act::SwitchComponent { component: "core".into() };
    let json = serde_json::to_value(Next::Do { act: waits }).unwrap();
    assert_eq!(json["act"]["switch_component"]["component"], "core");
}
