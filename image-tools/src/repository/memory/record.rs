//! What is remembered of one repository.
use crate::repository::mark::Mark;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is remembered of one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The newest root that was accepted.
    pub root: Mark,
    /// Of each channel, the newest payload that was signed or accepted here.
    pub channels: BTreeMap<String, Mark>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_format::Digest;
    use proptest::prelude::*;

    fn mark(number: u64, content: u8) -> Mark {
        Mark { number, digest: Digest::of(&[content]) }
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
