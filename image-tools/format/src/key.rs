//! Public keys, and their ids.
use crate::Digest;
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The first 16 bytes of the SHA-256 of a public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId(pub [u8; 16]);

impl KeyId {
    /// Of a public key.
    pub fn of(public: &[u8; 32]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&Digest::of(public).0[..16]);
        KeyId(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(f.precision().unwrap_or(16)).try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// For products.
    Production,
    /// Made for a demonstration or a developer's desk: refused by a device in production.
    Demo,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Ed25519.
    pub public: [u8; 32],
    /// What its owner calls it.
    pub label: String,
    /// Whether production may trust it.
    pub kind: KeyKind,
}

impl Key {
    /// Its id.
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.public)
    }
}
