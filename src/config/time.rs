//! Times as people write them: `90s`, `30m`, `1h30m`, `7d`.
use std::time::Duration;

/// Units, longest first, with their milliseconds. No months and years: their length isn't fixed.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Numbers with units, the longest unit first and each at most once, nothing between them. `None` if it is anything else
/// or longer than 2⁶⁴ ms.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS.as_slice();
    let mut total = 0_u64;
    loop {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, next) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let found = units.iter().position(|(name, _)| *name == unit)?;
        let (_, ms) = units.get(found)?;
        total = digits.parse::<u64>().ok()?.checked_mul(*ms)?.checked_add(total)?;
        if next.is_empty() {
            return Some(Duration::from_millis(total));
        }
        units = units.get(found + 1..)?;
        rest = next;
    }
}

/// The same for a command line.
///
/// # Errors
/// What a time looks like.
#[cfg(feature = "daemon")]
pub fn time(text: &str) -> Result<Duration, String> {
    parse(text).ok_or_else(|| "a time is written like 90s, 30m, 1h30m or 7d".into())
}

/// The shortest text that [`parse`] reads as this; what is less than a millisecond is dropped.
pub(super) fn show(time: Duration) -> String {
    let mut rest = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, ms) in UNITS {
        if rest >= ms {
            text += &format!("{}{name}", rest / ms);
            rest %= ms;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_a_time_and_what_is_not() {
        for (text, ms) in [
            ("0s", Some(0)),
            ("250ms", Some(250)),
            ("90s", Some(90_000)),
            ("30m", Some(1_800_000)),
            ("6h", Some(21_600_000)),
            ("7d", Some(604_800_000)),
            ("1h30m", Some(5_400_000)),
            ("1d2h3m4s5ms", Some(93_784_005)),
            ("18446744073709551615ms", Some(u64::MAX)),
            ("18446744073709551616ms", None),
            ("213503982335d", None),
            ("18446744073709551s616ms", None),
        ]
        .into_iter()
        .chain(
            [
                "", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "1.5h", "5S", "5sec", "5m5h", "5m5m", "5μs",
                "٥s",
            ]
            .map(|t| (t, None)),
        ) {
            assert_eq!(parse(text), ms.map(Duration::from_millis), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(ms: u64) {
            let time = Duration::from_millis(ms);
            prop_assert_eq!(parse(&show(time)), Some(time));
        }

        #[test]
        fn no_text_is_too_odd(text in ".*|([0-9]{1,3}[dhms]{1,2}){1,4}") {
            if let Some(time) = parse(&text) {
                prop_assert_eq!(parse(&show(time)), Some(time));
            }
        }
    }
}
