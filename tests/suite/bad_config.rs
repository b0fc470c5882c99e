//! Configuration, plans and the simulator's own files: each mistake with its file, its line and what is allowed.
use crate::{
    fixture::{SELF_TESTS, product},
    pi::{Ended, Pi, end},
};
use bistable_image::{BuildOptions, Silent, build};
use std::{path::Path, process::Command};

const FRAGMENT: &str = "card.img.sim/root/etc/bistable/config.d/50-test.toml";
const PLAN: &str = "card.img.sim/root/etc/bistable/self-test.toml";
const PROFILE: &str = "card.img.sim/root/etc/bistable/health.toml";
const WORLD: &str = "card.img.sim/world.toml";
const MACHINE: &str = "card.img.sim/machine.json";

/// File, text, words of the message.
const CASES: &[(&str, &str, &[&str])] = &[
    (FRAGMENT, "allow_demo_key = true\n", &["50-test.toml:1:", "unknown key \"allow_demo_key\"", "known:"]),
    (FRAGMENT, "[install]\nflush = 1\n", &["50-test.toml:2:", "unknown key \"flush\"", "flush_bytes"]),
    (FRAGMENT, "[install]\nflush_bytes = 5\n", &["50-test.toml:2:", "flush_bytes", "16777216 to 67108864"]),
    (FRAGMENT, "allow_demo_keys = \"yes\"\n", &["50-test.toml:1:", "true or false"]),
    (FRAGMENT, "[component.modem]\ninstalled = \"4\"\n", &["50-test.toml:2:", "1.2.3"]),
    (FRAGMENT, "\n[install\n", &["50-test.toml:2:"]),
    (FRAGMENT, "[self_test]\nplan = \"/gone.toml\"\n", &["50-test.toml:2:", "gone.toml does not exist"]),
    (FRAGMENT, "a = 1\nb = 2\n", &["2 problems", "\"a\"", "\"b\""]),
    (
        PLAN,
        "[[test]]\nname = \"relay\"\nkind = \"loopback\"\nout = 17\nin = 17\n",
        &["self-test.toml", "relay", "GPIO17"],
    ),
    (
        PLAN,
        "[[test]]\nname = \"a\"\nkind = \"level\"\npin = 5\nexpect = \"low\"\n\
         [[test]]\nname = \"b\"\nkind = \"level\"\npin = 5\nexpect = \"high\"\n",
        &["self-test.toml", "GPIO5"],
    ),
    (
        PLAN,
        "[[test]]\nname = \"a\"\nkind = \"level\"\npin = 99\nexpect = \"low\"\n",
        &["self-test.toml", "99"],
    ),
    (PLAN, "tests = 1\n", &["self-test.toml", "tests"]),
    (PROFILE, "deadline_s = 5\nsettle_s = 5\n", &["health.toml", "longer than settle_s"]),
    (PROFILE, "[[check]]\nname = \"a\"\nkind = \"http\"\nurl = \"https://x\"\n", &["health.toml", "http://"]),
    (WORLD, "bord = \"pi5\"\n", &["world.toml", "line 1", "bord"]),
    (WORLD, "[gpio]\nwires = [[17, 99]]\n", &["world.toml", "99"]),
    (WORLD, "\n\n]", &["world.toml", "line 3", "delete it"]),
    (MACHINE, "{", &["machine.json", "delete it to begin with a new machine"]),
    (MACHINE, "{\"booted\":\"C\"}", &["machine.json"]),
    (MACHINE, "", &["machine.json"]),
];

#[test]
fn each_mistake_is_named_and_nothing_begins() {
    for (file, text, words) in CASES {
        let pi = Pi::new();
        pi.status();
        pi.good();
        let before = std::fs::read(pi.path(file)).ok();
        pi.file(file, text.as_bytes());
        eprintln!("{text}");
        for verb in ["preflight", "install @good.bundle", "update @good.bundle"] {
            pi.run(verb).must(1, words);
        }
        // What only a simulated Pi has is no configuration.
        let code = if [WORLD, MACHINE].contains(file) { 0 } else { 1 };
        // The system that runs has proved itself: what waits for the boot to be complete must start.
        let ended = pi.run("resume").must(1 - code, &words[..usize::from(code == 0)]);
        assert!(code == 0 || ended.err.contains("event=configuration_not_used"), "{ended:#?}");
        for verb in ["config check", "config show"] {
            pi.run(verb).must(code, if code == 0 { &[] } else { words });
        }
        assert_eq!(std::fs::read(pi.path(file)).unwrap(), text.as_bytes(), "left as it is");
        match before {
            Some(bytes) => drop(pi.file(file, &bytes)),
            None => std::fs::remove_file(pi.path(file)).unwrap(),
        }
        pi.is_unharmed();
        pi.takes_the_good_update();
    }
}

/// A broken configuration changes nothing of what is in flight while a system runs that proved itself. A boot doesn't fail for it.
#[test]
fn a_mistake_leaves_an_update_where_it_is() {
    for (state, code) in [("installing", 0), ("staged", 0), ("armed", 75)] {
        let pi = Pi::new();
        pi.config("[update]\nmode = \"reboot\"\n");
        let good = pi.good();
        match state {
            "installing" => {
                let half = std::fs::read(&good).unwrap();
                pi.run_with("install -", &half[..half.len() / 2]).must(1, &[]);
            }
            _ => drop(pi.run_on("install", &good).must(0, &[])),
        }
        if state == "armed" {
            pi.run("arm").must(0, &[]);
        }
        assert_eq!(pi.status()["state"], state);
        pi.config("[install]\nflush = 1\n");
        for _ in 0..2 {
            pi.run("resume").must(code, &["event=configuration_not_used", "unknown key"]);
            assert_eq!(pi.status()["state"], state);
        }
        pi.slot_a_is_untouched();
        pi.config("");
        pi.run_on("update", &good).must(0, &["slot B"]);
        pi.run("resume").must(0, &[]);
        pi.rests("B", "1.1.0");
    }
}

/// The way back was decided, and needs no configuration.
#[test]
fn a_mistake_does_not_hold_up_the_way_back() {
    let pi = Pi::new();
    pi.run_on("update", &pi.good()).must(0, &[]);
    pi.run("sim unit app.service failed").must(0, &[]);
    pi.run("sim cut --at-write 2 --at-byte 0").must(0, &[]);
    let ended = pi.run("resume");
    assert_ne!(ended.code, 0, "{ended:#?}");
    pi.config("[install]\nflush = 1\n");
    let _ = pi.run("sim power on");
    pi.run("resume").must(0, &["event=configuration_not_used"]);
    pi.config("");
    pi.is_unharmed();
}

/// Without a card, on whatever machine this is.
fn config(root: &Path, words: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bistable"));
    command.env_remove("RUST_LOG").env_remove("BISTABLE_CARD");
    command.args(["--root".as_ref(), root.as_os_str()]).args(words.split_whitespace());
    end(command, words)
}

#[test]
fn a_configuration_is_checked_and_shown_without_card_and_board() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(config(root.path(), "config check").must(0, &[]).out, "0 files, no errors\n");
    let folder = root.path().join("etc/bistable/config.d");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("a.toml");
    std::fs::write(&file, "allow_demo_keys = true\n[source]\nurls = ['http://x']\n").unwrap();

    let checked = config(root.path(), "config check").must(0, &[]).out;
    let lines: Vec<&str> = checked.lines().collect();
    let at = file.display().to_string();
    assert!(lines[0].starts_with(&format!("{at}:1: warning: allow_demo_keys")), "{checked}");
    assert!(lines[1].starts_with(&format!("{at}:3: note: source.urls")), "{checked}");
    assert_eq!(lines[2..], ["1 file, no errors, 1 warning, 1 note"]);
    let json = config(root.path(), "config check --json").must(0, &[]).json();
    assert_eq!((&json["files"], &json["remarks"][1]["line"]), (&1.into(), &3.into()));
    assert_eq!(json["remarks"][0]["level"], "warning");

    let shown = config(root.path(), "config show").must(0, &[]).out;
    assert!(shown.contains(&format!("allow_demo_keys = true  # {at}:1\n")), "{shown}");
    let json = config(root.path(), "config show --json").must(0, &[]).json();
    assert_eq!(json["settings"][0]["origin"]["file"], at);

    std::fs::write(&file, "a = 1\nb = 2\n").unwrap();
    for words in ["config check --json", "config show --json"] {
        let json = config(root.path(), words).must(1, &["2 problems", "a.toml:1:", "a.toml:2:"]).json();
        assert_eq!((&json["exit"], &json["problems"][1]["line"]), (&1.into(), &2.into()));
    }
    config(root.path(), "config").must(2, &["check", "show"]);
    config(root.path(), "--board sim config check").must(1, &["2 problems"]);
}

#[test]
fn a_requirement_is_met_by_the_configuration() {
    let pi = Pi::new();
    let needy = product()
        .draft()
        .with(|d| d.release.requires.components.push(("modem".into(), ">=4".parse().unwrap())));
    let bundle = pi.file("needy.bundle", &needy.pack(&[&product().release_key]));
    pi.config("[component.modem]\ninstalled = \"3.9.0\"\n");
    pi.run_on("install", &bundle).must(6, &["requires modem >=4", "the device has 3.9.0"]);
    pi.config("[component.modem]\ninstalled = \"4.1.0\"\n");
    pi.run_on("install", &bundle).must(0, &[]);
}

#[test]
fn an_owners_plan_replaces_the_releases() {
    let pi = Pi::new();
    pi.file(PLAN, SELF_TESTS.replace("17", "5").as_bytes());
    pi.run_on("update", &pi.good()).must(7, &["self-test failed", "relay", "GPIO5"]);
    pi.is_unharmed();
    pi.run_on("update", &pi.good()).must(6, &["rejected"]);
    std::fs::remove_file(pi.path(PLAN)).unwrap();
    pi.run_on("update --retry-rejected", &pi.good()).must(0, &[]);
}

#[test]
fn a_plan_that_names_a_pin_twice_is_not_even_built() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["system", "boot"] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("file"), "x").unwrap();
    }
    let version = "1.0.0".parse().unwrap();
    let mut options =
        BuildOptions::new("greenhouse", version, "pi4", at("system"), at("boot"), at("x.bundle"));
    options.keys = vec![product().release_key.clone()];
    options.root = Some(product().root.clone());
    options.self_tests = SELF_TESTS.replace("in = 27", "in = 17");
    let e = build(&options, &Silent).unwrap_err();
    let source = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
    assert!(source.contains("GPIO17"), "{e}: {source}");
    assert!(!at("x.bundle").exists());
}
