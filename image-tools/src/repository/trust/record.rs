//! What is remembered of one repository, and how a store compares with it.
use crate::root::SignedRoot;
use bistable_format::{Digest, Envelope, Role};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// What is remembered of one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The newest root that was accepted.
    pub root: Mark,
    /// Of each channel, the newest payload that was signed or accepted here.
    pub channels: BTreeMap<String, Mark>,
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

impl Record {
    /// Of a repository with this newest root.
    pub fn new(root: Mark) -> Record {
        Record { root, channels: BTreeMap::new() }
    }

    /// Take over what is newer (I9). Of two with the same number the first one stays: it is the evidence.
    pub fn merge(&mut self, seen: &Record) {
        if seen.root.number > self.root.number {
            self.root = seen.root;
        }
        for (name, mark) in &seen.channels {
            let known = self.channels.entry(name.clone()).or_insert(*mark);
            if mark.number > known.number {
                *known = *mark;
            }
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
pub(in crate::repository) fn payload_digest(bytes: &[u8], role: Role) -> Digest {
    Digest::of(Envelope::parse(bytes, role).map_or(bytes, |envelope| envelope.payload))
}

/// Digests as hexadecimal digits.
pub(super) mod hex {
    use super::Digest;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in super::super) fn serialize<S: Serializer>(
        digest: &Digest,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(digest)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        Digest::parse(&text).ok_or_else(|| D::Error::custom("a digest has 64 lower-case hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn remembered_numbers_never_fall_and_never_change_their_digest(
            seen in proptest::collection::vec((0_u8..3, 1_u64..6, 0_u8..3), 1..20),
        ) {
            let mut record = Record::new(mark(1, 0));
            for (channel, number, content) in seen {
                let before = record.clone();
                let mut news = Record::new(mark(number, content));
                news.channels.insert(channel.to_string(), mark(number, content));
                record.merge(&news);
                prop_assert!(record.root == before.root || record.root.number > before.root.number);
                for (name, known) in &before.channels {
                    let now = record.channels[name];
                    prop_assert!(now == *known || now.number > known.number);
                }
            }
        }
    }
}
