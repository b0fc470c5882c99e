//! The fleet's lock: a device that may not reboot keeps what it has, and continues when it may.
use crate::{
    check::shelve,
    fixture::uboot_product,
    pi::{Pi, end},
    shop::{NOW, device, shop},
    uboot::copies as boot_blocks,
};
use bistable_boot::{
    MAX_ATTEMPTS, SECTOR, Slot,
    bootblock::newest,
    layout::{BOOT_BLOCK, Partition},
};

const BEFORE: &str = "http://lock.example/v1/pre-reboot";
const AFTER: &str = "http://lock.example/v1/steady-state";

/// A device with a lock that answers so.
pub(crate) fn locked(status: u16) -> Pi {
    locked_pi(Pi::new(), status)
}

fn locked_pi(pi: Pi, status: u16) -> Pi {
    pi.config("[update]\nfleet_lock = \"http://lock.example\"\nid = \"hub-7\"\n");
    answers(&pi, status);
    pi
}

fn answers(pi: &Pi, status: u16) {
    let body = r#"{\"kind\":\"lock_full\",\"value\":\"two devices are away\"}"#;
    pi.world(&format!(
        "time = {NOW}\n[units]\n\"app.service\" = \"active\"\n[gpio]\nwires = [[17, 27]]\n\
         [http.\"{BEFORE}\"]\nstatus = {status}\nbody = \"{body}\"\n[http.\"{AFTER}\"]\nstatus = {status}\n"
    ));
}

#[test]
fn who_may_not_reboot_keeps_the_release_staged_and_tries_again() {
    let pi = locked(409);
    let refused = ["two devices are away", "run the command again later"];
    pi.run_on("update", &pi.good()).must(75, &refused);
    let status = pi.status();
    assert_eq!((&status["state"], &status["booted"]), (&"staged".into(), &"A".into()), "{status}");
    pi.run_on("update", &pi.good()).must(75, &refused);
    answers(&pi, 200);
    pi.run_on("update", &pi.good()).must(0, &["booting slot B once"]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
}

/// A process that is killed between its request and the reboot leaves it in U-Boot's block.
#[test]
fn denied_lock_takes_back_a_request_that_no_boot_has_used() {
    let pi = locked_pi(Pi::of(uboot_product()), 409);
    pi.run_on("install", &pi.good()).must(0, &[]);
    pi.run("arm").must(0, &[]);
    let (at, block) = newest(boot_blocks(&pi)).unwrap();
    let armed = block.armed(Slot::B);
    pi.scribble(Partition::State, BOOT_BLOCK[1 - at].0 * SECTOR as u64, &armed.render());
    for verb in ["resume", "reboot"] {
        pi.run(verb).must(75, &["two devices are away"]);
        let (_, block) = newest(boot_blocks(&pi)).unwrap();
        assert_eq!(block.pending(), None, "any reboot would try slot B without the lock");
    }
    assert_eq!(pi.status()["state"], "armed");
    pi.run("sim power cycle").must(0, &["boots slot A"]);
}

#[test]
fn update_whose_trials_are_used_up_reverts_without_the_lock() {
    for pi in [Pi::new(), Pi::of(uboot_product())] {
        let pi = locked_pi(pi, 200);
        pi.run_on("update", &pi.good()).must(0, &["booting slot B once"]);
        for _ in 1..MAX_ATTEMPTS {
            pi.run("sim power cycle").must(0, &["kernel: slot A"]);
            pi.run("resume").must(0, &["booting slot B once"]);
        }
        pi.run("sim power cycle").must(0, &["kernel: slot A"]);
        answers(&pi, 409);
        pi.run("resume").must(0, &["3 trials ended without a verdict"]);
        assert_eq!(pi.status()["state"], "idle");
    }
}

#[test]
fn lock_without_an_answer_is_not_granted() {
    let pi = Pi::new();
    pi.config("[update]\nfleet_lock = \"http://lock.example\"\n");
    pi.run_on("update", &pi.good()).must(75, &["the fleet lock can't be asked"]);
    assert_eq!(pi.status()["state"], "staged");
}

#[test]
fn the_way_back_never_asks() {
    let pi = locked(200);
    pi.run_on("update", &pi.good()).must(0, &[]);
    pi.run("sim unit app.service failed").must(0, &[]);
    answers(&pi, 409);
    pi.run("sim unit app.service failed").must(0, &[]);
    pi.run("resume").must(8, &[]);
    assert_eq!(pi.status()["booted"], "A");
}

/// While booting there is no network yet: a device that could not give its place back then does it with its next check, or with
/// the next boot.
#[test]
fn a_place_is_given_back_when_the_network_is_there() {
    const ASKED: &str = "event=fleet_lock_asked phase=SteadyState";
    for way in ["check --source shop", "resume"] {
        let pi = device().pi;
        pi.config("[update]\nfleet_lock = \"http://lock.example\"\nid = \"hub-7\"\n");
        shelve(&pi, "shop", &shop());
        let run = |words: &str| {
            let mut command = pi.command();
            command.args(words.split_whitespace()).env("RUST_LOG", "info");
            end(command, words)
        };
        answers(&pi, 200);
        pi.good();
        run("update good.bundle").must(0, &["event=fleet_lock_asked phase=PreReboot"]);
        for _ in 0..2 {
            answers(&pi, 503);
            assert!(run("resume").err.contains("event=fleet_lock_not_given_back"));
        }
        answers(&pi, 200);
        assert!(run(way).err.contains(ASKED), "{way}");
        // It is given back once.
        for words in ["check --source shop", "resume"] {
            let ended = run(words);
            assert!(!ended.err.contains("event=fleet_lock"), "{ended:#?}");
        }
    }
}

/// A server that doesn't answer must not hold up the boots of a device that has nothing from it.
#[test]
fn a_device_that_took_no_place_gives_none_back() {
    let pi = locked(503);
    pi.run_on("install", &pi.good()).must(0, &[]);
    for _ in 0..2 {
        let mut command = pi.command();
        command.arg("resume").env("RUST_LOG", "info");
        let ended = end(command, "resume").must(0, &[]);
        assert!(!ended.err.contains("fleet_lock"), "{ended:#?}");
    }
}

#[test]
fn a_login_page_grants_nothing() {
    let pi = locked(200);
    pi.world(&format!(
        "[units]\n\"app.service\" = \"active\"\n[gpio]\nwires = [[17, 27]]\n\
         [http.\"{BEFORE}\"]\nstatus = 200\nbody = \"<html>Please log in</html>\"\n"
    ));
    pi.run_on("update", &pi.good()).must(75, &["a login page of this network?"]);
    assert_eq!(pi.status()["state"], "staged");
}

/// Each wait would move what the self-tests drive.
#[test]
fn a_device_that_waits_for_the_lock_drives_nothing() {
    let pi = locked(409);
    pi.config("[update]\nmode = \"reboot\"\nfleet_lock = \"http://lock.example\"\nid = \"hub-7\"\n");
    pi.run_on("install", &pi.good()).must(0, &[]);
    for _ in 0..3 {
        let ended = pi.run("resume").must(75, &["two devices are away"]);
        assert!(!ended.err.contains("self-test"), "{ended:#?}");
    }
    answers(&pi, 200);
    pi.run("resume").must(0, &["self-test", "booting slot B once"]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
}
