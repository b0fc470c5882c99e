//! The daemon updates components as their modes say.
use crate::{
    component_channel::{self, offer},
    components::{CONFIG, core},
    daemon::{Run, held_off},
    pi::Pi,
    shop::{DAY, NOW, shop},
};
use bistable::{serve::Backend as _, source::Memory};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}

/// A device whose component has that mode, and a channel that offers 1.0.0 of it.
fn follows(mode: &str, update: &str) -> (Pi, Memory) {
    let (pi, mut shop) = (component_channel::pi(), shop());
    let url = pi.path("shop").display().to_string();
    pi.config(&format!(
        "{CONFIG}mode = \"{mode}\"\n[source]\nurls = [\"{url}\"]\n[update]\nid = \"hub-7\"\n{update}"
    ));
    offer(&pi, &mut shop, 1, &["1.0.0"], |_| {});
    (pi, shop)
}

fn version_and_state(pi: &Pi) -> (Value, Value) {
    let core = core(pi);
    (core["version"].clone(), core["state"].clone())
}

/// How often the daemon did that, in vain or not.
fn times(run: &Run, operation: &str) -> usize {
    run.jobs().iter().filter(|(done, _)| done == operation).count()
}

#[test]
fn component_that_is_left_alone_gets_what_its_mode_allows() {
    for (mode, version, state, jobs) in [
        ("check", json!(null), "idle", &["check"][..]),
        ("stage", json!(null), "staged", &["check", "component-install"]),
        ("reboot", json!(null), "staged", &["check", "component-install"]),
        ("auto", json!("1.0.0"), "idle", &["check", "component-install", "component-resume"]),
    ] {
        let (pi, _) = follows(mode, "");
        let mut run = Run::on(&pi);
        run.rests(HOUR * 2);
        let done: Vec<_> = run.jobs();
        let expected: Vec<_> = jobs.iter().map(|job| ((*job).to_owned(), 0)).collect();
        assert_eq!(done, expected, "{mode}");
        assert_eq!(version_and_state(&pi), (version, json!(state)), "{mode}");
        // A day later nothing more was done but looks.
        run.rests(days(2));
        assert_eq!(run.jobs().len(), jobs.len() + times(&run, "check") - 1, "{mode}");
        if mode == "stage" {
            let why = run.handle.outlook().why.unwrap();
            assert!(why.contains("bistable component resume core"), "{why}");
            pi.run("component resume core").must(0, &["1.0.0 is committed"]);
        }
        if mode == "reboot" {
            pi.run("sim power cycle").must(0, &[]);
            pi.run("component links").must(0, &[]);
            Run::on(&pi).rests(HOUR);
            assert_eq!(version_and_state(&pi), (json!("1.0.0"), json!("idle")));
        }
        pi.slot_a_is_untouched();
    }
}

#[test]
fn component_waits_for_its_window_and_for_whoever_holds_it_off() {
    // NOW is a Friday at 08:00 UTC.
    let (pi, _) = follows("auto", "windows = [\"Sat 02:00-03:00\"]\n");
    let mut run = Run::on(&pi);
    run.rests(Duration::from_secs(18 * 3600 - 90));
    assert_eq!(version_and_state(&pi), (json!(null), json!("staged")));
    let why = run.handle.outlook().why.unwrap();
    assert!(why.starts_with("component core: waits for the maintenance window"), "{why}");
    let file = held_off(&pi, "a measurement\n", NOW + 18 * 3600 - 90);
    run.handle.nudge();
    run.rests(HOUR / 2);
    assert_eq!(version_and_state(&pi).1, json!("staged"), "under an inhibitor");
    let why = run.handle.outlook().why.unwrap();
    assert!(why.contains("a measurement"), "{why}");
    std::fs::remove_file(file).unwrap();
    run.handle.nudge();
    run.rests(HOUR / 4);
    assert_eq!(version_and_state(&pi), (json!("1.0.0"), json!("idle")));
}

/// A bad version costs one trial, however long it is on offer.
#[test]
fn version_that_failed_is_not_tried_again_and_the_next_one_is() {
    let (pi, mut shop) = follows("auto", "");
    let mut run = Run::on(&pi);
    run.rests(HOUR * 2);
    offer(&pi, &mut shop, 2, &["1.1.0", "1.0.0"], |_| {});
    run.rests(days(9));
    assert_eq!(
        (times(&run, "component-install"), times(&run, "component-resume")),
        (2, 2),
        "{:?}",
        run.jobs()
    );
    assert_eq!(version_and_state(&pi), (json!("1.0.0"), json!("idle")));
    offer(&pi, &mut shop, 3, &["1.1.0", "1.0.1"], |_| {});
    run.rests(days(2));
    assert_eq!(version_and_state(&pi), (json!("1.0.1"), json!("idle")));
}

#[test]
fn too_many_rollbacks_end_updates_until_an_operator_looked_into_it() {
    let (pi, mut shop) = follows("auto", "max_rollbacks = 1\n");
    let mut run = Run::on(&pi);
    run.rests(HOUR * 2);
    offer(&pi, &mut shop, 2, &["1.1.0"], |_| {});
    run.rests(days(2));
    let halted = core(&pi);
    assert_eq!((&halted["lifecycle"], &halted["version"]), (&json!("failed"), &json!("1.0.0")));
    let metrics = pi.run("metrics").must(0, &[]).out;
    assert!(metrics.contains("bistable_component_halted{component=\"core\"} 1"), "{metrics}");
    let told = pi.run("events --type component.halted --json").must(0, &[]).json();
    let event = &told["events"][0];
    assert_eq!(
        (&event["priority"], &event["data"]["ended"]["result"]),
        (&json!("critical"), &json!("rolled_back"))
    );

    offer(&pi, &mut shop, 3, &["1.0.1"], |_| {});
    run.rests(days(2));
    assert_eq!(core(&pi)["version"], json!("1.0.0"));
    let why = run.handle.outlook().why.unwrap();
    assert!(why.contains("bistable component reset core"), "{why}");
    pi.run("component update core").must(1, &["1 within an hour", "bistable component reset core"]);
    pi.run("component reset core").must(0, &[]);
    run.handle.nudge();
    run.rests(HOUR);
    assert_eq!(version_and_state(&pi), (json!("1.0.1"), json!("idle")), "{:?}", run.jobs());
}
