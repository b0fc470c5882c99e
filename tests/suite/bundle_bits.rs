//! Bundles cut off and with flipped bits, anywhere: in this process for their number, some through the program.
use crate::{
    draft::{Part, parts},
    fixture::product,
    pi::Pi,
};
use bistable::{
    Device, Error,
    agent::{Agent, Silence},
    board::{
        CardError,
        sim::{Sim, SimError},
    },
    config::Settings,
    error::BundleError,
    steps::install::Overrides,
};
use bistable_boot::{
    Slot, Target,
    layout::{HEADER_BYTES, Partition},
};
use std::path::Path;

fn install(card: &Path, bundle: &[u8]) -> Result<Target, Error> {
    let sim = opened(card)?;
    let device = Device::open(sim.board, Settings::default())?;
    Agent::start(device, &mut Silence)?.install(&mut &*bundle, Overrides::NONE)
}

/// Another test's thread that starts a program shares all our files, and so the card's lock, for the moment between
/// its fork and its exec.
fn opened(card: &Path) -> Result<Sim, Error> {
    for _ in 0..100_000 {
        match Sim::open(card) {
            Err(SimError::Card(CardError::Busy { .. })) => std::thread::yield_now(),
            result => return Ok(result?),
        }
    }
    panic!("the card stays in use");
}

/// Numbers that look random, the same ones each time.
fn spread(seed: u64, within: std::ops::Range<usize>, count: usize) -> impl Iterator<Item = usize> {
    let len = within.len() as u64;
    (1..=count as u64).filter(move |_| len > 0).map(move |i| {
        let x = (seed * 1000 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        within.start + usize::try_from((x ^ (x >> 29)) % len).unwrap()
    })
}

/// Places in every header, content, padding, and the end.
fn places(bundle: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    for (i, part) in parts(bundle).into_iter().enumerate() {
        let Part { header, content, end, .. } = part;
        // Name, mode, owner, group, size, time, checksum, type, link, magic, version, names, devices, prefix, rest.
        places.extend(
            [0, 20, 99, 100, 108, 116, 124, 134, 136, 148, 154, 156, 157, 257, 263, 265, 297, 329, 345, 511]
                .map(|at| header.start + at),
        );
        places.extend([content.start, content.end - 1]);
        places.extend(spread(i as u64, content.clone(), if i == 4 { 40 } else { 10 }));
        places.extend(
            [content.end, content.end + 1, end - 1].into_iter().filter(|at| (content.end..end).contains(at)),
        );
    }
    let end = bundle.len();
    places.extend([end - 1024, end - 513, end - 512, end - 1]);
    places
}

#[track_caller]
fn slot_b_does_not_boot(pi: &Pi, what: &str) {
    let boot = pi.partition(Partition::Boot(Slot::B));
    assert!(boot[..HEADER_BYTES].iter().all(|b| *b == 0), "{what}: slot B looks bootable");
}

#[test]
fn one_bit_flipped_anywhere() {
    let pi = Pi::new();
    let good = &product().good;
    let places = places(good);
    assert!(places.len() > 300);
    for (i, at) in places.into_iter().enumerate() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (i % 8);
        let what = format!("bit {} of byte {at}", i % 8);
        match install(&pi.card, &bad) {
            Err(Error::Bundle(e @ BundleError::NotABundle { .. })) => {
                assert!(at < parts(good)[1].header.start, "{what}: {e}");
            }
            Err(Error::Bundle(e)) => assert!(e.is_untrusted(), "{what}: {e}"),
            Err(e) => panic!("{what}: {e}"),
            Ok(_) => panic!("{what}: installed"),
        }
        slot_b_does_not_boot(&pi, &what);
        if i % 16 == 0 {
            pi.is_unharmed();
        }
    }
    pi.is_unharmed();
    install(&pi.card, good).unwrap();
    pi.tries_what_is_staged();
    pi.rests("B", "1.1.0");
}

/// Each part's borders, one byte before and behind them, and places within.
fn cuts(bundle: &[u8]) -> Vec<(usize, &'static str)> {
    let mut cuts = Vec::new();
    for (i, part) in parts(bundle).into_iter().enumerate() {
        for border in [part.header.start, part.header.end, part.content.end, part.end] {
            cuts.extend([border.saturating_sub(1), border, border + 1].map(|at| (at, part.name)));
        }
        cuts.extend(spread(50 + i as u64, part.content, 4).map(|at| (at, part.name)));
    }
    let end = bundle.len();
    cuts.extend([end - 1024, end - 1023, end - 512, end - 1].map(|at| (at, "end")));
    cuts.sort_unstable();
    cuts.dedup_by_key(|(at, _)| *at);
    cuts
}

#[test]
fn cut_off_anywhere() {
    let pi = Pi::new();
    let good = &product().good;
    let cuts = cuts(good);
    assert!(cuts.len() > 80);
    for (len, name) in cuts {
        let what = format!("{len} bytes, to the {name}");
        match install(&pi.card, &good[..len]) {
            Err(Error::Bundle(BundleError::NotABundle { .. })) => assert!(len < 512 + 30, "{what}"),
            Err(Error::Bundle(e @ BundleError::Truncated { .. })) => {
                assert!(e.to_string().contains(&format!("ends at byte {len}")), "{what}: {e}");
            }
            other => panic!("{what}: {other:?}"),
        }
        slot_b_does_not_boot(&pi, &what);
    }
    pi.slot_a_is_untouched();
    // What is there stays: the whole bundle continues from it.
    let s = pi.status();
    assert_eq!([&s["state"], &s["booted"], &s["default"]], ["installing", "A", "A"]);
    pi.takes_the_good_update();
}

#[test]
fn through_the_program() {
    let pi = Pi::new();
    let good = &product().good;
    let places = places(good);
    for at in places.iter().step_by(places.len() / 16).filter(|at| **at >= 1024) {
        let mut bad = good.clone();
        bad[*at] ^= 0x10;
        pi.run_on("install", &pi.file("bad.bundle", &bad)).must(5, &["error: "]);
        pi.is_unharmed();
    }
    let cuts = cuts(good);
    for (len, _) in cuts.iter().step_by(cuts.len() / 14).filter(|(len, _)| *len >= 1024) {
        let words = format!("the bundle ends at byte {len}");
        pi.run_on("install", &pi.file("bad.bundle", &good[..*len]))
            .must(1, &[&words, "fetch or copy it again"]);
        pi.run_with("install -", &good[..*len]).must(1, &[&words]);
        pi.slot_a_is_untouched();
    }
    pi.takes_the_good_update();
}
