//! The time, as far as it is known, when a repository is looked at.
//!
//! A clock that another clock sets can be believed. Without one, time has lower bounds that cost nothing: the newest file of a
//! channel that was seen, the moment at which the running release was built, what the service that sets the clock saved when
//! it last did, and the bound of an earlier check of this boot with the time that has passed since. A channel that expired
//! before them has expired.
use crate::{
    Device,
    ports::{KnownTime, WallClock},
};
use bistable_boot::Floors;
use bistable_format::freshness::{AHEAD_WITHOUT_CLOCK, Clock, Floor};

/// What the clock says.
pub(super) fn clock(device: &mut Device) -> Clock {
    let host = &mut device.board.host;
    match (host.wall_clock(), host.unix_time()) {
        (Ok(WallClock::Synchronized), Ok(at)) => Clock::Synchronized(at),
        _ => Clock::Free,
    }
}

/// What was seen of a channel before, and what bounds the time from below. The numbers of another channel say nothing about
/// this one, the time does.
pub(super) fn floor(device: &mut Device, floors: Floors, channel: &str, clock: Clock) -> Floor {
    let sequence = if device.record.channel == channel { floors.channel_sequence } else { 0 };
    let issued_at = match clock {
        Clock::Synchronized(_) => floors.issued_at,
        Clock::Free => at_least(device, floors.issued_at),
    };
    Floor { sequence, issued_at }
}

/// What the time is at least, kept for later checks.
fn at_least(device: &mut Device, seen: u64) -> u64 {
    let bound = seen.max(built_or_saved(device));
    let uptime = device.board.clock.now();
    let host = &mut device.board.host;
    match host.known_time().and_then(|known| known.at(uptime)) {
        // With each newer start, what is left of a second would be lost.
        Some(known) if known >= bound => known,
        _ => {
            host.keep_time(KnownTime { unix: bound, uptime });
            bound
        }
    }
}

/// When the running release was built, or the clock was last saved, in seconds since 1970; 0 if neither is known.
fn built_or_saved(device: &mut Device) -> u64 {
    let slot = device.board.boot.booted();
    let built = device.release_of(slot).map_or(0, |release| release.build_time);
    let saved = device.board.host.saved_time().unwrap_or(0);
    // A clock that ran away and was saved must not keep the device from updates for good.
    if saved <= built.saturating_add(AHEAD_WITHOUT_CLOCK) { built.max(saved) } else { built }
}
