//! What a user sees of an update, and of each that can't be.
use super::desk::{CORE, Desk, UNIT, component_error, files, made, made_of};
use crate::{
    app::Code,
    component::{ComponentError, ComponentStep as Step},
    error::Exit,
    ports::ComponentStore as _,
};
use bistable_boot::{
    Reason,
    component::{Lifecycle, State},
};
use std::collections::BTreeMap;

#[test]
fn an_update_runs_its_steps_in_order_and_keeps_the_version_before() {
    let (old, new) = (made("1.0.0", "good"), made("1.1.0", "good"));
    let mut desk = Desk::with(None, &[&old]);
    desk.update(&new).unwrap();
    let steps = [
        Step::Preflight,
        Step::Unpack,
        Step::Sync,
        Step::SelfTest,
        Step::Stop,
        Step::Switch,
        Step::Start,
        Step::Health,
        Step::Commit,
        Step::CleanUp,
    ];
    assert_eq!(desk.steps, steps);
    assert_eq!(desk.component().current, Some(new.held()));
    assert_eq!(desk.component().kept, [old.held()]);
    assert_eq!(desk.services.running(UNIT), Some(new.name()));
    assert!(desk.store.stored(CORE, &old.name()).is_some(), "the way back stays");
}

#[test]
fn only_as_many_versions_as_can_be_gone_back_to_are_kept() {
    let made: Vec<_> = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"].map(|v| made(v, "good")).into();
    let desk = Desk::with(None, &made.iter().collect::<Vec<_>>());
    let left = desk.store.clone().versions(CORE).unwrap();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(desk.store.stored(CORE, &made[0].name()).is_none());
}

#[test]
fn an_unhealthy_version_is_given_up_and_rejected_and_the_old_one_runs() {
    for (behavior, detail) in
        [("sick", "HTTP status 500"), ("dead", "failed"), ("restarting", "restarted, 3 times")]
    {
        let (old, new) = (made("1.0.0", "good"), made("1.1.0", behavior));
        let mut desk = Desk::with(None, &[&old]);
        let e = desk.update(&new).unwrap_err();
        assert_eq!((e.exit(), Code::of(&e)), (Exit::Health, Code::Health));
        let ComponentError::GivenUp { failure, is_back, .. } = component_error(e) else { panic!() };
        assert_eq!((failure.reason, is_back), (Reason::Health, true));
        assert!(failure.detail.as_str().contains(detail), "{failure}");
        assert_eq!(desk.component().current, Some(old.held()));
        assert!(desk.component().rejection(&new.held().release).is_some());
        assert_eq!(desk.services.running(UNIT), Some(old.name()));
        assert!(desk.store.stored(CORE, &new.name()).is_none(), "what nothing needs is removed");
    }
}

#[test]
fn an_endpoint_that_the_old_process_answers_does_not_pass() {
    let old = made("1.0.0", "good");
    // It says of itself what it is not.
    let lying = made_of("1.1.0", files("1.1.0", "good"), |release| {
        release.health =
            release.health.replace("expect_version = true", "contains = \"1.1.0\"\nexpect_version = true");
    });
    let mut desk = Desk::with(Some(super::mutant::Mutant::OldProcess), &[&old]);
    let e = desk.update(&lying).unwrap_err();
    assert_eq!(e.exit(), Exit::Health, "{e}");
}

#[test]
fn a_failed_self_test_refuses_it_before_anything_is_stopped() {
    let old = made("1.0.0", "good");
    let new = made_of("1.1.0", files("1.1.0", "good"), |release| {
        release.self_tests =
            "[[test]]\nname = \"fan\"\nkind = \"level\"\npin = 4\nexpect = \"high\"\npull = \"down\"\n"
                .into();
    });
    let mut desk = Desk::with(None, &[&old]);
    let e = desk.update(&new).unwrap_err();
    assert_eq!(e.exit(), Exit::SelfTest);
    assert!(!desk.steps.contains(&Step::Stop));
    assert_eq!(desk.component().state, State::Idle);
    assert!(desk.component().rejection(&new.held().release).is_some());
}

#[test]
fn what_does_not_fit_is_refused_by_its_name_and_nothing_is_rejected() {
    let old = made("1.0.0", "good");
    let image = made_of("1.1.0", files("1.1.0", "good"), |release| release.component = Some("other".into()));
    let mut absent = files("1.1.0", "good");
    absent.remove("VERSION");
    let wrong: BTreeMap<_, _> = files("1.2.0", "good");
    let cases = [
        (image, Exit::Incompatible, "other 1.1.0"),
        (made_of("1.1.0", absent, |_| {}), Exit::Incompatible, "VERSION in component core 1.1.0 says \"\""),
        (made_of("1.1.0", wrong, |_| {}), Exit::Incompatible, "says \"1.2.0\""),
    ];
    for (made, exit, text) in cases {
        let mut desk = Desk::with(None, &[&old]);
        let e = desk.update(&made).unwrap_err();
        assert_eq!(e.exit(), exit, "{e}");
        assert!(e.to_string().contains(text), "{e}");
        assert_eq!(desk.component().state, State::Idle);
        assert!(desk.component().rejected.is_empty(), "I16");
        assert_eq!(desk.services.running(UNIT), Some(old.name()));
    }
}

#[test]
fn an_archive_that_breaks_the_rules_is_never_unpacked_twice() {
    let old = made("1.0.0", "good");
    let mut bad = made("1.1.0", "good");
    // The third header's checksum.
    bad.tar[2 * 1024 + 148] ^= 1;
    let mut desk = Desk::with(None, &[&old]);
    let e = desk.update(&bad).unwrap_err();
    assert_eq!(e.exit(), Exit::Incompatible, "{e}");
    assert_eq!(desk.component().state, State::Idle);
    assert!(desk.store.stored(CORE, &bad.name()).is_none());
}

#[test]
fn preflight_refuses_before_anything_is_fetched() {
    let (old, new) = (made("1.0.0", "good"), made("1.1.0", "good"));
    let refused = |change: &dyn Fn(&mut Desk)| {
        let mut desk = Desk::with(None, &[&old]);
        change(&mut desk);
        let e = desk.update(&new).unwrap_err();
        assert_eq!(desk.component().state, State::Idle, "{e}");
        assert_eq!(desk.steps, [Step::Preflight], "{e}");
        component_error(e)
    };
    let e = refused(&|desk| desk.store.set_free(1 << 20));
    assert!(matches!(e, ComponentError::Space { .. }), "{e}");
    let e = refused(&|desk| desk.directory().path = "/opt/core/elsewhere".into());
    assert!(matches!(e, ComponentError::Path { .. }) && e.to_string().contains("ln -s"), "{e}");
    let e = refused(&|desk| desk.directory().unit = "other.service".into());
    assert!(matches!(&e, ComponentError::Unit { state, .. } if state == "missing"), "{e}");
    let e = refused(&|desk| desk.services.lose());
    assert!(matches!(&e, ComponentError::Unit { state, .. } if state == "inactive"), "{e}");
}

#[test]
fn another_offer_makes_an_unfinished_installation_go() {
    let (old, mut broken, new) = (made("1.0.0", "good"), made("1.1.0", "good"), made("1.2.0", "good"));
    broken.tar.truncate(1024);
    let mut desk = Desk::with(None, &[&old]);
    let e = desk.update(&broken).unwrap_err();
    assert_eq!(e.exit(), Exit::Incompatible, "{e}");
    desk.update(&new).unwrap();
    assert_eq!(desk.component().current, Some(new.held()));
    assert!(desk.store.stored(CORE, &broken.name()).is_none());
}

#[test]
fn a_stored_release_that_was_changed_is_not_believed() {
    let (old, new) = (made("1.0.0", "good"), made("1.1.0", "good"));
    let mut desk = Desk::with(None, &[&old]);
    let mut content = new.clone();
    desk.act(|updater| updater.install(&mut content)).unwrap();
    desk.store.keep_release(CORE, &new.name(), b"other").unwrap();
    let e = desk.act(|updater| updater.run()).unwrap_err();
    assert_eq!(e.exit(), Exit::Untrusted, "{e}");
    assert_eq!(desk.services.running(UNIT), Some(old.name()));
}

#[test]
fn a_first_version_that_fails_leaves_a_failed_component_that_another_offer_mends() {
    let (bad, good) = (made("1.0.0", "sick"), made("1.0.1", "good"));
    let mut desk = Desk::empty(None);
    let e = desk.update(&bad).unwrap_err();
    assert!(matches!(component_error(e), ComponentError::GivenUp { is_back: false, .. }));
    assert_eq!(Lifecycle::from(&desk.component()), Lifecycle::Failed);
    desk.update(&good).unwrap();
    assert_eq!(Lifecycle::from(&desk.component()), Lifecycle::Running);
}

#[test]
fn an_operator_goes_back_to_a_kept_version_without_a_byte_fetched() {
    let (old, new) = (made("1.0.0", "good"), made("1.1.0", "good"));
    let mut desk = Desk::with(None, &[&old, &new]);
    desk.act(|updater| updater.return_to(&old.held())).unwrap();
    assert!(!desk.steps.contains(&Step::Unpack));
    assert_eq!(desk.component().current, Some(old.held()));
    assert_eq!(desk.services.running(UNIT), Some(old.name()));
    let rejected = desk.component().rejection(&new.held().release).map(|r| r.failure.reason);
    assert_eq!(rejected, Some(Reason::Operator), "what was left does not come back by itself");
}

#[test]
fn a_stopped_component_stays_stopped_across_boots() {
    let old = made("1.0.0", "good");
    let mut desk = Desk::with(None, &[&old]);
    desk.act(|updater| updater.set_stopped(true)).unwrap();
    assert_eq!(desk.services.running(UNIT), None);
    desk.power_cycle(crate::board::memory::Loss::All);
    assert_eq!(desk.services.running(UNIT), None);
    assert_eq!(desk.update(&made("1.1.0", "good")).unwrap_err().exit(), Exit::Failed);
    desk.act(|updater| updater.set_stopped(false)).unwrap();
    assert_eq!(desk.services.running(UNIT), Some(old.name()));
}

#[test]
fn third_rollback_within_an_hour_ends_updates_until_a_reset() {
    let old = made("1.0.0", "good");
    let mut desk = Desk::with(None, &[&old]);
    for (version, is_halted) in [("1.1.0", false), ("1.2.0", false), ("1.3.0", true)] {
        desk.update(&made(version, "sick")).unwrap_err();
        assert_eq!(desk.component().is_halted(), is_halted, "{version}");
        assert_eq!(desk.services.running(UNIT), Some(old.name()), "it runs all the same");
    }
    let good = made("1.4.0", "good");
    let ComponentError::Refused { refused, .. } = component_error(desk.update(&good).unwrap_err()) else {
        panic!()
    };
    assert_eq!(refused.event, "an update after too many rollbacks");
    assert_eq!(Lifecycle::from(&desk.component()), Lifecycle::Failed);
    desk.act(|updater| updater.reset()).unwrap();
    desk.update(&good).unwrap();
    assert_eq!(desk.component().current, Some(good.held()));
}
