//! Whole files, signed and not.
use crate::common::{
    attestation, channel, delta, frame, key, later_payload, next_root, release, repository, role_keys, root,
    sealed_as,
};
use crate::errors::{Section, and, changed, cut, odd, section, spoiled};
use bistable_format::attestation::Attestation;
use bistable_format::{Channel, Delta, Digest, KeyKind, Release, Role, Root};

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

pub(crate) fn root_successor() -> Section {
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

pub(crate) fn release_file() -> Section {
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

pub(crate) fn channel_file() -> Section {
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

pub(crate) fn attestation_file() -> Section {
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

pub(crate) fn delta_file() -> Section {
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
