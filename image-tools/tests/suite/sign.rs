//! Finished files get the signatures of other keys, as a company does when a release key changes.
use crate::fixture::{Product, command, ended, key};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

struct Desk(Product);

impl Desk {
    /// Keys `release`, `new` and `other`; `root.root`, which names `release`, and `2.root`, which follows it and names only `new`.
    fn new() -> Desk {
        let desk = Desk(Product::new());
        desk.0.write_keys();
        desk.0.root_key.write(&desk.0.path("root")).unwrap();
        desk.0.channel_key.write(&desk.0.path("channel")).unwrap();
        key(21, bistable_format::KeyKind::Production).write(&desk.0.path("new")).unwrap();
        key(22, bistable_format::KeyKind::Production).write(&desk.0.path("other")).unwrap();
        desk.ends(
            &[
                "root",
                "rotate",
                "root.root",
                "--release-key",
                "new.pub",
                "--yes-weak",
                "--sign",
                "root.key",
                "--out",
                "2.root",
            ],
            0,
        );
        desk
    }

    #[track_caller]
    fn ends(&self, args: &[&str], code: i32) -> String {
        ended(command(&self.0, &[args, &["--progress", "quiet"]].concat()), code)
    }

    #[track_caller]
    fn sign(&self, from: &str, (key, root, to): (&str, &str, &str), code: i32) -> String {
        self.ends(&["sign", from, "--key", key, "--root", root, "--out", to], code)
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        bistable_schema::object(&self.ends(&[args, &["--json"]].concat(), 0))
    }

    fn flip(&self, name: &str, at: u64) {
        let file = fs::OpenOptions::new().read(true).write(true).open(self.0.path(name)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
}

#[test]
fn a_release_outlives_the_key_that_signed_it_first() {
    let desk = Desk::new();
    desk.0.bundle();
    let verify = |file, root, code| desk.ends(&["verify", file, "--root", root], code);
    verify("x.bundle", "2.root", 5);
    let wrong = desk.sign("x.bundle", ("channel.key", "2.root", "y.bundle"), 6);
    assert!(wrong.contains(" sign no release, ") && wrong.contains("sign with one of key 21"), "{wrong}");
    let signed = desk.sign("x.bundle", ("new.key", "2.root", "y.bundle"), 0);
    assert!(signed.starts_with("y.bundle  ") && signed.contains("`bistable-image publish`"), "{signed}");
    // It is the same release, for devices of either root.
    verify("y.bundle", "2.root", 0);
    verify("y.bundle", "root.root", 0);
    let identity = |file| desk.json(&["inspect", file])["release"].clone();
    assert!(identity("x.bundle").is_string());
    assert_eq!(identity("x.bundle"), identity("y.bundle"));
    let again = desk.sign("y.bundle", ("new.key", "2.root", "z.bundle"), 3);
    assert!(again.contains("by each of these keys already"), "{again}");

    // In its own place, it is what it would be in another, and keeps what it has if nothing comes of it.
    fs::copy(desk.0.path("x.bundle"), desk.0.path("own.bundle")).unwrap();
    std::os::unix::fs::symlink("own.bundle", desk.0.path("link.bundle")).unwrap();
    let in_place = |key, code| desk.ends(&["sign", "link.bundle", "--key", key, "--root", "2.root"], code);
    in_place("channel.key", 6);
    assert!(fs::read(desk.0.path("own.bundle")).unwrap() == fs::read(desk.0.path("x.bundle")).unwrap());
    in_place("new.key", 0);
    assert!(fs::read(desk.0.path("own.bundle")).unwrap() == fs::read(desk.0.path("y.bundle")).unwrap());
    assert!(fs::symlink_metadata(desk.0.path("link.bundle")).unwrap().is_symlink());
    in_place("new.key", 3);

    // Two people, each with a key of their own.
    desk.ends(
        &[
            "root",
            "rotate",
            "2.root",
            "--release-key",
            "new.pub",
            "--release-key",
            "other.pub",
            "--threshold",
            "release=2",
            "--yes-weak",
            "--sign",
            "root.key",
            "--out",
            "3.root",
        ],
        0,
    );
    // Whoever builds has one of the keys.
    let build = [
        "build",
        "--product",
        "hub",
        "--version",
        "1.4.0",
        "--board",
        "pi4",
        "--system",
        "system",
        "--boot",
        "boot",
        "--boot-size",
        "4M",
        "--level",
        "1",
        "--root",
        "3.root",
    ];
    let built = desk.ends(&[&build[..], &["--key", "new.key", "--out", "one.bundle"]].concat(), 0);
    assert!(
        built.contains("the release has 1 of the 2 signatures that the root demands; `bistable-image sign`"),
        "{built}"
    );
    verify("one.bundle", "3.root", 5);
    desk.ends(&["sign", "one.bundle", "--key", "other.key", "--root", "3.root"], 0);
    verify("one.bundle", "3.root", 0);
    desk.ends(&[&build[..], &["--key", "release.key", "--out", "none.bundle"]].concat(), 5);
    // A delta, too, is begun by one and finished by the other.
    let (mut newer, both) = (build, ["--key", "new.key", "--key", "other.key", "--out", "two.bundle"]);
    newer[4] = "1.5.0";
    desk.ends(&[&newer[..], &both].concat(), 0);
    let delta = ["delta", "--from", "one.bundle", "two.bundle", "--root", "3.root", "--level", "1", "--key"];
    desk.ends(&[&delta[..], &["release.key"]].concat(), 5);
    let begun = desk.ends(&[&delta[..], &["new.key"]].concat(), 0);
    assert!(
        begun.contains("the delta has 1 of the 2 signatures that the root demands; `bistable-image sign`"),
        "{begun}"
    );
    let made = "hub-1.5.0-from-1.4.0.delta";
    verify(made, "3.root", 5);
    desk.ends(&["sign", made, "--key", "other.key", "--root", "3.root"], 0);
    desk.ends(&["verify", made, "--base", "one.bundle", "--root", "3.root"], 0);
    let half = desk.sign("x.bundle", ("new.key", "3.root", "half.bundle"), 0);
    assert!(half.contains("not enough yet: "), "{half}");
    verify("half.bundle", "3.root", 5);
    assert!(
        desk.sign("half.bundle", ("other.key", "3.root", "whole.bundle"), 0)
            .contains("`bistable-image publish`")
    );
    verify("whole.bundle", "3.root", 0);
    assert_eq!(
        desk.json(&["verify", "whole.bundle", "--root", "3.root"])["signed_by"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn a_delta_gets_both_of_its_signatures() {
    let desk = Desk::new();
    desk.0.bundle();
    fs::write(desk.0.path("system/etc/motd"), "hello").unwrap();
    let mut options = desk.0.options("next.bundle");
    options.version = semver::Version::new(1, 3, 0);
    bistable_image::build(&options, &bistable_image::Silent).unwrap();
    desk.ends(
        &[
            "delta",
            "next.bundle",
            "--from",
            "x.bundle",
            "--key",
            "release.key",
            "--root",
            "root.root",
            "--out",
            ".",
        ],
        0,
    );
    let names = crate::fixture::names(desk.0.folder.path());
    let made = names.iter().find(|name| name.ends_with(".delta")).unwrap();
    fs::rename(desk.0.path(made), desk.0.path("x.delta")).unwrap();
    desk.ends(&["verify", "x.delta", "--root", "2.root"], 5);
    let signed = desk.sign("x.delta", ("new.key", "2.root", "y.delta"), 0);
    assert!(signed.starts_with("y.delta  delta to "), "{signed}");
    for bundle in ["x.bundle", "next.bundle"] {
        desk.sign(bundle, ("new.key", "2.root", &format!("2-{bundle}")), 0);
    }
    let applied = desk.ends(&["verify", "y.delta", "--base", "2-x.bundle", "--root", "2.root"], 0);
    assert!(applied.contains("it makes every byte of the release"), "{applied}");
    let bytes = fs::metadata(desk.0.path("x.delta")).unwrap().len();
    desk.flip("x.delta", bytes - 2048);
    desk.sign("x.delta", ("new.key", "2.root", "z.delta"), 5);
}

#[test]
fn what_is_damaged_or_of_another_repository_is_not_signed() {
    let desk = Desk::new();
    let bytes = fs::metadata(desk.0.bundle()).unwrap().len();
    let refused = |from: &str, to: &str, code| {
        let text = desk.sign(from, ("new.key", "2.root", to), code);
        assert!(!Path::new(&desk.0.path("y.bundle")).exists(), "{text}");
        text
    };
    for at in [0, 600, 1_000, bytes / 3, bytes / 2, bytes - 1] {
        desk.flip("x.bundle", at);
        refused("x.bundle", "y.bundle", 5);
        desk.flip("x.bundle", at);
    }
    let file = fs::OpenOptions::new().write(true).open(desk.0.path("x.bundle")).unwrap();
    for length in [0, 512, bytes / 2, bytes - 1, bytes + 1] {
        let whole = fs::read(desk.0.path("x.bundle")).unwrap();
        file.set_len(length).unwrap();
        refused("x.bundle", "y.bundle", 5);
        file.set_len(0).unwrap();
        file.write_all_at(&whole, 0).unwrap();
    }
    refused("new.pub", "y.bundle", 5);
    refused("nothing.bundle", "y.bundle", 1);
    assert!(refused("x.bundle", "x.bundle", 1).contains("is also an input"));
    assert!(refused("x.bundle", "new.key", 1).contains("new.key"));
    let stranger = Desk::new();
    fs::write(stranger.0.path("theirs.bundle"), fs::read(desk.0.path("x.bundle")).unwrap()).unwrap();
    stranger.ends(
        &[
            "root",
            "new",
            "--root-key",
            "other.pub",
            "--release-key",
            "new.pub",
            "--yes-weak",
            "--sign",
            "other.key",
            "--out",
            "own.root",
        ],
        0,
    );
    let text = stranger.sign("theirs.bundle", ("new.key", "own.root", "y.bundle"), 6);
    assert!(text.contains("give the root of its own repository"), "{text}");
    desk.sign("x.bundle", ("new.key", "2.root", "y.bundle"), 0);
    assert_eq!(
        crate::fixture::names(desk.0.folder.path()).iter().filter(|name| name.ends_with(".part")).count(),
        0
    );
}
