//! Each way in which root metadata can make no sense.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::root::Demand;
use bistable_format::{DecodeError, Digest, Key, KeyId, KeyKind, Role, RoleKeys, Root, limits};
use common::{channel_keys, id, key, next_root, problem, public, role_keys, root};

#[test]
fn round_trip() {
    let root = root();
    assert_eq!(Root::decode(&root.encode().unwrap()), Ok(root.clone()));
    assert_eq!(root.role(Role::Release), Some(&role_keys(Role::Release, 1, &[4])));
    assert_eq!(root.key(&id(6)), Some(&key(6)));
    assert_eq!(root.key(&id(7)), None);
}

#[test]
fn each_problem_is_named_by_writer_and_reader() {
    type Spoil = fn(&mut Root);
    let table: [(&str, Spoil, &str); 30] = [
        ("version-zero", |r| r.version = 0, "versions start at 1"),
        ("too-many-keys", |r| r.keys = (1..=33).map(key).collect(), "too many keys"),
        ("too-many-roles", |r| r.roles = vec![role_keys(Role::Root, 1, &[1]); 35], "too many keys or roles"),
        ("key-twice", |r| r.keys[5] = key(1), "is there twice"),
        ("label-long", |r| r.keys[2].label = "x".repeat(65), "label of key"),
        ("label-escape", |r| r.keys[2].label = "\u{1b}[2J".into(), "control characters"),
        (
            "label-direction",
            |r| r.keys[2].label = "a\u{202e}b".into(),
            "control characters or invisible ones",
        ),
        ("label-line-break", |r| r.keys[2].label = "a\nb".into(), "control characters"),
        ("role-twice", |r| r.roles.push(role_keys(Role::Release, 1, &[5])), "role release is there twice"),
        (
            "two-entries-for-all-other-channels",
            |r| r.roles.push(role_keys(Role::Channel, 1, &[6])),
            "role channel is there twice",
        ),
        (
            "channel-in-two-entries",
            |r| r.roles.push(channel_keys(&["lab", "staging"], 1, &[6])),
            "channel staging is there twice",
        ),
        (
            "channel-twice-in-an-entry",
            |r| r.roles[3] = channel_keys(&["staging", "lab", "staging"], 1, &[8]),
            "channel staging is there twice",
        ),
        (
            "channel-no-name",
            |r| r.roles[3] = channel_keys(&["../staging"], 1, &[8]),
            "\"../staging\" is not a name",
        ),
        (
            "too-many-channels-in-an-entry",
            |r| {
                let names: Vec<String> = (0..33).map(|i| format!("c{i}")).collect();
                r.roles[3].channels = names;
            },
            "more than 32 channels in one entry",
        ),
        (
            "release-keys-for-channels",
            |r| r.roles[1].channels.push("staging".into()),
            "role release is not about channels",
        ),
        (
            "keys-for-deltas",
            |r| r.roles.push(role_keys(Role::Delta, 1, &[4])),
            "a root names no keys for delta",
        ),
        (
            "keys-for-attestations",
            |r| r.roles.push(role_keys(Role::Attestation, 1, &[6])),
            "a root names no keys for attestation",
        ),
        ("demand-of-an-absent-key", |r| r.demands[0].key = id(9), "attestation tests-passed names key"),
        (
            "demand-twice",
            |r| r.demands.push(r.demands[0].clone()),
            "attestation tests-passed is demanded twice",
        ),
        ("demand-no-name", |r| r.demands[0].kind = "tests passed".into(), "\"tests passed\" is not a name"),
        (
            "demand-of-no-channel",
            |r| r.demands[0].channels.push("a.b".into()),
            "\"a.b\" is not a name: use 1 to 32",
        ),
        (
            "too-many-demands",
            |r| r.demands = (0..9).map(|i| demand(&format!("d{i}"))).collect(),
            "more than 8 attestations are demanded",
        ),
        ("names-absent-key", |r| r.roles[1] = role_keys(Role::Release, 1, &[9]), "which is not there"),
        ("names-key-twice", |r| r.roles[1] = role_keys(Role::Release, 1, &[4, 4]), "twice"),
        ("threshold-zero", |r| r.roles[1].threshold = 0, "demands 0 signatures from 1 keys"),
        ("threshold-above-keys", |r| r.roles[0].threshold = 4, "demands 4 signatures from 3 keys"),
        ("role-without-keys", |r| r.roles[1].keys.clear(), "demands 1 signatures from 0 keys"),
        ("no-root-role", |r| drop(r.roles.remove(0)), "no key may sign the next root"),
        ("not-a-point", |r| r.keys[5].public = not_a_point(), "is not a usable Ed25519 key"),
        (
            "threshold-above-what-an-envelope-carries",
            |r| {
                r.keys = (1..=20).map(key).collect();
                r.demands.clear();
                let all: Vec<u8> = (1..=20).collect();
                r.roles = vec![role_keys(Role::Root, 17, &all)];
            },
            "1 to 16 are possible",
        ),
    ];
    for (name, spoil, expected) in table {
        let mut bad = root();
        spoil(&mut bad);
        let text = problem(bad.encode());
        assert!(text.contains(expected), "{name}: {text}");
        // A reader says the same about bytes that a writer without checks made.
        // But more values than a list may have aren't even decoded.
        let bytes = postcard::to_allocvec(&bad).unwrap();
        match text.contains("too many") || text.contains("more than") {
            true => assert_eq!(Root::decode(&bytes), Err(DecodeError::Malformed("root")), "{name}"),
            false => assert_eq!(problem(Root::decode(&bytes)), text, "{name}"),
        }
    }
}

fn demand(kind: &str) -> Demand {
    Demand { channels: vec![], kind: kind.into(), key: id(6) }
}

fn not_a_point() -> [u8; 32] {
    // y = 2 has no x.
    let mut y = [0; 32];
    y[0] = 2;
    y
}

#[test]
fn weak_public_keys_are_refused_in_every_encoding() {
    let hex = [
        // The eight points of small order, as RFC 8032 encodes them, ...
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        // ... and as it doesn't.
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ];
    for digits in hex {
        // A digest is 32 bytes too.
        let weak = Digest::parse(digits).unwrap().0;
        let mut bad = root();
        bad.keys.push(Key { public: weak, label: "weak".into(), kind: KeyKind::Production });
        bad.roles[1].keys.push(KeyId::of(&weak));
        let bytes = postcard::to_allocvec(&bad).unwrap();
        assert!(problem(Root::decode(&bytes)).contains("is not a usable Ed25519 key"), "{digits}");
        assert!(bad.encode().is_err(), "{digits}");
    }
}

#[test]
fn the_most_that_a_root_may_have_round_trips() {
    let keys: Vec<Key> =
        (1..=32).map(|n| Key { label: "\u{e4}".repeat(limits::NAME / 2), ..key(n) }).collect();
    let ids: Vec<KeyId> = keys.iter().map(Key::id).collect();
    let role = |role, channels| RoleKeys { role, channels, threshold: 16, keys: ids.clone() };
    let mut roles = Role::IN_ROOT.map(|one| role(one, vec![])).to_vec();
    roles.extend((0..limits::ROLES - 3).map(|i| role(Role::Channel, vec![format!("{i:032}")])));
    roles[3].channels.extend((1..limits::ROLE_CHANNELS).map(|i| format!("x{i:031}")));
    let demands = (0..limits::ATTESTATIONS).map(|i| Demand {
        channels: (0..limits::ROLE_CHANNELS).map(|i| format!("{i:032}")).collect(),
        kind: format!("{i:064}"),
        key: id(1),
    });
    let demands = demands.collect();
    let root = Root { version: u32::MAX, expires_at: Some(u64::MAX), keys, roles, demands, ..next_root() };
    assert_eq!(Root::decode(&root.encode().unwrap()), Ok(root));
}

#[test]
fn truncated_and_trailing_bytes_are_refused() {
    let bytes = root().encode().unwrap();
    for cut in 0..bytes.len() {
        assert_eq!(Root::decode(&bytes[..cut]), Err(DecodeError::Malformed("root")), "cut at {cut}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(Root::decode(&longer), Err(DecodeError::Trailing("root")));
    let huge = vec![0; limits::ENVELOPE_PAYLOAD + 1];
    assert!(matches!(Root::decode(&huge), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn key_ids_print_as_many_bytes_as_asked() {
    let id = KeyId::of(&public(1));
    assert_eq!(format!("{id}").len(), 32);
    assert_eq!(format!("{id:.4}"), format!("{id}")[..8]);
}

#[test]
fn the_keys_of_deltas_are_those_of_releases() {
    let root = root();
    assert_eq!(root.role(Role::Delta), Some(&role_keys(Role::Release, 1, &[4])));
    assert_eq!(root.role(Role::Attestation), None);
    let silent = Root { roles: vec![role_keys(Role::Root, 1, &[1])], ..root };
    assert_eq!((silent.role(Role::Delta), silent.role(Role::Release)), (None, None));
}

#[test]
fn a_channel_has_the_keys_of_the_entry_that_names_it_or_else_the_default() {
    let mut root = root();
    root.roles.push(channel_keys(&["lab", "bench"], 1, &[6]));
    assert!(root.encode().is_ok());
    for (channel, keys) in [("production", 5), ("staging", 8), ("lab", 6), ("bench", 6), ("nightly", 5)] {
        assert_eq!(root.channel_keys(channel).unwrap().keys, [id(keys)], "{channel}");
    }
    root.roles.remove(2);
    assert_eq!(root.channel_keys("production"), None, "no entry is for all others");
    assert_eq!(root.channel_keys("lab").unwrap().keys, [id(6)]);
}

#[test]
fn demands_are_those_of_the_channel_and_of_all_channels() {
    let mut root = root();
    root.demands.push(demand("scanned"));
    root.demands.push(Demand {
        channels: vec!["staging".into(), "lab".into()],
        kind: "signed-off".into(),
        key: id(8),
    });
    assert_eq!(Root::decode(&root.encode().unwrap()), Ok(root.clone()));
    let of =
        |channel| root.demands_of(channel).map(|(d, k)| (d.kind.as_str(), k.clone())).collect::<Vec<_>>();
    assert_eq!(of("production"), [("tests-passed", key(6)), ("scanned", key(6))]);
    assert_eq!(of("staging"), [("scanned", key(6)), ("signed-off", key(8))]);
    assert_eq!(of("nightly"), [("scanned", key(6))]);
    assert_eq!(Root { demands: vec![], ..root.clone() }.demands_of("production").count(), 0);
    // The same kind by two keys is two demands.
    root.demands.push(Demand { key: id(8), ..demand("scanned") });
    assert!(root.encode().is_ok());
}

#[test]
fn a_root_expires_at_its_time_or_never() {
    for (expires_at, now, expired) in [
        (None, u64::MAX, false),
        (Some(100), 99, false),
        (Some(100), 100, true),
        (Some(100), u64::MAX, true),
        (Some(0), 0, true),
        (Some(u64::MAX), u64::MAX - 1, false),
    ] {
        let root = Root { expires_at, ..root() };
        assert_eq!(root.is_expired(now), expired, "{expires_at:?} at {now}");
        assert_eq!(Root::decode(&root.encode().unwrap()), Ok(root));
    }
}

#[test]
fn an_expired_root_still_introduces_its_successor() {
    let expired = Root { expires_at: Some(1), ..root() };
    let next = Root { head: bistable_format::Head::new(expired.repository(), ""), ..next_root() };
    let sealed = next.seal(&[&common::signer(1), &common::signer(2)]).unwrap();
    assert_eq!(expired.successor(&sealed), Ok(next));
}
