//! Every reason why a release may not go onto a device, and what a version requirement means.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::compat::{Device, Direction, Incompatible, check};
use bistable_format::version::{is_newer, meets};
use bistable_format::{Release, VolumeKind};
use common::release;
use proptest::prelude::*;
use semver::{BuildMetadata, Comparator, Op, Prerelease, Version, VersionReq};

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// What varies of a device that takes [`release`] as it is.
struct Bench {
    product: String,
    board: String,
    running: Option<Version>,
    floor: u32,
    components: Vec<(String, Version)>,
    boot_bytes: u64,
    system_bytes: u64,
}

impl Bench {
    fn new() -> Self {
        Bench {
            product: "thermostat".into(),
            board: "pi5".into(),
            running: Some(version("1.3.9")),
            floor: 3,
            components: vec![("boot-loader".into(), version("2.4.0"))],
            boot_bytes: 64 << 20,
            system_bytes: 1 << 30,
        }
    }

    fn check(&self, release: &Release, direction: Direction) -> Vec<Incompatible> {
        let device = Device {
            product: &self.product,
            board: &self.board,
            running: self.running.as_ref(),
            security_floor: self.floor,
            components: &self.components,
            boot_bytes: self.boot_bytes,
            system_bytes: self.system_bytes,
        };
        check(&release.constraints(), &device, direction)
    }
}

#[test]
fn a_release_that_fits_has_no_reason_against_it() {
    assert_eq!(Bench::new().check(&release(), Direction::Forward), []);
    assert_eq!(Bench::new().check(&release(), Direction::Back), []);
}

#[test]
fn each_reason_is_given() {
    use Incompatible::{Board, Component, Conflict, NotNewer, Product, Running, SecurityVersion, TooLarge};
    let r = release();
    let required = r.requires.running.clone().unwrap();
    let component = |found: Option<&str>| Component {
        name: "boot-loader".into(),
        required: r.requires.components[0].1.clone(),
        found: found.map(version),
    };
    let not_newer = |running| NotNewer { release: r.version.clone(), running: version(running) };
    let running =
        |running: Option<&str>| Running { required: required.clone(), running: running.map(version) };
    type Change = fn(&mut Bench);
    #[rustfmt::skip]
    let table: Vec<(&str, Change, Vec<Incompatible>, &str)> = vec![
        ("product", |b| b.product = "fan".into(), vec![Product { release: "thermostat".into(), device: "fan".into() }],
            "it is for product thermostat, this device is a fan"),
        ("board", |b| b.board = "pi3".into(), vec![Board { boards: r.boards.clone(), board: "pi3".into() }],
            "it is for pi4, pi5, this board is a pi3"),
        ("equal", |b| b.running = Some(version("1.4.0-rc.2+build.7")), vec![not_newer("1.4.0-rc.2+build.7")],
            "version 1.4.0-rc.2+build.7 is not newer than 1.4.0-rc.2+build.7, which is running"),
        ("equal-but-for-the-build", |b| b.running = Some(version("1.4.0-rc.2+build.6")), vec![not_newer("1.4.0-rc.2+build.6")],
            "is not newer than 1.4.0-rc.2+build.6"),
        ("older-than-the-release-after-it", |b| b.running = Some(version("1.4.0")), vec![not_newer("1.4.0")],
            "is not newer than 1.4.0, which is running"),
        ("older-pre-release", |b| b.running = Some(version("1.4.0-rc.10")), vec![not_newer("1.4.0-rc.10")],
            "is not newer than 1.4.0-rc.10"),
        ("security", |b| b.floor = 4, vec![SecurityVersion { release: 3, floor: 4 }],
            "its security version 3 is below 4, the highest that this device committed"),
        ("running-too-old", |b| b.running = Some(version("1.1.9")), vec![running(Some("1.1.9"))],
            "it requires a running version >=1.2.0, <2.0.0, and 1.1.9 is running: install a version in between first"),
        ("running-pre-release-too-old", |b| b.running = Some(version("1.2.0-beta")), vec![running(Some("1.2.0-beta"))],
            "and 1.2.0-beta is running"),
        ("running-unknown", |b| b.running = None, vec![running(None)],
            "and an unknown one is running"),
        ("component-missing", |b| b.components.clear(), vec![component(None)],
            "it requires boot-loader ^2.1, and the device has none"),
        ("component-old", |b| b.components[0].1 = version("2.0.9"), vec![component(Some("2.0.9"))],
            "it requires boot-loader ^2.1, and the device has 2.0.9"),
        ("component-new", |b| b.components[0].1 = version("3.0.0-alpha"), vec![component(Some("3.0.0-alpha"))],
            "the device has 3.0.0-alpha"),
        ("component-in-conflict", |b| b.components.push(("app".into(), version("1.4.9"))),
            vec![Conflict { name: "app".into(), range: r.requires.conflicts[0].1.clone(), found: version("1.4.9") }],
            "it does not go with app <1.5, and the device has 1.4.9"),
        ("component-without-conflict", |b| { b.components.push(("app".into(), version("1.5.0"))); b.floor = 4; },
            vec![SecurityVersion { release: 3, floor: 4 }], "its security version"),
        ("boot-large", |b| b.boot_bytes -= 1, vec![TooLarge { volume: VolumeKind::Boot, image: 64 << 20, slot: (64 << 20) - 1 }],
            "its boot volume has 67108864 bytes, the slot's partition 67108863"),
        ("system-large", |b| b.system_bytes = 0, vec![TooLarge { volume: VolumeKind::System, image: 1 << 30, slot: 0 }],
            "its system volume has 1073741824 bytes, the slot's partition 0"),
    ];
    for (name, change, expected, text) in table {
        let mut bench = Bench::new();
        change(&mut bench);
        let reasons = bench.check(&r, Direction::Forward);
        assert_eq!(reasons, expected, "{name}");
        assert!(reasons[0].to_string().contains(text), "{name}: {}", reasons[0]);
    }
}

#[test]
fn all_reasons_are_given_at_once() {
    let bench = Bench {
        product: "fan".into(),
        board: "pi3".into(),
        running: Some(version("2.0.0")),
        floor: 9,
        components: vec![],
        boot_bytes: 0,
        system_bytes: 0,
    };
    assert_eq!(bench.check(&release(), Direction::Forward).len(), 8);
    // A person who goes back on purpose overrules the versions, and nothing else.
    let back = bench.check(&release(), Direction::Back);
    assert_eq!(back.len(), 6);
    assert!(back.contains(&Incompatible::SecurityVersion { release: 3, floor: 9 }));
    assert!(!back.iter().any(|r| matches!(r, Incompatible::NotNewer { .. } | Incompatible::Running { .. })));
}

#[test]
fn precedence_is_that_of_semver_org() {
    let rising = [
        "0.9.9",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1-0",
        "1.0.1",
        "1.9.0",
        "1.10.0",
        "1.11.0",
        "2.0.0",
        "2.1.0",
        "2.1.1",
    ];
    for (i, a) in rising.iter().enumerate() {
        for (j, b) in rising.iter().enumerate() {
            assert_eq!(is_newer(&version(a), &version(b)), i > j, "{a} newer than {b}");
        }
    }
    assert!(!is_newer(&version("1.0.0+2"), &version("1.0.0+1")), "build metadata doesn't count");
    assert!(!is_newer(&version("1.0.0+1"), &version("1.0.0+2")), "build metadata doesn't count");
}

#[test]
fn a_pre_release_is_a_step_towards_its_release() {
    #[rustfmt::skip]
    let table = [
        // Requirement, versions that meet it, versions that don't.
        (">=1.2.0", &["1.2.0", "1.3.0-beta", "1.2.1-a", "2.0.0-a"][..], &["1.2.0-beta", "1.1.9"][..]),
        (">=1.2.0-beta", &["1.2.0-beta", "1.2.0-rc", "1.2.0", "1.3.0-a"], &["1.2.0-alpha"]),
        (">1.2.0", &["1.2.1-a", "1.2.1"], &["1.2.0", "1.2.0-rc"]),
        (">1.2.0-beta", &["1.2.0-rc", "1.2.0", "1.2.1-a"], &["1.2.0-beta", "1.2.0-alpha"]),
        (">1.2", &["1.3.0", "1.3.1-a", "1.4.0-a"], &["1.2.9", "1.2.9-a", "1.3.0-a"]),
        (">1", &["2.0.0", "2.0.1-a"], &["1.9.9", "2.0.0-a", "1.9.9-a"]),
        (">=1", &["1.0.0", "1.0.1-a", "2.0.0-a"], &["1.0.0-a"]),
        ("<2.0.0", &["1.9.9", "1.9.9-a", "1.0.0-a", "0.0.0-a"], &["2.0.0", "2.0.0-beta", "2.0.1-a"]),
        ("<2.0.0-rc", &["2.0.0-beta", "1.9.9-a"], &["2.0.0-rc", "2.0.0", "2.0.0-rc.1"]),
        ("<2", &["1.9.9-a"], &["2.0.0-a", "2.0.0"]),
        ("<1.2", &["1.1.9-a"], &["1.2.0-a", "1.2.0"]),
        ("<=2.0.0", &["2.0.0", "2.0.0-beta", "1.0.0-a"], &["2.0.1-a"]),
        ("<=2", &["2.9.9-a", "2.0.0-a", "2.9.9"], &["3.0.0-a", "3.0.0"]),
        ("<=1.2", &["1.2.9-a"], &["1.3.0-a"]),
        ("=1.2.3", &["1.2.3", "1.2.3+b"], &["1.2.3-a", "1.2.4-a"]),
        ("=1.2.3-a", &["1.2.3-a", "1.2.3-a+b"], &["1.2.3", "1.2.3-b"]),
        ("=1.2", &["1.2.0", "1.2.1-a"], &["1.2.0-a", "1.3.0-a"]),
        ("=1", &["1.0.0", "1.9.0-a"], &["1.0.0-a", "2.0.0-a"]),
        ("1.*", &["1.0.1-a", "1.5.0-a"], &["1.0.0-a", "2.0.0-a"]),
        ("1.2.*", &["1.2.1-a"], &["1.2.0-a", "1.3.0-a"]),
        ("~1.2.3", &["1.2.3", "1.2.4-a"], &["1.2.3-a", "1.3.0-a", "1.3.0"]),
        ("~1.2", &["1.2.1-a"], &["1.2.0-a", "1.3.0-a"]),
        ("~1", &["1.9.0-a"], &["1.0.0-a", "2.0.0-a"]),
        ("^1.2.3", &["1.2.3", "1.2.4-a", "1.9.0-a"], &["1.2.3-a", "2.0.0-a", "2.0.0"]),
        ("^0.2.3", &["0.2.4-a"], &["0.2.3-a", "0.3.0-a"]),
        ("^0.0.3", &["0.0.3"], &["0.0.3-a", "0.0.4-a", "0.0.4"]),
        ("^0.0.3-a", &["0.0.3-a", "0.0.3-b", "0.0.3"], &["0.0.4-a"]),
        ("^0.0", &["0.0.1-a", "0.0.0"], &["0.0.0-a", "0.1.0-a"]),
        ("^0", &["0.0.1-a", "0.9.0-a"], &["0.0.0-a", "1.0.0-a"]),
        ("^1", &["1.0.1-a"], &["1.0.0-a", "2.0.0-a"]),
        ("*", &["0.0.0-a", "9.9.9-a", "1.0.0"], &[]),
        (">=1.2.0, <2.0.0", &["1.2.0", "1.5.0-a", "1.9.9-rc"], &["1.2.0-a", "2.0.0-a", "2.0.0"]),
        // Asked for by name, as in Cargo.
        (">=2.0.0-alpha, <2.0.0", &["2.0.0-beta"], &["2.0.0", "2.0.1-a"]),
        // The last numbers there are.
        ("^18446744073709551615.0.0", &["18446744073709551615.1.0-a"], &["18446744073709551615.0.0-a", "1.0.0-a"]),
        ("<=18446744073709551615", &["18446744073709551615.1.0-a", "1.0.0-a"], &[]),
        (">18446744073709551615", &[], &["18446744073709551615.1.0-a", "18446744073709551615.0.0"]),
        ("~1.18446744073709551615", &["1.18446744073709551615.1-a"], &["2.0.0-a"]),
    ];
    for (text, met_by, not_by) in table {
        let required = VersionReq::parse(text).unwrap();
        for v in met_by {
            assert!(meets(&required, &version(v)), "{v} meets {text}");
        }
        for v in not_by {
            assert!(!meets(&required, &version(v)), "{v} does not meet {text}");
        }
    }
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![9 => 0u64..4, 1 => Just(u64::MAX)]
}

fn pre() -> impl Strategy<Value = Prerelease> {
    prop::sample::select(vec!["", "0", "1", "alpha", "alpha.1", "beta", "rc.1"])
        .prop_map(|text| Prerelease::new(text).unwrap())
}

fn versions() -> impl Strategy<Value = Version> {
    (number(), number(), number(), pre()).prop_map(|(major, minor, patch, pre)| Version {
        major,
        minor,
        patch,
        pre,
        build: BuildMetadata::EMPTY,
    })
}

fn comparators() -> impl Strategy<Value = Comparator> {
    let ops =
        vec![Op::Exact, Op::Greater, Op::GreaterEq, Op::Less, Op::LessEq, Op::Tilde, Op::Caret, Op::Wildcard];
    (prop::sample::select(ops), number(), prop::option::of(number()), prop::option::of(number()), pre())
        .prop_map(|(op, major, minor, patch, pre)| {
            // What the parser makes: no patch without a minor, no pre-release without a patch, no full wildcard.
            let patch = minor.and(patch).filter(|_| op != Op::Wildcard);
            let pre = if patch.is_some() { pre } else { Prerelease::EMPTY };
            Comparator { op, major, minor, patch, pre }
        })
}

fn requirements() -> impl Strategy<Value = VersionReq> {
    prop::collection::vec(comparators(), 0..3).prop_map(|comparators| VersionReq { comparators })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn releases_meet_what_semver_says(required in requirements(), mut v in versions()) {
        v.pre = Prerelease::EMPTY;
        prop_assert_eq!(meets(&required, &v), required.matches(&v), "{} {}", required, v);
    }

    #[test]
    fn what_cargo_accepts_is_accepted(required in requirements(), v in versions()) {
        prop_assert!(!required.matches(&v) || meets(&required, &v), "{} {}", required, v);
    }

    /// Comparators are intervals: what lies between two versions that meet a requirement meets it too, unless one of
    /// the two does only because a comparator names a pre-release of its very version.
    #[test]
    fn there_are_no_holes(required in requirements(), mut three in prop::collection::vec(versions(), 3)) {
        three.sort();
        let by_name = |v: &Version| !v.pre.is_empty() && required.matches(v);
        prop_assume!(!by_name(&three[0]) && !by_name(&three[2]));
        if meets(&required, &three[0]) && meets(&required, &three[2]) {
            prop_assert!(meets(&required, &three[1]), "{}: {} {} {}", required, three[0], three[1], three[2]);
        }
    }

    #[test]
    fn a_pre_release_between_bounds_meets_them(low in versions(), high in versions(), v in versions()) {
        prop_assume!(!v.pre.is_empty());
        let required = VersionReq::parse(&format!(">={low}, <{high}")).unwrap();
        let triple = |v: &Version| (v.major, v.minor, v.patch);
        let below = if high.pre.is_empty() { triple(&v) < triple(&high) } else { v < high };
        if v >= low && below {
            prop_assert!(meets(&required, &v), "{} {}", required, v);
        }
        if v < low || v >= high {
            prop_assert!(!meets(&required, &v), "{} {}", required, v);
        }
    }
}
