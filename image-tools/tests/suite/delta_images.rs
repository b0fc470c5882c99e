//! Deltas of images that other people's programs made: no file system is looked at, and each becomes small.
use crate::fixture::{Product, noise};
use crate::tools::{text, tool};
use bistable_format::VolumeKind;
use bistable_image::delta::{self, DeltaOptions, Level};
use bistable_image::volume::VolumeSize;
use bistable_image::{BuildOptions, Existing, Silent, Threads, build, verify};
use std::fs;
use std::path::{Path, PathBuf};

/// Forty libraries of words, and an application of noise.
fn tree(product: &Product, name: &str, app: &[u8], changed: &str) -> PathBuf {
    let folder = product.path(name);
    fs::create_dir_all(folder.join("usr/lib")).unwrap();
    fs::create_dir_all(folder.join("usr/share/bistable")).unwrap();
    fs::write(folder.join("usr/share/bistable/root.root"), &product.root.bytes).unwrap();
    for n in 0..40 {
        let words: String = noise(n + 100, 15_000).iter().map(|byte| format!("word{byte} ")).collect();
        let words = if n == 20 { words.replace("word7 ", changed) } else { words };
        fs::write(folder.join(format!("usr/lib/lib{n:02}")), words).unwrap();
    }
    fs::write(folder.join("usr/app"), app).unwrap();
    folder
}

/// A FAT with a kernel, made by mkfs.vfat and mtools.
fn fat(product: &Product, name: &str, kernel: &[u8]) -> PathBuf {
    let (path, file) = (product.path(name), product.path("kernel8.img"));
    fs::File::create(&path).unwrap().set_len(8 << 20).unwrap();
    tool("mkfs.vfat", &["-i", "12345678", text(&path)]);
    fs::write(&file, kernel).unwrap();
    tool("mcopy", &["-i", text(&path), text(&file), "::"]);
    path
}

/// Bytes of the delta and of the full data of each volume, once the delta was applied and every byte compared.
fn costs(product: &Product, images: [(&Path, &Path); 2]) -> [(u64, u64); 2] {
    let [old, new] = [0, 1].map(|n| {
        let options = BuildOptions {
            version: format!("1.{n}.0").parse().unwrap(),
            input: bistable_image::build::Input::Volumes {
                system: images[n].0.into(),
                boot: images[n].1.into(),
            },
            boot_size: VolumeSize::Fit,
            existing: Existing::Replace,
            ..product.options(&format!("{n}.bundle"))
        };
        build(&options, &Silent).unwrap();
        options.out
    });
    let (root, keys, folder) = (&product.root.root, [product.release_key.clone()], product.path("deltas"));
    fs::create_dir_all(&folder).unwrap();
    let options = DeltaOptions {
        root,
        keys: &keys,
        level: Level::new(9).unwrap(),
        threads: Threads::new(2),
        folder: &folder,
        existing: Existing::Replace,
    };
    let made = delta::make(std::slice::from_ref(&old), &new, &options, &Silent).unwrap();
    let verified = delta::verify(&made[0].path, Some(&old), root, Threads::new(2), &Silent).unwrap();
    assert_eq!(verified.applied.as_ref(), Some(&made[0].volumes));
    let full = verify::open(&new, root).unwrap();
    [VolumeKind::Boot, VolumeKind::System].map(|kind| {
        let delta = made[0].delta.artifact(kind.name()).unwrap().data_bytes;
        (delta, full.release().volumes().unwrap().get(kind).data_bytes)
    })
}

#[test]
#[ignore = "needs squashfs-tools, erofs-utils, dosfstools and mtools"]
fn images_of_other_tools_have_small_deltas() {
    let product = Product::new();
    let app = noise(1, 900_000);
    let mut inserted = app.clone();
    inserted.splice(300_000..300_000, noise(7, 333));
    let trees = [tree(&product, "old", &app, "word7 "), tree(&product, "new", &inserted, "seven ")];
    let kernel = noise(2, 3_000_000);
    let mut patched = kernel.clone();
    patched.splice(1_000_000..1_000_100, noise(8, 600));
    let boots = [fat(&product, "old.fat", &kernel), fat(&product, "new.fat", &patched)];
    let erofs: fn(&Path, &Path) = |tree, out| {
        let _ = tool("mkfs.erofs", &["-T1", "-U00000000-0000-0000-0000-000000000001", text(out), text(tree)]);
    };
    let compressed: fn(&Path, &Path) = |tree, out| {
        let id = "-U00000000-0000-0000-0000-000000000001";
        let _ = tool("mkfs.erofs", &["-zlz4hc", "-C65536", "-T1", id, text(out), text(tree)]);
    };
    let squashfs: fn(&Path, &Path) = |tree, out| {
        let times = ["-mkfs-time", "1", "-all-time", "1", "-quiet", "-no-progress"];
        let _ = tool(
            "mksquashfs",
            &[&[text(tree), text(out), "-comp", "zstd", "-b", "128K"], &times[..]].concat(),
        );
    };
    for (name, make) in [("erofs", erofs), ("erofs lz4", compressed), ("squashfs", squashfs)] {
        let images = [0, 1].map(|n| {
            let out = product.path(&format!("{n}.{}", name.replace(' ', "-")));
            make(&trees[n], &out);
            out
        });
        let [boot, system] = costs(&product, [0, 1].map(|n| (&*images[n], &*boots[n])));
        println!("{name}: boot {boot:?}, system {system:?}");
        assert!(boot.0 * 100 < boot.1, "{name}: the FAT: {boot:?}");
        assert!(system.0 * 20 < system.1, "{name}: {system:?}");
    }
}
