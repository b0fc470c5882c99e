//! How long events are kept: which segments go.
use super::{Class, SegmentName};

const DAY: u64 = 24 * 60 * 60;

/// What is kept of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Seconds since the newest entry of a segment.
    pub age: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes at which a segment is closed.
    pub segment: u64,
}

impl Limits {
    /// Of a class.
    pub const fn of(class: Class) -> Limits {
        match class {
            Class::Operational => Limits { age: 30 * DAY, bytes: 16 << 20, segment: 1 << 20 },
            Class::Audit => Limits { age: 366 * DAY, bytes: 4 << 20, segment: 256 << 10 },
        }
    }
}

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its name.
    pub(super) name: SegmentName,
    /// Its bytes.
    pub(super) bytes: u64,
    /// When its newest entry was written; `None` if no clock could be believed then.
    pub(super) newest: Option<u64>,
}

/// The segments that go, the oldest first: those beyond the limits of their class, in bytes or in age. The newest of a class
/// stays. Without a clock that can be believed, nothing is old.
pub(super) fn expired(segments: &[Kept], now: Option<u64>) -> Vec<SegmentName> {
    let mut gone = Vec::new();
    for class in Class::ALL {
        let limits = Limits::of(class);
        let mut all: Vec<&Kept> = segments.iter().filter(|segment| segment.name.class == class).collect();
        all.sort_by_key(|segment| segment.name.first);
        let mut bytes: u64 = all.iter().map(|segment| segment.bytes).sum();
        all.pop();
        for segment in all {
            let is_old = match (now, segment.newest) {
                (Some(now), Some(newest)) => now.saturating_sub(newest) > limits.age,
                _ => false,
            };
            // What comes behind it is younger, and may only go after it.
            if bytes <= limits.bytes && !is_old {
                break;
            }
            bytes = bytes.saturating_sub(segment.bytes);
            gone.push(segment.name);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(class: Class, first: u64, bytes: u64, newest: Option<u64>) -> Kept {
        Kept { name: SegmentName { class, first }, bytes, newest }
    }

    #[test]
    fn segments_go_by_bytes_and_by_age_and_each_class_by_its_own() {
        use Class::{Audit, Operational};
        let all = [
            kept(Operational, 1, 8 << 20, Some(0)),
            kept(Operational, 2, 8 << 20, Some(40 * DAY)),
            kept(Operational, 3, 1 << 20, Some(41 * DAY)),
            kept(Audit, 1, 1 << 20, Some(0)),
            kept(Audit, 4, 1 << 20, Some(41 * DAY)),
        ];
        let gone =
            |now: Option<u64>| expired(&all, now).iter().map(|n| (n.class, n.first)).collect::<Vec<_>>();
        assert_eq!(gone(None), [(Operational, 1)]);
        assert_eq!(gone(Some(42 * DAY)), [(Operational, 1)]);
        assert_eq!(gone(Some(80 * DAY)), [(Operational, 1), (Operational, 2)]);
        assert_eq!(gone(Some(400 * DAY)), [(Operational, 1), (Operational, 2), (Audit, 1)]);
    }

    #[test]
    fn the_newest_segment_stays_and_what_has_no_time_is_not_old() {
        let one = [kept(Class::Audit, 1, 100 << 20, Some(0))];
        assert_eq!(expired(&one, Some(u64::MAX)), []);
        let two = [kept(Class::Audit, 1, 1, None), kept(Class::Audit, 2, 1, Some(0))];
        assert_eq!(expired(&two, Some(u64::MAX)), []);
    }
}
