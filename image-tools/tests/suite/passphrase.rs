//! Keys with a passphrase, as a person and a build server use them.
use crate::fixture::Product;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

/// Without a terminal: a session of its own has none.
fn command(product: &Product, args: &[&str], passphrase: Option<&str>) -> Command {
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(env!("CARGO_BIN_EXE_bistable-image")).args(args);
    command.env_remove("BISTABLE_NEW_KEY_PASSPHRASE");
    command.current_dir(product.folder.path()).env("BISTABLE_STATE_DIR", product.path("state"));
    match passphrase {
        Some(passphrase) => command.env("BISTABLE_KEY_PASSPHRASE", passphrase),
        None => command.env_remove("BISTABLE_KEY_PASSPHRASE"),
    };
    command.stdin(Stdio::null());
    command
}

fn run(product: &Product, args: &[&str], passphrase: Option<&str>) -> Output {
    command(product, args, passphrase).output().unwrap()
}

#[track_caller]
fn ended(out: &Output, code: i32) -> String {
    let text = [out.stdout.as_slice(), &out.stderr].map(String::from_utf8_lossy).concat();
    assert_eq!(out.status.code(), Some(code), "{text}");
    text
}

#[track_caller]
fn ends(product: &Product, args: &[&str], passphrase: Option<&str>, code: i32) -> String {
    ended(&run(product, args, passphrase), code)
}

#[test]
fn only_who_knows_the_passphrase_signs() {
    let product = Product::new();
    let (new, right) = (["key", "new", "--passphrase", "--out", "locked"], Some("correct horse"));
    assert!(
        ends(&product, &new, None, 2)
            .contains("run this on a terminal, or give it in BISTABLE_KEY_PASSPHRASE")
    );
    assert!(ends(&product, &new, Some(""), 2).contains("an empty passphrase protects nothing"));
    assert!(!product.path("locked.key").exists() && !product.path("locked.pub").exists());
    let made = ends(&product, &new, right, 0);
    assert!(made.starts_with("locked.key  secret, with a passphrase: keep it offline"), "{made}");
    assert!(ends(&product, &new, right, 1).contains("locked.key"), "a key is never overwritten");

    // What it is for needs no passphrase.
    let shown = ends(&product, &["inspect", "locked.key"], None, 0);
    assert_eq!(shown.lines().nth(1), ends(&product, &["inspect", "locked.pub"], None, 0).lines().nth(1));

    let root = |out, key: &str| {
        let signs =
            ["root", "new", "--root-key", key, "--release-key", "locked.pub", "--channel-key", "locked.pub"];
        [&signs[..], &["--sign", "locked.key", "--yes-weak", "--out", out]]
            .concat()
            .into_iter()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let root = root("a.root", "locked.pub");
    let root: Vec<&str> = root.iter().map(String::as_str).collect();
    assert!(ends(&product, &root, None, 2).contains("locked.key has a passphrase"));
    assert!(
        ends(&product, &root, Some("wrong"), 1).contains("the passphrase is wrong, or the file is damaged")
    );
    assert!(!product.path("a.root").exists());
    ends(&product, &root, right, 0);
    assert!(ends(&product, &["inspect", "a.root"], None, 0).contains("locked"));

    // A file with a passphrase is a secret key in all that keeps one from being lost.
    let over = ["build", "--from-img", "locked.key", "--out", "locked.key"];
    assert_ne!(run(&product, &over, right).status.code(), Some(0));
    assert!(
        fs::read_to_string(product.path("locked.key"))
            .unwrap()
            .starts_with("BISTABLE ENCRYPTED SECRET KEY 1\n")
    );
}

#[test]
fn a_key_that_is_there_gets_a_passphrase_and_then_another_one() {
    let product = Product::new();
    ends(&product, &["key", "new", "--out", "plain", "--label", "release 2026"], None, 0);
    let protect = |from: &str, to: &str, [old, new]: [Option<&str>; 2], code| {
        let mut command = command(&product, &["key", "protect", from, "--out", to], old);
        if let Some(new) = new {
            command.env("BISTABLE_NEW_KEY_PASSPHRASE", new);
        }
        ended(&command.output().unwrap(), code)
    };
    let missing = protect("plain.key", "locked", [Some("old"), None], 2);
    assert!(missing.contains("give it in BISTABLE_NEW_KEY_PASSPHRASE"), "{missing}");
    let text = protect("plain.key", "locked", [None, Some("first")], 0);
    assert!(
        text.contains("once you have signed with it, destroy plain.key") && text.contains("\"release 2026\""),
        "{text}"
    );
    assert_eq!(fs::read(product.path("plain.pub")).unwrap(), fs::read(product.path("locked.pub")).unwrap());
    protect("locked.key", "again", [Some("first"), Some("second")], 0);
    protect("again.key", "third", [Some("first"), Some("third")], 1);
    protect("again.key", "third", [Some("second"), Some("third")], 0);
    protect("plain.pub", "other", [None, Some("first")], 1);
    protect("plain.key", "locked", [None, Some("first")], 1);
}

/// What is started to build something is not what signs it.
#[test]
fn no_other_program_gets_the_passphrase() {
    let product = Product::new();
    product.write_keys();
    let locked = ["key", "protect", "release.key", "--out", "locked"];
    let mut protect = command(&product, &locked, None);
    ended(&protect.env("BISTABLE_NEW_KEY_PASSPHRASE", "correct horse").output().unwrap(), 0);
    let mke2fs = "#!/bin/sh\nenv > \"$SEEN\"\nexit 1\n";
    let bin = product.path("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("mke2fs"), mke2fs).unwrap();
    fs::set_permissions(bin.join("mke2fs"), fs::Permissions::from_mode(0o755)).unwrap();
    let build = [
        "build",
        "--product",
        "hub",
        "--version",
        "1.0.0",
        "--board",
        "pi4",
        "--system",
        "system",
        "--boot",
        "boot",
    ];
    let more = ["--mke2fs", "--key", "locked.key", "--root", "root.root", "--out", "x.bundle"];
    let mut build = command(&product, &[&build[..], &more].concat(), Some("correct horse"));
    let path = std::env::join_paths([bin, "/usr/bin".into(), "/bin".into()]).unwrap();
    build.env("PATH", path).env("SEEN", product.path("seen"));
    ended(&build.output().unwrap(), 1);
    let seen = fs::read_to_string(product.path("seen")).unwrap();
    assert!(seen.contains("PATH=") && !seen.contains("correct horse"), "{seen}");
}

/// No key depends on this program.
#[test]
#[ignore = "against other people's tools: needs openssl"]
fn openssl_reads_a_key_with_a_passphrase_and_we_read_what_it_encrypts() {
    let product = Product::new();
    ends(&product, &["key", "new", "--passphrase", "--out", "locked"], Some("correct horse"), 0);
    let openssl = |args: &[&str]| {
        let out = Command::new("openssl").args(args).current_dir(product.folder.path()).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        out.stdout
    };
    let public = |pem: &[u8]| {
        fs::write(product.path("x.pem"), pem).unwrap();
        let der = openssl(&["pkey", "-in", "x.pem", "-pubout", "-outform", "DER"]);
        bistable_format::Digest(der[der.len() - 32..].try_into().unwrap()).to_string()
    };
    let plain = openssl(&["pkey", "-in", "locked.key", "-passin", "pass:correct horse"]);
    let ours = fs::read_to_string(product.path("locked.pub")).unwrap();
    assert!(ours.ends_with(&format!("public: {}\n", public(&plain))), "{ours}");

    // With another passphrase, and PBKDF2 in place of scrypt.
    let pem = openssl(&["pkcs8", "-topk8", "-v2", "aes256", "-in", "x.pem", "-passout", "pass:other"]);
    let text = fs::read_to_string(product.path("locked.key")).unwrap();
    let lines: String = text.split_inclusive('\n').take(4).collect();
    fs::write(product.path("locked.key"), lines + std::str::from_utf8(&pem).unwrap()).unwrap();
    let mut protect = command(&product, &["key", "protect", "locked.key", "--out", "new"], Some("other"));
    ended(&protect.env("BISTABLE_NEW_KEY_PASSPHRASE", "third").output().unwrap(), 0);
}
