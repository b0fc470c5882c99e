//! Finished card images, made by other people's tools, become releases. CI has the tools and runs these with
//! `--include-ignored`.
use crate::fixture::{Product, noise, raw_image};
use bistable_boot::layout::Partition;
use bistable_boot::{Flow, Slot};
use bistable_format::{ArtifactId, VolumeKind};
use bistable_image::build::{BuildError, Built, Input};
use bistable_image::card::{self, Agent, CardOptions};
use bistable_image::disk::{DiskError, DiskOptions, TableKind};
use bistable_image::volume::VolumeSize;
use bistable_image::{BuildOptions, Silent, build};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MIB: u64 = 1 << 20;
const SYSTEM: ArtifactId = ArtifactId::Volume(VolumeKind::System);
const CMDLINE: &str = "console=serial0,115200 root=PARTUUID=4e639091-02 rootfstype=ext4 rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n";
const FSTAB: &str = "proc /proc proc defaults 0 0\n\
    PARTUUID=4e639091-01  /boot/firmware  vfat  defaults          0  2\n\
    PARTUUID=4e639091-02  /               ext4  defaults,noatime  0  1\n";

/// Run a tool; it must succeed. Gives what it printed.
#[track_caller]
fn tool(name: &str, args: &[&str], input: &str) -> String {
    let mut child = Command::new(name)
        .args(args)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{name}: {e}: is it installed?"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{name} {args:?}: {}\n{stdout}\n{stderr}", out.status);
    stdout.into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn put(folder: &Path, files: &[(&str, &[u8])]) {
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// What Raspberry Pi OS' root has, as far as it matters.
fn root(product: &Product) -> PathBuf {
    let root = product.path("root");
    put(
        &root,
        &[
            ("etc/fstab", FSTAB.as_bytes()),
            ("etc/machine-id", b"0123456789abcdef0123456789abcdef\n"),
            ("etc/init.d/resize2fs_once", b"#!/bin/sh\n"),
            ("etc/os-release", b"ID=raspbian\n"),
            ("usr/bin/app", &noise(7, 300_000)),
            ("usr/lib/udev/rules.d/10-x.rules", b""),
            ("boot/firmware/.keep", b""),
        ],
    );
    fs::create_dir_all(root.join("etc/rc3.d")).unwrap();
    symlink("../init.d/resize2fs_once", root.join("etc/rc3.d/S01resize2fs_once")).unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    fs::hard_link(root.join("usr/bin/app"), root.join("usr/bin/other")).unwrap();
    fs::set_permissions(root.join("etc/fstab"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(root.join("usr/bin/app"), fs::Permissions::from_mode(0o4755)).unwrap();
    root
}

fn fat(product: &Product, bytes: u64) -> PathBuf {
    let image = product.path("fat.img");
    fs::File::create(&image).unwrap().set_len(bytes).unwrap();
    tool("mkfs.vfat", &["-n", "bootfs", text(&image)], "");
    let boot = product.path("firmware");
    put(
        &boot,
        &[
            ("config.txt", b"arm_64bit=1\nauto_initramfs=1\n[cm4]\notg_mode=1\n"),
            ("cmdline.txt", CMDLINE.as_bytes()),
            ("kernel8.img", &noise(8, 200_000)),
            ("initramfs8", &noise(9, 100_000)),
            ("overlays/README", b"overlays\n"),
            ("A long name with Capitals.dtb", b"dtb"),
        ],
    );
    for name in [
        "config.txt",
        "cmdline.txt",
        "kernel8.img",
        "initramfs8",
        "overlays",
        "A long name with Capitals.dtb",
    ] {
        tool("mcopy", &["-s", "-i", text(&image), text(&boot.join(name)), "::"], "");
    }
    image
}

fn ext4(product: &Product, bytes: u64, more: &[&str]) -> PathBuf {
    let root = root(product);
    let image = product.path("ext4.img");
    let blocks = (bytes / 4096).to_string();
    let args = ["-q", "-t", "ext4", "-b", "4096", "-L", "rootfs", "-d", text(&root), text(&image), &blocks];
    tool("mke2fs", &[more, &args].concat(), "");
    image
}

/// A disk with that table, and these images in its partitions, which begin at multiples of 1 MiB.
fn disk(product: &Product, script: &str, parts: &[(u64, &Path)], mib: u64) -> PathBuf {
    let image = product.path("disk.img");
    let file = fs::File::create(&image).unwrap();
    file.set_len(mib * MIB).unwrap();
    tool("sfdisk", &["-q", text(&image)], script);
    for (at, part) in parts {
        file.write_all_at(&fs::read(part).unwrap(), at * MIB).unwrap();
    }
    image
}

fn raspberry_pi_os(product: &Product) -> PathBuf {
    let (fat, ext4) = (fat(product, 40 * MIB), ext4(product, 32 * MIB, &[]));
    let script = "label: dos\nlabel-id: 0x4e639091\nstart=8192, size=81920, type=c\nstart=98304, size=65536, type=83\n";
    disk(product, script, &[(4, &fat), (48, &ext4)], 80)
}

fn options(product: &Product, image: &Path, out: &str) -> BuildOptions {
    let mut options = product.options(out);
    options.input = Input::Disk(DiskOptions::new(image.into()));
    options.boot_size = VolumeSize::Fit;
    options
}

/// The volumes of a bundle as files.
fn volumes(product: &Product, bundle: &Path) -> (PathBuf, PathBuf) {
    let (boot, system) = (bundle.with_extension("fat"), bundle.with_extension("ext4"));
    fs::write(&boot, raw_image(bundle, VolumeKind::Boot, &product.root)).unwrap();
    fs::write(&system, raw_image(bundle, VolumeKind::System, &product.root)).unwrap();
    tool("fsck.vfat", &["-n", text(&boot)], "");
    tool("e2fsck", &["-fn", text(&system)], "");
    (boot, system)
}

fn on_fat(boot: &Path, name: &str) -> String {
    tool("mtype", &["-i", text(boot), &format!("::{name}")], "")
}

fn in_ext4(system: &Path, command: &str) -> String {
    tool("debugfs", &["-R", command, text(system)], "")
}

#[track_caller]
fn edited(product: &Product, built: &Built, bundle: &Path) -> (PathBuf, PathBuf) {
    let (boot, system) = volumes(product, bundle);
    let wanted = "console=serial0,115200 root=PARTLABEL=system_X rootfstype=ext4 rootwait quiet panic=5 watchdog_disarm=0\n";
    for (name, slot) in [("cmdline.txt", "_a"), ("cmdline-a.txt", "_a"), ("cmdline-b.txt", "_b")] {
        assert_eq!(on_fat(&boot, name), wanted.replace("_X", slot));
    }
    let config = on_fat(&boot, "config.txt");
    assert!(
        config.starts_with("arm_64bit=1\n") && config.contains("[boot_partition=3]\ncmdline=cmdline-b.txt\n")
    );
    assert_eq!(on_fat(&boot, "A long name with Capitals.dtb"), "dtb");
    assert_eq!(on_fat(&boot, "overlays/README"), "overlays\n");

    let fstab = in_ext4(&system, "cat /etc/fstab");
    assert!(fstab.contains("/dev/disk/by-slot/active/system / ext4 defaults,noatime 0 1\n"), "{fstab}");
    assert!(
        fstab.contains("/dev/disk/by-slot/active/boot /boot/firmware vfat defaults,ro,nofail 0 0\n"),
        "{fstab}"
    );
    assert!(fstab.contains("PARTLABEL=persistent /persistent ext4 "), "{fstab}");
    let stat = in_ext4(&system, "stat /etc/fstab");
    assert!(stat.contains("Mode:  0640"), "{stat}");
    assert!(in_ext4(&system, "stat /etc/machine-id").contains("Size: 0"));
    assert!(in_ext4(&system, "stat /persistent").contains("Type: directory    Mode:  0755"));
    assert_eq!(in_ext4(&system, "ls /etc/rc3.d").matches("resize2fs_once").count(), 0);
    assert_eq!(in_ext4(&system, "ls /etc/init.d").matches("resize2fs_once").count(), 0);
    let app = in_ext4(&system, "stat /usr/bin/app");
    assert!(app.contains("Mode:  04755") && app.contains("Links: 2"), "{app}");
    let notes = &built.dissected.as_ref().unwrap().notes;
    assert!(notes.iter().any(|n| n.contains("sys-mods/firstboot")), "{notes:?}");
    assert_eq!(built.notes.iter().filter(|n| n.contains("has no bistable")).count(), 1, "{:?}", built.notes);
    (boot, system)
}

#[test]
#[ignore = "needs sfdisk, mkfs.vfat, mtools and e2fsprogs"]
fn tools_an_image_like_raspberry_pi_os_becomes_a_release_and_a_card() {
    let product = Product::new();
    let image = raspberry_pi_os(&product);
    let before = fs::read(&image).unwrap();
    let options = options(&product, &image, "x.bundle");
    let built = build(&options, &Silent).unwrap();
    assert_eq!(built.dissected.as_ref().unwrap().table, TableKind::Mbr);
    edited(&product, &built, &options.out);
    assert!(fs::read(&image).unwrap() == before, "the image itself is never written");

    // Both volumes on a card are those of the bundle, byte for byte.
    let mut card_options =
        CardOptions::new(options.out.clone(), product.root.clone(), product.path("card.img"));
    card_options.agent = Agent::Optional;
    let card = card::make(&card_options, &Silent).unwrap();
    let file = fs::File::open(&card_options.out).unwrap();
    for (kind, partition) in
        [(VolumeKind::Boot, Partition::Boot(Slot::A)), (VolumeKind::System, Partition::System(Slot::A))]
    {
        let raw = raw_image(&options.out, kind, &product.root);
        let mut found = vec![0; raw.len()];
        file.read_exact_at(&mut found, card.plan.place(partition).start).unwrap();
        assert!(raw == found, "{kind}");
    }
}

#[test]
#[ignore = "needs sfdisk, mkfs.vfat, mtools, e2fsprogs, xz, zstd and gzip"]
fn tools_the_same_image_gives_the_same_bundle_however_it_is_compressed() {
    let product = Product::new();
    let image = raspberry_pi_os(&product);
    let first = options(&product, &image, "0.bundle");
    build(&first, &Silent).unwrap();
    let wanted = fs::read(&first.out).unwrap();
    for (i, program) in ["xz", "zstd", "gzip"].into_iter().enumerate() {
        let packed = product.path(&format!("disk.{program}"));
        let out = Command::new(program).args(["-1", "-c", text(&image)]).output().unwrap();
        fs::write(&packed, &out.stdout).unwrap();
        let options = options(&product, &packed, &format!("{}.bundle", i + 1));
        build(&options, &Silent).unwrap();
        assert!(fs::read(&options.out).unwrap() == wanted, "{program}");
        // Cut off, it is refused, and nothing is left.
        fs::write(&packed, &out.stdout[..out.stdout.len() - 100]).unwrap();
        let options = self::options(&product, &packed, "cut.bundle");
        let refused = build(&options, &Silent).unwrap_err();
        assert!(matches!(refused, BuildError::Disk(DiskError::Damaged(_))), "{program}: {refused:?}");
        let left = crate::fixture::names(product.folder.path());
        assert!(!left.iter().any(|name| name.contains("cut.") || name.starts_with('.')), "{left:?}");
    }
}

/// What other images have than Raspberry Pi OS: a label that programs look for, a configuration in several files and in Latin-1, a boot loader
/// of its own, a partition by its number, and another ext4 before the root.
#[test]
#[ignore = "needs sfdisk, mkfs.vfat, mtools and e2fsprogs"]
fn tools_nothing_of_an_image_is_lost_without_a_word() {
    let product = Product::new();
    let (fat, ext4) = (fat(&product, 40 * MIB), ext4(&product, 32 * MIB, &[]));
    tool("fatlabel", &[text(&fat), "system-boot"], "");
    let files = product.path("more");
    put(
        &files,
        &[
            ("config.txt", b"# K\xfcche\narm_64bit=1\ninclude syscfg.txt\nkernel=u-boot.bin\n"),
            ("syscfg.txt", b"cmdline=nobtcmd.txt\n"),
            ("nobtcmd.txt", b"root=LABEL=writable rootwait dyndbg=\"file  a +p\" fixrtc\n"),
            ("u-boot.bin", b"u"),
        ],
    );
    for name in ["config.txt", "syscfg.txt", "nobtcmd.txt", "u-boot.bin"] {
        tool("mcopy", &["-o", "-i", text(&fat), text(&files.join(name)), "::"], "");
    }
    let fstab = files.join("fstab");
    fs::write(&fstab, format!("{FSTAB}/dev/mmcblk0p5 /data ext4 defaults 0 2\n")).unwrap();
    tool(
        "debugfs",
        &["-w", "-f", "-", text(&ext4)],
        &format!("rm /etc/fstab\nwrite {} /etc/fstab\n", text(&fstab)),
    );
    let settings = product.path("settings.img");
    fs::File::create(&settings).unwrap().set_len(8 * MIB).unwrap();
    tool("mke2fs", &["-q", "-t", "ext4", text(&settings)], "");
    let script = "label: dos\nstart=8192, size=81920, type=c\nstart=90112, size=16384, type=83\nstart=106496, size=65536, type=83\n";
    let image = disk(&product, script, &[(4, &fat), (44, &settings), (52, &ext4)], 88);
    let options = options(&product, &image, "x.bundle");
    let built = build(&options, &Silent).unwrap();
    let dissected = built.dissected.unwrap();
    assert_eq!(dissected.system_partition, 3);
    let (boot, system) = volumes(&product, &options.out);
    assert_eq!(tool("blkid", &["-o", "value", "-s", "LABEL", text(&boot)], "").trim(), "system-boot");
    assert_eq!(
        on_fat(&boot, "cmdline-b.txt"),
        "root=PARTLABEL=system_b rootwait dyndbg=\"file  a +p\" fixrtc panic=5 watchdog_disarm=0\n"
    );
    let config = Command::new("mtype").args(["-i", text(&boot), "::config.txt"]).output().unwrap().stdout;
    assert!(config.starts_with(b"# K\xfcche\narm_64bit=1\n"));
    assert!(
        in_ext4(&system, "cat /etc/fstab").contains("\n# On the image's card: /dev/mmcblk0p5 /data ext4")
    );
    for words in ["took /dev/mmcblk0p5 at /data out of /etc/fstab", "starts the boot loader u-boot.bin"] {
        assert!(dissected.notes.iter().any(|note| note.contains(words)), "{words}: {:?}", dissected.notes);
    }
}

#[test]
#[ignore = "needs sfdisk, mkfs.vfat, mtools and e2fsprogs"]
fn tools_partitions_of_a_gpt_are_found_by_name() {
    let product = Product::new();
    let (fat, ext4) =
        (fat(&product, 40 * MIB), ext4(&product, 32 * MIB, &["-O", "metadata_csum_seed,64bit"]));
    // The A/B layout of rpi-image-gen: the first FAT is not the one, and neither is the first ext4.
    let script = "label: gpt\nstart=2048, size=2048, name=bootconfig\nstart=8192, size=81920, name=boot_a\n\
                  start=98304, size=65536, name=persistent\nstart=163840, size=65536, name=system_a\n";
    let image = disk(&product, script, &[(4, &fat), (48, &ext4), (80, &ext4)], 120);
    // The table at the beginning is lost: the copy at the end is as good.
    for damaged in [false, true] {
        if damaged {
            fs::OpenOptions::new().write(true).open(&image).unwrap().write_all_at(&[1; 512], 512).unwrap();
        }
        let mut options = options(&product, &image, &format!("{damaged}.bundle"));
        let built = build(&options, &Silent).unwrap();
        let dissected = built.dissected.as_ref().unwrap();
        assert_eq!(
            (dissected.table, dissected.boot_partition, dissected.system_partition),
            (TableKind::Gpt, 2, 4)
        );
        edited(&product, &built, &options.out);
        if let Input::Disk(disk) = &mut options.input {
            disk.system_partition = Some(3);
        }
        options.out = product.path("third.bundle");
        options.existing = bistable_image::Existing::Replace;
        assert_eq!(build(&options, &Silent).unwrap().dissected.unwrap().system_partition, 3);
    }
}

#[test]
#[ignore = "needs sfdisk, mkfs.vfat, mtools and e2fsprogs"]
fn tools_logical_partitions_older_ext_and_a_larger_volume() {
    let product = Product::new();
    let (fat, ext) = (
        fat(&product, 40 * MIB),
        ext4(&product, 32 * MIB, &["-O", "^has_journal,^extents,^64bit,^metadata_csum"]),
    );
    let script = "label: dos\nstart=8192, size=81920, type=c\nstart=94208, size=131072, type=5\n\
                  start=96256, size=2048, type=83\nstart=100352, size=65536, type=83\n";
    let image = disk(&product, script, &[(4, &fat), (49, &ext)], 120);
    let mut options = options(&product, &image, "x.bundle");
    options.system_size = VolumeSize::Exact(64 * MIB);
    options.flow = Flow::Uboot;
    let built = build(&options, &Silent).unwrap();
    assert_eq!(built.dissected.as_ref().unwrap().system_partition, 6);
    let (boot, system) = edited(&product, &built, &options.out);
    let blocks = in_ext4(&system, "show_super_stats -h");
    assert!(blocks.lines().any(|l| l.starts_with("Block count:") && l.ends_with(" 16384")), "{blocks}");
    let env = on_fat(&boot, "bistable.env");
    let keys: Vec<&str> = env.lines().map(|line| line.split_once('=').unwrap().0).collect();
    let file = |key: &str| ["", "_bytes", "_crc", "_crc_swapped"].map(|end| format!("{key}{end}"));
    let wanted =
        [&["bistable_format".to_owned()][..], &file("kernel"), &file("initrd"), &["cmdline".to_owned()]];
    assert_eq!(keys, wanted.concat());
    assert!(env.contains("kernel=kernel8.img\nkernel_bytes=30d40\n"), "{env}");
    assert!(env.ends_with(
        "\ncmdline=console=serial0,115200 rootfstype=ext4 rootwait quiet panic=5 watchdog_disarm=0\n"
    ));
    let again = BuildOptions { out: product.path("again.bundle"), ..options.clone() };
    build(&again, &Silent).unwrap();
    assert!(fs::read(&options.out).unwrap() == fs::read(&again.out).unwrap());
    options.system_size = VolumeSize::Exact(16 * MIB);
    options.out = product.path("small.bundle");
    assert!(matches!(build(&options, &Silent), Err(BuildError::Volume { id: SYSTEM, .. })));
}

#[test]
#[ignore = "needs sfdisk, mkfs.vfat, mtools and e2fsprogs"]
fn tools_an_overlay_comes_over_the_system() {
    let product = Product::new();
    let image = raspberry_pi_os(&product);
    let overlay = product.path("overlay");
    put(
        &overlay,
        &[
            ("usr/bin/bistable", &noise(3, 2_000_000)),
            ("usr/bin/app", b"replaced"),
            // Through a link of the image.
            ("lib/udev/rules.d/90 \"quoted\".rules", b"rule"),
            ("etc/new/deep/file", b""),
            ("usr/share/bistable/formats", b"3\n"),
        ],
    );
    symlink("/usr/bin/bistable", overlay.join("etc/new/link")).unwrap();
    fs::set_permissions(overlay.join("usr/bin/bistable"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = options(&product, &image, "x.bundle");
    if let Input::Disk(disk) = &mut options.input {
        disk.overlay = Some(overlay.clone());
    }
    let built = build(&options, &Silent).unwrap();
    assert!(!built.notes.iter().any(|n| n.contains("has no bistable")), "{:?}", built.notes);
    assert_eq!(built.release.durable, 3);
    let (_, system) = volumes(&product, &options.out);
    let dump = product.path("dumped");
    in_ext4(&system, &format!("dump /usr/bin/bistable {}", text(&dump)));
    assert!(fs::read(&dump).unwrap() == noise(3, 2_000_000));
    let stat = in_ext4(&system, "stat /usr/bin/bistable");
    assert!(stat.contains("Mode:  0755") && stat.contains("User:     0   Group:     0"), "{stat}");
    assert_eq!(in_ext4(&system, "cat /usr/bin/app"), "replaced");
    // The other name of what was replaced stays.
    assert!(in_ext4(&system, "stat /usr/bin/other").contains("Links: 1"));
    assert_eq!(in_ext4(&system, "cat \"/usr/lib/udev/rules.d/90 \"\"quoted\"\".rules\""), "rule");
    assert!(in_ext4(&system, "stat /etc/new/link").contains("Fast link dest: \"/usr/bin/bistable\""));
    assert!(in_ext4(&system, "stat /etc/new/deep/file").contains("Size: 0"));
    // A second time gives the same bytes.
    let again = BuildOptions { out: product.path("again.bundle"), ..options.clone() };
    build(&again, &Silent).unwrap();
    assert!(fs::read(&again.out).unwrap() == fs::read(&options.out).unwrap());
    // A number that is none names the image.
    put(&overlay, &[("usr/share/bistable/formats", b"three\n")]);
    let refused = build(&BuildOptions { out: product.path("no.bundle"), ..options.clone() }, &Silent);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("partition 2: /usr/share/bistable/formats has \"three\" in it"), "{refused}");
    put(&overlay, &[("usr/share/bistable/formats", b"3\n")]);
    // What can't be copied is told.
    fs::remove_file(overlay.join("usr/bin/app")).unwrap();
    put(&overlay, &[("usr/bin/app/inside", b"")]);
    let refused = build(&BuildOptions { out: product.path("no.bundle"), ..options }, &Silent).unwrap_err();
    assert!(refused.to_string().contains("a file in the image"), "{refused}");
}

/// debugfs runs what a line has after 8,191 bytes as a line of its own, and one that begins with `!` in a shell.
#[test]
#[ignore = "needs sfdisk, mkfs.vfat, mtools and e2fsprogs"]
fn tools_no_name_of_an_overlay_is_a_command() {
    let product = Product::new();
    let image = raspberry_pi_os(&product);
    let mut options = options(&product, &image, "x.bundle");
    let pwned = product.path("pwned");
    // The shell must not see the quote that ends the word.
    let command = format!("!touch {} #", text(&pwned));
    let quotes = "\"".repeat(200);
    let built = |options: &mut BuildOptions, overlay: &Path| {
        if let Input::Disk(disk) = &mut options.input {
            disk.overlay = Some(overlay.to_owned());
        }
        let built = build(options, &Silent);
        assert!(!pwned.exists());
        built.map_err(|e| e.to_string())
    };
    // What fits into a line is in the image, whatever it is called.
    let overlay = product.path("odd");
    put(&overlay, &[("<2>", b"not the inode"), (&format!("{quotes}/{quotes}"), b"deep"), ("!touch x", b"")]);
    let long = format!("{}{command}", format!("{}/", "a".repeat(99)).repeat(8));
    symlink(&long, overlay.join(&quotes).join("link")).unwrap();
    built(&mut options, &overlay).unwrap();
    let (_, system) = volumes(&product, &options.out);
    assert_eq!(in_ext4(&system, "cat \"./<2>\""), "not the inode");
    assert!(in_ext4(&system, "ls /").contains("!touch x"));
    let doubled = "\"\"".repeat(200);
    assert_eq!(in_ext4(&system, &format!("cat \"/{doubled}/{doubled}\"")), "deep");
    // What does not is refused: the command would begin at byte 8,191 of a line that says `symlink`.
    fs::remove_file(&options.out).unwrap();
    let line = |target: &str| format!("symlink \"{}\" \"{target}", "\"".repeat(400)).len();
    for (number, odd) in [(0, ""), (1, "a")] {
        let doubled = (8_191 - line(odd)) / 2;
        for (nearby, padding) in (doubled - 1..=doubled + 1).enumerate() {
            let overlay = product.path(&format!("attack-{number}-{nearby}"));
            fs::create_dir(&overlay).unwrap();
            let target = format!("{odd}{}{command}", "\"".repeat(padding));
            symlink(&target, overlay.join(&quotes)).unwrap();
            let refused = built(&mut options, &overlay).unwrap_err();
            assert!(refused.contains("can't be changed") && refused.contains("at most 8000"), "{refused}");
        }
    }
}

#[test]
#[ignore = "needs sfdisk, mkfs.vfat, mtools and e2fsprogs"]
fn tools_a_full_or_damaged_root_is_told() {
    let product = Product::new();
    let image = raspberry_pi_os(&product);
    let overlay = product.path("overlay");
    put(&overlay, &[("too-large", &noise(3, 40_000_000))]);
    let mut options = options(&product, &image, "x.bundle");
    if let Input::Disk(disk) = &mut options.input {
        disk.overlay = Some(overlay);
    }
    let refused = build(&options, &Silent).unwrap_err().to_string();
    assert!(refused.contains("full") && refused.contains("/too-large"), "{refused}");
    // A name that leads nowhere: only e2fsck finds it.
    let ext4 = product.path("ext4.img");
    tool("debugfs", &["-w", "-R", "clri /usr/bin/app", text(&ext4)], "");
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&fs::read(&ext4).unwrap(), 48 * MIB).unwrap();
    options.input = Input::Disk(DiskOptions::new(image));
    let refused = build(&options, &Silent).unwrap_err();
    assert!(
        matches!(&refused, BuildError::Disk(DiskError::Tool { program: "e2fsck", why }) if why.contains("not sound")),
        "{refused:?}"
    );
    assert!(!options.out.exists());
}

/// From a card that was pulled out of a running Pi.
#[test]
#[ignore = "needs sfdisk, mkfs.vfat, mtools and e2fsprogs"]
fn tools_a_journal_is_replayed() {
    let product = Product::new();
    let image = raspberry_pi_os(&product);
    let ext4 = product.path("ext4.img");
    tool("debugfs", &["-w", "-R", "feature needs_recovery", text(&ext4)], "");
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&fs::read(&ext4).unwrap(), 48 * MIB).unwrap();
    let first = options(&product, &image, "1.bundle");
    let built = build(&first, &Silent).unwrap();
    edited(&product, &built, &first.out);
    assert!(built.dissected.unwrap().notes.iter().any(|n| n.contains("journal")));
    let second = BuildOptions { out: product.path("2.bundle"), ..first.clone() };
    build(&second, &Silent).unwrap();
    assert!(fs::read(&first.out).unwrap() == fs::read(&second.out).unwrap());
}

/// As e2fsprogs made small file systems before 1.46.4, and as genimage makes its own; each with and without checksums.
#[test]
#[ignore = "needs sfdisk, mkfs.vfat, mtools and e2fsprogs"]
fn tools_small_inodes_and_folders_without_types_are_taken() {
    for (features, typed) in [
        ("^resize_inode", true),
        ("^metadata_csum", true),
        ("^filetype", false),
        ("^filetype,^resize_inode,^ext_attr,^64bit,^metadata_csum,^flex_bg,uninit_bg", false),
    ] {
        let product = Product::new();
        let fat = fat(&product, 40 * MIB);
        let ext4 = ext4(&product, 32 * MIB, &["-I", "128", "-O", features]);
        let (_, first, built) = taken(&product, &fat, &ext4, typed);
        edited(&product, &built, &first.out);
    }
}

/// The first revision of ext2, and one that is damaged: adding types repairs nothing else.
#[test]
#[ignore = "needs sfdisk, mkfs.vfat, mtools, e2fsprogs and genext2fs"]
fn tools_what_genext2fs_makes_is_taken_if_it_is_sound() {
    let product = Product::new();
    let (fat, ext4) = (fat(&product, 40 * MIB), product.path("gen.img"));
    let root = root(&product);
    tool("genext2fs", &["-q", "-B", "4096", "-b", "8192", "-N", "2048", "-d", text(&root), text(&ext4)], "");
    let (image, first, _) = taken(&product, &fat, &ext4, false);
    let (_, system) = volumes(&product, &first.out);
    let fstab = in_ext4(&system, "cat /etc/fstab");
    assert!(fstab.contains("/dev/disk/by-slot/active/system / ext4 "), "{fstab}");
    // The link count of the root folder's inode.
    tool("debugfs", &["-w", "-R", "sif <2> links_count 77", text(&ext4)], "");
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(&fs::read(&ext4).unwrap(), 48 * MIB).unwrap();
    let refused = build(&options(&product, &image, "damaged.bundle"), &Silent).unwrap_err();
    assert!(refused.to_string().contains("not sound"), "{refused}");
}

/// A disk of these becomes a release, twice the same; `typed`: its folders say what their entries are.
#[track_caller]
fn taken(product: &Product, fat: &Path, ext4: &Path, typed: bool) -> (PathBuf, BuildOptions, Built) {
    let script = "label: dos\nlabel-id: 0x4e639091\nstart=8192, size=81920, type=c\nstart=98304, size=65536, type=83\n";
    let image = disk(product, script, &[(4, fat), (48, ext4)], 80);
    let first = options(product, &image, "1.bundle");
    let built = build(&first, &Silent).unwrap();
    let added = built.notes.iter().filter(|note| note.contains("`filetype` was added")).count();
    assert_eq!(added, usize::from(!typed), "{:?}", built.notes);
    let second = BuildOptions { out: product.path("2.bundle"), ..first.clone() };
    build(&second, &Silent).unwrap();
    assert!(fs::read(&first.out).unwrap() == fs::read(&second.out).unwrap());
    (image, first, built)
}
