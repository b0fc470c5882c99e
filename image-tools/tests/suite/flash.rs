//! Writing a card image onto a disk. What needs a real disk uses a loop device, as root.
use crate::fixture::Product;
use bistable_image::Silent;
use bistable_image::card::{self, CardOptions};
use bistable_image::flash::{self, CardFile, FlashError, Kinds, Map, Unfit, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A card image with its block map.
fn card() -> (Product, PathBuf) {
    let product = Product::new();
    let options = CardOptions::new(product.bundle(), product.root.clone(), product.path("card.img"));
    card::make(&options, &Silent).unwrap();
    (product, options.out)
}

fn flash(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bistable-image"))
        .arg("flash")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn refused(args: &[&str], code: i32, why: &str) {
    let out = flash(args);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(why), "{args:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn only_disks_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("card");
    fs::write(&file, b"mine").unwrap();
    refused(&["x.img", text(&file), "--yes"], 2, "is a file, not a disk");
    refused(&["x.img", text(folder.path()), "--yes"], 2, "is a folder, not a disk");
    refused(&["x.img", "/dev/null", "--yes"], 2, "is another kind of device");
    refused(&["x.img", "/dev/bistable-none", "--yes"], 2, "there is no /dev/bistable-none");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_device_disks_are_listed_and_that_is_no_success() {
    let out = flash(&["--list", "--json"]);
    assert!(out.status.success());
    let answer: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(answer["disks"].is_array(), "{answer}");
    refused(&["card.img"], 2, "no disk is named");
    refused(&[], 2, "CARD-IMAGE");
}

#[test]
fn what_is_no_card_or_not_the_maps_image_is_refused_before_a_disk_is_opened() {
    let (product, image) = card();
    let open = |path: &Path, map| CardFile::open(path, map, &Silent);
    let found = open(&image, Map::Use).unwrap();
    assert_eq!(found.map(), Some(product.path("card.img.bmap").as_path()));
    assert!(open(&image, Map::Ignore).unwrap().map().is_none());
    let bundle = open(&product.path("x.bundle"), Map::Use).unwrap_err();
    assert!(matches!(bundle, FlashError::NotACard { .. }), "{bundle:?}");
    let map = product.path("card.img.bmap");
    let whole = fs::read_to_string(&map).unwrap();
    fs::write(&map, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(open(&image, Map::Use), Err(FlashError::Map { .. })));
    fs::write(&map, whole).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(b"damage", (4 << 20) + 100).unwrap();
    let damaged = open(&image, Map::Use).unwrap_err();
    assert!(matches!(damaged, FlashError::OtherImage { source: Some(_), .. }), "{damaged:?}");
    file.set_len(file.metadata().unwrap().len() - 512).unwrap();
    let cut = open(&image, Map::Use).unwrap_err();
    assert!(
        matches!(cut, FlashError::NotACard { .. } | FlashError::OtherImage { source: None, .. }),
        "{cut:?}"
    );
}

#[test]
fn a_compressed_image_is_taken_with_the_map_of_the_image_in_it() {
    let (product, image) = card();
    let packed = product.path("packed.img.gz");
    let mut encoder =
        flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
    std::io::copy(&mut File::open(&image).unwrap(), &mut encoder).unwrap();
    encoder.finish().unwrap();
    let open = || CardFile::open(&packed, Map::Use, &Silent);
    let found = open().unwrap();
    assert_eq!((found.bytes(), found.map()), (image.metadata().unwrap().len(), None));
    for name in ["packed.img.bmap", "packed.img.gz.bmap"] {
        let map = product.path(name);
        fs::copy(product.path("card.img.bmap"), &map).unwrap();
        assert_eq!(open().unwrap().map(), Some(map.as_path()), "{name}");
        fs::remove_file(map).unwrap();
    }
}

#[test]
#[ignore = "needs bmaptool"]
fn tools_bmaptools_own_map_is_read() {
    let (product, image) = card();
    let map = product.path("card.img.bmap");
    let made = Command::new("bmaptool").args(["create", "-o", text(&map), text(&image)]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    assert_eq!(CardFile::open(&image, Map::Use, &Silent).unwrap().map(), Some(map.as_path()));
}

/// A loop device on a file that is full of something else.
struct Loop(String, PathBuf);

impl Loop {
    fn new(file: PathBuf, bytes: usize) -> Loop {
        fs::write(&file, vec![0xff; bytes]).unwrap();
        let out = Command::new("losetup").args(["-P", "-f", "--show", text(&file)]).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        Loop(String::from_utf8(out.stdout).unwrap().trim().into(), file)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &self.0]).status();
    }
}

#[test]
#[ignore = "sets up loop devices: needs root"]
fn a_real_disk_holds_the_image_afterwards() {
    let (product, image) = card();
    let wanted = fs::read(&image).unwrap();
    let disk = Loop::new(product.path("disk"), wanted.len() + (8 << 20));
    refused(&[text(&image), &disk.0, "--yes"], 6, "--any-disk");
    refused(&[text(&image), &disk.0, "--any-disk"], 2, "add --yes");
    let out = flash(&[text(&image), &disk.0, "--any-disk", "--yes", "--no-map"]);
    assert!(out.status.success(), "{out:?}");
    assert!(fs::read(&disk.1).unwrap()[..wanted.len()] == wanted, "all of it, holes too");
    // With the map, and what it does not name stays.
    fs::OpenOptions::new()
        .write(true)
        .open(&disk.1)
        .unwrap()
        .write_all_at(&vec![0xff; wanted.len()], 0)
        .unwrap();
    let out = flash(&[text(&image), &disk.0, "--any-disk", "--yes", "--json"]);
    assert!(out.status.success(), "{out:?}");
    let answer: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(answer["verified_bytes"].as_u64().unwrap() < wanted.len() as u64, "{answer}");
    let found = fs::read(&disk.1).unwrap();
    assert!(found[..1 << 20] == wanted[..1 << 20] && found[..wanted.len()] != wanted);
}

#[test]
#[ignore = "sets up loop devices and mounts one: needs root"]
fn a_real_disk_in_use_too_small_or_exchanged_is_not_written() {
    let (product, image) = card();
    let bytes = usize::try_from(image.metadata().unwrap().len()).unwrap();
    let small = Loop::new(product.path("small"), bytes - 512);
    refused(&[text(&image), &small.0, "--any-disk", "--yes"], 6, "use a larger card");
    let disk = Loop::new(product.path("disk"), bytes);
    let world = World::host();
    let name = disk.0.trim_start_matches("/dev/").to_owned();
    let shown = world.disks().unwrap().into_iter().find(|found| found.name == name).unwrap();
    let file = CardFile::open(&image, Map::Use, &Silent).unwrap();
    // Mounted after it was shown: the kernel refuses.
    let made = Command::new("mkfs.ext4").args(["-q", &disk.0]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let mount = product.path("mount");
    fs::create_dir(&mount).unwrap();
    assert!(Command::new("mount").args([&disk.0, text(&mount)]).status().unwrap().success());
    let late = flash::flash(&file, &shown, Kinds::Any, &world, &Silent);
    let listed = world.disks().unwrap().into_iter().find(|found| found.name == name).unwrap();
    let early = listed.unfit(0, Kinds::Any);
    assert!(Command::new("umount").arg(&mount).status().unwrap().success());
    assert!(matches!(late, Err(FlashError::Busy { .. })), "{late:?}");
    assert!(matches!(early, Some(Unfit::InUse { .. })), "{early:?}");
    // Another one in its place.
    let path = disk.1.clone();
    drop(disk);
    let other = Loop::new(path, bytes);
    if other.0.ends_with(&name) {
        let exchanged = flash::flash(&file, &shown, Kinds::Any, &world, &Silent);
        assert!(matches!(exchanged, Err(FlashError::Exchanged { .. })), "{exchanged:?}");
    }
    let again = world.disks().unwrap().into_iter().find(|found| other.0.ends_with(&found.name)).unwrap();
    flash::flash(&file, &again, Kinds::Any, &world, &Silent).unwrap();
}

/// The table is zeroed first and written last, so that a card that was left half written is not taken for a finished one.
#[test]
#[ignore = "sets up loop devices: needs root"]
fn a_signal_ends_the_writing_and_the_card_does_not_boot() {
    let (product, image) = card();
    let disk = Loop::new(product.path("disk"), usize::try_from(image.metadata().unwrap().len()).unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_bistable-image"))
        .args(["flash", text(&image), &disk.0, "--any-disk", "--yes", "--no-map", "--progress", "json"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        // The first tenth is written.
        if line.contains(r#"{"event":"progress","schema":1,"stage":"write card""#) {
            // It may be gone at the second one.
            let _ = kill(pid, Signal::SIGTERM);
        }
        said += &(line + "\n");
    }
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15), "{said}");
    assert!(said.contains(&format!("interrupted: {} has no partition table now", disk.0)), "{said}");
    assert!(fs::read(&disk.1).unwrap()[..1 << 20].iter().all(|byte| *byte == 0));
    // The same command again makes it whole.
    let out = flash(&[text(&image), &disk.0, "--any-disk", "--yes", "--no-map"]);
    assert!(out.status.success(), "{out:?}");
    assert!(fs::read(&disk.1).unwrap() == fs::read(&image).unwrap());
}
