//! A root of ours for targets that sign their input. Its keys signed no seed.
use bistable_format::{Digest, Extensions, Head, Key, KeyId, KeyKind, Role, RoleKeys, Root};
use ed25519_dalek::SigningKey;
use std::sync::LazyLock;

/// The only key in [`ROOT`].
pub static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[0xf5; 32]));
/// A key that no root names.
pub static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[0xf6; 32]));

/// The first root of a repository, with one key for every role.
pub static ROOT: LazyLock<Root> = LazyLock::new(|| {
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
