//! The verbs in every state in which they may be called.
use crate::{
    draft::parts,
    fixture::{WORLD, noise, product},
    pi::{Ended, Pi, end},
};
use bistable_boot::Slot;
use bistable_format::progress::ProgressLine;
use std::{
    fs,
    io::Write,
    process::{Child, Stdio},
};

/// Chunks that were right already, of how many, and bytes written, as an installation answers.
fn stats(ended: &Ended) -> (u64, u64, u64) {
    let installed = &ended.json()["installed"];
    let number = |name: &str| installed[name].as_u64().unwrap_or_else(|| panic!("{ended:#?}"));
    (number("skipped"), number("chunks"), number("written_bytes"))
}

/// An installation that reads from a pipe and has got this many bytes of it.
fn begun(pi: &Pi, bytes: &[u8]) -> Child {
    let mut command = pi.command();
    command.args(["install", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    child
}

#[test]
fn a_pipe_is_as_good_as_a_file() {
    let pi = Pi::new();
    pi.run_with("install - --json", &product().good)
        .must(0, &["signature verified, compatible with this device", "state: staged"]);
    pi.run("arm").must(0, &["self-test relay", "state: armed"]);
    pi.run("reboot").must(0, &["booting slot B once"]);
    pi.run("commit").must(0, &["slot B is the default now"]);
    pi.rests("B", "1.1.0");
    pi.slot_a_is_untouched();
}

#[test]
fn killed_and_started_again_it_resumes() {
    let fresh = stats(&Pi::new().run_with("install - --json", &product().good).must(0, &[]));
    let good = &product().good;
    let data = parts(good)[7].content.start;
    let mut kept = 0;
    for tenth in [1, 4, 7, 10] {
        let pi = Pi::new();
        let mut child = begun(&pi, &good[..data + (good.len() - data - 100) * tenth / 10]);
        child.kill().unwrap();
        child.wait().unwrap();
        let again = pi.run_with("install - --json", good).must(0, &[]);
        let (skipped, chunks, _) = stats(&again);
        assert_eq!(chunks, fresh.1);
        // How far it came when it was killed is chance; that nothing has to be written twice isn't.
        assert!(skipped >= fresh.0, "{tenth}/10: {skipped} of {chunks}, {} on an empty card", fresh.0);
        kept = kept.max(skipped);
        pi.tries_what_is_staged();
        pi.rests("B", "1.1.0");
        pi.slot_a_is_untouched();
    }
    assert!(kept > fresh.0 + 2, "only {kept} chunks were kept, {} are right on an empty card", fresh.0);
}

#[test]
fn what_is_right_already_is_not_written_again() {
    let pi = Pi::new();
    pi.run_on("install", &pi.good()).must(0, &[]);
    let before = fs::read(&pi.card).unwrap();
    pi.run_on("install", &pi.good()).must(0, &[]);
    assert!(fs::read(&pi.card).unwrap() == before, "nothing at all is written");
    let before = pi.slot(Slot::B);
    pi.run("revert").must(0, &[]);
    pi.is_unharmed();
    let again = pi.run_on("install --json --retry-rejected", &pi.good()).must(0, &[]);
    let (skipped, chunks, written) = stats(&again);
    assert_eq!((skipped, written), (chunks, 0));
    assert!(pi.slot(Slot::B) == before);
}

#[test]
fn a_half_installed_release_gives_way_to_another() {
    let pi = Pi::new();
    let good = &product().good;
    let half = parts(good)[8].content.start + 300_000;
    pi.run_with("install -", &good[..half]).must(1, &["copy it again"]);
    assert_eq!(pi.status()["state"], "installing");
    pi.run("resume").must(0, &[]);
    assert_eq!(pi.status()["state"], "installing");
    let other = product().draft().with(|d| {
        let at = d.system.full_chunk();
        let raw = noise(99, d.system.list.chunk_bytes as usize);
        d.system.list.chunks[at].digest = bistable_format::Digest::of(&raw);
        d.system.set_frame(at, zstd::bulk::compress(&raw, 1).unwrap());
    });
    pi.run_on("update", &pi.file("other.bundle", &other.pack(&[&product().release_key]))).must(0, &[]);
    pi.run("resume").must(0, &[]);
    let status = pi.rests("B", "1.2.0");
    assert_eq!(status["rejected"], serde_json::json!([]));
    pi.slot_a_is_untouched();
}

#[test]
fn revert_in_each_state() {
    let pi = Pi::new();
    let good = pi.good();
    let rejected = |pi: &Pi| {
        let status = pi.status();
        let list = status["rejected"].as_array().unwrap();
        list.iter().map(|r| r["version"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // Idle, with nothing to go back to.
    pi.run("revert").must(3, &["slot B holds no complete release"]);
    pi.is_unharmed();
    // Installing.
    pi.run_with("install -", &product().good[..product().good.len() - 2000]).must(1, &[]);
    pi.run("revert").must(0, &[]);
    pi.is_unharmed();
    assert_eq!(rejected(&pi), ["1.1.0"], "an operator's no");
    pi.run_on("install", &good)
        .must(6, &["1.1.0 was rejected", "asked for by an operator", "--retry-rejected"]);
    // Staged.
    pi.run_on("install --retry-rejected", &good).must(0, &[]);
    pi.run("revert").must(0, &[]);
    pi.is_unharmed();
    // Armed.
    pi.run_on("install --retry-rejected", &good).must(0, &[]);
    pi.run("arm").must(0, &[]);
    pi.run("revert").must(0, &[]);
    pi.is_unharmed();
    // On trial: the way back is a reboot, and what the boot unit does then.
    pi.run_on("update --retry-rejected", &good).must(0, &[]);
    assert_eq!(pi.status()["booted"], "B");
    pi.run("revert").must(0, &[]);
    pi.run("resume").must(0, &[]);
    pi.is_unharmed();
    assert_eq!(rejected(&pi), ["1.1.0"]);
    // Idle, with a previous release: it is tried like any other.
    pi.run_on("update --retry-rejected", &good).must(0, &[]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
    pi.run("revert").must(0, &["self-test relay", "booting slot A once"]);
    assert_eq!(pi.status()["booted"], "A");
    pi.run("resume").must(0, &["slot A is the default now"]);
    pi.is_unharmed();
    assert_eq!(rejected(&pi), ["1.1.0"], "what was left must not come back by itself");
}

#[test]
fn verbs_that_have_nothing_to_do_say_so() {
    let pi = Pi::new();
    let good = pi.good();
    pi.run("commit").must(3, &["no release is on trial"]);
    pi.run("arm").must(3, &["nothing is staged"]);
    pi.run("repair").must(3, &["nothing to repair"]);
    pi.run("resume").must(0, &[]);
    pi.run("reboot").must(0, &["a plain reboot"]);
    pi.run("reboot --reboot-exit-code").must(4, &[]);
    pi.is_unharmed();
    pi.run_on("install", &good).must(0, &[]);
    pi.run("commit").must(3, &["no release is on trial"]);
    pi.run("arm").must(0, &[]);
    pi.run("arm").must(3, &["1.1.0 is armed already"]);
    pi.run("commit").must(3, &["no release is on trial"]);
    // What is armed already is installed already; anything else has to wait.
    pi.run_on("install", &good).must(0, &[]);
    let other = pi.file("other.bundle", &product().draft().pack(&[&product().release_key]));
    pi.run_on("install", &other).must(75, &["1.1.0 is armed", "bistable reboot", "bistable revert"]);
    pi.run("reboot").must(0, &[]);
    pi.run_on("update", &good).must(75, &["an update is on trial", "bistable resume"]);
    pi.run("arm").must(75, &["an update is on trial"]);
    pi.run("").must(2, &["Usage"]);
    pi.run("install").must(2, &["--source"]);
    pi.run("resume").must(0, &[]);
    pi.rests("B", "1.1.0");
    pi.slot_a_is_untouched();
}

#[test]
fn from_b_to_a() {
    let pi = Pi::new();
    pi.takes_the_good_update();
    let b = pi.slot(Slot::B);
    let next = pi.file("next.bundle", &product().draft().pack(&[&product().release_key]));
    pi.run_on("update", &next).must(0, &["installing into slot A"]);
    pi.run("resume").must(0, &[]);
    pi.rests("A", "1.2.0");
    assert!(pi.slot(Slot::B) == b, "slot B changed");
}

#[test]
fn a_release_that_never_comes_up_gets_three_trials() {
    for (boots, says) in
        [("panic", "kernel panic"), ("hang", "the watchdog resets"), ("no", "the kernel does not start")]
    {
        let pi = Pi::new();
        pi.world(&format!("{WORLD}\n[[system]]\nversion = \"1.1.0\"\nboots = \"{boots}\"\n"));
        let mut trials = 0;
        let mut ended = pi.run_on("update", &pi.good());
        for _ in 0..6 {
            trials += ended.must(0, &[]).err.matches(says).count();
            if pi.status()["state"] == "idle" {
                break;
            }
            ended = pi.run("resume");
        }
        assert_eq!(trials, 3, "{boots}");
        pi.is_unharmed();
        let status = pi.status();
        let reason = status["rejected"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("3 trials ended without a verdict"), "{reason}");
        pi.run_on("update", &pi.good()).must(6, &["1.1.0 was rejected", "without a verdict"]);
    }
}

#[test]
fn power_lost_in_any_state_boots_slot_a() {
    let pi = Pi::new();
    for steps in [&[][..], &["install"], &["install", "arm"], &["install", "arm", "reboot"]] {
        for step in steps {
            match *step {
                "install" => pi.run_on("install --json --retry-rejected", &pi.good()).must(0, &[]),
                step => pi.run(step).must(0, &[]),
            };
        }
        pi.run("sim power cycle").must(0, &["slot A"]);
        pi.run("sim power off").must(0, &[]);
        pi.run("resume").must(1, &["no power", "sim power on"]);
        assert_eq!(pi.status()["power"], "off");
        pi.run("sim power on").must(0, &["slot A"]);
        assert_eq!(pi.status()["booted"], "A", "{steps:?}");
        pi.run("revert");
        pi.is_unharmed();
    }
    pi.run_on("update --retry-rejected", &pi.good()).must(0, &[]);
    pi.run("resume").must(0, &[]);
    pi.run("sim power cycle").must(0, &["slot B"]);
    pi.rests("B", "1.1.0");
}

#[test]
fn who_only_looks_writes_nothing() {
    let pi = Pi::new();
    let good = pi.good();
    let looks = |when: &str| {
        let before = fs::read(&pi.card).unwrap();
        for look in ["status", "status --ascii", "status --json", "history", "preflight", "self-test"] {
            pi.run(look).must(0, &[]);
        }
        let dry = pi.run_on("install -n --retry-rejected", &good);
        assert!([0, 3].contains(&dry.code), "{dry:#?}");
        assert!(fs::read(&pi.card).unwrap() == before, "{when}");
    };
    looks("idle");
    pi.run_on("install", &good).must(0, &[]);
    looks("staged");
    pi.run("arm").must(0, &[]);
    looks("armed");
    pi.run("revert").must(0, &[]);
    looks("reverted");
}

#[test]
fn what_programs_read_is_json() {
    let pi = Pi::new();
    let good = pi.good();
    for look in ["status", "history", "preflight", "self-test"] {
        pi.run(&format!("--json {look}")).must(0, &[]).json();
    }
    pi.run_on("--json install -n", &good).must(0, &[]).json();
    let installed = pi.run_on("--json --progress json install", &good).must(0, &[]);
    assert_eq!(installed.json()["state"], "staged");
    let lines = bistable_schema::lines(&installed.err);
    assert!(lines.len() >= 2 && lines.iter().all(|l| l["schema"] == 1), "{lines:#?}");
    let (events, progress): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["seq"].is_u64());
    let last = progress.last().unwrap();
    let last: ProgressLine = serde_json::from_value((*last).clone()).unwrap();
    assert!(matches!(&last, ProgressLine::End(step) if step.done == step.total), "{last:?}");
    assert!(events.iter().zip(1..).all(|(event, seq)| event["seq"] == seq), "{events:#?}");
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "update.preflight",
            "update.accepted",
            "update.state",
            "update.writing",
            "update.written",
            "update.state"
        ]
    );
    let written = &events[4]["data"];
    assert_eq!((&written["version"], &written["slot"]), (&"1.1.0".into(), &"B".into()), "{written:#}");
    assert_eq!(written["stats"], installed.json()["installed"], "{written:#}");
    assert_eq!(pi.run("--json arm").must(0, &[]).json()["state"], "armed");
    // A reboot is an answer, too.
    pi.run("--json reboot").must(0, &[]).json();
    assert_eq!(pi.run("--json resume").must(0, &[]).json()["state"], "idle");
    for (line, code) in [("commit", 3), ("install @missing", 1), ("install @card.img", 1)] {
        let failed = pi.run(&format!("--json {line}")).must(code, &[]);
        assert_eq!(failed.json()["exit"], code, "{failed:#?}");
        assert!(failed.json()["error"].is_string());
    }
    assert!(pi.run("--json commit --progress quiet").code == 3);
}

#[test]
fn two_at_once() {
    let pi = Pi::new();
    let good = &product().good;
    // It has taken more than a pipe holds: so it is at work, and has the card.
    let mut first = begun(&pi, &good[..300_000]);
    let bundle = pi.good();
    assert_eq!(pi.status()["state"], "installing", "verbs that only read may run");
    for verb in ["resume", "preflight", "sim power off", "sim cut --at-write 1", "repair"] {
        pi.run(verb).must(75, &["in use by another process", "try again later"]);
    }
    pi.run_on("update", &bundle).must(75, &["in use by another process"]);
    first.stdin.take().unwrap().write_all(&good[300_000..]).unwrap();
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(0));
    pi.tries_what_is_staged();
    pi.rests("B", "1.1.0");
}

#[test]
fn no_card_named_is_wrong_usage() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bistable"));
    command.env_remove("BISTABLE_CARD").arg("status");
    end(command, "status").must(2, &["--card FILE", "BISTABLE_CARD"]);
}

#[test]
fn the_simulated_pis_buses_are_connected_by_hand() {
    let pi = Pi::new();
    for verb in [
        "sim i2c 1 0x48 on",
        "sim i2c 1 0x50 on",
        "sim i2c 1 0x50 off",
        "sim loop /dev/spidev0.1 on",
        "sim loop /dev/serial0 on",
        "sim loop /dev/ttyAMA2 on",
        "sim loop /dev/ttyAMA2 off",
    ] {
        pi.run(verb).must(0, &[]);
    }
    let world = pi.run("sim world").must(0, &[]).out.clone();
    for line in ["address = 72", "[spi]\n\"0.1\" = \"wired\"", "[uart]\n\"/dev/serial0\" = \"wired\""] {
        assert!(world.contains(line), "{world}");
    }
    assert!(!world.contains("address = 80") && !world.contains("ttyAMA2"), "{world}");
    pi.run("sim i2c 1 0x78 on").must(2, &["addresses go from 0x08 to 0x77"]);
}
