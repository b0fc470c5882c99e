//! Releases of containers in a repository: every verb knows them, with all of their layers, manifests and configurations.
use crate::life::Life;
use bistable_format::{Content, Digest, repository as names};
use bistable_image::repository::Store;
use bistable_image::repository::store::Missing;
use bistable_image::verify;
use bistable_kit::product::noise;
use serde_json::json;
use std::fs;

/// A tar with these files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// `hub/web` of a version: a base that stays, and what changes above it.
fn web(life: &Life, version: &str) -> String {
    let layers = [tar(&[("lib", &noise(3, 900_000))]), tar(&[("app", version.repeat(9_000).as_bytes())])];
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", Digest::of(layer))).collect();
    let config = json!({
        "architecture": "arm64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": ["web:1"], "Layers": ["1.tar", "2.tar"]}]);
    let saved = tar(&[
        ("config.json", config.to_string().as_bytes()),
        ("1.tar", &layers[0]),
        ("2.tar", &layers[1]),
        ("manifest.json", manifest.to_string().as_bytes()),
    ]);
    fs::write(life.path("web.tar"), saved).unwrap();
    fs::write(life.path("compose.yaml"), "services:\n  web:\n    image: web:1\n").unwrap();
    let out = life.path(&format!("hub-web-{version}.bundle"));
    let (compose, image) = (life.path("compose.yaml"), format!("docker-archive:{}", life.path("web.tar")));
    let (key, root) = (life.path("release.key"), life.path("1.root"));
    let what =
        ["build", "--component", "web", "--kind", "containers", "--compose", &compose, "--image", &image];
    let of = ["--product", "hub", "--version", version, "--board", "pi4", "--key", &key, "--root", &root];
    life.ok(&[&what[..], &of, &["--out", &out, "--level", "3", "--progress", "quiet"]].concat());
    out
}

#[test]
fn every_verb_knows_containers() {
    let life = Life::new(1);
    let (old, new) = (web(&life, "2.0.0"), web(&life, "2.1.0"));
    life.acts(&["publish", &old, "--progress", "quiet"], 0);
    life.acts(&["publish", &new, "--progress", "quiet"], 0);
    let listed = life.json(&["list", "--component", "web"]);
    assert_eq!(listed["releases"].as_array().unwrap().len(), 2);
    assert_eq!(life.json(&["search", "web", "2.1"])["releases"].as_array().unwrap().len(), 1);
    let shown = life.ok(&["show", "web 2.1.0"]);
    assert!(shown.contains("files             all there\n"), "{shown}");
    life.acts(&["promote", "staging", "production", "web 2.1.0"], 0);
    life.fsck(&life.repo, &["--deep"], 0);
    assert!(life.ok(&["audit"]).contains("hub/web 2.1.0 from staging"));
    life.ok(&["site", "--out", &life.path("site")]);
    let page = fs::read_to_string(life.path("site/index.html")).unwrap();
    assert!(page.contains("<h3>hub/web 2.1.0"), "{page}");

    // The layer below is copied, and what changed is small.
    let (key, root) = (life.path("release.key"), life.path("1.root"));
    let wanted = life.json(&["deltas", "staging"]);
    assert!(
        wanted["deltas"][0]["command"].as_str().unwrap().contains("--from hub-web-2.0.0.bundle"),
        "{wanted}"
    );
    life.ok(&["delta", "--from", &old, &new, "--key", &key, "--root", &root, "--progress", "quiet"]);
    life.acts(&["publish", &new, &life.path("hub-web-2.1.0-from-2.0.0.delta"), "--progress", "quiet"], 0);
    assert_eq!(life.json(&["deltas", "staging"])["missing"], 0);
    let costs = life.ok(&["diff", &old, &new, "--root", &root, "--progress", "quiet"]);
    assert!(costs.starts_with("hub/web 2.0.0 to 2.1.0"), "{costs}");

    // A copy has all of it, and what is lost is missed.
    let copy = life.path("copy");
    life.ok(&["sync", &copy, "--everything"]);
    life.fsck(&copy, &["--deep"], 0);
    let root = bistable_image::root::read(root.as_ref()).unwrap();
    let release = verify::open(new.as_ref(), &root.root).unwrap().release().clone();
    let Content::Containers(containers) = release.content else { panic!("{:?}", release.content) };
    let at = |digest: &Digest| names::blob(digest);
    let copied = Store::open(&copy, Missing::Refuse).unwrap();
    let parts = [containers.services[0].manifest, containers.blobs[1].digest, containers.layers[1].data];
    for part in parts {
        copied.delete(&at(&part)).unwrap();
        let told = life.fsck(&copy, &[], 5);
        assert!(told.contains(&part.to_string()), "{told}");
        life.ok(&["sync", &copy, "--everything"]);
        life.fsck(&copy, &["--deep"], 0);
    }

    // The old one goes, with what only it had; the layer that both have stays.
    life.acts(&["withdraw", "staging", "web 2.0.0", "--reason", "old"], 0);
    life.acts(&["prune", "--keep", "0", "--max-size", "1K"], 0);
    life.fsck(&life.repo, &["--deep"], 0);
    assert!(life.ok(&["show", "web 2.1.0"]).contains("files             all there\n"));
    let shared = Store::open(&life.repo, Missing::Refuse).unwrap().size(&at(&containers.layers[0].data));
    assert!(shared.unwrap().is_some());
}
