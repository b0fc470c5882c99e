//! An inhibitor, as it is asked for and shown: something that holds a switch into a trial off for a while.
use crate::text::printable;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Number;
use std::time::Duration;

/// Characters of a reason.
const WHY_MAX: usize = 200;
/// No inhibitor holds for longer.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// An inhibitor that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Inhibit {
    /// The reason, human-readable: shown on one line.
    #[cfg_attr(test, schemars(length(min = 1, max = 200)))]
    pub why: String,
    /// Seconds after which it ends by itself.
    #[serde(default = "an_hour", deserialize_with = "whole")]
    #[cfg_attr(test, schemars(range(min = 1, max = 86_400)))]
    pub for_s: u64,
}

fn an_hour() -> u64 {
    3600
}

/// In JSON, 60 and 60.0 are one number.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(from)?;
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && *float >= 0.0);
    let whole = number.as_u64().or_else(|| format!("{:.0}", float()?).parse().ok());
    whole.ok_or_else(|| D::Error::custom(format!("expected a whole number, not {number}")))
}

impl Inhibit {
    /// How long, if all of it is as it must be.
    ///
    /// # Errors
    /// [`NotInhibited`].
    pub fn time(&self) -> Result<Duration, NotInhibited> {
        if !(1..=WHY_MAX).contains(&self.why.chars().count()) {
            return Err(NotInhibited::Reason);
        }
        let time = Duration::from_secs(self.for_s);
        if time.is_zero() || time > LONGEST { Err(NotInhibited::Time(self.for_s)) } else { Ok(time) }
    }

    /// The reason as a line.
    pub fn line(&self) -> String {
        printable(&self.why)
    }
}

/// An inhibitor that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Holding {
    /// Its name.
    pub id: String,
    /// Who has it.
    pub owner: String,
    /// What for.
    pub reason: String,
    /// Seconds since it began.
    pub age_s: u64,
    /// Seconds until it ends by itself.
    pub left_s: u64,
    /// Whether it has held for longer than is usual.
    pub overdue: bool,
}

/// Why there is no inhibitor now, or why one stays.
#[derive(Debug, thiserror::Error)]
pub enum NotInhibited {
    /// The reason is too short or too long.
    #[error("the reason must have 1 to {WHY_MAX} characters")]
    Reason,
    /// The time can't be.
    #[error("an inhibitor holds for 1 s to 24 h, not for {0} s")]
    Time(u64),
    /// As many hold as may.
    #[error("{0} inhibitors hold already: end one first")]
    TooMany(usize),
    /// As many of this owner hold as may.
    #[error("{owner} has {count} inhibitors already: end one first")]
    TooManyOfOne {
        /// Who asks.
        owner: String,
        /// How many.
        count: usize,
    },
    /// There is none of this name.
    #[error("there is no inhibitor {0}")]
    Unknown(String),
    /// It is another owner's.
    #[error("inhibitor {id} belongs to {owner}: ending it needs the scope admin")]
    NotYours {
        /// The inhibitor.
        id: String,
        /// Who has it.
        owner: String,
    },
    /// Its file can't be written or removed.
    #[error("the inhibitor's file can't be changed: {0}")]
    File(#[from] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_a_line_and_time_is_a_day_at_most() {
        let time = |why: &str, for_s: u64| Inhibit { why: why.into(), for_s }.time().ok();
        assert_eq!(time("the press runs", 7200), Some(Duration::from_secs(7200)));
        assert_eq!(time(&"\u{fc}".repeat(200), 86_400), Some(LONGEST));
        for (why, for_s) in [("", 1), (&*"x".repeat(201), 1), ("x", 0), ("x", 86_401), ("x", u64::MAX)] {
            assert_eq!(time(why, for_s), None, "{why:?} for {for_s} s");
        }
        let odd = Inhibit { why: " two\nlines\u{1b}[2J ".into(), for_s: 1 };
        assert_eq!(odd.line(), "two lines [2J");
        let read = serde_json::from_str::<Inhibit>(r#"{"why":"x"}"#).unwrap();
        assert_eq!(read.for_s, 3600);
        let read =
            |for_s: &str| serde_json::from_str::<Inhibit>(&format!("{{\"why\":\"x\",\"for_s\":{for_s}}}"));
        assert_eq!((read("60").unwrap(), read("6e1").unwrap()), (read("60.0").unwrap(), read("60").unwrap()));
        for wrong in ["-1", "0.5", "1e300", "null", "\"1h\""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Inhibit>(r#"{"why":"x","until":"1h"}"#).is_err());
    }
}
