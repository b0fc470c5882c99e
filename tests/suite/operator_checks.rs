//! The operator's checks in `/etc/bistable/check`: they run with the health check, and only if they are trusted.
use crate::{
    fixture::WORLD,
    pi::Pi,
    sysroot::{PI4, Sys},
};
use bistable_boot::layout::Partition;
use bistable_format::text::is_printable_char;
use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::PathBuf};

const REQUIRED: &str = "required.d/10-database";
const WANTED: &str = "wanted.d/20-modem";

fn check(pi: &Pi, name: &str, mode: u32) -> PathBuf {
    let path = pi.file(&format!("card.img.sim/root/etc/bistable/check/{name}"), b"#!/bin/sh\n");
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

/// The exit codes of the checks.
fn world(pi: &Pi, required: i32, wanted: i32) {
    let command = |name: &str, exit: i32| {
        format!("[commands.\"/etc/bistable/check/{name}\"]\nexit = {exit}\nsays = \"answer {exit}\"\n")
    };
    pi.world(&format!("{WORLD}\n{}{}", command(REQUIRED, required), command(WANTED, wanted)));
}

fn with_checks(required: i32, wanted: i32) -> Pi {
    let pi = Pi::new();
    world(&pi, required, wanted);
    check(&pi, REQUIRED, 0o755);
    check(&pi, WANTED, 0o755);
    pi
}

#[test]
fn operator_checks_run_with_health_and_only_a_required_one_fails_it() {
    let pi = with_checks(0, 3);
    let words = [
        "ok   health required.d/10-database (command): exit code 0: answer 0",
        "warn health wanted.d/20-modem (command): exit code 3: answer 3",
    ];
    pi.run("health").must(0, &words);
    pi.run("preflight").must(0, &["ok   operator's checks: 1 required, 1 wanted"]);
    world(&pi, 1, 0);
    pi.run("health").must(8, &["required.d/10-database not good within 60 s: exit code 1: answer 1"]);
    pi.is_unharmed();
}

#[test]
fn operator_checks_decide_a_trial() {
    for (answer, slot, version) in [(0, "B", "1.1.0"), (1, "A", "1.0.0")] {
        let pi = with_checks(answer, 1);
        let good = pi.good();
        pi.run_on("update", &good).must(0, &[]);
        let words = if answer == 0 { "the default now" } else { "required.d/10-database not good" };
        pi.run("resume").must(if answer == 0 { 0 } else { 8 }, &[words]);
        if answer == 1 {
            pi.run("resume").must(0, &[]);
        }
        pi.rests(slot, version);
    }
}

#[test]
fn an_untrusted_required_check_stops_an_update_before_anything_is_written() {
    let pi = with_checks(0, 0);
    let path = check(&pi, REQUIRED, 0o757);
    let why = format!("is not trusted: writable by other users (mode 0757): chmod go-w {}", path.display());
    pi.run("preflight").must(1, &["STOP operator's checks: required.d/10-database ", &why]);
    let good = pi.good();
    pi.run_on("update", &good).must(1, &["preflight failed: operator's checks", &why]);
    assert_eq!(pi.status()["state"], "idle");
    pi.is_unharmed();
    // Nothing was rejected: once it is fixed, the same release is taken.
    check(&pi, REQUIRED, 0o755);
    pi.run_on("update", &good).must(0, &[]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
}

#[test]
fn an_untrusted_required_check_ends_a_trial_and_rejects_nothing() {
    let pi = with_checks(0, 0);
    let good = pi.good();
    pi.run_on("update", &good).must(0, &[]);
    let path = check(&pi, REQUIRED, 0o644);
    let why = format!(
        "check required.d/10-database is not trusted: not executable (mode 0644): chmod u+x {}",
        path.display()
    );
    pi.run("resume").must(8, &[&why]);
    pi.run("resume")
        .must(0, &["release 1.1.0 in slot B is given up (could not be decided here: check required.d"]);
    went_back_untested(&pi);
    // The same release is refused while the check is wrong, and taken when it is right again.
    pi.run_on("update", &good).must(1, &["preflight failed: operator's checks"]);
    check(&pi, REQUIRED, 0o755);
    pi.takes_the_good_update();
}

#[track_caller]
fn went_back_untested(pi: &Pi) {
    let status = pi.rests("A", "1.0.0");
    assert_eq!(status["rejected"], serde_json::json!([]), "{status:#}");
    assert!(pi.run("history").must(0, &[]).out.contains("could not be decided here"));
}

#[test]
fn a_broken_configuration_ends_a_trial_and_rejects_nothing() {
    let pi = Pi::new();
    let good = pi.good();
    pi.run_on("update", &good).must(0, &[]);
    pi.config("[install]\nflush = 1\n");
    pi.run("resume").must(1, &["unknown key \"flush\""]);
    pi.config("");
    pi.run("resume").must(0, &[]);
    went_back_untested(&pi);
    pi.takes_the_good_update();
}

/// The configuration may be the new image's own, and right in the old one.
#[test]
fn the_third_trial_of_a_release_that_cannot_be_tested_is_its_last() {
    let pi = with_checks(0, 0);
    let good = pi.good();
    for rejected in [0, 0, 1] {
        check(&pi, REQUIRED, 0o755);
        pi.run_on("update", &good).must(0, &[]);
        check(&pi, REQUIRED, 0o775 | 0o002);
        pi.run("resume").must(8, &[]);
        pi.run("resume").must(0, &[]);
        let status = pi.rests("A", "1.0.0");
        assert_eq!(status["rejected"].as_array().unwrap().len(), rejected, "{status:#}");
    }
    check(&pi, REQUIRED, 0o755);
    pi.run_on("update", &good).must(6, &["rejected"]);
}

#[test]
fn no_trial_begins_while_the_configuration_would_fail_it() {
    for breaks in [true, false] {
        let pi = with_checks(0, 0);
        let good = pi.good();
        pi.run_on("install", &good).must(0, &[]);
        pi.run("arm").must(0, &[]);
        let before = pi.partition(Partition::State);
        let slip =
            || if breaks { pi.config("[install]\nflush = 1\n") } else { drop(check(&pi, REQUIRED, 0o757)) };
        slip();
        let (code, why) =
            if breaks { (1, "unknown key \"flush\"") } else { (75, "is not trusted: writable") };
        pi.run("reboot").must(code, &[why]);
        // A boot doesn't fail: the system that runs has proved itself.
        pi.run("resume").must(75, &[why]);
        assert!(pi.partition(Partition::State) == before, "nothing is saved");
        if breaks {
            pi.config("");
        } else {
            drop(check(&pi, REQUIRED, 0o755));
        }
        pi.run("reboot").must(0, &[]);
        pi.run("resume").must(0, &[]);
        pi.rests("B", "1.1.0");
    }
}

#[test]
fn an_untrusted_wanted_check_is_reported_and_not_run() {
    let pi = with_checks(0, 0);
    check(&pi, WANTED, 0o757);
    pi.run("preflight").must(0, &["note operator's checks: wanted.d/20-modem is not trusted"]);
    let words = "warn health wanted.d/20-modem (command): not run: writable by other users (mode 0757)";
    let health = pi.run("health --json").must(0, &[words]).json();
    let last = health["report"]["checks"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["standing"], &last["tries"]), (&"bad".into(), &0.into()), "{health:#}");
    let config = pi.run("config check").must(0, &[]);
    assert!(config.out.contains("wanted.d/20-modem: warning: is not run: writable"), "{config:#?}");
}

#[test]
fn a_name_cannot_work_the_terminal() {
    let pi = Pi::new();
    check(&pi, "wanted.d/10-\u{1b}[2J\u{9b}2J\u{202e}x", 0o757);
    for verb in
        ["health", "preflight", "config check", "health --json", "preflight --json", "config check --json"]
    {
        let ended = pi.run(verb).must(0, &[]);
        assert!(format!("{}{}", ended.out, ended.err).contains("[2J"), "{ended:#?}");
        for text in [&ended.out, &ended.err] {
            let wrong = text.chars().find(|c| !is_printable_char(*c) && *c != '\n');
            assert_eq!(wrong, None, "{verb}: {text:?}");
        }
    }
}

#[test]
fn configuration_that_others_can_write_is_refused() {
    let pi = Pi::new();
    pi.config("[install]\nflush_bytes = 33554432\n");
    let path = pi.path("card.img.sim/root/etc/bistable/config.d/50-test.toml");
    std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let why = format!("{0}: writable by other users (mode 0666): chmod go-w {0}", path.display());
    for verb in ["config check", "config show", "preflight", "self-test", "health"] {
        pi.run(verb).must(1, &[&why]);
    }
    let json = pi.run("config check --json").must(1, &[]).json();
    assert_eq!(json["problems"][0]["file"], path.display().to_string(), "{json:#}");
    let good = pi.good();
    pi.run_on("update", &good).must(1, &[&why]);
    pi.is_unharmed();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    pi.run("config check").must(0, &[]);
}

#[test]
fn a_plan_in_a_folder_that_others_can_write_is_refused() {
    let pi = Pi::new();
    let plan = pi.file("card.img.sim/root/etc/bistable/self-test.toml", b"");
    let folder = plan.parent().unwrap();
    std::fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    let why = format!("{0}: writable by other users (mode 0777): chmod go-w {0}", folder.display());
    pi.run("self-test").must(1, &[&plan.display().to_string(), &why]);
    std::fs::set_permissions(folder, Permissions::from_mode(0o1777)).unwrap();
    pi.run("self-test").must(0, &[]);
}

/// On the board's own ports the program is really started.
#[test]
fn an_operators_check_is_executed_and_its_exit_code_decides() {
    for (exit, code) in [(0, 0), (1, 8)] {
        let sys = Sys::new(PI4);
        sys.text("etc/bistable/self-test.toml", "");
        sys.text("etc/bistable/health.toml", "settle_s = 0\ndeadline_s = 1\n");
        let (name, wrote) = (format!("etc/bistable/check/{REQUIRED}"), sys.path("wrote"));
        sys.text(&name, &format!("#!/bin/sh\necho ran > '{}'\nexit {exit}\n", wrote.display()));
        std::fs::set_permissions(sys.path(&name), Permissions::from_mode(0o755)).unwrap();
        sys.run("health").must(code, &[&format!("{REQUIRED} (command): exit code {exit}")]);
        assert_eq!(std::fs::read_to_string(&wrote).unwrap(), "ran\n");
    }
}
