//! A numbered payload, and how a store compares with one that is remembered.
use crate::root::SignedRoot;
use bistable_format::{Digest, Envelope, Role};
use serde::{Deserialize, Serialize};

/// A numbered signed payload: a root by its version, a channel's file by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Its number.
    pub number: u64,
    /// SHA-256 of its payload. Signatures can be added to an envelope without a key, so they don't count.
    #[serde(with = "hex")]
    pub digest: Digest,
}

/// How the newest of a store's numbered payloads compares with the newest that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the remembered one.
    Same,
    /// It is newer: the remembered one must be among those before it.
    Ahead,
    /// It is older, or there is none: the remembered one was lost.
    Behind,
    /// It is another one of the same number.
    Replaced,
}

impl Mark {
    /// How a store whose newest is `found` compares with this.
    pub fn standing(&self, found: Option<&Mark>) -> Standing {
        match found {
            Some(found) if found == self => Standing::Same,
            Some(found) if found.number == self.number => Standing::Replaced,
            Some(found) if found.number > self.number => Standing::Ahead,
            _ => Standing::Behind,
        }
    }
}

impl SignedRoot {
    /// Its version and payload.
    pub fn mark(&self) -> Mark {
        Mark { number: self.root.version.into(), digest: payload_digest(&self.bytes, Role::Root) }
    }
}

/// SHA-256 of an envelope's payload. What is no envelope is all payload.
pub(super) fn payload_digest(bytes: &[u8], role: Role) -> Digest {
    Digest::of(Envelope::parse(bytes, role).map_or(bytes, |envelope| envelope.payload))
}

/// Digests as hexadecimal digits.
pub(super) mod hex {
    use super::Digest;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::repository) fn serialize<S: Serializer>(
        digest: &Digest,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(digest)
    }

    pub(in crate::repository) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        Digest::parse(&text).ok_or_else(|| D::Error::custom("a digest has 64 lower-case hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: u64, content: u8) -> Mark {
        Mark { number, digest: Digest::of(&[content]) }
    }

    #[test]
    fn store_is_compared_by_number_then_by_digest() {
        let known = mark(5, 0);
        for (found, want) in [
            (None, Standing::Behind),
            (Some(mark(4, 0)), Standing::Behind),
            (Some(mark(5, 0)), Standing::Same),
            (Some(mark(5, 1)), Standing::Replaced),
            (Some(mark(6, 1)), Standing::Ahead),
        ] {
            assert_eq!(known.standing(found.as_ref()), want, "{found:?}");
        }
    }
}
