//! Kills of the daemon and power cuts at random moments, many of them: no device is lost, no durable event is lost, no number is used
//! twice, and nothing is tried again that has its verdict. A cut at *every* write is `cargo prove`'s, in the scenarios `followed`.
use crate::{
    daemon::{Run, follows},
    daemon_process::Daemon,
    pi::Pi,
};
use bistable_kit::{dice::Dice, ledger::Ledger};
use serde_json::Value;
use std::{fs, time::Duration};

/// As many as a test in CI may cost, and as many as a release has to survive.
const FEW: u64 = 10;
const MANY: u64 = 2000;

/// Look at the log of the device.
#[track_caller]
fn look(seen: &mut Ledger, pi: &Pi, when: &str) {
    let log = pi.run_once_free("events --json").must(0, &[]).json();
    seen.look(&log).unwrap_or_else(|e| panic!("{when}: {e}"));
}

fn state(pi: &Pi) -> String {
    pi.run_once_free("status --json").must(0, &[]).json()["state"].as_str().unwrap().to_owned()
}

fn is_committed(pi: &Pi) -> bool {
    let status = pi.run_once_free("status --json").must(0, &[]).json();
    status["state"] == "idle" && status["default"] == "B"
}

/// The daemon is killed while it does what it was asked for, again and again, until the update is through; how often.
fn killed(dice: &mut Dice) -> u64 {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let (mut seen, mut kills) = (Ledger::default(), 0);
    while !is_committed(&pi) {
        assert!(kills < 200, "it never gets there: {:#}", pi.status());
        // What a boot does, where the machine went down.
        if !["idle", "installing", "staged", "armed"].contains(&state(&pi).as_str()) {
            pi.run_once_free("resume").must(0, &[]);
            look(&mut seen, &pi, "after a boot");
            continue;
        }
        let daemon = Daemon::start(&pi);
        let (code, job) = daemon.ask("POST", "/v1/update", "{}");
        // Later and later, so that it gets there on a slow machine, too.
        let mut looks = if code == 202 { dice.roll(60 + 20 * kills) } else { 0 };
        while looks > 0 && job["id"].as_str().is_some_and(|id| is_under_way(&daemon, id)) {
            looks -= 1;
        }
        daemon.kill();
        kills += 1;
        look(&mut seen, &pi, "after a kill");
        pi.slot_a_is_untouched();
    }
    look(&mut seen, &pi, "at the end");
    seen.is_decided_once().unwrap();
    pi.rests("B", "1.1.0");
    kills
}

fn is_under_way(daemon: &Daemon, id: &str) -> bool {
    daemon.try_get(&format!("/v1/jobs/{id}")).is_some_and(|job| job["state"] != "ended")
}

fn power_is_off(pi: &Pi) -> bool {
    let text = fs::read_to_string(pi.path("card.img.sim/machine.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["off"] == true
}

/// A device that is left alone loses its power at random writes until its update is through; how often.
fn cut(dice: &mut Dice) -> u64 {
    let pi = Pi::new();
    follows(&pi, "mode = \"auto\"\n");
    let (mut seen, mut cuts) = (Ledger::default(), 0);
    for boots in 0.. {
        assert!(boots < 60, "it never gets there: {:#}", pi.status());
        // Later on it is let be, or three trials without a verdict would end the update.
        if cuts < 5 {
            pi.run(&format!("sim cut --at-write {}", dice.roll(40) + 1)).must(0, &[]);
        }
        let resumed = pi.run("resume");
        if !power_is_off(&pi) {
            assert!([0, 3].contains(&resumed.code), "{}: {}", resumed.code, resumed.err);
            if is_committed(&pi) {
                break;
            }
            Run::on(&pi).goes_down_within(Duration::from_secs(2 * 86_400));
        }
        if power_is_off(&pi) {
            cuts += 1;
            pi.run("sim power on").must(0, &[]);
        }
        look(&mut seen, &pi, "after a boot");
        pi.slot_a_is_untouched();
    }
    look(&mut seen, &pi, "at the end");
    seen.is_decided_once().unwrap();
    pi.rests("B", "1.1.0");
    cuts
}

fn until_there_were(many: u64, one: fn(&mut Dice) -> u64) {
    let (mut times, mut seed) = (0, 0);
    while times < many {
        seed += 1;
        times += one(&mut Dice(seed));
        assert!(seed <= many * 3, "hardly anything happens: {times}");
    }
}

#[test]
fn few_kills_of_the_daemon_lose_nothing() {
    until_there_were(FEW, killed);
}

#[test]
fn few_power_cuts_of_a_device_that_is_left_alone_lose_nothing() {
    until_there_were(FEW, cut);
}

#[test]
#[ignore = "takes long: .ci/long has it"]
fn toll_of_many_kills() {
    until_there_were(MANY, killed);
}

#[test]
#[ignore = "takes long: .ci/long has it"]
fn toll_of_many_power_cuts() {
    until_there_were(MANY, cut);
}
