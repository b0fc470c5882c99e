//! The power fails during every single write of an update: afterwards the device settles, never bricked, as if nothing
//! had been.
use crate::{
    fixture::{WORLD, product},
    pi::Pi,
};
use serde_json::Value;
use std::fs;

const SICK: &str = r#"
[gpio]
wires = [[17, 27]]
[units]
"app.service" = "active"
[[system]]
version = "1.1.0"
units."app.service" = "failed"
"#;

const UNWIRED: &str = r#"
[units]
"app.service" = "active"
"#;

fn power_is_off(pi: &Pi) -> bool {
    let text = fs::read_to_string(pi.path("card.img.sim/machine.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["off"] == true
}

fn tried(status: &Value) -> bool {
    let rejected = status["rejected"].as_array().unwrap();
    rejected.iter().any(|r| r["version"] == "1.1.0") || status["slots"]["b"]["default"] == true
}

/// What an owner and the boot unit do: offer the release while it is wanted, else continue. Gives the calls that it
/// took, or nothing if the power failed.
fn live(pi: &Pi) -> Option<u32> {
    for calls in 0..20 {
        let status = pi.run("status --json");
        if status.code != 0 {
            assert!(power_is_off(pi), "{status:#?}");
            return None;
        }
        let status = status.json();
        let ended = match status["state"].as_str().unwrap() {
            "idle" if tried(&status) => return Some(calls),
            // What is staged waits for the owner.
            "idle" | "installing" | "staged" => pi.run("update @good.bundle"),
            _ => pi.run("resume"),
        };
        if power_is_off(pi) {
            assert_eq!(ended.code, 1, "{ended:#?}");
            return None;
        }
        assert!([0, 7, 8].contains(&ended.code), "{ended:#?}");
    }
    panic!("does not settle: {:#?}", pi.status());
}

fn every_write(world: &str, least: u64, settled: impl Fn(&Pi, Value)) {
    let mut writes = 0;
    loop {
        let pi = Pi::new();
        pi.world(world);
        pi.good();
        pi.run(&format!("sim cut --at-write {}", writes + 1)).must(0, &[]);
        let whole = live(&pi).is_some();
        if !whole {
            pi.run("sim power on").must(0, &[]);
            assert!(live(&pi).is_some(), "the power fails once only");
        }
        pi.slot_a_is_untouched();
        settled(&pi, pi.status());
        if whole {
            break;
        }
        writes += 1;
    }
    eprintln!("{writes} writes");
    assert!(writes >= least, "{writes} writes are too few for an update");
}

#[test]
fn a_good_release_is_committed_in_the_end() {
    every_write(WORLD, 15, |pi, status| {
        pi.rests("B", "1.1.0");
        assert_eq!(status["rejected"].as_array().unwrap().len(), 0, "{status:#}");
        let b = pi.slot(bistable_boot::Slot::B);
        let old = crate::draft::Draft::of(&product().good, &product().root.root);
        for (slot, volume) in b.iter().zip([&old.boot, &old.system]) {
            let raw = usize::try_from(volume.bytes).unwrap();
            assert_eq!(bistable_format::Digest::of(&slot[..raw]), volume.digest);
        }
    });
}

#[test]
fn a_sick_release_is_reverted_in_the_end() {
    every_write(SICK, 15, |pi, status| {
        pi.rests("A", "1.0.0");
        let rejected = status["rejected"].as_array().unwrap();
        assert_eq!(rejected.len(), 1, "{status:#}");
        assert!(rejected[0]["reason"].as_str().unwrap().contains("application not good"), "{status:#}");
    });
}

#[test]
fn an_unwired_jig_refuses_in_the_end() {
    every_write(UNWIRED, 12, |pi, status| {
        pi.rests("A", "1.0.0");
        let rejected = status["rejected"].as_array().unwrap();
        assert_eq!(rejected.len(), 1, "{status:#}");
        assert!(rejected[0]["reason"].as_str().unwrap().contains("self-test failed"), "{status:#}");
    });
}
