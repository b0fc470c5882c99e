//! Open kinds and lists, and extensions: what a later version adds is passed over, kept, and never taken for something else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::attestation::Attestation;
use bistable_format::channel::Withdrawal;
use bistable_format::choice::{Chooser, Verdict, choose};
use bistable_format::compat::{self, Device, Direction, Incompatible};
use bistable_format::extensions::Extension;
use bistable_format::open::Unknown;
use bistable_format::rollout::{Admission, Member, Rollout, RolloutState, WHOLE};
use bistable_format::{
    Bound, Channel, ChunkList, Content, DecodeError, Delta, Digest, Extensions, Offer, Release, Root,
    Urgency, limits,
};
use common::{
    attestation, bound, channel, containers_release, delta, delta_list, directory_release, extensions, frame,
    key, list, offer, raw_channel, raw_list, raw_offer, raw_release, raw_wave, release, repository, root,
    sealed_as, signer, withdrawal,
};
use proptest::prelude::*;
use semver::Version;

/// Decodes and writes the same bytes again.
fn kept(payload: &[u8]) -> Release {
    let release = Release::decode(payload).unwrap();
    assert_eq!(release.encode().unwrap(), payload);
    release
}

fn kept_channel(payload: &[u8]) -> Channel {
    let channel = Channel::decode(payload).unwrap();
    assert_eq!(frame(&channel), payload);
    channel
}

#[test]
fn the_fixtures_are_what_the_raw_writers_write() {
    let offers: Vec<_> = channel()
        .offers
        .iter()
        .map(|o| raw_offer(o, &o.rollout.waves.iter().map(frame).collect::<Vec<_>>()))
        .collect();
    let withdrawn: Vec<_> = channel().withdrawn.iter().map(frame).collect();
    assert_eq!(raw_channel(&channel(), &offers, &withdrawn), frame(&channel()));
    let bound: Vec<_> = release().bound.iter().map(frame).collect();
    assert_eq!(raw_release(&release(), &bound), release().encode().unwrap());
}

fn unknown(kind: u16, bytes: &[u8]) -> Unknown {
    Unknown { kind, bytes: bytes.to_vec() }
}

/// The fields of a content on the wire.
fn fields(content: &Content) -> Vec<u8> {
    match content {
        Content::Image(image) => frame(image),
        Content::Directory(directory) => frame(directory),
        Content::Containers(containers) => frame(containers),
        Content::Unknown(unknown) => unknown.bytes.clone(),
    }
}

#[test]
fn a_release_of_an_unknown_content_kind_is_read_kept_and_not_installed() {
    for (kind, name) in [(0, "unknown kind 0"), (4, "unknown kind 4"), (u16::MAX, "unknown kind 65535")] {
        let content = Content::Unknown(unknown(kind, b"a module"));
        let made = Release { content: content.clone(), component: Some("module".into()), ..release() };
        let read = kept(&made.encode().unwrap());
        assert_eq!((&read.content, read.content.kind()), (&content, kind));
        assert!(read.content.artifacts().is_empty() && read.content.blobs().is_empty());
        assert_eq!(read.volumes(), None);
        let reasons = judge(&read.constraints());
        let text = format!(
            "it is a version of component module ({name}), and this version of Bistable installs images only"
        );
        assert_eq!(reasons.iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
    }
}

/// What a device for which an image would fit says.
fn judge(constraints: &bistable_format::Constraints) -> Vec<Incompatible> {
    let running = Version::new(1, 3, 9);
    let components = [("boot-loader".into(), Version::new(2, 4, 0))];
    let device = Device {
        product: "thermostat",
        board: "pi5",
        running: Some(&running),
        security_floor: 3,
        components: &components,
        boot_bytes: 64 << 20,
        system_bytes: 1 << 30,
    };
    compat::check(constraints, &device, Direction::Forward)
}

#[test]
fn a_known_content_in_an_unknown_form_is_not_understood() {
    for (release, name) in [(directory_release(), "directory"), (containers_release(), "containers")] {
        let kind = release.content.kind();
        let good = fields(&release.content);
        let forms = [[&good[..], &[0]].concat(), good[..good.len() - 1].to_vec(), vec![]];
        for bytes in forms {
            let content = Content::Unknown(unknown(kind, &bytes));
            let later = Release { content: content.clone(), ..release.clone() };
            let read = kept(&later.encode().unwrap());
            assert_eq!(read.content, content, "{name}");
            let reasons = judge(&Release { head: release.head.clone(), ..read }.constraints());
            let [Incompatible::NotNewer { .. } | Incompatible::Content { .. }, ..] = &reasons[..] else {
                panic!("{name}: {reasons:?}")
            };
            assert!(reasons.iter().any(|r| matches!(r, Incompatible::Content { kind: k, .. } if *k == kind)));
        }
    }
    // The constraints of an image name its volumes: without them it is refused.
    let good = fields(&release().content);
    for bytes in [[&good[..], &[0]].concat(), good[..9].to_vec(), vec![]] {
        let later = Release { content: Content::Unknown(unknown(1, &bytes)), ..release() };
        let refused = DecodeError::Kind { what: "release: content", kind: 1 };
        assert_eq!(Release::decode(&frame(&later)), Err(refused.clone()));
        assert_eq!(later.encode(), Err(refused));
    }
}

#[test]
fn an_unknown_urgency_is_kept_and_treated_as_normal() {
    for (kind, bytes) in [(0, &b""[..]), (3, b""), (1, b"x"), (2, b"x"), (u16::MAX, b"soon")] {
        let urgency = Urgency::Unknown(unknown(kind, bytes));
        let read = kept(&Release { urgency: urgency.clone(), ..release() }.encode().unwrap());
        assert_eq!((&read.urgency, read.urgency.name()), (&urgency, "unknown"));
        assert_ne!(read.urgency, Urgency::Security);
        assert_eq!(judge(&read.constraints()), [], "it is no reason against a release");
    }
    for urgency in [Urgency::Normal, Urgency::Security] {
        assert_eq!(
            kept(&Release { urgency: urgency.clone(), ..release() }.encode().unwrap()).urgency,
            urgency
        );
    }
}

/// The channel with one offer that has these waves, and the offer.
fn with_waves(pace: RolloutState, waves: &[Vec<u8>]) -> Channel {
    let mut one = offer();
    one.rollout.pace = pace;
    kept_channel(&raw_channel(&channel(), &[raw_offer(&one, waves)], &[]))
}

fn admission(rollout: &Rollout, seed: u32, group: Option<&str>) -> Admission {
    rollout.admits(&Member { seed: &seed.to_le_bytes(), group }, &offer().identity, u64::MAX)
}

#[test]
fn unknown_wave_lets_no_device_in() {
    let all = frame(&(1u16, 0u64, 0u32, WHOLE));
    let strange = [raw_wave(2, &[1, 2, 3]), raw_wave(1, &[0, 0, 0x90, 0x4e, 9]), raw_wave(0, &[]), vec![]];
    let whys = [
        DecodeError::Kind { what: "channel: wave", kind: 2 },
        DecodeError::Trailing("channel: wave"),
        DecodeError::Kind { what: "channel: wave", kind: 0 },
        DecodeError::Malformed("channel: wave"),
    ];
    // Only unknown waves: no device, not all of them.
    let nobody = with_waves(RolloutState::Running, &strange);
    let rollout = &nobody.offers[0].rollout;
    let found: Vec<_> = rollout.waves.unreadable().iter().map(|u| u.why.clone()).collect();
    assert_eq!((rollout.waves.len(), rollout.waves.total(), &found[..]), (0, 4, &whys[..]));
    for seed in 0..200 {
        assert_eq!(admission(rollout, seed, None), Admission::NoWave);
        assert_eq!(admission(rollout, seed, Some("lab")), Admission::Canary);
    }
    assert_eq!((rollout.share(u64::MAX), rollout.last_share(), rollout.is_done(u64::MAX)), (0, 0, false));
    // Beside a known one, only that counts.
    let some = with_waves(RolloutState::Running, &[&[all][..], &strange].concat());
    let rollout = &some.offers[0].rollout;
    assert_eq!(admission(rollout, 1, None), Admission::Wave(1));
    assert_eq!((rollout.share(0), rollout.is_done(0)), (WHOLE, true));
    let paused = with_waves(RolloutState::Paused(u64::MAX), &strange);
    assert_eq!(admission(&paused.offers[0].rollout, 1, None), Admission::Paused);
    let halted = with_waves(RolloutState::Halted, &strange);
    assert_eq!(admission(&halted.offers[0].rollout, 1, Some("lab")), Admission::Halted);
    // Without any wave, the groups alone get it.
    let alone = with_waves(RolloutState::Running, &[]);
    assert_eq!(admission(&alone.offers[0].rollout, 1, None), Admission::NoWave);
    assert_eq!(admission(&alone.offers[0].rollout, 1, Some("lab")), Admission::Canary);
}

#[test]
fn a_device_does_not_take_an_offer_whose_waves_it_cannot_read() {
    let nobody = with_waves(RolloutState::Running, &[raw_wave(7, b"by region")]);
    let choice = choose(&nobody, &chooser(None));
    assert_eq!((choice.taken, &choice.considered[0].verdict), (None, &Verdict::Waits(Admission::NoWave)));
    assert_eq!(choose(&nobody, &chooser(Some("lab"))).taken, Some(&nobody.offers[0]));
}

/// A device for which the fixture's offer fits.
fn chooser(group: Option<&'static str>) -> Chooser<'static> {
    static RUNNING: Version = Version::new(1, 3, 9);
    static COMPONENTS: std::sync::LazyLock<Vec<(String, Version)>> =
        std::sync::LazyLock::new(|| vec![("boot-loader".into(), Version::new(2, 4, 0))]);
    Chooser {
        device: Device {
            product: "thermostat",
            board: "pi5",
            running: Some(&RUNNING),
            security_floor: 3,
            components: &COMPONENTS,
            boot_bytes: 64 << 20,
            system_bytes: 1 << 30,
        },
        running: None,
        member: Member { seed: b"seed", group },
        rejected: &[],
        now: u64::MAX,
    }
}

#[test]
fn a_list_with_an_unknown_encoding_is_refused() {
    let digest = Digest::of(b"frame");
    let (full, artifact) = list();
    let (of_delta, making) = delta_list();
    let good = |bytes: u32| (2u16, frame(&(bytes, digest)));
    let with = |strange: (u16, Vec<u8>)| vec![good(100_000), good(19), good(262_160), strange];
    let rest = frame(&(33u32, digest));
    assert!(ChunkList::decode(&raw_list(&full, &with((2, rest.clone()))), &artifact).is_ok());
    let longer = [&rest[..], &[0]].concat();
    for (kind, fields) in [
        (0, rest.clone()),
        (5, rest.clone()),
        (u16::MAX, vec![]),
        (1, longer.clone()),
        (2, longer.clone()),
        (2, rest[..9].to_vec()),
        (3, longer),
        (4, vec![]),
    ] {
        let error = DecodeError::Kind { what: "chunk encoding", kind };
        let bytes = raw_list(&full, &with((kind, fields.clone())));
        assert_eq!(ChunkList::decode(&bytes, &artifact), Err(error.clone()), "{kind} {fields:?}");
        let bytes = raw_list(&of_delta, &with((kind, fields)));
        assert_eq!(making.decode(&bytes), Err(error), "{kind} in a delta");
    }
}

#[test]
fn one_undecodable_offer_leaves_the_others_usable() {
    let bad_constraints = Offer {
        constraints: bistable_format::Constraints { boards: vec![], ..offer().constraints },
        ..offer()
    };
    let strange = [
        (vec![], DecodeError::Malformed("channel: offer")),
        (b"something of 2030".to_vec(), DecodeError::Malformed("channel: offer")),
        ([frame(&offer()), vec![0]].concat(), DecodeError::Trailing("channel: offer")),
        (
            frame(&Offer { extensions: extensions(9), ..offer() }),
            DecodeError::Extension { what: "channel: offer", id: 9 },
        ),
        (
            frame(&bad_constraints),
            DecodeError::Invalid { what: "release: boards", problem: "1 to 32 boards are needed".into() },
        ),
    ];
    let mut other = offer();
    other.identity = Digest::of(b"another release");
    other.constraints.version = Version::new(1, 3, 95);
    let good = [frame(&offer()), frame(&other)];
    let frames: Vec<_> = good.iter().cloned().chain(strange.iter().map(|(bytes, _)| bytes.clone())).collect();
    let read = kept_channel(&raw_channel(&channel(), &frames, &[]));
    assert_eq!(&read.offers[..], [offer(), other.clone()]);
    assert_eq!(read.offers.total(), 7);
    let unreadable: Vec<_> =
        read.offers.unreadable().iter().map(|u| (u.bytes.clone(), u.why.clone())).collect();
    assert_eq!(unreadable, strange);
    let choice = choose(&read, &chooser(Some("lab")));
    assert_eq!(choice.taken, Some(&offer()));
    assert_eq!(choice.considered.len(), 2, "what can't be read is no offer");
    // Signed again by this version, nothing is lost; and where an entry stood doesn't matter.
    let sealed = read.seal(&[&signer(5)]).unwrap();
    assert_eq!(Channel::open(&sealed, &root()), Ok(read.clone()));
    let mut first: Vec<_> = frames.clone();
    first.rotate_left(2);
    assert_eq!(Channel::decode(&raw_channel(&channel(), &first, &[])), Ok(read));
}

#[test]
fn one_undecodable_withdrawal_leaves_the_others_in_force() {
    let strange = [
        (b"?".to_vec(), DecodeError::Malformed("channel: withdrawal")),
        ([frame(&withdrawal()), vec![7]].concat(), DecodeError::Trailing("channel: withdrawal")),
        (
            frame(&Withdrawal { extensions: extensions(1), ..withdrawal() }),
            DecodeError::Extension { what: "channel: withdrawal", id: 1 },
        ),
        (
            frame(&Withdrawal { reason: "a\u{1b}[2J".into(), ..withdrawal() }),
            DecodeError::Invalid {
                what: "channel: withdrawal",
                problem: "a text of more than 200 bytes, or with control characters or invisible ones".into(),
            },
        ),
    ];
    let frames: Vec<_> =
        [frame(&withdrawal())].into_iter().chain(strange.iter().map(|(bytes, _)| bytes.clone())).collect();
    let read = kept_channel(&raw_channel(&channel(), &[frame(&offer())], &frames));
    assert_eq!(read.withdrawal(&withdrawal().identity), Some(&withdrawal()));
    let unreadable: Vec<_> =
        read.withdrawn.unreadable().iter().map(|u| (u.bytes.clone(), u.why.clone())).collect();
    assert_eq!(unreadable, strange);
    let running = Chooser { running: Some(withdrawal().identity), ..chooser(Some("lab")) };
    let choice = choose(&read, &running);
    assert_eq!((choice.withdrawn, choice.taken), (Some("the fan stops"), Some(&offer())));
}

#[test]
fn one_undecodable_bound_component_refuses_the_release_by_name_of_the_reason() {
    let strange = [
        (vec![1, 2, 3], DecodeError::Malformed("bound component")),
        ([frame(&bound("app", "1.0.0")), vec![0]].concat(), DecodeError::Trailing("bound component")),
        (
            frame(&Bound { extensions: extensions(3), ..bound("app", "1.0.0") }),
            DecodeError::Extension { what: "release: bound component", id: 3 },
        ),
        (
            frame(&bound("App", "1.0.0")),
            DecodeError::Invalid {
                what: "release: bound component",
                problem: "\"App\" is not a name: use 1 to 64 of a-z 0-9 . _ -".into(),
            },
        ),
    ];
    for (bytes, why) in strange {
        let read = kept(&raw_release(&release(), &[frame(&bound("models", "1.0.0")), bytes.clone()]));
        assert_eq!(&read.bound[..], [bound("models", "1.0.0")]);
        assert_eq!((&read.bound.unreadable()[0].bytes, &read.bound.unreadable()[0].why), (&bytes, &why));
        let reasons = compat::check_release(&read);
        assert_eq!(reasons.len(), 1);
        assert_eq!(
            reasons[0].to_string(),
            format!("it brings a component along that this version of Bistable can't read: {why}")
        );
    }
}

#[test]
fn an_open_list_has_no_more_entries_than_its_limit() {
    let offers = |n: usize| Channel::decode(&raw_channel(&channel(), &vec![vec![9]; n], &[]));
    assert_eq!(offers(limits::OFFERS).unwrap().offers.total(), limits::OFFERS);
    assert_eq!(offers(limits::OFFERS + 1), Err(DecodeError::Malformed("channel")));
    let withdrawn = |n: usize| Channel::decode(&raw_channel(&channel(), &[], &vec![vec![9]; n]));
    assert_eq!(withdrawn(limits::WITHDRAWN).unwrap().withdrawn.total(), limits::WITHDRAWN);
    assert_eq!(withdrawn(limits::WITHDRAWN + 1), Err(DecodeError::Malformed("channel")));
    let bound = |n: usize| Release::decode(&raw_release(&release(), &vec![vec![9]; n]));
    assert_eq!(bound(limits::COMPONENTS).unwrap().bound.total(), limits::COMPONENTS);
    assert_eq!(bound(limits::COMPONENTS + 1), Err(DecodeError::Malformed("release")));
    let waves = |n: usize| raw_channel(&channel(), &[raw_offer(&offer(), &vec![vec![9]; n])], &[]);
    assert_eq!(kept_channel(&waves(limits::WAVES)).offers[0].rollout.waves.total(), limits::WAVES);
    let read = kept_channel(&waves(limits::WAVES + 1));
    assert_eq!(read.offers.unreadable()[0].why, DecodeError::Malformed("channel: offer"), "only that offer");
    // A writer counts those that it can't read, too.
    let mut full = offers(limits::OFFERS).unwrap();
    full.offers.push(offer());
    assert_eq!(full.check().unwrap_err().to_string(), "channel: 65 offers, and 64 are allowed");
}

type Result<T> = std::result::Result<T, DecodeError>;

/// What each structure makes of its extensions: from its writer, and from its reader of what such a writer would write.
fn with_extensions(extensions: &Extensions) -> Vec<(&'static str, Result<()>, Result<()>)> {
    use bistable_format::TrustError;
    fn decoded<T>(result: std::result::Result<T, TrustError>) -> Result<()> {
        match result {
            Ok(_) => Ok(()),
            Err(TrustError::Decode(e)) => Err(e),
            Err(other) => panic!("{other}"),
        }
    }
    let extensions = || extensions.clone();
    let root = Root { extensions: extensions(), ..root() };
    let release = Release { extensions: extensions(), ..release() };
    let channel = Channel { extensions: extensions(), ..channel() };
    let delta = Delta { extensions: extensions(), ..delta() };
    let word = Attestation { extensions: extensions(), ..attestation() };
    let signed_word = sealed_as(bistable_format::Role::Attestation, 1, &frame(&word), &[6]);
    vec![
        ("root", root.encode().map(drop), Root::decode(&frame(&root)).map(|r| assert_eq!(r, root))),
        (
            "release",
            release.encode().map(drop),
            Release::decode(&frame(&release)).map(|r| assert_eq!(r, release)),
        ),
        ("channel", channel.check(), Channel::decode(&frame(&channel)).map(|c| assert_eq!(c, channel))),
        ("delta", decoded(delta.seal(&[])), Delta::decode(&frame(&delta)).map(|d| assert_eq!(d, delta))),
        (
            "attestation",
            decoded(word.seal(&signer(6))),
            decoded(Attestation::open(&signed_word, &key(6), &repository()).map(|w| assert_eq!(w, word))),
        ),
    ]
}

#[test]
fn unknown_even_extensions_are_ignored_and_kept() {
    let extension = |id, bytes: &[u8]| Extension { id, bytes: bytes.to_vec() };
    let most = (0..16).map(|i| extension(2 * i, b"x")).collect();
    for list in
        [vec![], vec![extension(0, b"")], vec![extension(2, b"a"), extension(u16::MAX - 1, &[0; 999])], most]
    {
        for (name, written, read) in with_extensions(&Extensions(list.clone())) {
            assert_eq!((written, read), (Ok(()), Ok(())), "{name}: {list:?}");
        }
    }
}

#[test]
fn an_unknown_odd_extension_refuses_its_structure() {
    for odd in [1, 3, u16::MAX] {
        let list = [0, odd].map(|id| Extension { id, bytes: vec![] }).to_vec();
        for (what, written, read) in with_extensions(&Extensions(list)) {
            let error = DecodeError::Extension { what, id: odd };
            assert_eq!(
                error.to_string(),
                format!(
                    "{what} has extension {odd}, which this version does not understand: update Bistable first"
                )
            );
            assert_eq!((written, read), (Err(error.clone()), Err(error)), "{what}");
        }
    }
}

#[test]
fn an_unknown_odd_extension_of_an_entry_refuses_only_that_entry() {
    let odd = Offer { extensions: extensions(9), identity: Digest([9; 32]), ..offer() };
    let gone = Withdrawal { extensions: extensions(9), ..withdrawal() };
    let read = kept_channel(&raw_channel(&channel(), &[frame(&offer()), frame(&odd)], &[frame(&gone)]));
    assert_eq!((read.offers.len(), read.offers.unreadable().len()), (1, 1));
    assert_eq!((read.withdrawn.len(), read.withdrawn.unreadable().len()), (0, 1));
    let strange = frame(&Bound { extensions: extensions(9), ..bound("app", "1.0.0") });
    let read = kept(&raw_release(&release(), &[strange]));
    assert_eq!((read.bound.len(), read.bound.unreadable().len()), (0, 1));
    // A writer doesn't write what it wouldn't read.
    let spoiled = Channel { offers: vec![odd].into(), ..channel() };
    assert_eq!(spoiled.check(), Err(DecodeError::Extension { what: "channel: offer", id: 9 }));
}

#[test]
fn extensions_are_few_and_in_order() {
    let order = "extensions must be at most 16, each id once, in ascending order";
    for ids in [vec![2, 2], vec![4, 2]] {
        let list = ids.iter().map(|id| Extension { id: *id, bytes: vec![] }).collect();
        for (what, written, read) in with_extensions(&Extensions(list)) {
            let error = DecodeError::Invalid { what, problem: order.into() };
            assert_eq!((written, read), (Err(error.clone()), Err(error)), "{what} {ids:?}");
        }
    }
    let many = (0..17).map(|i| Extension { id: 2 * i, bytes: vec![] }).collect();
    for (what, written, read) in with_extensions(&Extensions(many)) {
        let error = DecodeError::Invalid { what, problem: order.into() };
        assert_eq!((written, read), (Err(error), Err(DecodeError::Malformed(what))), "{what}");
    }
}

fn frames(most: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..most)
}

proptest! {
    #[test]
    fn any_unknown_content_is_written_again_as_it_was(
        kind in prop_oneof![4..=u16::MAX, Just(0)], bytes in prop::collection::vec(any::<u8>(), 0..500),
    ) {
        let made = Release { content: Content::Unknown(unknown(kind, &bytes)), ..release() };
        prop_assert_eq!(kept(&frame(&made)), made);
    }

    #[test]
    fn any_unknown_urgency_is_written_again_as_it_was(
        kind: u16, bytes in prop::collection::vec(any::<u8>(), 1..50),
    ) {
        let made = Release { urgency: Urgency::Unknown(unknown(kind, &bytes)), ..release() };
        prop_assert_eq!(kept(&frame(&made)), made);
    }

    #[test]
    fn any_unknown_entries_are_written_again_as_they_were(
        offers in frames(9), withdrawn in frames(9), waves in frames(9), bound in frames(9),
    ) {
        let one = raw_offer(&offer(), &waves);
        let offers = [vec![one], offers].concat();
        let read = kept_channel(&raw_channel(&channel(), &offers, &withdrawn));
        prop_assert_eq!((read.offers.len(), read.offers.unreadable().len()), (1, offers.len() - 1));
        prop_assert_eq!(read.withdrawn.unreadable().len(), withdrawn.len());
        prop_assert_eq!(read.offers[0].rollout.waves.unreadable().len(), waves.len());
        let read = kept(&raw_release(&release(), &bound));
        prop_assert_eq!(read.bound.unreadable().len(), bound.len());
    }

    #[test]
    fn any_unknown_encoding_is_named(
        kind in prop_oneof![5..=u16::MAX, Just(0)], fields in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let (full, artifact) = list();
        let bytes = raw_list(&full, &vec![(kind, fields); 4]);
        let error = DecodeError::Kind { what: "chunk encoding", kind };
        prop_assert_eq!(ChunkList::decode(&bytes, &artifact), Err(error));
    }

    #[test]
    fn a_later_version_that_only_adds_even_extensions_is_read(
        ids in prop::collection::btree_set(any::<u16>().prop_map(|id| id & !1), 0..16),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let list = ids.into_iter().map(|id| Extension { id, bytes: bytes.clone() }).collect();
        for (name, written, read) in with_extensions(&Extensions(list)) {
            prop_assert_eq!((written, read), (Ok(()), Ok(())), "{}", name);
        }
    }
}
