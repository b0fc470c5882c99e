//! The verbs that deal with deltas, as a person uses them.
use crate::cli::at;
use crate::deltas::{World, replace, world};
use crate::places::{Place, directory};
use bistable_format::{Delta, Digest, repository as names};
use bistable_schema::object;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A repository in a directory with all three releases and both deltas; its channel's key, and where it is.
fn filled() -> (World, Place, String) {
    let (world, place) = (world(), directory());
    world.product.init(&place.store);
    let key = world.product.channel_key.write(&world.folder.path().join("channel")).unwrap();
    let key = text(&key.secret);
    for n in 0..3 {
        let bundle = text(&world.bundles[n]);
        let deltas = if n == 2 { &world.deltas[..] } else { &[] };
        let deltas: Vec<String> = deltas.iter().map(|path| text(path)).collect();
        let mut args = vec!["publish", &bundle, "--key", &key];
        args.extend(deltas.iter().map(String::as_str));
        at(place.url.as_deref().unwrap(), &args, 0);
    }
    (world, place, key)
}

#[test]
fn prune_shows_orphaned_deltas_before_they_go_and_leaves_no_empty_folder() {
    let (world, place, key) = filled();
    let repo = place.url.as_deref().unwrap();
    let bytes = place.store.get(&world.path(1), 1 << 16).unwrap().unwrap();
    let mut stray = Delta::open(&bytes, &world.product.root.root).unwrap();
    (stray.target, stray.base) = (Digest::of(b"away"), Digest::of(b"gone"));
    let path = names::delta(&stray.target, &stray.base);
    let _ = place.store.create(&path, &stray.seal(&[world.product.release_key.signing()]).unwrap()).unwrap();
    let dry = ["prune", "--key", &key, "--dry-run"];
    let (stdout, _) = at(repo, &dry, 0);
    let line = format!("delta to {:.12} from {:.12}  frees ", stray.target, stray.base);
    assert!(
        stdout.starts_with(&line) && stdout.contains("orphaned; one of the two releases is gone"),
        "{stdout}"
    );
    assert!(stdout.contains("0 of 3 releases and 1 delta would go"), "{stdout}");
    let json = object(&at(repo, &[&dry[..], &["--json"]].concat(), 0).0);
    assert_eq!((&json["deltas"][0]["why"], json["deltas"].as_array().unwrap().len()), (&"orphan".into(), 1));
    let folder = Path::new(repo).join(names::deltas(&stray.target));
    assert!(folder.is_dir());
    let (stdout, _) = at(repo, &["prune", "--key", &key], 0);
    assert!(stdout.contains("0 of 3 releases and 1 delta gone"), "{stdout}");
    // Behind it, a disk that is nearly full is told.
    assert!(stdout.contains("\n1 file removed, 0 B\n"), "{stdout}");
    assert!(!folder.exists());
    assert!(Path::new(repo).join(names::deltas(&world.identity(2))).is_dir());
}

#[test]
fn fsck_counts_deltas_and_removes_worthless_ones() {
    let (world, place, key) = filled();
    let repo = place.url.as_deref().unwrap();
    let (stdout, _) = at(repo, &["fsck"], 0);
    assert!(
        stdout.starts_with("1 channel, 3 releases on offer, 3 in catalogs (0 not kept here), 2 deltas, "),
        "{stdout}"
    );
    let (stdout, _) = at(repo, &["fsck", "--deep"], 0);
    assert!(stdout.contains(" 2 deltas (2 applied), ") && stdout.ends_with(": no problems\n"), "{stdout}");
    replace(&place.store, &world.path(1), b"x");
    let (bundle, delta) = (text(&world.bundles[2]), text(&world.deltas[1]));
    let (_, stderr) = at(repo, &["publish", &bundle, &delta, "--key", &key], 5);
    assert!(stderr.contains(&delta) && stderr.contains("`bistable-image fsck --deep --repair`"), "{stderr}");
    let (stdout, stderr) = at(repo, &["fsck"], 5);
    assert!(
        stdout.contains(" 1 delta, ") && stderr.contains("has 1 fault that devices may suffer from"),
        "{stdout}{stderr}"
    );
    let (stdout, _) = at(repo, &["fsck", "--deep", "--repair"], 0);
    assert!(stdout.ends_with("1 delta removed\n"), "{stdout}");
    at(repo, &["publish", &bundle, &delta, "--key", &key], 0);
    let json = object(&at(repo, &["fsck", "--deep", "--json"], 0).0);
    assert_eq!((&json["deltas"], &json["proven_deltas"]), (&2.into(), &2.into()));
}

#[test]
fn damaged_delta_is_blamed_itself() {
    let (world, place, key) = filled();
    let mut bytes = fs::read(&world.deltas[1]).unwrap();
    let at_data = bytes.len() - 2000;
    bytes[at_data] ^= 1;
    let bad = world.folder.path().join("bad.delta");
    fs::write(&bad, bytes).unwrap();
    let (bundle, bad) = (text(&world.bundles[2]), text(&bad));
    let (_, stderr) = at(place.url.as_deref().unwrap(), &["publish", &bundle, &bad, "--key", &key], 5);
    let want = format!(
        "error: {bad} fails verification\n  caused by: the data of the system volume is not what the delta names: the file is damaged or was \
         changed; copy or fetch the delta again, or make it again with `bistable-image delta`\n"
    );
    assert!(stderr.ends_with(&want), "{stderr}");
}

/// As a person does it.
#[test]
fn verbs_publish_list_and_show_deltas() {
    let (world, place) = (world(), directory());
    world.product.init(&place.store);
    let repo = place.url.as_deref().unwrap();
    let key = world.product.channel_key.write(&world.folder.path().join("channel")).unwrap();
    let key = text(&key.secret);
    let json = |args: &[&str]| -> Value { object(&at(repo, &[args, &["--json"]].concat(), 0).0) };
    let [first, second, third] = [0, 1, 2].map(|n| text(&world.bundles[n]));
    at(repo, &["publish", &first, "--key", &key], 0);
    let (stdout, _) = at(repo, &["publish", &second, "--key", &key], 0);
    assert!(stdout.contains("warning: devices that run 1.0.0 fetch the whole release"), "{stdout}");
    let (stdout, _) = at(repo, &["deltas", "staging"], 0);
    assert!(stdout.contains("hub 1.0.0 to 1.1.0:    missing"), "{stdout}");
    assert!(
        stdout
            .contains("  bistable-image delta --from hub-1.0.0.bundle hub-1.1.0.bundle --key release.key --root root.root\n"),
        "{stdout}"
    );
    let [from_first, from_second] = [0, 1].map(|n| text(&world.deltas[n]));
    let (_, stderr) = at(repo, &["publish", &third, &from_second, "--key", &key, "--require-deltas"], 1);
    assert!(stderr.contains("devices that run 1.0.0 would fetch the whole release"), "{stderr}");
    let published = json(&["publish", &third, &from_second, &from_first, "--key", &key, "--require-deltas"]);
    assert_eq!(published["deltas"][0]["base_version"], "1.1.0");
    assert_eq!(published["without_delta_from"], serde_json::json!([]));
    let listed = json(&["deltas", "staging"]);
    assert_eq!(listed["missing"], 1);
    assert_eq!(
        (&listed["deltas"][0]["version"], &listed["deltas"][0]["base_version"]),
        (&"1.2.0".into(), &"1.1.0".into())
    );
    assert!(listed["deltas"][0]["bytes"].as_u64().unwrap() > 0 && listed["deltas"][0]["command"].is_null());
    let (stdout, _) = at(repo, &["show", "1.2.0"], 0);
    assert!(stdout.contains("deltas") && stdout.contains("from 1.1.0"), "{stdout}");
    assert_eq!(json(&["show", "1.2.0"])["deltas"].as_array().unwrap().len(), 2);
    at(repo, &["site", "--title", "hub"], 0);
    let page = String::from_utf8(place.store.get("index.html", 1 << 20).unwrap().unwrap()).unwrap();
    assert!(page.contains("<p class=\"dim\">update: ") && page.contains(" from 1.1.0, "), "{page}");
    let (stdout, _) = at(repo, &["audit"], 0);
    assert!(stdout.contains("hub 1.2.0 from 1.1.0"), "{stdout}");
    at(repo, &["fsck", "--deep"], 0);
    let pruned = json(&["prune", "--key", &key, "--keep", "1", "--older-than", "1s", "--dry-run"]);
    assert_eq!(pruned["deltas"], serde_json::json!([]), "all are on offer");
}
