//! Freshness: whether a channel that is well signed may also be believed now.
//!
//! An attacker who can replay old files, or hold new ones back, can't undo what was seen: the floors only rise. An attacker who holds everything
//! back is found out by the expiry, as far as a device without a clock can: its time is at least that of the newest
//! thing that it has seen.
use crate::Channel;
use alloc::{format, string::String};

/// How far a number may be ahead of the last one seen. A thief of the channel key who signs the largest number there is
/// would otherwise lock everybody out forever.
pub const FURTHEST: u64 = 10_000;
/// How far in the future a channel may be issued, in seconds: clocks differ.
pub const AHEAD: u64 = 86_400;
/// The same without a clock that can be believed: how far after the time that is known at least. Else a thief of the channel
/// key could move a device's time to the end of all days.
pub const AHEAD_WITHOUT_CLOCK: u64 = 20 * 365 * 86_400;

/// What was seen already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// Number of the newest file of this channel; 0 for none.
    pub sequence: u64,
    /// The time is at least this, in seconds since 1970: when the newest file of any channel was issued, or what else bounds
    /// it from below.
    pub issued_at: u64,
}

/// What the wall clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// This time, in seconds since 1970, by another clock: it can be believed.
    Synchronized(u64),
    /// Nothing that could be believed.
    Free,
}

/// Why a channel isn't believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// Signed for another channel.
    #[error("this is channel {found}, and {wanted} was asked for")]
    OtherChannel {
        /// What it is.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// The file's name has another number than the file.
    #[error("the file of number {file} says that its number is {content}")]
    OtherNumber {
        /// In the file's name.
        file: u64,
        /// In the file.
        content: u64,
    },
    /// Older than what was seen.
    #[error(
        "number {found} of channel {name} is older than number {floor}, which was seen before: the source is behind, or replays old offers"
    )]
    Older {
        /// The channel.
        name: String,
        /// Its number.
        found: u64,
        /// The newest number seen.
        floor: u64,
    },
    /// Too far ahead.
    #[error(
        "number {found} of channel {name} is more than {FURTHEST} after number {floor}: no repository issues that many"
    )]
    TooFar {
        /// The channel.
        name: String,
        /// Its number.
        found: u64,
        /// The newest number seen.
        floor: u64,
    },
    /// Expired.
    #[error("number {found} of channel {name} expired {} ago: its publisher has to renew it with `bistable-image channel refresh`", span(.now - .expires_at))]
    Expired {
        /// The channel.
        name: String,
        /// Its number.
        found: u64,
        /// When it expired, in seconds since 1970.
        expires_at: u64,
        /// The time, as far as it is known.
        now: u64,
    },
    /// Issued later than now.
    #[error("number {found} of channel {name} was issued {} in the future: one of the two clocks is wrong", span(.issued_at - .now))]
    Future {
        /// The channel.
        name: String,
        /// Its number.
        found: u64,
        /// When it was issued, in seconds since 1970.
        issued_at: u64,
        /// The time.
        now: u64,
    },
}

/// Seconds, as people say how long that is.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..259_200 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The time, as far as it is known: the clock's, if it can be believed and isn't behind what was seen; else what was seen.
pub fn now(clock: Clock, issued_at: u64) -> u64 {
    match clock {
        Clock::Synchronized(at) => at.max(issued_at),
        Clock::Free => issued_at,
    }
}

/// Whether this channel, found in the file of a number and verified, may be believed. Gives the time that it is then.
///
/// # Errors
/// See [`Stale`].
pub fn check(channel: &Channel, wanted: &str, file: u64, floor: Floor, clock: Clock) -> Result<u64, Stale> {
    let (name, found) = (channel.name.clone(), channel.sequence);
    if name != wanted {
        return Err(Stale::OtherChannel { found: name, wanted: wanted.into() });
    }
    if found != file {
        return Err(Stale::OtherNumber { file, content: found });
    }
    if found < floor.sequence {
        return Err(Stale::Older { name, found, floor: floor.sequence });
    }
    if found - floor.sequence > FURTHEST {
        return Err(Stale::TooFar { name, found, floor: floor.sequence });
    }
    let (at, ahead) = match clock {
        Clock::Synchronized(at) => (at.max(floor.issued_at), AHEAD),
        Clock::Free => (floor.issued_at, AHEAD_WITHOUT_CLOCK),
    };
    // Without a clock and without a bound, nothing is known of the time.
    let knows = matches!(clock, Clock::Synchronized(_)) || floor.issued_at > 0;
    if knows && channel.issued_at > at.saturating_add(ahead) {
        return Err(Stale::Future { name, found, issued_at: channel.issued_at, now: at });
    }
    let now = now(clock, floor.issued_at.max(channel.issued_at));
    let expires_at = channel.expires_at();
    if expires_at <= now {
        return Err(Stale::Expired { name, found, expires_at, now });
    }
    Ok(now)
}
