//! A small product: keys, a root, a root file system, a boot volume.
use bistable_format::KeyKind;
use bistable_format::VolumeKind;
use bistable_image::delta::{DeltaOptions, Level};
use bistable_image::root::SignedRoot;
use bistable_image::{BuildOptions, Existing, Silent, Threads, build};
use bistable_kit::product::Keys;
pub(crate) use bistable_kit::product::{key, noise, root_of};
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub(crate) struct Product {
    pub(crate) folder: TempDir,
    keys: Keys,
}

impl Deref for Product {
    type Target = Keys;

    fn deref(&self) -> &Keys {
        &self.keys
    }
}

impl Product {
    pub(crate) fn new() -> Product {
        Self::of(KeyKind::Production)
    }

    pub(crate) fn of(kind: KeyKind) -> Product {
        let folder = tempfile::tempdir().unwrap();
        let system = folder.path().join("system");
        let boot = folder.path().join("boot");
        fs::create_dir_all(system.join("usr/bin")).unwrap();
        fs::create_dir_all(system.join("etc")).unwrap();
        fs::create_dir_all(boot.join("overlays")).unwrap();
        fs::write(system.join("usr/bin/app"), noise(1, 400_000)).unwrap();
        fs::write(system.join("usr/bin/bistable"), "the agent").unwrap();
        fs::write(system.join("usr/bin/zeros"), vec![0; 1_500_000]).unwrap();
        fs::write(system.join("etc/os-release"), "ID=test\n".repeat(2000)).unwrap();
        symlink("app", system.join("usr/bin/link")).unwrap();
        fs::write(boot.join("config.txt"), "arm_64bit=1\n").unwrap();
        fs::write(boot.join("kernel8.img"), noise(2, 120_000)).unwrap();
        fs::write(boot.join("overlays/README"), "overlays\n").unwrap();
        Product { folder, keys: Keys::new(kind) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The keys and the root as files: release.key, root.root.
    pub(crate) fn write_keys(&self) {
        self.keys.release_key.write(&self.path("release")).unwrap();
        fs::write(self.path("root.root"), &self.root.bytes).unwrap();
    }

    pub(crate) fn options(&self, out: &str) -> BuildOptions {
        let mut o = self.keys.options("1.2.3", [self.path("system"), self.path("boot"), self.path(out)]);
        o.level = bistable_image::build::Level::new(3).unwrap();
        o
    }

    /// Deltas of its bundles, made fast.
    pub(crate) fn delta_options(&self) -> DeltaOptions<'_> {
        DeltaOptions {
            root: &self.root.root,
            keys: std::slice::from_ref(&self.release_key),
            level: Level::new(3).unwrap(),
            threads: Threads::new(2),
            folder: self.folder.path(),
            existing: Existing::Refuse,
        }
    }

    /// Build with the defaults above.
    pub(crate) fn bundle(&self) -> PathBuf {
        let options = self.options("x.bundle");
        build(&options, &Silent).unwrap();
        options.out
    }
}

/// The program, in the product's folder.
pub(crate) fn command(product: &Product, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bistable-image"));
    command
        .args(args)
        .current_dir(product.folder.path())
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("BISTABLE_STATE_DIR", product.path("state"));
    command
}

/// What it said, all of it, once it ended with this code.
#[track_caller]
pub(crate) fn ended(mut command: Command, code: i32) -> String {
    let out = command.output().unwrap();
    let text = [out.stdout.as_slice(), &out.stderr].map(String::from_utf8_lossy).concat();
    assert_eq!(out.status.code(), Some(code), "{command:?}: {text}");
    text
}

/// A bundle of the product, made fast.
pub(crate) const BUILD: &[&str] = &[
    "build",
    "--product",
    "greenhouse",
    "--version",
    "1.0.0",
    "--board",
    "pi4",
    "--system",
    "system",
    "--boot",
    "boot",
    "--key",
    "release.key",
    "--root",
    "root.root",
    "--out",
    "x.bundle",
    "--level",
    "3",
];

/// The content of a bundle's entry for a volume's data, with nothing but `tar` and `zstd`.
pub(crate) fn raw_image(bundle: &Path, kind: VolumeKind, root: &SignedRoot) -> Vec<u8> {
    let reader = bistable_image::verify::open(bundle, &root.root).unwrap();
    let data = reader.release().volumes().unwrap().get(kind).data;
    let mut archive = tar::Archive::new(fs::File::open(bundle).unwrap());
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        if entry.path().unwrap().ends_with(data.to_string()) {
            return zstd::decode_all(entry).unwrap();
        }
    }
    panic!("no entry {data}");
}

/// Names in a folder, to show that nothing was left there.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
