//! The signed container: what it carries, what it refuses, and who may sign what.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::{
    DecodeError, Envelope, EnvelopeError, Head, KeyId, KeyKind, Release, Role, Root, TrustError,
    envelope::seal, limits,
};
use common::{NO_REPOSITORY, id, key, next_root, release, repository, role_keys, root, sealed_as, signer};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

const HEAD: usize = 16;
const SIGNED: usize = 80;

/// Seal with keys by number.
fn sealed(role: Role, payload: &[u8], keys: &[u8]) -> Vec<u8> {
    let keys: Vec<SigningKey> = keys.iter().map(|n| signer(*n)).collect();
    seal(role, payload, &keys.iter().collect::<Vec<_>>()).unwrap()
}

fn sealed_root(root: &Root, keys: &[u8]) -> Vec<u8> {
    sealed(Role::Root, &root.encode().unwrap(), keys)
}

/// Replace the signatures of an envelope by these blocks of key id and signature.
fn with_signatures(envelope: &[u8], blocks: &[&[u8]]) -> Vec<u8> {
    let length = usize::try_from(u32::from_le_bytes(envelope[12..16].try_into().unwrap())).unwrap();
    let mut bytes = envelope[..HEAD + length].to_vec();
    bytes[10..12].copy_from_slice(&u16::try_from(blocks.len()).unwrap().to_le_bytes());
    blocks.iter().for_each(|b| bytes.extend_from_slice(b));
    bytes
}

/// The block of key id and signature that key `n` makes.
fn block(role: Role, payload: &[u8], n: u8) -> Vec<u8> {
    let bytes = sealed(role, payload, &[n]);
    bytes[bytes.len() - SIGNED..].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn round_trip(
        role in prop::sample::select(Role::IN_ROOT.to_vec()),
        payload in prop::collection::vec(any::<u8>(), 0..2000),
        keys in prop::collection::vec(1u8..20, 0..=16),
    ) {
        let bytes = sealed(role, &payload, &keys);
        prop_assert!(bytes.len() <= Envelope::MAX_BYTES);
        let envelope = Envelope::parse(&bytes, role).unwrap();
        prop_assert_eq!(envelope.role, role);
        prop_assert_eq!(envelope.payload, &payload[..]);
        let mut distinct: Vec<KeyId> = keys.iter().map(|n| id(*n)).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let found: Vec<KeyId> = envelope.signatures().map(|(id, _)| id).collect();
        prop_assert_eq!(found, distinct, "each key once, in the order of their ids");
        for (found, signature) in envelope.signatures() {
            for n in &keys {
                let verifies = envelope.verifies(&signer(*n).verifying_key(), &signature);
                prop_assert_eq!(verifies, found == id(*n));
            }
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_in_any_order_of_keys() {
    assert_eq!(sealed(Role::Root, b"x", &[1, 2, 3]), sealed(Role::Root, b"x", &[3, 1, 2, 1]));
}

#[test]
fn the_largest_envelope_fits_and_nothing_larger() {
    let keys: Vec<u8> = (1..=16).collect();
    let bytes = sealed(Role::Release, &vec![7; limits::ENVELOPE_PAYLOAD], &keys);
    assert_eq!(bytes.len(), Envelope::MAX_BYTES);
    assert!(Envelope::parse(&bytes, Role::Release).is_ok());
    let too_long = vec![7; limits::ENVELOPE_PAYLOAD + 1];
    assert_eq!(seal(Role::Release, &too_long, &[]), Err(EnvelopeError::TooLarge));
    let keys: Vec<SigningKey> = (1..=17).map(signer).collect();
    assert_eq!(seal(Role::Release, b"", &keys.iter().collect::<Vec<_>>()), Err(EnvelopeError::TooLarge));
}

#[test]
fn each_lie_in_the_head_is_named() {
    use EnvelopeError::{Length, Magic, TooLarge, UnknownRole};
    type Lie = (&'static str, fn(&mut Vec<u8>), EnvelopeError);
    let lies: [Lie; 14] = [
        ("empty", Vec::clear, Magic),
        ("head-short", |b| b.truncate(HEAD - 1), Magic),
        ("magic", |b| b[3] ^= 0x20, Magic),
        ("role-unknown", |b| b[8] = 9, UnknownRole(9)),
        ("role-zero", |b| b[8] = 0, UnknownRole(0)),
        ("role-other", |b| b[8] = 3, EnvelopeError::Role { found: Role::Channel, wanted: Role::Release }),
        ("count-one-more", |b| b[10] += 1, Length),
        ("count-one-less", |b| b[10] -= 1, Length),
        ("count-over-limit", |b| b[10] = 17, TooLarge),
        ("count-high-byte", |b| b[11] = 1, TooLarge),
        ("length-one-more", |b| b[12] += 1, Length),
        ("length-one-less", |b| b[12] -= 1, Length),
        ("length-huge", |b| b[12..16].fill(0xff), TooLarge),
        ("trailing-byte", |b| b.push(0), Length),
    ];
    let good = sealed(Role::Release, b"payload of some bytes", &[4, 6]);
    for (name, lie, expected) in lies {
        let mut bytes = good.clone();
        lie(&mut bytes);
        assert_eq!(Envelope::parse(&bytes, Role::Release), Err(expected), "{name}");
    }
    for cut in 0..good.len() {
        let expected = if cut < HEAD { Magic } else { Length };
        assert_eq!(Envelope::parse(&good[..cut], Role::Release), Err(expected), "cut at {cut}");
        assert_eq!(Envelope::stored_len(&good[..cut], Role::Release), Err(expected), "cut at {cut}");
    }
}

#[test]
fn a_later_format_is_parsed_and_named_after_the_signature() {
    for role in Role::ALL {
        let bytes = sealed_as(role, 99, b"payload", &[4]);
        let envelope = Envelope::parse(&bytes, role).unwrap();
        assert_eq!((envelope.format, envelope.payload), (99, &b"payload"[..]));
        let (_, signature) = envelope.signatures().next().unwrap();
        assert!(envelope.verifies(&signer(4).verifying_key(), &signature));
        assert_eq!(envelope.check_format(), Err(EnvelopeError::Format { role, format: 99 }));
        // The format is signed.
        let mut relabelled = bytes.clone();
        relabelled[9] = 1;
        let envelope = Envelope::parse(&relabelled, role).unwrap();
        assert_eq!(envelope.check_format(), Ok(()));
        assert!(!envelope.verifies(&signer(4).verifying_key(), &signature));
    }
}

#[test]
fn signatures_are_added_to_an_envelope_once_for_each_key() {
    let payload = root().encode().unwrap();
    let one = sealed(Role::Root, &payload, &[3]);
    let add = |bytes: &[u8], keys: &[u8]| {
        let keys: Vec<SigningKey> = keys.iter().map(|n| signer(*n)).collect();
        Envelope::parse(bytes, Role::Root).unwrap().add_signatures(&keys.iter().collect::<Vec<_>>())
    };
    assert_eq!(add(&one, &[1]).unwrap(), sealed(Role::Root, &payload, &[1, 3]));
    assert_eq!(add(&one, &[3]).unwrap(), one, "who signed already signs no second time");
    assert_eq!(add(&sealed(Role::Root, &payload, &[]), &[1, 1]).unwrap(), sealed(Role::Root, &payload, &[1]));
    let many: Vec<u8> = (1..=17).collect();
    assert_eq!(add(&one, &many), Err(EnvelopeError::TooLarge));
    // A format that this version can't read can still be signed, as the format that it is.
    let later = sealed_as(Role::Root, 99, &payload, &[1]);
    assert_eq!(add(&later, &[2]).unwrap(), sealed_as(Role::Root, 99, &payload, &[1, 2]));
}

#[test]
fn the_length_in_storage_is_found_whatever_follows() {
    use EnvelopeError::{Length, Magic, Role as WrongRole, TooLarge};
    let good = sealed(Role::Root, b"payload", &[1, 2]);
    let stored = |behind: &[u8]| [&good[..], behind].concat();
    for behind in [&[][..], &[0; 512], &[0xff; 3], &good] {
        assert_eq!(Envelope::stored_len(&stored(behind), Role::Root), Ok(good.len()));
    }
    let other = WrongRole { found: Role::Root, wanted: Role::Release };
    assert_eq!(Envelope::stored_len(&good, Role::Release), Err(other));
    assert_eq!(Envelope::stored_len(&[0; 4096], Role::Root), Err(Magic));
    let mut lie = stored(&[0; 79]);
    lie[10] += 1;
    assert_eq!(Envelope::stored_len(&lie, Role::Root), Err(Length));
    lie[10] = 17;
    assert_eq!(Envelope::stored_len(&lie, Role::Root), Err(TooLarge));
    lie[10] = 2;
    lie[12..16].fill(0xff);
    assert_eq!(Envelope::stored_len(&lie, Role::Root), Err(TooLarge));
}

#[test]
fn the_payload_is_what_identifies_signed_things() {
    // Anybody can add a signature that doesn't count: the envelope's bytes change, and what is trusted doesn't. What
    // must be remembered about a release, such as that it was rejected, is remembered by its payload's digest.
    let payload = release().encode().unwrap();
    let good = sealed(Role::Release, &payload, &[4]);
    let own = &good[good.len() - SIGNED..];
    let padded = with_signatures(&good, &[own, &[7; SIGNED]]);
    let root = root();
    assert_ne!(padded, good);
    assert_eq!(root.verify(Role::Release, &padded), root.verify(Role::Release, &good));
}

#[test]
fn a_signature_moved_into_the_payload_is_no_longer_one() {
    // The lengths add up again, but what is signed is another payload.
    let payload = release().encode().unwrap();
    let mut bytes = sealed(Role::Release, &payload, &[4, 6]);
    let longer = u32::try_from(payload.len() + SIGNED).unwrap();
    bytes[10] = 1;
    bytes[12..16].copy_from_slice(&longer.to_le_bytes());
    assert!(Envelope::parse(&bytes, Role::Release).is_ok());
    assert!(root().verify(Role::Release, &bytes).is_err());
}

#[test]
fn a_signature_for_one_role_never_verifies_in_another() {
    let mut all = root();
    all.roles = Role::IN_ROOT.map(|role| role_keys(role, 1, &[1])).to_vec();
    let payload = postcard::to_allocvec(&Head::new(all.repository(), "")).unwrap();
    let signed = [Role::Root, Role::Release, Role::Channel, Role::Delta];
    for made in signed {
        let bytes = sealed(made, &payload, &[1]);
        for wanted in signed {
            let refused = all.verify(wanted, &bytes);
            if made == wanted {
                assert_eq!(refused, Ok(&payload[..]));
                continue;
            }
            assert_eq!(refused, Err(EnvelopeError::Role { found: made, wanted }.into()));
            // Relabelled: the key is the right one, the signature isn't.
            let mut relabelled = bytes.clone();
            relabelled[8] = sealed(wanted, b"", &[])[8];
            assert_eq!(
                all.verify(wanted, &relabelled),
                Err(TrustError::BadSignature { role: wanted, key: id(1) }),
                "{made} as {wanted}"
            );
        }
    }
}

#[test]
fn every_flipped_bit_of_a_signed_release_is_refused() {
    let bytes = release().seal(&[&signer(4)]).unwrap();
    let root = root();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Release::open(&flipped, &root).is_err(), "bit {bit}");
    }
}

#[test]
fn every_flipped_bit_of_a_signed_root_is_refused_or_changes_nothing_trusted() {
    let keys = (1..=3).map(key).collect();
    let roles = vec![role_keys(Role::Root, 2, &[1, 2, 3])];
    let root = Root { keys, roles, demands: vec![], ..root() };
    // As many signatures as needed: each of them counts.
    let bytes = sealed_root(&root, &[1, 2]);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Root::open(&flipped).is_err(), "bit {bit}");
    }
    // One to spare: a flip in one of the three is harmless, and nothing else is.
    let bytes = sealed_root(&root, &[1, 2, 3]);
    let signatures = bytes.len() - 3 * SIGNED;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let opened = Root::open(&flipped);
        if bit / 8 < signatures {
            assert!(opened.is_err(), "bit {bit}");
        } else {
            assert_eq!(opened.as_ref(), Ok(&root), "bit {bit}");
        }
    }
}

#[test]
fn a_threshold_counts_distinct_keys() {
    let root = root();
    let next = next_root();
    let payload = next.encode().unwrap();
    let blocks: Vec<Vec<u8>> = [1, 2, 3].iter().map(|n| block(Role::Root, &payload, *n)).collect();
    let bare = sealed(Role::Root, &payload, &[]);
    let few = |have| Some(TrustError::Threshold { role: Role::Root, have, need: 2 });
    let cases: [(&str, &[usize], Option<TrustError>); 9] = [
        ("none", &[], Some(TrustError::Unsigned(Role::Root))),
        ("one", &[0], few(1)),
        ("same-signature-twice", &[0, 0], few(1)),
        ("same-signature-16-times", &[2; 16], few(1)),
        ("first-two", &[0, 1], None),
        ("others", &[1, 2], None),
        ("all", &[0, 1, 2], None),
        ("unsorted", &[2, 0], None),
        ("doubled-and-another", &[0, 0, 1], None),
    ];
    for (name, which, expected) in cases {
        let chosen: Vec<&[u8]> = which.iter().map(|i| &blocks[*i][..]).collect();
        let bytes = with_signatures(&bare, &chosen);
        assert_eq!(Root::open(&bytes).err(), expected, "{name}");
        assert_eq!(root.successor(&bytes).err(), expected, "{name}");
        assert_eq!(root.verify(Role::Root, &bytes).is_ok(), expected.is_none(), "{name}");
    }
}

#[test]
fn the_error_tells_what_tells_most() {
    let root = root();
    let payload = release().encode().unwrap();
    let bare = sealed(Role::Release, &payload, &[]);
    let good = block(Role::Release, &payload, 4);
    let stranger = block(Role::Release, &payload, 77);
    let misplaced = block(Role::Release, &payload, 5);
    let mut bad = good.clone();
    bad[40] ^= 1;
    let role = Role::Release;
    let unknown_error = TrustError::UnknownKey { role, key: id(77) };
    let misplaced_error = TrustError::WrongRole { role, key: id(5), label: "key 5".into() };
    let bad_error = TrustError::BadSignature { role, key: id(4) };
    type Case<'a> = (&'static str, Vec<&'a [u8]>, Option<&'a TrustError>);
    let cases: [Case<'_>; 8] = [
        ("unknown-key", vec![&stranger], Some(&unknown_error)),
        ("wrong-role", vec![&misplaced], Some(&misplaced_error)),
        ("bad-signature", vec![&bad], Some(&bad_error)),
        ("unknown-then-wrong-role", vec![&stranger, &misplaced], Some(&misplaced_error)),
        ("bad-then-others", vec![&bad, &stranger, &misplaced], Some(&bad_error)),
        ("others-then-bad", vec![&stranger, &misplaced, &bad], Some(&bad_error)),
        ("strangers-do-no-harm", vec![&stranger, &misplaced, &good], None),
        ("bad-then-good-by-the-same-key", vec![&bad, &good], None),
    ];
    for (name, blocks, expected) in cases {
        assert_eq!(Release::open(&with_signatures(&bare, &blocks), &root).err().as_ref(), expected, "{name}");
    }
    // One of two is there, and a stranger: what is missing is a signature.
    let payload = root.encode().unwrap();
    let blocks = [block(Role::Root, &payload, 1), block(Role::Root, &payload, 77)];
    let bytes = with_signatures(&sealed(Role::Root, &payload, &[]), &[&blocks[1], &blocks[0]]);
    assert_eq!(Root::open(&bytes), Err(TrustError::Threshold { role: Role::Root, have: 1, need: 2 }));
}

#[test]
fn a_signature_under_another_keys_id_is_bad() {
    let payload = release().encode().unwrap();
    let mut forged = block(Role::Release, &payload, 77);
    forged[..16].copy_from_slice(&id(4).0);
    let bytes = with_signatures(&sealed(Role::Release, &payload, &[]), &[&forged]);
    let expected = TrustError::BadSignature { role: Role::Release, key: id(4) };
    assert_eq!(Release::open(&bytes, &root()), Err(expected));
}

#[test]
fn a_role_that_the_root_does_not_name_cannot_be_signed_for() {
    let mut silent = root();
    silent.roles.retain(|r| r.role != Role::Release);
    let payload = release().encode().unwrap();
    let unsigned = sealed(Role::Release, &payload, &[]);
    assert_eq!(silent.verify(Role::Release, &unsigned), Err(TrustError::Unsigned(Role::Release)));
    let bytes = sealed(Role::Release, &payload, &[1, 2, 3, 4, 5, 6]);
    assert!(matches!(silent.verify(Role::Release, &bytes), Err(TrustError::WrongRole { .. })));
}

#[test]
fn well_signed_nonsense_is_refused_after_the_signature() {
    let bytes = sealed(Role::Release, b"nonsense", &[4]);
    assert_eq!(Release::open(&bytes, &root()), Err(DecodeError::Malformed("head").into()));
    let head = postcard::to_allocvec(&common::head()).unwrap();
    let bytes = sealed(Role::Release, &[&head[..], b"nonsense"].concat(), &[4]);
    assert_eq!(Release::open(&bytes, &root()), Err(DecodeError::Malformed("release").into()));
    let bytes = sealed(Role::Release, b"nonsense", &[77]);
    assert!(matches!(Release::open(&bytes, &root()), Err(TrustError::UnknownKey { .. })));
}

#[test]
fn production_refuses_demo_keys_whatever_their_role() {
    assert_eq!(root().refuse_demo(), Ok(()));
    for i in 0..6 {
        let mut demo = root();
        demo.keys[i].kind = KeyKind::Demo;
        let label = demo.keys[i].label.clone();
        assert_eq!(demo.refuse_demo(), Err(TrustError::DemoKey { label }));
    }
}

#[test]
fn the_next_root_is_signed_by_the_old_and_the_new_keys() {
    let old = root();
    let mut next = next_root();
    // Key 1 goes, 7 comes.
    next.keys[0] = key(7);
    next.roles[0] = role_keys(Role::Root, 2, &[2, 3, 7]);
    let few = TrustError::Threshold { role: Role::Root, have: 1, need: 2 };
    let cases: [(&str, &[u8], Result<(), TrustError>); 7] = [
        ("kept-keys-count-for-both", &[2, 3], Ok(())),
        ("two-old-two-new", &[1, 2, 7], Ok(())),
        ("old-only", &[1, 2], Err(few.clone())),
        ("new-only", &[2, 7], Err(few.clone())),
        ("one", &[2], Err(few)),
        ("nobody", &[], Err(TrustError::Unsigned(Role::Root))),
        ("stranger", &[77], Err(TrustError::UnknownKey { role: Role::Root, key: id(77) })),
    ];
    for (name, keys, expected) in cases {
        let opened = old.successor(&sealed_root(&next, keys));
        assert_eq!(opened.map(|r| assert_eq!(r, next)), expected, "{name}");
    }
    // No key is kept: old and new sign apart.
    let mut other = next.clone();
    other.keys = vec![key(11), key(12)];
    other.roles = vec![role_keys(Role::Root, 2, &[11, 12])];
    other.demands.clear();
    assert!(old.successor(&sealed_root(&other, &[1, 2])).is_err(), "old only");
    assert!(old.successor(&sealed_root(&other, &[11, 12])).is_err(), "new only");
    assert!(old.successor(&sealed_root(&other, &[1, 2, 11])).is_err(), "new below its threshold");
    assert_eq!(old.successor(&sealed_root(&other, &[1, 2, 11, 12])), Ok(other));
}

#[test]
fn root_versions_follow_one_another() {
    let at = |version| match version {
        1 => root(),
        _ => Root { version, ..next_root() },
    };
    for (current, found, follows) in
        [(1, 2, true), (1, 3, false), (2, 2, false), (7, 6, false), (7, 8, true), (u32::MAX, u32::MAX, false)]
    {
        let opened = at(current).successor(&sealed_root(&at(found), &[1, 2]));
        match follows {
            true => assert_eq!(opened, Ok(at(found))),
            false => assert_eq!(opened, Err(TrustError::Successor { current, found })),
        }
    }
    // A first root follows none: it is the beginning of a repository of its own.
    for current in [1, 2, u32::MAX] {
        let wanted = repository();
        let other = TrustError::OtherRepository { role: Role::Root, found: NO_REPOSITORY, wanted };
        assert_eq!(at(current).successor(&sealed_root(&root(), &[1, 2])), Err(other));
    }
}
