//! A card image, read back with other code than what made it.
use crate::fixture::{Product, names, raw_image, root_of};
use bistable_boot::layout::{self, BOOT_PARTITIONS, FLOORS, Partition, RELEASE, ROOT};
use bistable_boot::{
    Autoboot, Blocks, BootBlock, FloorsCopy, Flow, Journal, Lba, Memory, Outcome, SECTOR, Saved, Slot,
};
use bistable_boot::{bootblock, fat::Fat};
use bistable_format::TrustError;
use bistable_format::{Envelope, Release, Role, Root, RootChain, VolumeKind};
use bistable_image::build::Input;
use bistable_image::bundle::BundleError;
use bistable_image::card::{self, Agent, Card, CardError, CardOptions};
use bistable_image::keys::SecretKey;
use bistable_image::root::{self, RootOptions, SignedRoot};
use bistable_image::verify::VerifyError;
use bistable_image::{Existing, OutputError, Silent, Threads, build};
use gptman::{GPT, GPTHeader};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};

struct Made {
    product: Product,
    options: CardOptions,
    card: Card,
}

fn made(change: impl FnOnce(&mut CardOptions)) -> Made {
    let product = Product::new();
    let mut options = CardOptions::new(product.bundle(), product.root.clone(), product.path("card.img"));
    change(&mut options);
    let card = card::make(&options, &Silent).unwrap();
    Made { product, options, card }
}

impl Made {
    fn file(&self) -> File {
        File::open(&self.options.out).unwrap()
    }

    fn read(&self, at: u64, bytes: u64) -> Vec<u8> {
        let mut found = vec![0; usize::try_from(bytes).unwrap()];
        self.file().read_exact_at(&mut found, at).unwrap();
        found
    }

    fn partition(&self, partition: Partition) -> Vec<u8> {
        let place = self.card.plan.place(partition);
        self.read(place.start, place.bytes)
    }

    fn blocks(&self, partition: Partition) -> Memory {
        let bytes = self.partition(partition);
        let mut memory = Memory::new(bytes.len() / SECTOR);
        memory.write(Lba(0), &bytes).unwrap();
        memory
    }
}

#[test]
fn both_tables_name_the_partitions_as_the_layout_has_them() {
    let made = made(|_| {});
    let mut file = made.file();
    let gpt = GPT::read_from(&mut file, 512).unwrap();
    assert!(gpt.is_primary());
    file.seek(SeekFrom::Start(gpt.header.backup_lba * 512)).unwrap();
    let backup = GPTHeader::read_from(&mut file).unwrap();
    assert_eq!(backup.primary_lba * 512 + 512, file.metadata().unwrap().len());
    let backup_entries = backup.read_partitions(&mut file, 512).unwrap();
    let mut places = Vec::new();
    for partition in Partition::ALL {
        let entry = &gpt[u32::from(partition.number())];
        assert_eq!(entry.partition_name.as_str(), partition.name());
        assert_eq!(*entry, backup_entries[usize::from(partition.number()) - 1]);
        let place = made.card.plan.place(partition);
        assert_eq!((entry.starting_lba * 512, entry.size().unwrap() * 512), (place.start, place.bytes));
        assert!(place.start.is_multiple_of(layout::ALIGN) && place.bytes.is_multiple_of(layout::ALIGN));
        places.push((place.start, place.start + place.bytes, partition));
    }
    places.sort_by_key(|p| p.0);
    assert!(places.windows(2).all(|w| w[0].1 <= w[1].0));
    let in_order: Vec<_> = places.iter().map(|p| p.2).collect();
    let expected = [
        Partition::Bootconfig,
        Partition::Boot(Slot::A),
        Partition::Boot(Slot::B),
        Partition::State,
        Partition::System(Slot::A),
        Partition::System(Slot::B),
        Partition::Persistent,
    ];
    assert_eq!(in_order, expected, "the FAT partitions come first and in order; what grows lies last");
    assert_eq!(made.card.plan.place(Partition::State).bytes, 64 << 20);
    let mbr = made.read(0, 512);
    assert_eq!((mbr[450], &mbr[510..]), (0xee, &[0x55, 0xaa][..]));
}

#[test]
fn autoboot_is_where_the_device_looks_and_boots_slot_a() {
    let made = made(|_| {});
    let mut blocks = made.blocks(Partition::Bootconfig);
    let found = Fat::open(&mut blocks).unwrap().find(&mut blocks, b"AUTOBOOTTXT").unwrap();
    assert_eq!(found.bytes, 512);
    let mut sector = [0; SECTOR];
    blocks.read(found.first, &mut sector).unwrap();
    let reading = Autoboot::recognize(&sector, BOOT_PARTITIONS).unwrap();
    assert_eq!(reading.default_slot(BOOT_PARTITIONS), Some(Slot::A));
    assert_eq!(reading.tryboot_slot(BOOT_PARTITIONS), Some(Slot::B));
}

#[test]
fn state_holds_journal_roots_floors_and_release() {
    let made = made(|_| {});
    let record = Journal::new(made.blocks(Partition::State)).load().unwrap();
    assert_eq!((record.product.as_str(), &record.state), ("greenhouse", &Saved::Idle));
    let image = record.slots.a.as_ref().unwrap();
    assert_eq!((image.release.0, image.version.to_string()), (made.card.digest.0, "1.2.3".into()));
    assert!(record.slots.b.is_none());
    assert!(matches!(record.history[0].outcome, Outcome::Provisioned));

    let state = made.partition(Partition::State);
    let at = |lba: Lba| &state[usize::try_from(lba.0).unwrap() * SECTOR..];
    for copy in ROOT {
        let chain = RootChain::decode(at(copy)).unwrap();
        assert_eq!(chain.roots().len(), 1);
        assert_eq!(chain.newest().bytes(), made.product.root.bytes);
        assert_eq!(*chain.open_newest().unwrap(), made.product.root.root);
    }
    for copy in FLOORS {
        let floors = FloorsCopy::decode(at(copy)[..SECTOR].try_into().unwrap()).unwrap();
        assert!(floors.is_of(&record), "{floors:?}");
    }
    let len = Envelope::stored_len(at(RELEASE.a), Role::Release).unwrap();
    let signed = &at(RELEASE.a)[..len];
    assert_eq!(Release::open(signed, &made.product.root.root).unwrap(), made.card.release);
    assert_eq!(bistable_format::release::identity(signed), made.card.digest);
    assert!(Envelope::stored_len(at(RELEASE.b), Role::Release).is_err());
}

#[test]
fn slot_a_holds_the_images_and_slot_b_nothing() {
    let made = made(|_| {});
    for (kind, a, b) in [
        (VolumeKind::Boot, Partition::Boot(Slot::A), Partition::Boot(Slot::B)),
        (VolumeKind::System, Partition::System(Slot::A), Partition::System(Slot::B)),
    ] {
        let image = raw_image(&made.options.bundle, kind, &made.product.root);
        let slot = made.partition(a);
        assert!(slot[..image.len()] == image, "{kind}");
        assert!(slot[image.len()..].iter().all(|b| *b == 0));
        assert!(made.partition(b).iter().all(|b| *b == 0));
        // Half as much again.
        assert!(slot.len() >= image.len() * 3 / 2);
    }
    assert!(Fat::open(&mut made.blocks(Partition::Boot(Slot::B))).is_err());
}

#[test]
fn the_same_input_gives_the_same_card_and_zeros_are_holes() {
    let made = made(|o| o.size = Some(1 << 30));
    let mut options = made.options.clone();
    options.out = made.product.path("again.img");
    options.threads = Threads::new(5);
    card::make(&options, &Silent).unwrap();
    let maps =
        [&made.card.bmap, &made.product.path("again.img.bmap")].map(|p| fs::read_to_string(p).unwrap());
    assert_eq!(maps[0], maps[1]);
    // The map has a digest of every byte that matters; the rest is holes.
    let meta = made.file().metadata().unwrap();
    assert_eq!(meta.len(), 1 << 30);
    assert!(meta.blocks() * 512 < 32 << 20, "{} bytes are used", meta.blocks() * 512);
    let [a, b] = [&made.options.out, &options.out].map(|p| File::open(p).unwrap());
    for (partition, place) in made.card.plan.partitions() {
        // All but the inside of the large empty one.
        let bytes = place.bytes.min(96 << 20);
        let mut pieces = [vec![0; usize::try_from(bytes).unwrap()], vec![0; usize::try_from(bytes).unwrap()]];
        a.read_exact_at(&mut pieces[0], place.start).unwrap();
        b.read_exact_at(&mut pieces[1], place.start).unwrap();
        assert!(pieces[0] == pieces[1], "{}", partition.name());
    }
}

/// An old card's bytes must not shine through where zeros matter.
#[test]
fn the_block_map_covers_state_slots_and_their_headers() {
    let made = made(|_| {});
    let map = fs::read_to_string(&made.card.bmap).unwrap();
    let ranges: Vec<(u64, u64)> = map
        .lines()
        .filter(|l| l.contains("<Range"))
        .map(|l| {
            let span = l.split('>').nth(1).unwrap().split('<').next().unwrap().trim();
            let (first, last) = span.split_once('-').unwrap_or((span, span));
            (first.parse::<u64>().unwrap() * 4096, (last.parse::<u64>().unwrap() + 1) * 4096)
        })
        .collect();
    let covered = |start: u64, bytes: u64| ranges.iter().any(|(s, e)| *s <= start && start + bytes <= *e);
    let volumes = made.card.release.volumes().unwrap();
    for (partition, bytes) in [
        (Partition::State, layout::STATE_BYTES),
        (Partition::Boot(Slot::A), volumes.boot.bytes),
        (Partition::System(Slot::A), volumes.system.bytes),
        (Partition::Boot(Slot::B), layout::HEADER_BYTES as u64),
        (Partition::System(Slot::B), layout::HEADER_BYTES as u64),
    ] {
        assert!(covered(made.card.plan.place(partition).start, bytes), "{}", partition.name());
    }
    assert!(covered(0, 34 * 512) && covered(made.card.plan.bytes() - 33 * 512, 33 * 512));
}

#[test]
fn sizes_that_do_not_fit_are_refused_with_what_is_needed() {
    let product = Product::new();
    let bundle = product.bundle();
    let base = CardOptions::new(bundle, product.root.clone(), product.path("card.img"));
    let before = names(product.folder.path());
    let attempt = |change: &dyn Fn(&mut CardOptions)| {
        let mut options = base.clone();
        change(&mut options);
        card::make(&options, &Silent).unwrap_err()
    };
    let found = attempt(&|o| o.size = Some(64 << 20));
    let CardError::TooSmall { needed, .. } = found else { panic!("{found:?}") };
    let found = attempt(&|o| o.size = Some(needed - 4096));
    assert!(matches!(found, CardError::TooSmall { .. }), "{found:?}");
    let found = attempt(&|o| o.size = Some((1 << 30) + 512));
    assert!(matches!(found, CardError::BadSize { .. }), "{found:?}");
    let found = attempt(&|o| o.system_slot = Some(1 << 20));
    assert!(matches!(found, CardError::BadSize { .. }), "{found:?}");
    assert_eq!(names(product.folder.path()), before, "nothing is left");

    let mut fits = base.clone();
    fits.size = Some(needed);
    assert_eq!(card::make(&fits, &Silent).unwrap().plan.bytes(), needed);
}

#[test]
fn a_slot_smaller_than_its_image_is_refused() {
    let product = Product::new();
    let mut build = product.options("big.bundle");
    build.system_size = bistable_image::volume::VolumeSize::Exact(20 << 20);
    bistable_image::build(&build, &Silent).unwrap();
    let mut options = CardOptions::new(build.out, product.root.clone(), product.path("card.img"));
    options.system_slot = Some(16 << 20);
    let found = card::make(&options, &Silent).unwrap_err();
    assert!(matches!(found, CardError::SlotTooSmall { kind: VolumeKind::System, .. }), "{found:?}");
    options.system_slot = Some(20 << 20);
    card::make(&options, &Silent).unwrap();
}

#[test]
fn existing_outputs_are_kept_unless_they_shall_be_replaced() {
    let product = Product::new();
    let mut options = CardOptions::new(product.bundle(), product.root.clone(), product.path("card.img"));
    for existing in ["card.img", "card.img.bmap"] {
        fs::write(product.path(existing), "mine").unwrap();
        let found = card::make(&options, &Silent).unwrap_err();
        assert!(matches!(found, CardError::Output(OutputError::Exists { .. })), "{found:?}");
        assert_eq!(fs::read(product.path(existing)).unwrap(), b"mine");
        fs::remove_file(product.path(existing)).unwrap();
    }
    fs::write(&options.out, "old").unwrap();
    options.existing = Existing::Replace;
    card::make(&options, &Silent).unwrap();
}

#[test]
fn a_damaged_bundle_makes_no_card() {
    let product = Product::new();
    let bundle = product.bundle();
    let file = fs::OpenOptions::new().write(true).read(true).open(&bundle).unwrap();
    let at = file.metadata().unwrap().len() - 5000;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    let before = names(product.folder.path());
    let options = CardOptions::new(bundle, product.root.clone(), product.path("card.img"));
    let found = card::make(&options, &Silent).unwrap_err();
    assert!(matches!(found, CardError::Bundle(_)), "{found:?}");
    assert_eq!(names(product.folder.path()), before);
}

#[test]
fn extra_files_lie_beside_autoboot_but_cannot_replace_it() {
    let product = Product::new();
    let extra = product.path("extra");
    fs::create_dir_all(extra.join("sub")).unwrap();
    fs::write(extra.join("bootcode.bin"), "old firmware needs this").unwrap();
    fs::write(extra.join("sub/x.txt"), "x").unwrap();
    let mut options = CardOptions::new(product.bundle(), product.root.clone(), product.path("card.img"));
    options.bootconfig = Some(extra.clone());
    let card = card::make(&options, &Silent).unwrap();
    let made = Made { product, options, card };
    let mut blocks = made.blocks(Partition::Bootconfig);
    let fat = Fat::open(&mut blocks).unwrap();
    assert_eq!(fat.find(&mut blocks, b"BOOTCODEBIN").unwrap().bytes, 23);
    fat.find(&mut blocks, b"AUTOBOOTTXT").unwrap();

    fs::write(extra.join("AutoBoot.txt"), "mine").unwrap();
    let mut options = made.options.clone();
    options.existing = Existing::Replace;
    let found = card::make(&options, &Silent).unwrap_err();
    assert!(matches!(found, CardError::BootFile { .. }), "{found:?}");
}

/// The flow of U-Boot: its script and its boot block instead of autoboot.txt, which would lead the firmware past it.
#[test]
fn a_card_for_u_boot_has_its_script_and_block() {
    let product = Product::new();
    let extra = product.path("extra");
    fs::create_dir_all(&extra).unwrap();
    fs::write(extra.join("u-boot.bin"), "stands for U-Boot").unwrap();
    let mut options = CardOptions::new(product.bundle(), product.root.clone(), product.path("card.img"));
    options.flow = Flow::Uboot;
    options.bootconfig = Some(extra.clone());
    let card = card::make(&options, &Silent).unwrap();
    let made = Made { product, options, card };
    let mut blocks = made.blocks(Partition::Bootconfig);
    let fat = Fat::open(&mut blocks).unwrap();
    assert!(fat.find(&mut blocks, b"AUTOBOOTTXT").is_err());
    fat.find(&mut blocks, b"U-BOOT  BIN").unwrap();
    let script = fat.find(&mut blocks, b"BOOT    SCR").unwrap();
    assert_eq!(script.bytes as usize, 64 + 8 + bootblock::SCRIPT.len());
    let mut state = made.blocks(Partition::State);
    for at in layout::BOOT_BLOCK {
        let mut sector = [0; 512];
        state.read(at, &mut sector).unwrap();
        assert_eq!(BootBlock::parse(&sector), Ok(BootBlock::FIRST));
    }
    for name in ["autoboot.txt", "BOOT.SCR", "extlinux"] {
        let path = extra.join(name);
        fs::write(&path, "mine").unwrap();
        let options = CardOptions { existing: Existing::Replace, ..made.options.clone() };
        let found = card::make(&options, &Silent).unwrap_err();
        assert!(matches!(found, CardError::BootFile { .. }), "{name}: {found:?}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_card_whose_root_the_system_would_refuse_is_not_made() {
    let product = Product::new();
    let options = product.options("carries.bundle");
    build(&options, &Silent).unwrap();
    let make = |root: &SignedRoot, out: &str| {
        let options = CardOptions::new(options.out.clone(), root.clone(), product.path(out));
        card::make(&options, &Silent)
    };
    make(&product.root, "same.img").unwrap();
    // The next root follows the system's.
    let next = |current: &SignedRoot, by: &SecretKey| {
        let options = RootOptions { sign: vec![by.clone()], ..RootOptions::default() };
        let bytes = root::next(&current.root, &options).unwrap();
        SignedRoot { root: Root::open(&bytes).unwrap(), bytes }
    };
    let second = next(&product.root, &product.root_key);
    make(&second, "next.img").unwrap();
    // The one after it does not, by itself; and neither do other people's, though they name the same release key.
    let third = next(&second, &product.root_key);
    let stranger = root_of(&product.channel_key, &product.release_key, &product.channel_key);
    let e = make(&third, "refused.img").unwrap_err();
    assert!(matches!(e, CardError::SystemRoot { .. }), "{e:?}");
    assert!(e.to_string().contains("the next one is version 3"), "{e}");
    let e = make(&stranger, "refused.img").unwrap_err();
    let CardError::Bundle(VerifyError::Bundle { source: BundleError::Trust(why), .. }) = e else {
        panic!("{e:?}")
    };
    assert!(matches!(why, TrustError::OtherRepository { .. }), "{why:?}");
    assert!(!product.path("refused.img").exists());
}

/// A device whose system has no agent stays as it was flashed, for good.
#[test]
fn card_without_an_agent_has_to_be_asked_for() {
    let product = Product::new();
    let agent = product.path("system/usr/bin/bistable");
    fs::rename(&agent, product.path("system/usr/bin/updater")).unwrap();
    let bundle = product.bundle();
    let before = names(product.folder.path());
    let options = CardOptions::new(bundle.clone(), product.root.clone(), product.path("card.img"));
    let refused = card::make(&options, &Silent).unwrap_err();
    assert!(matches!(&refused, CardError::NoAgent { bundle: named } if *named == bundle), "{refused:?}");
    assert_eq!(names(product.folder.path()), before, "nothing is left");
    let card = card::make(&CardOptions { agent: Agent::Optional, ..options.clone() }, &Silent).unwrap();
    assert!(!card.notes.iter().any(|note| note.contains("bistable")), "{:?}", card.notes);

    // In another folder of programs.
    fs::remove_file(product.path("system/usr/bin/updater")).unwrap();
    fs::create_dir_all(product.path("system/usr/local/sbin")).unwrap();
    fs::write(product.path("system/usr/local/sbin/bistable"), "the agent").unwrap();
    let options = CardOptions { existing: Existing::Replace, ..options };
    let built = product.options("other.bundle");
    build(&built, &Silent).unwrap();
    card::make(&CardOptions { bundle: built.out, ..options.clone() }, &Silent).unwrap();

    // Nothing is known of a file system that isn't read.
    let squashfs = product.path("system.squashfs");
    let mut image = vec![0; 8192];
    image[..4].copy_from_slice(b"hsqs");
    image[40..48].copy_from_slice(&8192_u64.to_le_bytes());
    fs::write(&squashfs, image).unwrap();
    let mut built = product.options("packed.bundle");
    built.input = Input::Volumes { system: squashfs, boot: product.path("boot") };
    let notes = build(&built, &Silent).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("nothing is known of what the system lacks")), "{notes:?}");
    let card = card::make(&CardOptions { bundle: built.out, ..options }, &Silent).unwrap();
    assert!(card.notes.iter().any(|note| note.contains("whether it has bistable")), "{:?}", card.notes);
}
