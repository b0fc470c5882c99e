//! A product with the smallest images that there can be, so that a crash state is cheap: its releases, and the card as
//! it left the factory.
use super::{
    by_delta::{self, Shop},
    image::Image,
    places::{Places, Still},
};
use anyhow::{Context, Result};
use bistable::{AgentFormats, board::sim::firmware::Flow};
use bistable_boot::{Formats, SECTOR, Slot, fat::Fat, layout::Partition};
use bistable_format::{
    Artifact, Chunk, ChunkList, Content, Digest, Encoding, Head, KeyKind, Release, Role, Root, Volumes,
    bundle,
    bundle::{END_BYTES, Frame},
};
use bistable_image::{
    Silent,
    card::{self, BootFlow, CardOptions},
    keys::SecretKey,
    root::{self, RootOptions, SignedRoot},
};
use semver::Version;
use std::{
    fs,
    io::{Read, Write},
    path::Path,
    sync::Arc,
};

/// How a release behaves once it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// All is well.
    Good,
    /// It comes up, and its application doesn't.
    Sick,
    /// Its kernel never comes up.
    Dead,
    /// It comes up, starts the agent, and hangs.
    Hanging,
}

/// One release of the product.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its version.
    pub version: Version,
    /// How it behaves.
    pub nature: Nature,
    /// Its security version.
    pub security_version: u32,
    /// Its bundle.
    pub bundle: Vec<u8>,
    /// Its raw boot volume.
    pub boot: Vec<u8>,
    /// Its raw system volume.
    pub system: Vec<u8>,
    /// What is signed.
    pub release: Release,
    /// And its signed bytes.
    pub signed: Vec<u8>,
    /// Where it is with a delta, if it is offered so.
    pub shop: Option<Shop>,
}

impl Made {
    /// Its agent.
    pub fn agent(&self) -> AgentFormats {
        AgentFormats { ours: formats(&self.version), of_release: |r| formats(&r.version).newest() }
    }
}

/// All releases, by version, and the factory's card.
#[derive(Clone, Debug)]
pub struct Product {
    /// The releases.
    pub releases: Vec<Made>,
    /// What starts the slots.
    pub flow: BootFlow,
    /// Where the partitions are.
    pub places: Arc<Places>,
    /// A card with the first release in slot A.
    pub oldest_card: Image,
    /// A card with the second one in slot A.
    pub old_card: Image,
}

/// Release, nature, security version. What the scenarios call them by is the version; that of the first agent with newer
/// formats of durable structures begins with 5.
const RELEASES: [(&str, Nature, u32); 12] = [
    ("1.0.0", Nature::Good, 1),
    ("1.1.0", Nature::Good, 1),
    ("2.0.0", Nature::Good, 2),
    ("2.1.0", Nature::Good, 3),
    ("2.2.0", Nature::Good, 1),
    ("3.0.0", Nature::Sick, 4),
    ("3.1.0", Nature::Dead, 4),
    ("3.2.0", Nature::Hanging, 4),
    ("5.0.0", Nature::Sick, 1),
    ("5.1.0", Nature::Good, 1),
    ("5.2.0", Nature::Good, 1),
    ("6.0.0", Nature::Good, 1),
];

/// What the agent in a release of that version reads of durable structures.
fn formats(version: &Version) -> Formats {
    if version.major == 5 { Formats::TOMORROW } else { Formats::OURS }
}

const SELF_TESTS: &str = "[[test]]\nname = \"relay\"\nkind = \"loopback\"\nout = 17\nin = 27\n";
const HEALTH: &str = "deadline_s = 60\nsettle_s = 5\n[[check]]\nname = \"application\"\nkind = \"unit\"\nunit = \"app.service\"\n";

/// The least that a chunk may have, so that a volume has more than one and is small.
pub const CHUNK_BYTES: usize = 256 << 10;
const BOOT_BYTES: usize = 24 << 10;
const SHORT_BYTES: usize = 12 << 10;

impl Product {
    /// Sign and pack all releases, with so many whole chunks and a short one in each system volume, and make the factory's cards with the host's own code.
    ///
    /// # Errors
    /// When the temporary folder can't be used.
    pub fn new(chunks: usize, flow: BootFlow) -> Result<Product> {
        let key = |n| SecretKey::from_seed([n; 32], "prove", KeyKind::Production);
        let (root_key, release_key, channel_key) = (key(1)?, key(2)?, key(3)?);
        let root = root::create(&RootOptions {
            root_keys: vec![root_key.public()],
            release_keys: vec![release_key.public()],
            channel_keys: vec![channel_key.public()],
            thresholds: vec![(Role::Root, 1)],
            sign: vec![root_key],
            ..RootOptions::default()
        })?;
        let mut releases: Vec<_> = (1..)
            .zip(RELEASES)
            .map(|(seed, (version, nature, security))| {
                make(seed, version, nature, security, chunks, (&release_key, &root.root))
            })
            .collect::<Result<_>>()?;
        releases.push(by_delta(&releases[1], (&release_key, &root.root))?);
        let folder = tempfile::tempdir()?;
        let (oldest_card, places) = factory(folder.path(), &releases[0], &root, flow)?;
        let (old_card, _) = factory(folder.path(), &releases[1], &root, flow)?;
        Ok(Product { releases, flow, places: Arc::new(places), oldest_card, old_card })
    }

    /// The release of a version.
    pub fn release(&self, version: &str) -> Option<&Made> {
        self.releases.iter().find(|r| r.version.to_string() == version)
    }

    /// What the simulated firmware has to know.
    pub fn boot_loader(&self) -> Flow {
        match self.flow {
            BootFlow::Tryboot => Flow::Tryboot,
            BootFlow::Uboot => Flow::Uboot,
        }
    }

    /// The release that a slot holds, complete to the last byte.
    pub fn in_slot(&self, image: &Image, slot: Slot) -> Option<&Made> {
        let at = |p| self.places.start(p);
        self.releases.iter().find(|r| {
            image.holds(at(Partition::System(slot)), &r.system)
                && image.holds(at(Partition::Boot(slot)), &r.boot)
        })
    }

    /// Whether the firmware would start a slot.
    pub fn looks_bootable(&self, image: &Image, slot: Slot) -> bool {
        Fat::open(&mut bistable::ports::Sectors(
            Still::new(image, &self.places).volume(Partition::Boot(slot)),
        ))
        .is_ok()
    }
}

fn factory(folder: &Path, release: &Made, root: &SignedRoot, flow: BootFlow) -> Result<(Image, Places)> {
    let bundle = folder.join(format!("{}.bundle", release.version));
    let out = folder.join(format!("{}.img", release.version));
    fs::File::create(&bundle)?.write_all(&release.bundle)?;
    let options = CardOptions { flow, ..CardOptions::new(bundle, root.clone(), out.clone()) };
    let made = card::make(&options, &Silent)?;
    let places = Partition::ALL.map(|p| (made.plan.place(p).start, made.plan.place(p).bytes));
    let mut image = Image::default();
    let mut file = fs::File::open(&out).with_context(|| format!("opening {}", out.display()))?;
    let mut block = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let got = file.read(&mut block)?;
        if got == 0 {
            break;
        }
        image.write(at, &block[..got]);
        at += got as u64;
    }
    image.settle();
    Ok((image, Places::new(places)))
}

fn make(
    seed: u64,
    version: &str,
    nature: Nature,
    security_version: u32,
    chunks: usize,
    signer: (&SecretKey, &Root),
) -> Result<Made> {
    // All of it noise, so that no byte of it can stand for another.
    let system = noise(seed + 100, chunks * CHUNK_BYTES + SHORT_BYTES);
    let packed = sign(seed, version, security_version, [boot_volume(seed), system], signer)?;
    packed.made(nature, None)
}

/// A good release that is offered by delta from `base`.
fn by_delta(base: &Made, signer: (&SecretKey, &Root)) -> Result<Made> {
    let volumes = [by_delta::edited(&base.boot, 40), by_delta::edited(&base.system, 140)];
    let packed = sign(40, by_delta::VERSION, 1, volumes, signer)?;
    let shop = by_delta::shop(&packed, base, signer.0)?;
    packed.made(Nature::Good, Some(shop))
}

/// A signed release with all that it names.
pub(super) struct Packed {
    pub(super) release: Release,
    pub(super) signed: Vec<u8>,
    /// Both volumes' lists, then their data.
    pub(super) blobs: [Vec<u8>; 4],
    pub(super) boot: Vec<u8>,
    pub(super) system: Vec<u8>,
}

fn sign(
    seed: u64,
    version: &str,
    security_version: u32,
    [boot, system]: [Vec<u8>; 2],
    (key, root): (&SecretKey, &Root),
) -> Result<Packed> {
    let (boot_volume, boot_list, boot_data) = pack(&boot)?;
    let (system_volume, system_list, system_data) = pack(&system)?;
    let volumes = Volumes { boot: boot_volume, system: system_volume };
    let head = Head::new(root.repository(), "prove");
    let release = Release {
        security_version,
        build_time: 1_700_000_000 + seed,
        self_tests: SELF_TESTS.into(),
        health: HEALTH.into(),
        ..Release::new(head, version.parse()?, vec!["pi4".into()], Content::Image(volumes))
    };
    let signed = release.seal(&[key.signing()])?;
    Ok(Packed { release, signed, blobs: [boot_list, system_list, boot_data, system_data], boot, system })
}

impl Packed {
    fn made(self, nature: Nature, shop: Option<Shop>) -> Result<Made> {
        let Packed { release, signed, blobs, boot, system } = self;
        let frame = Frame::new(&signed, &release);
        let head: [&[u8]; 5] = [
            bundle::LAYOUT.as_bytes(),
            frame.index.as_bytes(),
            frame.manifest.as_bytes(),
            bundle::EMPTY.as_bytes(),
            &signed,
        ];
        let contents = head.into_iter().chain(blobs.iter().map(Vec::as_slice));
        let mut bytes = Vec::new();
        for (header, content) in frame.headers.iter().zip(contents) {
            bytes.extend_from_slice(&header.encode()?);
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len() + header.padding(), 0);
        }
        bytes.resize(bytes.len() + END_BYTES, 0);
        let (version, security_version) = (release.version.clone(), release.security_version);
        Ok(Made { version, nature, security_version, bundle: bytes, boot, system, release, signed, shop })
    }
}

/// A volume's description, its list and its data.
fn pack(raw: &[u8]) -> Result<(Artifact, Vec<u8>, Vec<u8>)> {
    let frames: Vec<_> =
        raw.chunks(CHUNK_BYTES).map(|c| zstd::bulk::compress(c, 3)).collect::<std::io::Result<_>>()?;
    let chunks = raw.chunks(CHUNK_BYTES).zip(&frames).map(|(chunk, frame)| {
        let encoding = Encoding::Zstd { bytes: u32::try_from(frame.len())?, digest: Digest::of(frame) };
        Ok(Chunk { digest: Digest::of(chunk), encoding })
    });
    let list = ChunkList {
        chunk_bytes: u32::try_from(CHUNK_BYTES)?,
        base: None,
        chunks: chunks.collect::<Result<_>>()?,
    };
    let data = frames.concat();
    let (chunk_bytes, chunks) = (list.chunk_bytes, list.chunks_digest());
    let list = list.encode(raw.len() as u64, data.len() as u64)?;
    let volume = Artifact {
        bytes: raw.len() as u64,
        digest: Digest::of(raw),
        chunk_bytes,
        chunks,
        list_bytes: u32::try_from(list.len())?,
        list: Digest::of(&list),
        data_bytes: data.len() as u64,
        data: Digest::of(&data),
    };
    Ok((volume, list, data))
}

/// A FAT16 volume of 24 KiB with nothing in its root directory and noise where files would be: a firmware would take it
/// for bootable, which is all that it is asked here.
fn boot_volume(seed: u64) -> Vec<u8> {
    let mut volume = vec![0; BOOT_BYTES];
    volume[..3].copy_from_slice(&[0xEB, 0x3C, 0x90]);
    volume[3..11].copy_from_slice(b"BISTABLE");
    let fields: [(usize, u16); 6] = [(11, 512), (14, 1), (17, 16), (19, 48), (22, 1), (510, 0xAA55)];
    for (at, value) in fields {
        volume[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    (volume[13], volume[16], volume[21]) = (1, 2, 0xF8);
    volume[SECTOR..SECTOR + 4].copy_from_slice(&[0xF8, 0xFF, 0xFF, 0xFF]);
    volume[2 * SECTOR..2 * SECTOR + 4].copy_from_slice(&[0xF8, 0xFF, 0xFF, 0xFF]);
    let noise = noise(seed, BOOT_BYTES - 4 * SECTOR);
    volume[4 * SECTOR..].copy_from_slice(&noise);
    volume
}

/// Bytes that look random, the same ones for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(len).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factory_card_holds_what_it_says() {
        let product = Product::new(1, BootFlow::Tryboot).unwrap();
        let old = product.in_slot(&product.old_card, Slot::A).unwrap();
        assert_eq!(old.version, Version::new(1, 1, 0));
        assert!(product.in_slot(&product.old_card, Slot::B).is_none());
        assert!(product.looks_bootable(&product.old_card, Slot::A));
        assert!(!product.looks_bootable(&product.old_card, Slot::B));
    }
}
