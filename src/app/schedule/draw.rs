//! Randomness without a source of it: hashes of what differs from device to device, from boot to boot and from try to try.
use bistable_format::Digest;
use std::time::Duration;

/// A number that is drawn once for a purpose and the parts that follow it: evenly distributed, and the same each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Draw(u64);

impl Draw {
    /// Draw by the purpose and all parts.
    pub(super) fn of(purpose: &str, parts: &[&[u8]]) -> Draw {
        let mut bytes = Vec::new();
        // With their lengths, so that no two lists of parts are the same bytes.
        for part in [&[purpose.as_bytes()], parts].concat() {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        }
        let Digest([a, b, c, d, e, f, g, h, ..]) = Digest::of(&bytes);
        Draw(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Where it is between two times, the second excluded, in milliseconds.
    pub(super) fn between(self, from: Duration, until: Duration) -> Duration {
        from.saturating_add(Duration::from_millis(self.below(millis(until.saturating_sub(from)))))
    }

    // Where it is below a number.
    fn below(self, most: u64) -> u64 {
        // Its upper half is less than `most`.
        u64::try_from((u128::from(self.0) * u128::from(most)) >> 64).unwrap_or(0)
    }
}

/// A time's whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draw_stays_between_and_reaches_both_ends() {
        let (from, until) = (Duration::from_secs(2), Duration::from_secs(5));
        assert_eq!(Draw(0).between(from, until), from);
        assert_eq!(Draw(u64::MAX).between(from, until), until - Duration::from_millis(1));
        assert_eq!(Draw(u64::MAX).between(until, from), until);
        assert_eq!(
            Draw(u64::MAX).between(Duration::ZERO, Duration::MAX).as_millis(),
            u128::from(u64::MAX - 1)
        );
    }

    #[test]
    fn draws_differ_by_purpose_and_by_each_part() {
        let draws = [
            Draw::of("a", &[b"bc"]),
            Draw::of("ab", &[b"c"]),
            Draw::of("a", &[b"b", b"c"]),
            Draw::of("a", &[b"bc", b""]),
        ];
        assert!(draws.iter().enumerate().all(|(i, a)| draws.iter().skip(i + 1).all(|b| a != b)), "{draws:?}");
        assert_eq!(Draw::of("a", &[b"bc"]), draws[0]);
    }
}
