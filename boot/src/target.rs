//! What an update is about, and why one was given up.
use crate::Slot;
use alloc::{format, string::String};
use core::fmt;
use semver::Version;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// SHA-256 of a release's signed payload: the name by which a release is staged, tried, committed and rejected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReleaseId(pub [u8; 32]);

impl fmt::Display for ReleaseId {
    /// In full, or the first `precision` hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(64);
        for (i, byte) in self.0.iter().enumerate() {
            match digits.saturating_sub(i * 2) {
                0 => break,
                1 => write!(f, "{:x}", byte >> 4)?,
                _ => write!(f, "{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReleaseId({self:.12})")
    }
}

/// What is being installed or tried, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The slot that the update is about. Never the default one when the update begins.
    pub slot: Slot,
    /// The release in it.
    pub release: ReleaseId,
    /// That release's version.
    pub version: Version,
    /// That release's security version: becomes the floor at commit.
    pub security_version: u32,
    /// The highest format of durable structures that the agent in that release reads.
    pub durable: u16,
}

/// Why an update was given up.
///
/// It is stored as a number, and odd numbers [reject](Self::rejects) the release: so an agent that doesn't know a reason
/// keeps it, and still does what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The image could not be fetched, verified or written. Says nothing against the release.
    Install,
    /// A required self-test failed before the boot flag was touched.
    SelfTest,
    /// All trials of the new slot ended without a verdict: crash, hang or power loss.
    OutOfAttempts,
    /// The new slot booted, but a self-test or the health check failed, or the deadline passed.
    Health,
    /// Asked for by a person.
    Operator,
    /// The new slot booted, but this device kept it from being judged or committed, with its configuration or its boot
    /// flag. Says nothing against the release.
    Environment,
    /// Too many updates were rolled back. Says nothing against the one that was tried last.
    RollbackLimit,
    /// One that a newer agent gave, by its number.
    Unknown(u8),
}

impl Reason {
    /// All that this version knows.
    pub const ALL: [Reason; 7] = [
        Reason::Install,
        Reason::SelfTest,
        Reason::OutOfAttempts,
        Reason::Health,
        Reason::Operator,
        Reason::Environment,
        Reason::RollbackLimit,
    ];

    /// The number in durable structures.
    pub const fn number(self) -> u8 {
        match self {
            Reason::Install => 0,
            Reason::SelfTest => 1,
            Reason::Environment => 2,
            Reason::OutOfAttempts => 3,
            Reason::RollbackLimit => 4,
            Reason::Health => 5,
            Reason::Operator => 7,
            Reason::Unknown(number) => number,
        }
    }

    /// The reason of that number.
    pub fn numbered(number: u8) -> Reason {
        Reason::ALL.into_iter().find(|r| r.number() == number).unwrap_or(Reason::Unknown(number))
    }

    /// Whether a release that was given up for this reason must not be installed again by itself.
    /// Environmental failures (network, card, configuration) say nothing about the release (I16).
    pub const fn rejects(self) -> bool {
        self.number() % 2 == 1
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(self.number())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        u8::deserialize(d).map(Reason::numbered)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Reason::Unknown(number) => return write!(f, "unknown reason {number}"),
            Reason::Install => "install failed",
            Reason::SelfTest => "self-test failed",
            Reason::OutOfAttempts => "out of attempts",
            Reason::Health => "health check failed",
            Reason::Operator => "asked for by an operator",
            Reason::Environment => "could not be decided here",
            Reason::RollbackLimit => "too many rollbacks",
        })
    }
}

/// A reason with what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of failure.
    pub reason: Reason,
    /// What was measured or said.
    pub detail: Detail,
}

impl Failure {
    /// A failure with its detail, which is cut to [`Detail::MAX`] bytes.
    pub fn new(reason: Reason, detail: &str) -> Self {
        Failure { reason, detail: Detail::new(detail) }
    }

    /// All trials ended without a verdict.
    pub fn out_of_attempts(attempts: u8) -> Self {
        let text = format!("{attempts} trials ended without a verdict (crash, hang or power loss)");
        Failure::new(Reason::OutOfAttempts, &text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        if !self.detail.as_str().is_empty() {
            write!(f, ": {}", self.detail.as_str())?;
        }
        Ok(())
    }
}

/// A line of text of at most [`Detail::MAX`] bytes, so that a record always fits its sectors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Detail(String);

impl Detail {
    /// Longest text, in bytes. A full record holds nineteen: longer ones would not leave room for the history.
    pub const MAX: usize = 72;

    /// Keep what fits, cut at a character, control characters made blanks.
    pub fn new(text: &str) -> Self {
        const MARK: char = '…';
        let mut kept = String::new();
        for c in text.chars() {
            kept.push(if c.is_control() { ' ' } else { c });
            if kept.len() > Self::MAX {
                while kept.len() + MARK.len_utf8() > Self::MAX {
                    kept.pop();
                }
                kept.push(MARK);
                break;
            }
        }
        Detail(kept)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Detail {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let kept = Detail::new(&text);
        if kept.0 == text {
            Ok(kept)
        } else {
            Err(serde::de::Error::custom("detail too long or not printable"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_cut_at_a_character() {
        let long = "ä".repeat(100);
        let d = Detail::new(&long);
        assert!(d.as_str().len() <= Detail::MAX && d.as_str().len() + 2 > Detail::MAX, "{d:?}");
        assert!(d.as_str().ends_with("ä…"), "{d:?}");
        assert_eq!(Detail::new(d.as_str()), d, "what was kept is kept again");
        assert_eq!(Detail::new("a\nb").as_str(), "a b");
    }

    #[test]
    fn a_release_id_prints_as_many_digits_as_asked() {
        let id = ReleaseId([0xab; 32]);
        assert_eq!(format!("{id:.5}"), "ababa");
        assert_eq!(format!("{id}"), "ab".repeat(32));
    }

    #[test]
    fn what_says_nothing_about_the_release_does_not_reject_it() {
        let not: alloc::vec::Vec<_> = Reason::ALL.into_iter().filter(|r| !r.rejects()).collect();
        assert_eq!(not, [Reason::Install, Reason::Environment, Reason::RollbackLimit]);
    }

    #[test]
    fn an_unknown_reason_keeps_its_number_and_its_consequence() {
        for n in 0..=u8::MAX {
            let reason = Reason::numbered(n);
            assert_eq!(reason.number(), n);
            assert_eq!(reason.rejects(), n % 2 == 1);
            assert_eq!(postcard::to_allocvec(&reason).unwrap(), [n]);
            assert_eq!(postcard::from_bytes::<Reason>(&[n]).unwrap(), reason);
        }
        assert_eq!(Reason::numbered(9), Reason::Unknown(9));
        let all: alloc::vec::Vec<_> = Reason::ALL.map(|r| Reason::numbered(r.number())).into();
        assert_eq!(all, Reason::ALL, "each has a number of its own");
    }
}
