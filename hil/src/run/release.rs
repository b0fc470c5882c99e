//! The releases that scenarios are about: one real system, and small differences that make it good or bad.

/// What is the matter with a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Nothing.
    Good,
    /// Its application doesn't run: the health check fails.
    Sick,
    /// Its kernel panics while it comes up.
    Panics,
    /// It takes every processor for itself while it comes up: nothing else runs any more.
    Hangs,
    /// It has no init: the kernel panics.
    NoInit,
}

/// A release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its version.
    pub version: &'static str,
    /// What is the matter with it.
    pub nature: Nature,
}

/// What every card comes with.
pub const FACTORY: Release = Release { version: "1.0.0", nature: Nature::Good };
/// The good update.
pub const GOOD: Release = Release { version: "2.0.0", nature: Nature::Good };
/// The good update after that.
pub const NEXT: Release = Release { version: "3.0.0", nature: Nature::Good };
/// See [`Nature::Sick`].
pub const SICK: Release = Release { version: "1.1.0", nature: Nature::Sick };
/// See [`Nature::Panics`].
pub const PANICS: Release = Release { version: "1.2.0", nature: Nature::Panics };
/// See [`Nature::Hangs`].
pub const HANGS: Release = Release { version: "1.3.0", nature: Nature::Hangs };
/// See [`Nature::NoInit`].
pub const NO_INIT: Release = Release { version: "1.4.0", nature: Nature::NoInit };

/// Good, and brings components along.
pub const BRINGS: Release = Release { version: "4.0.0", nature: Nature::Good };
/// Good itself; of the components that it brings along, one fails.
pub const BRINGS_SICK: Release = Release { version: "5.0.0", nature: Nature::Good };

/// All of them; the factory's first.
pub const ALL: [Release; 9] = [FACTORY, GOOD, NEXT, SICK, PANICS, HANGS, NO_INIT, BRINGS, BRINGS_SICK];

/// The product that they are releases of.
pub const PRODUCT: &str = "rig";

/// The profile of the health check: long enough for a slow machine, short enough for a test.
pub const HEALTH: &str = r#"deadline_s = 30
settle_s = 5

[[check]]
name = "application"
kind = "unit"
unit = "app.service"
"#;

/// Seconds until a sick release is given up: what [`HEALTH`] says.
pub const HEALTH_DEADLINE_S: u64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_valid_and_the_deadline_is_its_own() {
        let profile = bistable_format::health::Profile::parse(HEALTH).unwrap();
        assert_eq!(u64::from(profile.deadline_s), HEALTH_DEADLINE_S);
    }

    #[test]
    fn versions_rise_from_the_factory_on() {
        for release in &ALL[1..] {
            assert!(
                semver::Version::parse(release.version).unwrap()
                    > semver::Version::parse(FACTORY.version).unwrap()
            );
            assert!(ALL.iter().filter(|r| r.version == release.version).count() == 1);
        }
    }
}
