//! A rollout in words: what it is at, and what is still to come.
use crate::repository::audit::timestamp;
use crate::repository::edit::people;
use crate::repository::words::percent;
use bistable_format::rollout::{Rollout, RolloutState, WHOLE};

/// What a rollout is at, in a few words.
pub(crate) fn stage(rollout: &Rollout, now: u64) -> String {
    let share = percent(rollout.share(now));
    let share = match (rollout.canaries.as_slice(), rollout.waves.total()) {
        ([], _) => share,
        (names, 0) => format!("only {}", groups(names)),
        (names, _) => format!("{share} and {}", groups(names)),
    };
    match rollout.pace {
        RolloutState::Halted => "halted".into(),
        RolloutState::Paused(_) => format!("paused at {share}"),
        RolloutState::Running if rollout.is_done(now) => "all devices".into(),
        RolloutState::Running => share,
    }
}

/// Groups of devices, by their names.
pub(crate) fn groups(names: &[String]) -> String {
    match names {
        [one] => format!("group {one}"),
        more => format!("groups {}", more.join(", ")),
    }
}

/// The waves that are still to come, one a line, and the canary groups, which wait for none of them.
pub(crate) fn to_come(rollout: &Rollout, now: u64) -> Vec<String> {
    let stopped = match rollout.pace {
        RolloutState::Halted => return Vec::new(),
        RolloutState::Paused(since) => Some(since.min(now)),
        RolloutState::Running => None,
    };
    let now = stopped.unwrap_or(now);
    let count = rollout.waves.len();
    let mut lines = Vec::new();
    for (number, wave) in (1..).zip(&rollout.waves) {
        let over = u64::from(wave.over);
        let end = wave.at.saturating_add(over);
        if end <= now {
            continue;
        }
        let begins = match (wave.at.saturating_sub(now), stopped) {
            (0, Some(_)) => "on once it is resumed".into(),
            (wait, Some(_)) => format!("{} after it is resumed", people(wait)),
            (0, None) => format!("since {}", timestamp(wave.at)),
            (_, None) => format!("from {} on", timestamp(wave.at)),
        };
        let within = match over {
            0 => String::new(),
            _ => format!(", within {}", people(end - now.max(wave.at))),
        };
        lines.push(format!("wave {number} of {count}: {} {begins}{within}", percent(wave.share)));
    }
    lines.extend(rest(rollout));
    lines
}

/// A line on devices that no wave reaches, if there are any.
pub(crate) fn rest(rollout: &Rollout) -> Option<String> {
    let last = rollout.last_share();
    let waits = "the rest of the fleet waits for";
    match last {
        WHOLE => None,
        0 => Some(format!("{waits} `rollout … wave` or `everyone`")),
        last => {
            Some(format!("the last wave is {}: {waits} another `rollout … wave` or `set`", percent(last)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable_format::rollout::Wave;

    const NOW: u64 = 1_800_000_000;
    const HOUR: u64 = 3600;

    fn rollout(pace: RolloutState) -> Rollout {
        let wave = |hours: u64, over, share| Wave { at: NOW + hours * HOUR, over, share };
        let waves = vec![wave(0, 0, 100), wave(6, 7200, 1000), wave(48, 0, 5000)];
        Rollout { pace, canaries: vec!["lab".into(), "desk".into()], waves: waves.into() }
    }

    #[test]
    fn a_running_rollout_tells_times() {
        let running = rollout(RolloutState::Running);
        assert_eq!(stage(&running, NOW), "1 % and groups lab, desk");
        assert_eq!(
            to_come(&running, NOW + 7 * HOUR),
            [
                "wave 2 of 3: 10 % since 2027-01-15T14:00:00Z, within 60 min",
                "wave 3 of 3: 50 % from 2027-01-17T08:00:00Z on",
                "the last wave is 50 %: the rest of the fleet waits for another `rollout … wave` or `set`",
            ]
        );
    }

    #[test]
    fn a_paused_rollout_tells_what_comes_after_the_pause() {
        let paused = rollout(RolloutState::Paused(NOW + 7 * HOUR));
        assert_eq!(stage(&paused, NOW + 99 * HOUR), "paused at 5 % and groups lab, desk");
        assert_eq!(
            to_come(&paused, NOW + 99 * HOUR)[..2],
            [
                "wave 2 of 3: 10 % on once it is resumed, within 60 min",
                "wave 3 of 3: 50 % 41 h after it is resumed",
            ]
        );
    }

    #[test]
    fn groups_alone_are_named() {
        let rollout = |names: &[&str]| Rollout {
            canaries: names.iter().map(ToString::to_string).collect(),
            ..Rollout::default()
        };
        assert_eq!(stage(&rollout(&["lab"]), NOW), "only group lab");
        let two = rollout(&["lab", "desk"]);
        assert_eq!(stage(&two, NOW), "only groups lab, desk");
        assert_eq!(to_come(&two, NOW), ["the rest of the fleet waits for `rollout … wave` or `everyone`"]);
        assert_eq!(stage(&Rollout { pace: RolloutState::Halted, ..two }, NOW), "halted");
    }

    #[test]
    fn nothing_comes_after_a_halt_or_the_end() {
        let halted = rollout(RolloutState::Halted);
        assert_eq!((stage(&halted, NOW).as_str(), to_come(&halted, NOW).len()), ("halted", 0));
        let all = Rollout::default();
        assert_eq!((stage(&all, NOW).as_str(), to_come(&all, NOW).len()), ("all devices", 0));
    }
}
