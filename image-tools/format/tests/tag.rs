//! The version table: what a release is called elsewhere, and whether a device with another version wants it.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
use bistable_format::tag::{Prereleases, Standing, TagError, newest, standing, version, version_after};
use semver::Version;

#[test]
fn offered_tag_and_version_that_is_there_decide() {
    use Standing::{Older, UpToDate, Update};
    for (tag, there, wanted) in [
        ("v1.2.0", "1.1.0", Update),
        ("v1.1.5", "1.1.5", UpToDate),
        ("v2.0.0", "1.9.9", Update),
        ("v1.0.0-beta", "1.0.0", Older),
        ("v1.1.0", "1.2.0", Older),
        ("v1.1", "1.0", Update),
        ("1.1", "1.1.0", UpToDate),
        ("1", "1.0.0", UpToDate),
        ("v1.10.0", "1.9.0", Update),
        ("1.2.0+build.7", "1.2.0+build.3", UpToDate),
        ("1.2.0-beta.10", "1.2.0-beta.9", Update),
        ("2026.11.3", "2026.10.12", Update),
    ] {
        let found = standing(&version(tag).unwrap(), &version(there).unwrap());
        assert_eq!(found, wanted, "{tag} / {there}");
    }
}

#[test]
fn tags_that_name_versions() {
    for (tag, wanted) in [
        ("v1.2.3", "1.2.3"),
        ("1.2.3", "1.2.3"),
        ("v0.0.0", "0.0.0"),
        ("1", "1.0.0"),
        ("v1.1", "1.1.0"),
        ("v1.1-rc1", "1.1.0-rc1"),
        ("v2-beta", "2.0.0-beta"),
        ("1.2.0-alpha.1+0a1b", "1.2.0-alpha.1+0a1b"),
        ("2026.11.30", "2026.11.30"),
        ("2026.1", "2026.1.0"),
        ("99999999", "99999999.0.0"),
    ] {
        assert_eq!(version(tag).map(|v| v.to_string()).as_deref(), Ok(wanted), "{tag}");
    }
}

#[test]
fn tags_that_name_none_say_why() {
    use TagError::{Date, LeadingZero, NotAVersion, TooManyNumbers};
    for (tag, wanted) in [
        ("", NotAVersion),
        ("v", NotAVersion),
        ("latest", NotAVersion),
        ("stable", NotAVersion),
        ("vv1.0.0", NotAVersion),
        ("V1.0.0", NotAVersion),
        ("release-1.0", NotAVersion),
        ("1.", NotAVersion),
        (".1", NotAVersion),
        ("1..2", NotAVersion),
        ("1.x", NotAVersion),
        ("1.2.3-", NotAVersion),
        ("1.2.3-beta_1", NotAVersion),
        ("1.2.3 ", NotAVersion),
        ("1.2.3-01", NotAVersion),
        ("-1.2.3", NotAVersion),
        ("1.2.99999999999999999999", NotAVersion),
        ("1.2.3.4", TooManyNumbers),
        ("v1.2.3.4-beta", TooManyNumbers),
        ("01.2.3", LeadingZero),
        ("1.02", LeadingZero),
        ("v1.2.00", LeadingZero),
        ("20261130", Date),
        ("v20261130", Date),
        ("20261130-1200", Date),
        ("2026-11-30", Date),
        ("2026_11_30", Date),
        ("2026-11-30T12:00", Date),
        ("2026.01.05", Date),
        ("2026.11.05-1", Date),
    ] {
        assert_eq!(version(tag), Err(wanted), "{tag:?}");
    }
}

#[test]
fn the_newest_is_by_precedence_and_leaves_out_steps_towards_a_version() {
    let all = ["v1.2.0", "v1.10.0", "v1.9.0", "v2.0.0-rc1", "1.10"];
    let tags = || all.iter().map(|tag| (version(tag).unwrap(), *tag));
    assert_eq!(newest(tags(), Prereleases::Skip), Some((Version::new(1, 10, 0), "v1.10.0")));
    assert_eq!(newest(tags(), Prereleases::Take).unwrap().1, "v2.0.0-rc1");
    assert_eq!(newest(tags().filter(|(v, _)| !v.pre.is_empty()), Prereleases::Skip), None);
}

#[test]
fn one_repository_can_have_the_tags_of_several_components() {
    assert_eq!(version_after("core-", "core-v1.2.0"), Ok(Version::new(1, 2, 0)));
    assert_eq!(version_after("core/", "core/1.2"), Ok(Version::new(1, 2, 0)));
    assert_eq!(version_after("core-", "scheduler-v1.2.0"), Err(TagError::OtherPrefix));
    assert_eq!(version_after("core", "core-1.2.0"), Err(TagError::NotAVersion));
    assert_eq!(version_after("", "v1.2.0"), Ok(Version::new(1, 2, 0)));
}
