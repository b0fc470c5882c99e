//! A small repository in memory, from fixed keys and by hand: the same to the last bit each time, whatever makes real
//! images. And a device that trusts it.
use crate::{
    fixture::{HEALTH, SELF_TESTS, WORLD, key, noise},
    rig::Rig,
};
use bistable::{
    Device, Error,
    agent::Agent,
    offer::{self, channel::Remember},
    source::Memory,
    steps::install::Overrides,
};
use bistable_boot::{Record, SECTOR, Target, layout};
use bistable_format::{
    Artifact, Channel, Chunk, ChunkList, Content, Digest, Encoding, Extensions, Head, Key, KeyKind, Offer,
    Release, Role, RoleKeys, Root, RootChain, SignedRoot, Volumes,
    channel::{Act, Gates, Passage},
    envelope,
    open::OpenList,
    release, repository,
    rollout::Rollout,
};
use bistable_image::keys::SecretKey;
use semver::Version;

/// What the synchronized clock of a device shows, in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const DAY: u64 = 86_400;
/// The channel that a device follows if nothing else is configured.
pub(crate) const CHANNEL: &str = "production";
/// Number of the newest file that the repository has at first: it offers nothing.
pub(crate) const SEEN: u64 = 7;

/// Who signs: three keys of the root, of which two must, and who has the other roles.
pub(crate) const ROOTS: [u8; 3] = [1, 11, 12];
pub(crate) const RELEASER: u8 = 2;
pub(crate) const PUBLISHER: u8 = 3;
pub(crate) const NEW_RELEASER: u8 = 4;
pub(crate) const NEW_PUBLISHER: u8 = 5;
/// This one is unknown.
pub(crate) const STRANGER: u8 = 77;

pub(crate) fn who(n: u8) -> SecretKey {
    key(n, KeyKind::Production)
}

/// An envelope around any payload, signed by these.
pub(crate) fn sealed(role: Role, payload: &[u8], by: &[u8]) -> Vec<u8> {
    let keys: Vec<SecretKey> = by.iter().map(|n| who(*n)).collect();
    let keys: Vec<_> = keys.iter().map(SecretKey::signing).collect();
    envelope::seal(role, payload, &keys).unwrap()
}

/// An envelope around a payload of any format, signed as such.
pub(crate) fn of_format(role: Role, format: u8, payload: &[u8], by: &[u8]) -> Vec<u8> {
    use ed25519_dalek::Signer;
    let mut bytes = sealed(role, payload, &[]);
    bytes[9] = format;
    let length = &bytes[12..16].to_vec();
    let message = [&b"bistable envelope\0"[..], &bytes[8..10], length, payload].concat();
    let mut keys: Vec<SecretKey> = by.iter().map(|n| who(*n)).collect();
    keys.sort_by_key(|key| key.public().id());
    for key in &keys {
        bytes.extend_from_slice(&key.public().id().0);
        bytes.extend_from_slice(&key.signing().sign(&message).to_bytes());
    }
    bytes[10] = u8::try_from(keys.len()).unwrap();
    bytes
}

/// A value as a payload, whether it makes sense or not.
pub(crate) fn payload(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap()
}

/// A root that names these keys.
pub(crate) fn root_of(version: u32, roots: &[u8], releasers: &[u8], publishers: &[u8]) -> Root {
    let named = |role, threshold, who_: &[u8]| RoleKeys {
        role,
        channels: Vec::new(),
        threshold,
        keys: who_.iter().map(|n| who(*n).public().id()).collect(),
    };
    let mut keys: Vec<Key> = Vec::new();
    for n in roots.iter().chain(releasers).chain(publishers) {
        let key = who(*n).public();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let roles = vec![
        named(Role::Root, 2, roots),
        named(Role::Release, 1, releasers),
        named(Role::Channel, 1, publishers),
    ];
    // The first root has no identity to name; each later one has the usual first one's.
    let repository = if version == 1 { Digest([0; 32]) } else { repository_id() };
    Root {
        head: Head::new(repository, ""),
        version,
        expires_at: None,
        keys,
        roles,
        demands: Vec::new(),
        extensions: Extensions::default(),
    }
}

/// The identity of the repository whose first root is the usual one.
pub(crate) fn repository_id() -> Digest {
    root(1).repository()
}

/// The usual root, as this version of it.
pub(crate) fn root(version: u32) -> Root {
    root_of(version, &ROOTS, &[RELEASER], &[PUBLISHER])
}

/// Signed by two of the usual three.
pub(crate) fn signed_root(root: &Root) -> Vec<u8> {
    sealed(Role::Root, &payload(root), &ROOTS[..2])
}

/// A zstd frame (RFC 8878) with one raw block, so that no compressor has a say in what it is.
pub(crate) fn frame(raw: &[u8]) -> Vec<u8> {
    let bytes = u32::try_from(raw.len()).unwrap();
    let content = u16::try_from(bytes - 256).unwrap();
    // A single segment, with the content's size in two bytes; then the last block, raw.
    let head = [&[0x28, 0xb5, 0x2f, 0xfd, 0x60][..], &content.to_le_bytes()].concat();
    [&head, &(bytes << 3 | 1).to_le_bytes()[..3], raw].concat()
}

/// A volume of one chunk, its list, and its data.
pub(crate) fn volume(raw: &[u8]) -> (Artifact, ChunkList, [Vec<u8>; 2]) {
    let frame = frame(raw);
    let (bytes, data_bytes) = (raw.len() as u64, frame.len() as u64);
    let encoding = Encoding::Zstd { bytes: u32::try_from(data_bytes).unwrap(), digest: Digest::of(&frame) };
    let chunks = vec![Chunk { digest: Digest::of(raw), encoding }];
    let list = ChunkList { chunk_bytes: 256 << 10, base: None, chunks };
    let encoded = payload(&list);
    let volume = Artifact {
        bytes,
        digest: Digest::of(raw),
        chunk_bytes: list.chunk_bytes,
        chunks: list.chunks_digest(),
        list_bytes: u32::try_from(encoded.len()).unwrap(),
        list: Digest::of(&encoded),
        data_bytes,
        data: Digest::of(&frame),
    };
    (volume, list, [encoded, frame])
}

/// 32 sectors that a firmware takes for a FAT.
pub(crate) fn boot_image(seed: u64) -> Vec<u8> {
    let mut raw = noise(seed, 32 * SECTOR);
    raw[..SECTOR].fill(0);
    raw[0] = 0xeb;
    // Sectors of 512 bytes, one in a cluster; one before the table, which is there once; 16 names; 32 sectors in all, of
    // which the table has one.
    for (at, byte) in
        [(12, 2), (13, 1), (14, 1), (16, 1), (17, 16), (19, 32), (22, 1), (510, 0x55), (511, 0xaa)]
    {
        raw[at] = byte;
    }
    raw
}

/// A release and what belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) release: Release,
    /// Signed.
    pub(crate) signed: Vec<u8>,
    /// Lists and data.
    pub(crate) blobs: Vec<Vec<u8>>,
}

/// A release of a version, changed, and signed by this key.
pub(crate) fn made_by(version: &str, by: &[u8], change: impl FnOnce(&mut Release)) -> Made {
    let version: Version = version.parse().unwrap();
    let seed = version.major * 10_000 + version.minor * 100 + version.patch;
    let (boot, _, boot_blobs) = volume(&boot_image(seed));
    let (system, _, system_blobs) = volume(&noise(seed + 50_000, 8 << 10));
    let head = Head::new(repository_id(), "greenhouse");
    let content = Content::Image(Volumes { boot, system });
    let mut release = Release {
        security_version: 2,
        build_time: NOW - 10 * DAY,
        self_tests: SELF_TESTS.into(),
        health: HEALTH.into(),
        ..Release::new(head, version, vec!["pi4".into()], content)
    };
    change(&mut release);
    let signed = sealed(Role::Release, &payload(&release), by);
    Made { release, signed, blobs: [boot_blobs, system_blobs].concat() }
}

/// The volumes of a release, to be changed.
pub(crate) fn volumes(release: &mut Release) -> &mut Volumes {
    match &mut release.content {
        Content::Image(volumes) => volumes,
        other => panic!("not an image: {other:?}"),
    }
}

/// A good one.
pub(crate) fn made(version: &str) -> Made {
    made_by(version, &[RELEASER], |_| {})
}

/// What a channel says of it.
pub(crate) fn offer(made: &Made) -> Offer {
    Offer {
        constraints: made.release.constraints(),
        release: Digest::of(&made.signed),
        release_bytes: u32::try_from(made.signed.len()).unwrap(),
        identity: release::identity(&made.signed),
        since: NOW - DAY,
        passage: Passage::Free,
        rollout: Rollout::default(),
        extensions: Extensions::default(),
    }
}

/// A channel's file of a number, issued an hour ago for a week.
pub(crate) fn channel(sequence: u64, offers: Vec<Offer>) -> Channel {
    Channel {
        head: Head::new(repository_id(), ""),
        name: CHANNEL.into(),
        sequence,
        previous: (sequence > 1).then_some(Digest([7; 32])),
        issued_at: NOW - 3600,
        lifetime: 7 * DAY,
        act: Act { by: "ada@build".into(), verb: "publish".into(), about: "greenhouse".into() },
        offers: offers.into(),
        withdrawn: OpenList::default(),
        pins: Vec::new(),
        gates: Gates::default(),
        promoted_at: 0,
        catalog: Vec::new(),
        extensions: Extensions::default(),
    }
}

/// A repository with the root that devices trust, and a channel that offers nothing yet.
pub(crate) fn shop() -> Memory {
    let mut shop = Memory::default();
    put(&mut shop, repository::root(1), signed_root(&root(1)));
    publish(&mut shop, &channel(SEEN, Vec::new()));
    shop
}

pub(crate) fn put(shop: &mut Memory, path: String, bytes: Vec<u8>) {
    shop.files.insert(path, bytes);
}

/// Everything that belongs to a release; gives what a channel says of it.
pub(crate) fn stock(shop: &mut Memory, made: &Made) -> Offer {
    for blob in made.blobs.iter().chain([&made.signed]) {
        put(shop, repository::blob(&Digest::of(blob)), blob.clone());
    }
    offer(made)
}

/// A file of a channel, with the hint at it.
pub(crate) fn publish(shop: &mut Memory, channel: &Channel) {
    publish_by(shop, channel, PUBLISHER);
}

pub(crate) fn publish_by(shop: &mut Memory, channel: &Channel, by: u8) {
    let bytes = sealed(Role::Channel, &payload(channel), &[by]);
    put(shop, repository::channel(&channel.name, channel.sequence), bytes);
    put(shop, repository::channel_hint(&channel.name), format!("{}\n", channel.sequence).into_bytes());
}

/// A device that trusts the usual root, with a clock that shows [`NOW`].
pub(crate) fn device() -> Rig {
    let rig = Rig::new();
    store_roots(&rig, &[signed_root(&root(1))]);
    at_time(&rig, NOW);
    rig
}

/// Put a chain of these roots into both places, behind everybody's back.
pub(crate) fn store_roots(rig: &Rig, roots: &[Vec<u8>]) {
    let mut chain = RootChain::of(SignedRoot::open(&roots[0]).unwrap());
    roots[1..].iter().for_each(|next| chain.push(next, None).unwrap());
    for at in layout::ROOT {
        rig.pi.scribble(layout::Partition::State, at.0 * SECTOR as u64, &chain.encode());
    }
}

/// What its synchronized clock shows from now on.
pub(crate) fn at_time(rig: &Rig, time: u64) {
    rig.pi.world(&format!("time = {time}\n{WORLD}"));
}

/// What can't be believed.
pub(crate) fn free_clock(rig: &Rig) {
    rig.pi.world(&format!("time = {NOW}\nwall_clock = \"free\"\n{WORLD}"));
}

/// What the device remembers.
pub(crate) fn record(rig: &mut Rig) -> Record {
    rig.run(|agent| Ok(agent.device.record.clone())).unwrap()
}

/// Look at the channel, as `check` does.
pub(crate) fn look(device: &mut Device, shop: &mut Memory) -> Result<offer::channel::Found, Error> {
    offer::channel::check(device, shop, CHANNEL, Remember::Yes)
}

/// Install what the channel offers, or that version of it, as `install` does.
pub(crate) fn install(
    agent: &mut Agent<'_>,
    shop: &mut Memory,
    version: Option<&str>,
) -> Result<Target, Error> {
    let mut found = look(&mut agent.device, shop)?;
    let version: Option<Version> = version.map(|v| v.parse().unwrap());
    agent.recall(&found, version.as_ref())?;
    let (opened, direction) = found.open(shop, version.as_ref())?;
    agent.install_from(&mut opened.from(shop), Overrides::NONE, direction)
}

/// Install what the channel offers, reboot into it, and let its health decide. Gives what the last step says.
#[track_caller]
pub(crate) fn update(rig: &mut Rig, shop: &mut Memory) -> Result<(), Error> {
    rig.reboots(|agent| {
        install(agent, shop, None)?;
        agent.resume()
    });
    rig.run(|agent| agent.resume()).map(drop)
}

/// The version that runs.
pub(crate) fn running(rig: &mut Rig) -> String {
    rig.run(|agent| Ok(agent.device.running().unwrap().version.to_string())).unwrap()
}
