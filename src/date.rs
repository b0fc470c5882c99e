//! Days and times, human-readable.

/// The day, in UTC, of a number of seconds since 1970.
pub(crate) fn utc_date(seconds: u64) -> String {
    // Beyond the year 9999 it is no time that anybody meant.
    let days = (seconds / 86_400).min(2_932_896);
    // Years from March, so that the leap day is a year's last; 719,468 days from 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + carry)
}

/// The second, in UTC, of a number of seconds since 1970, as RFC 3339 has it.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let of_day = seconds % 86_400;
    format!("{}T{:02}:{:02}:{:02}Z", utc_date(seconds), of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Seconds since 1970 of a text that [`rfc3339`] wrote. `None` for anything else.
pub(crate) fn from_rfc3339(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
    if bytes.len() != 20 || marks.iter().any(|(at, mark)| bytes.get(*at) != Some(mark)) {
        return None;
    }
    let number = |from: usize, until: usize| -> Option<u64> {
        let digits = text.get(from..until).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse().ok()
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    // Years from March, as above.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = (days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second;
    // The 31st of a short month isn't a day.
    (rfc3339(seconds) == text).then_some(seconds)
}

/// Seconds since 1970 of a date as HTTP writes it, like `Wed, 21 Oct 2026 07:28:00 GMT` (IMF-fixdate: RFC 9110, 5.6.7). `None` for
/// anything else; the two obsolete forms are not written any more. The day of the week is not looked at.
pub(crate) fn from_http(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.trim().split_once(", ")?;
    let mut parts = rest.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next() != Some("GMT") || parts.next().is_some() {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    from_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z"))
}

/// The same of a time stamp, if the clock that wrote it was synchronized.
pub(crate) fn believed(timestamp: &str, synchronized: bool) -> Option<u64> {
    from_rfc3339(timestamp).filter(|_| synchronized)
}

/// The minute, in UTC, of a number of seconds since 1970.
pub(crate) fn utc_minute(seconds: u64) -> String {
    let minutes = seconds / 60 % (24 * 60);
    format!("{} {:02}:{:02} UTC", utc_date(seconds), minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::{from_http, from_rfc3339, rfc3339, utc_date, utc_minute};
    use proptest::prelude::*;

    #[test]
    fn dates_of_http() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Wed, 21 Oct 2026 07:28:00 GMT", from_rfc3339("2026-10-21T07:28:00Z")),
            (" Thu, 01 Jan 1970 00:00:00 GMT ", Some(0)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Mon, 31 Feb 2026 00:00:00 GMT", None),
            ("Wed, 21 Oct 2026 07:28:00 CET", None),
            ("Wed, 21 Oct 2026 07:28:00 GMT x", None),
            ("Wed, 1 Oct 2026 07:28:00 GMT", None),
            ("", None),
        ] {
            assert_eq!(from_http(text), seconds, "{text}");
        }
    }

    proptest! {
        #[test]
        fn seconds_come_back_as_they_were_written(seconds in 0..253_402_300_800_u64) {
            prop_assert_eq!(from_rfc3339(&rfc3339(seconds)), Some(seconds));
        }

        #[test]
        fn any_text_is_a_time_or_none(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z|\\PC{0,24}") {
            if let Some(seconds) = from_rfc3339(&text) {
                prop_assert_eq!(rfc3339(seconds), text);
            }
        }
    }

    #[test]
    fn minutes() {
        assert_eq!(utc_minute(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(utc_minute(951_868_799), "2000-02-29 23:59 UTC");
    }

    #[test]
    fn dates() {
        let table = [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_798_675_200, "2026-12-31"),
            (4_107_542_400, "2100-03-01"),
            (u64::MAX, "9999-12-31"),
        ];
        for (seconds, day) in table {
            assert_eq!(utc_date(seconds), day);
        }
    }
}
