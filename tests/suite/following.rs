//! A device that follows a channel: which releases it takes, when, and which never.
use crate::{
    fixture::{WORLD, product},
    rig::Rig,
    shop::{
        DAY, NOW, RELEASER, SEEN, STRANGER, at_time, channel, device, free_clock, install, look, made,
        made_by, offer, publish, put, record, running, sealed, shop, stock, update,
    },
};
use bistable::{
    Error,
    error::Exit,
    offer::channel::Report,
    source::{Flaw, Memory},
    steps::install::Overrides,
};
use bistable_boot::{SECTOR, Slot, layout};
use bistable_format::{
    Channel, Digest, Offer, Release, Role,
    channel::{Passage, Withdrawal},
    release, repository,
    rollout::{Rollout, RolloutState, Wave},
};

/// Publish these versions, with what is special about each.
fn offers(shop: &mut Memory, number: u64, versions: &[&str], change: impl Fn(&str, &mut Offer)) -> Channel {
    let offered = versions.iter().map(|version| {
        let mut offer = stock(shop, &made(version));
        change(version, &mut offer);
        offer
    });
    let channel = channel(SEEN + number, offered.collect());
    publish(shop, &channel);
    channel
}

fn plain(_: &str, _: &mut Offer) {}

fn report(rig: &mut Rig, shop: &mut Memory) -> Report {
    rig.run(|agent| Ok(look(&mut agent.device, shop)?.report())).unwrap()
}

/// The channel has nothing for it, and it says why.
#[track_caller]
fn nothing(rig: &mut Rig, shop: &mut Memory, why: &str) {
    rig.writes();
    let report = report(rig, shop);
    assert_eq!(report.takes, None);
    let e = rig.run(|agent| install(agent, shop, None)).unwrap_err();
    assert_eq!((e.exit(), e.to_string()), (Exit::NothingToDo, why.into()));
    let ending = format!("\nnothing to do: {why}");
    assert!(report.text().ends_with(&ending), "{}", report.text());
}

#[test]
fn the_newest_that_fits_is_taken_and_then_there_is_nothing_left() {
    let mut rig = device();
    let mut shop = shop();
    offers(&mut shop, 1, &["1.1.0", "1.3.0", "0.9.0", "1.2.0"], plain);
    assert_eq!(report(&mut rig, &mut shop).takes.as_deref(), Some("1.3.0"));
    update(&mut rig, &mut shop).unwrap();
    assert_eq!(running(&mut rig), "1.3.0");
    nothing(&mut rig, &mut shop, "1.3.0 runs, and channel production offers nothing newer");
}

#[test]
fn a_barrier_is_crossed_in_two_updates() {
    let mut rig = device();
    let mut shop = shop();
    offers(&mut shop, 1, &["1.4.0", "1.5.0", "2.0.0"], |version, offer| {
        if version == "1.5.0" {
            offer.passage = Passage::Barrier;
        }
    });
    for version in ["1.5.0", "2.0.0"] {
        update(&mut rig, &mut shop).unwrap();
        assert_eq!(running(&mut rig), version);
    }
    nothing(&mut rig, &mut shop, "2.0.0 runs, and channel production offers nothing newer");
    assert_eq!(rig.booted, Slot::A);
}

fn tomorrow() -> Rollout {
    Rollout { waves: vec![Wave { at: NOW + DAY, over: 0, share: 10_000 }].into(), ..Rollout::default() }
}

#[test]
fn a_wave_comes_when_its_time_comes() {
    let mut rig = device();
    let mut shop = shop();
    offers(&mut shop, 1, &["1.1.0"], |_, offer| offer.rollout = tomorrow());
    let why = "1.0.0 runs; 1.1.0: wave 1 comes to this device at 2027-01-16 08:00 UTC";
    nothing(&mut rig, &mut shop, why);
    assert_eq!(report(&mut rig, &mut shop).offers[0].turn_at, Some(NOW + DAY));
    at_time(&rig, NOW + DAY - 1);
    nothing(&mut rig, &mut shop, why);
    // A clock that is not synchronized lets no wave in ...
    free_clock(&rig);
    nothing(&mut rig, &mut shop, why);
    // ... but a channel that was issued later does.
    let later = offers(&mut shop, 2, &["1.1.0"], |_, offer| offer.rollout = tomorrow());
    publish(&mut shop, &Channel { issued_at: NOW + DAY, lifetime: DAY, ..later });
    assert_eq!(report(&mut rig, &mut shop).offers[0].why, ["wave 1 has come to this device"]);
    update(&mut rig, &mut shop).unwrap();
    assert_eq!(running(&mut rig), "1.1.0");
}

#[test]
fn paused_rollout_is_offered_only_by_explicit_version() {
    for (pace, word) in [(RolloutState::Paused(NOW - 5), "paused"), (RolloutState::Halted, "halted")] {
        let mut rig = device();
        let mut shop = shop();
        offers(&mut shop, 1, &["1.1.0"], |_, offer| offer.rollout = Rollout { pace, ..tomorrow() });
        nothing(&mut rig, &mut shop, &format!("1.0.0 runs; 1.1.0: the rollout is {word}"));
        rig.run(|agent| install(agent, &mut shop, Some("1.1.0"))).unwrap();
    }
}

#[test]
fn what_failed_here_is_not_taken_again_but_the_next_is() {
    let mut rig = device();
    let mut shop = shop();
    offers(&mut shop, 1, &["1.1.0"], plain);
    rig.reboots(|agent| {
        install(agent, &mut shop, None)?;
        agent.resume()
    });
    let sick = WORLD.replace("\"active\"", "\"failed\"");
    rig.pi.world(&format!("time = {NOW}\n{sick}"));
    let e = rig.run(|agent| agent.resume()).unwrap_err();
    assert_eq!(e.exit(), Exit::Health, "{e}");
    at_time(&rig, NOW);
    rig.reset();
    rig.run(|agent| agent.resume()).unwrap();
    assert_eq!((running(&mut rig), rig.booted), ("1.0.0".into(), Slot::A));
    for _ in 0..2 {
        nothing(
            &mut rig,
            &mut shop,
            "1.0.0 runs; 1.1.0: this device rejected it: health check failed: application not good within 60 s: failed; \
             `bistable update 1.1.0 --retry-rejected` tries it again",
        );
    }
    let e = rig.run(|agent| install(agent, &mut shop, Some("1.1.0"))).unwrap_err();
    assert!(matches!(e, Error::Rejected(_)), "{e}");
    offers(&mut shop, 2, &["1.1.0", "1.1.1"], plain);
    update(&mut rig, &mut shop).unwrap();
    assert_eq!(running(&mut rig), "1.1.1");
}

#[test]
fn a_release_that_is_withdrawn_is_left_for_an_older_one() {
    let mut rig = device();
    let mut shop = shop();
    offers(&mut shop, 1, &["1.0.5", "1.1.0"], plain);
    update(&mut rig, &mut shop).unwrap();
    assert_eq!((running(&mut rig), rig.booted), ("1.1.0".into(), Slot::B));
    let bad = made("1.1.0");
    let without = |number, offers| Channel {
        withdrawn: vec![Withdrawal {
            product: "greenhouse".into(),
            component: None,
            version: "1.1.0".parse().unwrap(),
            identity: release::identity(&bad.signed),
            reason: "the fan stops".into(),
            at: NOW,
            extensions: Default::default(),
        }]
        .into(),
        ..channel(SEEN + number, offers)
    };
    // Nothing better is there yet: it stays where it is.
    publish(&mut shop, &without(2, Vec::new()));
    let why = "release 1.1.0, which runs, was withdrawn (the fan stops); channel production offers nothing else that fits; `bistable revert` tries 1.0.0 again";
    nothing(&mut rig, &mut shop, why);
    publish(&mut shop, &without(3, vec![offer(&made("1.0.5"))]));
    let before = report(&mut rig, &mut shop);
    assert_eq!(
        (before.withdrawn.as_deref(), before.takes.as_deref()),
        (Some("the fan stops"), Some("1.0.5"))
    );
    update(&mut rig, &mut shop).unwrap();
    assert_eq!((running(&mut rig), rig.booted), ("1.0.5".into(), Slot::A));
    assert_eq!(record(&mut rig).state, bistable_boot::Saved::Idle);
    // Even if it were offered again, by mistake or by a thief.
    offers(&mut shop, 4, &["1.0.5", "1.1.0"], plain);
    nothing(
        &mut rig,
        &mut shop,
        "1.0.5 runs; 1.1.0: this device rejected it: asked for by an operator: left for an older release; \
         `bistable update 1.1.0 --retry-rejected` tries it again",
    );
}

#[test]
fn what_is_withdrawn_before_it_was_tried_is_never_tried() {
    let withdrawal = Withdrawal {
        product: "greenhouse".into(),
        component: None,
        version: "1.1.0".parse().unwrap(),
        identity: release::identity(&made("1.1.0").signed),
        reason: "the fan stops".into(),
        at: NOW,
        extensions: Default::default(),
    };
    for steps in ["install", "arm"] {
        let mut rig = device();
        let mut shop = shop();
        offers(&mut shop, 1, &["1.1.0"], plain);
        rig.run(|agent| install(agent, &mut shop, None)).unwrap();
        if steps == "arm" {
            rig.run(|agent| agent.arm()).unwrap();
        }
        let gone = Channel { withdrawn: vec![withdrawal.clone()].into(), ..channel(SEEN + 2, Vec::new()) };
        publish(&mut shop, &gone);
        let e = rig.run(|agent| install(agent, &mut shop, None)).unwrap_err();
        assert_eq!(e.exit(), Exit::NothingToDo, "{e}");
        let after = record(&mut rig);
        assert_eq!(after.state, bistable_boot::Saved::Idle, "{steps}");
        let rejected = after.rejected.iter().map(|r| r.failure.to_string()).collect::<Vec<_>>();
        assert_eq!(rejected.len(), 1);
        assert!(rejected[0].contains("withdrawn: the fan stops"), "{rejected:?}");
        rig.pi.slot_a_is_untouched();
        // What replaces it is taken at once.
        let next = stock(&mut shop, &made("1.1.1"));
        publish(&mut shop, &Channel { sequence: SEEN + 3, offers: vec![next].into(), ..gone });
        update(&mut rig, &mut shop).unwrap();
        assert_eq!(running(&mut rig), "1.1.1");
    }
}

#[test]
fn a_bundle_of_a_withdrawn_release_is_installed_only_if_an_operator_insists() {
    let mut rig = device();
    let mut shop = shop();
    let good = &product().good[..];
    let signed = &good[crate::draft::parts(good)[4].content.clone()];
    let withdrawal = |product: &str| Withdrawal {
        product: product.into(),
        component: None,
        version: "1.1.0".parse().unwrap(),
        identity: release::identity(signed),
        reason: "the fan stops".into(),
        at: NOW,
        extensions: Default::default(),
    };
    let withdrawn =
        |n, of: Vec<Withdrawal>| Channel { withdrawn: of.into(), ..channel(SEEN + n, Vec::new()) };
    // What another product withdraws is nothing to this one.
    publish(&mut shop, &withdrawn(1, vec![withdrawal("kiosk")]));
    report(&mut rig, &mut shop);
    rig.run(|agent| agent.check(&mut &*good, &mut bistable::agent::ImageOnly, Overrides::NONE)).unwrap();
    publish(&mut shop, &withdrawn(2, vec![withdrawal("greenhouse")]));
    report(&mut rig, &mut shop);
    // A later file that no longer says it does not take it back.
    publish(&mut shop, &withdrawn(3, Vec::new()));
    report(&mut rig, &mut shop);
    for overrides in [Overrides::NONE, Overrides::RETRY] {
        let e = rig.run(|agent| agent.install(&mut &*good, overrides)).unwrap_err();
        assert_eq!(e.exit(), Exit::Incompatible);
        let text = "release 1.1.0 was withdrawn from channel production: install another version, or use --force-withdrawn to \
                    install it anyway";
        assert_eq!(e.to_string(), text);
        assert_eq!(record(&mut rig).state, bistable_boot::Saved::Idle);
    }
    let insists = Overrides { withdrawn: true, ..Overrides::NONE };
    let target = rig.run(|agent| agent.install(&mut &*good, insists)).unwrap();
    assert_eq!(target.version.to_string(), "1.1.0");
}

#[test]
fn a_withdrawal_is_no_way_below_the_security_floor() {
    let mut rig = device();
    let mut shop = shop();
    let weak = crate::shop::made_by("0.9.0", &[crate::shop::RELEASER], |r| r.security_version = 1);
    let offer = stock(&mut shop, &weak);
    let parts = crate::draft::parts(&product().old);
    let old = &product().old[parts[4].content.clone()];
    let version = Release::open(old, &product().root.root).unwrap().version;
    publish(
        &mut shop,
        &Channel {
            withdrawn: vec![Withdrawal {
                product: "greenhouse".into(),
                component: None,
                version,
                identity: release::identity(old),
                reason: "a thief says so".into(),
                at: NOW,
                extensions: Default::default(),
            }]
            .into(),
            ..channel(SEEN + 1, vec![offer])
        },
    );
    assert_eq!(report(&mut rig, &mut shop).withdrawn.as_deref(), Some("a thief says so"));
    let e = rig.run(|agent| install(agent, &mut shop, None)).unwrap_err();
    assert_eq!(e.exit(), Exit::NothingToDo, "{e}");
    let e = rig.run(|agent| install(agent, &mut shop, Some("0.9.0"))).unwrap_err();
    assert_eq!(e.exit(), Exit::Incompatible, "{e}");
}

#[test]
fn a_person_names_a_version() {
    let mut rig = device();
    let mut shop = shop();
    offers(&mut shop, 1, &["1.1.0", "1.2.0", "1.5.0", "1.6.0"], |version, offer| {
        if version == "1.5.0" {
            offer.passage = Passage::Barrier;
        }
    });
    let mut asked = |version| rig.run(|agent| install(agent, &mut shop, Some(version)));
    for (version, exit, text) in [
        (
            "1.6.0",
            Exit::TryLater,
            "release 1.6.0 can't be installed yet: every device has to run 1.5.0 before",
        ),
        (
            "1.9.0",
            Exit::NothingToDo,
            "channel production of memory offers no release 1.9.0 for greenhouse; it has 1.6.0, 1.5.0, 1.2.0, 1.1.0",
        ),
    ] {
        let e = asked(version).unwrap_err();
        assert_eq!((e.exit(), e.to_string()), (exit, text.into()));
    }
    assert_eq!(asked("1.1.0").unwrap().version.to_string(), "1.1.0");
    // Another one instead, before the first was tried.
    assert_eq!(asked("1.2.0").unwrap().version.to_string(), "1.2.0");
}

/// An attacker puts together what was signed apart.
#[test]
fn the_constraints_of_one_release_with_the_blob_of_another() {
    let mut rig = device();
    let mut shop = shop();
    let (new, old) = (made("1.1.0"), made("1.0.1"));
    let honest = [stock(&mut shop, &new), stock(&mut shop, &old)];
    let [good, other] = honest;
    let crossed = [
        Offer { release: other.release, ..good.clone() },
        Offer { release: other.release, identity: other.identity, ..good.clone() },
        Offer { constraints: good.constraints.clone(), ..other.clone() },
    ];
    for (number, offer) in (1..).zip(crossed) {
        publish(&mut shop, &channel(SEEN + number, vec![offer]));
        rig.writes();
        let e = rig.run(|agent| install(agent, &mut shop, None)).unwrap_err();
        assert_eq!(e.exit(), Exit::Untrusted, "{e}");
        assert!(e.to_string().contains("the two don't belong together"), "{e}");
        assert!(record(&mut rig).slots.b.is_none() && record(&mut rig).history.len() == 1);
    }
    // The lists and data of another release, under the right names.
    publish(&mut shop, &channel(SEEN + 9, vec![good]));
    for at in 0..4 {
        let mut rig = device();
        put(&mut shop, repository::blob(&bistable_format::Digest::of(&new.blobs[at])), old.blobs[at].clone());
        let e = rig.run(|agent| install(agent, &mut shop, None)).unwrap_err();
        assert_eq!(e.exit(), Exit::Untrusted, "{e}");
        stock(&mut shop, &new);
        rig.run(|agent| install(agent, &mut shop, None)).unwrap();
    }
}

/// What people read in one picture, with everything in it that there can be.
#[test]
fn the_report_as_people_and_programs_read_it() {
    let mut rig = device();
    let mut shop = shop();
    let board = crate::shop::made_by("1.9.0", &[crate::shop::RELEASER], |r| r.boards = vec!["pi5".into()]);
    let other = stock(&mut shop, &board);
    let channel = offers(&mut shop, 1, &["0.9.0", "1.1.0", "1.2.0", "1.3.0", "2.0.0"], |version, offer| {
        match version {
            "1.2.0" => offer.rollout = tomorrow(),
            "1.3.0" => offer.passage = Passage::Barrier,
            _ => {}
        }
        if version == "1.3.0" {
            offer.rollout = Rollout { pace: RolloutState::Halted, ..Rollout::default() };
        }
    });
    let all = [channel.offers.to_vec(), vec![other]].concat();
    publish(&mut shop, &Channel { offers: all.into(), ..channel });
    let report = report(&mut rig, &mut shop);
    golden("check.txt", &format!("{}\n", report.text()));
    golden("check.json", &format!("{}\n", serde_json::to_string_pretty(&report).unwrap()));
}

fn golden(name: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(found, want, "BLESS=1 writes {}", path.display());
}

/// Ways in which an offer can't be opened: each makes one of a version, with the words that report it.
pub(crate) type Spoil = fn(&mut Memory, &str) -> Offer;

fn spoiled(shop: &mut Memory, version: &str, payload: &[u8]) -> Offer {
    let signed = sealed(Role::Release, payload, &[RELEASER]);
    let offer = Offer {
        release: Digest::of(&signed),
        release_bytes: signed.len().try_into().unwrap(),
        identity: release::identity(&signed),
        ..offer(&made(version))
    };
    put(shop, repository::blob(&offer.release), signed);
    offer
}

pub(crate) const UNUSABLE: [(&str, Spoil, bool); 5] = [
    ("which this root does not know", |shop, v| stock(shop, &made_by(v, &[STRANGER], |_| {})), true),
    ("the repository is incomplete", |_, v| offer(&made(v)), false),
    ("is truncated or damaged", |shop, v| spoiled(shop, v, b"\xff\xff\xff"), true),
    (
        "is damaged",
        |shop, v| {
            let offer = stock(shop, &made(v));
            put(shop, repository::blob(&offer.release), made("0.0.1").signed);
            offer
        },
        true,
    ),
    (
        "the channel says something else of release",
        |shop, v| Offer {
            since: NOW,
            constraints: made("1.3.1").release.constraints(),
            ..stock(shop, &made(v))
        },
        true,
    ),
];

#[test]
fn an_offer_that_cannot_be_opened_does_not_stop_the_next() {
    for (words, spoil, forged) in UNUSABLE {
        let mut rig = device();
        let mut shop = shop();
        let good = stock(&mut shop, &made("1.2.0"));
        let bad = spoil(&mut shop, "1.3.0");
        publish(&mut shop, &channel(SEEN + 1, vec![bad.clone(), good]));
        let report = rig.run(|agent| {
            let mut found = look(&mut agent.device, &mut shop)?;
            found.open(&mut shop, None)?;
            Ok(found.report())
        });
        let report = report.unwrap();
        assert_eq!(report.takes.as_deref(), Some("1.2.0"), "{words}");
        assert_eq!((report.offers[0].verdict, report.offers[1].verdict), ("unusable", "takes"), "{words}");
        assert!(report.offers[0].why[0].contains(words), "{words}: {:?}", report.offers[0].why);
        update(&mut rig, &mut shop).unwrap();
        assert_eq!(running(&mut rig), "1.2.0", "{words}");
        assert_eq!(record(&mut rig).rejected, [], "it is no verdict on a release: {words}");
        // Nothing else fits now.
        publish(&mut shop, &channel(SEEN + 2, vec![bad.clone()]));
        let e = rig.run(|agent| install(agent, &mut shop, None)).unwrap_err();
        let exit = if forged { Exit::Untrusted } else { Exit::TryLater };
        assert_eq!(e.exit(), exit, "{words}: {e}");
        assert!(e.to_string().contains(words), "{e}");
        // A person who names it gets it or nothing.
        publish(&mut shop, &channel(SEEN + 3, vec![bad]));
        let named =
            rig.run(|agent| look(&mut agent.device, &mut shop)?.open(&mut shop, Some(&version("1.3.0"))));
        assert!(named.is_err(), "{words}");
    }
}

fn without_release(shop: &mut Memory, version: &str) {
    shop.files.remove(&repository::blob(&Digest::of(&made(version).signed)));
}

fn state(rig: &mut Rig) -> bistable_boot::Saved {
    rig.run(|agent| Ok(agent.device.record.state.clone())).unwrap()
}

#[test]
fn the_update_in_flight_is_opened_from_the_card_when_the_repository_lost_its_release() {
    let mut rig = device();
    let mut shop = shop();
    offers(&mut shop, 1, &["1.1.0", "1.2.0"], plain);
    // The connection breaks when the release was stored.
    let cut = rig.run(|agent| {
        let (opened, direction) = look(&mut agent.device, &mut shop)?.open(&mut shop, None)?;
        shop.always = Some(Flaw::Unreachable);
        agent.install_from(&mut opened.from(&mut shop), Overrides::NONE, direction)
    });
    assert_eq!(cut.unwrap_err().exit(), Exit::TryLater);
    assert_eq!(state(&mut rig).name(), "installing");
    shop.always = None;
    without_release(&mut shop, "1.2.0");
    for _ in ["installing", "staged"] {
        let target = rig.run(|agent| install(agent, &mut shop, None)).unwrap();
        assert_eq!(target.version, version("1.2.0"));
        assert_eq!(state(&mut rig), bistable_boot::Saved::Staged(target));
    }
    update(&mut rig, &mut shop).unwrap();
    assert_eq!(running(&mut rig), "1.2.0");
}

#[test]
fn nothing_older_replaces_the_update_in_flight_unless_it_is_named() {
    for stored_is_damaged in [true, false] {
        let mut rig = device();
        let mut shop = shop();
        offers(&mut shop, 1, &["1.1.0", "1.2.0"], plain);
        rig.run(|agent| install(agent, &mut shop, None)).unwrap();
        if stored_is_damaged {
            without_release(&mut shop, "1.2.0");
            let at = layout::RELEASE[Slot::B].0 * SECTOR as u64;
            rig.pi.scribble(layout::Partition::State, at, &[0; SECTOR]);
        } else {
            offers(&mut shop, 2, &["1.1.0", "1.3.0"], plain);
            without_release(&mut shop, "1.3.0");
        }
        let e = rig.run(|agent| install(agent, &mut shop, None)).unwrap_err();
        assert_eq!(e.exit(), Exit::TryLater, "{e}");
        assert!(e.to_string().contains("only the older 1.1.0 can be had"), "{e}");
        assert_eq!(state(&mut rig).target().unwrap().version, version("1.2.0"));
        let target = rig.run(|agent| install(agent, &mut shop, Some("1.1.0"))).unwrap();
        assert_eq!(state(&mut rig), bistable_boot::Saved::Staged(target));
    }
}

#[test]
fn trouble_on_the_way_to_one_release_does_not_stop_the_next() {
    let mut rig = device();
    let mut shop = shop();
    offers(&mut shop, 1, &["1.1.0", "1.2.0"], plain);
    let mut open = |flaws: &[Flaw]| {
        rig.run(|agent| {
            let mut found = look(&mut agent.device, &mut shop)?;
            shop.flaws = flaws.iter().copied().collect();
            found.open(&mut shop, None)?;
            Ok(found.report())
        })
    };
    let report = open(&[Flaw::Unreachable]).unwrap();
    assert_eq!(report.takes.as_deref(), Some("1.1.0"));
    assert_eq!(report.offers[0].verdict, "unusable");
    // If none is left, it is still trouble on the way.
    let e = open(&[Flaw::Unreachable; 2]).unwrap_err();
    assert!(matches!(&e, Error::Bundle(e) if e.is_transport()) && e.exit() == Exit::TryLater, "{e}");
}

fn version(text: &str) -> semver::Version {
    text.parse().unwrap()
}

#[test]
fn few_offers_that_cannot_be_opened_are_tried_at_a_time() {
    let mut rig = device();
    let mut shop = shop();
    let mut offers: Vec<Offer> = (1..=5).map(|n| offer(&made(&format!("2.{n}.0")))).collect();
    offers.push(stock(&mut shop, &made("1.1.0")));
    publish(&mut shop, &channel(SEEN + 1, offers.clone()));
    let e = rig.run(|agent| install(agent, &mut shop, None)).unwrap_err();
    assert!(e.to_string().starts_with("release 2.5.0 can't be used, nor the next 3 that fit: "), "{e}");
    offers.remove(0);
    publish(&mut shop, &channel(SEEN + 2, offers.clone()));
    rig.run(|agent| install(agent, &mut shop, None)).unwrap_err();
    offers.remove(0);
    publish(&mut shop, &channel(SEEN + 3, offers));
    update(&mut rig, &mut shop).unwrap();
    assert_eq!(running(&mut rig), "1.1.0");
}

#[test]
fn a_barrier_that_cannot_be_opened_is_still_not_passed() {
    let mut rig = device();
    let mut shop = shop();
    let barrier = Offer { passage: Passage::Barrier, ..offer(&made("1.1.0")) };
    let newer = stock(&mut shop, &made("1.2.0"));
    publish(&mut shop, &channel(SEEN + 1, vec![newer, barrier]));
    let e = rig.run(|agent| install(agent, &mut shop, None)).unwrap_err();
    assert_eq!(e.exit(), Exit::TryLater, "{e}");
    assert_eq!(running(&mut rig), "1.0.0");
}
