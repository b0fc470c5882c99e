//! Maintenance windows as the owner writes them: `Mon-Fri 02:00-05:00`, `Sat,Sun 01:00-06:00`, `22:00-02:00`.
use std::fmt;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A time of some days of the week, in the time zone of `update.time_zone`.
///
/// A window whose end is before its start ends on the next day: `Fri 22:00-02:00` includes the first two hours of Saturday.
/// Only an end may be `24:00`, and start and end differ, so that every window is open for 1 minute to 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The days on which it opens: bit 0 is Monday. At least one.
    days: u8,
    /// When it opens, in minutes of the day.
    from: u16,
    /// How long it is open, in minutes: 1 to 1440.
    minutes: u16,
}

impl Window {
    /// Read a window. Without days, it opens on each day.
    ///
    /// # Errors
    /// Why the text is not a window; empty if its form is unknown.
    pub fn parse(text: &str) -> Result<Window, String> {
        let (days, times) = match text.split_once(' ') {
            Some((days, times)) => (parse_days(days)?, times),
            None => (0x7f, text),
        };
        let (from, to) = times.split_once('-').ok_or_else(String::new)?;
        let (from, to) = (parse_time(from)?, parse_time(to)?);
        if from == DAY {
            return Err("a window can't open at 24:00: write 00:00 of the next day".into());
        }
        if from == to {
            return Err("it opens and closes at the same time: write 00:00-24:00 for a whole day".into());
        }
        let minutes = if to > from { to - from } else { DAY - from + to };
        Ok(Window { days, from, minutes })
    }

    /// Whether it opens on a day of the week; 0 is Monday.
    pub fn opens_on(&self, day: u8) -> bool {
        self.days.checked_shr(day.into()).is_some_and(|days| days & 1 == 1)
    }

    /// When it opens, in minutes of the day: 0 to 1439.
    pub fn from(&self) -> u16 {
        self.from
    }

    /// How many minutes it is open on an ordinary day: 1 to 1440.
    pub fn minutes(&self) -> u16 {
        self.minutes
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != 0x7f {
            write!(f, "{} ", show_days(self.days))?;
        }
        let end = self.from + self.minutes;
        let end = if end > DAY { end - DAY } else { end };
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, end / 60, end % 60)
    }
}

// Days and ranges of days; a range may pass the end of the week.
fn parse_days(text: &str) -> Result<u8, String> {
    let mut days = 0;
    for part in text.split(',') {
        match part.split_once('-') {
            None => days |= 1 << day(part)?,
            Some((first, last)) => {
                let (first, last) = (day(first)?, day(last)?);
                if first == last {
                    return Err(format!("{part} is not a range: write one day, or leave the days out"));
                }
                let count = (last + 7 - first) % 7;
                for day in first..=first + count {
                    days |= 1 << (day % 7);
                }
            }
        }
    }
    Ok(days)
}

fn day(text: &str) -> Result<u8, String> {
    let found = (0..).zip(DAYS).find(|(_, name)| *name == text).map(|(day, _)| day);
    found.ok_or_else(|| format!("\"{}\" is not one of {}", text.escape_debug(), DAYS.join(" ")))
}

fn parse_time(text: &str) -> Result<u16, String> {
    let number = |digits: &str| {
        let two = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|_| two)
    };
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((number(hour)?, number(minute)?)));
    match parts {
        Some((24, 0)) => Ok(DAY),
        Some((hour @ 0..24, minute @ 0..60)) => Ok(hour * 60 + minute),
        _ => Err(format!("\"{}\" is not a time from 00:00 to 24:00", text.escape_debug())),
    }
}

// Ranges of three days and more, from Monday on; a week's end isn't joined with the next one's begin.
fn show_days(days: u8) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = (0..7).zip(DAYS).filter(|(day, _)| days >> day & 1 == 1).peekable();
    while let Some((first, name)) = rest.next() {
        let mut last = (first, name);
        while let Some(next) = rest.next_if(|(day, _)| *day == last.0 + 1) {
            last = next;
        }
        match last.0 - first {
            0 => parts.push(name.into()),
            1 => parts.extend([name.into(), last.1.into()]),
            _ => parts.push(format!("{name}-{}", last.1)),
        }
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_form_of_a_window_is_shown_in_one_way() {
        let table = [
            ("Mon-Fri 02:00-05:00", "Mon-Fri 02:00-05:00"),
            ("Sat,Sun 01:00-06:00", "Sat,Sun 01:00-06:00"),
            ("02:00-05:00", "02:00-05:00"),
            ("Mon-Sun 02:00-05:00", "02:00-05:00"),
            ("Sat-Mon 02:00-05:00", "Mon,Sat,Sun 02:00-05:00"),
            ("Sun-Sat 00:00-00:01", "00:00-00:01"),
            ("Fri,Mon-Wed,Tue 23:59-24:00", "Mon-Wed,Fri 23:59-24:00"),
            ("Fri 22:00-02:00", "Fri 22:00-02:00"),
            ("Fri 22:00-00:00", "Fri 22:00-24:00"),
            ("Sun 00:00-24:00", "Sun 00:00-24:00"),
            ("Sun 00:01-00:00", "Sun 00:01-24:00"),
        ];
        for (text, shown) in table {
            assert_eq!(Window::parse(text).map(|w| w.to_string()), Ok(shown.into()), "{text}");
        }
    }

    #[test]
    fn window_over_midnight_belongs_to_the_day_on_which_it_opens() {
        let window = Window::parse("Fri 22:00-02:00").unwrap();
        assert_eq!((window.from(), window.minutes()), (22 * 60, 4 * 60));
        assert_eq!((0..9).map(|day| window.opens_on(day)).position(|opens| opens), Some(4));
        assert_eq!((0..=255).filter(|day| window.opens_on(*day)).count(), 1);
        let wrapped = Window::parse("Sat-Mon 00:00-24:00").unwrap();
        assert_eq!((0..7).filter(|day| wrapped.opens_on(*day)).collect::<Vec<u8>>(), [0, 5, 6]);
        assert_eq!(wrapped.minutes(), DAY);
    }

    #[test]
    fn what_is_not_a_window_is_refused_with_a_reason() {
        let days = "is not one of Mon Tue Wed Thu Fri Sat Sun";
        let time = "is not a time from 00:00 to 24:00";
        let table = [
            ("", String::new()),
            ("Mon", String::new()),
            ("02:00", String::new()),
            ("Mon 02:00", String::new()),
            ("mon 02:00-03:00", format!("\"mon\" {days}")),
            ("Mon, Tue 02:00-03:00", format!("\"\" {days}")),
            ("Montag 02:00-03:00", format!("\"Montag\" {days}")),
            ("Mon-Wed-Fri 02:00-03:00", format!("\"Wed-Fri\" {days}")),
            (" 02:00-03:00", format!("\"\" {days}")),
            ("Mon-Mon 02:00-03:00", "Mon-Mon is not a range: write one day, or leave the days out".into()),
            ("Mon  02:00-03:00", format!("\" 02:00\" {time}")),
            ("02:00-03:00 ", format!("\"02:00\" {days}")),
            ("2:00-03:00", format!("\"2:00\" {time}")),
            ("+2:00-03:00", format!("\"+2:00\" {time}")),
            ("02:00-03:60", format!("\"03:60\" {time}")),
            ("02:00-24:01", format!("\"24:01\" {time}")),
            ("02:00-25:00", format!("\"25:00\" {time}")),
            ("02:00:00-03:00", format!("\"02:00:00\" {time}")),
            ("02:00-03:00-04:00", format!("\"03:00-04:00\" {time}")),
            ("٠٢:00-03:00", format!("\"٠٢:00\" {time}")),
            ("24:00-03:00", "a window can't open at 24:00: write 00:00 of the next day".into()),
            (
                "Mon 02:00-02:00",
                "it opens and closes at the same time: write 00:00-24:00 for a whole day".into(),
            ),
            ("00:00-00:00", "it opens and closes at the same time: write 00:00-24:00 for a whole day".into()),
        ];
        for (text, why) in table {
            assert_eq!(Window::parse(text), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(days in 1_u8..0x80, from in 0..DAY, minutes in 1..=DAY) {
            let window = Window { days, from, minutes };
            // A whole day from another time than midnight has no text: it would open and close at the same time.
            if minutes < DAY || from == 0 {
                prop_assert_eq!(Window::parse(&window.to_string()), Ok(window));
            }
        }

        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,24}|((Mon|Sat|Sun)[-,]?){1,3} ?[0-9:-]{0,12}") {
            if let Ok(window) = Window::parse(&text) {
                prop_assert_eq!(Window::parse(&window.to_string()), Ok(window));
                prop_assert!(window.days != 0 && window.from < DAY && (1..=DAY).contains(&window.minutes));
            }
        }
    }
}
