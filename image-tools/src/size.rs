//! Numbers of bytes as people write and read them.
use std::fmt;
use std::str::FromStr;

/// A number of bytes. Reads `512`, `64K`, `1536M`, `4G` (powers of 1024) and prints likewise with one decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// How many of something, in the right form: `1 chunk`, `2 chunks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count<N>(pub(crate) N, pub(crate) &'static str);

impl<N: fmt::Display + TryInto<u64> + Copy> fmt::Display for Count<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.0.try_into().is_ok_and(|n| n == 1) { "" } else { "s" };
        write!(f, "{} {}{s}", self.0, self.1)
    }
}

/// Why a text is no number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give a number of bytes such as 67108864, 65536K, 64M or 4G")]
pub struct BadSize;

const UNITS: [(char, u64); 4] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];

impl FromStr for Bytes {
    type Err = BadSize;
    fn from_str(text: &str) -> Result<Self, BadSize> {
        let text = text.strip_suffix("iB").unwrap_or(text);
        let unit = UNITS.iter().find(|(c, _)| text.ends_with([*c, c.to_ascii_lowercase()]));
        let (digits, factor) = match unit {
            Some((_, factor)) => (text.get(..text.len() - 1).unwrap_or_default(), *factor),
            None => (text, 1),
        };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadSize);
        }
        let n: u64 = digits.parse().map_err(|_| BadSize)?;
        n.checked_mul(factor).map(Bytes).ok_or(BadSize)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().rev().find(|(_, factor)| self.0 >= *factor) {
            Some((unit, factor)) => {
                let tenths = u128::from(self.0) * 10 / u128::from(*factor);
                write!(f, "{}.{} {unit}iB", tenths / 10, tenths % 10)
            }
            None => write!(f, "{} B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        let text = |n: u64| Count(n, "chunk").to_string();
        assert_eq!([0, 1, 2, 11].map(text), ["0 chunks", "1 chunk", "2 chunks", "11 chunks"]);
    }

    #[test]
    fn sizes_parse() {
        let good =
            [("0", 0), ("512", 512), ("64K", 65536), ("4g", 4 << 30), ("1MiB", 1 << 20), ("2T", 2 << 40)];
        for (text, bytes) in good {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "K", "-1", "+1", "1.5G", "1X", "99999999999T", "iB", "1 G", "\u{e9}K"] {
            assert_eq!(text.parse::<Bytes>(), Err(BadSize), "{text}");
        }
    }

    #[test]
    fn sizes_print() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (u64::MAX, "16777215.9 TiB")];
        for (bytes, text) in cases {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
