//! Values that are good, from fixed keys, for tests to spoil.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test fixtures; not each test uses all"
)]
use bistable_format::channel::{Act, Gates, Passage, Segment, Withdrawal};
use bistable_format::rollout::{Pace, Rollout, Wave};
use bistable_format::{
    Channel, Chunk, ChunkList, DecodeError, Digest, Encoding, Key, KeyId, KeyKind, Offer, Release, Requires,
    Role, RoleKeys, Root, Volume, Volumes,
};
use ed25519_dalek::SigningKey;
use semver::{Version, VersionReq};

/// Key number `n`. 1 to 3 are the root's, 4 the release's, 5 the channel's, 6 has no role; the rest are strangers.
pub(crate) fn signer(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

pub(crate) fn public(n: u8) -> [u8; 32] {
    signer(n).verifying_key().to_bytes()
}

pub(crate) fn id(n: u8) -> KeyId {
    KeyId::of(&public(n))
}

pub(crate) fn key(n: u8) -> Key {
    Key { public: public(n), label: format!("key {n}"), kind: KeyKind::Production }
}

pub(crate) fn role_keys(role: Role, threshold: u8, keys: &[u8]) -> RoleKeys {
    RoleKeys { role, threshold, keys: keys.iter().map(|n| id(*n)).collect() }
}

pub(crate) fn root() -> Root {
    Root {
        version: 1,
        keys: (1..=6).map(key).collect(),
        roles: vec![
            role_keys(Role::Root, 2, &[1, 2, 3]),
            role_keys(Role::Release, 1, &[4]),
            role_keys(Role::Channel, 1, &[5]),
        ],
    }
}

pub(crate) fn volume(bytes: u64, data_bytes: u64) -> Volume {
    Volume {
        bytes,
        digest: Digest::of(&bytes.to_le_bytes()),
        list_bytes: 300,
        list: Digest::of(b"list"),
        data_bytes,
        data: Digest::of(&data_bytes.to_be_bytes()),
    }
}

pub(crate) fn release() -> Release {
    Release {
        product: "thermostat".into(),
        version: Version::parse("1.4.0-rc.2+build.7").unwrap(),
        security_version: 3,
        boards: vec!["pi4".into(), "pi5".into()],
        requires: Requires {
            running: Some(VersionReq::parse(">=1.2.0, <2.0.0").unwrap()),
            components: vec![("boot-loader".into(), VersionReq::parse("^2.1").unwrap())],
            conflicts: vec![("app".into(), VersionReq::parse("<1.5").unwrap())],
        },
        volumes: Volumes { boot: volume(64 << 20, 20_000_000), system: volume(1 << 30, 300_000_001) },
        description: "Fixes the fan.\n\tAnd the door.".into(),
        author: "Ada".into(),
        build_time: 1_700_000_000,
        self_tests: PLAN.into(),
        health: PROFILE.into(),
    }
}

pub(crate) const PLAN: &str = r#"
[[test]]
name = "relay"
kind = "loopback"
out = 17
in = 27

[[test]]
name = "door-contact"
kind = "level"
pin = 22
pull = "up"
expect = "low"
need = "wanted"

[[test]]
name = "fan"
kind = "pulse"
pin = 24
min_hz = 20
max_hz = 200
window_ms = 500

[[test]]
name = "modem"
kind = "command"
run = ["/usr/bin/modem-check", "--quick"]
timeout_ms = 10000
"#;

pub(crate) const BUSES: &str = r#"
[[test]]
name = "thermometer"
kind = "i2c"
bus = 1
address = 0x48

[[test]]
name = "spi-header"
kind = "spi"
bus = 0
select = 1
need = "wanted"

[[test]]
name = "radio"
kind = "spi"
bus = 6
select = 15
hz = 500000

[[test]]
name = "rs232"
kind = "uart"
device = "/dev/serial0"
timeout_ms = 900

[[test]]
name = "meter"
kind = "uart"
device = "/dev/ttyAMA3"
baud = 9600
"#;

pub(crate) const PROFILE: &str = r#"
deadline_s = 90
settle_s = 5
self_tests = false

[[check]]
name = "application"
kind = "unit"
unit = "app.service"

[[check]]
name = "web"
kind = "http"
url = "http://127.0.0.1:8080/health"
status = 204
contains = "ok"
need = "wanted"

[[check]]
name = "database"
kind = "command"
run = ["/usr/bin/db-check"]
timeout_ms = 10000
"#;

pub(crate) const CHUNK: u32 = 256 << 10;

/// A full list: three chunks and a sector, and its raw and data bytes.
pub(crate) fn list() -> (ChunkList, u64, u64) {
    let chunk = |n: u8, encoding| Chunk { digest: Digest::of(&[n]), encoding };
    let frame = |n: u8| Digest::of(&[n, n]);
    let chunks = vec![
        chunk(0, Encoding::Zstd { bytes: 100_000, digest: frame(0) }),
        chunk(1, Encoding::Zero { bytes: 19, digest: frame(1) }),
        chunk(2, Encoding::Zstd { bytes: 262_160, digest: frame(2) }),
        chunk(3, Encoding::Zstd { bytes: 33, digest: frame(3) }),
    ];
    let list = ChunkList { chunk_bytes: CHUNK, base: None, chunks };
    (list, 3 * u64::from(CHUNK) + 512, 100_000 + 19 + 262_160 + 33)
}

/// A delta for the same volume.
pub(crate) fn delta() -> (ChunkList, u64, u64) {
    use bistable_format::chunklist::Range;
    let (mut list, raw, _) = list();
    list.base = Some(Digest::of(b"base"));
    list.chunks[0].encoding = Encoding::Copy(Range { offset: 4096, bytes: CHUNK });
    list.chunks[2].encoding = Encoding::Patch {
        bytes: 700,
        digest: Digest::of(b"patch"),
        prefix: vec![Range { offset: 0, bytes: 512 }, Range { offset: 1 << 33, bytes: 100_000 }],
    };
    (list, raw, 19 + 700 + 33)
}

/// The problem's text, for errors that name one.
pub(crate) fn problem<T: std::fmt::Debug>(result: Result<T, DecodeError>) -> String {
    match result {
        Err(e @ DecodeError::Invalid { .. }) => e.to_string(),
        other => panic!("not an invalid value: {other:?}"),
    }
}

/// What a channel says of [`release`].
pub(crate) fn offer() -> Offer {
    let sealed = release().seal(&[&signer(4)]).unwrap();
    Offer {
        terms: release().terms(),
        release: Digest::of(&sealed),
        release_bytes: u32::try_from(sealed.len()).unwrap(),
        identity: bistable_format::release::identity(&sealed),
        since: 1_700_000_100,
        passage: Passage::Free,
        rollout: Rollout {
            pace: Pace::Running,
            canaries: vec!["lab".into()],
            waves: vec![Wave { at: 1_700_000_200, over: 3600, share: 100 }],
        },
    }
}

pub(crate) fn segment() -> Segment {
    Segment { digest: Digest([3; 32]), bytes: 4000, entries: 16 }
}

pub(crate) fn channel() -> Channel {
    Channel {
        name: "production".into(),
        sequence: 42,
        previous: Some(Digest([2; 32])),
        issued_at: 1_700_000_100,
        expires_at: 1_700_000_100 + 7 * 86_400,
        act: Act { by: "ada@build".into(), verb: "promote".into(), about: "thermostat 1.4.0-rc.2".into() },
        offers: vec![offer()],
        withdrawn: vec![Withdrawal {
            product: "thermostat".into(),
            version: Version::parse("1.3.0").unwrap(),
            identity: Digest([5; 32]),
            reason: "the fan stops".into(),
            at: 1_700_000_050,
        }],
        pins: vec![Digest([6; 32])],
        gates: Gates {
            min_age: 3600,
            min_interval: 7200,
            attestations: vec![("tests-passed".into(), key(6))],
        },
        promoted_at: 1_700_000_100,
        catalog: vec![segment()],
    }
}
