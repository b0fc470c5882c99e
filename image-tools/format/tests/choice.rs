//! Which release a device takes from a channel, and what it says of the others.
#![allow(clippy::unwrap_used, reason = "tests")]
mod common;

use bistable_format::{
    Channel, Digest, Extensions, Offer,
    channel::{Passage, Withdrawal},
    choice::{Choice, Chooser, Component, Verdict, choose, choose_component, path},
    compat::{Device, Direction, Incompatible},
    content::{CONTAINERS_KIND, DIRECTORY_KIND},
    rollout::{Admission, Member, Rollout, RolloutState, Wave},
};
use semver::{Version, VersionReq};

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn id(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// An offer whose identity is that of its version's text.
fn plain(text: &str) -> Offer {
    let mut offer = common::offer();
    offer.constraints.version = version(text);
    offer.constraints.requires = bistable_format::Requires::default();
    offer.identity = id(text);
    offer.rollout = Rollout::default();
    offer
}

fn requiring(text: &str, running: &str) -> Offer {
    let mut offer = plain(text);
    offer.constraints.requires.running = Some(VersionReq::parse(running).unwrap());
    offer
}

fn barrier(text: &str) -> Offer {
    Offer { passage: Passage::Barrier, ..plain(text) }
}

fn held(text: &str, rollout: Rollout) -> Offer {
    Offer { rollout, ..plain(text) }
}

fn minors(range: core::ops::Range<u64>) -> Vec<Offer> {
    range.map(|n| plain(&format!("1.{n}.0"))).collect()
}

fn channel(offers: &[Offer], withdrawn: &[&str]) -> Channel {
    let withdrawn = withdrawn.iter().map(|text| Withdrawal {
        product: "thermostat".into(),
        component: None,
        version: version(text),
        identity: id(text),
        reason: "the fan stops".into(),
        at: 1,
        extensions: Extensions::default(),
    });
    let withdrawn: Vec<_> = withdrawn.collect();
    Channel { offers: offers.to_vec().into(), withdrawn: withdrawn.into(), ..common::channel() }
}

/// What a device of a version takes, and what it makes of each version.
fn ask(
    channel: &Channel,
    running: &str,
    rejected: &[&str],
) -> (Option<String>, Vec<(String, Verdict)>, Direction) {
    let running_version = version(running);
    let rejected: Vec<_> = rejected.iter().map(|r| id(r)).collect();
    let chooser = Chooser {
        device: Device {
            product: "thermostat",
            board: "pi4",
            running: Some(&running_version),
            security_floor: 3,
            components: &[],
            boot_bytes: 1 << 40,
            system_bytes: 1 << 40,
        },
        running: Some(id(running)),
        member: Member { seed: b"seed", group: None },
        rejected: &rejected,
        now: 1000,
    };
    let Choice { considered, taken, direction, .. } = choose(channel, &chooser);
    let all = considered.into_iter().map(|c| (c.offer.constraints.version.to_string(), c.verdict)).collect();
    (taken.map(|o| o.constraints.version.to_string()), all, direction)
}

#[test]
fn what_is_taken() {
    let waits =
        || Rollout { waves: vec![Wave { at: 2000, over: 0, share: 10_000 }].into(), ..Rollout::default() };
    let halted = Rollout { pace: RolloutState::Halted, ..Rollout::default() };
    // What it is about, offers, withdrawn, running, rejected, taken.
    type Row<'a> = (&'a str, Vec<Offer>, &'a [&'a str], &'a str, &'a [&'a str], Option<&'a str>);
    #[rustfmt::skip]
    let table: Vec<Row<'_>> = vec![
        ("the newest", vec![plain("1.1.0"), plain("1.3.0"), plain("1.2.0")], &[], "1.0.0", &[], Some("1.3.0")),
        ("nothing newer", vec![plain("1.0.0"), plain("0.9.0")], &[], "1.0.0", &[], None),
        ("a pre-release comes before", vec![plain("1.1.0-rc.1"), plain("1.1.0")], &[], "1.0.0", &[], Some("1.1.0")),
        ("what failed is left out", vec![plain("1.1.0"), plain("1.2.0")], &[], "1.0.0", &["1.2.0"], Some("1.1.0")),
        ("what waits is left out", vec![plain("1.1.0"), held("1.2.0", waits())], &[], "1.0.0", &[], Some("1.1.0")),
        ("what is halted is left out", vec![plain("1.1.0"), held("1.2.0", halted)], &[], "1.0.0", &[], Some("1.1.0")),
        ("a step in between", vec![plain("2.0.0"), requiring("3.0.0", "^2")], &[], "1.0.0", &[], Some("2.0.0")),
        ("the step after it", vec![plain("2.0.0"), requiring("3.0.0", "^2")], &[], "2.0.0", &[], Some("3.0.0")),
        ("a barrier first", vec![barrier("1.5.0"), plain("2.0.0")], &[], "1.0.0", &[], Some("1.5.0")),
        ("a barrier passed", vec![barrier("1.5.0"), plain("2.0.0")], &[], "1.5.0", &[], Some("2.0.0")),
        ("two barriers, the older first", vec![barrier("1.7.0"), barrier("1.5.0"), plain("2.0.0")], &[], "1.0.0", &[], Some("1.5.0")),
        ("up to a barrier, if that fails", vec![plain("1.4.0"), barrier("1.5.0"), plain("2.0.0")], &[], "1.0.0", &["1.5.0"], Some("1.4.0")),
        ("never past a barrier that fails", vec![barrier("1.5.0"), plain("2.0.0")], &[], "1.0.0", &["1.5.0"], None),
        ("back from a withdrawn one", vec![plain("1.0.0"), plain("0.9.0")], &["1.1.0"], "1.1.0", &[], Some("1.0.0")),
        ("on from a withdrawn one", vec![plain("1.0.0"), plain("1.2.0")], &["1.1.0"], "1.1.0", &[], Some("1.2.0")),
        ("back, not into a wave", vec![plain("1.0.0"), held("1.2.0", waits())], &["1.1.0"], "1.1.0", &[], Some("1.0.0")),
        ("withdrawn, and what it may not skip", vec![plain("1.0.0"), requiring("3.0.0", "^2")], &["1.1.0"], "1.1.0", &[], Some("1.0.0")),
        ("withdrawn, and nothing else", vec![], &["1.1.0"], "1.1.0", &[], None),
        ("three that failed", minors(1..6), &[], "1.0.0", &["1.5.0", "1.4.0", "1.3.0"], Some("1.2.0")),
        ("four that failed are enough", minors(1..6), &[], "1.0.0", &["1.5.0", "1.4.0", "1.3.0", "1.2.0"], None),
        ("what is newer than all of them", minors(1..7), &[], "1.0.0", &["1.5.0", "1.4.0", "1.3.0", "1.2.0"], Some("1.6.0")),
        ("what failed and isn't on offer any more", minors(1..4), &[], "1.0.0", &["1.9.0", "1.8.0", "1.7.0", "1.3.0"], Some("1.2.0")),
        ("enough on the way back, too", minors(0..5), &["1.9.0"], "1.9.0", &["1.4.0", "1.3.0", "1.2.0", "1.1.0"], None),
    ];
    for (name, offers, withdrawn, running, rejected, want) in table {
        let (taken, ..) = ask(&channel(&offers, withdrawn), running, rejected);
        assert_eq!(taken.as_deref(), want, "{name}");
    }
}

#[test]
fn each_offer_gets_its_reason() {
    let waits =
        Rollout { waves: vec![Wave { at: 2000, over: 0, share: 10_000 }].into(), ..Rollout::default() };
    let mut low = plain("1.6.0");
    low.constraints.security_version = 2;
    let mut other = plain("9.0.0");
    other.constraints.product = "fan".into();
    let offers = [
        plain("1.0.0"),
        plain("1.1.0"),
        plain("1.2.0"),
        held("1.3.0", waits),
        barrier("1.5.0"),
        low,
        plain("2.0.0"),
        other,
    ];
    let (taken, all, direction) = ask(&channel(&offers, &[]), "1.1.0", &["1.2.0"]);
    let want: Vec<(String, Verdict)> = vec![
        ("2.0.0".into(), Verdict::Behind(version("1.5.0"))),
        ("1.6.0".into(), Verdict::Incompatible(vec![Incompatible::SecurityVersion { release: 2, floor: 3 }])),
        ("1.5.0".into(), Verdict::Fits(Admission::Everyone)),
        ("1.3.0".into(), Verdict::Waits(Admission::Later { wave: 1, at: 2000 })),
        ("1.2.0".into(), Verdict::Rejected),
        ("1.1.0".into(), Verdict::Running),
        (
            "1.0.0".into(),
            Verdict::Incompatible(vec![Incompatible::NotNewer {
                release: version("1.0.0"),
                running: version("1.1.0"),
            }]),
        ),
    ];
    assert_eq!(all, want);
    assert_eq!((taken.as_deref(), direction), (Some("1.5.0"), Direction::Forward));
}

/// Whatever fails, on a device that forgets all but the last eight: no more tries than releases, and one for each new one.
#[test]
fn a_device_on_which_everything_fails_comes_to_rest() {
    let mut offers = minors(1..41);
    let mut rejected: Vec<String> = Vec::new();
    let mut tries = 0;
    for new in 41..50 {
        while let (Some(taken), ..) =
            ask(&channel(&offers, &[]), "1.0.0", &rejected.iter().map(String::as_str).collect::<Vec<_>>())
        {
            tries += 1;
            assert!(tries < 100, "{rejected:?}");
            rejected.push(taken);
            rejected.drain(..rejected.len().saturating_sub(8));
        }
        offers.push(plain(&format!("1.{new}.0")));
    }
    assert_eq!(tries, bistable_format::choice::FAILURES + 8);
}

#[test]
fn a_device_that_leaves_a_bad_release_still_keeps_to_its_security_floor() {
    let mut low = plain("1.0.0");
    low.constraints.security_version = 2;
    let (taken, all, direction) = ask(&channel(&[low], &["1.1.0"]), "1.1.0", &[]);
    assert_eq!((taken, direction), (None, Direction::Back));
    assert!(matches!(&all[0].1, Verdict::Incompatible(_)));
}

#[test]
fn the_way_from_one_version_to_another() {
    let offers = [
        plain("1.1.0"),
        barrier("1.5.0"),
        plain("1.6.0"),
        requiring("2.0.0", ">=1.6"),
        requiring("3.0.0", "^2"),
        requiring("5.0.0", "^4"),
    ];
    let way = |from: &str, to: &str| {
        path(&offers, "thermostat", "pi4", &version(from), &version(to))
            .map(|steps| steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(way("1.0.0", "3.0.0").as_deref(), Ok("1.5.0 1.6.0 2.0.0 3.0.0"));
    assert_eq!(way("1.6.0", "2.0.0").as_deref(), Ok("2.0.0"));
    assert_eq!(way("2.0.0", "2.0.0").as_deref(), Ok(""));
    let text = way("1.0.0", "5.0.0").unwrap_err();
    assert!(text.contains("release 5.0.0 requires a running version ^4") && text.contains("3.0.0"), "{text}");
    let text = way("1.0.0", "4.0.0").unwrap_err();
    assert!(text.contains("no release 4.0.0"), "{text}");
}

/// An offer of a component, whose identity is that of its name and version.
fn of_component(name: &str, text: &str) -> Offer {
    let mut offer = plain(text);
    offer.constraints.component = Some(name.into());
    offer.constraints.content = DIRECTORY_KIND;
    offer.constraints.bytes = vec![1 << 20];
    offer.identity = id(&format!("{name} {text}"));
    offer
}

/// What a device takes of a component.
fn ask_component(
    channel: &Channel,
    name: &str,
    installed: Option<&str>,
    rejected: &[&str],
    others: &[(String, Version)],
) -> (Option<String>, Vec<(String, Verdict)>) {
    let version = installed.map(version);
    let rejected: Vec<_> = rejected.iter().map(|r| id(&format!("{name} {r}"))).collect();
    let chooser = Chooser {
        device: Device {
            product: "thermostat",
            board: "pi4",
            running: version.as_ref(),
            security_floor: 3,
            components: others,
            boot_bytes: 0,
            system_bytes: 0,
        },
        running: installed.map(|text| id(&format!("{name} {text}"))),
        member: Member { seed: b"seed", group: None },
        rejected: &rejected,
        now: 1000,
    };
    let Choice { considered, taken, .. } =
        choose_component(channel, Component { name, kinds: &[DIRECTORY_KIND] }, &chooser);
    let all = considered.into_iter().map(|c| (c.offer.constraints.version.to_string(), c.verdict)).collect();
    (taken.map(|o| o.constraints.version.to_string()), all)
}

#[test]
fn components_do_not_disturb_the_choice_of_an_image() {
    let images = vec![plain("1.1.0"), barrier("1.2.0"), plain("1.3.0")];
    let alone = ask(&channel(&images, &[]), "1.0.0", &[]);
    let mut many = images.clone();
    // Newer ones, barriers, and more that failed than a device stands.
    for n in 0..6 {
        many.push(Offer { passage: Passage::Barrier, ..of_component("core", &format!("1.0.{n}")) });
        many.push(of_component("scheduler", &format!("9.{n}.0")));
    }
    let failed: Vec<String> = (0..6).map(|n| format!("core 1.0.{n}")).collect();
    let failed: Vec<&str> = failed.iter().map(String::as_str).collect();
    for rejected in [&[][..], &failed] {
        let (taken, all, direction) = ask(&channel(&many, &[]), "1.0.0", rejected);
        assert_eq!((&taken, &all, direction), (&alone.0, &alone.1, alone.2));
    }
    assert_eq!(
        ask(&channel(&many[3..], &[]), "1.0.0", &[]).0,
        None,
        "a component is never taken as the image"
    );
    assert_eq!(
        path(&many, "thermostat", "pi4", &version("1.0.0"), &version("9.0.0")).unwrap_err(),
        "no release 9.0.0 of thermostat for board pi4 is on offer"
    );
}

#[test]
fn a_component_is_chosen_as_an_image_is() {
    let waits =
        Rollout { waves: vec![Wave { at: 2000, over: 0, share: 10_000 }].into(), ..Rollout::default() };
    let core = |text: &str| of_component("core", text);
    let hub = |text: &str| vec![("thermostat".to_owned(), version(text))];
    let requiring_image = || {
        let mut offer = core("2.0.0");
        offer.constraints.requires.components =
            vec![("thermostat".into(), VersionReq::parse(">=1.4").unwrap())];
        offer
    };
    type Row<'a> =
        (&'a str, Vec<Offer>, Option<&'a str>, &'a [&'a str], Vec<(String, Version)>, Option<&'a str>);
    #[rustfmt::skip]
    let table: Vec<Row<'_>> = vec![
        ("the newest", vec![core("1.1.0"), core("1.2.0")], Some("1.0.0"), &[], vec![], Some("1.2.0")),
        ("the first", vec![core("1.1.0")], None, &[], vec![], Some("1.1.0")),
        ("images and others don't count", vec![plain("2.0.0"), of_component("scheduler", "3.0.0"), core("1.1.0")], Some("1.0.0"), &[], vec![], Some("1.1.0")),
        ("nothing newer", vec![core("1.0.0")], Some("1.0.0"), &[], vec![], None),
        ("what failed is left out", vec![core("1.1.0"), core("1.2.0")], Some("1.0.0"), &["1.2.0"], vec![], Some("1.1.0")),
        ("what waits is left out", vec![core("1.1.0"), Offer { rollout: waits, ..core("1.2.0") }], Some("1.0.0"), &[], vec![], Some("1.1.0")),
        ("a barrier first", vec![Offer { passage: Passage::Barrier, ..core("1.5.0") }, core("2.0.0")], Some("1.0.0"), &[], vec![], Some("1.5.0")),
        ("the image is new enough", vec![requiring_image()], Some("1.0.0"), &[], hub("1.4.0"), Some("2.0.0")),
        ("the image is too old", vec![requiring_image()], Some("1.0.0"), &[], hub("1.3.0"), None),
    ];
    for (name, offers, installed, rejected, others, taken) in table {
        let found = ask_component(&channel(&offers, &[]), "core", installed, rejected, &others);
        assert_eq!(found.0.as_deref(), taken, "{name}: {:?}", found.1);
    }
}

#[test]
fn a_component_of_an_unknown_kind_is_refused_with_its_reason() {
    let mut containers = of_component("core", "2.0.0");
    containers.constraints.content = CONTAINERS_KIND;
    let (taken, all) = ask_component(&channel(&[containers], &[]), "core", Some("1.0.0"), &[], &[]);
    let reason = Incompatible::Kind { kind: CONTAINERS_KIND };
    assert_eq!(
        reason.to_string(),
        "its content is of a kind that can't be installed here (containers): update Bistable first"
    );
    assert_eq!((taken, all), (None, vec![("2.0.0".into(), Verdict::Incompatible(vec![reason]))]));
}

#[test]
fn a_withdrawn_version_of_a_component_is_left_for_an_older_one() {
    let mut there = channel(&[of_component("core", "1.1.0")], &["1.2.0"]);
    there.withdrawn[0].component = Some("core".into());
    there.withdrawn[0].identity = id("core 1.2.0");
    assert_eq!(ask_component(&there, "core", Some("1.2.0"), &[], &[]).0.as_deref(), Some("1.1.0"));
    // The image of that version runs something else.
    assert_eq!(ask(&there, "1.2.0", &[]).0, None);
}
