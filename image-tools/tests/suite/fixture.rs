//! A small product: keys, a root, a root file system, a boot volume.
use bistable_format::KeyKind;
use bistable_format::VolumeKind;
use bistable_image::keys::SecretKey;
use bistable_image::root::SignedRoot;
use bistable_image::volume::VolumeSize;
use bistable_image::{BuildOptions, Silent, Threads, build};
pub(crate) use bistable_kit::product::{key, noise, root_of};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) struct Product {
    pub(crate) folder: TempDir,
    pub(crate) root: SignedRoot,
    pub(crate) root_key: SecretKey,
    pub(crate) release_key: SecretKey,
    pub(crate) channel_key: SecretKey,
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
        fs::write(system.join("usr/bin/zeros"), vec![0; 1_500_000]).unwrap();
        fs::write(system.join("etc/os-release"), "ID=test\n".repeat(2000)).unwrap();
        symlink("app", system.join("usr/bin/link")).unwrap();
        fs::write(boot.join("config.txt"), "arm_64bit=1\n").unwrap();
        fs::write(boot.join("kernel8.img"), noise(2, 120_000)).unwrap();
        fs::write(boot.join("overlays/README"), "overlays\n").unwrap();
        let (root_key, release_key, channel_key) = (key(1, kind), key(2, kind), key(3, kind));
        let root = root_of(&root_key, &release_key, &channel_key);
        Product { folder, root, root_key, release_key, channel_key }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn options(&self, out: &str) -> BuildOptions {
        let version = "1.2.3".parse().unwrap();
        let mut o = BuildOptions::new(
            "greenhouse",
            version,
            "pi4",
            self.path("system"),
            self.path("boot"),
            self.path(out),
        );
        o.keys = vec![self.release_key.clone()];
        o.root = Some(self.root.clone());
        o.build_time = 1_700_000_000;
        o.boot_size = VolumeSize::Exact(4 << 20);
        o.chunk_size = bistable_image::build::ChunkSize::new(256 << 10).unwrap();
        o.level = bistable_image::build::Level::new(3).unwrap();
        o.threads = Threads::new(2);
        o
    }

    /// Build with the defaults above.
    pub(crate) fn bundle(&self) -> PathBuf {
        let options = self.options("x.bundle");
        build(&options, &Silent).unwrap();
        options.out
    }
}

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
