//! An image that brings two components along: they are switched with its slot, one verdict counts for all, and the way back is that of
//! the slot.
use crate::{
    components::HEALTH,
    fixture::{self, product},
    pi::{Ended, Pi},
};
use bistable_boot::Slot;
use bistable_image::{
    Silent,
    build::{self, BoundRelease, Input},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

const CONFIG: &str = r#"
[component.core]
kind = "directory"
unit = "core.service"
path = "/opt/core"
mode = "check"
[component.lamp]
kind = "directory"
unit = "lamp.service"
path = "/opt/lamp"
"#;

/// Both answer with their versions; version 3.0.0 of `lamp` answers with the one before.
fn world() -> String {
    let mut world =
        format!("{}\"core.service\" = \"active\"\n\"lamp.service\" = \"active\"\n", fixture::WORLD);
    for (name, port) in [("core", 80), ("lamp", 81)] {
        for (version, says) in [("1.0.0", "1.0.0"), ("2.0.0", "2.0.0"), ("3.0.0", "2.0.0")] {
            let says = if name == "lamp" { says } else { version };
            world.push_str(&format!(
                "[[component]]\nname = \"{name}\"\nversion = \"{version}\"\n\
                 http.\"http://127.0.0.1:{port}/health\" = {{ body = '{{\"version\":\"{says}\"}}' }}\n"
            ));
        }
    }
    world
}

/// The bundle of a version of a component.
fn component(pi: &Pi, name: &str, version: &str) -> PathBuf {
    let out = pi.path(&format!("{name}-{version}.bundle"));
    if !out.exists() {
        let tree = pi.path(&format!("tree-{name}-{version}"));
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("run"), format!("{name} {version}")).unwrap();
        let mut options = product().options(version, [tree.clone(), tree.clone(), out.clone()]);
        options.input = Input::Tree { component: name.into(), tree };
        options.health = if name == "lamp" { HEALTH.replace(":80/", ":81/") } else { HEALTH.into() };
        build::build(&options, &Silent).unwrap();
    }
    out
}

/// The bundle of an image that binds versions of both.
fn image(pi: &Pi, version: &str, binds: [&str; 2]) -> PathBuf {
    let (system, boot) = (pi.path("system"), pi.path("boot"));
    fs::create_dir_all(&system).unwrap();
    fs::create_dir_all(&boot).unwrap();
    fs::write(
        system.join("app"),
        fixture::noise(version.len() as u64 + u64::from(version.as_bytes()[0]), 300_000),
    )
    .unwrap();
    fs::write(boot.join("kernel8.img"), fixture::noise(7, 100_000)).unwrap();
    let out = pi.path(&format!("image-{version}.bundle"));
    let mut options = product().options(version, [system, boot, out.clone()]);
    options.security_version = 2;
    options.health = fixture::HEALTH.into();
    options.binds =
        ["core", "lamp"].iter().zip(binds).map(|(name, of)| bound(&component(pi, name, of))).collect();
    build::build(&options, &Silent).unwrap();
    out
}

fn bound(bundle: &Path) -> BoundRelease {
    let opened =
        bistable::steps::install::Bundle::open(fs::File::open(bundle).unwrap(), &product().root.root)
            .unwrap();
    let identity = bistable_format::release::identity(&opened.signed);
    BoundRelease { release: opened.release, identity }
}

fn pi() -> Pi {
    let pi = Pi::new();
    pi.config(CONFIG);
    pi.world(&world());
    for name in ["core", "lamp"] {
        fs::create_dir_all(pi.path("card.img.sim/root/opt")).unwrap();
        let path = pi.path(&format!("card.img.sim/root/opt/{name}"));
        symlink(format!("/run/bistable/components/{name}"), path).unwrap();
    }
    pi
}

/// What systemd runs at a boot, before the services, and then `bistable-resume.service`.
fn boot(pi: &Pi) -> Ended {
    pi.run("component links").must(0, &[]);
    pi.run("resume")
}

/// What people and programs find where a component is.
fn shown(pi: &Pi, name: &str) -> Option<String> {
    fs::read_to_string(pi.path(&format!("card.img.sim/run/bistable/components/{name}/run"))).ok()
}

fn both(pi: &Pi) -> [Option<String>; 2] {
    ["core", "lamp"].map(|name| shown(pi, name))
}

fn versions(of: &str) -> [Option<String>; 2] {
    ["core", "lamp"].map(|name| Some(format!("{name} {of}")))
}

fn status(pi: &Pi, name: &str) -> Value {
    pi.run(&format!("component show {name} --json")).must(0, &[]).json()["components"][0].clone()
}

/// Versions of a component that lie on the device.
fn stored(pi: &Pi, name: &str) -> usize {
    let folder = pi.path(&format!("card.img.sim/persistent/bistable/components/{name}"));
    let entries = fs::read_dir(folder).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    entries.iter().filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir()).count()
}

/// The device runs an image that binds 1.0.0 of both.
fn bound_device(pi: &Pi) {
    pi.run_on("update", &image(pi, "2.0.0", ["1.0.0", "1.0.0"])).must(0, &["booting slot B once"]);
    boot(pi).must(0, &["slot B is the default now"]);
    assert_eq!(both(pi), versions("1.0.0"));
}

#[test]
fn image_and_components_are_switched_together_and_go_back_together() {
    let pi = pi();
    bound_device(&pi);
    let core = status(&pi, "core");
    assert_eq!(
        (&core["version"], &core["lifecycle"], &core["bound"]["image"]),
        (&json!("1.0.0"), &json!("running"), &json!("greenhouse 2.0.0"))
    );
    let listed = pi.run("component list").must(0, &[]).out;
    assert!(listed.contains("core  1.0.0  running  bound by greenhouse 2.0.0"), "{listed}");
    let drawn = pi.run("status --ascii").must(0, &[]).out;
    assert!(drawn.contains("bound by greenhouse 2.0.0"), "{drawn}");
    // The next one, right after it.
    pi.run_on("update", &image(&pi, "3.0.0", ["2.0.0", "2.0.0"])).must(0, &["booting slot A once"]);
    boot(&pi).must(0, &["slot A is the default now"]);
    assert_eq!(both(&pi), versions("2.0.0"));
    assert_eq!([stored(&pi, "core"), stored(&pi, "lamp")], [2, 2], "those of both slots are kept");
    // The operator wants the old image back: all of it is tested like any other.
    pi.run("revert").must(0, &["booting slot B once"]);
    boot(&pi).must(0, &["slot B is the default now"]);
    assert_eq!(both(&pi), versions("1.0.0"));
    // An image that keeps one of them: only the other one is needed, and what no slot binds any more goes.
    pi.run_on("update", &image(&pi, "4.0.0", ["1.0.0", "2.0.0"])).must(0, &["booting slot A once"]);
    boot(&pi).must(0, &["slot A is the default now"]);
    assert_eq!(both(&pi), [Some("core 1.0.0".into()), Some("lamp 2.0.0".into())]);
    assert_eq!([stored(&pi, "core"), stored(&pi, "lamp")], [1, 2]);
}

#[test]
fn one_sick_component_takes_all_of_them_back() {
    let pi = pi();
    bound_device(&pi);
    let flag = pi.run("status --json").must(0, &[]).json()["default"].clone();
    pi.run_on("update", &image(&pi, "3.0.0", ["2.0.0", "3.0.0"])).must(0, &["booting slot A once"]);
    boot(&pi).must(8, &["lamp: web", "it says 2.0.0"]);
    boot(&pi).must(0, &[]);
    assert_eq!(both(&pi), versions("1.0.0"));
    let status = pi.status();
    assert_eq!((&status["default"], &status["booted"]), (&flag, &json!("B")));
    assert_eq!(status["rejected"][0]["version"], json!("3.0.0"));
    assert_eq!(status["components"][0]["version"], json!("1.0.0"));
}

#[test]
fn power_cut_in_the_trial_leaves_the_old_versions() {
    let pi = pi();
    bound_device(&pi);
    pi.run_on("update", &image(&pi, "3.0.0", ["2.0.0", "2.0.0"])).must(0, &["booting slot A once"]);
    pi.run("component links").must(0, &[]);
    assert_eq!(both(&pi), versions("2.0.0"));
    let before = [fs::read(&pi.card).unwrap(), persistent(&pi)];
    pi.run("sim power off").must(0, &[]);
    pi.run("sim power on").must(0, &[]);
    pi.run("component links").must(0, &[]);
    assert_eq!(both(&pi), versions("1.0.0"));
    assert!([fs::read(&pi.card).unwrap(), persistent(&pi)] == before, "nothing is written for it");
}

/// All names below the components.
fn persistent(pi: &Pi) -> Vec<u8> {
    let listed = std::process::Command::new("find")
        .arg(pi.path("card.img.sim/persistent/bistable/components"))
        .args(["-printf", "%P %l %s %T@\n"])
        .output()
        .unwrap();
    listed.stdout
}

#[test]
fn component_that_cannot_be_had_leaves_everything_as_it_is() {
    let pi = pi();
    let image = image(&pi, "2.0.0", ["1.0.0", "1.0.0"]);
    let lamp = component(&pi, "lamp", "1.0.0");
    fs::rename(&lamp, pi.path("lamp.away")).unwrap();
    let before = fs::read(&pi.card).unwrap();
    let why = ["release 2.0.0 brings component lamp 1.0.0 along, which is not on this device"];
    pi.run_on("install --dry-run", &image).must(75, &why);
    pi.run_on("update", &image).must(75, &why);
    assert!(fs::read(&pi.card).unwrap() == before, "nothing is written");
    assert_eq!(stored(&pi, "core"), 0);
    pi.is_unharmed();
    fs::rename(pi.path("lamp.away"), &lamp).unwrap();
    pi.run_on("update", &image).must(0, &["booting slot B once"]);
    // What was lost since is missing at the trial: it goes back, and nothing is rejected.
    fs::remove_dir_all(pi.path("card.img.sim/persistent/bistable/components/lamp")).unwrap();
    boot(&pi).must(75, &["component lamp 1.0.0"]);
    boot(&pi).must(0, &[]);
    let status = pi.status();
    assert_eq!((&status["booted"], &status["rejected"]), (&json!("A"), &json!([])));
}

#[test]
fn component_that_an_image_binds_changes_with_the_image_only() {
    let pi = pi();
    // It was installed by itself before, and comes back with an image that doesn't bind it.
    pi.run_on("component update core", &component(&pi, "core", "2.0.0")).must(0, &["2.0.0 is committed"]);
    bound_device(&pi);
    assert_eq!(status(&pi, "core")["bound"]["instead_of"], json!("2.0.0"));
    let why = ["greenhouse 2.0.0 brings core 1.0.0 along: this component changes with the image only"];
    let newer = component(&pi, "core", "3.0.0");
    pi.run_on("component update core", &newer).must(6, &why);
    pi.run_on("component install core", &newer).must(6, &why);
    for verb in ["resume", "revert", "stop", "start", "reset", "remove"] {
        pi.run(&format!("component {verb} core")).must(6, &why);
    }
    assert_eq!(both(&pi), versions("1.0.0"));
    pi.run("revert").must(0, &["booting slot A once"]);
    boot(&pi).must(0, &["slot A is the default now"]);
    assert_eq!(both(&pi), [Some("core 2.0.0".into()), None]);
    // Slot B still binds 1.0.0: an update by itself doesn't take it away.
    pi.run_on("component update core", &newer).must(0, &["3.0.0 is committed"]);
    pi.run("revert").must(0, &["booting slot B once"]);
    boot(&pi).must(0, &["slot B is the default now"]);
    assert_eq!(both(&pi), versions("1.0.0"));
    assert_eq!(pi.status()["booted"], json!(Slot::B));
}

#[test]
fn version_that_was_lost_is_put_back() {
    let pi = pi();
    bound_device(&pi);
    fs::remove_dir_all(pi.path("card.img.sim/persistent/bistable")).unwrap();
    pi.run("sim power off").must(0, &[]);
    pi.run("sim power on").must(0, &[]);
    // Nothing is tried: the system starts without them.
    pi.run("component links").must(0, &[]);
    assert_eq!(both(&pi), [None, None]);
    let core = status(&pi, "core");
    assert_eq!((&core["lifecycle"], &core["bound"]["missing"]), (&json!("failed"), &json!(true)));
    pi.run_on("component update core", &component(&pi, "core", "2.0.0"))
        .must(6, &["brings core 1.0.0 along"]);
    for name in ["core", "lamp"] {
        let bundle = component(&pi, name, "1.0.0");
        pi.run_on(&format!("component update {name}"), &bundle).must(0, &[]);
        pi.run_on(&format!("component update {name}"), &bundle).must(6, &["changes with the image only"]);
    }
    assert_eq!(both(&pi), versions("1.0.0"));
    assert_eq!(status(&pi, "core")["lifecycle"], json!("running"));
}

#[test]
fn image_that_binds_containers_is_refused_before_anything_is_written() {
    let pi = pi();
    let image = image(&pi, "2.0.0", ["1.0.0", "1.0.0"]);
    let config = CONFIG.replacen(
        "kind = \"directory\"\nunit = \"core.service\"\npath = \"/opt/core\"",
        "kind = \"containers\"\nproject = \"hub\"\nservice = \"core\"",
        1,
    );
    pi.config(&config);
    let before = fs::read(&pi.card).unwrap();
    pi.run_on("update", &image).must(6, &["it brings component core 1.0.0 along: it is containers"]);
    assert!(fs::read(&pi.card).unwrap() == before, "nothing is written");
}
