use super::fake_pi::{FakePi, Greeting, Helper, Supply, Wire, pty};
use crate::run::{
    pi::{
        bench::{Bench, Login, SerialLine},
        real_pi::{Parts, RealPi, last_words},
        relay::Relay,
        serial::Serial,
    },
    play,
    report::Row,
    scenario::{self, Needs},
};
use nix::unistd::ttyname;
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

struct Played {
    row: Row,
    pi: FakePi,
    asked: Vec<String>,
    log: String,
}

fn run(name: &str, greeting: Greeting, password: &str, relay: bool) -> Played {
    let folder = tempfile::tempdir().unwrap();
    let (master, slave) = pty();
    let mut bench = Bench::parse(Path::new("bench.toml"), super::bench::GOOD).unwrap();
    bench.serial = SerialLine { port: ttyname(&slave).unwrap(), ..bench.serial };
    bench.off = Duration::ZERO;
    // This card can't be reached from outside.
    (bench.card.write, bench.card.multiplexer) = (None, None);
    bench.device.flow = bistable_boot::Flow::Tryboot;
    bench.device.login = (greeting == Greeting::Login).then(|| Login {
        user: "root".into(),
        password: password.into(),
        sudo: false,
    });
    let serial = Serial::open(&bench.serial).unwrap();
    let pi = FakePi::start(master, greeting);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let parts = Parts {
        serial,
        power: Box::new(Supply(pi.clone())),
        jig: relay.then(|| Box::new(Wire(pi.clone())) as Box<dyn Relay>),
        person: Box::new(Helper(pi.clone(), Arc::clone(&asked))),
        logs: folder.path().into(),
    };
    let mut rig = RealPi::new(bench, parts);
    let scenario = *scenario::ALL.iter().find(|s| s.name == name).unwrap();
    let row = play(&mut rig, scenario.name, scenario.story).unwrap();
    let log = name.replace(' ', "-");
    let log = std::fs::read(folder.path().join(format!("{log}-pi4.log"))).unwrap();
    let asked = asked.lock().unwrap().clone();
    Played { row, pi, asked, log: String::from_utf8_lossy(&log).into_owned() }
}

#[test]
fn every_scenario_passes_on_a_pi_that_does_as_it_should() {
    for scenario in scenario::ALL.iter().filter(|s| s.needs == Needs::Nothing) {
        let played = run(scenario.name, Greeting::RootShell, "", true);
        assert!(played.row.ended.is_ok(), "{}: {:?}\n{}", scenario.name, played.row.ended, played.log);
        assert_eq!((played.row.machine.as_str(), played.row.flow.as_str()), ("pi4", "tryboot"));
        assert_eq!(played.asked.len(), 1, "only the card: {:?}", played.asked);
        // The last boot was only to ask for the default slot, and isn't the scenario's.
        assert!(played.row.boots > 0 && u32::try_from(played.row.boots).unwrap() < played.pi.boots());
    }
}

#[test]
fn an_update_goes_through_a_login_at_every_boot() {
    let played = run("update", Greeting::Login, "secret", true);
    assert!(played.row.ended.is_ok(), "{:?}\n{}", played.row.ended, played.log);
    assert!(played.log.contains("Up { version: \"3.0.0\" }"), "{}", played.log);
}

#[test]
fn without_a_relay_a_person_takes_the_wire_off() {
    let played = run("self-test refused", Greeting::RootShell, "", false);
    assert!(played.row.ended.is_ok(), "{:?}\n{}", played.row.ended, played.log);
    assert!(played.asked.iter().any(|text| text.starts_with("Take off")), "{:?}", played.asked);
}

#[test]
fn a_wrong_password_is_told() {
    let played = run("update", Greeting::Login, "wrong", true);
    let why = played.row.ended.unwrap_err();
    assert!(why.contains("the Pi refused root's password 3 times"), "{why}");
    assert!(!played.log.contains("wrong"), "a password must not get into a log");
}

#[test]
fn the_power_is_off_in_the_end() {
    for password in ["secret", "wrong"] {
        assert!(!run("update", Greeting::Login, password, true).pi.has_power());
    }
}

#[test]
fn a_relay_that_does_not_switch_is_found() {
    let mut left = 5;
    let dies_away = || {
        left -= 1;
        Ok(left > 0)
    };
    last_words(dies_away).unwrap();
    assert_eq!(left, 0, "everything that was said is heard");
    let error = last_words(|| Ok(true)).unwrap_err().to_string();
    assert!(error.contains("goes on talking without power"), "{error}");
}
