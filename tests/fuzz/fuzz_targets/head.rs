//! Any bytes as a head: what reads is written back as the same value, and decides alone whether an agent goes on.
#![no_main]
use bistable_format::head::AGENT;
use bistable_format::{
    Digest, EnvelopeError, Extensions, Head, Key, KeyId, KeyKind, Role, RoleKeys, Root, TrustError,
    envelope::seal,
};
use ed25519_dalek::SigningKey;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[0xf5; 32]));

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
    let Ok(signed) = seal(Role::Release, data, &[&KEY]) else { return };
    let verified = ROOT.verify(Role::Release, &signed);
    let Ok(head) = Head::read(data) else {
        return assert!(matches!(verified, Err(TrustError::Decode(_))), "nothing is verified without a head");
    };
    let written = postcard::to_allocvec(&head).expect("what reads can be written");
    assert_eq!(Head::read(&[&written[..], b"whatever follows"].concat()).as_ref(), Ok(&head));

    let admitted = head.admits(&semver::Version::parse(AGENT).unwrap());
    match verified {
        Ok(payload) => assert!(admitted && payload == data && head.repository == ROOT.repository()),
        Err(TrustError::NeedsAgent { required, .. }) => assert!(!admitted && required == head.agent),
        Err(TrustError::OtherRepository { found, .. }) => assert!(admitted && found == head.repository),
        Err(other) => panic!("{other}"),
    }
    // The same bytes in another role are another thing.
    let other = EnvelopeError::Role { found: Role::Release, wanted: Role::Delta };
    assert_eq!(ROOT.verify(Role::Delta, &signed), Err(other.into()));
});
