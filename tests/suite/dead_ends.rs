//! No dead ends: whatever is damaged, in each state of an update, the commands that the program prints lead to a device that
//! updates again.
use crate::{
    fixture::product,
    lost_flag::LOSSES,
    pi::{Ended, Pi},
};
use bistable_boot::{
    COPY_BYTES, SECTOR,
    layout::{JOURNAL, Partition},
};
use std::{collections::BTreeSet, fs, process::Command};

const MODE: &str = "[update]\nmode = \"reboot\"\n";

type Damage = (&'static str, fn(&Pi));

const DAMAGES: [Damage; 9] = [
    ("one journal copy", |pi| journal(pi, &[0])),
    ("both journal copies", |pi| journal(pi, &[0, 1])),
    ("state", |pi| {
        let bytes = pi.partition(Partition::State).len();
        pi.scribble(Partition::State, 0, &vec![0; bytes]);
    }),
    ("boot sector of bootconfig", |pi| pi.scribble(Partition::Bootconfig, 0, &[0; SECTOR])),
    ("tables of bootconfig", |pi| pi.scribble(Partition::Bootconfig, SECTOR as u64, &[0; 64 * SECTOR])),
    ("all of bootconfig", |pi| {
        let bytes = pi.partition(Partition::Bootconfig).len();
        pi.scribble(Partition::Bootconfig, 0, &vec![0xFF; bytes]);
    }),
    ("flag and journal", |pi| {
        pi.scribble(Partition::Bootconfig, 0, &[0; 4096]);
        journal(pi, &[0, 1]);
    }),
    ("configuration", |pi| pi.config("[update]\nmode = \"reboot\"\ntypo = 1\n")),
    ("first copy of the partition table", |pi| {
        use std::os::unix::fs::FileExt;
        let file = fs::OpenOptions::new().write(true).open(&pi.card).unwrap();
        file.write_all_at(&[0; SECTOR], SECTOR as u64).unwrap();
    }),
];

fn journal(pi: &Pi, copies: &[usize]) {
    for copy in copies {
        pi.scribble(Partition::State, JOURNAL[*copy].0 * SECTOR as u64, &[0; COPY_BYTES]);
    }
}

/// Bring a device into a state of an update to 1.1.0.
fn in_state(state: &str) -> Pi {
    let pi = Pi::new();
    pi.config(MODE);
    let good = pi.good();
    match state {
        "idle" => {}
        "installing" => {
            let half = fs::read(&good).unwrap();
            pi.run_with("install -", &half[..half.len() / 2]).must(1, &[]);
        }
        "staged" => drop(pi.run_on("install", &good).must(0, &[])),
        "armed" => {
            pi.run_on("install", &good).must(0, &[]);
            pi.run("arm").must(0, &[]);
        }
        "on trial" => drop(pi.run_on("update", &good).must(0, &["slot B"])),
        "committing" => {
            pi.run_on("update", &good).must(0, &["slot B"]);
            // Between the decision and the flag.
            pi.run("sim cut --at-write 2 --at-byte 0").must(0, &[]);
            pi.run("resume").must(1, &["power lost"]);
            pi.run("sim power on").must(0, &[]);
        }
        other => panic!("{other}"),
    }
    pi
}

const STATES: [&str; 6] = ["idle", "installing", "staged", "armed", "on trial", "committing"];

/// The commands in a text, in their order.
fn commands(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|words| {
            ["bistable ", "sgdisk ", "systemctl reboot"].iter().any(|name| words.starts_with(name))
        })
        .map(str::to_owned)
        .collect()
}

/// Do what a command says, with the files that an operator has.
fn obey(pi: &Pi, command: &str) -> Ended {
    if let Some(words) = command.strip_prefix("sgdisk ") {
        let done = Command::new("sgdisk").args(words.split(' ')).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        return pi.run("preflight");
    }
    if command == "systemctl reboot" {
        return pi.run("sim power cycle");
    }
    let words = command.strip_prefix("bistable ").unwrap();
    let running = pi.file("running.bundle", &product().old);
    let words = words
        .replace("--release FILE", &format!("--release {}", running.display()))
        .replace(
            "--root-file FILE",
            &format!("--root-file {}", pi.file("root.root", &product().root.bytes).display()),
        )
        .replace(" FILE", " @good.bundle");
    pi.run(&words)
}

/// Follow what is printed until 1.1.0 runs and is the default.
fn follow(pi: &Pi, case: &str) {
    let mut done = BTreeSet::new();
    let mut log = Vec::new();
    for _ in 0..10 {
        // What a boot does, and what an operator wants.
        let mut said = pi.run("resume");
        for verb in ["update @good.bundle", "resume"] {
            let ended = pi.run(verb);
            said.err.push_str(&ended.err);
        }
        let status = pi.run("status --json");
        log.push(format!("{}\n{}", said.err, status.out));
        let status = serde_json::from_str::<serde_json::Value>(&status.out).unwrap_or_default();
        let runs = &status["slots"]["b"]["version"] == "1.1.0" && status["state"] == "idle";
        if runs && status["default"] == "B" && status["default_problem"].is_null() {
            return;
        }
        // File and line are named: the operator takes it out.
        if said.err.contains("50-test.toml:3:") {
            pi.config(MODE);
            continue;
        }
        let advice = status["advice"].as_str().unwrap_or_default();
        let mut next: Vec<String> = commands(advice);
        next.extend(commands(&said.err));
        // A command that failed before is not tried a second time, unless another one came between.
        let Some(command) = next.into_iter().find(|command| !done.contains(command)) else {
            panic!("{case}: a dead end after {done:?}\n{}", log.join("\n----\n"));
        };
        let ended = obey(pi, &command);
        if ended.code == 0 {
            done.clear();
        }
        done.insert(command);
        log.push(format!("{ended:#?}"));
        // What that one says comes before anything else.
        for command in commands(&ended.err) {
            if ended.code != 0 && !done.contains(&command) {
                log.push(format!("{:#?}", obey(pi, &command)));
                done.insert(command);
                break;
            }
        }
    }
    panic!("{case}: no end\n{}", log.join("\n----\n"));
}

#[test]
fn what_the_program_prints_leads_out_of_every_damage() {
    for state in STATES {
        for (what, damage) in DAMAGES {
            let pi = in_state(state);
            damage(&pi);
            follow(&pi, &format!("{what}, {state}"));
        }
    }
}

#[test]
fn what_the_program_prints_leads_out_of_every_loss_of_the_flag() {
    for state in STATES {
        for (what, lose) in LOSSES {
            let pi = in_state(state);
            if pi.partition(Partition::Bootconfig).windows(11).any(|name| name == b"AUTOBOOTTXT") {
                lose(&pi);
            }
            follow(&pi, &format!("{what}, {state}"));
        }
    }
}

/// The same after the next boot, which finds the damage first.
#[test]
fn a_boot_does_not_lead_into_a_dead_end() {
    for state in ["idle", "armed", "on trial"] {
        for (what, damage) in DAMAGES {
            let pi = in_state(state);
            damage(&pi);
            pi.run("sim power cycle").must(0, &[]);
            follow(&pi, &format!("{what}, {state}, booted again"));
        }
    }
}
