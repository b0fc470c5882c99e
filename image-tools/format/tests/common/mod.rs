//! Values that are good, from fixed keys, for tests to spoil.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test fixtures; not each test uses all"
)]
use bistable_format::attestation::Attestation;
use bistable_format::channel::{Act, Gates, Passage, Segment, Withdrawal};
use bistable_format::chunklist::Range;
use bistable_format::content::{Blob, Containers, Directory, Service};
use bistable_format::delta::ArtifactDelta;
use bistable_format::extensions::Extension;
use bistable_format::release::DataPolicy;
use bistable_format::rollout::{Rollout, RolloutState, Wave};
use bistable_format::root::Demand;
use bistable_format::{
    Artifact, Bound, Channel, Chunk, ChunkList, Content, DecodeError, Delta, Digest, Encoding, Extensions,
    Head, Key, KeyId, KeyKind, Offer, Release, Requires, Role, RoleKeys, Root, Urgency, Volumes, release,
};
use ed25519_dalek::{Signer, SigningKey};
use semver::{Version, VersionReq};
use std::sync::LazyLock;

/// Key number `n`. 1 to 3 are the root's, 4 the release's, 5 the channels', 6 attests, 8 is the channel staging's; the rest
/// are strangers.
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
    RoleKeys { role, channels: vec![], threshold, keys: keys.iter().map(|n| id(*n)).collect() }
}

/// The keys of some channels.
pub(crate) fn channel_keys(channels: &[&str], threshold: u8, keys: &[u8]) -> RoleKeys {
    let channels = channels.iter().map(|name| (*name).to_owned()).collect();
    RoleKeys { channels, ..role_keys(Role::Channel, threshold, keys) }
}

/// What a root can only name in its successors: the first root names no repository.
pub(crate) const NO_REPOSITORY: Digest = Digest([0; 32]);

/// The first root.
pub(crate) fn root() -> Root {
    // Deriving keys and signing is slow: once is enough.
    static MADE: LazyLock<Root> = LazyLock::new(make_root);
    MADE.clone()
}

fn make_root() -> Root {
    Root {
        head: Head::new(NO_REPOSITORY, ""),
        version: 1,
        expires_at: Some(1_900_000_000),
        keys: [1, 2, 3, 4, 5, 6, 8].map(key).to_vec(),
        roles: vec![
            role_keys(Role::Root, 2, &[1, 2, 3]),
            role_keys(Role::Release, 1, &[4]),
            role_keys(Role::Channel, 1, &[5]),
            channel_keys(&["staging"], 1, &[8]),
        ],
        demands: vec![Demand {
            channels: vec!["production".into()],
            kind: "tests-passed".into(),
            key: id(6),
        }],
        extensions: extensions(2),
    }
}

/// The root after [`root`], with nothing changed that need not be.
pub(crate) fn next_root() -> Root {
    Root { head: Head::new(repository(), ""), version: 2, ..root() }
}

/// The identity of the repository of [`root`].
pub(crate) fn repository() -> Digest {
    static IDENTITY: LazyLock<Digest> = LazyLock::new(|| root().repository());
    *IDENTITY
}

/// The head of what is about the product.
pub(crate) fn head() -> Head {
    Head::new(repository(), "thermostat")
}

/// One extension.
pub(crate) fn extensions(id: u16) -> Extensions {
    Extensions(vec![Extension { id, bytes: vec![7, 8, 9] }])
}

pub(crate) fn artifact(bytes: u64, data_bytes: u64) -> Artifact {
    Artifact {
        bytes,
        digest: Digest::of(&bytes.to_le_bytes()),
        chunk_bytes: 1 << 20,
        chunks: Digest::of(b"chunks"),
        list: Digest::of(b"list"),
        list_bytes: 300,
        data: Digest::of(&data_bytes.to_be_bytes()),
        data_bytes,
    }
}

pub(crate) fn bound(component: &str, version: &str) -> Bound {
    Bound {
        component: component.into(),
        version: Version::parse(version).unwrap(),
        identity: Digest::of(component.as_bytes()),
        extensions: Extensions::default(),
    }
}

/// An image with all that an image can have.
pub(crate) fn release() -> Release {
    let volumes = Volumes { boot: artifact(64 << 20, 20_000_000), system: artifact(1 << 30, 300_000_001) };
    Release {
        head: head(),
        durable: 1,
        component: None,
        version: Version::parse("1.4.0-rc.2+build.7").unwrap(),
        security_version: 3,
        boards: vec!["pi4".into(), "pi5".into()],
        requires: Requires {
            running: Some(VersionReq::parse(">=1.2.0, <2.0.0").unwrap()),
            components: vec![("boot-loader".into(), VersionReq::parse("^2.1").unwrap())],
            conflicts: vec![("app".into(), VersionReq::parse("<1.5").unwrap())],
        },
        urgency: Urgency::Security,
        description: "Fixes the fan.\n\tAnd the door.".into(),
        author: "Ada".into(),
        build_time: 1_700_000_000,
        origin: "https://example.com/thermostat.git 0a1b2c3d".into(),
        self_tests: PLAN.into(),
        health: PROFILE.into(),
        data: DataPolicy::Migrates,
        sbom: Some(Digest::of(b"materials")),
        bound: vec![
            Bound { extensions: extensions(4), ..bound("app", "2.0.0") },
            bound("models", "1.0.0-beta.1"),
        ]
        .into(),
        content: Content::Image(volumes),
        extensions: extensions(2),
    }
}

/// An SBOM of one package.
pub(crate) const SBOM: &[u8] =
    br#"{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{"type":"library","name":"fan","version":"1.0.0"}]}"#;

/// The same image, with its SBOM.
pub(crate) fn release_with_sbom() -> Release {
    let mut release = release();
    release.set_sbom(SBOM).unwrap();
    release
}

/// The volumes of an image, to be spoiled.
pub(crate) fn volumes(release: &mut Release) -> &mut Volumes {
    match &mut release.content {
        Content::Image(volumes) => volumes,
        other => panic!("not an image: {other:?}"),
    }
}

/// The image before [`release`].
pub(crate) fn base_release() -> Release {
    Release { version: Version::new(1, 3, 0), bound: vec![].into(), ..release() }
}

/// A release of a component, without what only an image has.
fn component_release(component: &str, content: Content) -> Release {
    Release {
        component: Some(component.into()),
        version: Version::new(2, 0, 0),
        requires: Requires::default(),
        urgency: Urgency::Normal,
        self_tests: String::new(),
        health: "[[check]]\nname = \"app\"\nkind = \"unit\"\nunit = \"app.service\"\n".into(),
        data: DataPolicy::Compatible,
        sbom: None,
        bound: vec![].into(),
        content,
        extensions: Extensions::default(),
        ..release()
    }
}

/// An application directory.
pub(crate) fn directory_release() -> Release {
    component_release("app", Content::Directory(Directory { archive: artifact(30_000_001, 9_000_000) }))
}

pub(crate) fn containers() -> Containers {
    let blob = |text: &[u8]| Blob { digest: Digest::of(text), bytes: u32::try_from(text.len()).unwrap() };
    let service = |name: &str, manifest: &[u8]| Service { name: name.into(), manifest: Digest::of(manifest) };
    Containers {
        services: vec![service("web", b"manifest of web"), service("db", b"manifest of db")],
        layers: vec![artifact(5_000_000, 2_000_000), artifact(70_000, 40_000), artifact(123, 99)],
        blobs: vec![
            blob(b"manifest of web"),
            blob(b"configuration of web"),
            blob(b"manifest of db"),
            blob(b"configuration of db"),
        ],
    }
}

/// Two services.
pub(crate) fn containers_release() -> Release {
    component_release("stack", Content::Containers(containers()))
}

/// The identity of a release as its only key signs it.
pub(crate) fn identity(release: &Release) -> Digest {
    release::identity(&release.seal(&[&signer(4)]).unwrap())
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

/// The artifact that a list describes, of these many raw bytes and bytes of data.
pub(crate) fn artifact_of(list: &ChunkList, bytes: u64, data_bytes: u64) -> Artifact {
    let chunks = list.chunks_digest();
    Artifact { chunk_bytes: list.chunk_bytes, chunks, ..artifact(bytes, data_bytes) }
}

/// A full list of three chunks and a sector, and its artifact.
pub(crate) fn list() -> (ChunkList, Artifact) {
    let chunk = |n: u8, encoding| Chunk { digest: Digest::of(&[n]), encoding };
    let frame = |n: u8| Digest::of(&[n, n]);
    let chunks = vec![
        chunk(0, Encoding::Zstd { bytes: 100_000, digest: frame(0) }),
        chunk(1, Encoding::Zero { bytes: 19, digest: frame(1) }),
        chunk(2, Encoding::Zstd { bytes: 262_160, digest: frame(2) }),
        chunk(3, Encoding::Zstd { bytes: 33, digest: frame(3) }),
    ];
    let list = ChunkList { chunk_bytes: CHUNK, base: None, chunks };
    let (bytes, data_bytes) = (3 * u64::from(CHUNK) + 512, 100_000 + 19 + 262_160 + 33);
    let artifact = artifact_of(&list, bytes, data_bytes);
    (list, artifact)
}

/// What a chunk list of a delta is decoded for.
#[derive(Clone, Debug)]
pub(crate) struct Making {
    pub(crate) target: Artifact,
    pub(crate) data_bytes: u64,
    pub(crate) base: Artifact,
}

impl Making {
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<ChunkList, DecodeError> {
        ChunkList::decode_delta(bytes, &self.target, self.data_bytes, &self.base)
    }

    /// The delta's word about a list and its data.
    pub(crate) fn artifact_delta(&self, name: &str, list: &[u8]) -> ArtifactDelta {
        ArtifactDelta {
            name: name.into(),
            list: Digest::of(list),
            list_bytes: u32::try_from(list.len()).unwrap(),
            data: Digest::of(b"data of the delta"),
            data_bytes: self.data_bytes,
        }
    }
}

/// A delta's list for the same artifact.
pub(crate) fn delta_list() -> (ChunkList, Making) {
    let (mut list, target) = list();
    let base = Artifact { digest: Digest::of(b"base"), chunk_bytes: CHUNK, ..artifact(1 << 34, 1 << 30) };
    list.base = Some(base.digest);
    list.chunks[0].encoding = Encoding::Copy(Range { offset: 4096, bytes: CHUNK });
    list.chunks[2].encoding = Encoding::Patch {
        bytes: 700,
        digest: Digest::of(b"patch"),
        prefix: vec![Range { offset: 0, bytes: 512 }, Range { offset: 1 << 33, bytes: 100_000 }],
    };
    (list, Making { target, data_bytes: 19 + 700 + 33, base })
}

/// How [`release`] is made from [`base_release`].
pub(crate) fn delta() -> Delta {
    // Deriving keys and signing is slow: once is enough.
    static MADE: LazyLock<Delta> = LazyLock::new(make_delta);
    MADE.clone()
}

fn make_delta() -> Delta {
    let (list, making) = delta_list();
    let list = list.encode(making.target.bytes, making.data_bytes).unwrap();
    let mut boot = making.artifact_delta("boot", &list);
    boot.data_bytes = 0;
    Delta {
        head: head(),
        target: identity(&release()),
        base: identity(&base_release()),
        artifacts: vec![boot, making.artifact_delta("system", &list)],
        extensions: extensions(6),
    }
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
    // Deriving keys and signing is slow: once is enough.
    static MADE: LazyLock<Offer> = LazyLock::new(make_offer);
    MADE.clone()
}

fn make_offer() -> Offer {
    let sealed = release().seal(&[&signer(4)]).unwrap();
    Offer {
        constraints: release().constraints(),
        release: Digest::of(&sealed),
        release_bytes: u32::try_from(sealed.len()).unwrap(),
        identity: release::identity(&sealed),
        since: 1_700_000_100,
        passage: Passage::Free,
        rollout: Rollout {
            pace: RolloutState::Running,
            canaries: vec!["lab".into()],
            waves: vec![Wave { at: 1_700_000_200, over: 3600, share: 100 }].into(),
        },
        extensions: extensions(8),
    }
}

pub(crate) fn withdrawal() -> Withdrawal {
    Withdrawal {
        product: "thermostat".into(),
        component: None,
        version: Version::parse("1.3.0").unwrap(),
        identity: Digest([5; 32]),
        reason: "the fan stops".into(),
        at: 1_700_000_050,
        extensions: extensions(10),
    }
}

pub(crate) fn segment() -> Segment {
    Segment { digest: Digest([3; 32]), bytes: 4000, entries: 16 }
}

pub(crate) fn channel() -> Channel {
    Channel {
        head: Head::new(repository(), ""),
        name: "production".into(),
        sequence: 42,
        previous: Some(Digest([2; 32])),
        issued_at: 1_700_000_100,
        lifetime: 7 * 86_400,
        act: Act { by: "ada@build".into(), verb: "promote".into(), about: "thermostat 1.4.0-rc.2".into() },
        offers: vec![offer()].into(),
        withdrawn: vec![withdrawal()].into(),
        pins: vec![Digest([6; 32])],
        gates: Gates {
            min_age: 3600,
            min_interval: 7200,
            attestations: vec![("tests-passed".into(), key(6))],
        },
        promoted_at: 1_700_000_100,
        catalog: vec![segment()],
        extensions: extensions(12),
    }
}

pub(crate) fn attestation() -> Attestation {
    // Deriving keys and signing is slow: once is enough.
    static MADE: LazyLock<Attestation> = LazyLock::new(make_attestation);
    MADE.clone()
}

fn make_attestation() -> Attestation {
    Attestation {
        head: head(),
        release: identity(&release()),
        kind: "tests-passed".into(),
        at: 1_700_000_000,
        note: "bench 2".into(),
        extensions: extensions(14),
    }
}

/// A payload of a later format: a head that requires these agents, and what only that format knows.
pub(crate) fn later_payload(requirement: &str, product: &str) -> Vec<u8> {
    let head = Head { agent: requirement.into(), ..Head::new(repository(), product) };
    [postcard::to_allocvec(&head).unwrap(), b"what this version has never seen".to_vec()].concat()
}

/// An envelope of any role, format and payload, well signed: what a later version would write.
pub(crate) fn sealed_as(role: Role, format: u8, payload: &[u8], keys: &[u8]) -> Vec<u8> {
    let code = 1 + Role::ALL.iter().position(|r| *r == role).unwrap();
    let code = u8::try_from(code).unwrap();
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let message = [&b"bistable envelope\0"[..], &[code, format], &length, payload].concat();
    let mut blocks: Vec<(KeyId, [u8; 64])> =
        keys.iter().map(|n| (id(*n), signer(*n).sign(&message).to_bytes())).collect();
    blocks.sort_unstable();
    let count = u16::try_from(blocks.len()).unwrap().to_le_bytes();
    let mut bytes = [&b"BISTABLE"[..], &[code, format], &count, &length, payload].concat();
    for (id, signature) in blocks {
        bytes.extend_from_slice(&id.0);
        bytes.extend_from_slice(&signature);
    }
    bytes
}

/// An entry of an open list or the fields of a kind, whatever they are.
pub(crate) fn frame(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap()
}

/// A wave of any kind, as an entry.
pub(crate) fn raw_wave(kind: u16, fields: &[u8]) -> Vec<u8> {
    [frame(&kind), fields.to_vec()].concat()
}

/// An offer as an entry, with these waves.
pub(crate) fn raw_offer(offer: &Offer, waves: &[Vec<u8>]) -> Vec<u8> {
    let rollout = (&offer.rollout.pace, &offer.rollout.canaries, waves);
    frame(&(
        (
            &offer.constraints,
            &offer.release,
            offer.release_bytes,
            &offer.identity,
            offer.since,
            &offer.passage,
        ),
        rollout,
        &offer.extensions,
    ))
}

/// A channel's payload with these entries, whatever they are.
pub(crate) fn raw_channel(channel: &Channel, offers: &[Vec<u8>], withdrawn: &[Vec<u8>]) -> Vec<u8> {
    let Channel { head, name, sequence, previous, issued_at, lifetime, act, .. } = channel;
    frame(&(
        (head, name, sequence, previous, issued_at, lifetime, act),
        (offers, withdrawn),
        (&channel.pins, &channel.gates, channel.promoted_at, &channel.catalog, &channel.extensions),
    ))
}

/// A release's payload with these bound entries, whatever they are.
pub(crate) fn raw_release(release: &Release, bound: &[Vec<u8>]) -> Vec<u8> {
    let texts = (&release.description, &release.author, release.build_time, &release.origin);
    frame(&(
        (&release.head, release.durable, &release.component, &release.version, release.security_version),
        (&release.boards, &release.requires, &release.urgency, texts),
        (&release.self_tests, &release.health, &release.data, &release.sbom),
        (bound, &release.content, &release.extensions),
    ))
}

/// A chunk list with these encodings, by kind and fields, whatever they are.
pub(crate) fn raw_list(list: &ChunkList, encodings: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let chunks: Vec<_> = list.chunks.iter().map(|c| c.digest).zip(encodings).collect();
    frame(&(list.chunk_bytes, list.base, chunks))
}
