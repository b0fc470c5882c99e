//! The SBOM of a release, from the tree that is packed to the packages that an update changes.
use crate::cli::at;
use crate::life::Life;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// dpkg's database of these packages.
fn status(packages: &[(&str, &str)]) -> String {
    let one = |(name, version): &(&str, &str)| {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: arm64\nVersion: {version}\n\n")
    };
    packages.iter().map(one).collect()
}

fn put(folder: &str, path: &str, text: &str) {
    let path = Path::new(folder).join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// `build` of an image of `system`, or of a component of it, and what it said.
fn build(life: &Life, version: &str, of: &[&str], sbom: &[&str], code: i32) -> (String, String) {
    let args = [
        &["build", "--product", "hub", "--version", version, "--board", "pi4", "--level", "1"][..],
        &["--key", &life.path("release.key"), "--root", &life.path("1.root")],
        &["--out", &life.path(&format!("{version}.bundle")), "--force", "--progress", "quiet", "--json"],
        of,
        sbom,
    ];
    at(&life.repo, &args.concat(), code)
}

fn image(life: &Life, version: &str, packages: &[(&str, &str)], sbom: &[&str]) -> Value {
    let (system, boot) = (life.path("packed"), life.path("packed-boot"));
    put(&system, "var/lib/dpkg/status", &status(packages));
    put(&system, "usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    put(&system, "opt/app/lib/six-1.16.0.dist-info/METADATA", "Name: six\nVersion: 1.16.0\n\n");
    put(&boot, "config.txt", "arm_64bit=1\n");
    let of = ["--system", &system, "--boot", &boot, "--boot-size", "4M"];
    bistable_schema::object(&build(life, version, &of, sbom, 0).0)
}

fn publish(life: &Life, version: &str) {
    life.acts(&["publish", &life.path(&format!("{version}.bundle")), "--progress", "quiet"], 0);
}

const OLD: &[(&str, &str)] = &[("curl", "8.5.0-2"), ("telnet", "0.17"), ("tzdata", "2025a")];
const NEW: &[(&str, &str)] = &[("curl", "8.5.0-2+deb12u1"), ("nftables", "1.0.6"), ("tzdata", "2025a")];

#[test]
fn the_packages_that_an_update_changes() {
    let life = Life::new(0);
    let old = image(&life, "2.0.0", OLD, &["--sbom", "auto"]);
    assert_eq!((&old["sbom"]["packages"], &old["sbom"]["cyclonedx"]), (&json!(4), &json!("1.6")));
    let new = image(&life, "2.1.0", NEW, &["--sbom", "auto"]);
    assert_eq!(image(&life, "2.2.0", NEW, &[])["sbom"], Value::Null);
    for version in ["2.0.0", "2.1.0", "2.2.0"] {
        life.ok(&["verify", &life.path(&format!("{version}.bundle")), "--root", &life.path("1.root")]);
        publish(&life, version);
    }

    let shown = life.ok(&["show", "2.1.0"]);
    let digest = new["sbom"]["sha256"].as_str().unwrap();
    assert!(shown.contains("\npackages          4 in the SBOM (CycloneDX 1.6, "), "{shown}");
    assert!(shown.contains(&format!("\nsbom              blobs/sha256/{digest}\n")), "{shown}");
    assert_eq!(life.json(&["show", "2.1.0"])["sbom"], new["sbom"]);
    assert!(life.ok(&["show", "2.2.0"]).contains("\npackages          unknown: no SBOM\n"));
    // Everybody may have it, and it says what it is of.
    let file = fs::read(format!("{}/blobs/sha256/{digest}", life.repo)).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(file["metadata"]["component"]["version"], "2.1.0");
    assert_eq!(
        file["components"][0]["purl"],
        "pkg:deb/debian/curl@8.5.0-2%2Bdeb12u1?arch=arm64&distro=debian-12"
    );

    let changes = life.ok(&["show", "2.0.0..2.1.0"]);
    assert_eq!(
        changes,
        "from hub 2.0.0 to hub 2.1.0: 1 package added, 1 removed, 1 changed\n\
         added     deb      nftables 1.0.6\n\
         removed   deb      telnet 0.17\n\
         changed   deb      curl 8.5.0-2 -> 8.5.0-2+deb12u1\n"
    );
    let changes = life.json(&["show", "2.0.0..2.1.0"]);
    assert_eq!(changes["added"], json!([{"kind": "deb", "name": "nftables", "version": "1.0.6"}]));
    assert_eq!(changes["removed"], json!([{"kind": "deb", "name": "telnet", "version": "0.17"}]));
    let curl = json!([{"kind": "deb", "name": "curl", "from": ["8.5.0-2"], "to": ["8.5.0-2+deb12u1"]}]);
    assert_eq!(changes["changed"], curl);
    assert_eq!(changes["from"]["sbom"]["sha256"], old["sbom"]["sha256"]);
    assert!(life.ok(&["show", "2.1.0..2.1.0"]).contains("0 packages added, 0 removed, 0 changed\n"));
    let (_, told) = life.ends(&["show", "2.1.0..2.2.0"], 3);
    assert!(told.contains("hub 2.2.0 has no SBOM: build releases with --sbom"), "{told}");
    let (_, told) = life.ends(&["show", "2.1.0..9.9.9"], 3);
    assert!(told.contains("no release 9.9.9"), "{told}");
}

#[test]
fn copies_and_checks_count_the_sbom_as_part_of_its_release() {
    let life = Life::new(0);
    let sbom = image(&life, "2.0.0", OLD, &["--sbom", "auto"])["sbom"].clone();
    publish(&life, "2.0.0");
    let path = format!("blobs/sha256/{}", sbom["sha256"].as_str().unwrap());
    let copy = life.path("copy");
    life.ok(&["sync", &copy]);
    assert!(Path::new(&copy).join(&path).exists());
    let shown = bistable_schema::object(&at(&copy, &["show", "2.0.0", "--json"], 0).0);
    assert_eq!(shown["sbom"], sbom);
    // A deep check reads it; a prune keeps it as long as its release.
    life.fsck(&life.repo, &["--deep"], 0);
    life.acts(&["prune", "--keep", "1", "--older-than", "1s"], 0);
    let file = Path::new(&life.repo).join(&path);
    let bytes = fs::read(&file).unwrap();

    let mut other = bytes.clone();
    other[20] ^= 1;
    fs::remove_file(&file).unwrap();
    fs::write(&file, &other).unwrap();
    let report = life.fsck(&life.repo, &["--deep"], 5);
    assert!(report.contains(&path), "{report}");
    let shown = life.ok(&["show", "2.0.0"]);
    assert!(shown.contains("packages          unknown: ") && shown.contains("is damaged"), "{shown}");
    let (_, told) = life.ends(&["show", "2.0.0..2.0.0"], 5);
    assert!(told.contains(&format!("{path} of ")) && told.contains("fsck --deep --repair"), "{told}");
    assert!(life.json(&["show", "2.0.0"])["sbom"]["problem"].as_str().unwrap().contains("is damaged"));

    // What it advises.
    life.ends(&["fsck", "--deep", "--repair"], 5);
    let report = life.fsck(&life.repo, &[], 5);
    assert!(report.contains(&format!("{path}: ")) || report.contains(&path), "{report}");
    assert!(life.ok(&["show", "2.0.0"]).contains(&format!("lacks {path}, the SBOM of hub 2.0.0")));
    publish(&life, "2.0.0");
    life.fsck(&life.repo, &["--deep"], 0);
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[test]
fn a_file_is_taken_as_it_is_and_a_component_has_an_sbom_too() {
    let life = Life::new(0);
    let given = life.path("given.cdx.json");
    let text = r#"{ "bomFormat": "CycloneDX", "specVersion": "1.5",
        "components": [ {"type":"library","name":"core","version":"2.0.0","purl":"pkg:generic/core@2.0.0"} ] }"#;
    fs::write(&given, text).unwrap();
    let tree = life.path("core");
    put(&tree, "bin/core", "x");
    let of = ["--component", "core", "--kind", "directory", "--tree", &tree];
    let made = bistable_schema::object(&build(&life, "2.0.0", &of, &["--sbom", &given], 0).0);
    assert_eq!(made["sbom"]["packages"], 1);
    publish(&life, "2.0.0");
    let digest = made["sbom"]["sha256"].as_str().unwrap();
    assert_eq!(fs::read_to_string(format!("{}/blobs/sha256/{digest}", life.repo)).unwrap(), text);

    put(&tree, "lib/python3.11/site-packages/idna-3.7.dist-info/METADATA", "Name: idna\nVersion: 3.7\n\n");
    build(&life, "2.1.0", &of, &["--sbom", "auto"], 0);
    publish(&life, "2.1.0");
    let changes = life.ok(&["show", "core 2.0.0..2.1.0"]);
    assert_eq!(
        changes,
        "from hub/core 2.0.0 to hub/core 2.1.0: 1 package added, 1 removed, 0 changed\n\
         added     pypi     idna 3.7\n\
         removed   generic  core 2.0.0\n"
    );
}

#[test]
fn what_is_no_sbom_and_what_cannot_become_one_is_refused_with_a_way_forward() {
    let life = Life::new(0);
    let tree = life.path("core");
    put(&tree, "bin/core", "x");
    let of = ["--component", "core", "--kind", "directory", "--tree", &tree];
    let given = life.path("given.json");
    for (text, words) in [
        (r#"{"spdxVersion":"SPDX-2.3"}"#, "its bomFormat is missing, and CycloneDX is wanted"),
        ("not json", "it is not CycloneDX in JSON"),
        (
            r#"{"bomFormat":"CycloneDX","specVersion":"3.0"}"#,
            "its specVersion is \"3.0\": versions 1.2 to 1.7",
        ),
    ] {
        fs::write(&given, text).unwrap();
        let (_, told) = build(&life, "2.0.0", &of, &["--sbom", &given], 2);
        assert!(told.contains("given.json can't be the release's SBOM") && told.contains(words), "{told}");
    }
    let (_, told) = build(&life, "2.0.0", &of, &["--sbom", &life.path("none.json")], 2);
    assert!(told.contains("can't read "), "{told}");
    let (_, told) = build(&life, "2.0.0", &of, &["--sbom", "auto"], 2);
    assert!(
        told.contains("nothing in the tree says what is installed in it") && told.contains("--sbom FILE"),
        "{told}"
    );
    assert!(!Path::new(&life.path("2.0.0.bundle")).exists());

    // What it doesn't read, it says.
    put(&tree, "lib/apk/db/installed", "P:musl\n");
    put(&tree, "idna-3.7.dist-info/METADATA", "Name: idna\nVersion: 3.7\n\n");
    let made = bistable_schema::object(&build(&life, "2.0.0", &of, &["--sbom", "auto"], 0).0);
    let notes = made["notes"].to_string();
    assert!(notes.contains("SBOM: there are packages of apk, which are not read"), "{notes}");
}

#[test]
fn the_same_tree_gives_the_same_sbom_and_release() {
    let life = Life::new(0);
    image(&life, "2.0.0", OLD, &[]);
    let build = || {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_bistable-image"))
            .args(["build", "--product", "hub", "--version", "2.0.0", "--board", "pi4", "--level", "1"])
            .args([
                "--system",
                &life.path("packed"),
                "--boot",
                &life.path("packed-boot"),
                "--boot-size",
                "4M",
            ])
            .args(["--key", &life.path("release.key"), "--root", &life.path("1.root"), "--sbom", "auto"])
            .args(["--out", &life.path("x.bundle"), "--force", "--progress", "quiet"])
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let told = String::from_utf8(out.stdout).unwrap();
        assert!(told.contains("\npackages  4 in the SBOM (CycloneDX 1.6, "), "{told}");
        fs::read(life.path("x.bundle")).unwrap()
    };
    let first = build();
    assert!(first == build());
    let time = b"\"timestamp\":\"2023-11-14T22:13:20Z\"";
    assert!(first.windows(time.len()).any(|w| w == time));
}
