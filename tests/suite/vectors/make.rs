//! The makers of the vectors: what is wrong with each of them, as code. Fixed keys, so the same bytes each time.
use crate::shop::{
    CHANNEL, DAY, NEW_PUBLISHER, NEW_RELEASER, NOW, PUBLISHER, RELEASER, ROOTS, SEEN, STRANGER, boot_image,
    channel, frame, made, made_by, of_format, offer, payload, repository_id, root, root_of, sealed,
    signed_root, volume, volumes, who,
};
use bistable_format::{
    Channel, ChunkList, Digest, Encoding, Extensions, Head, Key, KeyId, KeyKind, Offer, Release, Role, Root,
    attestation::Attestation,
    channel::{Segment, Withdrawal},
    chunklist::Range,
    envelope::seal,
    extensions::Extension,
    freshness::FURTHEST,
    limits,
    rollout::Wave,
    root::Demand,
};
use bistable_image::keys::SecretKey;

/// Version of the release that is good.
pub(super) const GOOD: &str = "1.1.0";
/// Number of the channel's file that offers it.
pub(super) const NEXT: u64 = SEEN + 1;

/// The root that follows the usual one: other keys for everything, as far as two of three can be changed at a time.
pub(super) const NEXT_ROOTS: [u8; 3] = [1, 13, 14];

pub(super) fn next_root() -> Root {
    root_of(2, &NEXT_ROOTS, &[NEW_RELEASER], &[NEW_PUBLISHER])
}

/// Signed to the thresholds of both.
pub(super) fn signed_next_root() -> Vec<u8> {
    sealed(Role::Root, &payload(&next_root()), &[1, 11, 13])
}

/// What is wrong, in bytes.
pub(super) type Vector = (&'static str, Vec<u8>);

/// Every vector by its file's name.
pub(super) fn all() -> Vec<Vector> {
    [roots(), channels(), contents(), releases(), data(), super::deltas::all()].concat()
}

/// Any value as root 2, by the usual keys.
fn as_root(root: &Root) -> Vec<u8> {
    signed_root(root)
}

fn changed_root(change: impl FnOnce(&mut Root)) -> Vec<u8> {
    let mut next = root(2);
    change(&mut next);
    as_root(&next)
}

/// Where an envelope's payload ends.
fn payload_end(signed: &[u8]) -> usize {
    16 + usize::try_from(u32::from_le_bytes(signed[12..16].try_into().unwrap())).unwrap()
}

pub(super) fn with(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut bytes);
    bytes
}

/// The first signature once more.
fn signed_again(signed: Vec<u8>) -> Vec<u8> {
    with(signed, |bytes| {
        let first = payload_end(bytes)..payload_end(bytes) + 80;
        bytes.extend_from_within(first);
        bytes[10] += 1;
    })
}

/// A web server's answer where there is no such file, given as if there were.
pub(super) fn page() -> Vec<u8> {
    b"<!doctype html><title>Not found</title><p>There is nothing here.\n".to_vec()
}

fn roots() -> Vec<Vector> {
    let next = payload(&root(2));
    let (strangers, usual) = ([71, 72, 73], as_root(&root(2)));
    let own = root_of(2, &strangers, &[RELEASER], &[PUBLISHER]);
    let demo = SecretKey::from_seed([8; 32], "desk", KeyKind::Demo).unwrap().public();
    vec![
        ("root-skipped-a-version.root", as_root(&root(3))),
        ("root-of-the-same-version.root", as_root(&root(1))),
        ("root-version-zero.root", as_root(&root(0))),
        ("root-same-signature-twice.root", signed_again(sealed(Role::Root, &next, &ROOTS[..1]))),
        ("root-below-threshold-of-the-old-keys.root", {
            sealed(Role::Root, &payload(&next_root()), &[1, 13, 14])
        }),
        ("root-below-threshold-of-its-own-keys.root", sealed(Role::Root, &payload(&own), &[1, 11, 71])),
        ("root-signed-by-strangers.root", sealed(Role::Root, &payload(&own), &strangers)),
        ("root-signed-by-release-key.root", sealed(Role::Root, &next, &[RELEASER])),
        ("root-signed-by-channel-key.root", sealed(Role::Root, &next, &[PUBLISHER])),
        ("root-unsigned.root", sealed(Role::Root, &next, &[])),
        (
            "root-without-root-role.root",
            changed_root(|r| {
                r.roles.remove(0);
            }),
        ),
        ("root-threshold-zero.root", changed_root(|r| r.roles[2].threshold = 0)),
        ("root-threshold-out-of-reach.root", changed_root(|r| r.roles[0].threshold = 4)),
        ("root-threshold-of-no-keys.root", changed_root(|r| r.roles[1].keys.clear())),
        (
            "root-key-twice.root",
            changed_root(|r| r.keys.push(Key { label: "again".into(), ..r.keys[0].clone() })),
        ),
        ("root-role-twice.root", changed_root(|r| r.roles[1] = r.roles[0].clone())),
        (
            "root-role-names-a-key-twice.root",
            changed_root(|r| {
                let key = r.roles[0].keys[0];
                r.roles[0].keys[1] = key;
            }),
        ),
        ("root-role-names-a-missing-key.root", changed_root(|r| r.roles[1].keys[0] = KeyId([9; 16]))),
        ("root-names-keys-for-attestations.root", { changed_root(|r| r.roles[1].role = Role::Attestation) }),
        (
            "root-weak-key.root",
            changed_root(|r| {
                // The neutral element: its signatures fit every message.
                let mut public = [0; 32];
                public[0] = 1;
                r.keys.push(Key { public, label: "weak".into(), kind: KeyKind::Production });
            }),
        ),
        ("root-demo-key.root", changed_root(|r| r.keys.push(demo))),
        ("root-label-with-escape-codes.root", changed_root(|r| r.keys[0].label = "\u{1b}[2J".into())),
        ("root-too-many-keys.root", {
            changed_root(|r| r.keys.extend((100..100 + 28).map(|n| who(n).public())))
        }),
        ("root-truncated.root", with(usual.clone(), |b| b.truncate(b.len() - 1))),
        ("root-trailing-byte.root", with(usual.clone(), |b| b.push(0))),
        ("root-changed-after-signing.root", with(usual.clone(), |b| b[16] = 3)),
        ("root-payload-truncated.root", sealed(Role::Root, &next[..next.len() - 1], &ROOTS[..2])),
        ("root-payload-trailing-byte.root", sealed(Role::Root, &[&next[..], &[0]].concat(), &ROOTS[..2])),
        ("root-format-changed.root", with(usual, |b| b[9] = 2)),
        ("root-of-a-later-format.root", of_format(Role::Root, 2, &next, &ROOTS[..2])),
        ("root-for-a-later-agent.root", of_format(Role::Root, 99, &for_later(&repository_id()), &ROOTS[..2])),
        ("root-without-a-head.root", of_format(Role::Root, 2, &[0xff; 40], &ROOTS[..2])),
        ("root-of-another-repository.root", changed_root(|r| r.head.repository = Digest::of(b"other"))),
        ("root-with-an-odd-extension.root", changed_root(|r| r.extensions.0.push(odd()))),
        ("root-channel-named-twice.root", {
            changed_root(|r| r.roles[2].channels = vec!["staging".into(), "staging".into()])
        }),
        ("root-demand-of-a-missing-key.root", {
            changed_root(|r| {
                let (kind, key) = ("tests-passed".into(), who(STRANGER).public().id());
                r.demands.push(Demand { channels: Vec::new(), kind, key });
            })
        }),
        ("root-is-a-web-page.root", page()),
        ("root-of-no-bytes.root", Vec::new()),
        ("channel-as-root.root", published(&channel(NEXT, Vec::new()))),
        ("release-as-root.root", made(GOOD).signed),
        // Served after a good root 2.
        ("root-two-versions-ahead.root", sealed(Role::Root, &payload(&versioned(4)), &[1, 13])),
        ("root-of-revoked-keys.root", sealed(Role::Root, &payload(&root(3)), &ROOTS[1..])),
        ("root-replayed.root", signed_next_root()),
    ]
}

fn versioned(version: u32) -> Root {
    Root { version, ..next_root() }
}

fn good_offer() -> Offer {
    offer(&made(GOOD))
}

/// What should be the channel's next file.
fn next() -> Channel {
    channel(NEXT, vec![good_offer()])
}

fn published(channel: &Channel) -> Vec<u8> {
    sealed(Role::Channel, &payload(channel), &[PUBLISHER])
}

/// An unknown extension that must be known.
pub(super) fn odd() -> Extension {
    Extension { id: 7, bytes: vec![1, 2, 3] }
}

/// A payload that is for later agents only: after its head come bytes that no decoder of today takes.
pub(super) fn for_later(repository: &Digest) -> Vec<u8> {
    let head = Head { agent: ">=9.1.0".into(), ..Head::new(*repository, "") };
    [payload(&head), vec![0xff; 20]].concat()
}

/// Bytes with one part of them replaced, which is there once.
fn replaced(bytes: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    let at: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(part)).collect();
    assert_eq!(at.len(), 1);
    [&bytes[..at[0]], by, &bytes[at[0] + part.len()..]].concat()
}

fn changed(change: impl FnOnce(&mut Channel)) -> Vec<u8> {
    let mut next = next();
    change(&mut next);
    published(&next)
}

/// Envelopes of channels, and what isn't one.
fn channels() -> Vec<Vector> {
    let by = |n| sealed(Role::Channel, &payload(&next()), &[n]);
    let (good, plain) = (published(&next()), payload(&next()));
    let desk = SecretKey::from_seed([8; 32], "desk", KeyKind::Demo).unwrap();
    let attested = Attestation {
        head: Head::new(repository_id(), "greenhouse"),
        release: good_offer().identity,
        kind: "tests-passed".into(),
        at: NOW,
        note: String::new(),
        extensions: Extensions::default(),
    };
    let other = published(&channel(NEXT, Vec::new()));
    vec![
        ("channel-signed-by-release-key.channel", by(RELEASER)),
        ("channel-signed-by-root-key.channel", by(ROOTS[0])),
        ("channel-signed-by-a-stranger.channel", by(STRANGER)),
        ("channel-signed-by-a-demo-key.channel", seal(Role::Channel, &plain, &[desk.signing()]).unwrap()),
        ("channel-unsigned.channel", sealed(Role::Channel, &plain, &[])),
        (
            "channel-signature-of-another-payload.channel",
            with(good.clone(), |b| {
                let at = payload_end(b);
                b.truncate(at);
                b.extend_from_slice(&other[payload_end(&other)..]);
            }),
        ),
        (
            "channel-signature-of-another-role.channel",
            with(sealed(Role::Release, &plain, &[PUBLISHER]), |b| b[8] = good[8]),
        ),
        (
            "channel-key-named-by-a-stranger.channel",
            with(by(STRANGER), |b| {
                let at = payload_end(b);
                b[at..at + 16].copy_from_slice(&who(PUBLISHER).public().id().0);
            }),
        ),
        ("channel-changed-after-signing.channel", with(good.clone(), |b| b[30] ^= 1)),
        ("channel-truncated.channel", with(good.clone(), |b| b.truncate(b.len() - 1))),
        ("channel-cut-in-its-head.channel", good[..15].to_vec()),
        ("channel-trailing-byte.channel", with(good.clone(), |b| b.push(0))),
        ("channel-of-no-bytes.channel", Vec::new()),
        ("channel-is-a-web-page.channel", page()),
        ("channel-of-zeros.channel", vec![0; 512]),
        ("channel-unknown-role.channel", with(good.clone(), |b| b[8] = 9)),
        ("channel-format-changed.channel", with(good.clone(), |b| b[9] = 2)),
        ("channel-of-a-later-format.channel", of_format(Role::Channel, 2, &plain, &[PUBLISHER])),
        ("channel-for-a-later-agent.channel", {
            of_format(Role::Channel, 99, &for_later(&repository_id()), &[PUBLISHER])
        }),
        ("channel-of-another-repository.channel", { changed(|c| c.head.repository = Digest::of(b"other")) }),
        ("channel-of-a-product.channel", changed(|c| c.head.product = "greenhouse".into())),
        ("channel-with-an-odd-extension.channel", changed(|c| c.extensions.0.push(odd()))),
        ("channel-offer-with-an-odd-extension.channel", changed(|c| c.offers[0].extensions.0.push(odd()))),
        ("channel-offer-of-a-directory.channel", {
            changed(|c| {
                let constraints = &mut c.offers[0].constraints;
                (constraints.component, constraints.content, constraints.bytes) =
                    (Some("app".into()), 2, vec![4096]);
            })
        }),
        ("channel-offer-cut-short.channel", {
            // The frame of the one offer is a byte shorter; the file around it is whole.
            let offer = payload(&next().offers[0]);
            let cut = &offer[..offer.len() - 1];
            let framed = |bytes: &[u8]| payload(&bytes.to_vec());
            sealed(Role::Channel, &replaced(&plain, &framed(&offer), &framed(cut)), &[PUBLISHER])
        }),
        ("delta-as-channel.channel", of_format(Role::Delta, 1, &plain, &[RELEASER])),
        ("envelope-17-signatures.channel", {
            let whole = (1..=limits::SIGNATURES).fold(good.clone(), |b, _| signed_again(b));
            assert_eq!(usize::from(whole[10]), limits::SIGNATURES + 1);
            whole
        }),
        ("envelope-signature-count-overflow.channel", with(good.clone(), |b| b[10..12].fill(0xff))),
        ("envelope-signature-count-too-small.channel", with(good.clone(), |b| b[10] = 0)),
        ("envelope-length-overflow.channel", with(good.clone(), |b| b[12..16].fill(0xff))),
        ("envelope-length-too-small.channel", with(good.clone(), |b| b[12] -= 1)),
        ("channel-payload-of-root.channel", sealed(Role::Channel, &payload(&root(2)), &[PUBLISHER])),
        ("channel-payload-of-no-bytes.channel", sealed(Role::Channel, &[], &[PUBLISHER])),
        ("channel-payload-truncated.channel", sealed(Role::Channel, &plain[..plain.len() - 1], &[PUBLISHER])),
        ("channel-payload-trailing-byte.channel", {
            sealed(Role::Channel, &[&plain[..], &[0]].concat(), &[PUBLISHER])
        }),
        ("attestation-as-channel.channel", attested.seal(who(PUBLISHER).signing()).unwrap()),
        ("root-as-channel.channel", as_root(&root(2))),
        ("release-as-channel.channel", made(GOOD).signed),
        // Served under the next root, which names other keys.
        ("channel-signed-by-retired-key.channel", published(&next())),
    ]
}

/// Channels that are signed well, and say what can't be.
fn contents() -> Vec<Vector> {
    let offered = |change: &dyn Fn(&mut Offer)| changed(|c| change(&mut c.offers[0]));
    let far = SEEN + FURTHEST + 1;
    vec![
        ("channel-expired.channel", { changed(|c| (c.issued_at, c.lifetime) = (NOW - 8 * DAY, 7 * DAY)) }),
        ("channel-expires-this-second.channel", changed(|c| c.lifetime = NOW - c.issued_at)),
        ("channel-from-the-future.channel", {
            changed(|c| (c.issued_at, c.lifetime) = (NOW + 2 * DAY, 7 * DAY))
        }),
        ("channel-from-the-end-of-time.channel", {
            changed(|c| (c.issued_at, c.lifetime) = (u64::MAX - DAY, DAY))
        }),
        ("channel-believed-for-no-time.channel", changed(|c| c.lifetime = 0)),
        ("channel-expires-in-ten-years.channel", changed(|c| c.lifetime = 3650 * DAY)),
        ("channel-of-staging.channel", changed(|c| c.name = "staging".into())),
        ("channel-name-with-a-path.channel", changed(|c| c.name = format!("../{CHANNEL}"))),
        ("channel-number-differs-from-name.channel", changed(|c| c.sequence = NEXT + 1)),
        ("channel-number-zero.channel", changed(|c| c.sequence = 0)),
        ("channel-without-predecessor.channel", changed(|c| c.previous = None)),
        ("channel-first-with-a-predecessor.channel", changed(|c| c.sequence = 1)),
        ("channel-fast-forward.channel", published(&channel(far, vec![good_offer()]))),
        ("channel-number-of-the-end.channel", published(&channel(u64::MAX, vec![good_offer()]))),
        ("channel-old-sequence.channel", published(&channel(SEEN - 1, vec![good_offer()]))),
        ("channel-offers-twice.channel", changed(|c| c.offers.push(good_offer()))),
        ("channel-offers-what-is-withdrawn.channel", {
            changed(|c| {
                c.withdrawn.push(Withdrawal {
                    product: "greenhouse".into(),
                    component: None,
                    version: GOOD.parse().unwrap(),
                    identity: good_offer().identity,
                    reason: "the fan stops".into(),
                    at: NOW,
                    extensions: Default::default(),
                });
            })
        }),
        ("channel-too-many-offers.channel", {
            changed(|c| {
                c.offers = (0..=limits::OFFERS as u64)
                    .map(|n| Offer { identity: Digest::of(&n.to_le_bytes()), ..good_offer() })
                    .collect();
            })
        }),
        ("channel-too-many-segments.channel", {
            let segment = Segment { digest: Digest([3; 32]), bytes: 4000, entries: 16 };
            changed(|c| c.catalog = vec![segment; limits::SEGMENTS + 1])
        }),
        ("channel-act-with-escape-codes.channel", changed(|c| c.act.about = "\u{1b}[2J".into())),
        ("channel-wave-of-nobody.channel", {
            offered(&|o| o.rollout.waves = vec![Wave { at: NOW, over: 0, share: 0 }].into())
        }),
        ("channel-wave-over-everybody.channel", {
            offered(&|o| o.rollout.waves = vec![Wave { at: NOW, over: 0, share: 10_001 }].into())
        }),
        ("channel-offer-without-boards.channel", offered(&|o| o.constraints.boards.clear())),
        ("channel-offer-of-no-bytes.channel", offered(&|o| o.constraints.bytes[1] = 0)),
        ("channel-offer-of-half-a-sector.channel", offered(&|o| o.constraints.bytes[0] += 256)),
        ("channel-offer-with-a-path.channel", offered(&|o| o.constraints.product = "../greenhouse".into())),
        ("channel-offer-larger-than-any.channel", offered(&|o| o.release_bytes = u32::MAX)),
    ]
}

/// A release of the good one's version, changed.
fn spoilt(change: impl FnOnce(&mut Release)) -> Vec<u8> {
    made_by(GOOD, &[RELEASER], change).signed
}

fn releases() -> Vec<Vector> {
    let good = made(GOOD);
    let plain = payload(&good.release);
    let by = |by: &[u8]| sealed(Role::Release, &plain, by);
    vec![
        // In place of the good one.
        ("release-other-bytes.release", made("1.0.5").signed),
        ("release-with-one-more-signature.release", by(&[RELEASER, STRANGER])),
        // Named by the channel, which says of it what is true of the good one.
        ("release-constraints-differ.release", spoilt(|r| r.security_version = 3)),
        ("release-of-another-version.release", made("1.0.5").signed),
        ("release-of-another-identity.release", spoilt(|r| r.description = "Not what was offered.".into())),
        ("release-other-product.release", spoilt(|r| r.head.product = "thermostat".into())),
        ("release-signed-by-channel-key.release", by(&[PUBLISHER])),
        ("release-signed-by-root-keys.release", by(&ROOTS)),
        ("release-signed-by-a-stranger.release", by(&[STRANGER])),
        ("release-unsigned.release", by(&[])),
        ("release-changed-after-signing.release", with(good.signed.clone(), |b| b[40] ^= 1)),
        ("release-truncated.release", with(good.signed.clone(), |b| b.truncate(b.len() - 1))),
        ("release-trailing-byte.release", with(good.signed, |b| b.push(0))),
        ("release-payload-trailing-byte.release", {
            sealed(Role::Release, &[&plain[..], &[0]].concat(), &[RELEASER])
        }),
        ("channel-as-release.release", published(&next())),
        // Served under the next root, which names other keys.
        ("release-signed-by-retired-key.release", by(&[RELEASER])),
        // Named by the channel, which says the truth of it.
        ("release-security-below-floor.release", spoilt(|r| r.security_version = 1)),
        ("release-for-another-board.release", spoilt(|r| r.boards = vec!["pi5".into()])),
        ("release-larger-than-the-slot.release", {
            spoilt(|r| {
                let system = &mut volumes(r).system;
                (system.bytes, system.chunk_bytes) = (1 << 36, limits::CHUNK_MAX);
            })
        }),
        ("release-demands-a-newer-one.release", {
            spoilt(|r| r.requires.running = Some(">=1.0.5".parse().unwrap()))
        }),
    ]
}

/// Lists and data of releases.
fn data() -> Vec<Vector> {
    let good = made(GOOD);
    let [list, frame_] = [0, 1].map(|at| good.blobs[at].clone());
    let (_, right, _) = volume(&boot_image(10_100));
    let listed = |change: &dyn Fn(&mut ChunkList)| {
        let mut list = right.clone();
        change(&mut list);
        payload(&list)
    };
    let delta = |list: &mut ChunkList| {
        list.base = Some(Digest([1; 32]));
        list.chunks[0].encoding = Encoding::Copy(Range { offset: 0, bytes: 16 << 10 });
    };
    vec![
        // In place of the good ones.
        ("list-wrong-digest.list", with(list.clone(), |b| b[10] ^= 1)),
        ("list-too-long.list", with(list.clone(), |b| b.push(0))),
        ("list-truncated.list", with(list.clone(), |b| b.truncate(b.len() - 1))),
        ("data-wrong-digest.data", with(frame_.clone(), |b| b[100] ^= 1)),
        ("data-truncated.data", with(frame_, |b| b.truncate(b.len() - 1))),
        // Named by a release that was signed well.
        ("list-without-chunks.list", listed(&|l| l.chunks.clear())),
        ("list-with-a-chunk-too-many.list", listed(&|l| l.chunks.push(l.chunks[0].clone()))),
        ("list-of-odd-chunks.list", listed(&|l| l.chunk_bytes = 300_000)),
        ("list-of-other-data.list", {
            listed(&|l| l.chunks[0].encoding = Encoding::Zstd { bytes: 77, digest: Digest([1; 32]) })
        }),
        ("list-of-a-delta.list", listed(&delta)),
        ("list-trailing-byte.list", with(list, |b| b.push(0))),
        ("data-larger-than-its-chunk.data", frame(&[0; 17 << 10])),
        ("data-smaller-than-its-chunk.data", frame(&[0; 512])),
        ("data-of-other-content.data", frame(&boot_image(1))),
        ("data-no-zstd.data", vec![0x55; 600]),
    ]
}
