//! Rows of the table of what is missing (`src/docs/daemon.md`) that no other file of tests holds.
use crate::{
    daemon::{Run, follows},
    fixture::WORLD,
    pi::Pi,
    shop::NOW,
};
use bistable::serve::Backend;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn name_that_no_server_resolves_is_a_network_that_fails() {
    let pi = Pi::new();
    pi.world(&format!("time = {NOW}\n{WORLD}"));
    // A name that no resolver has: RFC 6761.
    let source = "[source]\nurls = [\"http://hub.invalid/repo\"]\nlimits.attempts = 1\n";
    pi.config(&format!("{source}[update]\nid = \"hub-7\"\nmode = \"auto\"\n"));
    let mut run = Run::on(&pi);
    run.rests(HOUR * 5);
    let why = run.handle.outlook().why.unwrap();
    assert!(why.contains("failed in a row"), "{why}");
    let events = pi.run("events --json --type update.check").must(0, &[]).json();
    let events = events["events"].as_array().unwrap();
    assert!(events.len() > 1, "{events:?}");
    for event in events {
        assert_eq!(
            (&event["data"]["class"], &event["data"]["severity"]),
            (&"network".into(), &"warning".into()),
            "{event}"
        );
    }
    pi.run("status").must(0, &[]);
    pi.slot_a_is_untouched();
}

#[test]
fn components_whose_engine_is_missing_hold_up_no_update_of_the_image() {
    let pi = Pi::new();
    follows(
        &pi,
        "mode = \"auto\"\n[component.web]\nkind = \"containers\"\nproject = \"hub\"\nservice = \"web\"\n",
    );
    let mut run = Run::on(&pi);
    assert!(run.goes_down_within(HOUR * 24), "{:?}", run.jobs());
    pi.run("resume").must(0, &["slot B is the default now"]);
    pi.rests("B", "1.1.0");
}
