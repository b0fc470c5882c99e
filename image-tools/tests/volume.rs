//! What survives into a volume, and that it does so in the same bytes every time.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod volume_support;

use std::os::unix::fs::{FileExt, PermissionsExt, symlink as link};
use std::path::Path;

use bistable_boot::Flow;
use bistable_image::volume::{
    BootOptions, InputKind, Owner, VolumeError, VolumeId, VolumePlan, VolumeSize, open_boot, open_system,
};
use mkext4::reader::Fs;
use proptest::prelude::*;
use volume_support::{
    EPOCH, Entry, dir, entry, file, hard_link, image, image_of, image_of_tar, on_disk, options, symlink, tar,
    text,
};

/// One of everything, in no order.
fn rich() -> Vec<Entry> {
    vec![
        dir("./"),
        Entry { mode: 0o4755, uid: 1000, gid: 100_000, ..file("usr/bin/sudo", "elf") },
        Entry { mode: 0o1777, ..dir("tmp") },
        Entry { mode: 0o2750, gid: 8, ..dir("var/mail") },
        file("etc/future", "x").pax("mtime", "4000000000.5"),
        file("etc/nanos", "x").pax("mtime", "1500000000.123456789"),
        file("etc/old", "x").pax("mtime", "-1.5"),
        symlink("etc/short", "../usr"),
        symlink("etc/long", [b't'; 200]),
        file("usr/bin/ping", "ping")
            .pax("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0")
            .pax("SCHILY.xattr.user.note", "line\nline"),
        file("usr/bin/big-note", "x").pax("SCHILY.xattr.user.big", [b'v'; 3000]),
        hard_link("usr/bin/ping4", "usr/bin/ping"),
        Entry { device: (8, 300), mode: 0o660, gid: 6, ..entry(b'4', "dev/sda") },
        Entry { device: (1, 3), mode: 0o666, ..entry(b'3', "dev/null") },
        entry(b'6', "run/pipe"),
        dir("empty"),
        file([&b"names/"[..], &[b'n'; 255]].concat(), "long"),
        file(b"names/caf\xe9", "latin-1"),
        symlink(b"names/target", b"caf\xe9"),
        symlink(b"names/far", [&[b'x'; 100][..], b"\xff"].concat()),
        file("empty-file", ""),
        file("pages", [5; 4096 * 3 + 1]),
    ]
}

fn open(image: &[u8]) -> Fs<&[u8]> {
    let fs = Fs::open(image).unwrap();
    assert_eq!(fs.verify().unwrap(), []);
    fs
}

/// What was left out or is odd, but for what a system of a test lacks.
fn odd(plan: &VolumePlan) -> Vec<&String> {
    plan.warnings().iter().filter(|note| !note.starts_with("the system has no ")).collect()
}

#[test]
fn everything_survives() {
    let image = image_of_tar(&tar(&rich()));
    let fs = open(&image);
    let inode = |path: &str| fs.inode(fs.resolve(path).unwrap()).unwrap();
    let sudo = inode("/usr/bin/sudo");
    assert_eq!((sudo.mode & 0o7777, sudo.uid, sudo.gid), (0o4755, 1000, 100_000));
    assert_eq!(inode("/tmp").mode & 0o7777, 0o1777);
    assert_eq!((inode("/var/mail").mode & 0o7777, inode("/var/mail").gid), (0o2750, 8));
    assert_eq!((inode("/var").mode & 0o7777, inode("/var").uid), (0o755, 0));
    let time = |path| {
        let inode = inode(path);
        mkext4::spec::Inode::timestamp(inode.mtime, inode.mtime_extra)
    };
    assert_eq!(time("/etc/future"), (EPOCH as i64, 0));
    assert_eq!(time("/etc/nanos"), (1_500_000_000, 123_456_789));
    assert_eq!(time("/etc/old"), (-2, 500_000_000));
    let target = |path| fs.symlink_target(fs.resolve(path).unwrap()).unwrap();
    assert_eq!(target("/etc/short"), b"../usr");
    assert_eq!(target("/etc/long"), [b't'; 200]);
    assert_eq!(target("/names/target"), b"caf\xe9");
    assert_eq!(target("/names/far"), [&[b'x'; 100][..], b"\xff"].concat());
    let ping = fs.resolve("/usr/bin/ping").unwrap();
    assert_eq!(ping, fs.resolve("/usr/bin/ping4").unwrap());
    assert_eq!(inode("/usr/bin/ping").links_count, 2);
    let xattrs = fs.xattrs(ping).unwrap();
    assert!(xattrs.iter().any(|x| x.name == b"capability" && x.value.len() == 20));
    assert!(xattrs.iter().any(|x| x.name == b"note" && x.value == b"line\nline"));
    let big = fs.xattrs(fs.resolve("/usr/bin/big-note").unwrap()).unwrap();
    assert!(big.iter().any(|x| x.name == b"big" && x.value == [b'v'; 3000]));
    assert_eq!(inode("/dev/sda").dev_numbers(), Some((8, 300)));
    assert_eq!(inode("/dev/null").dev_numbers(), Some((1, 3)));
    assert_eq!(inode("/run/pipe").mode >> 12, 1);
    let names = fs.resolve("/names").unwrap();
    let latin = fs.lookup(names, b"caf\xe9").unwrap().unwrap();
    assert_eq!(fs.read_file(latin).unwrap(), b"latin-1");
    assert!(fs.lookup(names, &[b'n'; 255]).unwrap().is_some());
    assert_eq!(fs.read_file(fs.resolve("/pages").unwrap()).unwrap(), [5; 4096 * 3 + 1]);
    assert_eq!(
        fs.read_dir(fs.resolve("/empty").unwrap()).unwrap().iter().filter(|e| e.name[0] != b'.').count(),
        0
    );
}

#[test]
fn order_does_not_matter() {
    let mut entries: Vec<Entry> = rich().into_iter().filter(|entry| entry.kind != b'1').collect();
    // Folders that are named late get their metadata late, so all are named.
    entries.extend(["etc", "usr", "usr/bin", "var", "dev", "run", "names"].map(dir));
    let reference = image_of_tar(&tar(&entries));
    entries.reverse();
    assert!(image_of_tar(&tar(&entries)) == reference);
    let compressed = zstd::encode_all(&tar(&entries)[..], 1).unwrap();
    assert!(image_of_tar(&compressed) == reference);
}

#[test]
fn an_other_time_is_an_other_image() {
    let (_folder, path) = on_disk(&tar(&rich()));
    let mut options = options();
    options.source_date_epoch += 1;
    assert!(image(&open_system(&path, &options).unwrap()) != image_of(&path));
}

fn small_tree(root: &Path) {
    std::fs::create_dir_all(root.join("etc/rc")).unwrap();
    std::fs::write(root.join("etc/passwd"), "root").unwrap();
    std::fs::write(root.join("etc/shadow"), "secret").unwrap();
    std::fs::set_permissions(root.join("etc/shadow"), PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::hard_link(root.join("etc/passwd"), root.join("etc/passwd-")).unwrap();
    link("etc/passwd", root.join("link")).unwrap();
    link("/nowhere", root.join("dangling")).unwrap();
    std::fs::create_dir(root.join("lost+found")).unwrap();
}

#[test]
fn directory() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    small_tree(one.path());
    small_tree(two.path());
    let mut options = options();
    // Both trees were made just now: later than this, so their times are equal.
    options.owner = Owner::Root;
    let socket = std::os::unix::net::UnixListener::bind(one.path().join("etc/socket")).unwrap();
    let plan = open_system(one.path(), &options).unwrap();
    assert_eq!(plan.input(), InputKind::Directory);
    let [odd] = odd(&plan)[..] else { panic!("{:?}", plan.warnings()) };
    assert!(odd.contains("socket"));
    drop(socket);
    std::fs::remove_file(one.path().join("etc/socket")).unwrap();
    let first = image(&plan);
    assert!(first == image(&plan), "a plan writes the same bytes again");
    assert!(first == image(&open_system(two.path(), &options).unwrap()), "an equal tree gives equal bytes");
    let fs = open(&first);
    let inode = |path: &str| fs.inode(fs.resolve(path).unwrap()).unwrap();
    assert_eq!((inode("/etc/shadow").mode & 0o7777, inode("/etc/shadow").uid), (0o600, 0));
    assert_eq!(fs.resolve("/etc/passwd").unwrap(), fs.resolve("/etc/passwd-").unwrap());
    assert_eq!(fs.symlink_target(fs.resolve("/dangling").unwrap()).unwrap(), b"/nowhere");
}

#[test]
fn lost_found_with_contents_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    small_tree(folder.path());
    std::fs::write(folder.path().join("lost+found/x"), "x").unwrap();
    assert!(text(&open_system(folder.path(), &options()).unwrap_err()).contains("lost+found"));
}

#[test]
fn a_file_that_changes_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    for after in ["longer than before", "x", "link"] {
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, "12345").unwrap();
        let plan = open_system(folder.path(), &options()).unwrap();
        if after == "link" {
            std::fs::remove_file(&path).unwrap();
            link("/etc/hostname", &path).unwrap();
        } else {
            std::fs::write(&path, after).unwrap();
        }
        let error = plan.write_to(&mut std::io::sink(), &|_| {}).unwrap_err();
        assert!(text(&error).contains("log"), "{}", text(&error));
    }
}

#[test]
fn holes() {
    let folder = tempfile::tempdir().unwrap();
    let big = std::fs::File::create(folder.path().join("sparse")).unwrap();
    // More than 4 GiB, so that 32 bits would wrap.
    let size = (5 << 30) + 4097;
    big.set_len(size).unwrap();
    big.write_all_at(b"first", 0).unwrap();
    big.write_all_at(b"middle", (4 << 30) + 5).unwrap();
    big.write_all_at(b"last", size - 4).unwrap();
    std::fs::File::create(folder.path().join("nothing")).unwrap().set_len(3 << 20).unwrap();
    let plan = open_system(folder.path(), &options()).unwrap();
    assert!(plan.size() < 64 << 20, "{}", plan.size());
    let image = image(&plan);
    let fs = open(&image);
    let ino = fs.resolve("/sparse").unwrap();
    let inode = fs.inode(ino).unwrap();
    assert_eq!(inode.size, size);
    let extents = fs.extents(ino, &inode).unwrap();
    let read = |offset, len| {
        let mut buffer = vec![0; len];
        let got = fs.read_file_at(&inode, &extents, offset, &mut buffer).unwrap();
        buffer.truncate(got);
        buffer
    };
    assert_eq!(read(0, 5), b"first");
    assert_eq!(read((4 << 30) + 5, 6), b"middle");
    assert_eq!(read(size - 4, 100), b"last");
    assert_eq!(read(1 << 30, 4096), [0; 4096]);
    assert_eq!(fs.inode(fs.resolve("/nothing").unwrap()).unwrap().size, 3 << 20);
}

#[test]
fn sparse_tars_equal_plain_ones() {
    let size = 3 << 20;
    let mut data = vec![0; size];
    data[1_000_000..1_000_512].fill(1);
    data[size - 512..].fill(2);
    let plain = image_of_tar(&tar(&[file("s", &data)]));
    let stored = [[1; 512], [2; 512]].concat();
    let map = format!("1000000,512,{},512", size - 512);
    let old = file("GNUSparseFile.0/s", &stored)
        .pax("GNU.sparse.size", size.to_string())
        .pax("GNU.sparse.name", "s")
        .pax("GNU.sparse.map", &map);
    assert!(image_of_tar(&tar(&[old])) == plain, "format 0.1");
    let mut with_map = format!("2\n{}\n", map.replace(',', "\n")).into_bytes();
    with_map.resize(512, 0);
    let new = file("GNUSparseFile.0/s", [with_map, stored].concat())
        .pax("GNU.sparse.major", "1")
        .pax("GNU.sparse.minor", "0")
        .pax("GNU.sparse.name", "s")
        .pax("GNU.sparse.realsize", size.to_string());
    assert!(image_of_tar(&tar(&[new])) == plain, "format 1.0");
    assert!(image_of_tar(&zstd::encode_all(&tar(&[file("s", &data)])[..], 1).unwrap()) == plain);
}

#[test]
fn large_folders_with_odd_names() {
    let entries: Vec<Entry> = (0..3000_u32)
        .map(|n| {
            let name =
                [format!("d/{n:05}-").as_bytes(), if n % 100 == 0 { b"\xff\xfe" } else { b"ok" }].concat();
            file(name, n.to_string())
        })
        .collect();
    let image = image_of_tar(&tar(&entries));
    let fs = open(&image);
    let folder = fs.resolve("/d").unwrap();
    for entry in &entries {
        let ino = fs.lookup(folder, &entry.name[2..]).unwrap().expect("found");
        assert_eq!(fs.read_file(ino).unwrap(), entry.data);
    }
}

#[test]
fn sizes() {
    let (_folder, path) = on_disk(&tar(&[file("f", vec![1; 30 << 20])]));
    let with = |size| {
        let mut options = options();
        options.size = VolumeSize::Exact(size);
        open_system(&path, &options)
    };
    let Err(VolumeError::TooSmall { needed, .. }) = with(32 << 20) else { panic!("must be too small") };
    assert_eq!(with(needed).unwrap().size(), needed, "what it says is enough");
    assert_eq!(with(100 << 20).unwrap().size(), 100 << 20);
    for wrong in [0, 4095, 4096, (16 << 20) + 512] {
        assert!(matches!(with(wrong), Err(VolumeError::BadSize { .. })), "{wrong}");
    }
    open(&image(&with(needed).unwrap()));
}

#[test]
fn ready_images() {
    let made = image_of_tar(&tar(&rich()));
    let (_folder, path) = on_disk(&made);
    let plan = open_system(&path, &options()).unwrap();
    assert_eq!(plan.input(), InputKind::Ext4);
    assert!(image(&plan) == made);
    let error = open_boot(&path, &boot_options()).unwrap_err();
    assert!(matches!(error, VolumeError::WrongInput { .. }), "{}", text(&error));
    for (len, wanted) in [(made.len() - 512, "truncated"), (made.len() - 1, "512"), (1536, "truncated")] {
        let (_folder, path) = on_disk(&made[..len]);
        let error = open_system(&path, &options()).unwrap_err();
        assert!(text(&error).contains(wanted), "{len}: {}", text(&error));
    }
    let mut larger = options();
    larger.size = VolumeSize::Exact(made.len() as u64 + 8192);
    let plan = open_system(&path, &larger).unwrap();
    let bytes = image(&plan);
    assert!(bytes.starts_with(&made) && bytes[made.len()..].iter().all(|b| *b == 0));
    larger.size = VolumeSize::Exact(4096);
    assert!(matches!(open_system(&path, &larger), Err(VolumeError::TooSmall { .. })));
}

/// In a tar, in a directory, and in the ready image that is made of it.
#[test]
fn the_number_of_formats_comes_from_the_system() {
    const PATH: &str = "usr/share/bistable/formats";
    let table: [(Vec<Entry>, Result<u16, &str>); 9] = [
        (vec![], Ok(1)),
        (vec![dir("usr/share/bistable")], Ok(1)),
        (vec![file(PATH, "1\n")], Ok(1)),
        (vec![file(PATH, "513\n")], Ok(513)),
        (vec![file(PATH, "")], Err("/usr/share/bistable/formats has \"\" in it")),
        (vec![file(PATH, "0\n")], Err("/usr/share/bistable/formats has \"0\" in it")),
        (vec![file(PATH, "two\n")], Err("/usr/share/bistable/formats has \"two\" in it")),
        (vec![file(PATH, [b'1'; 65])], Err("/usr/share/bistable/formats has more than 64 bytes")),
        (vec![symlink(PATH, "/dev/zero")], Err("/usr/share/bistable/formats is not a file")),
    ];
    for (entries, wanted) in table {
        let (_folder, path) = on_disk(&tar(&[&[dir("etc")], &entries[..]].concat()));
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("etc")).unwrap();
        for entry in &entries {
            let place = folder.path().join(std::str::from_utf8(&entry.name).unwrap());
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            match entry.kind {
                b'5' => std::fs::create_dir(place).unwrap(),
                b'2' => link("/dev/zero", place).unwrap(),
                _ => std::fs::write(place, &entry.data).unwrap(),
            }
        }
        for input in [&*path, folder.path()] {
            match (open_system(input, &options()), wanted) {
                (Ok(plan), Ok(number)) => {
                    assert_eq!(plan.durable(), number);
                    let (_folder, path) = on_disk(&image(&plan));
                    let ready = open_system(&path, &options()).unwrap();
                    assert_eq!((ready.durable(), odd(&ready)), (number, vec![]));
                }
                (Err(e), Err(words)) => assert!(text(&e).contains(words), "{}", text(&e)),
                (found, _) => panic!("{wanted:?}: {found:?}"),
            }
        }
    }
}

#[test]
fn a_ready_image_whose_number_of_formats_is_wrong_is_refused() {
    let with = |text: &str| image_of_tar(&tar(&[file("usr/share/bistable/formats", text)]));
    let mut made = with("12345");
    let at = made.windows(5).position(|bytes| bytes == b"12345").unwrap();
    made[at..at + 5].copy_from_slice(b"x2345");
    let (_folder, path) = on_disk(&made);
    let error = text(&open_system(&path, &options()).unwrap_err());
    assert!(error.contains("/usr/share/bistable/formats has \"x2345\" in it"), "{error}");
}

#[test]
fn a_ready_image_that_can_not_be_read_has_the_first_formats_and_a_note() {
    let mut squashfs = vec![0; 4096];
    squashfs[..4].copy_from_slice(b"hsqs");
    squashfs[28] = 4;
    squashfs[40..42].copy_from_slice(&4096u16.to_le_bytes());
    // It needs unknown features.
    let mut ext4 = image_of_tar(&tar(&[file("usr/share/bistable/formats", "2\n")]));
    ext4[1024 + 0x60..1024 + 0x64].copy_from_slice(&u32::MAX.to_le_bytes());
    for bytes in [squashfs, ext4] {
        let (_folder, path) = on_disk(&bytes);
        let plan = open_system(&path, &options()).unwrap();
        assert_eq!(plan.durable(), 1);
        let [note] = plan.warnings() else { panic!("{:?}", plan.warnings()) };
        assert!(note.contains("/usr/share/bistable/formats can't be read"), "{note}");
    }
}

fn boot_options() -> BootOptions {
    BootOptions::new(VolumeId::from_name("test/boot"), EPOCH)
}

fn boot_tree(root: &Path) {
    std::fs::create_dir_all(root.join("overlays/deep/er")).unwrap();
    std::fs::write(root.join("kernel8.img"), vec![3; 5_000_001]).unwrap();
    std::fs::write(root.join("config.txt"), "[all]\n").unwrap();
    std::fs::write(root.join("a rather long name with späces.txt"), "x").unwrap();
    std::fs::write(root.join("overlays/vc4-kms-v3d-pi5.dtbo"), [1; 3000]).unwrap();
    std::fs::write(root.join("overlays/deep/er/empty"), "").unwrap();
    for n in 0..300 {
        std::fs::write(root.join(format!("overlays/overlay-number-{n}.dtbo")), n.to_string()).unwrap();
    }
    link("kernel8.img", root.join("kernel_2712.img")).unwrap();
    link("../config.txt", root.join("overlays/config.txt")).unwrap();
    link("overlays", root.join("same")).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// What the kernel of 64-bit Arm begins with: its magic, at byte 56.
fn arm64_kernel() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..600_000_u32).flat_map(u32::to_le_bytes).collect();
    bytes[56..60].copy_from_slice(b"ARM\x64");
    bytes
}

#[test]
fn plain_boot_stores_the_kernel_without_compression_and_says_what_it_costs() {
    let folder = tempfile::tempdir().unwrap();
    boot_tree(folder.path());
    std::fs::write(folder.path().join("kernel8.img"), gzip(&arm64_kernel())).unwrap();
    std::fs::write(folder.path().join("other.gz"), gzip(&[7; 300_000])).unwrap();
    let packed = open_boot(folder.path(), &boot_options()).unwrap();
    assert!(!packed.warnings().iter().any(|note| note.contains("plain-boot")), "{:?}", packed.warnings());

    let options = BootOptions { plain: true, flow: Flow::Uboot, ..boot_options() };
    let plan = open_boot(folder.path(), &options).unwrap();
    let warnings = plan.warnings().join("\n");
    assert!(
        warnings.contains("kernel8.img: the kernel has 2.2 MiB without compression instead of "),
        "{warnings}"
    );
    assert!(
        warnings.contains("--plain-boot: each slot needs ") && warnings.contains("no real firmware"),
        "{warnings}"
    );
    // The volume holds the kernel's bytes, and bistable.env has their number, not that of the compressed file.
    let bytes = image(&plan);
    let sector = |wanted: &[u8]| bytes.chunks(512).find(|sector| sector.starts_with(wanted));
    for piece in [&arm64_kernel()[..512], &arm64_kernel()[2_000_896..][..512]] {
        assert!(sector(piece).is_some(), "unpacked");
    }
    let env = String::from_utf8_lossy(sector(b"bistable_format=1\n").unwrap());
    assert!(env.contains("\nkernel_bytes=249f00\n"), "{env}");
    assert!(
        sector(&gzip(&[7; 300_000])[..300]).is_some(),
        "a compressed file of another kind stays as it is"
    );

    // With nothing to unpack it says so; an image is taken as it is.
    std::fs::write(folder.path().join("kernel8.img"), arm64_kernel()).unwrap();
    let options = BootOptions { plain: true, ..boot_options() };
    let plan = open_boot(folder.path(), &options).unwrap();
    assert!(plan.warnings().iter().any(|note| note.contains("--plain-boot changed nothing")));
    let (_folder, path) = on_disk(&image(&plan));
    let error = open_boot(&path, &options).unwrap_err().to_string();
    assert!(error.contains("leave --plain-boot out"), "{error}");
}

#[test]
fn boot_volume() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    boot_tree(one.path());
    boot_tree(two.path());
    let plan = open_boot(one.path(), &boot_options()).unwrap();
    assert_eq!(plan.size(), 34 << 20);
    let first = image(&plan);
    assert!(
        first == image(&open_boot(two.path(), &boot_options()).unwrap()),
        "an equal tree gives equal bytes"
    );
    // A FAT image is taken as it is, cut off it is refused.
    let (_folder, path) = on_disk(&first);
    let ready = open_boot(&path, &boot_options()).unwrap();
    assert_eq!(ready.input(), InputKind::Fat);
    assert!(image(&ready) == first);
    let (_folder, path) = on_disk(&first[..first.len() / 2]);
    assert!(matches!(open_boot(&path, &boot_options()), Err(VolumeError::Truncated { .. })));
    // Sizes.
    let mut small = boot_options();
    small.size = VolumeSize::Exact(20 << 20);
    assert_eq!(image(&open_boot(one.path(), &small).unwrap()).len(), 20 << 20);
    small.size = VolumeSize::Exact(8 << 20);
    let Err(VolumeError::TooSmall { needed, .. }) = open_boot(one.path(), &small) else {
        panic!("too small")
    };
    small.size = VolumeSize::Exact(needed);
    open_boot(one.path(), &small).unwrap();
}

#[test]
fn what_fat_cannot_hold() {
    type Make = fn(&Path);
    let cases: [(&str, Make, &str); 8] = [
        ("colon", |root| std::fs::write(root.join("a:b"), "").unwrap(), "':'"),
        ("dot", |root| std::fs::write(root.join("a."), "").unwrap(), "dot"),
        ("outside", |root| link("/etc/passwd", root.join("l")).unwrap(), "leads out"),
        ("up", |root| link("../../etc/passwd", root.join("l")).unwrap(), "leads out"),
        ("broken", |root| link("missing", root.join("l")).unwrap(), "isn't there"),
        ("loop", |root| link("l", root.join("l")).unwrap(), "loop"),
        ("cycle", |root| link(".", root.join("l")).unwrap(), "never end"),
        (
            "case",
            |root| {
                std::fs::write(root.join("Config.txt"), "").unwrap();
                std::fs::write(root.join("config.TXT"), "").unwrap();
            },
            "upper and lower case",
        ),
    ];
    for (name, make, wanted) in cases {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        let error = open_boot(folder.path(), &boot_options()).expect_err(name);
        assert!(text(&error).contains(wanted), "{name}: {}", text(&error));
    }
}

#[test]
fn labels() {
    let folder = tempfile::tempdir().unwrap();
    for label in ["", "twelve chars", "ÄÖ", "A/B"] {
        let mut options = boot_options();
        options.label = label.into();
        assert!(
            matches!(open_boot(folder.path(), &options), Err(VolumeError::BadOption { .. })),
            "{label:?}"
        );
    }
    let mut options = options();
    options.label = "more than sixteen".into();
    assert!(matches!(open_system(folder.path(), &options), Err(VolumeError::BadOption { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any set of names and contents comes back as it was.
    #[test]
    fn any_tree(files in prop::collection::btree_map(
        prop::collection::vec(prop::collection::vec(prop::sample::select(&b"ab\xc3\xff."[..]), 1..4), 1..4),
        (0_usize..200_000, any::<u8>(), 0_u16..0o10000),
        0..40,
    )) {
        let mut taken: Vec<&Vec<Vec<u8>>> = Vec::new();
        let mut entries = Vec::new();
        for (path, (len, byte, mode)) in &files {
            let bad = |part: &Vec<u8>| part == b"." || part == b"..";
            // A file can't be a folder too.
            if path.iter().any(bad) || taken.iter().any(|other| path.starts_with(other) || other.starts_with(path)) {
                continue;
            }
            taken.push(path);
            entries.push((path, Entry { mode: (*mode).into(), ..file(path.join(&b'/'), vec![*byte; *len]) }));
        }
        let root = [dir("./")];
        let all: Vec<Entry> = root.into_iter().chain(entries.iter().map(|(_, entry)| entry.clone())).collect();
        let image = image_of_tar(&tar(&all));
        let fs = open(&image);
        for (path, entry) in entries {
            let mut ino = 2;
            for part in path {
                ino = fs.lookup(ino, part).unwrap().expect("found");
            }
            prop_assert_eq!(u32::from(fs.inode(ino).unwrap().mode & 0o7777), entry.mode);
            prop_assert!(fs.read_file(ino).unwrap() == entry.data);
        }
    }
}
