//! Channels: what is signed is read back, what makes no sense is refused, and an offer is held against its release.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::{
    Channel, DecodeError, Digest, Head, Offer, Role, Root, TrustError,
    attestation::Attestation,
    channel::{Gates, LONGEST, OfferError, Passage, Withdrawal},
    limits,
    rollout::{RolloutState, Wave},
};
use common::{
    attestation, channel, channel_keys, id, key, offer, problem, release, repository, root, signer,
    withdrawal,
};

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
        ("is not a name", refused(|c| c.name = "../production".into())),
        ("is not a name", refused(|c| c.name = "pro.duction".into())),
        ("is not a name", refused(|c| c.name = "p".repeat(limits::CHANNEL_NAME + 1))),
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
        ("whole sectors", refused(|c| c.offers[0].constraints.bytes[1] += 1)),
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
            one.rollout.pace = RolloutState::Paused(u64::MAX);
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
    other.constraints.security_version -= 1;
    assert_eq!(other.open(&sealed, &root()), Err(OfferError::Constraints { version: release().version }));
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
fn a_channel_is_signed_by_the_keys_that_the_root_names_for_it() {
    let staging = || Channel { name: "staging".into(), ..channel() };
    let other = |channel: &str| Err(TrustError::OtherChannel { channel: channel.into() });
    let open = |channel: &Channel, keys: &[u8], root: &Root| {
        let keys: Vec<_> = keys.iter().map(|n| signer(*n)).collect();
        Channel::open(&channel.seal(&keys.iter().collect::<Vec<_>>()).unwrap(), root)
    };
    assert_eq!(open(&channel(), &[5], &root()), Ok(channel()));
    assert_eq!(open(&staging(), &[8], &root()), Ok(staging()));
    assert_eq!(open(&channel(), &[8], &root()), other("production"));
    assert_eq!(open(&staging(), &[5], &root()), other("staging"));
    assert_eq!(open(&staging(), &[5, 8], &root()), Ok(staging()));
    // A channel that no entry names belongs to the entry without names; without one, no key may sign it.
    let mut named = root();
    named.roles[2] = channel_keys(&["production"], 1, &[5]);
    let lab = Channel { name: "lab".into(), ..channel() };
    let lab = |root: &Root| Channel { head: Head::new(root.repository(), ""), ..lab.clone() };
    assert_eq!(open(&lab(&root()), &[5], &root()), Ok(lab(&root())));
    assert_eq!(open(&lab(&named), &[5], &named), other("lab"));
    assert_eq!(open(&lab(&named), &[8], &named), other("lab"));
    assert_eq!((named.channel_keys("lab"), named.role(Role::Channel)), (None, None));
    // The threshold is the channel's own.
    let mut strict = root();
    strict.roles[3] = channel_keys(&["staging"], 2, &[6, 8]);
    let staging = Channel { head: Head::new(strict.repository(), ""), ..staging() };
    let few = TrustError::Threshold { role: Role::Channel, have: 1, need: 2 };
    assert!(matches!(open(&staging, &[8], &strict), Err(TrustError::WrongRole { .. })));
    strict.roles.swap(2, 3);
    let staging = Channel { head: Head::new(strict.repository(), ""), ..staging };
    assert_eq!(open(&staging, &[8], &strict), Err(few));
    assert_eq!(open(&staging, &[5], &strict), other("staging"));
    assert_eq!(open(&staging, &[6, 8], &strict), Ok(staging));
}

#[test]
fn a_broken_signature_under_another_channels_key_does_no_harm() {
    // Anybody can add one. In each order of the root's entries, what is well signed is opened.
    for swapped in [false, true] {
        let mut root = root();
        if swapped {
            root.roles.swap(2, 3);
        }
        let channel = Channel { head: Head::new(root.repository(), ""), ..channel() };
        let mut signed = channel.seal(&[&signer(5)]).unwrap();
        signed[10] += 1;
        signed.extend_from_slice(&id(8).0);
        signed.extend_from_slice(&[7; 64]);
        assert_eq!(Channel::open(&signed, &root), Ok(channel), "swapped: {swapped}");
        // Without the good one, it is what tells most.
        signed.drain(signed.len() - 160..signed.len() - 80);
        signed[10] -= 1;
        let bad = TrustError::BadSignature { role: Role::Channel, key: id(8) };
        assert_eq!(Channel::open(&signed, &root), Err(bad), "swapped: {swapped}");
    }
}

#[test]
fn a_channel_expires_its_lifetime_after_its_issue() {
    for (issued_at, lifetime, expires_at) in [
        (1_700_000_100, 1, Some(1_700_000_101)),
        (1_700_000_100, LONGEST, Some(1_700_000_100 + 400 * 86_400)),
        (0, 86_400, Some(86_400)),
        (u64::MAX, LONGEST, Some(u64::MAX)),
        (1_700_000_100, 0, None),
        (1_700_000_100, LONGEST + 1, None),
        (1_700_000_100, u64::MAX, None),
    ] {
        let made = Channel { issued_at, lifetime, ..channel() };
        let sealed = made.seal(&[&signer(5)]);
        assert_eq!(sealed.is_ok(), expires_at.is_some(), "{lifetime}");
        if let (Ok(sealed), Some(expires_at)) = (sealed, expires_at) {
            assert_eq!(Channel::open(&sealed, &root()).unwrap().expires_at(), expires_at);
        }
    }
}

#[test]
fn sixty_four_offers_of_realistic_size_fit_with_room_to_spare() {
    let requirement = |text| semver::VersionReq::parse(text).unwrap();
    let offers = (0..limits::OFFERS).map(|i| {
        let mut one = offer();
        one.identity = Digest::of(&i.to_le_bytes());
        one.release = Digest::of(&i.to_be_bytes());
        one.constraints.boards =
            ["pi3", "pi3a", "pi3b", "pi4", "pi400", "pi5", "cm4", "cm5"].map(String::from).to_vec();
        one.constraints.requires.running = Some(requirement(">=1.2.0, <2.0.0"));
        one.constraints.requires.components =
            vec![("boot-loader".into(), requirement("^2.1")), ("app".into(), requirement(">=3.0.0"))];
        one.rollout.canaries = vec!["lab".into(), "friendly-customers".into()];
        let wave = |n: u64| Wave { at: 1_700_000_000 + n * 86_400, over: 14_400, share: 10_000 };
        one.rollout.waves = (1..=8).map(wave).collect::<Vec<_>>().into();
        one
    });
    let full = Channel { offers: offers.collect::<Vec<_>>().into(), ..channel() };
    let (bytes, limit) = (full.payload_bytes(), limits::ENVELOPE_PAYLOAD);
    assert!(bytes <= limit / 2, "{bytes} bytes of {limit}: {} an offer", bytes / limits::OFFERS);
    assert_eq!(Channel::open(&full.seal(&[&signer(5)]).unwrap(), &root()), Ok(full));
}

#[test]
fn a_channel_that_would_not_fit_is_refused_by_its_writer() {
    let mut large = channel();
    let mut one = offer();
    one.constraints.boards = (0..limits::BOARDS).map(|i| format!("{i:064}")).collect();
    let offers = (0..limits::OFFERS).map(|i| Offer { identity: Digest::of(&i.to_le_bytes()), ..one.clone() });
    large.offers = offers.collect::<Vec<_>>().into();
    let bytes = large.payload_bytes();
    let too_large = DecodeError::TooLarge { what: "channel", bytes, limit: limits::ENVELOPE_PAYLOAD };
    assert!(bytes > limits::ENVELOPE_PAYLOAD, "{bytes}");
    assert_eq!(large.check(), Err(too_large.clone()));
    assert_eq!(large.seal(&[&signer(5)]), Err(too_large.into()));
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
    // A broken signature under its id does no harm beside a good one.
    let mut both = sealed.clone();
    both[10] += 1;
    both.splice(both.len() - 80..both.len() - 80, [&id(6).0[..], &[7; 64]].concat());
    assert_eq!(Attestation::open(&both, &key(6), &repository), Ok(word.clone()));
    // Signed for another role, it is nothing.
    let channel = channel().seal(&[&signer(6)]).unwrap();
    assert!(matches!(Attestation::open(&channel, &key(6), &repository), Err(TrustError::Envelope(_))));
    let spoiled = Attestation { kind: "tests passed".into(), ..word };
    assert!(spoiled.seal(&signer(6)).is_err());
}
