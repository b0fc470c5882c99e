//! A time zone by its name, as the device's zone database has it.
use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};
use std::fmt;

/// A time zone. It is read from the zone database once, when the configuration is; from then on it is data.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rules: Option<TimeZone>,
}

/// A stretch of time with one offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Its first second since 1970.
    pub(super) from: i64,
    /// The second after its last.
    pub(super) until: i64,
    /// What local time is ahead of UTC, in seconds.
    pub(super) offset: i64,
}

impl Zone {
    /// The zone of that name (`update.time_zone`). One that the database doesn't have, or that is looked for where no
    /// database is, is a value as well: nothing is open in it. `UTC` needs no database.
    pub fn named(name: &str) -> Zone {
        Zone::among(jiff::tz::db(), name)
    }

    fn among(database: &TimeZoneDatabase, name: &str) -> Zone {
        let rules = if name == "UTC" { Some(TimeZone::UTC) } else { database.get(name).ok() };
        Zone { name: name.into(), rules }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the device has it.
    pub fn is_known(&self) -> bool {
        self.rules.is_some()
    }

    /// The stretches of one offset from one second to another, without a gap between them. The first has no begin and the
    /// last no end. Empty if the zone is unknown, or for times that no calendar has.
    pub(super) fn stretches(&self, from: i64, until: i64) -> Vec<Stretch> {
        let Some(rules) = &self.rules else { return Vec::new() };
        let (Ok(first), Ok(_)) = (Timestamp::from_second(from), Timestamp::from_second(until)) else {
            return Vec::new();
        };
        let mut open =
            Stretch { from: i64::MIN, until: i64::MAX, offset: rules.to_offset(first).seconds().into() };
        let mut found = Vec::new();
        for change in rules.following(first) {
            let at = change.timestamp().as_second();
            if at > until {
                break;
            }
            found.push(Stretch { until: at, ..open });
            open = Stretch { from: at, until: i64::MAX, offset: change.offset().seconds().into() };
        }
        found.push(open);
        found
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zone").field("name", &self.name).field("known", &self.is_known()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_zone_is_a_value_without_any_time() {
        for name in ["Europe/Atlantis", "", "../../etc/passwd", "/etc/localtime"] {
            let zone = Zone::named(name);
            assert!(!zone.is_known() && zone.stretches(0, 1).is_empty(), "{name}");
            assert_eq!(zone.name(), name);
        }
    }

    #[test]
    fn utc_needs_no_database() {
        let none = TimeZoneDatabase::none();
        assert!(Zone::among(&none, "UTC").is_known());
        assert!(!Zone::among(&none, "Europe/Berlin").is_known() && !Zone::among(&none, "utc").is_known());
    }

    #[test]
    fn stretches_cover_all_time_and_meet_at_the_changes() {
        let berlin = Zone::named("Europe/Berlin");
        // 2026, with both changes.
        let found = berlin.stretches(1_767_225_600, 1_798_761_600);
        let offsets: Vec<i64> = found.iter().map(|s| s.offset).collect();
        assert_eq!(offsets, [3600, 7200, 3600]);
        assert_eq!((found[0].from, found[2].until), (i64::MIN, i64::MAX));
        assert_eq!((found[0].until, found[1].until), (1_774_746_000, 1_792_890_000));
        assert!(found.windows(2).all(|pair| pair[0].until == pair[1].from));
        assert_eq!(Zone::named("UTC").stretches(0, 1).len(), 1);
        assert!(Zone::named("UTC").stretches(0, i64::MAX).is_empty(), "no calendar has that year");
    }
}
