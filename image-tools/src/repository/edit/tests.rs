use super::*;
use crate::keys::SecretKey;
use bistable_format::KeyId;
use bistable_format::channel::{Act, Gates, Passage, Segment};
use bistable_format::choice::path;
use bistable_format::open::OpenList;
use bistable_format::rollout::{Rollout, RolloutState, WHOLE, Wave};
use bistable_format::{Extensions, Head, KeyKind, limits};
use proptest::prelude::*;
use semver::Version;

const NOW: u64 = 1_800_000_000;
const HOUR: u64 = 3600;

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed([n; 32], &format!("key {n}"), KeyKind::Production).unwrap()
}

fn channel(name: &str) -> Channel {
    Channel {
        head: Head::new(Digest::of(b"repository"), ""),
        name: name.into(),
        sequence: 1,
        previous: None,
        issued_at: NOW,
        lifetime: HOUR,
        act: Act { by: "ada".into(), verb: "publish".into(), about: String::new() },
        offers: OpenList::default(),
        withdrawn: OpenList::default(),
        pins: vec![],
        gates: Gates::default(),
        promoted_at: 0,
        catalog: vec![],
        extensions: Extensions::default(),
    }
}

fn offer(product: &str, version: &str) -> Offer {
    bistable_kit::product::offer(product, Version::parse(version).unwrap(), NOW)
}

fn requiring(version: &str, running: &str) -> Offer {
    let mut offer = offer("hub", version);
    offer.constraints.requires.running = Some(running.parse().unwrap());
    offer
}

fn with(name: &str, offers: &[Offer]) -> Channel {
    Channel { offers: offers.to_vec().into(), ..channel(name) }
}

/// What becomes of a channel; refused, it is as it was.
fn tried<T>(
    channel: &Channel,
    edit: impl FnOnce(&mut Channel) -> Result<T, EditError>,
) -> Result<Channel, EditError> {
    let mut after = channel.clone();
    match edit(&mut after) {
        Ok(_) => Ok(after),
        Err(e) => {
            assert_eq!(&after, channel, "{e}");
            Err(e)
        }
    }
}

fn versions(channel: &Channel) -> Vec<String> {
    let mut all: Vec<_> = channel.offers.iter().map(|o| o.constraints.version.to_string()).collect();
    all.sort();
    all
}

#[test]
fn publishing_says_why_not() {
    let there = with("staging", &[offer("hub", "1.0.0")]);
    let publish = |channel: &Channel, offer: Offer| tried(channel, |c| super::publish(c, offer, NOW));
    assert_eq!(versions(&publish(&there, offer("hub", "1.1.0")).unwrap()), ["1.0.0", "1.1.0"]);
    assert!(matches!(publish(&there, offer("hub", "1.0.0")), Err(EditError::AlreadyOffered { .. })));
    let mut other = offer("hub", "1.0.0");
    other.identity = Digest::of(b"other");
    assert!(matches!(publish(&there, other.clone()), Err(EditError::OtherContent { .. })));
    other.constraints.boards = vec!["pi5".into()];
    assert!(publish(&there, other).is_ok(), "another board's");
    let tested = Gates { attestations: vec![("tested".into(), key(7).public())], ..Gates::default() };
    for gates in
        [Gates { min_age: 1, ..Gates::default() }, Gates { min_interval: 1, ..Gates::default() }, tested]
    {
        let gated = Channel { gates, ..there.clone() };
        assert!(matches!(publish(&gated, offer("hub", "1.1.0")), Err(EditError::Gated { .. })));
        // What is on offer came in before.
        assert!(matches!(publish(&gated, offer("hub", "1.0.0")), Err(EditError::AlreadyOffered { .. })));
    }
    let id = there.offers[0].identity;
    let withdrawn = tried(&there, |c| withdraw(c, &id, "too hot", NOW)).unwrap();
    assert!(matches!(publish(&withdrawn, offer("hub", "1.0.0")), Err(EditError::Withdrawn { .. })));
}

#[test]
fn what_is_signed_again_keeps_its_offer() {
    let mut old = offer("hub", "1.0.0");
    old.passage = Passage::Barrier;
    old.rollout.waves = vec![Wave { at: NOW, over: 0, share: 100 }].into();
    let mut new = offer("hub", "1.0.0");
    (new.release, new.release_bytes, new.since) = (Digest::of(b"signed again"), 1100, NOW + HOUR);
    let want = Offer { release: new.release, release_bytes: 1100, ..old.clone() };
    let there = with("staging", &[old.clone()]);
    let after = tried(&there, |c| super::publish(c, new.clone(), NOW + HOUR)).unwrap();
    assert_eq!(*after.offers, std::slice::from_ref(&want));
    // Behind gates that it passed before.
    let mut into = with("production", &[old]);
    into.gates.min_age = 24 * HOUR;
    let how = Promotion { attested: &[], rollout: &Rollout::default(), now: NOW + HOUR };
    let after = tried(&into, |c| super::promote(&after, c, &new.identity, how)).unwrap();
    assert_eq!((after.offers, after.promoted_at), (vec![want].into(), 0));
}

#[test]
fn what_no_device_of_the_channel_could_install_is_refused() {
    let there = with("staging", &[offer("hub", "1.0.0"), offer("radio", "3.0.0")]);
    let mut fits = requiring("2.0.0", ">=1.0.0");
    fits.constraints.requires.components = vec![("radio".into(), ">=3".parse().unwrap())];
    let mut needs = offer("hub", "2.0.0");
    needs.constraints.requires.components = vec![("radio".into(), ">=4".parse().unwrap())];
    let mut unknown = offer("hub", "2.0.0");
    unknown.constraints.requires.components = vec![("bootloader".into(), ">=4".parse().unwrap())];
    let mut conflicts = offer("hub", "2.0.0");
    conflicts.constraints.requires.conflicts = vec![("radio".into(), "<4".parse().unwrap())];
    for (name, offer, fine) in [
        ("fits", fits, true),
        ("older than any", requiring("2.0.0", ">=1.5.0"), false),
        ("component too old", needs, false),
        ("component that isn't a product here", unknown, true),
        ("conflict with all", conflicts, false),
    ] {
        let tried = tried(&there, |c| super::publish(c, offer, NOW));
        match fine {
            true => assert!(tried.is_ok(), "{name}: {tried:?}"),
            false => assert!(matches!(tried, Err(EditError::Unsatisfiable { .. })), "{name}: {tried:?}"),
        }
    }
    // The first of a product comes onto cards.
    assert!(tried(&channel("new"), |c| super::publish(c, requiring("2.0.0", ">=1.5.0"), NOW)).is_ok());
}

/// A device that follows the channel a release is promoted into may not skip what it could not skip where that comes from.
#[test]
fn a_barrier_is_promoted_before_what_comes_after_it() {
    let mut barrier = offer("hub", "1.1.0");
    barrier.passage = Passage::Barrier;
    let mut other = offer("hub", "1.1.5");
    (other.passage, other.constraints.boards) = (Passage::Barrier, vec!["pi5".into()]);
    let (first, last) = (offer("hub", "1.0.0"), offer("hub", "1.2.0"));
    let from = with("staging", &[first.clone(), barrier.clone(), other, last.clone()]);
    let into = |offers: &[Offer], release: &Offer| {
        let how = Promotion { attested: &[], rollout: &Rollout::default(), now: NOW };
        tried(&with("production", offers), |c| super::promote(&from, c, &release.identity, how))
    };
    let refused = into(std::slice::from_ref(&first), &last);
    assert!(
        matches!(&refused, Err(EditError::Barrier { barrier, .. }) if barrier == "hub 1.1.0"),
        "{refused:?}"
    );
    for (name, offers, release) in [
        ("before it", vec![], &first),
        ("itself", vec![first.clone()], &barrier),
        ("after it", vec![first.clone(), barrier.clone()], &last),
        ("where all are past it", vec![offer("hub", "1.1.9")], &last),
    ] {
        let tried = into(&offers, release);
        assert!(tried.is_ok(), "{name}: {tried:?}");
    }
    let mut without = with("production", &[first, barrier.clone()]);
    withdraw(&mut without, &barrier.identity, "bad", NOW).unwrap();
    let how = Promotion { attested: &[], rollout: &Rollout::default(), now: NOW };
    assert!(tried(&without, |c| super::promote(&from, c, &last.identity, how)).is_ok());
}

/// Each gate is closed alone, and in this order when all are.
#[test]
fn gates_open_one_after_the_other() {
    let release = offer("hub", "1.0.0");
    let id = release.identity;
    let from = with("staging", &[release]);
    let tester = key(7).public();
    let mut into = channel("production");
    into.gates = Gates {
        min_age: 24 * HOUR,
        min_interval: 2 * HOUR,
        attestations: vec![("tested".into(), tester.clone())],
    };
    into.promoted_at = NOW + 23 * HOUR;
    let promote = |from: &Channel, into: &Channel, at: u64, attested: &[(String, KeyId)]| {
        let how = Promotion { attested, rollout: &Rollout::default(), now: at };
        tried(into, |c| super::promote(from, c, &id, how))
    };
    let yes = [("tested".to_owned(), tester.id())];
    let others: [&[(String, KeyId)]; 3] =
        [&[], &[("tested".to_owned(), key(8).public().id())], &[("built".to_owned(), tester.id())]];
    let young = promote(&from, &into, NOW + 24 * HOUR - 1, &[]);
    assert!(matches!(young, Err(EditError::TooYoung { needed: 86_400, age: 86_399, .. })), "{young:?}");
    let soon = promote(&from, &into, NOW + 24 * HOUR, &[]);
    assert!(matches!(soon, Err(EditError::TooSoon { ago: 3600, needed: 7200, .. })), "{soon:?}");
    for attested in others {
        let unattested = promote(&from, &into, NOW + 25 * HOUR, attested);
        assert!(matches!(unattested, Err(EditError::NotAttested { .. })), "{unattested:?}");
    }
    let done = promote(&from, &into, NOW + 25 * HOUR, &yes).unwrap();
    assert_eq!((done.promoted_at, done.offers[0].since), (NOW + 25 * HOUR, NOW + 25 * HOUR));
    // A clock that goes back opens no gate.
    assert!(matches!(promote(&from, &into, 0, &yes), Err(EditError::TooYoung { .. })));
    // Before all gates: what can't be anyway.
    assert!(matches!(promote(&from, &done, NOW, &[]), Err(EditError::AlreadyOffered { .. })));
    let bad = tried(&into, |c| {
        c.offers.push(from.offers[0].clone());
        withdraw(c, &id, "too hot", NOW)
    });
    assert!(matches!(promote(&from, &bad.unwrap(), NOW, &[]), Err(EditError::Withdrawn { .. })));
    let bad = tried(&from, |c| withdraw(c, &id, "too hot", NOW)).unwrap();
    assert!(matches!(promote(&bad, &into, NOW, &[]), Err(EditError::Withdrawn { .. })));
    assert!(matches!(promote(&channel("empty"), &into, NOW, &[]), Err(EditError::NotOffered { .. })));
    let halted = tried(&from, |c| super::change(c, &id, &Change::Halt, NOW)).unwrap();
    let refused = promote(&halted, &into, NOW + 25 * HOUR, &yes).unwrap_err();
    assert!(matches!(&refused, EditError::Halted { channel, .. } if channel == "staging"), "{refused}");
}

#[test]
fn rollouts_change_as_the_table_says() {
    let wave = |share, hours| Wave { at: NOW + hours * HOUR, over: 0, share };
    let waves = Rollout { waves: vec![wave(100, 0), wave(WHOLE, 24)].into(), ..Rollout::default() };
    let paced = |pace| Rollout { pace, ..waves.clone() };
    let (all, paused) = (Rollout::default(), paced(RolloutState::Paused(NOW)));
    let halted = Rollout { pace: RolloutState::Halted, ..all.clone() };
    let canary = |r: &Rollout, g: &str| Rollout { canaries: vec![g.into()], ..r.clone() };
    let more =
        Rollout { waves: vec![wave(100, 0), wave(WHOLE, 24), wave(1000, 1)].into(), ..Rollout::default() };
    let labs = Rollout { canaries: vec!["lab".into(), "desk".into()], ..all.clone() };
    let one = Rollout { waves: vec![wave(100, 0)].into(), ..Rollout::default() };
    let later = Rollout { waves: vec![wave(100, 2), wave(WHOLE, 26)].into(), ..Rollout::default() };
    let odd = Rollout { waves: vec![wave(0, 0)].into(), ..Rollout::default() };
    let many = Rollout { waves: vec![wave(1, 0); limits::WAVES + 1].into(), ..Rollout::default() };
    enum Want {
        Is(Rollout),
        Already,
        Invalid,
    }
    use Want::*;
    let table = [
        ("set", &all, Change::Replace(waves.clone()), Is(waves.clone())),
        ("set the same", &waves, Change::Replace(waves.clone()), Already),
        ("set nothing", &waves, Change::Replace(all.clone()), Invalid),
        ("set nothing, halted", &paced(RolloutState::Halted), Change::Replace(all.clone()), Invalid),
        ("set canaries alone", &halted, Change::Replace(canary(&all, "lab")), Is(canary(&all, "lab"))),
        ("a second group alone", &canary(&all, "lab"), Change::Canary("desk".into()), Is(labs)),
        ("a wave after canaries", &canary(&all, "lab"), Change::Wave(wave(100, 0)), Is(canary(&one, "lab"))),
        ("pause canaries", &canary(&all, "lab"), Change::Pause, Invalid),
        ("halt canaries", &canary(&all, "lab"), Change::Halt, Is(canary(&halted, "lab"))),
        ("everyone after canaries", &canary(&all, "lab"), Change::Everyone, Is(all.clone())),
        ("set a wave of nobody", &all, Change::Replace(odd), Invalid),
        ("set too many waves", &all, Change::Replace(many), Invalid),
        ("wave", &waves, Change::Wave(wave(1000, 1)), Is(more.clone())),
        ("the same wave again", &more, Change::Wave(wave(1000, 1)), Already),
        ("a wave that is too late", &more, Change::Wave(wave(1000, 2)), Already),
        ("a wave of nobody", &waves, Change::Wave(wave(0, 0)), Already),
        ("a wave of more than all", &waves, Change::Wave(wave(WHOLE + 1, 0)), Invalid),
        ("a wave where all are in", &all, Change::Wave(wave(1000, 1)), Invalid),
        ("canary", &waves, Change::Canary("lab".into()), Is(canary(&waves, "lab"))),
        ("the same canary", &canary(&waves, "lab"), Change::Canary("lab".into()), Already),
        ("a canary where all are in", &all, Change::Canary("lab".into()), Already),
        ("no name for a group", &waves, Change::Canary("a b".into()), Invalid),
        ("pause", &waves, Change::Pause, Is(paced(RolloutState::Paused(NOW + 2 * HOUR)))),
        ("pause again", &paused, Change::Pause, Already),
        ("pause where all are in", &all, Change::Pause, Invalid),
        ("pause what is halted", &halted, Change::Pause, Invalid),
        ("resume", &paused, Change::Resume, Is(later)),
        ("resume what runs", &waves, Change::Resume, Already),
        ("resume what was for all and halted", &halted, Change::Resume, Invalid),
        ("resume waves that were halted", &paced(RolloutState::Halted), Change::Resume, Invalid),
        ("halt", &waves, Change::Halt, Is(paced(RolloutState::Halted))),
        ("halt what is paused", &paused, Change::Halt, Is(paced(RolloutState::Halted))),
        ("halt again", &halted, Change::Halt, Already),
        ("everyone", &canary(&waves, "lab"), Change::Everyone, Is(all.clone())),
        ("everyone again", &all, Change::Everyone, Already),
        ("everyone, halted", &halted, Change::Everyone, Is(all.clone())),
    ];
    for (name, rollout, change, want) in table {
        let mut release = offer("hub", "1.0.0");
        release.rollout = rollout.clone();
        let (id, there) = (release.identity, with("staging", &[release]));
        let got = tried(&there, |c| super::change(c, &id, &change, NOW + 2 * HOUR));
        match (want, got) {
            (Is(want), Ok(after)) => assert_eq!(after.offers[0].rollout, want, "{name}"),
            (Already, Err(EditError::Already(_))) | (Invalid, Err(EditError::Invalid(_))) => {}
            (_, got) => panic!("{name}: {got:?}"),
        }
    }
    let none = tried(&channel("staging"), |c| super::change(c, &Digest::of(b"x"), &Change::Halt, NOW));
    assert!(matches!(none, Err(EditError::NotOffered { .. })));
}

#[test]
fn marks_and_withdrawals() {
    let there = with("staging", &[offer("hub", "1.0.0"), offer("hub", "1.1.0")]);
    let (id, missing) = (there.offers[0].identity, Digest::of(b"missing"));
    let pinned = tried(&there, |c| pin(c, &id)).unwrap();
    assert_eq!(pinned.pins, [id]);
    assert!(matches!(tried(&pinned, |c| pin(c, &id)), Err(EditError::Already(_))));
    assert!(matches!(tried(&there, |c| pin(c, &missing)), Err(EditError::NotOffered { .. })));
    assert!(matches!(tried(&there, |c| unpin(c, &id)), Err(EditError::Already(_))));
    assert_eq!(tried(&pinned, |c| unpin(c, &id)).unwrap(), there);
    let wall = tried(&there, |c| barrier(c, &id)).unwrap();
    assert_eq!(wall.offers[0].passage, Passage::Barrier);
    assert!(matches!(tried(&wall, |c| barrier(c, &id)), Err(EditError::Already(_))));
    let gone = tried(&pinned, |c| withdraw(c, &id, "too hot", NOW)).unwrap();
    assert_eq!(
        (versions(&gone), gone.pins.len(), gone.withdrawn[0].reason.as_str()),
        (vec!["1.1.0".into()], 0, "too hot")
    );
    assert!(matches!(tried(&gone, |c| withdraw(c, &id, "again", NOW)), Err(EditError::NotOffered { .. })));
    for reason in ["x".repeat(limits::REASON + 1), "two\nlines".into(), String::new(), "  ".into()] {
        assert!(matches!(tried(&there, |c| withdraw(c, &id, &reason, NOW)), Err(EditError::Invalid(_))));
    }
}

#[test]
fn boards_that_have_nowhere_to_go_are_named() {
    let mut wide = offer("hub", "1.0.0");
    wide.constraints.boards = vec!["pi4".into(), "pi5".into()];
    let boards = wide.constraints.boards.clone();
    let nowhere = |offers: &[Offer]| stranded(&with("staging", offers), ("hub", None), &boards);
    assert_eq!(nowhere(&[]), ["pi4", "pi5"]);
    assert_eq!(nowhere(&[offer("radio", "1.0.0"), offer("hub", "1.1.0")]), ["pi5"]);
    assert_eq!(nowhere(&[wide.clone()]), [""; 0]);
    wide.rollout.pace = RolloutState::Halted;
    assert_eq!(nowhere(&[wide]), ["pi4", "pi5"]);
}

#[test]
fn a_release_is_found_by_version_or_identity() {
    let there = with("staging", &[offer("hub", "1.0.0"), offer("radio", "1.0.0"), offer("hub", "1.1.0")]);
    let find = |product: Option<&str>, what: &str| {
        let selector = Selector { product: product.map(Into::into), ..Selector::new(what) };
        selector.find(&there).map(named)
    };
    assert_eq!(find(None, "1.1.0").unwrap(), "hub 1.1.0");
    assert_eq!(find(Some("radio"), "1.0.0").unwrap(), "radio 1.0.0");
    let id = there.offers[1].identity.to_string();
    assert_eq!(find(None, &id[..8]).unwrap(), "radio 1.0.0");
    assert!(matches!(find(None, &id[..7]), Err(EditError::NotOffered { .. })));
    assert!(matches!(find(None, "1.0.0"), Err(EditError::Ambiguous { .. })));
    let missing = find(Some("hub"), "2.0.0").unwrap_err().to_string();
    assert!(
        missing.contains("hub 2.0.0") && missing.contains("hub 1.1.0, hub 1.0.0, radio 1.0.0"),
        "{missing}"
    );
    let empty = Selector::new("1.0.0").find(&channel("new")).unwrap_err();
    assert!(empty.to_string().ends_with("it offers: nothing"), "{empty}");
}

fn of_component(name: &str, version: &str) -> Offer {
    let mut offer = offer("hub", version);
    offer.constraints.component = Some(name.into());
    offer.constraints.content = 2;
    offer.constraints.bytes = vec![1];
    offer.identity = Digest::of(format!("component {name} {version}").as_bytes());
    offer
}

#[test]
fn a_component_is_named_in_one_grammar() {
    let offers = [
        offer("hub", "2.0.0"),
        of_component("core", "2.0.0"),
        of_component("core", "1.9.0"),
        of_component("scheduler", "0.3.0"),
        offer("core", "2.0.0"),
    ];
    let mut there = with("staging", &offers);
    let core = offers[1].identity.to_string();
    for (product, component, what, found) in [
        (None, None, "hub 2.0.0", "hub 2.0.0"),
        (None, None, "hub/core 2.0.0", "hub/core 2.0.0"),
        (None, None, "core 1.9.0", "hub/core 1.9.0"),
        (None, None, "1.9.0", "hub/core 1.9.0"),
        (None, None, "scheduler", "hub/scheduler 0.3.0"),
        (None, None, "hub/scheduler", "hub/scheduler 0.3.0"),
        (None, None, "hub", "hub 2.0.0"),
        (None, None, &core[..9], "hub/core 2.0.0"),
        (None, Some("core"), "2.0.0", "hub/core 2.0.0"),
        (Some("hub"), Some("scheduler"), "", "hub/scheduler 0.3.0"),
        (Some("core"), None, "", "core 2.0.0"),
        (Some("hub"), None, "core 2.0.0", "hub/core 2.0.0"),
    ] {
        let selector = Selector {
            product: product.map(Into::into),
            component: component.map(Into::into),
            what: what.into(),
        };
        assert_eq!(selector.find(&there).map(named).as_deref(), Ok(found), "{selector:?}");
    }
    for (what, shown) in
        [("2.0.0", "2.0.0"), ("core 2.0.0", "core 2.0.0"), ("hub/core", "hub/core"), ("", "release")]
    {
        let found = Selector::new(what).find(&there);
        let ambiguous = EditError::Ambiguous { channel: "staging".into(), what: shown.into() };
        assert_eq!(found.err(), Some(ambiguous), "{what}");
    }
    for what in ["hub/radio 2.0.0", "radio", "hub 1.9.0", "core/hub 2.0.0", "hub/core/x 2.0.0", "core  2.0.0"]
    {
        let found = Selector::new(what).find(&there);
        assert!(matches!(found, Err(EditError::NotOffered { .. })), "{what}: {found:?}");
    }
    withdraw(&mut there, &offers[2].identity, "leaks", NOW).unwrap();
    let gone = Selector::new("core 1.9.0").find(&there).unwrap_err().to_string();
    assert!(gone.starts_with("hub/core 1.9.0 was withdrawn from channel staging (leaks)"), "{gone}");
    // Another component's version is not what was withdrawn.
    assert!(matches!(Selector::new("scheduler 1.9.0").find(&there), Err(EditError::NotOffered { .. })));
}

#[test]
fn images_and_components_of_a_channel_do_not_disturb_each_other() {
    let mut channel = with("staging", &[offer("hub", "2.0.0"), of_component("core", "2.0.0")]);
    // The same version, a lower security version, a lower version: each only matters for the same.
    let mut scheduler = of_component("scheduler", "2.0.0");
    scheduler.constraints.security_version = 0;
    channel.offers[0].constraints.security_version = 7;
    publish(&mut channel, scheduler, NOW).unwrap();
    let again = Offer { identity: Digest::of(b"again"), ..of_component("core", "2.0.0") };
    assert!(matches!(publish(&mut channel, again, NOW), Err(EditError::OtherContent { .. })));
    // `requires` names the product's components and its image.
    let requiring = |name: &str, req: &str| {
        let mut offer = of_component("panel", "1.0.0");
        offer.constraints.requires.components = vec![(name.into(), req.parse().unwrap())];
        offer
    };
    for (name, req, problem) in [
        ("hub", ">=2", None),
        ("core", "^2", None),
        ("elsewhere", "^9", None),
        ("hub", ">=3", Some("it requires hub >=3, and the channel has 2.0.0")),
        ("core", "^3", Some("it requires core ^3, and the channel has 2.0.0")),
    ] {
        let published = publish(&mut channel.clone(), requiring(name, req), NOW);
        match problem {
            None => assert_eq!(published, Ok(()), "{name} {req}"),
            Some(problem) => assert!(published.unwrap_err().to_string().ends_with(problem), "{name} {req}"),
        }
    }
    assert_eq!(stranded(&channel, ("hub", Some("core")), &["pi4".into()]), [""; 0]);
    let identity = channel.offers[1].identity;
    withdraw(&mut channel, &identity, "leaks", NOW).unwrap();
    assert_eq!(stranded(&channel, ("hub", Some("core")), &["pi4".into()]), ["pi4"]);
    assert_eq!(channel.withdrawn[0].component.as_deref(), Some("core"));
}

/// 64 releases, and what makes room for the next.
#[test]
fn room_is_made_by_the_oldest_that_is_not_needed() {
    let all = |requires: &str| -> Vec<Offer> {
        let make = |n: usize| match requires {
            "" => offer("hub", &format!("1.{n}.0")),
            "before" if n > 0 => requiring(&format!("1.{n}.0"), &format!("=1.{}.0", n - 1)),
            "before" => offer("hub", "1.0.0"),
            all => requiring(&format!("1.{n}.0"), all),
        };
        (0..limits::OFFERS).map(|n| Offer { since: NOW + n as u64, ..make(n) }).collect()
    };
    let gone = |offers: Vec<Offer>, coming: Offer, pins: &[usize]| {
        let mut there = with("staging", &offers);
        there.pins = pins.iter().map(|n| offers[*n].identity).collect();
        let after = tried(&there, |c| super::publish(c, coming, NOW + HOUR))?;
        assert_eq!(after.offers.len(), limits::OFFERS);
        let gone = offers.iter().find(|o| after.offer(&o.identity).is_none());
        Ok::<_, EditError>(gone.unwrap().constraints.version.minor)
    };
    let next = || offer("hub", "2.0.0");
    assert_eq!(gone(all(""), next(), &[]), Ok(0));
    assert_eq!(gone(all(""), next(), &[0, 1]), Ok(2));
    let mut walls = all("");
    walls[0].passage = Passage::Barrier;
    walls[1].rollout.waves = vec![Wave { at: NOW, over: 0, share: 10 }].into();
    assert_eq!(gone(walls, next(), &[]), Ok(2));
    // All require a version that the oldest alone is: the second oldest goes.
    assert_eq!(gone(all(">=1.0.0"), next(), &[]), Ok(1));
    assert!(matches!(gone(all("before"), next(), &[]), Err(EditError::Full { offers: 64, .. })));
    // One of another product or board is needed, however old.
    let mut others = all("");
    others[0] = offer("radio", "0.1.0");
    others[1].constraints.boards = vec!["pi5".into()];
    assert_eq!(gone(others, next(), &[]), Ok(2));
}

#[test]
fn what_a_device_could_miss_is_not_retired() {
    let hub = |versions: &[&str]| versions.iter().map(|v| offer("hub", v)).collect::<Vec<_>>();
    let four = || with("staging", &hub(&["1.0.0", "1.1.0", "1.2.0", "1.3.0"]));
    let oldest = |channel: &Channel, brought: &Brought| {
        let id = channel.offers.iter().min_by_key(|o| o.constraints.version.clone()).unwrap().identity;
        match tried(channel, |c| retire(c, &id, brought, NOW + HOUR)) {
            Ok(after) => Ok(versions(&after)),
            Err(EditError::Needed { why, .. }) => Err(why),
            Err(e) => panic!("{e}"),
        }
    };
    let none = Brought::new();
    assert_eq!(oldest(&four(), &none).unwrap(), ["1.1.0", "1.2.0", "1.3.0"]);
    let with_change = |change: &dyn Fn(&mut Channel)| {
        let mut there = four();
        change(&mut there);
        oldest(&there, &none)
    };
    let ten_percent = || vec![Wave { at: NOW, over: 0, share: 10 }].into();
    assert_eq!(with_change(&|c| c.offers[0].passage = Passage::Barrier), Err(Need::Barrier));
    assert_eq!(with_change(&|c| c.pins.push(c.offers[0].identity)), Err(Need::Pinned));
    assert_eq!(with_change(&|c| c.offers[0].rollout.waves = ten_percent()), Err(Need::RollingOut));
    assert_eq!(with_change(&|c| c.offers[0].rollout.pace = RolloutState::Halted), Err(Need::RollingOut));
    let newest = || Err(Need::Newest { boards: vec!["pi4".into()] });
    assert_eq!(with_change(&|c| c.offers.truncate(1)), newest());
    assert_eq!(
        with_change(&|c| c.offers.iter_mut().skip(1).for_each(|o| o.rollout.waves = ten_percent())),
        newest()
    );
    assert_eq!(
        with_change(&|c| c.offers.iter_mut().skip(1).for_each(|o| o.constraints.boards = vec!["pi5".into()])),
        newest()
    );
    // Whoever is on an older one comes to the newest from here only.
    let mut through = four();
    through.offers[3].constraints.requires.running = Some("=1.0.0".parse().unwrap());
    assert_eq!(oldest(&through, &none), Err(Need::OnlyWay { to: "hub 1.3.0".into() }));

    // Components: an image that brings one along, and a release that takes no newer one.
    let core = |version| of_component("core", version);
    let mut parts =
        with("staging", &[core("0.1.0"), core("0.2.0"), offer("hub", "1.0.0"), offer("hub", "1.1.0")]);
    let (image, first) = (parts.offers[3].identity, parts.offers[0].identity);
    let brings = |image| Brought::from([(image, vec![first])]);
    assert_eq!(oldest(&parts, &brings(image)), Err(Need::Bound { by: "hub 1.1.0".into() }));
    assert!(oldest(&parts, &brings(Digest::of(b"an image that is not on offer"))).is_ok());
    parts.offers[3].constraints.requires.components = vec![("core".into(), "^0.1".parse().unwrap())];
    assert_eq!(oldest(&parts, &none), Err(Need::Required { by: "hub 1.1.0".into() }));
    // Already so before: nothing gets worse.
    parts.offers[3].constraints.requires.components = vec![("core".into(), "^7".parse().unwrap())];
    assert!(oldest(&parts, &none).is_ok());
}

#[test]
fn all_but_the_newest_are_retired() {
    let there = with("staging", &["1.0.0", "1.1.0", "1.2.0", "1.3.0"].map(|v| offer("hub", v)));
    let all = Selector::default();
    let names = |retired: &Retired| retired.gone.iter().map(named).collect::<Vec<_>>();
    for (keep, gone, left) in [
        (1, &["hub 1.0.0", "hub 1.1.0", "hub 1.2.0"][..], &["1.3.0"][..]),
        (3, &["hub 1.0.0"], &["1.1.0", "1.2.0", "1.3.0"]),
        (4, &[], &["1.0.0", "1.1.0", "1.2.0", "1.3.0"]),
        (0, &["hub 1.0.0", "hub 1.1.0", "hub 1.2.0"], &["1.3.0"]),
    ] {
        let mut after = there.clone();
        let retired = retire_all_but(&mut after, &all, keep, &Brought::new(), NOW + HOUR).unwrap();
        assert_eq!(
            (names(&retired), versions(&after)),
            (gone.iter().map(ToString::to_string).collect(), left.iter().map(ToString::to_string).collect()),
            "{keep}"
        );
    }
    // The one before, which is needed, is named; an image goes before the component that it brings along.
    let mut parts = there.clone();
    parts.offers[1].passage = Passage::Barrier;
    let core = ["0.1.0", "0.2.0"].map(|version| of_component("core", version));
    let brought = Brought::from([(parts.offers[0].identity, vec![core[0].identity])]);
    parts.offers.extend(core);
    let retired = retire_all_but(&mut parts, &all, 1, &brought, NOW + HOUR).unwrap();
    assert_eq!(names(&retired), ["hub 1.0.0", "hub 1.2.0", "hub/core 0.1.0"]);
    assert_eq!(
        retired.stay.iter().map(|(o, why)| (named(o), why.clone())).collect::<Vec<_>>(),
        [("hub 1.1.0".into(), Need::Barrier)]
    );
    let other = Selector::new("radio");
    assert!(matches!(
        retire_all_but(&mut parts, &other, 1, &brought, NOW),
        Err(EditError::NotOffered { .. })
    ));
}

/// Large releases take each other's room before the channel has too many.
#[test]
fn room_is_counted_in_bytes_too() {
    let mut there = channel("staging");
    for n in 0..100 {
        let mut large = large(n, 40);
        large.since = NOW + n as u64;
        there = tried(&there, |c| super::publish(c, large, NOW)).unwrap();
        assert!(there.seal(&[key(1).signing()]).is_ok());
    }
    assert!((10..limits::OFFERS).contains(&there.offers.len()), "{}", there.offers.len());
    assert!(versions(&there).contains(&"1.99.0".into()) && !versions(&there).contains(&"1.0.0".into()));
}

/// A large release, and 30 bytes more of it for each letter.
fn large(minor: usize, letters: usize) -> Offer {
    let mut large = offer("hub", &format!("1.{minor}.0"));
    large.constraints.requires.components =
        (0..30).map(|i| (format!("component-{i}-{}", "x".repeat(letters)), ">=1".parse().unwrap())).collect();
    large
}

/// With all that a commit adds after an edit.
fn seals(mut channel: Channel) -> bool {
    channel.catalog.push(Segment { digest: Digest::of(b"new"), bytes: u32::MAX, entries: u32::MAX });
    channel.act.about = "x".repeat(limits::REASON);
    channel.seal(&[key(1).signing()]).is_ok()
}

#[test]
fn a_full_channel_has_room_for_the_rest_of_the_act() {
    let mut there = with("staging", &[offer("hub", "0.1.0")]);
    while there.payload_bytes() < limits::ENVELOPE_PAYLOAD - 3000 {
        let count = there.offers.len();
        there.offers.push(large(count, 40));
    }
    // What comes fills the rest up, with a little more each time.
    for letters in 0..40 {
        let full = tried(&there, |c| super::publish(c, large(900, letters), NOW)).unwrap();
        assert!(seals(full.clone()), "{letters} letters: {} bytes", full.payload_bytes());
    }
    let withdrawal = |n: usize| Withdrawal {
        product: "hub".into(),
        component: None,
        version: Version::new(0, 0, n as u64),
        identity: Digest::of(&n.to_le_bytes()),
        reason: "x".repeat(limits::REASON),
        at: NOW,
        extensions: Extensions::default(),
    };
    while there.payload_bytes() < limits::ENVELOPE_PAYLOAD - 260 {
        let count = there.withdrawn.len();
        there.withdrawn.push(withdrawal(count));
    }
    let id = there.offers[0].identity;
    for letters in 1..=limits::REASON {
        let full = tried(&there, |c| withdraw(c, &id, &"x".repeat(letters), NOW)).unwrap();
        assert!(seals(full.clone()), "{letters} letters: {} bytes", full.payload_bytes());
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Publish { minor: u64, requires: Option<u64>, pi5: bool, barrier: bool, waves: bool },
    Promote(usize),
    Withdraw(usize),
    Pin(usize),
    Unpin(usize),
    Change(usize, Change),
}

fn edits() -> impl Strategy<Value = Edit> {
    let change = prop_oneof![
        (0..=WHOLE + 1, 0..48_u64).prop_map(|(share, h)| Change::Wave(Wave {
            at: NOW + h * HOUR,
            over: 0,
            share
        })),
        "[a-z]{0,3}".prop_map(Change::Canary),
        Just(Change::Pause),
        Just(Change::Resume),
        Just(Change::Halt),
        Just(Change::Everyone),
    ];
    let publish = (
        0..200_u64,
        prop::option::of(0..200_u64),
        any::<bool>(),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(minor, requires, pi5, barrier, waves)| Edit::Publish {
            minor,
            requires,
            pi5,
            barrier,
            waves,
        });
    prop_oneof![
        12 => publish,
        4 => (0..64_usize).prop_map(Edit::Promote),
        1 => (0..64_usize).prop_map(Edit::Withdraw),
        1 => (0..64_usize).prop_map(Edit::Pin),
        1 => (0..64_usize).prop_map(Edit::Unpin),
        2 => (0..64_usize, change).prop_map(|(n, c)| Edit::Change(n, c)),
    ]
}

fn apply(edit: &Edit, staging: &mut Channel, production: &mut Channel, now: u64) -> Result<(), EditError> {
    let nth = |channel: &Channel, n: usize| match channel.offers.len() {
        0 => Digest::of(b"nothing"),
        len => channel.offers[n % len].identity,
    };
    match edit {
        Edit::Publish { minor, requires, pi5, barrier, waves } => {
            let version = format!("1.{minor}.0");
            let mut new = match requires {
                Some(least) => requiring(&version, &format!(">=1.{least}.0")),
                None => offer("hub", &version),
            };
            if *pi5 {
                new.constraints.boards.push("pi5".into());
            }
            if *barrier {
                new.passage = Passage::Barrier;
            }
            if *waves {
                new.rollout.waves = vec![Wave { at: now, over: 0, share: 100 }].into();
            }
            new.since = now;
            super::publish(staging, new, now)
        }
        Edit::Promote(n) => {
            let id = nth(staging, *n);
            super::promote(
                staging,
                production,
                &id,
                Promotion { attested: &[], rollout: &Rollout::default(), now },
            )
        }
        Edit::Withdraw(n) => withdraw(staging, &nth(staging, *n), "bad", now),
        Edit::Pin(n) => pin(staging, &nth(staging, *n)),
        Edit::Unpin(n) => unpin(staging, &nth(staging, *n)),
        Edit::Change(n, change) => super::change(staging, &nth(staging, *n), change, now),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever is edited: it can be sealed, refused edits change nothing, and what makes room was not needed.
    #[test]
    fn any_edits_keep_a_channel_whole(edits in prop::collection::vec(edits(), 0..80)) {
        let (mut staging, mut production) = (channel("staging"), channel("production"));
        staging.offers = (0..60).map(|n| offer("hub", &format!("1.{}.0", 3 * n))).collect();
        for (now, edit) in (NOW..).step_by(60).zip(&edits) {
            let before = (staging.clone(), production.clone());
            let done = apply(edit, &mut staging, &mut production, now);
            if done.is_err() {
                prop_assert_eq!((&before.0, &before.1), (&staging, &production));
                continue;
            }
            for channel in [&staging, &production] {
                prop_assert_eq!(channel.check(), Ok(()));
                prop_assert!(channel.offers.len() <= limits::OFFERS);
                prop_assert!(channel.pins.iter().all(|pin| channel.offer(pin).is_some()));
            }
            if !matches!(edit, Edit::Publish { .. }) {
                continue;
            }
            let gone: Vec<&Offer> = before.0.offers.iter().filter(|o| staging.offer(&o.identity).is_none()).collect();
            for o in &gone {
                prop_assert!(o.passage == Passage::Free && o.rollout.is_done(now) && !before.0.pins.contains(&o.identity));
            }
            let newest = staging.offers.iter().map(|o| &o.constraints.version).max().unwrap();
            for minor in (0..200).step_by(7).chain([0]).filter(|_| !gone.is_empty()) {
                for board in ["pi4", "pi5"] {
                    let from = Version::new(1, minor, 0);
                    let [was, is] = [&[before.0.offers.to_vec(), staging.offers.to_vec()].concat()[..], &staging.offers]
                        .map(|offers| path(offers, "hub", board, &from, newest).is_ok());
                    prop_assert!(!was || is, "from {} on {}: {:?} went", from, board, gone);
                }
            }
        }
    }
}

#[test]
fn security_version_never_falls_from_an_older_release_to_a_newer_one() {
    let secure = |version: &str, security: u32, board: &str| {
        let mut offer = offer("hub", version);
        (offer.constraints.security_version, offer.constraints.boards) = (security, vec![board.into()]);
        offer
    };
    let there = with("staging", &[secure("1.1.0", 3, "pi4")]);
    for (new, fine) in [
        (secure("1.2.0", 3, "pi4"), true),
        (secure("1.2.0", 4, "pi4"), true),
        (secure("1.2.0", 2, "pi4"), false),
        (secure("1.2.0", 2, "pi5"), true),
        // An older one may have a lower one: devices' floors keep it from them.
        (secure("1.0.5", 2, "pi4"), true),
    ] {
        let published = publish(&mut there.clone(), new.clone(), NOW);
        let refused = matches!(&published, Err(EditError::SecurityVersion { found: 2, needed: 3, .. }));
        assert_eq!((published.is_ok(), refused), (fine, !fine), "{published:?}");
        let mut into = with("production", &[secure("1.1.0", 3, "pi4")]);
        let from = with("staging", std::slice::from_ref(&new));
        let how = Promotion { attested: &[], rollout: &Rollout::default(), now: NOW };
        assert_eq!(promote(&from, &mut into, &new.identity, how).is_ok(), fine);
        assert_eq!(raises_security(&there, &new).is_ok(), new.constraints.security_version > 3);
    }
    assert_eq!(raises_security(&channel("staging"), &secure("1.0.0", 0, "pi4")), Ok(()));
}
