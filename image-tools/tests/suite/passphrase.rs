//! Keys with a passphrase, as a person and a build server use them.
use crate::fixture::{BUILD, Product, command, ended};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// Without a terminal: a session of its own has none.
fn without_terminal(product: &Product, args: &[&str], passphrase: Option<&str>) -> Command {
    let program = command(product, args);
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(program.get_program()).args(program.get_args());
    command.current_dir(product.folder.path());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env_remove("BISTABLE_NEW_KEY_PASSPHRASE");
    match passphrase {
        Some(passphrase) => command.env("BISTABLE_KEY_PASSPHRASE", passphrase),
        None => command.env_remove("BISTABLE_KEY_PASSPHRASE"),
    };
    command.stdin(Stdio::null());
    command
}

#[track_caller]
fn ends(product: &Product, args: &[&str], passphrase: Option<&str>, code: i32) -> String {
    ended(without_terminal(product, args, passphrase), code)
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

    let keys = ["--root-key", "locked.pub", "--release-key", "locked.pub", "--channel-key", "locked.pub"];
    let root = [&["root", "new", "--sign", "locked.key", "--yes-weak"], &keys[..]].concat();
    let over = [&root[..], &["--out", "locked.key", "--force"]].concat();
    let root = [&root[..], &["--out", "a.root"]].concat();
    assert!(ends(&product, &root, None, 2).contains("locked.key has a passphrase"));
    assert!(
        ends(&product, &root, Some("wrong"), 1).contains("the passphrase is wrong, or the file is damaged")
    );
    assert!(!product.path("a.root").exists());
    ends(&product, &root, right, 0);
    assert!(ends(&product, &["inspect", "a.root"], None, 0).contains("locked"));

    // A file with a passphrase is a secret key in all that keeps one from being lost.
    assert!(ends(&product, &over, right, 1).contains("locked.key"));
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
        let mut command = without_terminal(&product, &["key", "protect", from, "--out", to], old);
        if let Some(new) = new {
            command.env("BISTABLE_NEW_KEY_PASSPHRASE", new);
        }
        ended(command, code)
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
    let mut protect = without_terminal(&product, &locked, None);
    protect.env("BISTABLE_NEW_KEY_PASSPHRASE", "correct horse");
    ended(protect, 0);
    let mke2fs = "#!/bin/sh\nenv > \"$SEEN\"\nexit 1\n";
    let bin = product.path("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("mke2fs"), mke2fs).unwrap();
    fs::set_permissions(bin.join("mke2fs"), fs::Permissions::from_mode(0o755)).unwrap();
    let build = [BUILD, &["--mke2fs", "--key", "locked.key"]].concat();
    let mut build = without_terminal(&product, &build, Some("correct horse"));
    let path = std::env::join_paths([bin, "/usr/bin".into(), "/bin".into()]).unwrap();
    build.env("PATH", path).env("SEEN", product.path("seen"));
    ended(build, 1);
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
    let again = ["key", "protect", "locked.key", "--out", "new"];
    let mut protect = without_terminal(&product, &again, Some("other"));
    protect.env("BISTABLE_NEW_KEY_PASSPHRASE", "third");
    ended(protect, 0);
}
