//! Keys.
use super::path_text;
use crate::keys::KeyFiles;
use bistable_format::{Digest, Key};
use serde::Serialize;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum KeyKind {
    /// Products.
    Production,
    /// Demonstrations: devices in production refuse it.
    Demo,
}

impl From<bistable_format::KeyKind> for KeyKind {
    fn from(kind: bistable_format::KeyKind) -> KeyKind {
        match kind {
            bistable_format::KeyKind::Production => KeyKind::Production,
            bistable_format::KeyKind::Demo => KeyKind::Demo,
        }
    }
}

/// A public key.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KeyInfo {
    /// Its identity, in hexadecimal digits.
    pub id: String,
    /// Its label.
    pub label: String,
    /// What it is for.
    pub kind: KeyKind,
    /// The key itself, in hexadecimal digits.
    pub public: String,
}

impl From<&Key> for KeyInfo {
    fn from(key: &Key) -> KeyInfo {
        KeyInfo {
            id: key.id().to_string(),
            label: key.label.clone(),
            kind: key.kind.into(),
            public: Digest(key.public).to_string(),
        }
    }
}

impl KeyInfo {
    /// Of each key.
    pub(crate) fn all<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Vec<KeyInfo> {
        keys.into_iter().map(KeyInfo::from).collect()
    }
}

/// A new key.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KeyMade {
    /// The file of its secret half.
    pub secret: String,
    /// The file of its public half.
    pub public: String,
    /// Its identity, in hexadecimal digits.
    pub id: String,
    /// Its label.
    pub label: String,
    /// What it is for.
    pub kind: KeyKind,
    /// Whether the secret half has a passphrase.
    pub passphrase: bool,
}

impl KeyMade {
    /// In these files.
    pub(crate) fn new(files: &KeyFiles, key: &Key, passphrase: bool) -> KeyMade {
        KeyMade {
            secret: path_text(&files.secret),
            public: path_text(&files.public),
            id: key.id().to_string(),
            label: key.label.clone(),
            kind: key.kind.into(),
            passphrase,
        }
    }
}
