//! What a device refuses of what is well signed.
use crate::common::{channel, directory_release, offer, raw_release, release, root, signer};
use crate::errors::{INCOMPATIBLE, OFFER, STALE, Section, cut, section};
use bistable_format::compat::{Device, Direction};
use bistable_format::content::DIRECTORY_KIND;
use bistable_format::freshness::{AHEAD, AHEAD_WITHOUT_CLOCK, Clock, FURTHEST, Floor};
use bistable_format::open::Unknown;
use bistable_format::{Channel, Content, Digest, Offer, Release, compat, freshness};
use semver::Version;

pub(crate) fn stale() -> Section {
    let issued = channel().issued_at;
    type Ask = (Channel, &'static str, u64, Floor, Clock);
    let ask = |spoil: fn(&mut Ask)| {
        let floor = Floor { sequence: 41, issued_at: 1_700_000_000 };
        let mut ask: Ask = (channel(), "production", 42, floor, Clock::Synchronized(1_700_000_200));
        spoil(&mut ask);
        ask
    };
    assert_eq!(issued, 1_700_000_100);
    section(
        "freshness",
        &ask(|_| {}),
        |(channel, wanted, file, floor, clock): &Ask| {
            freshness::check(channel, wanted, *file, *floor, *clock).map(drop)
        },
        &[STALE],
        vec![
            ("staging-as-production", ask(|a| a.0.name = "staging".into())),
            ("number-differs-from-its-file", ask(|a| a.2 = 43)),
            ("replayed", ask(|a| a.3.sequence = 43)),
            ("fast-forward", ask(|a| (a.0.sequence, a.2) = (42 + FURTHEST, 42 + FURTHEST))),
            ("number-of-the-end", ask(|a| (a.0.sequence, a.2) = (u64::MAX, u64::MAX))),
            ("expired-this-second", ask(|a| a.4 = Clock::Synchronized(1_700_000_100 + 7 * 86_400))),
            ("expired-a-minute-ago", ask(|a| a.4 = Clock::Synchronized(1_700_000_160 + 7 * 86_400))),
            ("expired-by-what-was-seen", ask(|a| (a.3.issued_at, a.4) = (1_800_000_000, Clock::Free))),
            (
                "from-the-future",
                ask(|a| (a.3.issued_at, a.4) = (0, Clock::Synchronized(1_700_000_099 - AHEAD))),
            ),
            (
                "from-the-future-without-a-clock",
                ask(|a| {
                    (a.0.issued_at, a.4) = (1_700_000_001 + AHEAD_WITHOUT_CLOCK, Clock::Free);
                }),
            ),
        ],
    )
}

pub(crate) fn offered_release() -> Section {
    let sealed = release().seal(&[&signer(4)]).unwrap();
    let naming = |bytes: Vec<u8>, spoil: fn(&mut Offer)| {
        let mut named = Offer { release: Digest::of(&bytes), ..offer() };
        spoil(&mut named);
        (bytes, named)
    };
    let by = |n: u8| release().seal(&[&signer(n)]).unwrap();
    section(
        "offered release",
        &(sealed.clone(), offer()),
        |(bytes, offer): &(Vec<u8>, Offer)| offer.open(bytes, &root()).map(drop),
        &[OFFER, &["Trust::WrongRole", "Trust::UnknownKey", "Trust::Envelope", "Envelope::Magic"]],
        vec![
            ("other-bytes", (by(6), offer())),
            ("truncated", (cut(&sealed, 1), offer())),
            ("signed-by-channel-key", naming(by(5), |_| {})),
            ("signed-by-a-stranger", naming(by(77), |_| {})),
            ("a-web-page", naming(b"<!doctype html>".to_vec(), |_| {})),
            ("constraints-differ", naming(by(4), |o| o.constraints.security_version += 1)),
            ("urgency-differs", naming(by(4), |o| o.constraints.urgency = bistable_format::Urgency::Normal)),
            ("of-another-identity", naming(by(4), |o| o.identity = Digest([1; 32]))),
        ],
    )
}

/// A release and what varies of a device.
#[derive(Clone)]
struct Judged {
    release: Release,
    running: Option<Version>,
    product: &'static str,
    board: &'static str,
    floor: u32,
    components: Vec<(String, Version)>,
    boot_bytes: u64,
    /// The component that it is to be installed as; none for an image.
    wanted: Option<&'static str>,
}

pub(crate) fn incompatible() -> Section {
    let version = |text: &str| Version::parse(text).unwrap();
    let good = Judged {
        release: Release { bound: vec![].into(), ..release() },
        running: Some(version("1.3.9")),
        product: "thermostat",
        board: "pi5",
        floor: 3,
        components: vec![("boot-loader".into(), version("2.4.0"))],
        boot_bytes: 64 << 20,
        wanted: None,
    };
    let decode = |judged: &Judged| {
        let device = Device {
            product: judged.product,
            board: judged.board,
            running: judged.running.as_ref(),
            security_floor: judged.floor,
            components: &judged.components,
            boot_bytes: judged.boot_bytes,
            system_bytes: 1 << 30,
        };
        let (constraints, forward) = (judged.release.constraints(), Direction::Forward);
        let mut reasons = match judged.wanted {
            None => compat::check(&constraints, &device, forward),
            Some(name) => compat::check_component(&constraints, (name, &[DIRECTORY_KIND]), &device, forward),
        };
        reasons.extend(compat::check_release(&judged.release));
        assert!(reasons.len() <= 1, "{reasons:?}");
        reasons.into_iter().next().map_or(Ok(()), Err)
    };
    let with = |spoil: fn(&mut Judged)| {
        let mut bad = good.clone();
        spoil(&mut bad);
        bad
    };
    let module = |judged: &mut Judged, component: Option<&str>| {
        judged.release.content = Content::Unknown(Unknown { kind: 4, bytes: vec![] });
        judged.release.component = component.map(String::from);
    };
    let of_a_component = {
        let mut j = good.clone();
        module(&mut j, Some("app"));
        j
    };
    let as_a_component = Judged { wanted: Some("app"), ..of_a_component.clone() };
    let of_no_component = {
        let mut j = good.clone();
        module(&mut j, None);
        j
    };
    let unreadable =
        Judged { release: Release::decode(&raw_release(&good.release, &[vec![1]])).unwrap(), ..good.clone() };
    section(
        "compatibility",
        &good,
        decode,
        &[INCOMPATIBLE],
        vec![
            ("other-product", with(|j| j.product = "fan")),
            ("other-board", with(|j| j.board = "pi3")),
            ("equal-version", with(|j| j.running = Some(j.release.version.clone()))),
            ("newer-version-runs", with(|j| j.running = Some(Version::new(1, 9, 0)))),
            ("security-below-the-floor", with(|j| j.floor = 4)),
            ("running-too-old", with(|j| j.running = Some(Version::new(1, 1, 9)))),
            ("running-unknown", with(|j| j.running = None)),
            ("component-missing", with(|j| j.components.clear())),
            ("component-too-old", with(|j| j.components[0].1 = Version::new(2, 0, 9))),
            ("component-in-conflict", with(|j| j.components.push(("app".into(), Version::new(1, 4, 9))))),
            ("larger-than-the-slot", with(|j| j.boot_bytes -= 512)),
            (
                "a-directory",
                with(|j| {
                    let constraints = j.release.requires.clone();
                    j.release = Release { requires: constraints, ..directory_release() };
                }),
            ),
            (
                "another-component",
                with(|j| {
                    let constraints = j.release.requires.clone();
                    j.release = Release { requires: constraints, ..directory_release() };
                    j.wanted = Some("another");
                }),
            ),
            ("a-module-where-directories-are-known", as_a_component),
            ("a-module", of_no_component),
            ("a-module-of-a-component", of_a_component),
            ("brings-something-unreadable-along", unreadable),
            (
                "unknown-test-before-the-switch",
                with(|j| j.release.self_tests += "\n[[test]]\nname = 'x'\nkind = 'camera'"),
            ),
            (
                "unknown-check-before-the-switch",
                with(|j| {
                    j.release.health += "\n[[check]]\nname = 'x'\nkind = 'dbus'\nat = 'before'";
                }),
            ),
            (
                "known-check-before-the-switch",
                with(|j| {
                    j.release.health =
                        "[[check]]\nname = 'x'\nkind = 'unit'\nunit = 'a.b'\nat = 'both'".into();
                }),
            ),
            (
                "no-known-test-gates",
                with(|j| {
                    j.release.self_tests = "[[test]]\nname = 'x'\nkind = 'camera'\nneed = 'wanted'".into();
                }),
            ),
        ],
    )
}
