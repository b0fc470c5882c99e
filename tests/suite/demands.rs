//! What bounds the trust in a repository: time without a clock, the root's expiry, and what the root demands of releases.
use crate::{
    fixture::WORLD,
    rig::Rig,
    shop::{
        CHANNEL, DAY, NOW, PUBLISHER, RELEASER, SEEN, STRANGER, at_time, channel, device, free_clock,
        install, look, made_by, publish, put, record, root, shop, signed_root, stock, store_roots, who,
    },
};
use bistable::{Error, error::Exit, source::Memory};
use bistable_format::{
    Channel, Digest, Extensions, Head, Root, attestation::Attestation, repository, root::Demand,
};
use std::time::Duration;

fn seen(rig: &mut Rig, shop: &mut Memory) -> Result<u64, Error> {
    rig.run(|agent| Ok(look(&mut agent.device, shop)?.channel.sequence))
}

fn says(e: &Error, exit: Exit, words: &str) {
    assert_eq!(e.exit(), exit, "{e}");
    assert!(e.to_string().contains(words), "{words:?} is not in {e}");
}

/// Without a clock, time is at least when the running release was built and when the clock was last saved.
#[test]
fn channel_that_expired_before_what_bounds_the_time_is_refused_without_a_clock() {
    let built = 1_700_000_000;
    let old = |issued_at| Channel { issued_at, ..channel(SEEN, Vec::new()) };
    let shop_of = |file: &Channel| {
        let mut shop = shop();
        publish(&mut shop, file);
        shop
    };
    let clockless = |saved: &str| {
        let rig = device();
        rig.pi.world(&format!("{saved}time = 17\nwall_clock = \"free\"\n{WORLD}"));
        rig
    };
    let mut rig = clockless("");
    let e = seen(&mut rig, &mut shop_of(&old(built - 7 * DAY))).unwrap_err();
    says(&e, Exit::TryLater, "expired 0 s ago");
    seen(&mut rig, &mut shop_of(&old(built - 7 * DAY + 1))).unwrap();
    let mut rig = clockless(&format!("saved_time = {}\n", built + 9 * DAY));
    let e = seen(&mut rig, &mut shop_of(&old(built + DAY))).unwrap_err();
    says(&e, Exit::TryLater, "expired 24 h ago");
    seen(&mut rig, &mut shop_of(&old(built + 3 * DAY))).unwrap();
    // A clock that ran away and was saved bounds nothing.
    let mut rig = clockless(&format!("saved_time = {}\n", built + 21 * 366 * DAY));
    seen(&mut rig, &mut shop_of(&old(built + DAY))).unwrap();
    // Nor may a file of a channel move the time to the end of all days.
    let e = seen(&mut rig, &mut shop_of(&Channel { sequence: SEEN + 1, ..old(built + 21 * 366 * DAY) }))
        .unwrap_err();
    says(&e, Exit::Untrusted, "in the future");
}

/// A root past its expiry is no ground to take updates from, once its successor can't be had; with no clock it never expires.
#[test]
fn expired_root_takes_no_update_until_its_successor_is_there() {
    let expires_at = NOW + 30 * DAY;
    let first = Root { expires_at: Some(expires_at), ..root(1) };
    let mut rig = device();
    store_roots(&rig, &[signed_root(&first)]);
    let next = Root { head: Head::new(first.repository(), ""), expires_at: None, ..root(2) };
    let file = |head: &Head| Channel {
        head: head.clone(),
        issued_at: expires_at - DAY,
        ..channel(SEEN, Vec::new())
    };
    let head = Head::new(first.repository(), "");
    let mut shop = shop();
    put(&mut shop, repository::root(1), signed_root(&first));
    publish(&mut shop, &file(&head));
    at_time(&rig, expires_at - 1);
    seen(&mut rig, &mut shop).unwrap();
    at_time(&rig, expires_at);
    says(&seen(&mut rig, &mut shop).unwrap_err(), Exit::TryLater, "root 1 of memory expired on");
    free_clock(&rig);
    seen(&mut rig, &mut shop).unwrap();
    // The chain is followed first: an expired root still introduces its successor.
    at_time(&rig, expires_at + DAY);
    put(&mut shop, repository::root(2), signed_root(&next));
    seen(&mut rig, &mut shop).unwrap();
    assert_eq!(record(&mut rig).floors.root_version, 2);
}

/// What a root demands of releases is verified by the device, whatever the host let through.
#[test]
fn offer_without_the_attestation_that_the_root_demands_is_not_taken() {
    let rig_key = who(PUBLISHER);
    let mut first = root(1);
    first.demands.push(Demand {
        channels: vec![CHANNEL.into()],
        kind: "tests-passed".into(),
        key: rig_key.public().id(),
    });
    let mut rig = device();
    store_roots(&rig, &[signed_root(&first)]);
    let head = Head::new(first.repository(), "greenhouse");
    let made = made_by("1.1.0", &[RELEASER], |r| r.head = head.clone());
    let mut shop = shop();
    put(&mut shop, repository::root(1), signed_root(&first));
    let offer = stock(&mut shop, &made);
    let identity = offer.identity;
    let file = Channel { head: Head::new(first.repository(), ""), ..channel(SEEN, vec![offer]) };
    publish(&mut shop, &file);
    let mut update = |shop: &mut Memory| rig.run(|agent| install(agent, shop, None));
    says(&update(&mut shop).unwrap_err(), Exit::TryLater, "is missing: the root demands that key");
    let said = |release, kind: &str| Attestation {
        head: head.clone(),
        release,
        kind: kind.into(),
        at: NOW,
        note: String::new(),
        extensions: Extensions::default(),
    };
    let path = repository::attestation(&identity, "tests-passed", &rig_key.public().id());
    let other = Digest::of(b"other");
    for (word, by, problem) in [
        (said(identity, "tests-passed"), STRANGER, "which this root does not know"),
        (said(other, "tests-passed"), PUBLISHER, "is another release's"),
        (said(identity, "burned-in"), PUBLISHER, "is another release's"),
    ] {
        put(&mut shop, path.clone(), word.seal(who(by).signing()).unwrap());
        says(&update(&mut shop).unwrap_err(), Exit::Untrusted, problem);
    }
    put(&mut shop, path, said(identity, "tests-passed").seal(rig_key.signing()).unwrap());
    assert_eq!(update(&mut shop).unwrap().version.to_string(), "1.1.0");
}

/// Between two checks of one boot time does not stand still, although nothing says what it is.
#[test]
fn time_that_passed_since_an_earlier_check_counts_without_a_clock() {
    let mut rig = device();
    free_clock(&rig);
    let mut shop = shop();
    publish(&mut shop, &Channel { issued_at: NOW, ..channel(SEEN, Vec::new()) });
    let after = |rig: &mut Rig, shop: &mut Memory, waits: &[u64]| {
        rig.run(|agent| {
            for wait in waits {
                look(&mut agent.device, shop)?;
                agent.device.board.clock.wait(Duration::from_millis(wait * 1000));
            }
            look(&mut agent.device, shop).map(drop)
        })
    };
    after(&mut rig, &mut shop, &[7 * DAY - 1]).unwrap();
    // Fractions of a second that pass between checks are not lost.
    let e = after(&mut rig, &mut shop, &[6 * DAY, DAY]).unwrap_err();
    says(&e, Exit::TryLater, "expired 0 s ago");
    // How long a device was off isn't known: the next boot begins with what the floors say.
    after(&mut rig, &mut shop, &[]).unwrap();
}
