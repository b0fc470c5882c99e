//! The verbs, as a person uses them.
use crate::places;
use crate::places::Place;
use crate::product::Product;
use bistable_image::repository::audit::AuditError;
use bistable_image::repository::catalog::CatalogError;
use bistable_image::repository::channel::{ChannelError, ChannelLog};
use bistable_image::repository::promote::PromoteError;
use bistable_image::repository::roots::RootsError;
use bistable_image::{Error, Exit};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[track_caller]
fn run(place: &Place, args: &[&str], code: i32) -> (String, String) {
    at(place.url.as_ref().unwrap(), args, code)
}

/// Where the computer that works on a repository remembers it: beside the repository, so that each has a computer of its own.
pub(crate) fn state_of(repo: &str) -> PathBuf {
    match repo.split_once("://") {
        None => format!("{repo}.state").into(),
        Some((_, rest)) => Path::new(env!("CARGO_TARGET_TMPDIR")).join(rest.replace('/', "_")),
    }
}

#[track_caller]
pub(crate) fn at(repo: &str, args: &[&str], code: i32) -> (String, String) {
    on(&state_of(repo), repo, args, code)
}

/// On a computer with this memory.
#[track_caller]
pub(crate) fn on(state: &Path, repo: &str, args: &[&str], code: i32) -> (String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_bistable-image"))
        .args(args)
        .env("BISTABLE_REPO", repo)
        .env("BISTABLE_STATE_DIR", state)
        .env("BISTABLE_BY", "ada")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(out.stdout), text(out.stderr));
    assert_eq!(out.status.code(), Some(code), "{args:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// A program needs no words for people, whatever went wrong.
#[test]
fn a_failure_is_one_object_too() {
    let place = places::directory();
    let repo = place.url.as_ref().unwrap();
    for (args, code, word) in [
        (&["list", "--json"][..], 1, "failed"),
        (&["show", "--json"], 2, "usage"),
        (&["channel", "refresh", "--all", "--json"], 2, "usage"),
    ] {
        let (stdout, stderr) = at(repo, args, code);
        let told = bistable_schema::object(&stdout);
        assert_eq!((&told["code"], &told["exit"]), (&word.into(), &code.into()), "{args:?}: {told}");
        let first = told["error"].as_str().unwrap().split([':', '\n']).next().unwrap();
        assert!(!first.is_empty() && stderr.contains(first), "{told}\n{stderr}");
        // As text, standard output stays empty.
        let args: Vec<_> = args.iter().copied().filter(|arg| *arg != "--json").collect();
        assert_eq!(at(repo, &args, code).0, "");
    }
}

#[test]
fn from_nothing_to_a_repaired_audit() {
    let product = Product::new();
    for place in [Some(places::directory()), places::s3()].into_iter().flatten() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root.root");
        fs::write(&root, &product.root.bytes).unwrap();
        let root = root.to_str().unwrap();
        let (stdout, _) = run(&place, &["repo", "init", "--root", root], 0);
        assert!(stdout.contains("a new repository"), "{stdout}");
        let (stdout, _) = run(&place, &["repo", "init", "--root", root], 0);
        assert!(stdout.contains("already"), "{stdout}");
        run(&place, &["repo", "probe"], 0);
        let roots = product.init(&place.store);
        let log = ChannelLog::new(&place.store, &roots, "staging");
        for n in 1..=3 {
            product.offer(&log, "grace", n).unwrap();
        }
        let (stdout, _) = run(&place, &["audit", "--last", "2"], 0);
        assert_eq!(stdout.lines().count(), 2, "{stdout}");
        assert!(stdout.contains("2027-01-15T08:00:00Z  grace"), "{stdout}");
        assert!(stdout.lines().last().unwrap().contains("staging 3"), "{stdout}");
        let (stdout, _) = run(&place, &["audit", "--json"], 0);
        assert_eq!(bistable_schema::object(&stdout)["records"][0]["who"], "ada");
        place.store.delete("audit/00000004.json").unwrap();
        let (stdout, _) = run(&place, &["audit", "verify"], 0);
        assert!(stdout.contains("staging: 1 not recorded yet"), "{stdout}");
        run(&place, &["audit", "repair"], 0);
        let (stdout, _) = run(&place, &["audit", "verify"], 0);
        assert!(stdout.starts_with("4 records"), "{stdout}");
        place.store.delete("audit/00000002.json").unwrap();
        let (_, stderr) = run(&place, &["audit", "verify"], 5);
        assert!(stderr.contains("audit record 2"), "{stderr}");
    }
}

#[test]
fn a_root_without_a_channel_key_is_told_before_it_matters() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key = crate::product::key(1).write(&folder.path().join("key")).unwrap();
    let [public, secret] = [&key.public, &key.secret].map(|file| file.to_str().unwrap());
    let (repo, root) = (path("repository"), path("1.root"));
    let new = [
        "root",
        "new",
        "--out",
        &root,
        "--root-key",
        public,
        "--release-key",
        public,
        "--sign",
        secret,
        "--yes-weak",
    ];
    let without = "warning: without --channel-key";
    let (_, warned) = at(&repo, &new, 0);
    assert!(warned.contains(without), "{warned}");
    let (_, refused) = at(&repo, &["repo", "init", "--root", &root], 2);
    assert!(refused.contains("root new --channel-key") && !fs::exists(&repo).unwrap(), "{refused}");
    at(&repo, &["repo", "init", "--root", &root, "--channel-key-later"], 0);
    let (_, fine) = at(&repo, &[&new[..], &["--force", "--channel-key", public]].concat(), 0);
    assert!(!fine.contains(without), "{fine}");
}

#[test]
fn a_bundle_is_published_and_listed() {
    let (product, folder, place) = (Product::new(), tempfile::tempdir().unwrap(), places::directory());
    product.init(&place.store);
    let bundle = crate::publish::bundle(&product, &folder, 1, "a");
    let files = product.channel_key.write(&folder.path().join("channel")).unwrap();
    let wrong = product.release_key.write(&folder.path().join("release")).unwrap();
    let publish = |key: &std::path::Path, code| {
        let arguments =
            ["publish", bundle.to_str().unwrap(), "--key", key.to_str().unwrap(), "--progress", "quiet"];
        run(&place, &arguments, code)
    };
    let (_, stderr) = run(&place, &["list"], 1);
    assert!(stderr.contains("no channel staging"), "{stderr}");
    let (_, stderr) = publish(&wrong.secret, 5);
    assert!(stderr.contains("can't be signed with these keys"), "{stderr}");
    let (stdout, _) = publish(&files.secret, 0);
    assert!(stdout.starts_with("hub 1.1.0: number 1 of channel staging offers it"), "{stdout}");
    let (stdout, _) = run(&place, &["list"], 0);
    assert!(stdout.starts_with("hub 1.1.0 ") && stdout.contains("offered"), "{stdout}");
    assert_eq!(stdout.lines().count(), 1);
    let (stdout, _) = run(&place, &["list", "--product", "other", "--json"], 0);
    let json = bistable_schema::object(&stdout);
    assert_eq!((&json["sequence"], &json["releases"]), (&1.into(), &Value::Array(vec![])));
}

#[test]
fn what_is_no_repository_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none");
    let (_, stderr) = at(missing.to_str().unwrap(), &["audit"], 1);
    assert!(stderr.contains("repo init"), "{stderr}");
    let (_, stderr) = at("ftp://x", &["audit"], 2);
    assert!(stderr.contains("s3://BUCKET/PREFIX"), "{stderr}");
    let (_, stderr) = at(folder.path().to_str().unwrap(), &["audit", "verify"], 1);
    assert!(stderr.contains("--root"), "{stderr}");
}

/// Not a credential is in a message.
#[test]
fn unreachable_store_is_reported() {
    let out = Command::new(env!("CARGO_BIN_EXE_bistable-image"))
        .args(["audit", "--repo", "s3://nowhere/x"])
        .env("AWS_ENDPOINT", "http://127.0.0.1:1")
        .env("AWS_ACCESS_KEY_ID", "somebody")
        .env("AWS_SECRET_ACCESS_KEY", "do-not-tell")
        .output()
        .unwrap();
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("can't reach s3://nowhere/x"), "{stderr}");
    assert!(!stderr.contains("do-not-tell"), "{stderr}");
}

/// Scripts rely on the numbers: 5 is "don't use it", 75 is "try again".
#[test]
fn the_same_error_ends_the_same_wherever_it_comes_from() {
    let busy = || AuditError::Busy { place: "x".into() };
    let channel = || ChannelError::Busy { name: "x".into() };
    let damaged = CatalogError::Damaged { place: "x".into(), path: "y".into(), why: "z" };
    for (error, exit) in [
        (Error::Promote(PromoteError::Catalog(damaged)), Exit::Untrusted),
        (Error::Channel(channel()), Exit::TryLater),
        (Error::Promote(PromoteError::Channel(channel())), Exit::TryLater),
        (Error::Audit(busy()), Exit::TryLater),
        (Error::Roots(RootsError::Audit(Box::new(busy()))), Exit::TryLater),
    ] {
        assert_eq!(error.exit(), exit, "{error}");
    }
}
