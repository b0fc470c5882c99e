//! Past updates.
use crate::{Detail, Failure, ReleaseId};
use alloc::vec::Vec;
use semver::Version;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};

/// How an update ended.
///
/// It is stored as a number and a framed content, so that an agent keeps one that it doesn't know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Made at the factory.
    Provisioned,
    /// The release became the default.
    Committed,
    /// Given up before anything was armed: the boot flag was never touched.
    Abandoned(Failure),
    /// Tried or armed, then gone back from.
    Reverted(Failure),
    /// Both journal copies were lost, and an operator had the record made again.
    Rebuilt,
    /// One that a newer agent wrote: kept as it is.
    Unknown {
        /// Its number.
        kind: u8,
        /// What comes with it, at most [`Outcome::MAX`] bytes.
        content: Vec<u8>,
    },
}

impl Outcome {
    /// The longest content, in bytes: that of a failure with the longest detail.
    pub const MAX: usize = 2 + Detail::MAX;

    /// Whether the release ran here, and nothing was found against it.
    pub const fn is_proven(&self) -> bool {
        matches!(self, Outcome::Provisioned | Outcome::Committed | Outcome::Rebuilt)
    }

    /// Why the release was given up, if it was.
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Outcome::Abandoned(why) | Outcome::Reverted(why) => Some(why),
            Outcome::Provisioned | Outcome::Committed | Outcome::Rebuilt | Outcome::Unknown { .. } => None,
        }
    }

    pub(crate) fn is_bounded(&self) -> bool {
        !matches!(self, Outcome::Unknown { content, .. } if content.len() > Outcome::MAX)
    }

    const fn kind(&self) -> u8 {
        match self {
            Outcome::Provisioned => 0,
            Outcome::Committed => 1,
            Outcome::Abandoned(_) => 2,
            Outcome::Reverted(_) => 3,
            Outcome::Rebuilt => 4,
            Outcome::Unknown { kind, .. } => *kind,
        }
    }

    fn read(kind: u8, content: Vec<u8>) -> Outcome {
        let why = || match postcard::take_from_bytes::<Failure>(&content) {
            Ok((why, [])) => Some(why),
            _ => None,
        };
        let known = match kind {
            0 if content.is_empty() => Some(Outcome::Provisioned),
            1 if content.is_empty() => Some(Outcome::Committed),
            2 => why().map(Outcome::Abandoned),
            3 => why().map(Outcome::Reverted),
            4 if content.is_empty() => Some(Outcome::Rebuilt),
            _ => None,
        };
        known.unwrap_or(Outcome::Unknown { kind, content })
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let failure = self.failure().map(postcard::to_allocvec).transpose().map_err(S::Error::custom)?;
        let content = match self {
            Outcome::Unknown { content, .. } => content,
            _ => &failure.unwrap_or_default(),
        };
        (self.kind(), content).serialize(s)
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (kind, content) = <(u8, Vec<u8>)>::deserialize(d)?;
        Ok(Outcome::read(kind, content))
    }
}

/// One past update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The update's release version.
    pub version: Version,
    /// The release.
    pub release: ReleaseId,
    /// The slot it was about.
    pub slot: crate::Slot,
    /// How it ended.
    pub outcome: Outcome,
    /// Trials that it took.
    pub attempts: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn an_outcome_that_is_not_known_is_kept_as_it_is() {
        let failure = Failure::new(Reason::Unknown(9), "quota exceeded");
        let known = [
            Outcome::Provisioned,
            Outcome::Committed,
            Outcome::Abandoned(failure.clone()),
            Outcome::Reverted(failure),
            Outcome::Rebuilt,
        ];
        for outcome in known {
            let bytes = postcard::to_allocvec(&outcome).unwrap();
            assert_eq!(postcard::from_bytes::<Outcome>(&bytes).unwrap(), outcome);
        }
        // Another kind, a known kind with more content than this version knows, and one with less.
        for bytes in [&[77, 3, 1, 2, 3][..], &[1, 1, 0], &[3, 0]] {
            let outcome: Outcome = postcard::from_bytes(bytes).unwrap();
            let Outcome::Unknown { kind, content } = &outcome else { panic!("{outcome:?}") };
            assert_eq!((*kind, &content[..]), (bytes[0], &bytes[2..]));
            assert_eq!(postcard::to_allocvec(&outcome).unwrap(), bytes);
            assert!(!outcome.is_proven());
        }
    }
}
