//! Any bytes as an envelope, and as the payload of a signed root: nothing that our keys didn't sign is trusted, and a
//! root that opens is written back as the same value.
#![no_main]
use bistable_format::{
    Digest, Envelope, Extensions, Head, Key, KeyId, KeyKind, Role, RoleKeys, Root, envelope::seal,
};
use ed25519_dalek::SigningKey;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

// None of these signed a seed.
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
    for role in Role::IN_ROOT {
        if let Ok(envelope) = Envelope::parse(data, role) {
            let signatures = envelope.signatures().count();
            assert_eq!(
                data.len(),
                16 + envelope.payload.len() + 80 * signatures,
                "every byte is accounted for"
            );
        }
        if let Ok(length) = Envelope::stored_len(data, role) {
            assert!(Envelope::parse(&data[..length], role).is_ok(), "what storage holds can be taken apart");
        }
        assert!(ROOT.verify(role, data).is_err(), "a forgery");
    }
    if let Ok(root) = Root::open(data) {
        assert_eq!(Root::decode(&root.encode().unwrap()), Ok(root));
    }

    // As a payload, so that a fuzzer needs to guess neither head nor signature.
    let Ok(mut root) = Root::decode(data) else { return };
    let payload = root.encode().expect("what decodes can be encoded");
    assert_eq!(payload, data, "there is one way to write a root");
    // The next one of the repository, for this agent.
    root.head = Head::new(ROOT.repository(), "");
    root.version = root.version.max(2);
    let payload = root.encode().expect("it still makes sense");
    let signed = seal(Role::Root, &payload, &[&KEY]).unwrap();
    assert_eq!(ROOT.verify(Role::Root, &signed), Ok(&payload[..]));
    let follows = ROOT.successor(&signed);
    if let Ok(next) = follows {
        assert!(next.version == 2 && next.key(&KeyId::of(&ROOT.keys[0].public)).is_some());
    }
    let forged = seal(Role::Root, &payload, &[&STRANGER]).unwrap();
    assert!(ROOT.successor(&forged).is_err());
});
