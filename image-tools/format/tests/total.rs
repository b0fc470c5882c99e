//! Every decoder is total: any bytes give a value or an error. What they accept, they write back as the same value.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod common;

use bistable_format::attestation::Attestation;
use bistable_format::bundle::{BLOCK, Frame, Header};
use bistable_format::health::Profile;
use bistable_format::selftest::Plan;
use bistable_format::{Channel, ChunkList, Delta, Envelope, Head, Release, Role, Root, TrustError, limits};
use common::{
    BUSES, Making, PLAN, PROFILE, artifact_of, attestation, channel, containers_release, delta, delta_list,
    directory_release, key, list, release, repository, root, signer,
};
use proptest::prelude::*;
use std::sync::LazyLock;

/// Deriving keys and signing is slow: once is enough.
static ROOT: LazyLock<Root> = LazyLock::new(root);
static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(samples);

/// Try all decoders on the same bytes, and check what they accept.
fn try_all(bytes: &[u8]) {
    for role in Role::ALL {
        if let Ok(envelope) = Envelope::parse(bytes, role) {
            assert_eq!(envelope.role, role);
            assert_eq!(Envelope::stored_len(bytes, role), Ok(bytes.len()));
            assert_eq!(bytes.len(), 16 + envelope.payload.len() + 80 * envelope.signatures().count());
        }
        if let Ok(length) = Envelope::stored_len(bytes, role) {
            assert!(Envelope::parse(&bytes[..length], role).is_ok());
        }
        assert!(ROOT.verify(role, bytes).is_err() || is_genuine(bytes), "trusted: {bytes:x?}");
    }
    if let Ok(root) = Root::open(bytes) {
        assert_eq!(Root::decode(&root.encode().unwrap()), Ok(root));
    }
    if let Ok(root) = Root::decode(bytes) {
        assert_eq!(Root::decode(&root.encode().unwrap()), Ok(root));
    }
    if let Ok(release) = Release::decode(bytes) {
        assert!(release.self_test_plan().is_ok() && release.health_profile().is_ok());
        let signed = release.seal(&[&signer(4)]).unwrap();
        let frame = Frame::new(&signed, &release);
        assert!(frame.headers.iter().all(|h| h.encode().is_ok()));
        assert!(frame.manifest.len() as u64 <= limits::BUNDLE_TEXT);
        check_opened(Release::open(&signed, &ROOT), &release, &release.head);
    }
    if let Ok(channel) = Channel::decode(bytes) {
        let signed = channel.seal(&[&signer(5)]).unwrap();
        if channel.name == "production" {
            check_opened(Channel::open(&signed, &ROOT), &channel, &channel.head);
        }
    }
    if let Ok(delta) = Delta::decode(bytes) {
        let signed = delta.seal(&[&signer(4)]).unwrap();
        check_opened(Delta::open(&signed, &ROOT), &delta, &delta.head);
    }
    if let Ok(word) = Attestation::open(bytes, &key(6), &repository()) {
        assert_eq!(Attestation::open(&word.seal(&signer(6)).unwrap(), &key(6), &repository()), Ok(word));
    }
    if let Ok(head) = Head::read(bytes) {
        let again = postcard::to_allocvec(&head).unwrap();
        assert_eq!(Head::read(&again), Ok(head));
    }
    // The digest of the chunks is the one check that random changes never pass: here the list says which chunks there are.
    let (_, full) = list();
    if let Ok(list) = ChunkList::decode(bytes, &full) {
        assert_eq!(list.chunks_digest(), full.chunks);
        try_list(list, &Making { data_bytes: full.data_bytes, base: full.clone(), target: full });
    }
    let (_, making) = delta_list();
    if let Ok(list) = making.decode(bytes) {
        assert_eq!(list.chunks_digest(), making.target.chunks);
        try_list(list, &making);
    }
    if let Some(block) = bytes.first_chunk::<BLOCK>()
        && let Ok(header) = Header::decode(block)
    {
        assert_eq!(header.encode(), Ok(*block));
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(plan) = Plan::parse(&text) {
        assert!(plan.tests.len() <= limits::TESTS);
        let mut pins: Vec<_> = plan.tests.iter().flat_map(|t| t.kind.pins()).collect();
        let all = pins.len();
        pins.sort_unstable();
        pins.dedup();
        assert_eq!(pins.len(), all, "no pin twice");
    }
    if let Ok(profile) = Profile::parse(&text) {
        assert!(profile.settle_s < profile.deadline_s);
        assert!(profile.checks.len() <= limits::TESTS);
    }
}

/// What is well signed opens as what it is, unless its head says that it is not for us.
fn check_opened<T: PartialEq + std::fmt::Debug>(opened: Result<T, TrustError>, signed: &T, head: &Head) {
    match opened {
        Ok(opened) => assert_eq!(&opened, signed),
        Err(TrustError::NeedsAgent { required, .. }) => assert_eq!(required, head.agent),
        Err(TrustError::OtherRepository { found, wanted, .. }) => {
            assert_eq!((found, wanted), (head.repository, ROOT.repository()));
            assert_ne!(found, wanted);
        }
        Err(other) => panic!("{other}: {signed:?}"),
    }
}

/// What is accepted is the artifact, and is written as what is accepted.
fn try_list(list: ChunkList, making: &Making) {
    let raw = making.target.bytes;
    let sum: u64 = (0..list.chunks.len()).map(|i| u64::from(list.raw_bytes(i, raw))).sum();
    assert_eq!(sum, raw);
    let encoded = list.encode(raw, making.data_bytes).unwrap();
    let again = match list.base {
        Some(_) => making.decode(&encoded),
        None => ChunkList::decode(&encoded, &artifact_of(&list, raw, making.data_bytes)),
    };
    assert_eq!(again, Ok(list));
}

/// Whether these bytes hold a payload that our keys did sign. Signatures that don't count may differ.
fn is_genuine(bytes: &[u8]) -> bool {
    SAMPLES.iter().any(|good| {
        let payload = |b: &[u8]| {
            let length = b
                .get(12..16)
                .map_or(0, |l| usize::try_from(u32::from_le_bytes(l.try_into().unwrap())).unwrap());
            b.get(..9).map(<[u8]>::to_vec).zip(b.get(16..16 + length).map(<[u8]>::to_vec))
        };
        good.starts_with(b"BISTABLE") && payload(good) == payload(bytes)
    })
}

/// Good bytes of each kind.
fn samples() -> Vec<Vec<u8>> {
    let signed = release().seal(&[&signer(4)]).unwrap();
    let header = Frame::new(&signed, &release()).headers[4].encode().unwrap();
    let (full, artifact) = list();
    let (of_delta, making) = delta_list();
    vec![
        root().seal(&[&signer(1), &signer(2), &signer(3)]).unwrap(),
        signed,
        root().encode().unwrap(),
        release().encode().unwrap(),
        full.encode(artifact.bytes, artifact.data_bytes).unwrap(),
        of_delta.encode(making.target.bytes, making.data_bytes).unwrap(),
        header.to_vec(),
        payload(Role::Channel, &channel().seal(&[&signer(5)]).unwrap()),
        PLAN.into(),
        PROFILE.into(),
        BUSES.into(),
        payload(Role::Delta, &delta().seal(&[&signer(4)]).unwrap()),
        directory_release().encode().unwrap(),
        containers_release().encode().unwrap(),
        attestation().seal(&signer(6)).unwrap(),
        delta().seal(&[&signer(4)]).unwrap(),
        channel().seal(&[&signer(5)]).unwrap(),
    ]
}

/// Not in an envelope, so that what is spoiled is decoded.
fn payload(role: Role, sealed: &[u8]) -> Vec<u8> {
    Envelope::parse(sealed, role).unwrap().payload.to_vec()
}

/// A way to spoil bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Copy(prop::sample::Index, prop::sample::Index, usize),
}

fn changes() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let byte = prop_oneof![any::<u8>(), Just(0u8), Just(0x7f), Just(0x80), Just(0xff)];
    prop_oneof![
        (at(), byte).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), 1usize..40).prop_map(|(at, n)| Change::Remove(at, n)),
        (at(), at(), 1usize..90).prop_map(|(from, to, n)| Change::Copy(from, to, n)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: Change) {
    if bytes.is_empty() {
        return;
    }
    match change {
        Change::Set(at, byte) => *at.get_mut(bytes) = byte,
        Change::Insert(at, new) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, new);
        }
        Change::Remove(at, n) => {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + n).min(bytes.len()));
        }
        Change::Copy(from, to, n) => {
            let from = from.index(bytes.len());
            let piece = bytes[from..(from + n).min(bytes.len())].to_vec();
            let to = to.index(bytes.len());
            bytes.splice(to..to, piece);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        try_all(&bytes);
    }

    #[test]
    fn any_bytes_in_an_envelope(
        role in prop::sample::select(Role::ALL.to_vec()),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        // By a stranger: nothing of it is trusted.
        try_all(&bistable_format::envelope::seal(role, &payload, &[&signer(99)]).unwrap());
    }

    #[test]
    fn spoilt_samples(which in 0usize..17, changes in prop::collection::vec(changes(), 1..5)) {
        let mut bytes = SAMPLES[which].clone();
        changes.into_iter().for_each(|c| apply(&mut bytes, c));
        try_all(&bytes);
    }

    #[test]
    fn any_text(text in "[\\PC\n\\[\\]=\"'.,#{}a-z0-9]{0,200}") {
        let _ = (Plan::parse(&text), Profile::parse(&text));
    }

    #[test]
    fn plan_like_text(lines in prop::collection::vec(prop::sample::select(vec![
        "[[test]]", "[[check]]", "name = 'a'", "name = 'b'", "kind = 'level'", "kind = 'pulse'", "kind = 'loopback'",
        "kind = 'command'", "kind = 'http'", "kind = 'unit'", "kind = 'i2c'", "kind = 'spi'", "kind = 'uart'",
        "bus = 1", "address = 0x48", "select = 0", "hz = 20000", "device = '/dev/x'", "baud = 9600", "pin = 3", "pin = 4", "in = 3", "out = 5", "expect = 'low'",
        "pull = 'up'", "min_hz = 1", "max_hz = 2", "window_ms = 10", "run = ['/x']", "url = 'http://a'", "status = 200",
        "unit = 'a.b'", "need = 'wanted'", "at = 'trial'", "at = 'before'", "kind = 'camera'", "lens = 2", "timeout_ms = 9", "deadline_s = 20", "settle_s = 1", "self_tests = true", "a.b.c = []",
    ]), 0..14)) {
        try_all(lines.join("\n").as_bytes());
    }
}

#[test]
fn the_samples_themselves_are_accepted() {
    let samples = &*SAMPLES;
    samples.iter().for_each(|s| try_all(s));
    assert!(Root::open(&samples[0]).is_ok());
    assert!(Release::open(&samples[1], &root()).is_ok());
    assert!(Root::decode(&samples[2]).is_ok());
    assert!(Release::decode(&samples[3]).is_ok());
    assert!(ChunkList::decode(&samples[4], &list().1).is_ok());
    assert!(delta_list().1.decode(&samples[5]).is_ok());
    assert!(Header::decode(samples[6].first_chunk().unwrap()).is_ok());
    assert!(Channel::decode(&samples[7]).is_ok());
    assert!(Delta::decode(&samples[11]).is_ok());
    assert!(samples[12..14].iter().all(|s| Release::decode(s).is_ok()));
    assert!(Attestation::open(&samples[14], &key(6), &repository()).is_ok());
    assert!(Delta::open(&samples[15], &root()).is_ok());
    assert!(Channel::open(&samples[16], &root()).is_ok());
    assert_eq!(samples.len(), 17);
    for (i, sample) in samples.iter().enumerate() {
        assert_eq!(is_genuine(sample), !(2..=13).contains(&i), "sample {i}");
    }
}
