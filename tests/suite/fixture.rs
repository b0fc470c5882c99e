//! A small product, made once: keys, a root, releases 1.0.0 and 1.1.0, a card with 1.0.0 in slot A.
use crate::draft::Draft;
use bistable_boot::{Flow, layout::Partition};
use bistable_format::KeyKind;
use bistable_image::{
    Silent, build,
    card::{self, Agent, CardOptions, CardPlan, DemoKeys},
    root::SignedRoot,
};
use bistable_kit::product::Keys;
pub(crate) use bistable_kit::product::{key, noise};
use std::{
    fs::{self, File},
    ops::Deref,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use tempfile::TempDir;

pub(crate) const SELF_TESTS: &str = r#"
[[test]]
name = "relay"
kind = "loopback"
out = 17
in = 27
"#;

pub(crate) const HEALTH: &str = r#"
deadline_s = 60
settle_s = 10
[[check]]
name = "application"
kind = "unit"
unit = "app.service"
"#;

/// A world in which everything is fine.
pub(crate) const WORLD: &str = r#"
[gpio]
wires = [[17, 27]]
[units]
"app.service" = "active"
"#;

pub(crate) struct Product {
    keys: Keys,
    /// The bundle of 1.0.0, which the card holds.
    pub(crate) old: Vec<u8>,
    /// The bundle of 1.1.0.
    pub(crate) good: Vec<u8>,
    pub(crate) plan: CardPlan,
    /// What isn't zero on a new card.
    blocks: Vec<(u64, Vec<u8>)>,
    _folder: TempDir,
}

pub(crate) fn product() -> &'static Product {
    static PRODUCT: OnceLock<Product> = OnceLock::new();
    PRODUCT.get_or_init(|| Product::new(KeyKind::Production, Flow::Tryboot))
}

/// The same product, for a desk.
pub(crate) fn demo_product() -> &'static Product {
    static PRODUCT: OnceLock<Product> = OnceLock::new();
    PRODUCT.get_or_init(|| Product::new(KeyKind::Demo, Flow::Tryboot))
}

/// The same product, on boards that U-Boot starts.
pub(crate) fn uboot_product() -> &'static Product {
    static PRODUCT: OnceLock<Product> = OnceLock::new();
    PRODUCT.get_or_init(|| Product::new(KeyKind::Production, Flow::Uboot))
}

impl Deref for Product {
    type Target = Keys;

    fn deref(&self) -> &Keys {
        &self.keys
    }
}

impl Product {
    fn new(kind: KeyKind, flow: Flow) -> Product {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("system/usr/bin")).unwrap();
        fs::create_dir_all(at("boot")).unwrap();
        fs::write(at("system/usr/bin/library"), noise(1, 700_000)).unwrap();
        fs::write(at("system/usr/bin/zeros"), vec![0; 900_000]).unwrap();
        fs::write(at("boot/config.txt"), "arm_64bit=1\n").unwrap();
        let mut keys = Keys::new(kind);
        if kind == KeyKind::Production {
            // The one that repositories in memory have, too: see `shop`.
            let root = crate::shop::root(1);
            keys.root = SignedRoot { bytes: crate::shop::signed_root(&root), root };
        }
        let bundle = |version: &str, seed| {
            fs::write(at("system/usr/bin/app"), noise(seed, 300_000)).unwrap();
            fs::write(at("boot/kernel8.img"), noise(seed + 1, 300_000)).unwrap();
            let out = at(version);
            let mut o = keys.options(version, [at("system"), at("boot"), out.clone()]);
            o.security_version = 2;
            o.self_tests = SELF_TESTS.into();
            o.health = HEALTH.into();
            build(&o, &Silent).unwrap();
            out
        };
        let old = bundle("1.0.0", 10);
        let good = bundle("1.1.0", 20);
        let mut o = CardOptions::new(old.clone(), keys.root.clone(), at("card.img"));
        o.demo_keys = DemoKeys::Allow;
        o.agent = Agent::Optional;
        o.flow = flow;
        let made = card::make(&o, &Silent).unwrap();
        let blocks = blocks(&at("card.img"));
        let [old, good] = [old, good].map(|p: PathBuf| fs::read(p).unwrap());
        Product { keys, old, good, plan: made.plan, blocks, _folder: folder }
    }

    /// A new card.
    pub(crate) fn card(&self, at: &Path) {
        let file = File::create(at).unwrap();
        file.set_len(self.plan.bytes()).unwrap();
        for (at, bytes) in &self.blocks {
            file.write_all_at(bytes, *at).unwrap();
        }
    }

    /// 1.1.0 taken apart, as version 1.2.0.
    pub(crate) fn draft(&self) -> Draft {
        Draft::of(&self.good, &self.root.root).version("1.2.0")
    }

    /// A partition of a new card, as a file of its own.
    pub(crate) fn volume(&self, partition: Partition, at: &Path) {
        let (file, range) = (File::create(at).unwrap(), self.range(partition));
        file.set_len(range.end - range.start).unwrap();
        // Partitions begin and end where blocks do.
        for (at, bytes) in self.blocks.iter().filter(|(at, _)| range.contains(at)) {
            file.write_all_at(bytes, at - range.start).unwrap();
        }
    }

    /// First and last byte (exclusive) of a partition on the card.
    pub(crate) fn range(&self, partition: Partition) -> std::ops::Range<u64> {
        let place = self.plan.place(partition);
        place.start..place.start + place.bytes
    }
}

/// A file's blocks that aren't all zero.
fn blocks(path: &Path) -> Vec<(u64, Vec<u8>)> {
    const BLOCK: usize = 64 << 10;
    let bytes = fs::read(path).unwrap();
    let full = bytes.chunks(BLOCK).enumerate().filter(|(_, b)| b.iter().any(|b| *b != 0));
    full.map(|(i, b)| ((i * BLOCK) as u64, b.to_vec())).collect()
}
