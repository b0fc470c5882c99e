//! Until when devices believe a channel or a root, and when to warn of its end. Pure.
//!
//! From then on devices take no updates and end with exit code 75, until the channel is signed again or the next root is there.
use super::audit::timestamp;
use super::edit::people;
use bistable_format::{Channel, Root};

/// A warning comes when a quarter of a channel's lifetime is left, but not earlier than this, in seconds: two weeks.
const CHANNEL_AHEAD: u64 = 14 * 86_400;
/// How long before a root's expiry a warning comes, in seconds: a month, since people with keys have to meet.
const ROOT_AHEAD: u64 = 30 * 86_400;

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Too far for a warning.
    Far,
    /// In this many seconds.
    Soon(u64),
    /// This many seconds ago.
    Past(u64),
}

impl Expiry {
    fn at(expires_at: u64, ahead: u64, now: u64) -> Expiry {
        match expires_at.checked_sub(now) {
            None | Some(0) => Expiry::Past(now.saturating_sub(expires_at)),
            Some(left) if left <= ahead => Expiry::Soon(left),
            Some(_) => Expiry::Far,
        }
    }

    /// Of a channel's file, at a time in seconds since 1970.
    pub fn of_channel(channel: &Channel, now: u64) -> Expiry {
        Expiry::of_lifetime(channel.lifetime, channel.expires_at(), now)
    }

    fn of_lifetime(lifetime: u64, expires_at: u64, now: u64) -> Expiry {
        Expiry::at(expires_at, CHANNEL_AHEAD.min(lifetime / 4), now)
    }

    /// Of a root, at a time in seconds since 1970.
    pub fn of_root(root: &Root, now: u64) -> Expiry {
        root.expires_at.map_or(Expiry::Far, |at| Expiry::at(at, ROOT_AHEAD, now))
    }

    /// What happened or is about to, and since or until when; nothing if it is far.
    fn text(self, what: &str, at: u64) -> Option<String> {
        let at = timestamp(at);
        match self {
            Expiry::Far => None,
            Expiry::Soon(left) => Some(format!("{what} expires in {} ({at})", people(left))),
            Expiry::Past(ago) => Some(format!(
                "{what} expired {} ago ({at}), and devices take no updates (exit code 75)",
                people(ago)
            )),
        }
    }
}

/// What to do about a channel that expires soon or has expired; nothing if that is far.
pub fn channel_warning(channel: &Channel, now: u64) -> Option<String> {
    let name = &channel.name;
    let text = Expiry::of_channel(channel, now).text(&format!("channel {name}"), channel.expires_at())?;
    Some(format!("{text}: `bistable-image channel refresh {name}` renews it"))
}

/// What to do about a root that expires soon or has expired; nothing if that is far.
pub fn root_warning(root: &Root, now: u64) -> Option<String> {
    let expires_at = root.expires_at.unwrap_or(u64::MAX);
    let text = Expiry::of_root(root, now).text(&format!("root {}", root.version), expires_at)?;
    Some(format!(
        "{text}: `bistable-image root rotate` makes the next one, and `bistable-image repo root` gives it to the repository"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn warning_comes_when_a_quarter_is_left_and_not_earlier_than_two_weeks() {
        for (lifetime, quiet, warns) in
            [(7 * DAY, 5 * DAY, 5 * DAY + DAY / 4), (365 * DAY, 350 * DAY, 351 * DAY), (3600, 2699, 2700)]
        {
            let issued_at = 1_800_000_000;
            let after = |seconds| Expiry::of_lifetime(lifetime, issued_at + lifetime, issued_at + seconds);
            assert_eq!(after(quiet), Expiry::Far, "{lifetime}");
            assert_eq!(after(warns), Expiry::Soon(lifetime - warns), "{lifetime}");
            assert_eq!(after(lifetime - 1), Expiry::Soon(1), "{lifetime}");
            // From the very second on that devices stop believing it.
            assert_eq!(after(lifetime), Expiry::Past(0), "{lifetime}");
            assert_eq!(after(lifetime + DAY), Expiry::Past(DAY), "{lifetime}");
        }
    }
}
