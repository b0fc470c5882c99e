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

/// Something expires soon or has expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Whether it has.
    pub is_past: bool,
    /// What and when, and what to do about it.
    pub text: String,
}

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
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

    fn of_lifetime(lifetime: u64, expires_at: u64, now: u64) -> Expiry {
        Expiry::at(expires_at, CHANNEL_AHEAD.min(lifetime / 4), now)
    }

    /// What happened or is about to, since or until when, and what to do about it; nothing if it is far.
    fn warning(self, what: &str, at: u64, remedy: &str) -> Option<Warning> {
        let at = timestamp(at);
        let told = match self {
            Expiry::Far => return None,
            Expiry::Soon(left) => format!("expires in {} ({at})", people(left)),
            Expiry::Past(ago) => {
                format!("expired {} ago ({at}), and devices take no updates (exit code 75)", people(ago))
            }
        };
        Some(Warning { is_past: matches!(self, Expiry::Past(_)), text: format!("{what} {told}: {remedy}") })
    }
}

/// Of a channel that expires soon or has expired, at a time in seconds since 1970; nothing if that is far.
pub fn channel_warning(channel: &Channel, now: u64) -> Option<Warning> {
    let (name, at) = (&channel.name, channel.expires_at());
    let remedy = format!("`bistable-image channel refresh {name}` renews it");
    Expiry::of_lifetime(channel.lifetime, at, now).warning(&format!("channel {name}"), at, &remedy)
}

/// Of a root that expires soon or has expired, at a time in seconds since 1970; nothing if that is far.
pub fn root_warning(root: &Root, now: u64) -> Option<Warning> {
    let at = root.expires_at?;
    let remedy = "`bistable-image root rotate` makes the next one, and `bistable-image repo root` gives it to the repository";
    Expiry::at(at, ROOT_AHEAD, now).warning(&format!("root {}", root.version), at, remedy)
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
