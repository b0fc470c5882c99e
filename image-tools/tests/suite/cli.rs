//! The program itself: what it prints where, and how it ends.
use crate::fixture::{BUILD, Product, command};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::{Command, Output};

fn run(product: &Product, args: &[&str]) -> Output {
    command(product, args).output().unwrap()
}

#[track_caller]
fn ends(product: &Product, args: &[&str], code: i32) -> (String, String) {
    let out = run(product, args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(out.stdout), text(out.stderr));
    assert_eq!(out.status.code(), Some(code), "{args:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[track_caller]
fn json(product: &Product, args: &[&str]) -> Value {
    let (stdout, _) = ends(product, &[args, &["--json"]].concat(), 0);
    bistable_schema::object(&stdout)
}

#[test]
fn weak_root_is_made_only_with_yes_weak() {
    let product = Product::new();
    for name in ["one", "two", "three"] {
        ends(&product, &["key", "new", "--out", name], 0);
    }
    let new = ["root", "new", "--release-key", "three.pub", "--channel-key", "three.pub", "--out", "1.root"];
    let (_, refused) =
        ends(&product, &[&new[..], &["--root-key", "one.pub", "--sign", "one.key"]].concat(), 2);
    for text in ["one root key", "\"three\" may sign as release and as channel", "--yes-weak"] {
        assert!(refused.contains(text), "{refused}");
    }
    let two =
        ["--root-key", "one.pub", "--root-key", "two.pub", "--sign", "one.key", "--threshold", "root=1"];
    let (_, refused) = ends(&product, &[&new[..], &two].concat(), 2);
    assert!(refused.contains("--threshold root=2") && !product.path("1.root").exists(), "{refused}");
    let (_, warned) = ends(&product, &[&new[..], &two, &["--yes-weak"]].concat(), 0);
    assert_eq!(warned.matches("warning: the root is weak: ").count(), 2, "{warned}");
    let rotate = ["root", "rotate", "1.root", "--out", "2.root", "--sign", "one.key"];
    let (_, refused) = ends(&product, &rotate, 2);
    assert!(refused.contains("--yes-weak") && !product.path("2.root").exists(), "{refused}");
    ends(&product, &[&rotate[..], &["--yes-weak"]].concat(), 0);
}

#[test]
fn key_that_others_can_read_is_refused_by_every_verb() {
    let product = Product::new();
    for name in ["one", "two", "real"] {
        ends(&product, &["key", "new", "--out", name], 0);
    }
    fs::write(product.path("root.root"), &product.root.bytes).unwrap();
    fs::set_permissions(product.path("real.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let new = ["root", "new", "--root-key", "one.pub", "--root-key", "real.pub", "--release-key", "two.pub"];
    let build: Vec<_> =
        BUILD.iter().map(|arg| if *arg == "release.key" { "real.key" } else { arg }).collect();
    for verb in [
        &build[..],
        &[&new[..], &["--out", "x.root", "--sign", "one.key", "--sign", "real.key"]].concat(),
        &["inspect", "real.key"],
        &["attest", "staging", "1.0.0", "--kind", "tested", "--repo", "repo", "--key", "real.key"],
        &["channel", "refresh", "staging", "--repo", "repo", "--key", "real.key"],
    ] {
        let (_, refused) = ends(&product, verb, 1);
        assert!(refused.contains("chmod 600 real.key"), "{verb:?}: {refused}");
    }
    assert!(!product.path("x.bundle").exists() && !product.path("x.root").exists());
}

/// From nothing to a card, as a user does it.
#[test]
fn a_whole_life() {
    let product = Product::new();
    for name in ["one", "two", "three", "release", "channel"] {
        ends(&product, &["key", "new", "--out", name, "--demo"], 0);
    }
    ends(&product, &["key", "new", "--out", "one"], 1);
    let root = [
        "root",
        "new",
        "--out",
        "root.root",
        "--root-key",
        "one.pub",
        "--root-key",
        "two.pub",
        "--root-key",
        "three.pub",
        "--release-key",
        "release.pub",
        "--channel-key",
        "channel.pub",
        "--sign",
        "one.key",
    ];
    let (_, stderr) = ends(&product, &root, 1);
    assert!(stderr.contains("1 of the 2 signatures"), "{stderr}");
    let made = json(&product, &[&root[..], &["--sign", "three.key"]].concat());
    assert_eq!(made["roles"][0]["threshold"], 2);

    let built = json(&product, BUILD);
    assert_eq!(built["volumes"][1]["name"], "system");
    let (stdout, stderr) = ends(&product, BUILD, 1);
    assert!(stdout.is_empty() && stderr.contains("--force"), "{stderr}");
    ends(&product, &[BUILD, &["--force", "--threads", "1"]].concat(), 0);

    let verified = json(&product, &["verify", "x.bundle", "--root", "root.root"]);
    assert_eq!(verified["release"], built["release"]);
    assert_eq!(verified["signed_by"][0]["label"], "release");

    let (stdout, _) = ends(&product, &["inspect", "x.bundle"], 0);
    assert!(stdout.contains("NOT VERIFIED"), "{stdout}");
    let shown = json(&product, &["inspect", "x.bundle", "--root", "root.root"]);
    assert_eq!((&shown["trust"]["verified"], &shown["build_time"]), (&true.into(), &1_700_000_000.into()));
    for file in ["root.root", "release.pub", "release.key"] {
        let (stdout, _) = ends(&product, &["inspect", file], 0);
        let secret = fs::read_to_string(product.path("release.key")).unwrap();
        let secret = secret.lines().last().unwrap().strip_prefix("secret: ").unwrap();
        assert!(!stdout.contains(secret));
    }

    let card = ["card", "--bundle", "x.bundle", "--root", "root.root", "--out", "card.img"];
    let (_, stderr) = ends(&product, &card, 5);
    assert!(stderr.contains("--allow-demo"), "{stderr}");
    let made = json(&product, &[&card[..], &["--allow-demo", "--size", "1G"]].concat());
    let notes = made["notes"].as_array().unwrap();
    assert!(notes.iter().any(|note| note.as_str().unwrap().starts_with("each boot slot gets ")), "{notes:?}");
    assert_eq!((&made["bytes"], made["partitions"].as_array().unwrap().len()), (&(1u64 << 30).into(), 7));
    let small = [&card[..], &["--allow-demo", "--force", "--size", "64M"]].concat();
    let (_, stderr) = ends(&product, &small, 6);
    assert!(stderr.contains("are needed"), "{stderr}");
}

#[test]
fn exit_codes_tell_what_kind_of_failure() {
    let product = Product::new();
    let bundle = product.bundle();
    fs::write(product.path("root.root"), &product.root.bytes).unwrap();
    let verify = ["verify", "x.bundle", "--root", "root.root"];
    ends(&product, &verify, 0);
    ends(&product, &["verify", "missing", "--root", "root.root"], 1);
    ends(&product, &["verify", "x.bundle"], 2);
    ends(&product, &["nonsense"], 2);
    ends(&product, &["--version"], 0);
    ends(&product, &["build", "--help"], 0);
    ends(&product, &["inspect", "system/etc/os-release"], 1);
    ends(&product, &[BUILD, &["--level", "22"]].concat(), 2);
    ends(&product, &[BUILD, &["--chunk-size", "100K"]].concat(), 2);
    let file = fs::OpenOptions::new().write(true).open(&bundle).unwrap();
    file.write_all_at(b"X", file.metadata().unwrap().len() - 5000).unwrap();
    let (stdout, stderr) = ends(&product, &verify, 5);
    assert!(stdout.is_empty());
    assert!(stderr.contains("x.bundle") && stderr.contains("chunk") && stderr.contains("byte"), "{stderr}");
    file.set_len(3000).unwrap();
    let (_, stderr) = ends(&product, &verify, 5);
    assert!(stderr.contains("truncated"), "{stderr}");
    fs::write(product.path("root.root"), &product.root.bytes[..50]).unwrap();
    ends(&product, &verify, 5);
}

#[test]
fn progress_goes_to_stderr_as_asked() {
    let product = Product::new();
    product.bundle();
    fs::write(product.path("root.root"), &product.root.bytes).unwrap();
    let verify = ["verify", "x.bundle", "--root", "root.root", "--progress"];
    let (_, stderr) = ends(&product, &[&verify[..], &["none"]].concat(), 0);
    assert!(stderr.is_empty(), "{stderr}");
    let (_, stderr) = ends(&product, &[&verify[..], &["plain"]].concat(), 0);
    assert!(stderr.lines().any(|l| l.starts_with("verify system: done")), "{stderr}");
    let (_, stderr) = ends(&product, &[&verify[..], &["json"]].concat(), 0);
    let events = bistable_schema::lines(&stderr);
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["stage"]), (&"end".into(), &"verify system".into()));
    assert_eq!(last["done"], last["total"]);
}

#[test]
fn path_that_is_not_unicode_is_answered_with_replacements() {
    let product = Product::new();
    let mut command = command(&product, &["key", "new", "--json", "--out"]);
    let out = command.arg(OsStr::from_bytes(b"k\xff")).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let answer = bistable_schema::object(&String::from_utf8(out.stdout).unwrap());
    assert_eq!((&answer["secret"], &answer["label"]), (&"k\u{fffd}.key".into(), &"k\u{fffd}".into()));
}

#[test]
fn manual_has_a_page_for_each_verb_and_for_plan_and_profile() {
    let product = Product::new();
    let written = json(&product, &["manual", "--out", "man"]);
    let read = |name: &str| fs::read_to_string(product.path("man").join(name)).unwrap();
    for file in written["files"].as_array().unwrap() {
        assert!(product.path(file.as_str().unwrap()).is_file(), "{file}");
    }
    let publish = read("man1/bistable-image-publish.1");
    for part in
        ["2023-11-14", ".SH EXIT STATUS", ".SH FILES", ".SH ENVIRONMENT", ".SH EXAMPLES", "require\\-deltas"]
    {
        assert!(publish.contains(part), "{part}: {publish}");
    }
    assert!(read("man1/bistable-image-channel-gates.1").contains(".SH EXIT STATUS"));
    for name in ["bistable-self-test.toml.5", "bistable-health.toml.5"] {
        assert!(read(&format!("man5/{name}")).contains(".SH DESCRIPTION"), "{name}");
    }
    let (script, _) = ends(&product, &["completions", "bash"], 0);
    assert!(script.contains("complete -F _bistable__image") && script.contains("withdraw"), "{script}");
    assert_eq!(json(&product, &["completions", "fish"])["shell"], "fish");
}

#[test]
fn a_bad_source_date_epoch_is_told() {
    let product = Product::new();
    let (help, _) = ends(&product, &["build", "--help"], 0);
    assert!(help.contains("SOURCE_DATE_EPOCH"), "{help}");
    product.release_key.write(&product.path("release")).unwrap();
    fs::write(product.path("root.root"), &product.root.bytes).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_bistable-image"))
        .args(BUILD)
        .current_dir(product.folder.path())
        .env("SOURCE_DATE_EPOCH", "yesterday")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8(out.stderr).unwrap().contains("SOURCE_DATE_EPOCH"));
}

#[test]
fn delta_is_made_inspected_and_verified() {
    let product = Product::new();
    for name in ["root", "release", "channel"] {
        ends(&product, &["key", "new", "--out", name], 0);
    }
    let keys = ["--root-key", "root.pub", "--release-key", "release.pub", "--channel-key", "channel.pub"];
    let weak = ["--sign", "root.key", "--out", "root.root", "--yes-weak"];
    ends(&product, &[&["root", "new"][..], &keys, &weak].concat(), 0);
    ends(&product, BUILD, 0);
    fs::write(product.path("system/etc/os-release"), "ID=next\n").unwrap();
    let other = |arg: &&'static str| match *arg {
        "x.bundle" => "y.bundle",
        "1.0.0" => "1.1.0",
        arg => arg,
    };
    let next: Vec<&str> = BUILD.iter().map(other).collect();
    // The same by `build --delta-from` and by `delta`.
    fs::create_dir(product.path("out")).unwrap();
    let built = json(&product, &[&next[..], &["--delta-from", "x.bundle"]].concat());
    let args = [
        "delta",
        "--from",
        "x.bundle",
        "y.bundle",
        "--key",
        "release.key",
        "--root",
        "root.root",
        "-o",
        "out",
    ];
    let made = json(&product, &args);
    let name = "greenhouse-1.1.0-from-1.0.0.delta";
    let path = format!("out/{name}");
    assert_eq!(made["deltas"][0]["file"], path);
    assert_eq!(built["deltas"][0]["bytes"], made["deltas"][0]["bytes"]);
    assert_eq!(fs::read(product.path(name)).unwrap(), fs::read(product.path(&path)).unwrap());
    let (_, stderr) = ends(&product, &args, 1);
    assert!(stderr.contains("exists already"), "{stderr}");
    ends(&product, &[&args[..], &["--force"]].concat(), 0);
    let into = |out| [&args[..args.len() - 1], &[out]].concat();
    let (_, stderr) = ends(&product, &into("missing"), 1);
    assert!(stderr.contains("there is no folder missing for the deltas: make it first"), "{stderr}");
    let (_, stderr) = ends(&product, &into("root.root"), 2);
    assert!(stderr.contains("--out root.root is a file: give the folder for the deltas"), "{stderr}");
    let named: Vec<&str> = BUILD.iter().map(|arg| if *arg == "x.bundle" { "out/" } else { arg }).collect();
    let (_, stderr) = ends(&product, &named, 1);
    assert!(stderr.contains("out/ names a folder: give the name of a file in it"), "{stderr}");

    let shown = json(&product, &["inspect", &path, "--root", "root.root"]);
    assert_eq!((&shown["kind_of_file"], &shown["version"]), (&"delta".into(), &"1.1.0".into()));
    assert_eq!(shown["trust"]["verified"], true);
    let (stdout, _) = ends(&product, &["inspect", &path], 0);
    assert!(stdout.contains("NOT VERIFIED"), "{stdout}");
    let verified = json(&product, &["verify", &path, "--root", "root.root", "--base", "x.bundle"]);
    assert_eq!((&verified["applied"], &verified["base"]), (&true.into(), &made["deltas"][0]["base"]));
    let (stdout, _) = ends(&product, &["verify", &path, "--root", "root.root"], 0);
    assert!(stdout.contains("not applied: give --base OLD.bundle"), "{stdout}");
    ends(&product, &["verify", &path, "--root", "root.root", "--base", "y.bundle"], 6);
    ends(&product, &["verify", &path], 2);
    // Where other verbs find the root, these do, too.
    let card = ["card", "--bundle", "x.bundle", "--out", "x.img"];
    for args in [&["verify", &path][..], &["repo", "init", "--repo", "repo"], &card] {
        let out = command(&product, args).env("BISTABLE_ROOT", "root.root").output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
    let (_, stderr) = ends(&product, &["verify", "no.delta", "--root", "root.root"], 1);
    assert!(stderr.contains("can't open no.delta\n"), "{stderr}");
    ends(&product, &["verify", "x.bundle", "--root", "root.root", "--base", "y.bundle"], 2);
    let bytes = fs::read(product.path(&path)).unwrap();
    fs::write(product.path("cut.delta"), &bytes[..bytes.len() - 1]).unwrap();
    ends(&product, &["verify", "cut.delta", "--root", "root.root"], 5);
    ends(
        &product,
        &["delta", "--from", "y.bundle", "y.bundle", "--key", "release.key", "--root", "root.root"],
        2,
    );
    ends(
        &product,
        &[
            "delta",
            "--from",
            "x.bundle",
            "y.bundle",
            "--key",
            "channel.key",
            "--root",
            "root.root",
            "-o",
            "out",
            "--force",
        ],
        5,
    );

    // The file that changed costs all of it: on the boot volume nothing did.
    let found = json(&product, &["diff", "x.bundle", "y.bundle", "--root", "root.root"]);
    let costs = found["files"].as_array().unwrap();
    let of = |path: &str| costs.iter().find(|cost| cost["path"] == path);
    assert!(of("/etc/os-release").is_some(), "{found}");
    assert!(of("/usr/bin/app").is_none(), "{found}");
    assert_eq!(found["volumes"][0], serde_json::json!({"name": "boot", "bytes": 0}));
    let sum: u64 = costs.iter().map(|cost| cost["bytes"].as_u64().unwrap()).sum();
    assert!(sum > 0 && sum <= found["volumes"][1]["bytes"].as_u64().unwrap(), "{found}");
    let (stdout, _) = ends(&product, &["diff", "x.bundle", "y.bundle", "--root", "root.root"], 0);
    assert!(stdout.contains("system: /etc/os-release"), "{stdout}");
}
