//! Components on a card, read back with other code than what put them there.
use crate::fixture::{Product, noise};
use bistable_boot::component::{ComponentRecord, State};
use bistable_boot::layout::Partition;
use bistable_boot::{Blocks, Journal, Lba, Memory, SECTOR};
use bistable_format::Digest;
use bistable_image::build::{BoundRelease, Input};
use bistable_image::card::{self, CardComponent, CardError, CardOptions};
use bistable_image::verify::{self, VerifyError};
use bistable_image::{BuildOptions, Silent, Threads, build};
use ext4_view::{Ext4, FileType};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An application's tree, with a file that is longer than what is copied at a time.
fn tree(product: &Product) -> PathBuf {
    let tree = product.path("core");
    if !tree.exists() {
        fs::create_dir_all(tree.join("bin")).unwrap();
        fs::create_dir_all(tree.join("empty")).unwrap();
        fs::write(tree.join("bin/core"), noise(7, 3_000_000)).unwrap();
        fs::set_permissions(tree.join("bin/core"), fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(tree.join("none"), "").unwrap();
        fs::write(tree.join("n".repeat(200)), "long\n").unwrap();
        symlink("bin/core", tree.join("run")).unwrap();
    }
    tree
}

fn bundle(product: &Product, name: &str, change: impl FnOnce(&mut BuildOptions)) -> PathBuf {
    let mut options = product.options(&format!("{name}.bundle"));
    options.version = "2.0.0".parse().unwrap();
    options.security_version = 3;
    options.input = Input::Tree { component: name.into(), tree: tree(product) };
    change(&mut options);
    build(&options, &Silent).unwrap();
    options.out
}

fn component(product: &Product, bundle: &Path) -> Result<Arc<CardComponent>, CardError> {
    CardComponent::of_bundle(bundle, &product.root.root, Threads::new(2), &Silent).map(Arc::new)
}

fn card(
    product: &Product,
    image: &Path,
    name: &str,
    bundles: &[&Path],
) -> Result<(card::Card, PathBuf), CardError> {
    let mut options = CardOptions::new(image.into(), product.root.clone(), product.path(name));
    options.components = bundles.iter().map(|bundle| component(product, bundle)).collect::<Result<_, _>>()?;
    Ok((card::make(&options, &Silent)?, options.out))
}

fn partition(made: &(card::Card, PathBuf), partition: Partition) -> Vec<u8> {
    let place = made.0.plan.place(partition);
    let mut bytes = vec![0; usize::try_from(place.bytes).unwrap()];
    File::open(&made.1).unwrap().read_exact_at(&mut bytes, place.start).unwrap();
    bytes
}

/// What lies in the partition: mode, owner, and content or target, by path.
fn files(ext4: &Ext4, folder: &str, found: &mut BTreeMap<String, (u16, u32, Vec<u8>)>) {
    for entry in ext4.read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = String::from_utf8(entry.file_name().as_ref().to_vec()).unwrap();
        if matches!(name.as_str(), "." | ".." | "lost+found") {
            continue;
        }
        let path = format!("{}/{name}", folder.trim_end_matches('/'));
        let metadata = ext4.symlink_metadata(path.as_str()).unwrap();
        let kind = entry.file_type().unwrap();
        let content = match kind {
            FileType::Directory => b"/".to_vec(),
            FileType::Symlink => ext4.read_link(path.as_str()).unwrap().as_ref().to_vec(),
            _ => ext4.read(path.as_str()).unwrap(),
        };
        found.insert(path.clone(), (metadata.mode() & 0o7777, metadata.uid(), content));
        if kind == FileType::Directory {
            files(ext4, &path, found);
        }
    }
}

#[test]
fn the_partition_and_the_record_are_those_after_a_commit() {
    let product = Product::new();
    let image = product.bundle();
    let core = bundle(&product, "core", |_| {});
    let made = card(&product, &image, "card.img", &[&core]).unwrap();
    let reader = verify::open(&core, &product.root.root).unwrap();
    let signed = reader.signed_release().to_vec();
    let identity = bistable_format::release::identity(&signed);

    let mut found = BTreeMap::new();
    files(&Ext4::load(Box::new(partition(&made, Partition::Persistent))).unwrap(), "/", &mut found);
    let at = |path: &str| format!("/bistable/components/core/{identity}{path}");
    let mut wanted = BTreeMap::from([
        ("/bistable".to_owned(), (0o755, 0, b"/".to_vec())),
        ("/bistable/components".into(), (0o755, 0, b"/".to_vec())),
        ("/bistable/components/core".into(), (0o755, 0, b"/".to_vec())),
        ("/bistable/components/core/current".into(), (0o777, 0, identity.to_string().into_bytes())),
        (at(".release"), (0o644, 0, signed)),
        (at(""), (0o755, 0, b"/".to_vec())),
    ]);
    for (path, mode, content) in [
        ("/VERSION", 0o644, b"2.0.0\n".to_vec()),
        ("/bin", 0o755, b"/".to_vec()),
        ("/bin/core", 0o750, noise(7, 3_000_000)),
        ("/empty", 0o755, b"/".to_vec()),
        ("/none", 0o644, Vec::new()),
        ("/run", 0o777, b"bin/core".to_vec()),
    ] {
        wanted.insert(at(path), (mode, 0, content));
    }
    wanted.insert(at(&format!("/{}", "n".repeat(200))), (0o644, 0, b"long\n".to_vec()));
    let difference: Vec<_> = found.iter().filter(|(path, value)| wanted.get(*path) != Some(value)).collect();
    assert!(difference.is_empty(), "{:?}", difference.iter().map(|(p, (m, ..))| (p, m)).collect::<Vec<_>>());
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());

    let state = partition(&made, Partition::State);
    let mut blocks = Memory::new(state.len() / SECTOR);
    blocks.write(Lba(0), &state).unwrap();
    let record = Journal::<_, ComponentRecord>::of(blocks).load().unwrap();
    assert_eq!((record.product.as_str(), record.components.len()), ("greenhouse", 1));
    let entry = record.get("core").unwrap();
    let current = entry.current.as_ref().unwrap();
    assert_eq!((current.release.0, current.version.to_string()), (identity.0, "2.0.0".into()));
    assert_eq!((entry.security_floor, current.security_version, &entry.state), (3, 3, &State::Idle));
}

#[test]
fn the_same_components_give_the_same_card_in_any_order() {
    let product = Product::new();
    let image = product.bundle();
    let (core, web) = (bundle(&product, "core", |_| {}), bundle(&product, "web", |_| {}));
    let digest = |made: (card::Card, PathBuf)| Digest::of(&fs::read(made.1).unwrap());
    let first = digest(card(&product, &image, "1.img", &[&core, &web]).unwrap());
    assert_eq!(first, digest(card(&product, &image, "2.img", &[&web, &core]).unwrap()));
    // Without any, the card is what it always was.
    let none = card(&product, &image, "3.img", &[]).unwrap();
    assert_ne!(first, digest(none.clone()));
    let state = partition(&none, Partition::State);
    let mut blocks = Memory::new(state.len() / SECTOR);
    blocks.write(Lba(0), &state).unwrap();
    assert!(Journal::<_, ComponentRecord>::of(blocks).load().is_err());
}

#[test]
fn what_the_device_would_refuse_is_refused() {
    let product = Product::new();
    let image = product.bundle();
    let refused = |name: &str, change: &dyn Fn(&mut BuildOptions)| {
        let bundle = bundle(&product, name, change);
        card(&product, &image, "card.img", &[&bundle]).unwrap_err()
    };
    let other = refused("other", &|o| o.product = "barn".into());
    assert!(matches!(other, CardError::OtherProduct { .. }), "{other}");
    let board = refused("board", &|o| o.boards = vec!["pi5".into()]);
    assert!(matches!(&board, CardError::Board { board, .. } if board == "pi4"), "{board}");
    let newer = refused("newer", &|o| {
        o.requires.components = vec![("greenhouse".into(), ">=9".parse().unwrap())];
    });
    assert!(matches!(newer, CardError::Unfit { .. }), "{newer}");
    let twice = bundle(&product, "core", |_| {});
    let twice = card(&product, &image, "card.img", &[&twice, &twice]).unwrap_err();
    assert!(matches!(twice, CardError::Unfit { .. }), "{twice}");
    let not_one = card(&product, &image, "card.img", &[&image]).unwrap_err();
    assert!(matches!(not_one, CardError::NotAComponent { .. }), "{not_one}");
    let damaged = product.path("damaged.bundle");
    let mut bytes = fs::read(product.path("core.bundle")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let damaged = card(&product, &image, "card.img", &[&damaged]).unwrap_err();
    assert!(matches!(damaged, CardError::Bundle(VerifyError::Bundle { .. })), "{damaged}");
    assert!(!product.path("card.img").exists());
}

#[test]
fn an_image_that_binds_a_component_takes_that_release_only() {
    let product = Product::new();
    let (bound, other) = (
        bundle(&product, "core", |_| {}),
        bundle(&product, "core", |o| {
            o.version = "2.0.1".parse().unwrap();
            o.out = product.path("core-2.0.1.bundle");
        }),
    );
    let reader = verify::open(&bound, &product.root.root).unwrap();
    let mut options = product.options("hub.bundle");
    options.binds = vec![BoundRelease {
        release: reader.release().clone(),
        identity: bistable_format::release::identity(reader.signed_release()),
    }];
    build(&options, &Silent).unwrap();
    let refused =
        card(&product, &options.out, "card.img", &[&product.path("core-2.0.1.bundle")]).unwrap_err();
    assert!(matches!(refused, CardError::OtherBound { .. }), "{refused} {}", other.display());
    card(&product, &options.out, "card.img", &[&bound]).unwrap();
}

#[test]
fn a_card_has_the_defaults_of_a_configuration_and_none_is_made_without_a_value_that_is_needed() {
    let product = Product::new();
    let image = product.bundle();
    let text = "[environment.MODE]\ndefault = \"quiet\"\n[file.\"core.key\"]\nsecret = true\n[file.\"core.toml\"]\ndefault = \"a = 1\\n\"\n";
    let core = bundle(&product, "core", |o| o.configuration = text.into());
    let made = card(&product, &image, "card.img", &[&core]).unwrap();
    let identity =
        bistable_format::release::identity(verify::open(&core, &product.root.root).unwrap().signed_release());
    let mut found = BTreeMap::new();
    files(&Ext4::load(Box::new(partition(&made, Partition::Persistent))).unwrap(), "/", &mut found);
    let below = |path: &str| found.get(&format!("/bistable/components/core/{path}")).cloned();
    assert_eq!(below("current"), Some((0o777, 0, format!("{identity}-1").into_bytes())));
    let at = |file: &str| below(&format!("{identity}-1/{file}"));
    assert_eq!(at("environment"), Some((0o600, 0, b"MODE=\"quiet\"\n".to_vec())));
    assert_eq!(at("core.toml"), Some((0o644, 0, b"a = 1\n".to_vec())));
    assert_eq!(at("values"), Some((0o600, 0, b"{}".to_vec())));
    assert_eq!(at("core.key"), None);
    let state = partition(&made, Partition::State);
    let mut blocks = Memory::new(state.len() / SECTOR);
    blocks.write(Lba(0), &state).unwrap();
    let record = Journal::<_, ComponentRecord>::of(blocks).load().unwrap();
    assert_eq!(record.get("core").unwrap().current.as_ref().unwrap().configuration, Some(1));

    let needs =
        bundle(&product, "needs", |o| o.configuration = "[environment.TOKEN]\nrequired = true\n".into());
    let refused = card(&product, &image, "other.img", &[&needs]).unwrap_err();
    assert!(refused.to_string().contains("needs 2.0.0 can't run before TOKEN is set"), "{refused}");
    let reader = verify::open(&core, &product.root.root).unwrap();
    let mut options = product.options("hub.bundle");
    options.binds = vec![BoundRelease { release: reader.release().clone(), identity }];
    let refused = build(&options, &Silent).unwrap_err();
    assert!(refused.to_string().contains("core 2.0.0 declares a configuration"), "{refused}");
    options = product.options("hub.bundle");
    options.configuration = text.into();
    let refused = format!("{:?}", build(&options, &Silent).unwrap_err());
    assert!(refused.contains("only an application directory has one"), "{refused}");
}
