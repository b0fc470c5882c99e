//! How long a server asks to be left alone.
use std::time::Duration;

/// What GitHub's documentation asks for when the answer doesn't say how long.
const UNSAID: Duration = Duration::from_secs(60);

/// The headers that say it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked<'a> {
    /// `Retry-After`, in seconds. A date there isn't sent by servers with a limit of rates.
    pub(super) retry_after: Option<&'a str>,
    /// `X-RateLimit-Remaining`.
    pub(super) remaining: Option<&'a str>,
    /// `X-RateLimit-Reset`, in seconds since 1970.
    pub(super) reset: Option<&'a str>,
}

/// How long to wait; `None` if the status is about something else. `now` is in seconds since 1970.
pub(super) fn pause(status: u16, asked: Asked<'_>, now: u64) -> Option<Duration> {
    let number = |text: Option<&str>| text?.trim().parse::<u64>().ok();
    let until_reset =
        || Duration::from_secs(number(asked.reset)?.saturating_sub(now).saturating_add(1)).into();
    let after = number(asked.retry_after).map(Duration::from_secs);
    match status {
        // GitHub refuses with 403 for many reasons: it is a limit only if the answer says so.
        403 => after.or_else(|| if number(asked.remaining) == Some(0) { until_reset() } else { None }),
        429 => after.or_else(until_reset).or(Some(UNSAID)),
        503 => after,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_what_the_server_says() {
        let ask = |status, retry_after, remaining, reset| {
            pause(status, Asked { retry_after, remaining, reset }, 1_000).map(|d| d.as_secs())
        };
        for (found, wanted) in [
            (ask(403, None, Some("0"), Some("1090")), Some(91)),
            (ask(403, None, Some("0"), Some("900")), Some(1)),
            (ask(403, None, Some("12"), Some("1090")), None),
            (ask(403, None, None, None), None),
            (ask(403, None, Some("0"), Some("soon")), None),
            (ask(403, Some("30"), Some("12"), Some("1090")), Some(30)),
            (ask(429, Some("30"), None, None), Some(30)),
            (ask(429, None, None, Some("1005")), Some(6)),
            (ask(429, None, None, None), Some(60)),
            (ask(503, Some("5"), None, None), Some(5)),
            (ask(503, None, None, None), None),
            (ask(404, Some("5"), Some("0"), Some("1090")), None),
            (ask(429, Some("99999999999999999999"), None, None), Some(60)),
        ] {
            assert_eq!(found, wanted);
        }
    }
}
