//! A product with the smallest images that there can be, so that a crash state is cheap: its releases, and the card as
//! it left the factory.
use super::{
    by_delta::{RECIPES, Recipe, Shop},
    image::Image,
    pack::{CHUNK_BYTES, Packed},
    places::{Places, Snapshot},
};
use anyhow::{Context, Result};
use bistable::AgentFormats;
use bistable_boot::{Flow, Formats, SECTOR, Slot, fat::Fat, layout::Partition};
use bistable_format::{KeyKind, Root};
use bistable_image::{
    Silent,
    card::{self, Agent, CardOptions},
    keys::SecretKey,
    root::SignedRoot,
};
use bistable_kit::product::{noise, root_of};
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
    /// What is signed, and its raw volumes.
    pub packed: Packed,
    /// Where it is with a delta, if it is offered so.
    pub shop: Option<Shop>,
}

impl Made {
    pub(super) fn new(packed: Packed, nature: Nature, shop: Option<Shop>) -> Result<Made> {
        let release = &packed.release;
        let (version, security_version) = (release.version.clone(), release.security_version);
        Ok(Made { version, nature, security_version, bundle: packed.bundle()?, packed, shop })
    }

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
    pub flow: Flow,
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

const BOOT_BYTES: usize = 24 << 10;
pub(super) const SHORT_BYTES: usize = 12 << 10;

impl Product {
    /// Sign and pack all releases, with this many whole chunks and a short one in each system volume, and make the factory's cards with the host's own code.
    ///
    /// # Errors
    /// When the temporary folder can't be used.
    pub fn new(chunks: usize, flow: Flow) -> Result<Product> {
        let key = |n| SecretKey::from_seed([n; 32], "prove", KeyKind::Production);
        let (root_key, release_key, channel_key) = (key(1)?, key(2)?, key(3)?);
        let root = root_of(&root_key, &release_key, &channel_key);
        let mut releases: Vec<_> = (1..)
            .zip(RELEASES)
            .map(|(seed, (version, nature, security))| {
                make(seed, version, nature, security, chunks, (&release_key, &root.root))
            })
            .collect::<Result<_>>()?;
        let base = releases[1].packed.clone();
        for recipe in &RECIPES {
            releases.push(by_delta(recipe, &base, (&release_key, &root.root))?);
        }
        let folder = tempfile::tempdir()?;
        let (oldest_card, places) = factory(folder.path(), &releases[0], &root, flow)?;
        let (old_card, _) = factory(folder.path(), &releases[1], &root, flow)?;
        Ok(Product { releases, flow, places: Arc::new(places), oldest_card, old_card })
    }

    /// The release of a version.
    pub fn release(&self, version: &str) -> Option<&Made> {
        self.releases.iter().find(|r| r.version.to_string() == version)
    }

    /// The release that a slot holds, complete to the last byte.
    pub fn in_slot(&self, image: &Image, slot: Slot) -> Option<&Made> {
        let at = |p| self.places.start(p);
        self.releases.iter().find(|r| {
            image.holds(at(Partition::System(slot)), &r.packed.system)
                && image.holds(at(Partition::Boot(slot)), &r.packed.boot)
        })
    }

    /// Whether the firmware would start a slot.
    pub fn looks_bootable(&self, image: &Image, slot: Slot) -> bool {
        Fat::open(&mut bistable::ports::Sectors(
            Snapshot::new(image, &self.places).volume(Partition::Boot(slot)),
        ))
        .is_ok()
    }
}

pub(super) fn factory(
    folder: &Path,
    release: &Made,
    root: &SignedRoot,
    flow: Flow,
) -> Result<(Image, Places)> {
    let bundle = folder.join(format!("{}.bundle", release.version));
    let out = folder.join(format!("{}.img", release.version));
    fs::File::create(&bundle)?.write_all(&release.bundle)?;
    let options =
        CardOptions { flow, agent: Agent::Optional, ..CardOptions::new(bundle, root.clone(), out.clone()) };
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
    let packed = Packed::new(seed, version, security_version, [boot_volume(seed), system], signer)?;
    Made::new(packed, nature, None)
}

/// A good release that is offered by delta from `base`.
fn by_delta(recipe: &Recipe, base: &Packed, signer: (&SecretKey, &Root)) -> Result<Made> {
    let volumes = recipe.volumes([&base.boot, &base.system]);
    let packed = Packed::new(recipe.seed, recipe.version, 1, volumes, signer)?;
    let shop = recipe.shop(&packed, base, signer.0)?;
    Made::new(packed, Nature::Good, Some(shop))
}

/// A FAT16 volume of 24 KiB with nothing in its root directory and noise where files would be: a firmware would take it
/// for bootable, which is all that it is asked here.
pub(super) fn boot_volume(seed: u64) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factory_card_holds_what_it_says() {
        let product = Product::new(1, Flow::Tryboot).unwrap();
        let old = product.in_slot(&product.old_card, Slot::A).unwrap();
        assert_eq!(old.version, Version::new(1, 1, 0));
        assert!(product.in_slot(&product.old_card, Slot::B).is_none());
        assert!(product.looks_bootable(&product.old_card, Slot::A));
        assert!(!product.looks_bootable(&product.old_card, Slot::B));
    }
}
