//! An attempt counts only if it happened (I11, I16): a reboot that fails, and a boot loader that does not try the slot, reject
//! nothing.
use crate::{
    fixture::product,
    sysroot::{PI4, Sys},
};
use bistable_boot::{MAX_ATTEMPTS, Slot};
use serde_json::Value;
use std::fs;

/// Where systemd finds the argument of the next reboot.
const REQUEST: &str = "run/systemd/reboot-param";

/// A Pi with systemd on which 1.1.0 may be installed.
pub(crate) fn sys() -> Sys {
    let sys = Sys::new(PI4);
    sys.text(
        "etc/bistable/self-test.toml",
        "[[test]]\nname = 'modem'\nkind = 'command'\nrun = ['/bin/true']\n",
    );
    sys.text("etc/bistable/health.toml", "deadline_s = 1\nsettle_s = 0\n");
    sys.folder("run/systemd/system");
    fs::write(sys.path("good.bundle"), &product().good).unwrap();
    sys
}

/// `/run` takes no more files: the argument for the firmware can't be left there.
fn full_run(sys: &Sys) {
    sys.folder(&format!("{REQUEST}/full"));
}

fn status(sys: &Sys) -> Value {
    sys.run("status --json").must(0, &[]).json()
}

#[track_caller]
fn is_armed(sys: &Sys, attempts: u8) {
    let status = status(sys);
    assert_eq!(
        [&status["state"], &status["update"]["attempts"], &status["rejected"]],
        [&Value::from("armed"), &Value::from(attempts), &Value::Array(vec![])],
        "{status:#}"
    );
}

#[test]
fn a_reboot_that_cannot_be_asked_for_is_no_attempt() {
    let sys = sys();
    full_run(&sys);
    sys.run("update good.bundle")
        .must(75, &["booting slot B once", "the reboot did not take place", "reboot-param"]);
    for _ in 0..=MAX_ATTEMPTS {
        sys.run("resume").must(75, &["reboot-param"]);
        is_armed(&sys, 0);
    }
    // Nor is it one after the user has switched the power off and on, as often as they like.
    for _ in 0..=MAX_ATTEMPTS {
        sys.boots(Slot::A);
        full_run(&sys);
        sys.run("resume").must(75, &["reboot-param"]);
        is_armed(&sys, 0);
    }
    // Whatever filled it has gone: the release is tried, and committed.
    fs::remove_dir_all(sys.path(REQUEST)).unwrap();
    sys.text("run/reboots", "");
    sys.run("resume").must(0, &["booting slot B once"]);
    sys.boots(Slot::B);
    sys.number("tryboot", 1);
    sys.run("resume").must(0, &["healthy", "slot B is the default now"]);
    assert_eq!(status(&sys)["update"]["attempts"], 1);
}

#[test]
fn a_reboot_that_fails_is_no_attempt() {
    let sys = sys();
    for verb in ["update good.bundle", "resume", "reboot", "resume", "resume"] {
        sys.run(verb).must(75, &["these files are not the running system's"]);
        // Any later reboot would carry it to the firmware, and start slot B unasked.
        assert!(!sys.path(REQUEST).exists(), "{verb} leaves its request behind");
        is_armed(&sys, 0);
        sys.boots(Slot::A);
        is_armed(&sys, 0);
    }
}

#[test]
fn request_of_a_killed_process_is_taken_back_with_the_update() {
    let sys = sys();
    sys.run("install good.bundle").must(0, &[]);
    sys.run("arm").must(0, &[]);
    sys.text(REQUEST, "0 tryboot\n");
    sys.run("revert").must(0, &["reverted: release 1.1.0"]);
    assert!(!sys.path(REQUEST).exists());
}

#[test]
fn trials_without_a_verdict_are_counted_and_the_end_says_how_to_try_again() {
    let sys = sys();
    sys.text("run/reboots", "");
    sys.run("update good.bundle").must(0, &["booting slot B once"]);
    for attempt in 1..MAX_ATTEMPTS {
        // The trial died before init: nothing is left of it.
        sys.boots(Slot::A);
        is_armed(&sys, attempt);
        sys.run("resume").must(0, &["booting slot B once"]);
        // Started again before the machine goes down.
        is_armed(&sys, attempt);
        sys.run("resume").must(0, &["booting slot B once"]);
    }
    sys.boots(Slot::A);
    let why = "3 trials ended without a verdict (crash, hang or power loss)";
    sys.run("resume").must(0, &[why, "to try it again", "--retry-rejected"]);
    let history = sys.run("history").must(0, &[]).out;
    assert!(history.contains("3 trials ended without") && history.contains("--retry-rejected"), "{history}");
    let shown = status(&sys);
    assert!(shown["rejected"][0]["reason"].as_str().unwrap().contains(why), "{shown:#}");
    assert!(shown["advice"].as_str().unwrap().contains("--retry-rejected"), "{shown:#}");
    sys.run("update good.bundle --retry-rejected").must(0, &["booting slot B once"]);
    is_armed(&sys, 0);
}

/// The firmware was asked for a trial, and booted the old slot all the same: it says so.
fn refused(sys: &Sys) {
    sys.boots(Slot::A);
    sys.number("tryboot", 1);
}

#[test]
fn a_boot_loader_that_refuses_three_times_stops_the_update_and_rejects_nothing() {
    let sys = sys();
    sys.text("run/reboots", "");
    sys.run("update good.bundle").must(0, &["booting slot B once"]);
    for _ in 1..MAX_ATTEMPTS {
        refused(&sys);
        is_armed(&sys, 0);
        sys.run("resume").must(0, &["booting slot B once"]);
    }
    refused(&sys);
    let words = ["the boot loader did not try slot B in 3 reboots", "is not rejected", "`bistable arm`"];
    for verb in ["resume", "reboot", "update good.bundle", "resume"] {
        let ended = sys.run(verb).must(75, &words);
        assert!(!ended.err.contains("booting slot"), "{verb} reboots again: {ended:#?}");
        is_armed(&sys, 0);
    }
    let advice = status(&sys)["advice"].clone();
    assert!(advice.as_str().unwrap().contains("did not try slot B"), "{advice}");
    assert_eq!(status(&sys)["once"], Value::Null);
    // It stays so, whatever boots next.
    for flag in [0, 1] {
        sys.boots(Slot::A);
        sys.number("tryboot", flag);
        sys.run("resume").must(75, &words);
        is_armed(&sys, 0);
    }
    // A person has updated the firmware.
    sys.run("arm").must(0, &["ok   self-test modem"]);
    sys.run("reboot").must(0, &["booting slot B once"]);
    sys.boots(Slot::B);
    sys.number("tryboot", 1);
    sys.run("resume").must(0, &["healthy", "slot B is the default now"]);
}

/// Update, and have the boot loader refuse each reboot until the update stops.
fn refused_until_it_stops(sys: &Sys) {
    sys.text("run/reboots", "");
    sys.run("update good.bundle").must(0, &["booting slot B once"]);
    for n in 1..=MAX_ATTEMPTS {
        refused(sys);
        sys.run("resume").must(if n < MAX_ATTEMPTS { 0 } else { 75 }, &[]);
    }
}

#[test]
fn arming_a_refused_update_whose_self_test_fails_ends_idle() {
    let sys = sys();
    refused_until_it_stops(&sys);
    sys.text(
        "etc/bistable/self-test.toml",
        "[[test]]\nname = 'modem'\nkind = 'command'\nrun = ['/bin/false']\n",
    );
    sys.run("arm").must(7, &["self-test modem", "reverted: release 1.1.0"]);
    let shown = status(&sys);
    assert_eq!(shown["state"], "idle", "{shown:#}");
    assert_eq!(shown["rejected"][0]["version"], "1.1.0", "{shown:#}");
}

#[test]
fn a_newer_offer_takes_the_place_of_one_that_was_never_tried() {
    let sys = sys();
    refused_until_it_stops(&sys);
    let newer = product().draft().pack(&[&product().release_key]);
    fs::write(sys.path("newer.bundle"), newer).unwrap();
    sys.run("update newer.bundle")
        .must(0, &["is given up (install failed: release 1.2.0 was offered instead)", "booting slot B once"]);
    is_armed(&sys, 0);
    assert_eq!(status(&sys)["update"]["version"], "1.2.0");
}

#[test]
fn a_firmware_that_cannot_try_a_slot_any_more_costs_no_attempt() {
    let sys = sys();
    sys.text("run/reboots", "");
    sys.run("update good.bundle").must(0, &["booting slot B once"]);
    // An old EEPROM image was put back.
    sys.boots(Slot::A);
    sys.number("build-timestamp", 1_600_000_000);
    is_armed(&sys, 0);
    sys.run("resume").must(0, &["the boot loader did not begin the trial in 1 reboot\n"]);
    is_armed(&sys, 0);
}
