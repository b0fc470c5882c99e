//! How one target is served: what is sent next, and when. Pure: nothing here reads a clock or a file.
//!
//! Events are sent one by one, in their order. The cursor passes an event when the target has taken it, or when it is given
//! up; so each event is sent at least once, and again after a restart if the cursor was not saved yet.
use crate::events::Entry;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The shortest wait after a failure.
pub const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// The longest wait that a target may ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// How patient a target's owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest wait after a failure, unless the target asks for a longer one.
    pub back_off_max: Duration,
    /// After this time without success, what waits is given up.
    pub give_up_after: Duration,
}

/// Now, by the clocks that can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since some moment of this boot.
    pub uptime: Duration,
    /// Seconds since 1970, if the clock is synchronized.
    pub wall: Option<u64>,
}

/// What is durable about a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// All events up to this number were taken, not wanted, or given up.
    pub after: u64,
    /// Since when the target fails, in seconds since 1970, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<u64>,
    /// When the target wants to be asked again, in seconds since 1970, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<u64>,
}

/// What a target answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has the event.
    Taken,
    /// It doesn't, or that is unknown.
    Failed {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
}

/// What is done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<'a> {
    /// Send this event.
    Send(&'a Entry),
    /// Nothing until then.
    SleepUntil(Duration),
    /// Nothing until there is another event.
    Rest,
    /// Give up all events that wait: their number.
    GiveUp(usize),
}

/// One target, being served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What is durable of it.
    pub cursor: Cursor,
    /// Failures in a row, of this run.
    failures: u32,
    /// It fails since then, in time since the boot: the only clock that is always there.
    failing_from: Option<Duration>,
    not_before: Duration,
}

impl Delivery {
    /// Continue from a cursor.
    pub fn at(cursor: Cursor) -> Delivery {
        Delivery { cursor, failures: 0, failing_from: None, not_before: Duration::ZERO }
    }

    /// Continue from a cursor that another run left: what it asked for holds, and the back-off is as long as that of a target that
    /// has failed for so long.
    pub fn resumed(cursor: Cursor, now: Now) -> Delivery {
        let since = |from: Option<u64>| from.zip(now.wall).map(|(from, wall)| wall.saturating_sub(from));
        // Waits double, so there was about one for each power of two.
        let failures = since(cursor.failing_since).and_then(u64::checked_ilog2).unwrap_or(0);
        let left =
            cursor.retry_at.zip(now.wall).map(|(at, wall)| Duration::from_secs(at.saturating_sub(wall)));
        let not_before = now.uptime.saturating_add(left.unwrap_or_default().min(RETRY_AFTER_MAX));
        let failing_from = cursor.failing_since.map(|_| now.uptime);
        Delivery { failures, failing_from, not_before, ..Delivery::at(cursor) }
    }

    /// What is done next, if these events are wanted: all behind the cursor, by number.
    pub fn next<'a>(&self, waiting: &'a [Entry], now: Now, retry: RetryPolicy) -> Step<'a> {
        let Some(first) = waiting.iter().find(|entry| entry.seq > self.cursor.after) else {
            return Step::Rest;
        };
        if self.failing_for(now) >= retry.give_up_after {
            return Step::GiveUp(waiting.iter().filter(|entry| entry.seq > self.cursor.after).count());
        }
        if now.uptime < self.not_before {
            return Step::SleepUntil(self.not_before);
        }
        Step::Send(first)
    }

    // The longer of what both clocks say: one starts with the boot, the other may not go.
    fn failing_for(&self, now: Now) -> Duration {
        let by_wall = self.cursor.failing_since.zip(now.wall).map(|(since, wall)| wall.saturating_sub(since));
        let by_uptime = self.failing_from.map(|from| now.uptime.saturating_sub(from));
        by_wall.map(Duration::from_secs).max(by_uptime).unwrap_or_default()
    }

    /// The target answered for the event of that number. `draw` is what its wait is drawn from.
    pub fn answered(&mut self, seq: u64, answer: Answer, now: Now, retry: RetryPolicy, draw: &str) {
        match answer {
            Answer::Taken => {
                self.pass(seq);
                self.recovered();
            }
            Answer::Failed { retry_after } => {
                self.failures = self.failures.saturating_add(1);
                self.failing_from.get_or_insert(now.uptime);
                self.cursor.failing_since = self.cursor.failing_since.or(now.wall);
                let wait = back_off(self.failures, retry.back_off_max, draw);
                let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
                self.cursor.retry_at =
                    retry_after.and(now.wall).map(|wall| wall.saturating_add(asked.as_secs()));
                self.not_before = now.uptime.saturating_add(wait.max(asked));
            }
        }
    }

    /// Nothing up to that number is wanted any more.
    pub fn pass(&mut self, seq: u64) {
        self.cursor.after = self.cursor.after.max(seq);
    }

    /// What waited is given up: all events up to that number. What comes later is tried again.
    pub fn give_up(&mut self, seq: u64) {
        self.pass(seq);
        self.recovered();
    }

    fn recovered(&mut self) {
        *self = Delivery::at(Cursor { failing_since: None, retry_at: None, ..self.cursor });
    }

    /// Whether its last attempt failed.
    pub fn is_failing(&self) -> bool {
        self.failing_from.is_some()
    }
}

/// The wait after that many failures in a row: drawn from all up to twice the one before, so that a fleet whose server was gone
/// does not come back at once.
pub(super) fn back_off(failures: u32, most: Duration, draw: &str) -> Duration {
    let doubled = BACK_OFF_MIN.saturating_mul(2_u32.saturating_pow(failures.min(20)));
    let range = doubled.min(most).saturating_sub(BACK_OFF_MIN);
    let hash = Sha256::digest(format!("{draw} {failures}"));
    let drawn = hash.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    BACK_OFF_MIN + range.mul_f64(f64::from(drawn) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::test_entry;
    use proptest::prelude::*;

    const RETRY: RetryPolicy = RetryPolicy {
        back_off_max: Duration::from_secs(3600),
        give_up_after: Duration::from_secs(3 * 86_400),
    };

    /// What happens to a target.
    #[derive(Clone, Debug)]
    enum Act {
        Event,
        Answer(bool, Option<u64>),
        Pass(u64),
        /// The daemon is started again, perhaps with what it did not save.
        Restart {
            saved: bool,
        },
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            1 => Just(Act::Event),
            3 => (any::<bool>(), prop::option::of(0..100_000_u64)).prop_map(|(good, after)| Act::Answer(good, after)),
            2 => (0..100_000_u64).prop_map(Act::Pass),
            1 => any::<bool>().prop_map(|saved| Act::Restart { saved }),
        ]
    }

    #[test]
    fn back_off_and_what_a_target_asked_for_outlive_a_restart() {
        let now = |wall| Now { uptime: Duration::from_secs(10), wall };
        let cursor = Cursor { after: 3, failing_since: Some(1_000), retry_at: Some(5_600) };
        let events = [test_entry(4, "x")];
        let next = |delivery: &Delivery, now| delivery.next(&events, now, RETRY) == Step::Send(&events[0]);
        let delivery = Delivery::resumed(cursor.clone(), now(Some(5_000)));
        assert!(delivery.is_failing() && !next(&delivery, now(Some(5_000))));
        assert_eq!(
            delivery.next(&events, now(Some(5_000)), RETRY),
            Step::SleepUntil(Duration::from_secs(610))
        );
        // It failed for more than an hour: the next wait is drawn from as much, not from two seconds.
        let mut waits = (0..50).map(|n| {
            let mut delivery =
                Delivery::resumed(Cursor { retry_at: None, ..cursor.clone() }, now(Some(5_000)));
            assert!(next(&delivery, now(Some(5_000))));
            let failed = Answer::Failed { retry_after: None };
            delivery.answered(4, failed, now(Some(5_000)), RETRY, &n.to_string());
            delivery.not_before
        });
        assert!(waits.any(|until| until > Duration::from_secs(1_000)));
        // Without a clock nothing of that is known.
        assert!(next(&Delivery::resumed(cursor, now(None)), now(None)));
        let well = Delivery::resumed(Cursor { after: 3, ..Cursor::default() }, now(Some(5_000)));
        assert!(!well.is_failing() && next(&well, now(Some(5_000))));
    }

    proptest! {
        #[test]
        fn each_event_is_sent_in_order_and_never_faster_than_the_back_off(acts in prop::collection::vec(act(), 1..200)) {
            let (mut events, mut taken, mut given_up): (Vec<Entry>, Vec<u64>, u64) = (vec![], vec![], 0);
            let mut delivery = Delivery::at(Cursor::default());
            let mut saved = delivery.cursor.clone();
            let mut now = Now { uptime: Duration::from_secs(10), wall: Some(1_796_000_000) };
            // No attempt before this, as long as the daemon runs.
            let mut earliest = Duration::ZERO;
            for act in acts {
                match act {
                    Act::Event => events.push(test_entry(events.len() as u64 + 1, "x")),
                    Act::Pass(seconds) => {
                        now.uptime += Duration::from_secs(seconds);
                        now.wall = now.wall.map(|wall| wall + seconds);
                    }
                    Act::Restart { saved: all } => {
                        if all {
                            saved = delivery.cursor.clone();
                        }
                        delivery = Delivery::at(saved.clone());
                        earliest = Duration::ZERO;
                    }
                    Act::Answer(good, retry_after) => match delivery.next(&events, now, RETRY) {
                        Step::Send(entry) => {
                            prop_assert!(now.uptime >= earliest, "too early");
                            prop_assert_eq!(entry.seq, delivery.cursor.after + 1, "one was left out");
                            if good {
                                taken.push(entry.seq);
                                delivery.answered(entry.seq, Answer::Taken, now, RETRY, "t");
                            } else {
                                let retry_after = retry_after.map(Duration::from_secs);
                                delivery.answered(entry.seq, Answer::Failed { retry_after }, now, RETRY, "t");
                                let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
                                earliest = now.uptime + BACK_OFF_MIN.max(asked);
                            }
                        }
                        Step::GiveUp(count) => {
                            prop_assert!(delivery.failing_for(now) >= RETRY.give_up_after);
                            prop_assert!(count > 0);
                            given_up = events.len() as u64;
                            delivery.give_up(given_up);
                            earliest = Duration::ZERO;
                        }
                        Step::SleepUntil(until) => prop_assert!(until > now.uptime && until >= earliest),
                        Step::Rest => prop_assert_eq!(delivery.cursor.after, events.len() as u64),
                    },
                }
                // The cursor never passes an event that the receiver did not take.
                for seq in given_up + 1..=delivery.cursor.after {
                    prop_assert!(taken.contains(&seq), "event {} was lost", seq);
                }
            }
        }

        #[test]
        fn waits_grow_to_the_longest_and_are_never_shorter_than_a_second(failures in 1..1000_u32, draw: String) {
            let wait = back_off(failures, RETRY.back_off_max, &draw);
            prop_assert!(wait >= BACK_OFF_MIN && wait <= RETRY.back_off_max);
            prop_assert!(wait <= BACK_OFF_MIN * 2_u32.saturating_pow(failures.min(12)));
        }
    }

    #[test]
    fn devices_of_a_fleet_do_not_come_back_at_once() {
        let waits = |draw: &str| back_off(12, RETRY.back_off_max, draw).as_secs();
        let all: std::collections::BTreeSet<u64> = (0..100).map(|n| waits(&format!("hub-{n}"))).collect();
        assert!(all.len() > 90 && all.iter().min() < Some(&600) && all.iter().max() > Some(&3000), "{all:?}");
    }

    #[test]
    fn what_fails_for_three_days_is_given_up_by_either_clock_and_across_a_restart() {
        let events = [test_entry(1, "x"), test_entry(2, "x")];
        let failed = Answer::Failed { retry_after: None };
        let day = |days: u64, wall| Now {
            uptime: Duration::from_secs(days * 86_400),
            wall: Some(1_796_000_000 + days * 86_400).filter(|_| wall),
        };
        for wall in [true, false] {
            let mut delivery = Delivery::at(Cursor::default());
            delivery.answered(1, failed, day(0, wall), RETRY, "t");
            assert_eq!(delivery.next(&events, day(2, wall), RETRY), Step::Send(&events[0]));
            assert_eq!(delivery.next(&events, day(3, wall), RETRY), Step::GiveUp(2));
            // The clock continues across a boot; without one, the time starts again.
            let again = Delivery::at(delivery.cursor.clone());
            let late = Now { uptime: Duration::from_secs(60), ..day(3, wall) };
            let step = again.next(&events, late, RETRY);
            assert_eq!(step, if wall { Step::GiveUp(2) } else { Step::Send(&events[0]) });
        }
    }
}
