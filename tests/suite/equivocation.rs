//! Two signed files of one channel with the same number: whoever can write to the store deletes the newest files, and the next
//! ones are signed under numbers that devices have seen already.
use crate::{
    check::shelve,
    shop::{CHANNEL, SEEN, channel, device, look, made, publish, record, shop, stock},
};
use bistable::{
    Error,
    error::{CheckError, Exit},
    offer::{self, channel::Remember},
    source::Memory,
};
use bistable_boot::{Floors, Record};
use bistable_format::repository;
use serde_json::Value;

const NUMBER: u64 = SEEN + 1;

/// A store whose newest file has that number and offers these versions.
fn store(number: u64, versions: &[&str]) -> Memory {
    let mut store = shop();
    let offers = versions.iter().map(|version| stock(&mut store, &made(version))).collect();
    publish(&mut store, &channel(number, offers));
    store
}

#[test]
fn another_file_of_an_accepted_number_is_refused_until_a_higher_number_comes() {
    let mut rig = device();
    // The newest file withdraws what is on offer in the other one.
    let (mut honest, mut forged) = (store(NUMBER, &[]), store(NUMBER, &["1.1.0"]));
    rig.run(|agent| look(&mut agent.device, &mut honest)).unwrap();
    let before = record(&mut rig);
    for _ in 0..2 {
        let e = rig.run(|agent| look(&mut agent.device, &mut forged)).unwrap_err();
        assert_eq!(e.exit(), Exit::Untrusted);
        let Error::Check(CheckError::Equivocation { at, channel, found, accepted }) = &e else {
            panic!("{e}")
        };
        assert!(at.ends_with(&repository::channel(CHANNEL, NUMBER)), "{at}");
        assert_eq!((&**channel, found.sequence, Some(*accepted)), (CHANNEL, NUMBER, before.channel_payload));
        assert!(e.to_string().contains("was signed twice (equivocation)"), "{e}");
    }
    // Nothing changed but that it is remembered.
    let after = record(&mut rig);
    let noted = after.equivocation.unwrap();
    assert_eq!(Record { seq: after.seq, equivocation: Some(noted), ..before.clone() }, after);
    assert_eq!(after.seq, before.seq + 1, "noted once");
    // The honest file is still accepted, and a person has still not looked into it.
    rig.run(|agent| look(&mut agent.device, &mut honest)).unwrap();
    assert_eq!(record(&mut rig).equivocation, Some(noted));
    // A higher number is believed again, whoever wrote the one before.
    let mut next = store(NUMBER + 1, &["1.1.0"]);
    rig.run(|agent| look(&mut agent.device, &mut next)).unwrap();
    let after = record(&mut rig);
    assert_eq!((after.floors.channel_sequence, after.equivocation), (NUMBER + 1, Some(noted)));
    assert_ne!(after.channel_payload, before.channel_payload);
}

#[test]
fn higher_number_does_not_hide_that_the_accepted_one_was_signed_twice() {
    let mut rig = device();
    let (mut honest, mut forged) = (store(NUMBER, &[]), store(NUMBER, &["1.1.0"]));
    rig.run(|agent| look(&mut agent.device, &mut honest)).unwrap();
    publish(&mut forged, &channel(NUMBER + 1, Vec::new()));
    rig.run(|agent| look(&mut agent.device, &mut forged)).unwrap();
    let after = record(&mut rig);
    assert_eq!(after.floors.channel_sequence, NUMBER + 1, "accepted all the same");
    assert_eq!(after.equivocation.map(|found| found.sequence), Some(NUMBER));
}

#[test]
fn a_look_without_remembering_refuses_it_too_and_writes_nothing() {
    let mut rig = device();
    let (mut honest, mut forged) = (store(NUMBER, &[]), store(NUMBER, &["1.1.0"]));
    rig.run(|agent| look(&mut agent.device, &mut honest)).unwrap();
    rig.writes();
    let dry = rig.run(|agent| offer::channel::check(&mut agent.device, &mut forged, CHANNEL, Remember::No));
    assert!(matches!(dry, Err(Error::Check(e)) if e.is_equivocation()));
    assert_eq!(rig.writes(), []);
}

#[test]
fn an_added_signature_makes_no_other_file() {
    use crate::shop::{payload, put, sealed};
    use bistable_format::Role;
    let mut rig = device();
    let file = channel(NUMBER, Vec::new());
    let mut store = store(NUMBER, &[]);
    rig.run(|agent| look(&mut agent.device, &mut store)).unwrap();
    let signed_twice = sealed(Role::Channel, &payload(&file), &[crate::shop::PUBLISHER, 9]);
    put(&mut store, repository::channel(CHANNEL, NUMBER), signed_twice);
    rig.run(|agent| look(&mut agent.device, &mut store)).unwrap();
}

#[test]
fn another_channel_or_another_channel_key_starts_without_a_digest() {
    let mut rig = device();
    let mut store = store(NUMBER, &[]);
    let staging = bistable_format::Channel { name: "staging".into(), ..channel(NUMBER, Vec::new()) };
    publish(&mut store, &staging);
    rig.run(|agent| look(&mut agent.device, &mut store)).unwrap();
    let before = record(&mut rig);
    rig.settings.source.channel = "staging".into();
    rig.run(|agent| offer::channel::check(&mut agent.device, &mut store, "staging", Remember::Yes)).unwrap();
    let after = record(&mut rig);
    assert_eq!((&*after.channel, after.floors.channel_sequence), ("staging", NUMBER));
    assert_ne!(after.channel_payload, before.channel_payload);
    assert_eq!(Floors { issued_at: after.floors.issued_at, ..before.floors }, after.floors);
}

#[test]
fn one_mirror_that_equivocates_does_not_hide_the_others_and_is_named() {
    let crate::rig::Rig { pi, .. } = device();
    shelve(&pi, "honest", &store(NUMBER, &[]));
    shelve(&pi, "forged", &store(NUMBER, &["1.1.0"]));
    shelve(&pi, "next", &store(NUMBER + 1, &["1.1.0"]));
    pi.run("check --source @honest").must(3, &[]);
    let words = ["was signed twice (equivocation)", "forged/channels/"];
    for verb in ["check", "update", "install"] {
        pi.run(&format!("{verb} --source @forged")).must(5, &words);
        pi.run(&format!("{verb} --source @forged --source @gone")).must(5, &words);
    }
    pi.is_unharmed();
    let status = pi.status();
    assert_eq!(status["equivocation"]["sequence"], Value::from(NUMBER), "{status:#}");
    let shown = pi.run("status").must(0, &[]).out;
    assert!(shown.contains("EQUIVOCATION") && shown.contains(CHANNEL), "{shown}");
    let shown = pi.run("check --source @honest --json").must(3, &[]).json();
    assert_eq!(shown["equivocation"]["sequence"], Value::from(NUMBER), "{shown:#}");
    // Another mirror has what was accepted before, or the number after it.
    pi.run("check --source @forged --source @honest").must(3, &["this mirror is not used", words[1]]);
    pi.run("check --source @forged --source @next").must(0, &[]);
    assert_eq!(pi.status()["equivocation"]["sequence"], Value::from(NUMBER));
    pi.run("repair").must(0, &[]);
    assert_eq!(pi.status()["equivocation"], Value::Null);
    pi.run("repair").must(3, &[]);
    pi.run("update --source @next").must(0, &["state: staged"]);
}
