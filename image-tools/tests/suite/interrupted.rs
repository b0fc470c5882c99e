//! A signal takes what is half made with it.
use crate::fixture::{Product, names, noise};
use std::fs;
use std::process::{Child, Command, Stdio};

/// A build that takes long, once its output lies there under its temporary name.
fn half_done(product: &Product, before: &str) -> Child {
    let mut child = Command::new("sh")
        .args(["-c", &format!("{before}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_bistable-image")])
        .args(["build", "--product", "p", "--version", "1.0.0", "--board", "b", "--key", "release.key"])
        .args(["--root", "root.root", "--system", "system", "--boot", "boot", "--level", "19"])
        .args(["--threads", "1", "--out", "out/x.bundle"])
        .env("TMPDIR", product.path("temporary"))
        .current_dir(product.folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while names(&product.path("out")).is_empty() {
        assert_eq!(child.try_wait().unwrap(), None, "it is not to end yet");
        std::thread::yield_now();
    }
    child
}

fn product() -> Product {
    let product = Product::new();
    product.write_keys();
    fs::write(product.path("system/large"), noise(9, 96 << 20)).unwrap();
    for folder in ["out", "temporary"] {
        fs::create_dir(product.path(folder)).unwrap();
    }
    product
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn interrupted_build_leaves_nothing() {
    let product = product();
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let child = half_done(&product, "true");
        signal(&child, name);
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{name}: {out:?}");
        assert!(String::from_utf8_lossy(&out.stderr).ends_with("interrupted\n"), "{name}: {out:?}");
        for folder in ["out", "temporary"] {
            assert_eq!(names(&product.path(folder)), Vec::<String>::new(), "{name}");
        }
    }
}

/// As nohup starts a program.
#[test]
fn what_is_ignored_is_ignored_here_too() {
    let product = product();
    let child = half_done(&product, "trap '' HUP");
    signal(&child, "HUP");
    signal(&child, "TERM");
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(143), "{out:?}");
}
