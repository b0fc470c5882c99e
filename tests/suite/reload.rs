//! A configuration that changes while the daemon runs, for better or worse; and what a process brings of its own.
use crate::{
    daemon::{Run, follows},
    daemon_process::Daemon,
    pi::{Pi, end},
    signals::until,
};
use bistable::serve::Backend;
use serde_json::Value;
use std::{fs, path::Path, process::Stdio, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);

fn events(pi: &Pi, kind: &str) -> Vec<Value> {
    let found = pi.run(&format!("events --json --type {kind}")).must(0, &[]).json();
    found["events"].as_array().unwrap().clone()
}

#[test]
fn configuration_that_turns_bad_changes_nothing_is_reported_once_and_shown() {
    let pi = Pi::new();
    let repo = follows(&pi, "mode = \"check\"\n");
    let mut run = Run::on(&pi);
    run.rests(HOUR * 2);
    let bad =
        format!("[source]\nurls = [{:?}]\n[update]\nid = \"hub-7\"\nmode = \"auto\"\nmod = 1\n", repo.url());
    pi.config(&bad);
    run.handle.nudge();
    run.rests(Duration::from_secs(86_400 * 2));
    // It looked, and did not follow: what is right in a file that has a problem doesn't count either.
    assert_eq!(pi.status()["state"], "idle");
    assert!(
        run.jobs().iter().filter(|(what, exit)| what == "check" && *exit == 0).count() >= 2,
        "{:?}",
        run.jobs()
    );
    let why = run.handle.outlook().why.unwrap();
    assert!(
        why.contains("the configuration of before still counts") && why.contains("unknown key \"mod\""),
        "{why}"
    );
    let rejected = events(&pi, "config.rejected");
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!(rejected[0]["data"]["problems"][0]["line"], 6, "{}", rejected[0]);
    // Made right, it counts: within the minute, and the log says which keys differ and who noticed.
    follows_again(&pi, &repo.url(), "staging-desk");
    run.handle.nudge();
    run.rests(HOUR);
    let why = run.handle.outlook().why.unwrap();
    assert!(!why.contains("still counts"), "{why}");
    let changed = events(&pi, "config.changed");
    let last = changed.last().unwrap();
    assert_eq!(last["data"]["keys"], serde_json::json!(["update.group"]), "{last}");
    assert_eq!(last["data"]["by"]["source"], "schedule", "{last}");
}

fn follows_again(pi: &Pi, url: &str, group: &str) {
    pi.config(&format!(
        "[source]\nurls = [{url:?}]\n[update]\nid = \"hub-7\"\nmode = \"check\"\ngroup = {group:?}\n"
    ));
}

#[test]
fn daemon_that_starts_with_a_bad_configuration_waits_for_a_good_one() {
    let pi = Pi::new();
    let repo = follows(&pi, "mode = \"check\"\nmod = 1\n");
    let mut run = Run::on(&pi);
    run.rests(HOUR * 3);
    assert!(run.handle.outlook().why.unwrap().contains("unknown key \"mod\""));
    assert_eq!(run.jobs(), []);
    follows_again(&pi, &repo.url(), "desk");
    run.handle.nudge();
    run.rests(HOUR * 3);
    assert_eq!(run.jobs(), [("check".to_owned(), 0)]);
}

#[test]
fn reload_waits_for_the_daemons_answer_and_fails_on_a_bad_configuration() {
    let pi = Pi::new();
    let repo = follows(&pi, "mode = \"check\"\n");
    let daemon = Daemon::start(&pi);
    let socket = pi.path("api.sock");
    let reload = format!("config reload --socket {}", socket.display());
    // What it found when it started is in the log, so that what follows is the change.
    until("it has reported what it started with", || {
        daemon.get("/v1/events?type=config.changed")["events"].as_array().is_some_and(|all| !all.is_empty())
    });
    follows_again(&pi, &repo.url(), "desk");
    let told = pi.run_once_free(&reload).must(0, &[]);
    assert_eq!(told.out, "the daemon uses 1 file\n");
    until("the change is in the log", || {
        let found = daemon.get("/v1/events?type=config.changed");
        let events = found["events"].as_array().unwrap();
        events.iter().any(|event| {
            event["data"]["keys"].to_string().contains("update.group") && event["data"]["by"]["uid"].is_u64()
        })
    });
    pi.config("[update]\ngrup = \"desk\"\n");
    let refused =
        pi.run_once_free(&reload).must(1, &["the daemon keeps the configuration that it has", "grup"]);
    assert!(!refused.err.contains("desk"), "no value is shown: {}", refused.err);
    let told = pi.run_once_free(&format!("{reload} --json")).must(1, &[]).json();
    assert_eq!(told["code"], "config", "{told:#}");
    until("it says so", || {
        let live = daemon.get("/v1/health/live");
        live["why"].as_str().is_some_and(|why| why.contains("the configuration of before still counts"))
    });
    drop(daemon);
    pi.run(&reload).must(1, &["api.sock"]);
}

#[test]
fn environment_is_the_process_own_and_is_not_passed_to_the_daemon() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let with = |line: &str, variable: &str, value: &str| {
        let mut command = pi.command();
        command.args(line.split(' ')).env(variable, value);
        end(command, line)
    };
    let shown = with("config show", "BISTABLE_UPDATE__GROUP", "hall").must(0, &[]);
    assert!(
        shown.out.contains("group = \"hall\"") && shown.out.contains("# $BISTABLE_UPDATE__GROUP"),
        "{}",
        shown.out
    );
    let over = with("config show", "BISTABLE_UPDATE__MODE", "auto").must(0, &[]);
    assert!(
        over.out.contains("# $BISTABLE_UPDATE__MODE, over ") && over.out.contains("(\"check\")"),
        "{}",
        over.out
    );
    with("config check", "BISTABLE_UPDATE__MOD", "auto")
        .must(1, &["$BISTABLE_UPDATE__MOD", "there is no setting update.mod"]);
    // Events don't go back and forth between a process with it and one without.
    pi.run("resume").must(0, &[]);
    let before = events(&pi, "config.changed").len();
    with("resume", "BISTABLE_UPDATE__GROUP", "hall").must(0, &[]);
    assert_eq!(events(&pi, "config.changed").len(), before);
    let daemon = Daemon::start(&pi);
    let reload = format!("config reload --socket {}", pi.path("api.sock").display());
    with(&reload, "BISTABLE_UPDATE__GROUP", "hall").must(0, &[]);
    let config = daemon.get("/v1/config");
    let group = config["settings"].as_array().unwrap().iter().find(|s| s["name"] == "update.group").unwrap();
    assert_eq!(group["value"], Value::Null, "{group}");
}

#[test]
fn credentials_are_the_strongest_folder_of_fragments() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let folder = pi.path("credentials");
    pi.file(
        "credentials/60-secret.toml",
        b"[webhook.ops]\nurl = 'https://ops.example/x'\n[update]\nmode = 'stage'\n",
    );
    pi.file("credentials/password", b"\xff is no fragment");
    let shown = |folder: &Path| {
        let mut command = pi.command();
        command.args(["config", "show"]).env("CREDENTIALS_DIRECTORY", folder);
        end(command, "config show")
    };
    let out = shown(&folder).must(0, &[]).out;
    assert!(
        out.contains("60-secret.toml") && out.contains("mode = \"stage\"") && out.contains("[webhook.ops]"),
        "{out}"
    );
    let out = shown(&pi.path("nowhere")).must(0, &[]).out;
    assert!(!out.contains("webhook.ops") && out.contains("mode = \"check\""), "{out}");
}

/// As after an upgrade of the package: nothing that runs is disturbed, and the old program does not stay.
#[test]
fn daemon_whose_program_was_replaced_ends_when_it_has_nothing_to_do() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let program = pi.path("bistable");
    let original = pi.command();
    fs::copy(original.get_program(), &program).unwrap();
    let mut command = std::process::Command::new(&program);
    command.args(original.get_args());
    for (name, value) in original.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let socket = pi.path("api.sock");
    command.args(["daemon", "--socket"]).arg(&socket);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut daemon = command.spawn().unwrap();
    let answers = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    until("it answers", answers);
    let wake = format!("config reload --socket {}", socket.display());
    pi.run_once_free(&wake).must(0, &[]);
    assert!(daemon.try_wait().unwrap().is_none(), "its program is there");
    // As dpkg does it: another file takes the name.
    fs::copy(original.get_program(), pi.path("bistable.new")).unwrap();
    fs::rename(pi.path("bistable.new"), &program).unwrap();
    until("it ends", || {
        let _ = pi.run(&wake);
        daemon.try_wait().unwrap().is_some()
    });
    assert_eq!(daemon.wait().unwrap().code(), Some(75));
}
