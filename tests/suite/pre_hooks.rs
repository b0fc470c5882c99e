//! The operator's programs that may ask for patience.
use crate::{
    daemon::{Run, follows},
    fixture::WORLD,
    pi::Pi,
    shop::NOW,
};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

/// A program in a folder of hooks that ends like that.
fn hook(pi: &Pi, name: &str, exit: u8) -> PathBuf {
    let program = format!("/etc/bistable/hooks.d/{name}");
    let path = pi.file(&format!("card.img.sim/root{program}"), b"#!/bin/sh\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    pi.world(&format!(
        "time = {NOW}\n{WORLD}\n[commands.\"{program}\"]\nexit = {exit}\nsays = \"the press runs\"\n"
    ));
    path
}

fn failures(pi: &Pi) -> Vec<Value> {
    let all = pi.run("events --json --type hook.failed").must(0, &[]).json();
    all["events"].as_array().unwrap().clone()
}

fn state(pi: &Pi) -> String {
    pi.status()["state"].as_str().unwrap().to_owned()
}

#[test]
fn program_that_asks_for_patience_is_obeyed_before_anything_is_done() {
    let not_now = ["says not now: the press runs", "try again later"];
    for (name, verb, before) in [
        ("pre-install.d/10-press", "install", "idle"),
        ("pre-install.d/10-press", "update", "idle"),
        ("pre-switch.d/10-press", "arm", "staged"),
        ("pre-reboot.d/10-press", "reboot", "armed"),
    ] {
        let pi = Pi::new();
        follows(&pi, "mode = \"stage\"\n");
        if before != "idle" {
            pi.run("install").must(0, &[]);
        }
        if before == "armed" {
            pi.run("arm").must(0, &[]);
        }
        hook(&pi, name, 75);
        pi.run(verb).must(75, &not_now);
        assert_eq!(state(&pi), before, "{verb}");
        hook(&pi, name, 0);
        pi.run(verb).must(0, &[]);
        assert_ne!(state(&pi), before, "{verb}");
        assert!(failures(&pi).is_empty());
    }
}

#[test]
fn program_that_fails_or_is_not_trusted_is_reported_and_holds_nothing_up() {
    let pi = Pi::new();
    follows(&pi, "mode = \"stage\"\n");
    let path = hook(&pi, "pre-install.d/10-press", 3);
    pi.run("install").must(0, &[]);
    assert_eq!((state(&pi).as_str(), failures(&pi).len()), ("staged", 1));
    assert_eq!(failures(&pi)[0]["data"]["reason"], "exit code 3: the press runs");
    let loose = hook(&pi, "pre-switch.d/10-press", 75);
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o777)).unwrap();
    fs::remove_file(path).unwrap();
    pi.run("arm").must(0, &[]);
    assert_eq!((state(&pi).as_str(), failures(&pi).len()), ("armed", 2));
}

#[test]
fn daemon_waits_while_a_program_asks_for_it() {
    let pi = Pi::new();
    follows(&pi, "mode = \"auto\"\n");
    hook(&pi, "pre-switch.d/10-press", 75);
    let mut run = Run::on(&pi);
    run.rests(Duration::from_secs(6 * 3600));
    assert_eq!(state(&pi), "staged", "{:?}", run.jobs());
    hook(&pi, "pre-switch.d/10-press", 0);
    assert!(run.goes_down_within(Duration::from_secs(3600)), "{:?}", run.jobs());
}

#[test]
fn boot_asks_no_program() {
    let pi = Pi::new();
    follows(&pi, "mode = \"reboot\"\n");
    pi.run("install").must(0, &[]);
    for folder in ["pre-install.d", "pre-switch.d", "pre-reboot.d"] {
        hook(&pi, &format!("{folder}/10-press"), 75);
    }
    pi.run("sim power cycle").must(0, &[]);
    pi.run("resume").must(0, &[]);
    assert_eq!(state(&pi), "on trial");
}
