//! The health of the running release after its commit: watched by a daemon that runs, and what follows from it.
use crate::{
    daemon::{Run, follows},
    daemon_process::Daemon,
    fixture::WORLD,
    pi::Pi,
    shop::NOW,
    signals::until,
};
use bistable::daemon::Sick;
use nix::sys::signal::Signal;
use std::time::Duration;

/// The service that the profile asks for.
fn app_is(pi: &Pi, state: &str) {
    pi.world(&format!("time = {NOW}\n{}", WORLD.replace("\"active\"", &format!("{state:?}"))));
}

fn changes(pi: &Pi) -> Vec<(Option<bool>, String)> {
    let all = pi.run("events --json --type health.changed").must(0, &[]).json();
    let change = |event: &serde_json::Value| {
        (event["data"]["healthy"].as_bool(), event["data"]["reason"].as_str().unwrap_or_default().to_owned())
    };
    all["events"].as_array().unwrap().iter().map(change).collect()
}

#[test]
fn running_release_is_watched_and_only_changes_are_events_also_across_restarts() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    // Is it healthy, how many changes were reported by then.
    for (state, healthy, reported) in [
        ("active", true, 0),
        ("failed", false, 1),
        ("failed", false, 1),
        ("active", true, 2),
        ("active", true, 2),
    ] {
        app_is(&pi, state);
        let daemon = Daemon::start(&pi);
        let ready = || daemon.ask("GET", "/v1/health/ready", "");
        until("it was looked at", || ready().1["healthy"].is_boolean());
        let (status, body) = ready();
        assert_eq!(
            (status, body["healthy"].as_bool()),
            (if healthy { 200 } else { 503 }, Some(healthy)),
            "{body:#}"
        );
        assert_eq!(body["version"], "1.0.0");
        assert!(body["checks"].as_array().is_some_and(|checks| !checks.is_empty()), "{body:#}");
        assert_eq!(body["reason"].is_string(), !healthy, "{body:#}");
        until("what changed is reported", || changes(&pi).len() >= reported);
        let text = daemon.text("/v1/metrics");
        assert!(text.contains(&format!("\nbistable_healthy {}\n", u8::from(healthy))), "{text}");
        assert!(text.contains("\nbistable_health_check_seconds "), "{text}");
        daemon.end(Signal::SIGKILL);
        assert_eq!(changes(&pi).len(), reported, "{state}: {:?}", changes(&pi));
    }
    assert_eq!(changes(&pi)[0].0, Some(false));
    assert!(changes(&pi)[0].1.contains("failed"), "{:?}", changes(&pi));
    // No pin was driven, and nothing went back.
    pi.rests("A", "1.0.0");
}

#[test]
fn unhealthy_release_is_gone_back_from_once_and_does_not_come_back_by_itself() {
    let pi = Pi::new();
    follows(&pi, "mode = \"auto\"\n");
    let mut run = Run::on(&pi);
    assert!(run.goes_down_within(Duration::from_secs(86_400)));
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
    let status = pi.status();
    let release =
        status["slots"]["b"]["release"]["full"].as_str().unwrap_or_else(|| panic!("{status:#}")).to_owned();
    let sick = || Sick { version: "1.1.0".into(), release: release.clone(), reason: "app: failed".into() };
    let mut run = Run::on(&pi);
    run.handle.sick(sick());
    assert!(run.goes_down_within(Duration::from_secs(3600)), "{:?}", run.jobs());
    pi.run("resume").must(0, &[]);
    pi.rests("A", "1.0.0");
    assert_eq!(pi.status()["rejected"][0]["version"], "1.1.0", "its health check failed");
    let all = pi.run("events --json --type health.revert --type audit.request").must(0, &[]).json();
    let types: Vec<&str> =
        all["events"].as_array().unwrap().iter().filter_map(|e| e["type"].as_str()).collect();
    let at = types
        .iter()
        .position(|kind| *kind == "health.revert")
        .unwrap_or_else(|| panic!("{}", pi.run("events").out));
    assert_eq!(
        types.get(at + 1),
        Some(&"audit.request"),
        "it is in the log before anything is done: {types:?}"
    );
    // The channel still offers it, and the daemon leaves it alone.
    let mut run = Run::on(&pi);
    run.rests(Duration::from_secs(3 * 86_400));
    pi.rests("A", "1.0.0");
    // A person may take it again; then it is not gone back from a second time.
    pi.run("update --retry-rejected").must(0, &[]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
    let mut run = Run::on(&pi);
    run.handle.sick(sick());
    run.rests(Duration::from_secs(86_400));
    pi.rests("B", "1.1.0");
}

#[test]
fn without_a_log_that_lasts_nothing_is_gone_back_from() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    // Where the partition should be is a file.
    std::fs::remove_dir_all(pi.path("card.img.sim/persistent")).ok();
    pi.file("card.img.sim/persistent", b"");
    let release = pi.status()["slots"]["a"]["release"]["full"].as_str().unwrap().to_owned();
    let mut run = Run::on(&pi);
    run.handle.sick(Sick { version: "1.0.0".into(), release, reason: "app: failed".into() });
    run.rests(Duration::from_secs(3600));
    assert!(run.jobs().iter().all(|(operation, _)| operation != "revert"), "{:?}", run.jobs());
}

#[test]
fn device_without_another_release_stays_and_tries_that_once() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let release = pi.status()["slots"]["a"]["release"]["full"].as_str().unwrap().to_owned();
    let mut run = Run::on(&pi);
    for _ in 0..5 {
        run.handle.sick(Sick {
            version: "1.0.0".into(),
            release: release.clone(),
            reason: "app: failed".into(),
        });
        run.rests(Duration::from_secs(3600));
    }
    let reverts = run.jobs().iter().filter(|(operation, _)| operation == "revert").count();
    assert_eq!(reverts, 1, "{:?}", run.jobs());
}
