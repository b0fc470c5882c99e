//! Negative vectors: bytes that each decoder refuses, and the exact error, which `golden/vectors.txt` lists for review.
//! After each of them the good value still opens. Each variant of each error is met, by each decoder that can give it.
//! `BLESS=1 cargo test -p bistable-format --test vectors` rewrites the list.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests; files in the tree need not be durable"
)]
mod common;

use bistable_format::attestation::Attestation;
use bistable_format::bundle::{BLOCK, BadHeader, Header, INDEX_NAME};
use bistable_format::channel::{LONGEST, OfferError};
use bistable_format::chunklist::Range;
use bistable_format::compat::{self, Device, Direction, Incompatible};
use bistable_format::extensions::Extension;
use bistable_format::fresh::{self, AHEAD, AHEAD_WITHOUT_CLOCK, Clock, FURTHEST, Floor, Stale};
use bistable_format::health::Profile;
use bistable_format::open::Unknown;
use bistable_format::rollout::Wave;
use bistable_format::selftest::Plan;
use bistable_format::{
    Channel, ChunkList, Content, DecodeError, Delta, Digest, Encoding, Envelope, EnvelopeError, Extensions,
    Head, KeyKind, Offer, Release, Role, Root, TrustError, limits,
};
use common::{
    CHUNK, attestation, bound, channel, channel_keys, containers, containers_release, delta, delta_list,
    directory_release, extensions, frame, head, id, key, later_payload, list, next_root, offer, raw_channel,
    raw_list, raw_offer, raw_release, raw_wave, release, repository, role_keys, root, sealed_as, signer,
    volumes, withdrawal,
};
use semver::Version;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::path::Path;

/// The names of an error's variants. A new variant doesn't compile before it is named here, and then it needs a vector.
macro_rules! variants {
    ($function:ident, $all:ident, $error:ty: $($pattern:pat => $name:literal),+ $(,)?) => {
        fn $function(error: &$error) -> &'static str {
            match error { $($pattern => $name),+ }
        }
        const $all: &[&str] = &[$($name),+];
    };
}

variants!(envelope_variant, ENVELOPE, EnvelopeError:
    EnvelopeError::Magic => "Envelope::Magic",
    EnvelopeError::Role { .. } => "Envelope::Role",
    EnvelopeError::UnknownRole(_) => "Envelope::UnknownRole",
    EnvelopeError::Format { .. } => "Envelope::Format",
    EnvelopeError::TooLarge => "Envelope::TooLarge",
    EnvelopeError::Length => "Envelope::Length",
);
variants!(decode_variant, DECODE, DecodeError:
    DecodeError::TooLarge { .. } => "Decode::TooLarge",
    DecodeError::Malformed(_) => "Decode::Malformed",
    DecodeError::Trailing(_) => "Decode::Trailing",
    DecodeError::Kind { .. } => "Decode::Kind",
    DecodeError::Extension { .. } => "Decode::Extension",
    DecodeError::OtherChunks => "Decode::OtherChunks",
    DecodeError::Invalid { .. } => "Decode::Invalid",
);
variants!(trust_variant, TRUST, TrustError:
    TrustError::Envelope(_) => "Trust::Envelope",
    TrustError::Unsigned(_) => "Trust::Unsigned",
    TrustError::UnknownKey { .. } => "Trust::UnknownKey",
    TrustError::WrongRole { .. } => "Trust::WrongRole",
    TrustError::BadSignature { .. } => "Trust::BadSignature",
    TrustError::Threshold { .. } => "Trust::Threshold",
    TrustError::Decode(_) => "Trust::Decode",
    TrustError::DemoKey { .. } => "Trust::DemoKey",
    TrustError::OtherRepository { .. } => "Trust::OtherRepository",
    TrustError::NeedsAgent { .. } => "Trust::NeedsAgent",
    TrustError::OtherChannel { .. } => "Trust::OtherChannel",
    TrustError::Successor { .. } => "Trust::Successor",
);
variants!(stale_variant, STALE, Stale:
    Stale::OtherChannel { .. } => "Stale::OtherChannel",
    Stale::OtherNumber { .. } => "Stale::OtherNumber",
    Stale::Older { .. } => "Stale::Older",
    Stale::TooFar { .. } => "Stale::TooFar",
    Stale::Expired { .. } => "Stale::Expired",
    Stale::Future { .. } => "Stale::Future",
);
variants!(offer_variant, OFFER, OfferError:
    OfferError::Digest { .. } => "Offer::Digest",
    OfferError::Untrusted(_) => "Offer::Untrusted",
    OfferError::Terms { .. } => "Offer::Terms",
);
variants!(incompatible_variant, INCOMPATIBLE, Incompatible:
    Incompatible::Product { .. } => "Incompatible::Product",
    Incompatible::Board { .. } => "Incompatible::Board",
    Incompatible::NotNewer { .. } => "Incompatible::NotNewer",
    Incompatible::SecurityVersion { .. } => "Incompatible::SecurityVersion",
    Incompatible::Running { .. } => "Incompatible::Running",
    Incompatible::Component { .. } => "Incompatible::Component",
    Incompatible::Conflict { .. } => "Incompatible::Conflict",
    Incompatible::TooLarge { .. } => "Incompatible::TooLarge",
    Incompatible::Content { .. } => "Incompatible::Content",
    Incompatible::Bound { .. } => "Incompatible::Bound",
    Incompatible::UnreadableBound(_) => "Incompatible::UnreadableBound",
    Incompatible::UnknownCheck { .. } => "Incompatible::UnknownCheck",
    Incompatible::Ungated => "Incompatible::Ungated",
);
variants!(header_variant, HEADER, BadHeader: BadHeader => "BadHeader");

/// An error's variant, and those of what it passes on.
trait Refusal: Display + Debug {
    fn variants(&self) -> Vec<&'static str>;
}

macro_rules! plain {
    ($($error:ty: $function:ident),+) => {
        $(impl Refusal for $error {
            fn variants(&self) -> Vec<&'static str> {
                vec![$function(self)]
            }
        })+
    };
}
plain!(EnvelopeError: envelope_variant, DecodeError: decode_variant, Stale: stale_variant,
    Incompatible: incompatible_variant, BadHeader: header_variant);

impl Refusal for TrustError {
    fn variants(&self) -> Vec<&'static str> {
        let inner = match self {
            TrustError::Envelope(e) => e.variants(),
            TrustError::Decode(e) => e.variants(),
            _ => vec![],
        };
        [vec![trust_variant(self)], inner].concat()
    }
}

impl Refusal for OfferError {
    fn variants(&self) -> Vec<&'static str> {
        let inner = match self {
            OfferError::Untrusted(e) => e.variants(),
            OfferError::Digest { .. } | OfferError::Terms { .. } => vec![],
        };
        [vec![offer_variant(self)], inner].concat()
    }
}

/// What one decoder refuses.
struct Section {
    decoder: &'static str,
    rows: Vec<(&'static str, String)>,
    seen: BTreeSet<&'static str>,
}

/// Try a decoder on each vector, and on the good value before and after each. It must give these variants of errors, each
/// at least once, and no others.
fn section<T, E: Refusal>(
    decoder: &'static str,
    good: &T,
    decode: impl Fn(&T) -> Result<(), E>,
    expected: &[&[&'static str]],
    vectors: Vec<(&'static str, T)>,
) -> Section {
    decode(good).unwrap_or_else(|e| panic!("{decoder}: the good value: {e}"));
    let mut section = Section { decoder, rows: vec![], seen: BTreeSet::new() };
    for (name, bad) in vectors {
        let Err(error) = decode(&bad) else { panic!("{decoder}: {name} is accepted") };
        section.seen.extend(error.variants());
        assert!(section.rows.iter().all(|(other, _)| *other != name), "{decoder}: {name} is there twice");
        section.rows.push((name, error.to_string()));
        decode(good).unwrap_or_else(|e| panic!("{decoder}: the good value after {name}: {e}"));
    }
    let expected: BTreeSet<_> = expected.concat().into_iter().collect();
    assert_eq!(section.seen, expected, "{decoder}: the variants of its errors");
    section
}

fn spoiled<T: Serialize>(mut value: T, spoil: impl FnOnce(&mut T)) -> Vec<u8> {
    spoil(&mut value);
    frame(&value)
}

fn cut(bytes: &[u8], by: usize) -> Vec<u8> {
    bytes[..bytes.len() - by].to_vec()
}

fn and(bytes: &[u8], more: &[u8]) -> Vec<u8> {
    [bytes, more].concat()
}

fn changed(bytes: &[u8], at: usize, to: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    assert_ne!(bytes[at], to);
    bytes[at] = to;
    bytes
}

fn odd() -> Extensions {
    extensions(7)
}

fn unordered() -> Extensions {
    Extensions([4, 2].map(|id| Extension { id, bytes: vec![] }).to_vec())
}

fn bytes_over(limit: usize) -> Vec<u8> {
    vec![0; limit + 1]
}

// What a decoder of a payload can find.
const PAYLOAD: &[&str] =
    &["Decode::TooLarge", "Decode::Malformed", "Decode::Trailing", "Decode::Extension", "Decode::Invalid"];
// What everything that is signed can be refused for.
const SIGNED: &[&str] = &[
    "Trust::Envelope",
    "Envelope::Magic",
    "Envelope::Role",
    "Envelope::UnknownRole",
    "Envelope::TooLarge",
    "Envelope::Length",
    "Envelope::Format",
    "Trust::Unsigned",
    "Trust::UnknownKey",
    "Trust::BadSignature",
    "Trust::Decode",
    "Decode::Malformed",
    "Decode::Invalid",
    "Decode::Trailing",
    "Decode::Extension",
    "Trust::OtherRepository",
    "Trust::NeedsAgent",
];

fn envelope() -> Section {
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

fn envelope_in_storage() -> Section {
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

fn heads() -> Section {
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

fn root_payload() -> Section {
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

/// Vectors for everything that is signed with these keys, of which `wrong` is another role's.
fn signed_vectors(role: Role, good: &[u8], payload: &[u8], keys: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let other_role = if role == Role::Release { Role::Channel } else { Role::Release };
    let product = if matches!(role, Role::Root | Role::Channel) { "" } else { "thermostat" };
    let seal = |payload: &[u8]| sealed_as(role, 1, payload, keys);
    let other = Digest::of(b"another repository");
    let elsewhere = [&payload[..10], &other.0, &payload[42..]].concat();
    vec![
        ("a-web-page", b"<!doctype html>".to_vec()),
        ("unknown-role", changed(good, 8, 99)),
        ("another-role", sealed_as(other_role, 1, payload, keys)),
        ("too-many-signatures", changed(good, 11, 1)),
        ("truncated", cut(good, 1)),
        ("unsigned", sealed_as(role, 1, payload, &[])),
        ("signed-by-a-stranger", sealed_as(role, 1, payload, &[77])),
        ("changed-after-signing", changed(good, 16 + payload.len() - 1, 0x55)),
        ("relabeled-as-another-format", changed(good, 9, 2)),
        ("without-a-head", seal(b"?")),
        ("with-a-head-only", seal(&later_payload("*", product)[..payload_head(product)])),
        ("with-a-head-of-words", seal(&later_payload("the newest", product))),
        ("payload-truncated", seal(&cut(payload, 1))),
        ("payload-trailing-byte", seal(&and(payload, &[0]))),
        ("of-another-repository", seal(&elsewhere)),
        ("of-a-later-format", sealed_as(role, 2, payload, keys)),
        ("for-a-later-agent", sealed_as(role, 2, &later_payload(">=9.0.0", product), keys)),
        ("for-an-earlier-agent", seal(&later_payload("<0.1.0-0", product))),
    ]
}

/// Bytes of the head of [`later_payload`] for any agent.
fn payload_head(product: &str) -> usize {
    1 + 1 + 32 + 1 + product.len()
}

fn root_successor() -> Section {
    let payload = next_root().encode().unwrap();
    let good = sealed_as(Role::Root, 1, &payload, &[1, 2]);
    let with = |spoil: fn(&mut Root)| sealed_as(Role::Root, 1, &spoiled(next_root(), spoil), &[1, 2]);
    let mut vectors = signed_vectors(Role::Root, &good, &payload, &[1, 2]);
    let first = sealed_as(Role::Root, 1, &root().encode().unwrap(), &[1, 2]);
    vectors.extend([
        ("signed-by-release-key", sealed_as(Role::Root, 1, &payload, &[4])),
        ("below-the-threshold", sealed_as(Role::Root, 1, &payload, &[1])),
        ("below-the-threshold-of-its-own-keys", with(|r| r.roles[0] = role_keys(Role::Root, 3, &[1, 2, 3]))),
        ("the-first-again", first),
        ("of-the-version-after-the-next", with(|r| r.version = 3)),
        ("of-the-last-version", with(|r| r.version = u32::MAX)),
        ("extension-odd", with(|r| r.extensions = odd())),
        ("role-twice", with(|r| r.roles.push(role_keys(Role::Root, 1, &[1])))),
        ("demo-key", with(|r| r.keys[0].kind = KeyKind::Demo)),
    ]);
    let decode = |bytes: &Vec<u8>| root().successor(bytes).and_then(|next| next.refuse_demo());
    let more = &["Trust::WrongRole", "Trust::Threshold", "Trust::DemoKey", "Trust::Successor"][..];
    section("next root", &good, decode, &[SIGNED, more], vectors)
}

fn release_payload() -> Section {
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

fn release_file() -> Section {
    let payload = release().encode().unwrap();
    let good = sealed_as(Role::Release, 1, &payload, &[4]);
    let with = |spoil: fn(&mut Release)| sealed_as(Role::Release, 1, &spoiled(release(), spoil), &[4]);
    let mut vectors = signed_vectors(Role::Release, &good, &payload, &[4]);
    vectors.extend([
        ("signed-by-channel-key", sealed_as(Role::Release, 1, &payload, &[5])),
        ("signed-by-root-keys", sealed_as(Role::Release, 1, &payload, &[1, 2, 3])),
        ("extension-odd", with(|r| r.extensions = odd())),
    ]);
    let decode = |bytes: &Vec<u8>| Release::open(bytes, &root()).map(drop);
    section("signed release", &good, decode, &[SIGNED, &["Trust::WrongRole"]], vectors)
}

fn channel_payload() -> Section {
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

fn channel_file() -> Section {
    let payload = frame(&channel());
    let good = sealed_as(Role::Channel, 1, &payload, &[5]);
    let with = |spoil: fn(&mut Channel)| sealed_as(Role::Channel, 1, &spoiled(channel(), spoil), &[5]);
    let mut vectors = signed_vectors(Role::Channel, &good, &payload, &[5]);
    vectors.extend([
        ("signed-by-release-key", sealed_as(Role::Channel, 1, &payload, &[4])),
        ("signed-by-the-keys-of-staging", sealed_as(Role::Channel, 1, &payload, &[8])),
        ("staging-signed-by-the-keys-of-all-others", with(|c| c.name = "staging".into())),
        ("lifetime-zero", with(|c| c.lifetime = 0)),
        ("extension-odd", with(|c| c.extensions = odd())),
    ]);
    let decode = |bytes: &Vec<u8>| Channel::open(bytes, &root()).map(drop);
    section("signed channel", &good, decode, &[SIGNED, &["Trust::WrongRole", "Trust::OtherChannel"]], vectors)
}

/// Why the second entry of a list can't be read.
fn offer_entry() -> Section {
    let mut second = offer();
    second.identity = Digest([1; 32]);
    let good = frame(&second);
    let with = |spoil: fn(&mut Offer)| {
        let mut bad = offer();
        bad.identity = Digest([1; 32]);
        spoil(&mut bad);
        frame(&bad)
    };
    let decode = |entry: &Vec<u8>| {
        let read = Channel::decode(&raw_channel(&channel(), &[frame(&offer()), entry.clone()], &[])).unwrap();
        assert_eq!(read.offer(&offer().identity), Some(&offer()), "the other offer stands");
        read.offers.unreadable().first().map_or(Ok(()), |u| Err(u.why.clone()))
    };
    let wave = |share| Wave { at: 0, over: 0, share };
    let many = vec![raw_wave(1, &[0, 0, 1]); 17];
    section(
        "offer",
        &good,
        decode,
        &[&["Decode::Malformed", "Decode::Trailing", "Decode::Extension", "Decode::Invalid"]],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("product-with-a-path", with(|o| o.terms.product = "../x".into())),
            ("component-with-a-path", with(|o| o.terms.component = Some("../x".into()))),
            ("without-boards", with(|o| o.terms.boards.clear())),
            ("image-of-one-volume", with(|o| o.terms.bytes.truncate(1))),
            ("image-of-half-a-sector", with(|o| o.terms.bytes[0] += 1)),
            ("module-of-no-bytes", with(|o| (o.terms.content, o.terms.bytes[0]) = (4, 0))),
            ("release-larger-than-any", with(|o| o.release_bytes = u32::MAX)),
            ("canary-of-no-name", with(|o| o.rollout.canaries[0] = "the lab".into())),
            ("too-many-canaries", with(|o| o.rollout.canaries = vec!["lab".into(); 9])),
            ("too-many-waves", raw_offer(&second, &many)),
            (
                "wave-of-nobody",
                frame(&{
                    let mut o = second.clone();
                    o.rollout.waves.push(wave(0));
                    o
                }),
            ),
            (
                "wave-over-everybody",
                frame(&{
                    let mut o = second.clone();
                    o.rollout.waves.push(wave(10_001));
                    o
                }),
            ),
            ("extension-odd", with(|o| o.extensions = odd())),
        ],
    )
}

fn wave_entry() -> Section {
    let good = raw_wave(1, &[0, 0, 1]);
    let decode = |entry: &Vec<u8>| {
        let entries = [raw_offer(&offer(), std::slice::from_ref(entry))];
        let read = Channel::decode(&raw_channel(&channel(), &entries, &[])).unwrap();
        read.offers[0].rollout.waves.unreadable().first().map_or(Ok(()), |u| Err(u.why.clone()))
    };
    section(
        "wave",
        &good,
        decode,
        &[&["Decode::Malformed", "Decode::Trailing", "Decode::Kind"]],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("of-no-kind", raw_wave(0, &[0, 0, 1])),
            ("of-an-unknown-kind", raw_wave(2, b"by region")),
        ],
    )
}

fn withdrawal_entry() -> Section {
    let good = frame(&withdrawal());
    let decode = |entry: &Vec<u8>| {
        let read = Channel::decode(&raw_channel(&channel(), &[], std::slice::from_ref(entry))).unwrap();
        read.withdrawn.unreadable().first().map_or(Ok(()), |u| Err(u.why.clone()))
    };
    section(
        "withdrawal",
        &good,
        decode,
        &[&["Decode::Malformed", "Decode::Trailing", "Decode::Extension", "Decode::Invalid"]],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("of-no-product", spoiled(withdrawal(), |w| w.product.clear())),
            ("reason-too-long", spoiled(withdrawal(), |w| w.reason = "x".repeat(201))),
            ("reason-with-escape-codes", spoiled(withdrawal(), |w| w.reason = "\u{1b}[2J".into())),
            ("extension-odd", spoiled(withdrawal(), |w| w.extensions = odd())),
        ],
    )
}

fn bound_entry() -> Section {
    let good = frame(&bound("app", "1.0.0"));
    let decode = |entry: &Vec<u8>| {
        let read = Release::decode(&raw_release(&release(), std::slice::from_ref(entry))).unwrap();
        read.bound.unreadable().first().map_or(Ok(()), |u| Err(u.why.clone()))
    };
    section(
        "bound component",
        &good,
        decode,
        &[&["Decode::Malformed", "Decode::Trailing", "Decode::Extension", "Decode::Invalid"]],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("of-no-name", frame(&bound("My App", "1.0.0"))),
            ("version-too-long", frame(&bound("app", &format!("1.0.0-{}", "a".repeat(59))))),
            ("extension-odd", spoiled(bound("app", "1.0.0"), |b| b.extensions = odd())),
        ],
    )
}

fn attestation_file() -> Section {
    let payload = frame(&attestation());
    let good = sealed_as(Role::Attestation, 1, &payload, &[6]);
    let with =
        |spoil: fn(&mut Attestation)| sealed_as(Role::Attestation, 1, &spoiled(attestation(), spoil), &[6]);
    let mut vectors = signed_vectors(Role::Attestation, &good, &payload, &[6]);
    vectors.extend([
        ("signed-by-release-key", sealed_as(Role::Attestation, 1, &payload, &[4])),
        ("without-a-product", with(|a| a.head.product.clear())),
        ("kind-with-a-space", with(|a| a.kind = "tests passed".into())),
        ("note-too-long", with(|a| a.note = "x".repeat(201))),
        ("note-of-two-lines", with(|a| a.note = "a\nb".into())),
        ("extension-odd", with(|a| a.extensions = odd())),
    ]);
    let decode = |bytes: &Vec<u8>| Attestation::open(bytes, &key(6), &repository()).map(drop);
    section("attestation", &good, decode, &[SIGNED], vectors)
}

fn delta_payload() -> Section {
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

fn delta_file() -> Section {
    let payload = frame(&delta());
    let good = sealed_as(Role::Delta, 1, &payload, &[4]);
    let with = |spoil: fn(&mut Delta)| sealed_as(Role::Delta, 1, &spoiled(delta(), spoil), &[4]);
    let mut vectors = signed_vectors(Role::Delta, &good, &payload, &[4]);
    vectors.extend([
        ("signed-by-channel-key", sealed_as(Role::Delta, 1, &payload, &[5])),
        ("from-itself", with(|d| d.base = d.target)),
        ("extension-odd", with(|d| d.extensions = odd())),
    ]);
    let decode = |bytes: &Vec<u8>| Delta::open(bytes, &root()).map(drop);
    section("signed delta", &good, decode, &[SIGNED, &["Trust::WrongRole"]], vectors)
}

fn delta_between() -> Section {
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

const LIST: &[&str] = &[
    "Decode::TooLarge",
    "Decode::Malformed",
    "Decode::Trailing",
    "Decode::Kind",
    "Decode::OtherChunks",
    "Decode::Invalid",
];

/// Set the bytes that chunk `index` takes in the data.
fn set_bytes(list: &mut ChunkList, index: usize, to: u32) {
    match &mut list.chunks[index].encoding {
        Encoding::Zero { bytes, .. } | Encoding::Zstd { bytes, .. } | Encoding::Patch { bytes, .. } => {
            *bytes = to;
        }
        Encoding::Copy(_) => panic!("a copy has no data"),
    }
}

fn full_list() -> Section {
    let (list, artifact) = list();
    let good = frame(&list);
    let with = |spoil: fn(&mut ChunkList)| spoiled(list.clone(), spoil);
    let zstd = (2, frame(&(100_000u32, Digest([0; 32]))));
    let unknown = [zstd.clone(), zstd.clone(), zstd.clone(), (9, b"brotli".to_vec())];
    let longer = [zstd.clone(), zstd.clone(), zstd.clone(), (2, and(&zstd.1, &[0]))];
    section(
        "full chunk list",
        &good,
        |bytes: &Vec<u8>| ChunkList::decode(bytes, &artifact).map(drop),
        &[LIST],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("over-the-limit", bytes_over(limits::CHUNK_LIST)),
            ("too-many-chunks", frame(&(CHUNK, None::<Digest>, 65_537u64))),
            ("without-chunks", with(|l| l.chunks.clear())),
            ("with-a-chunk-too-few", with(|l| drop(l.chunks.pop()))),
            ("with-a-chunk-too-many", with(|l| l.chunks.push(l.chunks[3].clone()))),
            ("of-odd-chunks", with(|l| l.chunk_bytes -= 1)),
            ("of-small-chunks", with(|l| l.chunk_bytes = 128 << 10)),
            ("of-other-data", with(|l| set_bytes(l, 3, 34))),
            ("frame-of-no-bytes", with(|l| set_bytes(l, 3, 0))),
            ("frame-larger-than-zstd-needs", with(|l| set_bytes(l, 0, limits::encoded_chunk(CHUNK) + 1))),
            ("of-a-delta", with(|l| l.base = Some(Digest([1; 32])))),
            (
                "copy-without-a-base",
                with(|l| l.chunks[1].encoding = Encoding::Copy(Range { offset: 0, bytes: CHUNK })),
            ),
            ("unknown-encoding", raw_list(&list, &unknown)),
            ("known-encoding-in-an-unknown-form", raw_list(&list, &longer)),
            ("chunks-swapped", with(|l| l.chunks.swap(0, 2))),
            ("digest-of-another-chunk", with(|l| l.chunks[3].digest.0[0] ^= 1)),
        ],
    )
}

fn delta_lists() -> Section {
    let (list, making) = delta_list();
    let good = frame(&list);
    let with = |spoil: fn(&mut ChunkList)| spoiled(list.clone(), spoil);
    fn prefix(list: &mut ChunkList) -> &mut Vec<Range> {
        match &mut list.chunks[2].encoding {
            Encoding::Patch { prefix, .. } => prefix,
            other => panic!("not a patch: {other:?}"),
        }
    }
    fn copy(list: &mut ChunkList, offset: u64, bytes: u32) {
        list.chunks[0].encoding = Encoding::Copy(Range { offset, bytes });
    }
    let zstd = (2, frame(&(100_000u32, Digest([0; 32]))));
    let unknown = [zstd.clone(), zstd.clone(), zstd, (9, b"brotli".to_vec())];
    section(
        "chunk list of a delta",
        &good,
        |bytes: &Vec<u8>| making.decode(bytes).map(drop),
        &[LIST],
        vec![
            ("empty", vec![]),
            ("truncated", cut(&good, 1)),
            ("trailing-byte", and(&good, &[0])),
            ("over-the-limit", bytes_over(limits::CHUNK_LIST)),
            ("a-full-list", with(|l| l.base = None)),
            ("of-another-base", with(|l| l.base = Some(Digest([1; 32])))),
            ("copy-of-no-bytes", with(|l| copy(l, 0, 0))),
            ("copy-of-half-a-chunk", with(|l| copy(l, 0, CHUNK / 2))),
            ("copy-behind-the-last-byte", with(|l| copy(l, u64::MAX, CHUNK))),
            ("copy-behind-the-end-of-the-base", with(|l| copy(l, (1 << 34) - 1, CHUNK))),
            ("patch-of-no-bytes", with(|l| set_bytes(l, 2, 0))),
            ("patch-behind-the-end-of-the-base", with(|l| prefix(l)[0].offset = 1 << 34)),
            ("patch-with-an-empty-range", with(|l| prefix(l)[0].bytes = 0)),
            ("patch-with-too-large-a-prefix", with(|l| prefix(l)[0].bytes = 4 << 20)),
            ("patch-with-too-many-ranges", with(|l| *prefix(l) = vec![Range { offset: 0, bytes: 1 }; 65])),
            ("of-other-data", with(|l| set_bytes(l, 3, 34))),
            ("unknown-encoding", raw_list(&list, &unknown)),
            ("digest-of-another-chunk", with(|l| l.chunks[0].digest.0[31] ^= 1)),
        ],
    )
}

fn plan() -> Section {
    let good = common::PLAN.to_owned();
    let test = |text: &str| format!("[[test]]\nname = 'x'\n{text}");
    section(
        "self-test plan",
        &good,
        |text: &String| Plan::parse_known(text).map(drop),
        &[&["Decode::TooLarge", "Decode::Invalid"]],
        vec![
            ("over-the-limit", "#".repeat(limits::PLAN + 1)),
            ("not-TOML", "[[test".into()),
            ("unknown-table", "[[tests]]\nname = 'x'".into()),
            ("without-a-name", "[[test]]\nkind = 'command'\nrun = ['/x']".into()),
            ("without-a-kind", test("")),
            ("unknown-kind", test("kind = 'camera'")),
            ("unknown-key", test("kind = 'level'\npin = 1\nexpect = 'low'\ndebounce = 3")),
            ("key-of-another-kind", test("kind = 'level'\npin = 1\nexpect = 'low'\nhz = 3")),
            ("missing-key", test("kind = 'level'\npin = 1")),
            ("need-of-an-unknown-word", test("kind = 'command'\nrun = ['/x']\nneed = 'maybe'")),
            ("at-of-an-unknown-word", test("kind = 'command'\nrun = ['/x']\nat = 'after'")),
            ("timeout-zero", test("kind = 'command'\nrun = ['/x']\ntimeout_ms = 0")),
            ("pin-that-no-board-has", test("kind = 'level'\npin = 58\nexpect = 'low'")),
            ("pin-twice", test("kind = 'loopback'\nout = 4\nin = 4")),
            (
                "pulse-window-longer-than-its-timeout",
                test("kind = 'pulse'\npin = 4\nmin_hz = 1\nmax_hz = 2\nwindow_ms = 9000"),
            ),
            ("command-relative", test("kind = 'command'\nrun = ['x']")),
            ("address-reserved", test("kind = 'i2c'\nbus = 1\naddress = 3")),
            ("device-outside-dev", test("kind = 'uart'\ndevice = '/dev/../etc/passwd'")),
            ("baud-unusual", test("kind = 'uart'\ndevice = '/dev/serial0'\nbaud = 7")),
            ("nothing-gates-the-flag", test("kind = 'command'\nrun = ['/x']\nat = 'trial'")),
        ],
    )
}

fn profile() -> Section {
    let good = common::PROFILE.to_owned();
    let check = |text: &str| format!("[[check]]\nname = 'x'\n{text}");
    section(
        "health profile",
        &good,
        |text: &String| Profile::parse_known(text).map(drop),
        &[&["Decode::TooLarge", "Decode::Invalid"]],
        vec![
            ("over-the-limit", "#".repeat(limits::PLAN + 1)),
            ("not-TOML", "deadline_s =".into()),
            ("unknown-key", "deadlines = 4".into()),
            ("deadline-zero", "deadline_s = 0".into()),
            ("deadline-over-an-hour", "deadline_s = 3601".into()),
            ("settles-after-the-deadline", "deadline_s = 5\nsettle_s = 5".into()),
            ("unknown-kind", check("kind = 'dbus'")),
            ("unknown-key-of-a-check", check("kind = 'unit'\nunit = 'a.b'\nstate = 'active'")),
            ("before-the-switch", check("kind = 'unit'\nunit = 'a.b'\nat = 'before'")),
            (
                "name-twice",
                check("kind = 'unit'\nunit = 'a.b'\n[[check]]\nname = 'x'\nkind = 'unit'\nunit = 'a.b'"),
            ),
            ("address-of-another-scheme", check("kind = 'http'\nurl = 'https://a'")),
            ("status-of-none", check("kind = 'http'\nurl = 'http://a'\nstatus = 99")),
            ("unit-without-a-suffix", check("kind = 'unit'\nunit = 'app'")),
            ("command-of-nothing", check("kind = 'command'\nrun = []")),
        ],
    )
}

fn tar_header() -> Section {
    let good = Header { name: INDEX_NAME.into(), bytes: 7 }.encode().unwrap();
    // With its checksum put right, so that it is the field itself that is refused.
    let with = |at: usize, text: &str| {
        let mut block = good;
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    };
    let mut checksum = good;
    checksum[153] ^= 1;
    section(
        "tar header",
        &good,
        |block: &[u8; BLOCK]| Header::decode(block).map(drop),
        &[HEADER],
        vec![
            ("zeros", [0; BLOCK]),
            ("checksum", checksum),
            ("another-name", with(0, "../x.json\0")),
            ("a-name-behind-the-name", with(11, "x")),
            ("mode-set-user-id", with(100, "0004755")),
            ("owner", with(108, "0001750")),
            ("size-in-base-256", with(124, "\u{7f}")),
            ("time", with(136, "00000000001")),
            ("symbolic-link", with(156, "2")),
            ("GNU-magic", with(257, "ustar  ")),
            ("a-byte-in-the-padding", with(511, "x")),
        ],
    )
}

fn stale() -> Section {
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
            fresh::check(channel, wanted, *file, *floor, *clock).map(drop)
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

fn offered_release() -> Section {
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
            ("terms-differ", naming(by(4), |o| o.terms.security_version += 1)),
            ("urgency-differs", naming(by(4), |o| o.terms.urgency = bistable_format::Urgency::Normal)),
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
}

fn incompatible() -> Section {
    let version = |text: &str| Version::parse(text).unwrap();
    let good = Judged {
        release: Release { bound: vec![].into(), ..release() },
        running: Some(version("1.3.9")),
        product: "thermostat",
        board: "pi5",
        floor: 3,
        components: vec![("boot-loader".into(), version("2.4.0"))],
        boot_bytes: 64 << 20,
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
        let mut reasons = compat::check(&judged.release.terms(), &device, Direction::Forward);
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
                    let terms = j.release.requires.clone();
                    j.release = Release { requires: terms, ..directory_release() };
                }),
            ),
            ("a-module", of_no_component),
            ("a-module-of-a-component", of_a_component),
            ("brings-a-component-along", with(|j| j.release.bound.push(bound("app", "2.0.0")))),
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

fn sections() -> Vec<Section> {
    vec![
        envelope(),
        envelope_in_storage(),
        heads(),
        root_payload(),
        root_successor(),
        release_payload(),
        release_file(),
        bound_entry(),
        channel_payload(),
        channel_file(),
        offer_entry(),
        wave_entry(),
        withdrawal_entry(),
        attestation_file(),
        delta_payload(),
        delta_file(),
        delta_between(),
        full_list(),
        delta_lists(),
        plan(),
        profile(),
        tar_header(),
        stale(),
        offered_release(),
        incompatible(),
    ]
}

#[test]
fn every_vector_is_refused_with_the_error_on_record() {
    let sections = sections();
    let text: String = sections
        .iter()
        .map(|section| {
            let rows = section.rows.iter().map(|(name, error)| format!("{name}: {error}\n"));
            format!("# {}\n{}\n", section.decoder, rows.collect::<String>())
        })
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vectors.txt");
    if std::env::var_os("BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    for (found, recorded) in text.lines().zip(stored.lines()) {
        assert_eq!(found, recorded, "{}: read what changed, then BLESS=1", path.display());
    }
    assert_eq!(text.len(), stored.len());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "errors are safe to print");
    // One line each: what is counted is what is listed.
    let count: usize = sections.iter().map(|section| section.rows.len()).sum();
    assert_eq!(text.lines().count(), count + 2 * sections.len());
    assert!(count >= 110, "{count} vectors");
}

#[test]
fn every_variant_of_every_error_has_a_vector() {
    let seen: BTreeSet<&str> = sections().into_iter().flat_map(|section| section.seen).collect();
    let all: BTreeSet<&str> =
        [ENVELOPE, DECODE, TRUST, STALE, OFFER, INCOMPATIBLE, HEADER].concat().into_iter().collect();
    assert_eq!(all, seen);
}

#[test]
fn the_offsets_of_the_vectors_are_those_of_a_head() {
    // Offsets in this file count on the layout of a head: 1 and 9 bytes of requirement, 32 of repository, 1 and the product.
    let payload = root().encode().unwrap();
    assert_eq!((payload[0], payload[42], payload[43]), (9, 0, 1));
    assert_eq!(frame(&delta())[10..42], repository().0);
}
