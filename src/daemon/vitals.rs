//! What follows from the health of the running release after its commit: an event when it changes, and perhaps a way back.
use std::time::Duration;

/// How the running release is, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Whether it was healthy last, as the log says.
    healthy: Option<bool>,
    unhealthy_since: Option<Duration>,
}

/// What follows from a round of checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Follows {
    /// That it is otherwise than before has to be reported.
    pub changed: bool,
    /// It was unhealthy for longer than `health.revert_after`: the device has to revert.
    pub revert: bool,
}

impl Vitals {
    /// What the log says of it.
    pub fn known(healthy: Option<bool>) -> Vitals {
        Vitals { healthy, unhealthy_since: None }
    }

    /// A round was made. A release that was never reported unhealthy is taken for healthy: it was committed.
    pub fn take(&mut self, now: Duration, healthy: bool, revert_after: Option<Duration>) -> Follows {
        let changed = self.healthy.unwrap_or(true) != healthy;
        self.healthy = Some(healthy);
        if healthy {
            self.unhealthy_since = None;
            return Follows { changed, revert: false };
        }
        let since = *self.unhealthy_since.get_or_insert(now);
        let revert = revert_after.is_some_and(|after| now.saturating_sub(since) >= after);
        Follows { changed, revert }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_changes_are_reported_also_across_a_restart() {
        let mut vitals = Vitals::default();
        let rounds =
            [(true, false), (true, false), (false, true), (false, false), (true, true), (true, false)];
        for (healthy, changed) in rounds {
            assert_eq!(vitals.take(s(1), healthy, None).changed, changed);
        }
        for (known, healthy, changed) in [
            (Some(false), false, false),
            (Some(false), true, true),
            (Some(true), false, true),
            (None, false, true),
        ] {
            assert_eq!(Vitals::known(known).take(s(1), healthy, None).changed, changed);
        }
    }

    proptest! {
        #[test]
        fn goes_back_only_after_so_long_without_one_good_round(
            rounds in prop::collection::vec((1..100_u64, any::<bool>()), 1..60), after in 1..500_u64,
        ) {
            let (mut vitals, mut now, mut bad_from) = (Vitals::default(), 0, None);
            for (pause, healthy) in rounds {
                now += pause;
                bad_from = if healthy { None } else { bad_from.or(Some(now)) };
                let follows = vitals.take(s(now), healthy, Some(s(after)));
                prop_assert_eq!(follows.revert, bad_from.is_some_and(|from| now - from >= after));
                prop_assert!(!Vitals::default().take(s(now), healthy, None).revert);
            }
        }
    }
}
