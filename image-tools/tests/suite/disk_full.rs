//! No room for the output: a clear error, exit code 1, and nothing left.
use crate::fixture::{Product, names, noise, raw_image};
use bistable_format::VolumeKind;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn product() -> Product {
    let product = Product::new();
    // Ready, so that no temporary file is needed for it.
    let boot = raw_image(&product.bundle(), VolumeKind::Boot, &product.root);
    fs::write(product.path("boot.img"), boot).unwrap();
    fs::write(product.path("system/large"), noise(9, 9 << 20)).unwrap();
    product.release_key.write(&product.path("release")).unwrap();
    fs::write(product.path("root.root"), &product.root.bytes).unwrap();
    fs::create_dir(product.path("out")).unwrap();
    product
}

/// Build into `out`, through a shell that first does `before`.
fn build(product: &Product, before: &str, out: &Path) -> Output {
    Command::new("sh")
        .args(["-c", &format!("{before}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_bistable-image")])
        .args(["build", "--product", "p", "--version", "1.0.0", "--board", "b", "--key", "release.key"])
        .args(["--root", "root.root"])
        .args(["--system", "system", "--boot", "boot.img", "--level", "1", "--out"])
        .arg(out)
        .current_dir(product.folder.path())
        .output()
        .unwrap()
}

#[track_caller]
fn failed_cleanly(out: &Output, folder: &Path, why: &str) {
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(why) && stderr.contains("x.bundle"), "{stderr}");
    assert_eq!(names(folder), Vec::<String>::new());
}

/// Files may not grow beyond 8 MiB (16,384 units of 512 bytes), which needs no privilege.
#[test]
fn a_file_size_limit() {
    let product = product();
    let folder = product.path("out");
    let out = build(&product, "trap '' XFSZ; ulimit -f 16384", &folder.join("x.bundle"));
    failed_cleanly(&out, &folder, "larger than a file can be here");
}

/// A file system of 4 MiB; needs root to mount it.
#[test]
#[ignore = "needs root"]
fn tools_a_small_file_system() {
    let product = product();
    let folder = product.path("out");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(&folder).status();
    assert!(mounted.unwrap().success(), "mount needs root");
    let out = build(&product, "true", &folder.join("x.bundle"));
    let left = names(&folder);
    assert!(Command::new("umount").arg(&folder).status().unwrap().success());
    assert_eq!(left, Vec::<String>::new());
    failed_cleanly(&out, &folder, "the disk is full");
}
