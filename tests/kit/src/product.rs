//! What every test product is made of: bytes that don't compress, keys, and a root.
use bistable_format::{KeyKind, Role};
use bistable_image::{
    keys::SecretKey,
    root::{self, RootOptions, SignedRoot},
};

/// Bytes that don't compress, the same ones for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(len).collect()
}

/// The key of that number.
#[expect(clippy::unwrap_used, reason = "for tests: a label that is valid")]
pub fn key(n: u8, kind: KeyKind) -> SecretKey {
    SecretKey::from_seed([n; 32], &format!("key {n}"), kind).unwrap()
}

/// A first root in which one key of each role is enough.
#[expect(clippy::unwrap_used, reason = "for tests: a root that is valid")]
pub fn root_of(root: &SecretKey, release: &SecretKey, channel: &SecretKey) -> SignedRoot {
    root::create(&RootOptions {
        root_keys: vec![root.public()],
        release_keys: vec![release.public()],
        channel_keys: vec![channel.public()],
        thresholds: vec![(Role::Root, 1)],
        sign: vec![root.clone()],
        ..RootOptions::default()
    })
    .unwrap()
}
