//! Numbered files: 1, 2, 3, … without a gap, each created once and never changed. The newest is found without a listing.
//!
//! `latest` beside them holds the newest number that was written there. It is a hint: it can be missing, behind (a writer died
//! before it wrote it, or another's older one came later) or damaged. From it one looks forward in growing steps, so that a hint
//! that is k behind costs some 2·log₂ k questions.
use super::store::{Store, StoreError};
use bistable_format::repository as names;

/// Which numbered files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// The records of the audit.
    Audit,
    /// The files of a channel, by its name.
    Channel(String),
}

/// Most bytes of a hint.
const HINT_BYTES: usize = 32;

impl Sequence {
    /// The name of number `n`.
    pub fn path(&self, n: u64) -> String {
        match self {
            Sequence::Audit => names::audit(n),
            Sequence::Channel(name) => names::channel(name, n),
        }
    }

    /// The name of the hint.
    pub fn hint_path(&self) -> String {
        match self {
            Sequence::Audit => names::audit_hint(),
            Sequence::Channel(name) => names::channel_hint(name),
        }
    }

    fn folder(&self) -> String {
        match self {
            Sequence::Audit => "audit".into(),
            Sequence::Channel(name) => names::channel_folder(name),
        }
    }

    /// The newest number; 0 if there is none.
    ///
    /// # Errors
    /// Whatever keeps the store from being asked.
    pub fn newest(&self, store: &Store) -> Result<u64, StoreError> {
        let hint = self.hint(store)?;
        let newest = newest(hint, |n| store.size(&self.path(n)).map(|size| size.is_some()))?;
        if newest > 0 {
            return Ok(newest);
        }
        // Nothing, or the first ones were removed: that must never look empty, or numbers would be used twice.
        let listed = store.list(&self.folder())?;
        Ok(listed.iter().filter_map(|file| self.number(&file.path)).max().unwrap_or(0))
    }

    /// The number in a name; `None` if it's no name of such a file.
    pub fn number(&self, path: &str) -> Option<u64> {
        let name = path.strip_prefix(&self.folder())?.strip_prefix('/')?;
        match self {
            Sequence::Audit => names::audit_sequence(name),
            Sequence::Channel(_) => names::channel_sequence(name),
        }
    }

    /// Remember the newest number. That it can't be written is not an error.
    pub fn remember(&self, store: &Store, newest: u64) {
        let _ = self.write_hint(store, newest);
    }

    /// Write the hint.
    ///
    /// # Errors
    /// Whatever keeps it from being written.
    pub(super) fn write_hint(&self, store: &Store, newest: u64) -> Result<(), StoreError> {
        store.put(&self.hint_path(), format!("{newest}\n").as_bytes())
    }

    fn hint(&self, store: &Store) -> Result<u64, StoreError> {
        let hint = match store.get(&self.hint_path(), HINT_BYTES) {
            Err(StoreError::TooLarge { .. }) => None,
            hint => hint?,
        };
        Ok(hint.and_then(|bytes| names::parse_hint(&bytes)).unwrap_or(0))
    }
}

/// The largest n that exists, of 1..=n that do: 0 if none does. `hint` is looked at first.
fn newest<E>(hint: u64, exists: impl Fn(u64) -> Result<bool, E>) -> Result<u64, E> {
    // Invariant: `there` exists or is 0; `absent` doesn't exist.
    let mut there = 0;
    let mut absent = None;
    if hint > 0 {
        if exists(hint)? {
            there = hint;
        } else {
            absent = Some(hint);
        }
    }
    let mut step = 1;
    let mut absent = match absent {
        Some(absent) => absent,
        None => loop {
            let Some(next) = there.checked_add(step) else { break u64::MAX };
            if !exists(next)? {
                break next;
            }
            there = next;
            step *= 2;
        },
    };
    while absent - there > 1 {
        let middle = there + (absent - there) / 2;
        if exists(middle)? {
            there = middle;
        } else {
            absent = middle;
        }
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::store::Memory;
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::convert::Infallible;

    fn find(hint: u64, last: u64) -> (u64, u32) {
        let asked = Cell::new(0);
        let exists = |n| {
            asked.set(asked.get() + 1);
            Ok::<_, Infallible>((1..=last).contains(&n))
        };
        (newest(hint, exists).unwrap(), asked.get())
    }

    proptest! {
        #[test]
        fn any_hint_leads_to_the_newest(last in 0_u64..1_000_000, hint in 0_u64..2_000_000) {
            let (found, asked) = find(hint, last);
            prop_assert_eq!(found, last);
            prop_assert!(asked <= 45, "{} questions", asked);
        }

        #[test]
        fn a_hint_that_is_k_behind_costs_two_log_k(last in 1_u64..1_000_000, behind in 0_u64..1000) {
            let behind = behind.min(last - 1);
            let (found, asked) = find(last - behind, last);
            prop_assert_eq!(found, last);
            prop_assert!(asked <= 2 + 2 * (u64::BITS - behind.leading_zeros()), "{} behind: {} questions", behind, asked);
        }
    }

    #[test]
    fn numbers_are_never_used_twice_even_if_the_first_were_removed() {
        let store = Store::new(Memory::new());
        let numbered = Sequence::Audit;
        assert_eq!(numbered.newest(&store).unwrap(), 0);
        let _ = store.create(&numbered.path(7), b"x").unwrap();
        assert_eq!(numbered.newest(&store).unwrap(), 7);
        store.put(&numbered.hint_path(), b"no number at all, and far too long for one").unwrap();
        assert_eq!(numbered.newest(&store).unwrap(), 7);
    }

    #[test]
    fn only_its_own_names_have_numbers() {
        let numbered = Sequence::Channel("staging".into());
        assert_eq!(numbered.number("channels/staging/00000042.channel"), Some(42));
        assert_eq!(numbered.number("channels/staging/123456789.channel"), Some(123_456_789));
        for other in [
            "channels/staging/42.channel",
            "channels/staging/latest",
            "channels/x/00000042.channel",
            "00000042.channel",
        ] {
            assert_eq!(numbered.number(other), None, "{other}");
        }
    }
}
