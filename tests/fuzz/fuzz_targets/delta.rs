//! Any bytes as a delta, signed and as a payload: nothing is believed that our key didn't sign, and what decodes is written
//! back as the same value.
#![no_main]
use bistable_format::{
    Delta, Digest, Extensions, Head, Key, KeyId, KeyKind, Role, RoleKeys, Root, limits, release::check_name,
};
use ed25519_dalek::SigningKey;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[0xf5; 32]));
static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[0xf6; 32]));

/// One key for everything.
static ROOT: LazyLock<Root> = LazyLock::new(|| {
    let public = KEY.verifying_key().to_bytes();
    let key = Key { public, label: "fuzz".into(), kind: KeyKind::Production };
    let keys = vec![KeyId::of(&public)];
    let role = |role| RoleKeys { role, channels: vec![], threshold: 1, keys: keys.clone() };
    Root {
        head: Head::new(Digest([0; 32]), ""),
        version: 1,
        expires_at: None,
        keys: vec![key],
        roles: Role::IN_ROOT.map(role).to_vec(),
        demands: vec![],
        extensions: Extensions::default(),
    }
});

fuzz_target!(|data: &[u8]| {
    assert!(Delta::open(data, &ROOT).is_err(), "a forgery");
    let Ok(mut delta) = Delta::decode(data) else { return };
    assert_ne!(delta.target, delta.base);
    assert!((1..=limits::ARTIFACTS).contains(&delta.artifacts.len()));
    for one in &delta.artifacts {
        check_name("artifact", &one.name).unwrap();
        assert!(one.list_bytes as usize <= limits::CHUNK_LIST && one.data_bytes <= limits::VOLUME_DATA);
        assert_eq!(delta.artifact(&one.name), Some(one), "no name twice");
    }
    // Of the repository, and for this agent.
    delta.head = Head::new(ROOT.repository(), &delta.head.product);
    let signed = delta.seal(&[&KEY]).expect("what decodes can be signed");
    assert_eq!(Delta::open(&signed, &ROOT).as_ref(), Ok(&delta));
    assert!(Delta::open(&delta.seal(&[&STRANGER]).unwrap(), &ROOT).is_err(), "by a stranger");
});
