//! Days and times, for people.

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

/// The minute, in UTC, of a number of seconds since 1970.
pub(crate) fn utc_minute(seconds: u64) -> String {
    let minutes = seconds / 60 % (24 * 60);
    format!("{} {:02}:{:02} UTC", utc_date(seconds), minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::{utc_date, utc_minute};

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
