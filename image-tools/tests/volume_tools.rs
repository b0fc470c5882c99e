//! Volumes against the programs that others trust. These tests need e2fsprogs, dosfstools, squashfs-tools,
//! erofs-utils and tar, so they only run when asked to: `cargo test -- --include-ignored`.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod volume_support;

use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink as link};
use std::path::{Path, PathBuf};
use std::process::Command;

use bistable_image::volume::{
    BootOptions, Ext4Backend, InputKind, VolumeId, VolumeSize, open_boot, open_system,
};
use volume_support::{EPOCH, Entry, entry, file, hard_link, image, on_disk, options, symlink, tar};

/// Runs a program that must succeed, and returns what it said.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{said}", output.status);
    said
}

fn show(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn fsck(image: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = on_disk(image);
    run("e2fsck", &["-fn", show(&path)]);
    (folder, path)
}

fn source() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("usr/bin")).unwrap();
    std::fs::create_dir_all(root.join("many")).unwrap();
    for n in 0..2000 {
        std::fs::write(root.join(format!("many/file number {n}")), n.to_string()).unwrap();
    }
    std::fs::write(root.join("usr/bin/tool"), vec![9; 300_000]).unwrap();
    std::fs::set_permissions(root.join("usr/bin/tool"), PermissionsExt::from_mode(0o4755)).unwrap();
    std::fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/other")).unwrap();
    link("tool", root.join("usr/bin/link")).unwrap();
    link("t".repeat(100), root.join("usr/bin/long-link")).unwrap();
    let sparse = std::fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(20 << 20).unwrap();
    sparse.write_all_at(b"data", 10 << 20).unwrap();
    folder
}

/// Compares a folder with what an independent reader finds in the image.
fn same_tree(root: &Path, fs: &ext4_view::Ext4, inside: &str) {
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<String> = std::fs::read_dir(root).unwrap().map(|entry| name(entry.unwrap())).collect();
    names.sort();
    let mut found: Vec<String> = fs
        .read_dir(inside)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().as_str().unwrap().to_owned())
        .filter(|name| !matches!(&name[..], "." | ".." | "lost+found"))
        .collect();
    found.sort();
    assert_eq!(names, found, "{inside}");
    for name in found {
        let (path, inner) = (root.join(&name), format!("{}/{name}", inside.trim_end_matches('/')));
        let (meta, in_image) = (path.symlink_metadata().unwrap(), fs.symlink_metadata(&inner[..]).unwrap());
        assert_eq!(meta.mode() & 0o7777, u32::from(in_image.mode()), "{inner}");
        assert_eq!((meta.uid(), meta.gid()), (in_image.uid(), in_image.gid()), "{inner}");
        if meta.is_dir() {
            assert!(in_image.is_dir(), "{inner}");
            same_tree(&path, fs, &inner);
        } else if meta.is_symlink() {
            let target = fs.read_link(&inner[..]).unwrap();
            assert_eq!(std::fs::read_link(&path).unwrap().to_str(), target.to_str().ok(), "{inner}");
        } else {
            assert!(std::fs::read(&path).unwrap() == fs.read(&inner[..]).unwrap(), "{inner}");
        }
    }
}

#[test]
#[ignore = "needs e2fsprogs"]
fn e2fsck_is_content() {
    let entries: Vec<Entry> = vec![
        Entry { mode: 0o4755, uid: 1000, ..file("usr/bin/sudo", "elf") },
        file("usr/bin/ping", "ping")
            .pax("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0")
            .pax("SCHILY.xattr.user.big", [b'v'; 3000]),
        hard_link("usr/bin/ping4", "usr/bin/ping"),
        Entry { device: (8, 300), ..entry(b'4', "dev/sda") },
        entry(b'6', "run/pipe"),
        symlink("fast", "usr"),
        symlink("slow", [b's'; 200]),
        symlink("odd", b"caf\xe9"),
        symlink("odd and slow", [b'\xff'; 100]),
        file("acl", "x").pax(
            "SCHILY.xattr.system.posix_acl_access",
            b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xe8\x03\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff",
        ),
    ]
    .into_iter()
    .chain((0..20_000_u32).map(|n| file([format!("many/file {n}").as_bytes(), if n % 500 == 0 { b"\xff" } else { b"" }].concat(), "")))
    .collect();
    let (_source, path) = on_disk(&tar(&entries));
    let (_folder, made) = fsck(&image(&open_system(&path, &options()).unwrap()));
    let said = run("debugfs", &["-R", "ea_list /usr/bin/ping", show(&made)]);
    assert!(said.contains("security.capability (20)") && said.contains("user.big (3000)"), "{said}");
    let said = run("debugfs", &["-R", "ea_list /acl", show(&made)]);
    assert!(said.contains("posix_acl_access"), "{said}");
    let said = run("debugfs", &["-R", "stat /usr/bin/sudo", show(&made)]);
    assert!(said.contains("Mode:  04755") && said.contains("User:  1000"), "{said}");
}

#[test]
#[ignore = "needs e2fsprogs"]
fn sizes_at_the_edges_of_groups() {
    let (_source, path) = on_disk(&tar(&[file("a", [1; 100_000])]));
    for size in [16, 20, 127, 128, 129, 2049] {
        let mut options = options();
        options.size = VolumeSize::Exact(size << 20);
        match open_system(&path, &options) {
            Ok(plan) => {
                let folder = tempfile::tempdir().unwrap();
                let made = folder.path().join("image");
                let mut file = std::fs::File::create(&made).unwrap();
                plan.write_to(&mut file, &|_| {}).unwrap();
                run("e2fsck", &["-fn", show(&made)]);
            }
            Err(error) => panic!("{size} MiB: {error}"),
        }
    }
}

#[test]
#[ignore = "needs GNU tar"]
fn a_directory_and_its_tar_are_equal() {
    let folder = source();
    let from_folder = image(&open_system(folder.path(), &options()).unwrap());
    let (_image, made) = fsck(&from_folder);
    same_tree(folder.path(), &ext4_view::Ext4::load_from_path(&made).unwrap(), "/");
    let out = tempfile::tempdir().unwrap();
    let formats: [(&str, &[&str]); 6] = [
        ("plain", &["--format=posix"]),
        ("sparse", &["--format=posix", "--sparse"]),
        ("sparse01", &["--format=posix", "--sparse", "--sparse-version=0.1"]),
        ("sparse00", &["--format=posix", "--sparse", "--sparse-version=0.0"]),
        ("xz", &["--format=posix", "--xz"]),
        ("zstd", &["--format=posix", "--zstd", "--sparse"]),
    ];
    for (name, more) in formats {
        let path = out.path().join(name);
        let mut arguments =
            vec!["-C", show(folder.path()), "--xattrs", "--numeric-owner", "-cf", show(&path)];
        arguments.extend(more);
        arguments.push(".");
        run("tar", &arguments);
        assert!(image(&open_system(&path, &options()).unwrap()) == from_folder, "{name}");
    }
    // Old GNU archives know whole seconds only.
    let path = out.path().join("gnu");
    run("tar", &["-C", show(folder.path()), "--format=gnu", "--sparse", "-cf", show(&path), "."]);
    let (_image, made) = fsck(&image(&open_system(&path, &options()).unwrap()));
    same_tree(folder.path(), &ext4_view::Ext4::load_from_path(&made).unwrap(), "/");
}

#[test]
#[ignore = "needs e2fsprogs"]
fn the_other_backend() {
    let folder = source();
    let mut options = options();
    options.backend = Ext4Backend::Mke2fs;
    let (_image, made) = fsck(&image(&open_system(folder.path(), &options).unwrap()));
    same_tree(folder.path(), &ext4_view::Ext4::load_from_path(&made).unwrap(), "/");
    let said = run("dumpe2fs", &["-h", show(&made)]);
    assert!(said.contains(&options.id.to_string()) && said.contains("system"), "{said}");
}

#[test]
#[ignore = "needs squashfs-tools and erofs-utils"]
fn other_images() {
    let folder = source();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("image");
    run("mksquashfs", &[show(folder.path()), show(&path), "-quiet", "-no-progress"]);
    assert_eq!(open_system(&path, &options()).unwrap().input(), InputKind::Squashfs);
    std::fs::remove_file(&path).unwrap();
    run("mkfs.erofs", &[show(&path), show(folder.path())]);
    assert_eq!(open_system(&path, &options()).unwrap().input(), InputKind::Erofs);
    std::fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
    run("mkfs.vfat", &[show(&path)]);
    let boot = BootOptions::new(VolumeId::from_name("test/boot"), EPOCH);
    assert_eq!(open_boot(&path, &boot).unwrap().input(), InputKind::Fat);
}

#[test]
#[ignore = "needs dosfstools"]
fn fsck_vfat_is_content() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("overlays/README")).unwrap();
    std::fs::write(folder.path().join("kernel8.img"), vec![1; 9_000_000]).unwrap();
    for n in 0..300 {
        std::fs::write(folder.path().join(format!("overlays/some-long-overlay-name-{n}.dtbo")), [2; 700])
            .unwrap();
    }
    for size in [
        None,
        Some(16 << 20),
        Some(33 << 20),
        Some(34 << 20),
        Some(64 << 20),
        Some(256 << 20),
        Some(512 << 20),
    ] {
        let mut options = BootOptions::new(VolumeId::from_name("test/boot"), EPOCH);
        options.size = size.map_or(VolumeSize::Fit, VolumeSize::Exact);
        let made = folder.path().with_extension("img");
        let mut file = std::fs::File::create(&made).unwrap();
        open_boot(folder.path(), &options).unwrap().write_to(&mut file, &|_| {}).unwrap();
        run("fsck.vfat", &["-n", show(&made)]);
        std::fs::remove_file(&made).unwrap();
    }
}
