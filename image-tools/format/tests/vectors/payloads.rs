//! Envelopes, heads and payloads.
use crate::common::{
    self, bound, channel, channel_keys, containers, containers_release, delta, directory_release, frame,
    head, id, key, offer, raw_channel, raw_release, release, role_keys, root, sealed_as, volumes,
};
use crate::errors::{ENVELOPE, Section, and, bytes_over, changed, cut, odd, section, spoiled, unordered};
use bistable_format::channel::LONGEST;
use bistable_format::open::Unknown;
use bistable_format::{Channel, Content, Delta, Digest, Envelope, Head, Release, Role, Root, limits};
use semver::Version;

// What a decoder of a payload can find.
const PAYLOAD: &[&str] =
    &["Decode::TooLarge", "Decode::Malformed", "Decode::Trailing", "Decode::Extension", "Decode::Invalid"];

pub(crate) fn envelope() -> Section {
    let good = sealed_as(Role::Release, 1, b"payload", &[4]);
    let decode = |bytes: &Vec<u8>| Envelope::parse(bytes, Role::Release).and_then(|e| e.check_format());
    section(
        "envelope",
        &good,
        decode,
        &[ENVELOPE],
        vec![
            ("empty", vec![]),
            ("cut-in-its-head", good[..15].to_vec()),
            ("a-web-page", b"<!doctype html><title>Sign in</title>".to_vec()),
            ("magic-in-lower-case", changed(&good, 0, b'b')),
            ("role-zero", changed(&good, 8, 0)),
            ("role-of-the-future", changed(&good, 8, 6)),
            ("root-as-release", sealed_as(Role::Root, 1, b"payload", &[4])),
            ("delta-as-release", sealed_as(Role::Delta, 1, b"payload", &[4])),
            ("format-zero", sealed_as(Role::Release, 0, b"payload", &[4])),
            ("format-of-the-future", sealed_as(Role::Release, 2, b"payload", &[4])),
            ("seventeen-signatures", changed(&good, 10, 17)),
            ("signature-count-overflow", changed(&good, 11, 0xff)),
            ("payload-over-the-limit", changed(&good, 14, 1)),
            ("payload-length-overflow", changed(&good, 15, 0xff)),
            ("one-signature-more-than-there-is", changed(&good, 10, 2)),
            ("one-signature-less-than-there-is", changed(&good, 10, 0)),
            ("payload-longer-than-there-is", changed(&good, 12, 8)),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
        ],
    )
}

pub(crate) fn envelope_in_storage() -> Section {
    let good = and(&sealed_as(Role::Root, 1, b"payload", &[1]), &[0; 512]);
    let decode = |bytes: &Vec<u8>| Envelope::stored_len(bytes, Role::Root).map(drop);
    let found = ENVELOPE.iter().copied().filter(|v| *v != "Envelope::Format").collect::<Vec<_>>();
    section(
        "envelope in storage",
        &good,
        decode,
        &[&found],
        vec![
            ("an-empty-partition", vec![0; 4096]),
            ("an-erased-partition", vec![0xff; 4096]),
            ("another-role", and(&sealed_as(Role::Release, 1, b"payload", &[1]), &[0; 512])),
            ("unknown-role", changed(&good, 8, 9)),
            ("too-many-signatures", changed(&good, 11, 1)),
            ("longer-than-the-partition", changed(&good, 13, 4)),
        ],
    )
}

pub(crate) fn heads() -> Section {
    let good = frame(&head());
    let decode = |bytes: &Vec<u8>| Head::read(bytes).map(drop);
    let with = |spoil: fn(&mut Head)| spoiled(head(), spoil);
    section(
        "head",
        &good,
        decode,
        &[&["Decode::Malformed", "Decode::Invalid"]],
        vec![
            ("empty", vec![]),
            ("cut-in-the-requirement", good[..5].to_vec()),
            ("cut-in-the-repository", good[..20].to_vec()),
            ("cut-in-the-product", cut(&good, 1)),
            ("requirement-not-UTF-8", changed(&good, 1, 0xff)),
            ("requirement-longer-than-there-is", and(&[0xff, 0x7f], &good[1..])),
            ("requirement-empty", with(|h| h.agent.clear())),
            ("requirement-of-words", with(|h| h.agent = "the newest".into())),
            ("requirement-with-escape-codes", with(|h| h.agent = "\u{1b}[2J".into())),
            ("requirement-too-long", with(|h| h.agent = ">".repeat(257))),
            ("product-with-a-path", with(|h| h.product = "../fan".into())),
            ("product-too-long", with(|h| h.product = "p".repeat(65))),
        ],
    )
}

pub(crate) fn root_payload() -> Section {
    let good = root().encode().unwrap();
    let with = |spoil: fn(&mut Root)| spoiled(root(), spoil);
    let mut weak = [0; 32];
    weak[0] = 1;
    let mut with_weak = root();
    with_weak.keys[6].public = weak;
    with_weak.roles.pop();
    section(
        "root",
        &good,
        |bytes: &Vec<u8>| Root::decode(bytes).map(drop),
        &[PAYLOAD],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("over-the-limit", bytes_over(limits::ENVELOPE_PAYLOAD)),
            ("version-zero", with(|r| r.version = 0)),
            ("version-in-a-longer-varint", [&good[..43], &[0x81, 0], &good[44..]].concat()),
            ("first-of-a-repository", with(|r| r.head.repository = Digest([1; 32]))),
            ("second-of-no-repository", with(|r| r.version = 2)),
            ("of-a-product", with(|r| r.head.product = "fan".into())),
            ("key-twice", with(|r| r.keys[6] = key(1))),
            ("weak-key", frame(&with_weak)),
            ("label-too-long", with(|r| r.keys[0].label = "x".repeat(65))),
            ("label-with-escape-codes", with(|r| r.keys[0].label = "\u{1b}[2J".into())),
            ("too-many-keys", with(|r| r.keys = (1..=33).map(key).collect())),
            ("too-many-roles", with(|r| r.roles = vec![role_keys(Role::Root, 1, &[1]); 35])),
            ("without-root-role", with(|r| drop(r.roles.remove(0)))),
            ("role-twice", with(|r| r.roles.push(role_keys(Role::Root, 1, &[1])))),
            ("role-names-a-missing-key", with(|r| r.roles[1] = role_keys(Role::Release, 1, &[9]))),
            ("role-names-a-key-twice", with(|r| r.roles[1] = role_keys(Role::Release, 1, &[4, 4]))),
            ("threshold-zero", with(|r| r.roles[1].threshold = 0)),
            ("threshold-out-of-reach", with(|r| r.roles[0].threshold = 4)),
            ("keys-for-deltas", with(|r| r.roles.push(role_keys(Role::Delta, 1, &[4])))),
            ("keys-for-attestations", with(|r| r.roles.push(role_keys(Role::Attestation, 1, &[6])))),
            ("channels-of-the-role-release", with(|r| r.roles[1].channels.push("staging".into()))),
            ("two-default-channels", with(|r| r.roles.push(role_keys(Role::Channel, 1, &[6])))),
            ("channel-in-two-entries", with(|r| r.roles.push(channel_keys(&["staging"], 1, &[6])))),
            ("channel-twice-in-an-entry", with(|r| r.roles[3].channels.push("staging".into()))),
            ("channel-with-a-path", with(|r| r.roles[3].channels[0] = "../staging".into())),
            ("channel-with-a-dot", with(|r| r.roles[3].channels[0] = "staging.old".into())),
            ("too-many-channels", with(|r| r.roles[3].channels = vec!["c".into(); 33])),
            ("demand-of-a-missing-key", with(|r| r.demands[0].key = id(9))),
            ("demand-twice", with(|r| r.demands.push(r.demands[0].clone()))),
            ("demand-without-a-kind", with(|r| r.demands[0].kind.clear())),
            ("extension-odd", with(|r| r.extensions = odd())),
            ("extensions-out-of-order", with(|r| r.extensions = unordered())),
        ],
    )
}

pub(crate) fn release_payload() -> Section {
    let good = release().encode().unwrap();
    let with = |spoil: fn(&mut Release)| spoiled(release(), spoil);
    let directory = |spoil: fn(&mut Release)| spoiled(directory_release(), spoil);
    let stack = |spoil: fn(&mut bistable_format::content::Containers)| {
        let mut bad = containers();
        spoil(&mut bad);
        frame(&Release { content: Content::Containers(bad), ..containers_release() })
    };
    let version = |text: &str| Version::parse(text).unwrap();
    let long = version(&format!("1.0.0-{}", "a".repeat(59)));
    section(
        "release",
        &good,
        |bytes: &Vec<u8>| Release::decode(bytes).map(drop),
        &[PAYLOAD, &["Decode::Kind"]],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("over-the-limit", bytes_over(limits::ENVELOPE_PAYLOAD)),
            ("without-a-product", with(|r| r.head.product.clear())),
            ("durable-zero", with(|r| r.durable = 0)),
            ("version-too-long", frame(&Release { version: long, ..release() })),
            ("without-boards", with(|r| r.boards.clear())),
            ("too-many-boards", with(|r| r.boards = vec!["pi4".into(); 33])),
            ("board-twice", with(|r| r.boards[1] = "pi4".into())),
            ("board-with-a-space", with(|r| r.boards[1] = "pi 5".into())),
            (
                "requires-a-component-twice",
                with(|r| r.requires.components.push(r.requires.components[0].clone())),
            ),
            ("conflicts-with-no-name", with(|r| r.requires.conflicts[0].0.clear())),
            ("description-too-long", with(|r| r.description = "x".repeat(4097))),
            ("description-with-escape-codes", with(|r| r.description = "\u{1b}]0;x\u{7}".into())),
            ("author-of-two-lines", with(|r| r.author = "Ada\nroot: yes".into())),
            ("origin-too-long", with(|r| r.origin = "x".repeat(201))),
            ("plan-broken", with(|r| r.self_tests = "[[test".into())),
            ("profile-broken", with(|r| r.health = "deadline_s = 0".into())),
            ("image-of-a-component", with(|r| r.component = Some("app".into()))),
            ("image-of-half-a-sector", with(|r| volumes(r).boot.bytes = 256)),
            ("image-of-no-bytes", with(|r| volumes(r).system.bytes = 0)),
            ("image-larger-than-any", with(|r| volumes(r).system.bytes = u64::MAX - 511)),
            (
                "image-in-too-many-chunks",
                with(|r| (volumes(r).system.bytes, volumes(r).system.chunk_bytes) = (64 << 30, 1 << 18)),
            ),
            ("image-in-odd-chunks", with(|r| volumes(r).boot.chunk_bytes = 300_000)),
            ("image-with-a-list-of-three-bytes", with(|r| volumes(r).boot.list_bytes = 3)),
            ("image-with-too-much-data", with(|r| volumes(r).boot.data_bytes = 8 << 30)),
            (
                "image-in-an-unknown-form",
                with(|r| r.content = Content::Unknown(Unknown { kind: 1, bytes: vec![] })),
            ),
            ("bound-twice", with(|r| r.bound.push(bound("app", "9.0.0")))),
            ("too-many-bound", raw_release(&release(), &vec![vec![]; 33])),
            ("directory-of-no-component", directory(|r| r.component = None)),
            ("directory-that-brings-components", directory(|r| r.bound.push(bound("x", "1.0.0")))),
            ("containers-without-services", stack(|c| c.services.clear())),
            ("containers-service-twice", stack(|c| c.services[1].name = "web".into())),
            ("containers-without-the-manifest", stack(|c| c.services[0].manifest = Digest([1; 32]))),
            ("containers-layer-twice", stack(|c| c.layers[1].digest = c.layers[0].digest)),
            ("containers-blob-too-large", stack(|c| c.blobs[0].bytes = (1 << 20) + 1)),
            ("containers-blob-twice", stack(|c| c.blobs[1] = c.blobs[0])),
            ("extension-odd", with(|r| r.extensions = odd())),
            ("extensions-out-of-order", with(|r| r.extensions = unordered())),
        ],
    )
}

pub(crate) fn channel_payload() -> Section {
    let good = frame(&channel());
    let with = |spoil: fn(&mut Channel)| spoiled(channel(), spoil);
    section(
        "channel",
        &good,
        |bytes: &Vec<u8>| Channel::decode(bytes).map(drop),
        &[PAYLOAD],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("over-the-limit", bytes_over(limits::ENVELOPE_PAYLOAD)),
            ("of-a-product", with(|c| c.head.product = "fan".into())),
            ("name-with-a-path", with(|c| c.name = "../production".into())),
            ("name-with-a-dot", with(|c| c.name = "pro.duction".into())),
            ("name-too-long", with(|c| c.name = "p".repeat(33))),
            ("number-zero", with(|c| c.sequence = 0)),
            ("first-with-a-predecessor", with(|c| c.sequence = 1)),
            ("without-predecessor", with(|c| c.previous = None)),
            ("lifetime-zero", with(|c| c.lifetime = 0)),
            ("lifetime-too-long", with(|c| c.lifetime = LONGEST + 1)),
            ("act-with-escape-codes", with(|c| c.act.by = "\u{1b}[2J".into())),
            ("act-of-no-verb", with(|c| c.act.verb.clear())),
            ("act-too-long", with(|c| c.act.about = "x".repeat(201))),
            ("too-many-offers", raw_channel(&channel(), &vec![vec![]; 65], &[])),
            ("too-many-withdrawals", raw_channel(&channel(), &[], &vec![vec![]; 129])),
            ("too-many-pins", with(|c| c.pins = vec![Digest([1; 32]); 129])),
            ("too-many-segments", with(|c| c.catalog = vec![common::segment(); 97])),
            ("offers-twice", with(|c| c.offers.push(offer()))),
            ("offers-what-is-withdrawn", with(|c| c.withdrawn[0].identity = offer().identity)),
            ("gate-of-no-name", with(|c| c.gates.attestations[0].0 = "tests passed".into())),
            ("gate-label-with-escape-codes", with(|c| c.gates.attestations[0].1.label = "\u{202e}".into())),
            ("extension-odd", with(|c| c.extensions = odd())),
            ("extensions-out-of-order", with(|c| c.extensions = unordered())),
        ],
    )
}

pub(crate) fn delta_payload() -> Section {
    let good = frame(&delta());
    let with = |spoil: fn(&mut Delta)| spoiled(delta(), spoil);
    section(
        "delta",
        &good,
        |bytes: &Vec<u8>| Delta::decode(bytes).map(drop),
        &[PAYLOAD],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("over-the-limit", bytes_over(limits::ENVELOPE_PAYLOAD)),
            ("without-a-product", with(|d| d.head.product.clear())),
            ("from-itself", with(|d| d.base = d.target)),
            ("without-artifacts", with(|d| d.artifacts.clear())),
            ("too-many-artifacts", with(|d| d.artifacts = vec![d.artifacts[0].clone(); 129])),
            ("artifact-twice", with(|d| d.artifacts[0].name = "system".into())),
            ("artifact-with-a-path", with(|d| d.artifacts[0].name = "../boot".into())),
            ("list-of-three-bytes", with(|d| d.artifacts[0].list_bytes = 3)),
            ("list-over-the-limit", with(|d| d.artifacts[0].list_bytes = (8 << 20) + 1)),
            ("data-over-the-limit", with(|d| d.artifacts[0].data_bytes = 8 << 30)),
            ("extension-odd", with(|d| d.extensions = odd())),
            ("extensions-out-of-order", with(|d| d.extensions = unordered())),
        ],
    )
}

pub(crate) fn delta_between() -> Section {
    let target = common::identity(&release());
    let base = common::identity(&common::base_release());
    let decode = |(t, from, base_release): &(Digest, Digest, Release)| {
        delta().check_between((t, &release()), (from, base_release))
    };
    section(
        "delta between releases",
        &(target, base, common::base_release()),
        decode,
        &[&["Decode::Invalid"]],
        vec![
            ("of-another-target", (Digest([1; 32]), base, common::base_release())),
            ("from-another-base", (target, Digest([1; 32]), common::base_release())),
            ("from-a-directory", (target, base, directory_release())),
        ],
    )
}
