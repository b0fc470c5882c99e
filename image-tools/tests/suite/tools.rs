//! Other people's programs agree. CI has them and runs these with `--include-ignored`.
use crate::fixture::Product;
use bistable_boot::Slot;
use bistable_boot::layout::Partition;
use bistable_format::{Digest, VolumeKind};
use bistable_image::card::{self, Card, CardOptions};
use bistable_image::{Silent, verify};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Run a tool; it must succeed. Gives what it printed.
#[track_caller]
pub(crate) fn tool(name: &str, args: &[&str]) -> Vec<u8> {
    let path = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/bin";
    let out = Command::new(name).args(args).env("PATH", path).output();
    let out = out.unwrap_or_else(|e| panic!("{name}: {e}: is it installed?"));
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{name} {args:?}: {}\n{stdout}\n{stderr}", out.status);
    out.stdout
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn card() -> (Product, Card, PathBuf) {
    let product = Product::new();
    let mut options = CardOptions::new(product.bundle(), product.root.clone(), product.path("card.img"));
    options.size = Some(512 << 20);
    let card = card::make(&options, &Silent).unwrap();
    (product, card, options.out)
}

/// Cut a partition out of a card.
fn partition(card: &Card, image: &Path, partition: Partition, bytes: Option<u64>) -> PathBuf {
    let place = card.plan.place(partition);
    let out = image.with_extension(partition.name());
    let mut from = fs::File::open(image).unwrap();
    std::io::Seek::seek(&mut from, std::io::SeekFrom::Start(place.start)).unwrap();
    let mut piece = std::io::Read::take(from, bytes.unwrap_or(place.bytes));
    std::io::copy(&mut piece, &mut fs::File::create(&out).unwrap()).unwrap();
    out
}

#[test]
#[ignore = "needs tar and zstd"]
fn tools_tar_lists_a_bundle_and_zstd_unpacks_its_data() {
    let product = Product::new();
    let bundle = product.bundle();
    let listed = String::from_utf8(tool("tar", &["-tf", text(&bundle)])).unwrap();
    assert_eq!(listed.lines().count(), 9);
    let folder = product.path("unpacked");
    fs::create_dir(&folder).unwrap();
    tool("tar", &["-xf", text(&bundle), "-C", text(&folder)]);
    let reader = verify::open(&bundle, &product.root.root).unwrap();
    for (kind, volume) in reader.release().volumes().unwrap().iter() {
        let data = folder.join("blobs/sha256").join(volume.data.to_string());
        assert_eq!(Digest::of(&tool("zstd", &["-dc", text(&data)])), volume.digest, "{kind}");
        tool("zstd", &["-t", text(&data)]);
    }
}

#[test]
#[ignore = "needs tar and skopeo"]
fn tools_skopeo_copies_a_bundle_as_an_oci_layout() {
    let product = Product::new();
    let bundle = product.bundle();
    let folder = product.path("unpacked");
    fs::create_dir(&folder).unwrap();
    tool("tar", &["-xf", text(&bundle), "-C", text(&folder)]);
    let from = format!("oci:{}:greenhouse-1.2.3", text(&folder));
    let raw = tool("skopeo", &["inspect", "--raw", &from]);
    let manifest: serde_json::Value = serde_json::from_slice(&raw).unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 5);
    // The same straight from the file, and a copy of all blobs.
    let archive = format!("oci-archive:{}:greenhouse-1.2.3", text(&bundle));
    assert_eq!(tool("skopeo", &["inspect", "--raw", &archive]), raw);
    let to = product.path("copy");
    tool("skopeo", &["--insecure-policy", "copy", &from, &format!("oci:{}:x", text(&to))]);
    for layer in manifest["layers"].as_array().unwrap() {
        let name = layer["digest"].as_str().unwrap().replace(':', "/");
        assert!(to.join("blobs").join(&name).exists(), "{name}");
    }
}

#[test]
#[ignore = "needs fsck.vfat and e2fsck"]
fn tools_the_cards_file_systems_are_clean() {
    let (_product, card, image) = card();
    for p in [Partition::Bootconfig, Partition::Boot(Slot::A)] {
        tool("fsck.vfat", &["-n", text(&partition(&card, &image, p, None))]);
    }
    let system = card.release.volumes().unwrap().get(VolumeKind::System).bytes;
    let path = partition(&card, &image, Partition::System(Slot::A), Some(system));
    tool("e2fsck", &["-fn", text(&path)]);
    let path = partition(&card, &image, Partition::Persistent, None);
    tool("e2fsck", &["-fn", text(&path)]);
    // It can grow to its partition, which is what a first boot does.
    tool("resize2fs", &[text(&path)]);
    tool("e2fsck", &["-fn", text(&path)]);
}

#[test]
#[ignore = "needs sfdisk and mtools"]
fn tools_sfdisk_and_mtools_read_a_card() {
    let (_product, card, image) = card();
    let said = String::from_utf8(tool("sfdisk", &["--verify", text(&image)])).unwrap();
    assert!(said.contains("No errors detected"), "{said}");
    let dump = String::from_utf8(tool("sfdisk", &["-d", text(&image)])).unwrap();
    for (p, place) in card.plan.partitions() {
        let line = dump.lines().find(|l| l.contains(&format!("name=\"{}\"", p.name()))).unwrap();
        assert!(line.contains(&format!("start={:>12},", place.start / 512)), "{line}");
        assert!(line.contains(&format!("card.img{} :", p.number())), "{line}");
    }
    let bootconfig = partition(&card, &image, Partition::Bootconfig, None);
    let found = tool("mtype", &["-i", text(&bootconfig), "::autoboot.txt"]);
    assert_eq!(found.len(), 512);
}

/// Onto a card that is full of something else: what matters is as in the image.
#[test]
#[ignore = "needs bmaptool"]
fn tools_bmaptool_flashes_a_card() {
    let (product, card, image) = card();
    let target = product.path("used-card");
    fs::write(&target, vec![0xff; 512 << 20]).unwrap();
    tool("bmaptool", &["copy", text(&image), text(&target)]);
    for (p, bytes) in [
        (Partition::State, None),
        (Partition::Bootconfig, None),
        (Partition::Boot(Slot::A), Some(card.release.volumes().unwrap().boot.bytes)),
        (Partition::System(Slot::A), Some(card.release.volumes().unwrap().system.bytes)),
        (Partition::Boot(Slot::B), Some(1 << 20)),
        (Partition::Persistent, Some(64 << 20)),
    ] {
        let wanted = fs::read(partition(&card, &image, p, bytes)).unwrap();
        let found = fs::read(partition(&card, &target, p, bytes)).unwrap();
        assert!(wanted == found, "{}", p.name());
    }
    // And it notices a damaged image.
    let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
    let place = card.plan.place(Partition::System(Slot::A)).start;
    std::os::unix::fs::FileExt::write_all_at(&file, b"damage", place + 5000).unwrap();
    let out = Command::new("bmaptool").args(["copy", text(&image), text(&target)]).output().unwrap();
    assert!(!out.status.success());
}
