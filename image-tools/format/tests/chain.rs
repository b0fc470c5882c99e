//! A chain of roots: how it is stored, what descends from a system's root, and what goes when it is full.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]
mod common;
use bistable_format::{ChainError, Envelope, Role, Root, RootChain, SignedRoot, Stray, envelope};
use common::{role_keys, root, signer};
use proptest::prelude::*;
use std::{fs, path::Path};

/// The usual root, as this version of it.
fn of_version(version: u32) -> Root {
    let mut root = Root { version, ..root() };
    if version > 1 {
        root.head.repository = common::root().repository();
    }
    root
}

/// A root of that version, signed by those keys.
fn signed(version: u32, by: &[u8]) -> SignedRoot {
    labeled(version, by, "")
}

/// The same, and its payload differs with the label.
fn labeled(version: u32, by: &[u8], label: &str) -> SignedRoot {
    let mut root = of_version(version);
    root.keys[5].label.push_str(label);
    sealed(&root, by)
}

fn sealed(root: &Root, by: &[u8]) -> SignedRoot {
    let keys: Vec<_> = by.iter().map(|n| signer(*n)).collect();
    SignedRoot::decode(&root.seal(&keys.iter().collect::<Vec<_>>()).unwrap()).unwrap()
}

/// A root whose root keys are other ones, that the usual keys and its own signed.
fn moved(version: u32) -> Root {
    let mut root = of_version(version);
    root.keys.extend((17..=19).map(common::key));
    root.roles[0] = role_keys(Role::Root, 2, &[17, 18, 19]);
    root
}

fn chain(roots: &[SignedRoot]) -> RootChain {
    let mut chain = RootChain::of(roots[0].clone());
    roots[1..].iter().for_each(|next| chain.push(next.bytes(), None).unwrap());
    chain
}

/// Roots as they are, whether they follow each other or not.
fn stored(roots: &[&SignedRoot]) -> RootChain {
    let mut bytes = b"BRTS\x01\x00".to_vec();
    let all: Vec<u8> = roots.iter().flat_map(|root| root.bytes()).copied().collect();
    bytes.extend(u16::try_from(roots.len()).unwrap().to_le_bytes());
    bytes.extend(u32::try_from(all.len()).unwrap().to_le_bytes());
    bytes.extend(all);
    let digest = bistable_format::Digest::of(&bytes);
    RootChain::decode(&[&bytes[..], &digest.0].concat()).unwrap()
}

fn versions(chain: &RootChain) -> Vec<u32> {
    chain.roots().iter().map(|root| root.root().version).collect()
}

#[test]
fn the_format_is_what_it_was() {
    let chain = chain(&[signed(1, &[1, 2]), signed(2, &[1, 2]), signed(3, &[2, 3])]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/root.chain");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, chain.encode()).unwrap();
    }
    let stored = fs::read(&path).unwrap();
    assert_eq!(RootChain::decode(&stored), Ok(chain.clone()));
    assert_eq!(chain.encode(), stored, "re-encoded");
    assert_eq!(RootChain::stored_len(&stored), Ok(stored.len()));
    // What lies behind it on the card doesn't matter.
    assert_eq!(RootChain::decode(&[&stored[..], &[0xa5; 700]].concat()), Ok(chain));
}

#[test]
fn no_byte_of_a_chain_can_change_unseen_and_none_can_be_missing() {
    let whole = chain(&[signed(1, &[1, 2]), signed(2, &[1, 2])]).encode();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        let found = RootChain::decode(&damaged).unwrap_err();
        let expected: &[ChainError] = match at {
            0..4 => &[ChainError::Magic],
            4..6 => &[ChainError::Format(u16::from_le_bytes([damaged[4], damaged[5]]))],
            // Another length ends elsewhere: beyond the bytes there are, or at a digest that is none.
            8..12 => &[ChainError::Length, ChainError::Digest],
            _ => &[ChainError::Digest],
        };
        assert!(expected.contains(&found), "byte {at}: {found:?}");
        assert!(RootChain::decode(&whole[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn what_descends_from_a_systems_root() {
    let [one, two, three] = [1, 2, 3].map(|version| signed(version, &[1, 2]));
    let other_two = labeled(2, &[1, 2], "!");
    let same_two = signed(2, &[2, 3]);
    let strangers = |version| {
        let mut root = moved(version);
        root.roles[0] = role_keys(Role::Root, 1, &[17]);
        sealed(&root, &[17])
    };
    // Whoever writes the chain can sign a real root, too: nothing covers an envelope's signatures.
    let real_two_signed_by_stranger = {
        let keys = [signer(17)];
        let envelope = Envelope::parse(two.bytes(), Role::Root).unwrap();
        SignedRoot::decode(&envelope.add_signatures(&keys.iter().collect::<Vec<_>>()).unwrap()).unwrap()
    };
    type Row<'a> = (&'a str, Vec<&'a SignedRoot>, &'a SignedRoot, Result<u32, Stray>);
    let evil = (strangers(1), strangers(2), strangers(3));
    let table: [Row<'_>; 11] = [
        ("the same root", vec![&one], &one, Ok(1)),
        ("two steps on", vec![&one, &two, &three], &one, Ok(3)),
        ("from the middle", vec![&one, &two, &three], &two, Ok(3)),
        ("another envelope of the same payload", vec![&same_two, &three], &two, Ok(3)),
        ("the system's own root is not stored", vec![&two, &three], &one, Ok(3)),
        (
            "a root in front of the system's proves nothing",
            vec![&evil.0, &real_two_signed_by_stranger],
            &two,
            Ok(2),
        ),
        ("the system is newer", vec![&one, &two], &three, Err(Stray::Behind { newest: 2, from: 3 })),
        ("another root of that version", vec![&one, &other_two], &two, Err(Stray::Other(2))),
        ("a root of strangers", vec![&evil.0], &one, Err(Stray::Other(1))),
        ("a version is missing", vec![&one, &three], &one, Err(Stray::Gap { from: 1, next: 3 })),
        (
            "the first one after the system's is missing",
            vec![&three],
            &one,
            Err(Stray::Gap { from: 1, next: 3 }),
        ),
    ];
    for (what, roots, from, expected) in table {
        let chain = stored(&roots);
        let found = chain.descend(from).map(|root| root.version);
        assert_eq!(found, expected, "{what}");
    }
    for (roots, version) in [(vec![&one, &evil.1], 2), (vec![&one, &two, &evil.2], 3)] {
        let chain = stored(&roots);
        let found = chain.descend(&one);
        assert!(matches!(found, Err(Stray::Unlinked { version: v, .. }) if v == version), "{found:?}");
    }
}

#[test]
fn a_root_that_does_not_follow_is_not_added() {
    let mut chain = RootChain::of(signed(1, &[1, 2]));
    let before = chain.clone();
    for next in [signed(3, &[1, 2]), signed(1, &[1, 2]), signed(2, &[1])] {
        assert!(matches!(chain.push(next.bytes(), None), Err(ChainError::Untrusted { version: 2, .. })));
        assert_eq!(chain, before);
    }
    // Signed by the keys of both, it is, and then the old keys count no more.
    chain.push(sealed(&moved(2), &[1, 2, 17, 18]).bytes(), None).unwrap();
    assert!(chain.push(signed(3, &[1, 2]).bytes(), None).is_err());
    chain.push(sealed(&moved(3), &[17, 18]).bytes(), None).unwrap();
    assert_eq!((versions(&chain), chain.open_newest().unwrap().version), (vec![1, 2, 3], 3));
}

#[test]
fn a_full_chain_lets_go_what_the_running_system_does_not_need() {
    let most = u32::try_from(RootChain::MAX_ROOTS).unwrap();
    let full = || chain(&(1..=most).map(|version| signed(version, &[1, 2])).collect::<Vec<_>>());
    let next = signed(most + 1, &[1, 2]);
    // The proof from the system's root on is whole whichever it is; the first root stays.
    for proof in [3, 7, most] {
        let mut chain = full();
        chain.push(next.bytes(), Some(proof)).unwrap();
        assert_eq!(versions(&chain), [1].into_iter().chain(3..=most + 1).collect::<Vec<_>>());
        assert_eq!(chain.descend(&signed(proof, &[1, 2])).map(|root| root.version), Ok(most + 1));
        assert_eq!(RootChain::decode(&chain.encode()), Ok(chain));
    }
    // Without a root in the system, only the newest has to be there.
    let mut chain = full();
    chain.push(next.bytes(), None).unwrap();
    assert_eq!(versions(&chain).len(), RootChain::MAX_ROOTS);
    // All of it is proof.
    for proof in [1, 2] {
        let mut chain = full();
        assert_eq!(chain.push(next.bytes(), Some(proof)), Err(ChainError::Full));
        assert_eq!(chain, full());
    }
}

#[test]
fn a_right_digest_does_not_make_wrong_content_right() {
    let [one, two] = [1, 2].map(|version| signed(version, &[1, 2]));
    let seal = |count: u16, roots: &[u8]| {
        let head =
            [&b"BRTS\x01\x00"[..], &count.to_le_bytes(), &u32::try_from(roots.len()).unwrap().to_le_bytes()];
        let bytes = [&head.concat()[..], roots].concat();
        RootChain::decode(&[&bytes[..], &bistable_format::Digest::of(&bytes).0].concat())
    };
    let both = [one.bytes(), two.bytes()].concat();
    assert_eq!(seal(2, &both).map(|chain| versions(&chain)), Ok(vec![1, 2]));
    let release = envelope::seal(Role::Release, b"x", &[]).unwrap();
    let table: [(u16, Vec<u8>, ChainError); 7] = [
        (0, Vec::new(), ChainError::Content),
        (1, both.clone(), ChainError::Content),
        (3, both.clone(), ChainError::Content),
        (2, [two.bytes(), one.bytes()].concat(), ChainError::Content),
        (2, [one.bytes(), one.bytes()].concat(), ChainError::Content),
        (2, both[..both.len() - 1].to_vec(), ChainError::Content),
        (1, release, ChainError::Content),
    ];
    for (row, (count, roots, expected)) in table.into_iter().enumerate() {
        assert_eq!(seal(count, &roots), Err(expected), "row {row}");
    }
    assert_eq!(seal(33, &both), Err(ChainError::Length));
}

proptest! {
    #[test]
    fn any_bytes_give_a_chain_or_an_error(noise in prop::collection::vec(any::<u8>(), 0..600)) {
        for head in [&b""[..], b"BRTS\x01\x00", b"BRTS\x01\x00\x01\x00\x40\x00\x00\x00"] {
            let bytes = [head, &noise].concat();
            if let Ok(chain) = RootChain::decode(&bytes) {
                prop_assert!(bytes.starts_with(&chain.encode()));
            }
        }
    }
}
