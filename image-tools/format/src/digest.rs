//! SHA-256.
use core::fmt;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// A SHA-256 digest. Prints as hexadecimal digits, as many as the precision says.
///
/// ```
/// use bistable_format::Digest;
///
/// let digest = Digest::of(b"abc");
/// assert_eq!(format!("{digest:.12}"), "ba7816bf8f01");
/// assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
/// assert_eq!(Digest::parse("BA7816BF"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(sha2::Sha256::digest(bytes).into())
    }

    /// From exactly 64 lower-case hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        let digits: &[u8; 64] = hex.as_bytes().try_into().ok()?;
        let value = |d: u8| match d {
            b'0'..=b'9' => Some(d - b'0'),
            b'a'..=b'f' => Some(d - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
            *byte = value(*high)? << 4 | value(*low)?;
        }
        Some(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(64).min(64);
        for i in 0..digits {
            let byte = self.0[i / 2];
            write!(f, "{:x}", if i % 2 == 0 { byte >> 4 } else { byte & 15 })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self:.12})")
    }
}

/// A digest in the making.
#[derive(Clone, Debug, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Add bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};

    #[test]
    fn known_answer_and_round_trip() {
        let abc = Digest::of(b"abc");
        assert_eq!(abc.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Digest::parse(&abc.to_string()), Some(abc));
        assert_eq!(format!("{abc:.7}"), "ba7816b");
        let mut parts = Hasher::new();
        parts.update(b"a");
        parts.update(b"bc");
        assert_eq!(parts.finish(), abc);
    }

    #[test]
    fn only_64_lower_case_digits_parse() {
        let good = Digest::of(b"").to_string();
        assert!(Digest::parse(&good.to_uppercase()).is_none());
        assert!(Digest::parse(&good[1..]).is_none());
        assert!(Digest::parse(&format!("{good}0")).is_none());
        assert!(Digest::parse(&good.replace('e', "g")).is_none());
    }
}
