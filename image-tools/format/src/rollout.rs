//! A rollout: which devices get a release, and when.
//!
//! Everything is in the signed channel; each device finds out by itself whether it is meant. Its place in the queue is
//! a hash of its own seed and of the release: even over a fleet, another one for each release, and unknown to others.
//!
//! ```text
//! share of the fleet
//! 100 % │                              ┌──────────      wave 3: all
//!       │                             ╱
//!  10 % │               ┌────────────╱                  wave 2: a tenth, within `over`
//!   1 % │     ┌────────╱                                wave 1
//!       └─────┴─────────┴─────────────┴────────── time
//! ```
//! A device that was let in stays in, whatever wave is added: the share at a time is the largest that any wave gives.
use crate::{
    DecodeError, Digest, Hasher, limits,
    name::check_name,
    open::{self, Entry, OpenList},
};
use alloc::{format, string::String, vec::Vec};
use serde::{Deserialize, Serialize, Serializer};

/// Parts that a whole fleet has: a share of 10,000 is everybody.
pub const WHOLE: u16 = 10_000;
/// What the whole fleet is, in places of the queue.
const PLACES: u64 = 1 << 32;

/// A share of the fleet from a time on. Waves are an open set of kinds: one that isn't known lets no device in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wave {
    /// When it begins, in seconds since 1970.
    pub at: u64,
    /// Seconds over which its share grows from nothing, evenly; 0 for at once.
    pub over: u32,
    /// Of [`WHOLE`].
    pub share: u16,
}

/// The one kind of wave that this version knows.
const SHARE: u16 = 1;

impl Serialize for Wave {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (SHARE, self.at, self.over, self.share).serialize(to)
    }
}

impl Entry for Wave {
    const LIMIT: usize = limits::WAVES;

    fn read(bytes: &[u8]) -> Result<Wave, DecodeError> {
        const WHAT: &str = "channel: wave";
        let (kind, fields) =
            postcard::take_from_bytes::<u16>(bytes).map_err(|_| DecodeError::Malformed(WHAT))?;
        if kind != SHARE {
            return Err(DecodeError::Kind { what: WHAT, kind });
        }
        let (at, over, share) = open::unframe(WHAT, fields)?;
        Ok(Wave { at, over, share })
    }
}

/// Whether time continues for a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutState {
    /// As the waves say.
    #[default]
    Running,
    /// No other device is let in since this time, in seconds since 1970. Devices that were in by then stay in, and canaries were in from
    /// the beginning: only [`Halted`](RolloutState::Halted) keeps it from them.
    Paused(u64),
    /// No device is let in, not even those that were.
    Halted,
}

impl RolloutState {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            RolloutState::Running => "running",
            RolloutState::Paused(_) => "paused",
            RolloutState::Halted => "halted",
        }
    }
}

/// Which devices get a release, and when. By default everybody at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Whether time continues.
    pub pace: RolloutState,
    /// Groups of devices, by their label, that get it before all waves; without waves, they alone.
    #[serde(deserialize_with = "crate::limited::<_, _, { limits::CANARIES }>")]
    pub canaries: Vec<String>,
    /// None for everybody at once, if no groups are named either.
    pub waves: OpenList<Wave>,
}

/// What a device knows of itself, as far as rollouts care.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// What no other device has: its serial number, for example.
    pub seed: &'a [u8],
    /// The label that its owner gave it.
    pub group: Option<&'a str>,
}

/// Whether a device gets a release now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admission {
    /// The release is for everybody.
    Everyone,
    /// Its group goes first.
    Canary,
    /// This wave, counted from 1, let it in.
    Wave(usize),
    /// This wave, counted from 1, will let it in at this time, in seconds since 1970.
    Later {
        /// The wave.
        wave: usize,
        /// The time.
        at: u64,
    },
    /// No wave so far comes to its place.
    NoWave,
    /// The rollout is paused before its turn.
    Paused,
    /// The rollout is halted.
    Halted,
}

impl Admission {
    /// Whether it gets it now.
    pub const fn is_in(self) -> bool {
        matches!(self, Admission::Everyone | Admission::Canary | Admission::Wave(_))
    }
}

impl Wave {
    /// Places that are let in at a time.
    fn places(&self, now: u64) -> u64 {
        let whole = self.all_places();
        let Some(since) = now.checked_sub(self.at) else { return 0 };
        let over = u64::from(self.over);
        // Wider, because a share of all places times the seconds of many years is.
        let grown = u128::from(whole) * u128::from(since.min(over)) / u128::from(over.max(1));
        if since >= over { whole } else { u64::try_from(grown).unwrap_or(whole) }
    }

    /// Places that are let in in the end.
    fn all_places(&self) -> u64 {
        u64::from(self.share.min(WHOLE)) * PLACES / u64::from(WHOLE)
    }

    /// When it lets a place in.
    fn reaches(&self, place: u32) -> Option<u64> {
        let (place, whole) = (u64::from(place), self.all_places());
        if place >= whole {
            return None;
        }
        // The first second at which more places than this one are let in.
        let seconds = (u128::from(place + 1) * u128::from(self.over)).div_ceil(u128::from(whole));
        self.at.checked_add(u64::try_from(seconds).ok()?)
    }
}

impl Rollout {
    /// Whether it is for everybody at once: neither waves nor groups. A halt stops it all the same.
    pub fn is_for_all(&self) -> bool {
        self.waves.total() == 0 && self.canaries.is_empty()
    }

    /// Whether a device gets the release of this name at a time, in seconds since 1970.
    pub fn admits(&self, member: &Member<'_>, release: &Digest, now: u64) -> Admission {
        let now = match self.pace {
            RolloutState::Halted => return Admission::Halted,
            RolloutState::Paused(at) => now.min(at),
            RolloutState::Running => now,
        };
        if self.is_for_all() {
            return Admission::Everyone;
        }
        if member.group.is_some_and(|group| self.canaries.iter().any(|c| c == group)) {
            return Admission::Canary;
        }
        let place = place(member.seed, release);
        let turns = self.waves.iter().enumerate().filter_map(|(i, w)| Some((w.reaches(place)?, i + 1)));
        match turns.min() {
            Some((at, wave)) if at <= now => Admission::Wave(wave),
            _ if matches!(self.pace, RolloutState::Paused(_)) => Admission::Paused,
            Some((at, wave)) => Admission::Later { wave, at },
            None => Admission::NoWave,
        }
    }

    /// The share of the fleet that is let in at a time, of [`WHOLE`]; canaries aren't counted.
    pub fn share(&self, now: u64) -> u16 {
        let now = match self.pace {
            RolloutState::Halted => return 0,
            RolloutState::Paused(at) => now.min(at),
            RolloutState::Running => now,
        };
        if self.is_for_all() {
            return WHOLE;
        }
        let places = self.waves.iter().map(|w| w.places(now)).max().unwrap_or(0);
        // A wave of 100 parts is rounded down to whole places and is still one of 100 parts; but all is only all.
        let parts = (places * u64::from(WHOLE)).div_ceil(PLACES);
        let most = if places < PLACES { WHOLE - 1 } else { WHOLE };
        u16::try_from(parts).unwrap_or(WHOLE).min(most)
    }

    /// The share of the fleet that is let in in the end, of [`WHOLE`].
    pub fn last_share(&self) -> u16 {
        let most = self.waves.iter().map(|wave| wave.share).max();
        most.unwrap_or(if self.is_for_all() { WHOLE } else { 0 })
    }

    /// Whether everybody gets it by now.
    pub fn is_done(&self, now: u64) -> bool {
        self.share(now) == WHOLE
    }

    /// Let time continue after a pause: all waves move by as much as the pause took, so that at this moment exactly those
    /// are in that were in when it began.
    pub fn resume(&mut self, now: u64) {
        if let RolloutState::Paused(since) = self.pace {
            let pause = now.saturating_sub(since);
            for wave in &mut self.waves {
                wave.at = wave.at.saturating_add(pause);
            }
        }
        self.pace = RolloutState::Running;
    }

    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        let invalid = |problem: String| Err(DecodeError::Invalid { what: "channel: rollout", problem });
        if self.waves.total() > limits::WAVES || self.canaries.len() > limits::CANARIES {
            return invalid(format!("more than {} waves or {} groups", limits::WAVES, limits::CANARIES));
        }
        for group in &self.canaries {
            check_name("channel: canary group", group)?;
        }
        match self.waves.iter().find(|w| w.share == 0 || w.share > WHOLE) {
            Some(wave) => {
                invalid(format!("a wave's share is 1 to {WHOLE} parts of {WHOLE}, not {}", wave.share))
            }
            None => Ok(()),
        }
    }
}

/// A device's place in the queue for a release: even over all devices, and another one for each release.
fn place(seed: &[u8], release: &Digest) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(b"bistable wave\0");
    hasher.update(&release.0);
    hasher.update(seed);
    let [a, b, c, d, ..] = hasher.finish().0;
    u32::from_be_bytes([a, b, c, d])
}
