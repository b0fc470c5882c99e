//! What people write for times and waves.
use crate::size::Count;
use bistable_format::rollout::{WHOLE, Wave};

/// Seconds of `90s`, `15m`, `24h`, `7d`, `2w`, or of a sum like `1d12h`.
///
/// # Errors
/// What may be written.
pub fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is not a duration: write it like 90s, 15m, 24h, 7d, 2w or 1d12h");
    let (mut sum, mut number) = (0_u64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return Err(wrong()),
        };
        let count: u64 = std::mem::take(&mut number).parse().map_err(|_| wrong())?;
        sum = count.checked_mul(unit).and_then(|part| sum.checked_add(part)).ok_or_else(wrong)?;
    }
    if number.is_empty() && !text.is_empty() { Ok(sum) } else { Err(wrong()) }
}

/// A wave that begins some time after now: `SHARE%[@AFTER][+OVER]`, for example `10%@6h+2h`: six hours from now it begins, and
/// within two hours a tenth of the fleet is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveAfter {
    share: u16,
    after: u64,
    over: u32,
}

impl WaveAfter {
    /// Read one.
    ///
    /// # Errors
    /// What may be written.
    pub fn parse(text: &str) -> Result<WaveAfter, String> {
        let wrong = |why: &str| {
            format!("\"{text}\" is not a wave ({why}): write SHARE%[@AFTER][+OVER], for example 10%@6h+2h")
        };
        let (share, rest) = text.split_once('%').ok_or_else(|| wrong("there is no %"))?;
        let (after, over) = match rest.split_once('+') {
            Some((after, over)) => (after, seconds(over).map_err(|e| wrong(&e))?),
            None => (rest, 0),
        };
        let after = match after.strip_prefix('@') {
            Some(after) => seconds(after).map_err(|e| wrong(&e))?,
            None if after.is_empty() => 0,
            None => return Err(wrong("after the % comes @ or +")),
        };
        let over = u32::try_from(over).map_err(|_| wrong("it takes too long"))?;
        Ok(WaveAfter { share: parts(share).ok_or_else(|| wrong("a share is 0.01 to 100"))?, after, over })
    }

    /// From a time on, in seconds since 1970.
    pub fn from(self, now: u64) -> Wave {
        Wave { at: now.saturating_add(self.after), over: self.over, share: self.share }
    }
}

/// Whether waves let in more and more, one after the other: what doesn't is a slip of whoever wrote them.
///
/// # Errors
/// Which two are in the wrong order.
pub fn in_order(waves: &[Wave]) -> Result<(), String> {
    let wrong = waves.iter().zip(waves.iter().skip(1)).find_map(|(a, b)| {
        let (before, after) = (percent(a.share), percent(b.share));
        if b.share <= a.share {
            Some(format!("a wave of {after} after one of {before} lets no further device in"))
        } else if b.at < a.at {
            Some(format!("the wave of {after} would begin before that of {before}"))
        } else {
            None
        }
    });
    wrong.map_or(Ok(()), |why| {
        Err(format!(
            "{why}: each wave has to be larger and no earlier than the one before, as in 1%,10%@6h,100%@2d"
        ))
    })
}

/// Parts of [`WHOLE`] of a percentage with at most two decimals.
fn parts(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 2 || !decimals.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let hundredths: u16 = format!("{decimals:0<2}").parse().ok()?;
    let parts = whole.parse::<u16>().ok()?.checked_mul(100)?.checked_add(hundredths)?;
    (1..=WHOLE).contains(&parts).then_some(parts)
}

/// A time that passes, in the largest unit that has no rest: `2 days`, `90 minutes`.
pub fn period(seconds: u64) -> String {
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute")];
    let (size, unit) = units
        .into_iter()
        .find(|(size, _)| seconds > 0 && seconds.is_multiple_of(*size))
        .unwrap_or((1, "second"));
    Count(seconds / size, unit).to_string()
}

/// A share, human-readable.
pub fn percent(share: u16) -> String {
    match share % 100 {
        0 => format!("{} %", share / 100),
        rest => format!("{}.{rest:02} %", share / 100),
    }
}

/// The beginning of a text, cut between two characters: at most this many bytes.
pub fn shorten(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, want) in [
            ("90s", 90),
            ("15m", 900),
            ("24h", 86_400),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("1d12h", 129_600),
        ] {
            assert_eq!(seconds(text), Ok(want), "{text}");
        }
        for text in ["", "7", "d", "7 d", "-1d", "1.5h", "99999999999999999999d", "9999999999999999w", "7dd"]
        {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn waves_come_in_order() {
        let waves = |texts: &[&str]| -> Vec<Wave> {
            texts.iter().map(|text| WaveAfter::parse(text).unwrap().from(50)).collect()
        };
        for fine in [&[][..], &["50%"], &["1%", "10%@6h+2h", "100%@2d"], &["1%@1h", "100%@1h+2d"]] {
            assert_eq!(in_order(&waves(fine)), Ok(()), "{fine:?}");
        }
        for (wrong, why) in [
            (&["50%", "10%"][..], "a wave of 10 % after one of 50 % lets no further device in"),
            (&["1%", "10%@1h", "10%@6h"], "a wave of 10 % after one of 10 %"),
            (&["10%@6h", "50%@1h"], "the wave of 50 % would begin before that of 10 %"),
        ] {
            let text = in_order(&waves(wrong)).unwrap_err();
            assert!(text.starts_with(why) && text.contains("100%@2d"), "{text}");
        }
    }

    #[test]
    fn waves() {
        let wave = |share, at, over| Ok(Wave { at, over, share });
        for (text, want) in [
            ("1%", wave(100, 50, 0)),
            ("100%@2d", wave(10_000, 50 + 172_800, 0)),
            ("10%@6h+2h", wave(1000, 50 + 21_600, 7200)),
            ("0.01%+1h", wave(1, 50, 3600)),
            ("12.5%", wave(1250, 50, 0)),
        ] {
            assert_eq!(WaveAfter::parse(text).map(|w| w.from(50)), want, "{text}");
        }
        for text in [
            "",
            "10",
            "%",
            "0%",
            "101%",
            "1.234%",
            "-1%",
            "10%6h",
            "10%@",
            "10%@6h+",
            "10%+300y",
            "10%+999999999w",
        ] {
            assert!(WaveAfter::parse(text).is_err(), "{text}");
        }
        let periods = [0, 1, 90, 5400, 7200, 86_400, 172_800].map(period);
        assert_eq!(
            periods,
            ["0 seconds", "1 second", "90 seconds", "90 minutes", "2 hours", "1 day", "2 days"]
        );
        assert_eq!([percent(1), percent(1250), percent(10_000)], ["0.01 %", "12.50 %", "100 %"]);
    }
}
