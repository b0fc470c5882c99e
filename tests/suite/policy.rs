//! What a boot does with an update by itself: `update.mode`.
use crate::{fleet_lock, lost_flag, pi::Pi};
use bistable_boot::{SECTOR, layout::Partition};
use serde_json::Value;

const WINDOWS: &str = "staged; waits for the daemon to switch as update.windows allow, or for `bistable arm`";
const STAGED: &str = "staged; waits for `bistable arm`, since update.mode is";

fn mode(pi: &Pi, mode: &str) {
    pi.config(&format!("[update]\nmode = \"{mode}\"\n"));
}

/// The machine is switched off and on, and its boot unit runs.
fn boots(pi: &Pi) -> crate::pi::Ended {
    pi.run("sim power cycle").must(0, &[]);
    pi.run("resume")
}

fn is_staged(pi: &Pi) -> Value {
    let status = pi.status();
    let found = [&status["state"], &status["booted"], &status["default"], &status["once"]];
    assert_eq!(found, [&Value::from("staged"), &"A".into(), &"A".into(), &Value::Null], "{status:#}");
    status
}

#[test]
fn staged_release_is_left_alone_unless_the_mode_says_otherwise() {
    for name in [None, Some("check"), Some("stage"), Some("auto")] {
        let pi = Pi::new();
        if let Some(name) = name {
            mode(&pi, name);
        }
        let why = match name {
            Some("auto") => WINDOWS.to_owned(),
            name => format!("{STAGED} \"{}\"", name.unwrap_or("stage")),
        };
        let ended = pi.run_on("install", &pi.good()).must(0, &[]);
        assert!(ended.out.contains(&why), "{ended:#?}");
        let before = is_staged(&pi);
        for _ in 0..2 {
            let ended = boots(&pi).must(0, &[]);
            assert!(ended.out.contains(&why), "{ended:#?}");
            assert!(!ended.err.contains("self-test"), "hardware was driven: {ended:#?}");
            let status = is_staged(&pi);
            assert_eq!(status["journal"], before["journal"], "a boot that waits writes nothing");
            assert_eq!((&status["waits"], &status["advice"]), (&Value::from(&*why), &Value::from(&*why)));
        }
        let json = pi.run("resume --json").must(0, &[]).json();
        assert_eq!((&json["state"], &json["waits"]), (&"staged".into(), &Value::from(&*why)), "{json:#}");
        let shown = pi.run("status").must(0, &[]).out;
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains(&why), "{shown}");
        pi.slot_a_is_untouched();
        // A person wants it.
        pi.run("arm").must(0, &[]);
        pi.run("reboot").must(0, &["booting slot B once"]);
        pi.run("resume").must(0, &["healthy", "slot B is the default now"]);
        pi.rests("B", "1.1.0");
    }
}

#[test]
fn staged_release_is_tried_at_the_next_boot_where_the_mode_says_so() {
    {
        let pi = Pi::new();
        mode(&pi, "reboot");
        pi.run_on("install", &pi.good()).must(0, &[]);
        let status = is_staged(&pi);
        assert_eq!(status["waits"], Value::Null);
        assert!(status["advice"].as_str().unwrap().contains("the next boot tests it"), "{status:#}");
        boots(&pi).must(0, &["ok   self-test", "booting slot B once"]);
        pi.run("resume").must(0, &["healthy", "slot B is the default now"]);
        let status = pi.rests("B", "1.1.0");
        assert_eq!(status["waits"], Value::Null, "{status:#}");
    }
}

#[test]
fn what_a_person_asks_for_needs_no_mode() {
    for name in ["check", "stage", "reboot", "auto"] {
        let pi = Pi::new();
        mode(&pi, name);
        pi.run_on("install", &pi.good()).must(0, &[]);
        // `update` continues where `install` ended.
        pi.run_on("update", &pi.good()).must(0, &["booting slot B once"]);
        pi.run("resume").must(0, &["slot B is the default now"]);
        pi.run("revert").must(0, &["booting slot A once"]);
        pi.run("resume").must(0, &["slot A is the default now"]);
        pi.rests("A", "1.0.0");
    }
}

/// What is armed was armed by a person, unless the mode is to do it; so its first trial never waits.
#[test]
fn armed_release_is_tried_at_the_next_boot_in_any_mode() {
    for name in ["check", "stage", "reboot", "auto"] {
        let pi = Pi::new();
        mode(&pi, name);
        pi.run_on("install", &pi.good()).must(0, &[]);
        pi.run("arm").must(0, &[]);
        boots(&pi).must(0, &["booting slot B once"]);
    }
}

#[test]
fn further_trials_wait_in_the_mode_that_does_nothing_by_itself() {
    let why = "trial 1 of 3 ended without a verdict; the next one waits for `bistable reboot`, since update.mode is \"check\"";
    let pi = Pi::new();
    mode(&pi, "check");
    pi.run_on("update", &pi.good()).must(0, &["booting slot B once"]);
    for _ in 0..2 {
        let ended = boots(&pi).must(75, &[why]);
        assert!(!ended.err.contains("booting slot"), "{ended:#?}");
        let status = pi.status();
        assert_eq!((&status["state"], &status["booted"]), (&"armed".into(), &"A".into()), "{status:#}");
        assert_eq!((&status["update"]["attempts"], &status["waits"]), (&1.into(), &Value::from(why)));
    }
    pi.run("reboot").must(0, &["booting slot B once"]);
    // A trial is decided whatever the mode.
    pi.run("resume").must(0, &["healthy", "slot B is the default now"]);
    pi.rests("B", "1.1.0");
}

#[test]
fn further_trials_of_what_a_person_armed_follow_by_themselves() {
    for name in ["stage", "reboot", "auto"] {
        let pi = Pi::new();
        mode(&pi, name);
        pi.run_on("update", &pi.good()).must(0, &["booting slot B once"]);
        boots(&pi).must(0, &["booting slot B once"]);
        boots(&pi).must(0, &["booting slot B once"]);
        assert_eq!(pi.status()["update"]["attempts"], 3);
        boots(&pi).must(0, &["3 trials ended without a verdict"]);
    }
}

/// The verdict is there; only a way back follows, and that never waits.
#[test]
fn last_trial_is_judged_in_the_mode_that_does_nothing_by_itself() {
    let pi = Pi::new();
    mode(&pi, "stage");
    pi.run_on("update", &pi.good()).must(0, &[]);
    boots(&pi).must(0, &["booting slot B once"]);
    boots(&pi).must(0, &["booting slot B once"]);
    mode(&pi, "check");
    boots(&pi).must(0, &["3 trials ended without a verdict", "reverted"]);
    pi.rests("A", "1.0.0");
}

/// Otherwise a device that waits for days would keep the others of its site from updating. One that only staged took no place.
#[test]
fn boot_that_waits_gives_the_fleets_lock_back() {
    let pi = fleet_lock::locked(200);
    pi.run_on("install", &pi.good()).must(0, &[]);
    let waits = |code| {
        let mut command = pi.command();
        command.arg("resume").env("RUST_LOG", "info");
        crate::pi::end(command, "resume").must(code, &["event=update_waits"])
    };
    let ended = waits(0);
    assert!(!ended.err.contains("fleet_lock"), "{ended:#?}");
    pi.config("[update]\nmode = \"check\"\nfleet_lock = \"http://lock.example\"\nid = \"hub-7\"\n");
    pi.run_on("update", &pi.good()).must(0, &["booting slot B once"]);
    pi.run("sim power cycle").must(0, &[]);
    let ended = waits(75);
    assert!(ended.err.contains("event=fleet_lock_asked phase=SteadyState"), "{ended:#?}");
}

/// The firmware finds no flag and takes the first slot: the staged one. To rest there, untested, would be worse than a trial.
#[test]
fn staged_slot_that_a_lost_flag_booted_is_tried_and_does_not_wait() {
    let pi = Pi::new();
    let at = lost_flag::flag(&pi);
    pi.takes_the_good_update();
    pi.run_on("install", &lost_flag::next(&pi)).must(0, &[]);
    pi.scribble(Partition::Bootconfig, at, &[0xFF; SECTOR]);
    pi.run("sim power cycle").must(0, &["kernel: slot A, 1.2.0"]);
    pi.run("resume").must(0, &["written whole", "booting slot A once"]);
    pi.run("resume").must(0, &["healthy", "slot A is the default now"]);
    pi.rests("A", "1.2.0");
}
