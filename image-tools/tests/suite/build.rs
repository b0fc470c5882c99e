//! What a bundle is made of.
use crate::fixture::{Product, names, raw_image};
use bistable_format::{ArtifactId, Digest, Encoding, VolumeKind};
use bistable_image::build::{BuildError, ChunkSize, Input};
use bistable_image::volume::VolumeSize;
use bistable_image::{Existing, OutputError, Progress, Silent, Stage, Threads, build, verify};
use std::fs;
use std::sync::Mutex;

const SYSTEM: ArtifactId = ArtifactId::Volume(VolumeKind::System);

#[test]
fn the_same_input_gives_the_same_bytes_for_any_number_of_threads() {
    let product = Product::new();
    let mut digests = Vec::new();
    for (i, threads) in [1, 4, 7].into_iter().enumerate() {
        let mut options = product.options(&format!("{i}.bundle"));
        options.threads = Threads::new(threads);
        let built = build(&options, &Silent).unwrap();
        let bytes = fs::read(&options.out).unwrap();
        assert_eq!(built.bytes, bytes.len() as u64);
        digests.push((built.digest, Digest::of(&bytes)));
    }
    assert!(digests.windows(2).all(|w| w[0] == w[1]), "{digests:?}");
}

#[test]
fn a_bundle_is_a_tar_whose_blobs_have_the_digests_in_their_names() {
    let product = Product::new();
    let bundle = product.bundle();
    let mut archive = tar::Archive::new(fs::File::open(&bundle).unwrap());
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        std::io::copy(&mut entry, &mut content).unwrap();
        if let Some(digest) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(Digest::of(&content).to_string(), digest);
        }
        names.push(name);
    }
    assert_eq!(names.len(), 9);
    assert_eq!(names[..2], ["oci-layout", "index.json"]);
}

#[test]
fn the_data_decompresses_to_the_raw_image_with_ordinary_zstd() {
    let product = Product::new();
    let bundle = product.bundle();
    let reader = verify::open(&bundle, &product.root.root).unwrap();
    for (kind, volume) in reader.release().volumes().unwrap().iter() {
        let raw = raw_image(&bundle, kind, &product.root);
        assert_eq!((raw.len() as u64, Digest::of(&raw)), (volume.bytes, volume.digest), "{kind}");
    }
    let lists = reader.lists();
    let zero = |e: &Encoding| matches!(e, Encoding::Zero { .. });
    assert!(lists[1].1.chunks.iter().any(|c| zero(&c.encoding)), "the fixture has a chunk of zeros");
    assert!(lists[1].1.chunks.iter().any(|c| !zero(&c.encoding)));
}

#[test]
fn a_plan_that_can_not_pass_is_refused_before_anything_is_made() {
    let product = Product::new();
    let mut options = product.options("x.bundle");
    options.boards = vec!["pi4".into(), "pi5".into()];
    let level = "[[test]]\nname = \"x\"\nkind = \"level\"\npin = 55\nexpect = \"low\"\n";
    options.self_tests = format!("{level}timeout_ms = 60000\n");
    options.health = "deadline_s = 60\n".into();
    let error = build(&options, &Silent).unwrap_err();
    assert!(!options.out.exists());
    let text = error.to_string();
    let BuildError::Unfit(reasons) = error else { panic!("{text}") };
    assert_eq!(reasons.len(), 2);
    assert!(text.contains("no GPIO55 on board pi5") && text.contains("deadline_s 60"), "{text}");
    options.boards = vec!["pi4".into()];
    options.health = "deadline_s = 90\n".into();
    build(&options, &Silent).unwrap();
}

#[test]
fn what_is_built_verifies_and_says_what_was_asked_for() {
    let product = Product::new();
    let mut options = product.options("x.bundle");
    options.security_version = 7;
    options.boards = vec!["pi4".into(), "pi5".into()];
    options.requires.running = Some(">=1.0".parse().unwrap());
    options.requires.components = vec![("bootloader".into(), "^2".parse().unwrap())];
    options.description = "A test".into();
    options.self_tests = "[[test]]\nname = \"x\"\nkind = \"command\"\nrun = [\"/bin/true\"]\n".into();
    options.health = "deadline_s = 60\n".into();
    options.root = Some(product.root.clone());
    let built = build(&options, &Silent).unwrap();
    let verified = verify::verify(&options.out, &product.root.root, Threads::new(2), &Silent).unwrap();
    assert_eq!(verified.release, built.release);
    assert_eq!(verified.digest, built.digest);
    assert_eq!(verified.signers, [product.release_key.public()]);
    assert_eq!(verified.release.security_version, 7);
    assert_eq!(verified.release.build_time, 1_700_000_000);
}

/// Chunk sizes, volumes that end within a chunk, and the largest estimate error of what comes before the data.
#[test]
fn every_chunk_size_and_odd_volume_size_verifies() {
    let product = Product::new();
    for (i, (chunk, system)) in [
        (256 << 10, VolumeSize::Fit),
        (1 << 20, VolumeSize::Exact(16_797_696)),
        (4 << 20, VolumeSize::Exact(18 << 20)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut options = product.options(&format!("{i}.bundle"));
        options.chunk_size = ChunkSize::new(chunk).unwrap();
        options.system_size = system;
        let built = build(&options, &Silent).unwrap();
        verify::verify(&options.out, &product.root.root, Threads::new(3), &Silent).unwrap();
        if let VolumeSize::Exact(bytes) = system {
            assert_eq!(built.release.volumes().unwrap().get(VolumeKind::System).bytes, bytes);
        }
    }
    assert!(ChunkSize::new(128 << 10).is_none() && ChunkSize::new(300_000).is_none());
}

#[test]
fn an_existing_bundle_is_kept_unless_it_shall_be_replaced() {
    let product = Product::new();
    let mut options = product.options("x.bundle");
    fs::write(&options.out, "mine").unwrap();
    let refused = build(&options, &Silent);
    assert!(matches!(refused, Err(BuildError::Output(OutputError::Exists { .. }))), "{refused:?}");
    assert_eq!(fs::read(&options.out).unwrap(), b"mine");
    options.existing = Existing::Replace;
    build(&options, &Silent).unwrap();
    verify::verify(&options.out, &product.root.root, Threads::new(1), &Silent).unwrap();
}

#[test]
fn a_build_that_fails_leaves_nothing_and_keeps_what_was_there() {
    let product = Product::new();
    let before = names(product.folder.path());
    let mut options = product.options("x.bundle");
    options.system_size = VolumeSize::Exact(4096);
    assert!(matches!(build(&options, &Silent), Err(BuildError::Volume { id: SYSTEM, .. })));
    options.input = Input::Volumes { system: product.path("missing"), boot: product.path("boot") };
    assert!(matches!(build(&options, &Silent), Err(BuildError::Volume { id: SYSTEM, .. })));
    assert_eq!(names(product.folder.path()), before);
    fs::write(&options.out, "old").unwrap();
    options.existing = Existing::Replace;
    assert!(build(&options, &Silent).is_err());
    assert_eq!(fs::read(&options.out).unwrap(), b"old");
}

/// Found before the long work begins: no stage was entered.
#[test]
fn a_release_that_makes_no_sense_is_refused_at_once() {
    struct NoStage;
    impl Progress for NoStage {
        fn begin(&self, stage: Stage, _: u64) {
            panic!("{stage:?} began");
        }
        fn advance(&self, _: Stage, _: u64) {}
        fn end(&self, _: Stage) {}
        fn note(&self, _: &str) {}
    }
    let product = Product::new();
    type Change = fn(&mut bistable_image::BuildOptions, &Product);
    let cases: [(&str, Change); 7] = [
        ("product", |o, _| o.product = "Green House".into()),
        ("boards", |o, _| o.boards.clear()),
        ("no key", |o, _| o.keys.clear()),
        ("self-tests", |o, _| o.self_tests = "[[test]]\nname = 1".into()),
        ("health", |o, _| o.health = "unknown = 1".into()),
        ("a key of another role", |o, p| {
            o.keys = vec![p.channel_key.clone()];
            o.root = Some(p.root.clone());
        }),
        ("description", |o, _| o.description = "x".repeat(5000)),
    ];
    for (what, change) in cases {
        let mut options = product.options("x.bundle");
        change(&mut options, &product);
        assert!(build(&options, &NoStage).is_err(), "{what}");
        assert!(!options.out.exists());
    }
}

#[test]
fn progress_rises_to_its_total_stage_by_stage() {
    #[derive(Default)]
    struct Log(Mutex<Vec<(Stage, u64, u64)>>);
    impl Progress for Log {
        fn begin(&self, stage: Stage, total: u64) {
            self.0.lock().unwrap().push((stage, total, 0));
        }
        fn advance(&self, stage: Stage, done: u64) {
            let mut log = self.0.lock().unwrap();
            let last = log.last_mut().unwrap();
            assert!(last.0 == stage && last.2 <= done && done <= last.1, "{stage:?} {done} after {last:?}");
            last.2 = done;
        }
        fn end(&self, stage: Stage) {
            let log = self.0.lock().unwrap();
            let last = log.last().unwrap();
            assert!(last.0 == stage && last.2 == last.1, "{last:?}");
        }
        fn note(&self, _: &str) {}
    }
    let product = Product::new();
    let log = Log::default();
    build(&product.options("x.bundle"), &log).unwrap();
    verify::verify(&product.path("x.bundle"), &product.root.root, Threads::new(2), &log).unwrap();
    assert_eq!(log.0.into_inner().unwrap().len(), 7);
}

#[test]
fn the_release_says_which_formats_its_agent_reads() {
    const PATH: &str = "usr/share/bistable/formats";
    let product = Product::new();
    let mut options = product.options("x.bundle");
    assert_eq!(build(&options, &Silent).unwrap().release.durable, 1);
    let Input::Volumes { system, .. } = &options.input else { panic!("{:?}", options.input) };
    let place = system.join(PATH);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, "2\n").unwrap();
    options.out = product.path("second.bundle");
    assert_eq!(build(&options, &Silent).unwrap().release.durable, 2);
    let reader = verify::open(&options.out, &product.root.root).unwrap();
    assert_eq!(reader.release().durable, 2);
    fs::write(&place, "1.0\n").unwrap();
    options.out = product.path("wrong.bundle");
    let e = build(&options, &Silent).unwrap_err();
    let text = std::error::Error::source(&e).unwrap().to_string();
    assert!(text.contains("/usr/share/bistable/formats has \"1.0\" in it"), "{text}");
    assert!(!options.out.exists());
}

/// The file at that path of the system volume, and who owns it.
fn in_system(bundle: &std::path::Path, product: &Product, path: &str) -> Option<Vec<u8>> {
    let raw = raw_image(bundle, VolumeKind::System, &product.root);
    let fs = ext4_view::Ext4::load(Box::new(raw)).unwrap();
    fs.exists(path).unwrap().then(|| fs.read(path).unwrap())
}

#[test]
fn the_system_carries_the_root_and_nothing_else_changes() {
    const PATH: &str = "/usr/share/bistable/root.root";
    let product = Product::new();
    let mut options = product.options("with.bundle");
    build(&options, &Silent).unwrap();
    assert_eq!(in_system(&options.out, &product, PATH).as_ref(), Some(&product.root.bytes));
    // The same is there already: the same volume.
    let Input::Volumes { system, .. } = &options.input else { panic!("{:?}", options.input) };
    let place = system.join(PATH.trim_start_matches('/'));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, &product.root.bytes).unwrap();
    options.out = product.path("again.bundle");
    build(&options, &Silent).unwrap();
    assert_eq!(in_system(&options.out, &product, PATH).as_ref(), Some(&product.root.bytes));
    // Something else is there.
    fs::write(&place, &product.root.bytes[..100]).unwrap();
    options.out = product.path("wrong.bundle");
    let e = build(&options, &Silent).unwrap_err();
    let text = std::error::Error::source(&e).unwrap().to_string();
    assert!(
        text.contains("root.root is not a valid root") && text.contains("take it out of the system"),
        "{text}"
    );
    assert!(!options.out.exists());
}

/// Neither it nor its temporary files become a part of what it is made from.
#[test]
fn output_in_a_folder_that_is_read_is_refused() {
    let product = Product::new();
    let inside = product.path("system/deep/x.bundle");
    fs::create_dir_all(inside.parent().unwrap()).unwrap();
    let mut options = product.options("x.bundle");
    options.out = inside.clone();
    let refused = build(&options, &Silent).unwrap_err();
    assert!(
        matches!(&refused, BuildError::Output(OutputError::InInput { path, .. }) if *path == inside),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(inside.parent().unwrap()).unwrap().count(), 0);
}
