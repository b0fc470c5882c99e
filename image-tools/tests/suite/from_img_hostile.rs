//! Card images that are none, are damaged, or want to do harm: a clear error each, exit code 1 or 2, and nothing left.
use crate::fixture::{Product, names, noise};
use bistable_boot::Flow;
use bistable_image::build::{BuildError, Input};
use bistable_image::disk::{DiskError, DiskOptions};
use bistable_image::volume::{BootOptions, VolumeId, VolumeSize, open_boot};
use bistable_image::{BuildOptions, Silent, build};
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SECTOR: usize = 512;

/// A disk of that many sectors with an MBR of those entries: type, first sector, sectors.
fn disk(sectors: usize, entries: &[(u8, u32, u32)]) -> Vec<u8> {
    let mut image = vec![0; sectors * SECTOR];
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    for (at, (kind, first, count)) in (446..).step_by(16).zip(entries) {
        image[at + 4] = *kind;
        image[at + 8..at + 12].copy_from_slice(&first.to_le_bytes());
        image[at + 12..at + 16].copy_from_slice(&count.to_le_bytes());
    }
    image
}

/// A FAT with a kernel, made by the builder itself.
fn fat(product: &Product) -> Vec<u8> {
    let options = BootOptions {
        size: VolumeSize::Exact(4 << 20),
        ..BootOptions::new(VolumeId::from_name("x"), 1_700_000_000)
    };
    let mut bytes = Vec::new();
    open_boot(&product.path("boot"), &options).unwrap().write_to(&mut bytes, &|_| {}).unwrap();
    bytes
}

fn with(mut image: Vec<u8>, first: usize, part: &[u8]) -> Vec<u8> {
    image[first * SECTOR..first * SECTOR + part.len()].copy_from_slice(part);
    image
}

fn options(product: &Product, image: PathBuf) -> BuildOptions {
    let mut options = product.options("x.bundle");
    options.input = Input::Disk(DiskOptions::new(image));
    options
}

#[track_caller]
fn refused(product: &Product, image: &[u8], why: &str) -> DiskError {
    let path = product.path("card.img");
    fs::write(&path, image).unwrap();
    refused_at(product, &path, why)
}

#[track_caller]
fn refused_at(product: &Product, path: &Path, why: &str) -> DiskError {
    let before = names(product.folder.path());
    let error = build(&options(product, path.into()), &Silent).unwrap_err();
    let BuildError::Disk(disk) = error else { panic!("{error:?}") };
    let said = disk.to_string();
    assert!(said.contains(why), "{said}");
    assert_eq!(names(product.folder.path()), before, "nothing is left");
    disk
}

#[test]
fn what_is_no_card_image() {
    let product = Product::new();
    refused(&product, b"", "an empty file");
    refused(&product, &noise(1, 100_000), "no partition table");
    refused(&product, &[0; 100_000], "begins with zeros");
    refused(&product, b"PK\x03\x04 and so on", "zip");
    refused(&product, b"x", "beyond its end");
    refused_at(&product, &product.path("system"), "a directory");
    refused_at(&product, &product.path("nowhere"), "can't read");
    refused_at(&product, Path::new("/dev/null"), "no regular file");
}

#[test]
fn a_file_system_without_a_table_says_how_to_use_it() {
    let product = Product::new();
    assert!(matches!(refused(&product, &fat(&product), "give it as --boot"), DiskError::PlainVolume { .. }));
    refused(&product, &[b"hsqs".as_slice(), &[0; 5000]].concat(), "give it as --system");
    let mut btrfs = vec![0; 80 << 10];
    btrfs[0x10040..0x10048].copy_from_slice(b"_BHRfS_M");
    refused(&product, &btrfs, "a btrfs file system without a partition table");
}

#[test]
fn tables_that_cannot_be_right() {
    let product = Product::new();
    refused(&product, &disk(100, &[]), "no partitions");
    refused(&product, &disk(100, &[(0x0c, 1, 50), (0x83, 40, 50)]), "partitions 1 and 2 overlap");
    refused(
        &product,
        &disk(100, &[(0x0c, 1, 50), (0x83, 60, 50)]),
        "ends at byte 56320, but the disk has 51200",
    );
    refused(&product, &disk(100, &[(0xee, 1, 99)]), "GPT is damaged");
    // Of a disk with other sectors.
    let large = with(disk(100, &[(0xee, 1, 99)]), 8, b"EFI PART");
    refused(&product, &large, "sectors with 4096 bytes");
}

#[test]
fn partitions_that_do_not_make_a_system_are_listed() {
    let product = Product::new();
    let fat = fat(&product);
    let count = u32::try_from(fat.len() / SECTOR).unwrap();
    let only_fat = with(disk(8192 + 300, &[(0x0c, 8, count)]), 8, &fat);
    refused(&product, &only_fat, "no root file system");
    let mut squashfs = vec![0; 100 * SECTOR];
    squashfs[..4].copy_from_slice(b"hsqs");
    let entries = [(0x0c, 8, count), (0x83, 8200, 100)];
    let image = with(with(disk(8192 + 300, &entries), 8, &fat), 8200, &squashfs);
    refused(&product, &image, "2: 50.0 KiB at byte 4198400: a squashfs file system");
    refused(&product, &image, "1: 4.0 MiB at byte 4096: a FAT file system with boot files");
    refused(&product, &disk(300, &[(0x83, 8, 200)]), "no boot partition");
}

/// The mark of an ext4 and nothing behind it; a FAT whose files are larger than it.
#[test]
fn file_systems_that_are_none() {
    let product = Product::new();
    let fat = fat(&product);
    let count = u32::try_from(fat.len() / SECTOR).unwrap();
    let mut ext4 = vec![0; 200 * SECTOR];
    ext4[1080..1082].copy_from_slice(b"\x53\xef");
    ext4[1024 + 4] = 25;
    ext4[1024 + 24] = 2;
    let entries = [(0x0c, 8, count), (0x83, 8200, 200)];
    let image = with(with(disk(8192 + 300, &entries), 8, &fat), 8200, &ext4);
    refused(&product, &image, "partition 2: ");
    ext4[1024 + 4] = 26;
    let image = with(image, 8200, &ext4);
    refused(&product, &image, "partition 2: its file system has 106496 bytes, the partition only 102400");

    // The root folder's entry of the kernel says that it has 4 GiB.
    let name = b"KERNEL8 IMG";
    let at = fat.windows(11).position(|w| w == name).unwrap();
    let mut larger = fat.clone();
    larger[at + 28..at + 32].fill(0xff);
    let image = with(image, 8, &larger);
    refused(&product, &image, "kernel8.img\": the files together are larger than the partition");
    // The folder `overlays` is the folder around it.
    let mut endless = fat.clone();
    let at = fat.windows(11).position(|w| w == b"OVERLAYS   ").unwrap();
    let data = at / SECTOR * SECTOR;
    // Its entry leads to a cluster with an entry of the same name that leads there again.
    let (low, cluster) = (at + 26, u16::from_le_bytes([fat[at + 26], fat[at + 27]]));
    let place =
        fat.windows(11).enumerate().filter(|(_, w)| *w == b".          ").map(|(i, _)| i).next().unwrap();
    assert!(place > data && cluster >= 2 && low > 0);
    let mut entry = fat[at..at + 32].to_vec();
    entry[26..28].copy_from_slice(&cluster.to_le_bytes());
    endless[place + 64..place + 96].copy_from_slice(&entry);
    let image = with(image, 8, &endless);
    refused(&product, &image, "folders inside each other");
}

#[test]
fn any_damage_of_the_boot_partition_is_an_error_or_none() {
    let product = Product::new();
    let fat = fat(&product);
    let count = u32::try_from(fat.len() / SECTOR).unwrap();
    // Never more than the list of partitions: there is no root.
    let image = with(disk(8192 + 300, &[(0x0c, 8, count)]), 8, &fat);
    let path = product.path("card.img");
    fs::write(&path, &image).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let options = options(&product, path);
    let damage = noise(5, 400 * 3);
    for bytes in damage.chunks_exact(3) {
        // The boot sector most of all.
        let at =
            8 * SECTOR + usize::from(bytes[0]) + if bytes[1] < 128 { 0 } else { usize::from(bytes[1]) * 16 };
        file.write_all_at(&bytes[2..], at as u64).unwrap();
        let error = build(&options, &Silent).unwrap_err();
        assert!(matches!(error, BuildError::Disk(_)), "{error:?}");
        file.write_all_at(&image[at..=at], at as u64).unwrap();
    }
}

#[test]
fn compressed_images_that_are_damaged_or_bombs() {
    let product = Product::new();
    let image = disk(300, &[(0x0c, 8, 100)]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&image).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&*image, 1).unwrap();
    for packed in [&gzip, &zstd] {
        refused(&product, packed, "no boot partition");
        let cut = refused(&product, &packed[..packed.len() - 5], "damaged or cut off");
        assert!(matches!(cut, DiskError::Damaged(_)));
    }
    let mut flipped = gzip.clone();
    let end = flipped.len() - 6;
    flipped[end] ^= 1;
    refused(&product, &flipped, "damaged or cut off");
}

/// 64 GiB of zeros and a little more, from 4 MiB of zstd.
#[test]
#[ignore = "takes a minute in a debug build"]
fn tools_a_bomb_of_zeros() {
    let product = Product::new();
    let chunk = zstd::encode_all(std::io::repeat(0).take_gib(), 1).unwrap();
    let bomb: Vec<u8> = std::iter::repeat_n(chunk, 65).flatten().collect();
    let error = refused(&product, &bomb, "more than 68719476736 bytes");
    assert!(matches!(error, DiskError::TooLarge { .. }));
}

trait Gib: std::io::Read + Sized {
    fn take_gib(self) -> std::io::Take<Self> {
        self.take(1 << 30)
    }
}

impl<R: std::io::Read> Gib for R {}

#[test]
fn a_full_disk_is_told() {
    let product = Product::new();
    let packed = zstd::encode_all(&*[disk(300, &[(0x0c, 8, 100)]), noise(1, 9 << 20)].concat(), 1).unwrap();
    fs::write(product.path("card.img.zst"), packed).unwrap();
    product.release_key.write(&product.path("release")).unwrap();
    fs::write(product.path("root.root"), &product.root.bytes).unwrap();
    fs::create_dir(product.path("out")).unwrap();
    let out = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16384; unset TMPDIR; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_bistable-image"))
        .args(["build", "--product", "p", "--version", "1.0.0", "--board", "b", "--key", "release.key"])
        .args(["--root", "root.root"])
        .args(["--from-img", "card.img.zst", "--out", "out/x.bundle"])
        .current_dir(product.folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("larger than a file can be here") && stderr.contains("out/"), "{stderr}");
    assert!(names(&product.path("out")).is_empty());
}

#[test]
fn the_options_exclude_each_other() {
    let product = Product::new();
    product.release_key.write(&product.path("release")).unwrap();
    fs::write(product.path("root.root"), &product.root.bytes).unwrap();
    let base = [
        "build",
        "--product",
        "p",
        "--version",
        "1.0.0",
        "--board",
        "b",
        "--key",
        "release.key",
        "--out",
        "x.bundle",
    ];
    for args in [
        &["--from-img", "a", "--system", "system", "--boot", "boot"][..],
        &["--from-img", "a", "--boot", "boot"],
        &["--from-img", "a", "--mke2fs"],
        &["--system", "system"],
        &["--system", "system", "--boot", "boot", "--overlay", "x"],
        &["--system", "system", "--boot", "boot", "--boot-partition", "1"],
        &[],
    ] {
        let out = Command::new(env!("CARGO_BIN_EXE_bistable-image"))
            .args(base)
            .args(args)
            .current_dir(product.folder.path())
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

/// `--uboot` with a folder, and what it can't be made from.
#[test]
fn u_boots_file_is_made_for_a_folder() {
    let product = Product::new();
    let boot = product.path("boot");
    let options = BootOptions { flow: Flow::Uboot, ..BootOptions::new(VolumeId::from_name("x"), 0) };
    let why = |boot: &Path| open_boot(boot, &options).unwrap_err().to_string();
    fs::write(boot.join("cmdline.txt"), "console=tty1 root=/dev/x quiet\n").unwrap();
    let mut image = Vec::new();
    open_boot(&boot, &options).unwrap().write_to(&mut image, &|_| {}).unwrap();
    let env = b"bistable_format=1\nkernel=kernel8.img\nkernel_bytes=1d4c0\nkernel_crc=";
    let at = image.windows(env.len()).position(|w| w == env).unwrap();
    let rest = &image[at + env.len()..];
    let swapped = |hex: &[u8]| hex.chunks(2).rev().flatten().copied().collect::<Vec<u8>>();
    assert_eq!(&rest[8..28], b"\nkernel_crc_swapped=");
    assert_eq!(swapped(&rest[..8]), &rest[28..36]);
    assert!(rest[36..].starts_with(b"\ncmdline=console=tty1 quiet\n\0"));

    fs::write(boot.join("config.txt"), "device_tree=x.dtb\n").unwrap();
    assert!(why(&boot).contains("device_tree=x.dtb, but there is no file \"x.dtb\""));
    fs::write(boot.join("config.txt"), "kernel=mine.img\n").unwrap();
    assert!(why(&boot).contains("kernel=mine.img"));
    fs::write(boot.join("config.txt"), "initramfs initrd followkernel\n").unwrap();
    assert!(why(&boot).contains("initramfs initrd"));
    fs::write(boot.join("config.txt"), "").unwrap();
    fs::remove_file(boot.join("kernel8.img")).unwrap();
    assert!(why(&boot).contains("no kernel for U-Boot"));
    let ready = product.path("ready.img");
    fs::write(&ready, &image).unwrap();
    assert!(why(&ready).contains("bistable.env"));
}
