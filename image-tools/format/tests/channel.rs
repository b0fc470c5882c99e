//! Channels: what is signed is read back, what makes no sense is refused, and an offer is held against its release.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::{
    Channel, Digest, TrustError,
    attestation::Attestation,
    channel::{Gates, LONGEST, OfferError, Passage, Withdrawal},
    limits,
    rollout::{Pace, Wave},
};
use common::{attestation, channel, key, offer, problem, release, repository, root, signer, withdrawal};

fn refused(change: impl FnOnce(&mut Channel)) -> String {
    let mut spoiled = channel();
    change(&mut spoiled);
    match spoiled.seal(&[&signer(5)]) {
        Err(TrustError::Decode(e)) => problem::<()>(Err(e)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_signed_is_read_back() {
    let sealed = channel().seal(&[&signer(5)]).unwrap();
    assert_eq!(Channel::open(&sealed, &root()), Ok(channel()));
    for stranger in [1, 4, 6, 7] {
        assert!(
            Channel::open(&channel().seal(&[&signer(stranger)]).unwrap(), &root()).is_err(),
            "{stranger}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let withdrawal = |identity| Withdrawal { identity, ..withdrawal() };
    #[rustfmt::skip]
    let table: [(&str, String); 15] = [
        ("is no name", refused(|c| c.name = "../production".into())),
        ("is no name", refused(|c| c.name = "pro.duction".into())),
        ("is no name", refused(|c| c.name = "p".repeat(limits::CHANNEL_NAME + 1))),
        ("don't fit", refused(|c| c.sequence = 0)),
        ("don't fit", refused(|c| c.sequence = 1)),
        ("don't fit", refused(|c| c.previous = None)),
        ("after its issue", refused(|c| c.lifetime = 0)),
        ("after its issue", refused(|c| c.lifetime = LONGEST + 1)),
        ("control characters", refused(|c| c.act.by = "a\nb".into())),
        ("is there twice", refused(|c| c.offers.push(offer()))),
        ("offered and withdrawn", refused(|c| c.withdrawn.push(withdrawal(offer().identity)))),
        ("65 offers", refused(|c| c.offers = vec![offer(); limits::OFFERS + 1].into())),
        ("a wave's share", refused(|c| c.offers[0].rollout.waves.push(Wave { at: 0, over: 0, share: 0 }))),
        ("a wave's share", refused(|c| c.offers[0].rollout.waves.push(Wave { at: 0, over: 0, share: 10_001 }))),
        ("whole sectors", refused(|c| c.offers[0].terms.bytes[1] += 1)),
    ];
    for (want, found) in table {
        assert!(found.contains(want), "{want}: {found}");
    }
}

#[test]
fn a_full_channel_fits() {
    let mut full = channel();
    let offers: Vec<_> = (0..limits::OFFERS)
        .map(|i| {
            let mut one = offer();
            one.identity = Digest::of(&i.to_le_bytes());
            one.passage = Passage::Barrier;
            one.rollout.pace = Pace::Paused(u64::MAX);
            one.rollout.waves = vec![Wave { at: u64::MAX, over: u32::MAX, share: 10_000 }; 8].into();
            one
        })
        .collect();
    full.offers = offers.into();
    let withdrawn: Vec<_> = (0..limits::WITHDRAWN)
        .map(|i| Withdrawal {
            identity: Digest::of(&(i + 1000).to_le_bytes()),
            reason: "x".repeat(80),
            at: u64::MAX,
            ..withdrawal()
        })
        .collect();
    full.withdrawn = withdrawn.into();
    full.pins = vec![Digest([7; 32]); limits::PINS];
    full.catalog = vec![common::segment(); limits::SEGMENTS];
    full.gates =
        Gates { attestations: vec![("tests-passed".into(), key(6)); limits::ATTESTATIONS], ..full.gates };
    let sealed = full.seal(&[&signer(5)]).unwrap();
    assert_eq!(Channel::open(&sealed, &root()), Ok(full));
}

#[test]
fn an_offer_is_held_against_its_release() {
    let sealed = release().seal(&[&signer(4)]).unwrap();
    assert_eq!(offer().open(&sealed, &root()), Ok(release()));
    let mut other = offer();
    other.terms.security_version -= 1;
    assert_eq!(other.open(&sealed, &root()), Err(OfferError::Terms { version: release().version }));
    let twice = release().seal(&[&signer(4), &signer(7)]).unwrap();
    assert!(matches!(offer().open(&twice, &root()), Err(OfferError::Digest { .. })));
    let by_a_stranger = release().seal(&[&signer(5)]).unwrap();
    let mut named = offer();
    named.release = Digest::of(&by_a_stranger);
    assert!(matches!(
        named.open(&by_a_stranger, &root()),
        Err(OfferError::Untrusted(TrustError::WrongRole { .. }))
    ));
}

#[test]
fn only_the_named_key_attests() {
    let (word, repository) = (attestation(), repository());
    let sealed = word.seal(&signer(6)).unwrap();
    assert_eq!(Attestation::open(&sealed, &key(6), &repository), Ok(word.clone()));
    assert!(matches!(Attestation::open(&sealed, &key(5), &repository), Err(TrustError::UnknownKey { .. })));
    let mut forged = sealed.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert!(matches!(Attestation::open(&forged, &key(6), &repository), Err(TrustError::BadSignature { .. })));
    // Signed for another role, it is nothing.
    let channel = channel().seal(&[&signer(6)]).unwrap();
    assert!(matches!(Attestation::open(&channel, &key(6), &repository), Err(TrustError::Envelope(_))));
    let spoiled = Attestation { kind: "tests passed".into(), ..word };
    assert!(spoiled.seal(&signer(6)).is_err());
}
