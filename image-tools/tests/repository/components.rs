//! Components beside images in one channel: every verb tells them apart, and none disturbs the other.
use crate::life::Life;
use bistable_format::repository as names;
use bistable_image::repository::Store;
use bistable_image::repository::store::Missing;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// `hub/core` of a version, with this in it.
fn component(life: &Life, version: &str, content: &str, more: &[&str]) -> PathBuf {
    let tree = life.folder.path().join(format!("core-{version}"));
    fs::create_dir_all(tree.join("bin")).unwrap();
    fs::write(tree.join("bin/core"), content.repeat(30_000)).unwrap();
    let out = life.path(&format!("hub-core-{version}.bundle"));
    let (tree, key, root) =
        (tree.to_str().unwrap().to_owned(), life.path("release.key"), life.path("1.root"));
    let build = [
        "build",
        "--component",
        "core",
        "--kind",
        "directory",
        "--tree",
        &tree,
        "--product",
        "hub",
        "--version",
        version,
        "--board",
        "pi4",
        "--key",
        &key,
        "--root",
        &root,
        "--out",
        &out,
        "--level",
        "3",
        "--progress",
        "quiet",
    ];
    life.ok(&[&build[..], more].concat());
    out.into()
}

fn publish(life: &Life, bundle: &Path) -> String {
    life.acts(&["publish", bundle.to_str().unwrap(), "--progress", "quiet"], 0).0
}

fn store(life: &Life) -> Store {
    Store::open(&life.repo, Missing::Refuse).unwrap()
}

fn named(found: &Value) -> Vec<String> {
    let one = |r: &Value| format!("{} {} {}", r["product"], r["component"], r["version"]).replace('"', "");
    found["releases"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn images_and_components_live_in_one_channel() {
    let life = Life::new(2);
    // The same version as an image has: each is claimed for itself.
    let first = component(&life, "1.1.0", "a", &[]);
    let text = publish(&life, &first);
    assert!(text.starts_with("hub/core 1.1.0: number 3 of channel staging offers it"), "{text}");
    publish(&life, &component(&life, "1.3.0", "b", &["--requires", "hub=>=1.2"]));
    let version = semver::Version::new(1, 1, 0);
    let claimed = |of| store(&life).get(&names::version(of, &version), 128).unwrap();
    assert!(claimed(("hub", None)).is_some() && claimed(("hub", Some("core"))).is_some());
    assert_ne!(claimed(("hub", None)), claimed(("hub", Some("core"))));

    assert_eq!(
        named(&life.json(&["list"])),
        ["hub core 1.3.0", "hub core 1.1.0", "hub null 1.2.0", "hub null 1.1.0"]
    );
    for (args, want) in [
        (&["--component", "core"][..], &["hub core 1.3.0", "hub core 1.1.0"][..]),
        (&["hub/core", "1.1"], &["hub core 1.1.0"]),
        (&["core"], &["hub core 1.3.0", "hub core 1.1.0"]),
        (&["--product", "hub", "--version", ">=1.3"], &["hub core 1.3.0"]),
        (&["--component", "other"], &[]),
    ] {
        assert_eq!(named(&life.json(&[&["search"], args].concat())), want, "{args:?}");
    }
    let (_, ambiguous) = life.ends(&["show", "1.1.0"], 2);
    assert!(ambiguous.contains("1.1.0 is hub 1.1.0 and hub/core 1.1.0: say which"), "{ambiguous}");
    let shown = life.ok(&["show", "core 1.1.0"]);
    assert!(
        shown.contains("component         core\n") && shown.contains("files             all there\n"),
        "{shown}"
    );
    assert_eq!(life.json(&["show", "hub 1.1.0"])["component"], Value::Null);
    let channel = life.ok(&["channel", "show"]);
    assert!(
        channel.contains("  hub/core 1.3.0  all devices") && channel.contains("  hub 1.2.0  all devices"),
        "{channel}"
    );

    // Promote: what, or its newest; without either, there are two that could be meant.
    let (_, which) = life.acts(&["promote", "staging", "production"], 1);
    assert!(which.contains("hub 1.2.0") || which.contains("more than one release (hub"), "{which}");
    life.acts(&["promote", "staging", "production", "hub 1.2.0"], 0);
    let (promoted, _) =
        life.acts(&["promote", "staging", "production", "--component", "core", "--waves", "10%"], 0);
    assert!(
        promoted.starts_with("promoted hub/core 1.3.0 from staging into production: 1 waves"),
        "{promoted}"
    );
    life.acts(&["rollout", "production", "hub/core 1.3.0", "pause"], 0);
    life.acts(&["rollout", "production", "core", "everyone"], 0);
    let (_, nothing) = life.acts(&["promote", "staging", "production", "hub/core"], 3);
    assert!(nothing.contains("nothing to promote"), "{nothing}");

    // A channel's image and its component are pinned, attested and withdrawn one by one.
    life.acts(&["channel", "pin", "production", "core 1.3.0"], 0);
    life.acts(&["channel", "unpin", "production", "core 1.3.0"], 0);
    let (gone, _) = life.acts(&["withdraw", "production", "core 1.3.0", "--reason", "leaks"], 0);
    assert!(
        gone.contains("withdrew hub/core 1.3.0") && gone.contains("has nothing else of hub/core"),
        "{gone}"
    );
    let production = life.json(&["channel", "show", "production"]);
    assert_eq!(production["channels"][0]["withdrawn"][0]["component"], "core");
    assert_eq!(production["channels"][0]["offers"].as_array().unwrap().len(), 1, "the image stays");

    life.fsck(&life.repo, &["--deep"], 0);
    let audit = life.ok(&["audit"]);
    for act in ["hub/core 1.1.0", "hub/core 1.3.0 from staging", "hub/core 1.3.0: leaks"] {
        assert!(audit.contains(act), "{act}: {audit}");
    }
    let site = life.path("site");
    life.ok(&["site", "--out", &site]);
    let page = fs::read_to_string(PathBuf::from(&site).join("index.html")).unwrap();
    assert!(page.contains("<h3>hub/core 1.3.0") && page.contains("<h3>hub 1.2.0"), "{page}");
}

#[test]
fn a_copy_has_the_components_too_and_a_lost_claim_is_made_again() {
    let life = Life::new(1);
    publish(&life, &component(&life, "2.0.0", "a", &[]));
    let copy = life.path("copy");
    life.ok(&["sync", &copy, "--everything"]);
    life.fsck(&copy, &["--deep"], 0);
    let claim = names::version(("hub", Some("core")), &semver::Version::new(2, 0, 0));
    let there = store(&life).get(&claim, 128).unwrap();
    store(&life).delete(&claim).unwrap();
    let told = life.fsck(&life.repo, &[], 0);
    assert!(told.starts_with("unnamed    versions/hub/core/2.0.0  is gone"), "{told}");
    life.fsck(&life.repo, &["--repair"], 0);
    assert_eq!(store(&life).get(&claim, 128).unwrap(), there);
    // Another release of that version is refused.
    let other = component(&life, "2.0.0", "b", &["--force"]);
    let (_, taken) = life.acts(&["publish", other.to_str().unwrap(), "--progress", "quiet"], 6);
    assert!(taken.contains("hub/core 2.0.0"), "{taken}");
}

#[test]
fn deltas_of_components_are_wanted_made_and_proven() {
    let life = Life::new(1);
    let (old, new) = (component(&life, "2.0.0", "a", &[]), component(&life, "2.1.0", "a", &[]));
    publish(&life, &old);
    publish(&life, &new);
    let wanted = life.json(&["deltas", "staging"]);
    let command = wanted["deltas"][0]["command"].as_str().unwrap();
    assert!(command.contains("--from hub-core-2.0.0.bundle hub-core-2.1.0.bundle"), "{command}");
    let (old, new, key, root) =
        (old.to_str().unwrap(), new.to_str().unwrap(), life.path("release.key"), life.path("1.root"));
    life.ok(&["delta", "--from", old, new, "--key", &key, "--root", &root, "--progress", "quiet"]);
    let delta = life.path("hub-core-2.1.0-from-2.0.0.delta");
    life.acts(&["publish", new, &delta, "--progress", "quiet"], 0);
    assert_eq!(life.json(&["deltas", "staging"])["missing"], 0);
    life.fsck(&life.repo, &["--deep"], 0);
    let costs = life.ok(&["diff", old, new, "--root", &root, "--progress", "quiet"]);
    assert!(costs.starts_with("hub/core 2.0.0 to 2.1.0") && costs.contains("the archive"), "{costs}");
}

#[test]
fn an_image_is_published_after_what_it_brings_along() {
    let life = Life::new(1);
    let core = component(&life, "2.0.0", "a", &[]);
    let (key, root) = (life.path("release.key"), life.path("1.root"));
    let (system, boot) = (life.path("system"), life.path("boot"));
    let image = |version: &str, bind: &str, code| {
        let out = life.path(&format!("image-{version}.bundle"));
        let build = [
            "build",
            "--product",
            "hub",
            "--version",
            version,
            "--board",
            "pi4",
            "--system",
            &system,
            "--boot",
            &boot,
            "--key",
            &key,
            "--root",
            &root,
            "--out",
            &out,
            "--level",
            "3",
            "--progress",
            "quiet",
            "--bind",
            bind,
        ];
        (life.ends(&build, code).1, out.clone())
    };
    let (missing, _) = image("3.0.0", "core=2.0.0", 2);
    assert!(
        missing.contains("has no hub/core 2.0.0") && missing.contains("search --component core"),
        "{missing}"
    );
    let (_, bundle) = image("3.0.0", core.to_str().unwrap(), 0);
    assert!(life.ok(&["inspect", &bundle]).contains("brings along      core 2.0.0\n"));
    let (_, first) = life.acts(&["publish", &bundle, "--progress", "quiet"], 6);
    assert!(
        first.contains("hub 3.0.0 brings hub/core 2.0.0 along, and channel staging doesn't offer that"),
        "{first}"
    );
    publish(&life, &core);
    life.acts(&["publish", &bundle, "--progress", "quiet"], 0);
    let (_, first) = life.acts(&["promote", "staging", "production", "hub 3.0.0"], 6);
    assert!(first.contains("publish or promote hub/core 2.0.0 into it first"), "{first}");
    life.acts(&["promote", "staging", "production", "core"], 0);
    life.acts(&["promote", "staging", "production", "hub 3.0.0"], 0);
    let (_, again) = image("3.1.0", "core=2.0.0", 0);
    assert_ne!(again, bundle);

    // The image stays, and so does what it needs, however old.
    publish(&life, &component(&life, "2.1.0", "b", &[]));
    let (_, needed) = life.acts(&["retire", "staging", "core 2.0.0"], 6);
    assert!(needed.contains("stays on offer in channel staging: hub 3.0.0 brings it along"), "{needed}");
    let (gone, _) = life.acts(&["withdraw", "staging", "core 2.0.0", "--reason", "slow"], 0);
    assert!(
        gone.contains("warning: hub 3.0.0 brings it along: no device can install that from staging"),
        "{gone}"
    );
    let (withdrawn, _) = image("3.2.0", "core=2.0.0", 2);
    assert!(withdrawn.contains("it was withdrawn"), "{withdrawn}");
    life.acts(&["withdraw", "production", "core 2.0.0", "--reason", "slow"], 0);
    let (pruned, _) = life.acts(&["prune", "--keep", "0", "--max-size", "1K"], 0);
    assert!(pruned.contains("critical: ") && pruned.contains(" before, "), "{pruned}");
    assert!(life.ok(&["show", "core 2.0.0"]).contains("files             all there\n"));
}
