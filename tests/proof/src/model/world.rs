//! What the device is offered, and what becomes of each release when it runs.
use bistable_boot::{Image, ReleaseId, Slot, Target};
use semver::Version;
use std::fmt;

/// How a release behaves, whatever the device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nature {
    /// Nothing is wrong with it.
    Good,
    /// It boots, and its health check fails.
    Sick,
    /// Its kernel never comes up: the watchdog resets the machine.
    Dead,
    /// Its self-tests fail on this device.
    Unwired,
}

struct Made {
    version: (u64, u64, u64),
    security_version: u32,
    nature: Nature,
}

const fn made(version: (u64, u64, u64), security_version: u32, nature: Nature) -> Made {
    Made { version, security_version, nature }
}

/// The factory's first, then all that may be offered.
const RELEASES: [Made; 6] = [
    made((1, 0, 0), 1, Nature::Good),
    made((1, 1, 0), 1, Nature::Good),
    // With a higher security version: after it, there is no way back to the others.
    made((1, 2, 0), 2, Nature::Good),
    made((1, 3, 0), 3, Nature::Sick),
    made((1, 4, 0), 3, Nature::Dead),
    made((1, 5, 0), 3, Nature::Unwired),
];

/// A release, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rel(u8);

impl Rel {
    /// What the factory put into the first slot.
    pub const FACTORY: Rel = Rel(0);

    /// All of them.
    pub fn all() -> impl Iterator<Item = Rel> {
        (0_u8..).zip(&RELEASES).map(|(n, _)| Rel(n))
    }

    /// How it behaves.
    pub fn nature(self) -> Nature {
        self.made().nature
    }

    /// Its security version.
    pub fn security_version(self) -> u32 {
        self.made().security_version
    }

    /// Its version.
    pub fn version(self) -> Version {
        let (major, minor, patch) = self.made().version;
        Version::new(major, minor, patch)
    }

    /// As an image in a slot.
    pub fn image(self) -> Image {
        let mut release = ReleaseId([0; 32]);
        release.0[0] = self.0;
        Image { release, version: self.version(), security_version: self.security_version(), durable: 1 }
    }

    /// As an update of that slot.
    pub fn target(self, slot: Slot) -> Target {
        self.image().in_slot(slot)
    }

    /// The release of that name.
    pub fn named(id: &ReleaseId) -> Rel {
        Rel(id.0[0])
    }

    fn made(self) -> &'static Made {
        // No other number can be made than by the list, or by the name of an image of it.
        &RELEASES[usize::from(self.0).min(RELEASES.len() - 1)]
    }
}

impl fmt::Display for Rel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.version(), self.nature())
    }
}

/// A set of releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rels(u8);

impl Rels {
    /// With one more.
    #[must_use]
    pub fn with(self, rel: Rel) -> Rels {
        Rels(self.0 | 1 << rel.0)
    }

    /// Whether it is one of them.
    pub fn has(self, rel: Rel) -> bool {
        self.0 & 1 << rel.0 != 0
    }

    /// The highest security version among them.
    pub fn security_version(self) -> u32 {
        Rel::all().filter(|rel| self.has(*rel)).map(Rel::security_version).max().unwrap_or_default()
    }
}
