//! `bistable component`: an application's folder is updated beside the slots.
use crate::{
    fixture::product,
    pi::{Ended, Pi},
};
use bistable_image::{
    Silent,
    build::{self, Input},
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::symlink, path::PathBuf};

const CONFIG: &str = r#"
[component.core]
kind = "directory"
unit = "core.service"
path = "/opt/core"
"#;

/// Version 1.1.0 answers with the version before, and the service of 1.2.0 ends at once.
const WORLD: &str = r#"
[units]
"app.service" = "active"
"core.service" = "active"
[[component]]
name = "core"
version = "1.0.0"
http."http://127.0.0.1:80/health" = { body = '{"version":"1.0.0"}' }
[[component]]
name = "core"
version = "1.0.1"
http."http://127.0.0.1:80/health" = { body = '{"version":"1.0.1"}' }
[[component]]
name = "core"
version = "1.1.0"
http."http://127.0.0.1:80/health" = { body = '{"version":"1.0.0"}' }
[[component]]
name = "core"
version = "1.2.0"
units."core.service" = "failed"
"#;

const HEALTH: &str = r#"
deadline_s = 30
settle_s = 2
[[check]]
name = "web"
kind = "http"
url = "http://127.0.0.1:80/health"
expect_version = true
"#;

/// The bundle of a version of `core`, as the host builds it.
fn bundle(pi: &Pi, version: &str) -> PathBuf {
    let out = pi.path(&format!("core-{version}.bundle"));
    if out.exists() {
        return out;
    }
    let tree = pi.path(&format!("tree-{version}"));
    fs::create_dir_all(tree.join("bin")).unwrap();
    fs::write(tree.join("bin/core"), format!("#!/bin/sh\necho {version}\n")).unwrap();
    symlink("bin/core", tree.join("run")).unwrap();
    let mut options = product().options(version, [tree.clone(), tree.clone(), out.clone()]);
    options.input = Input::Tree { component: "core".into(), tree };
    options.health = HEALTH.into();
    build::build(&options, &Silent).unwrap();
    out
}

fn pi() -> Pi {
    let pi = Pi::new();
    pi.config(CONFIG);
    pi.world(WORLD);
    fs::create_dir_all(pi.path("card.img.sim/root/opt")).unwrap();
    symlink("/run/bistable/components/core", pi.path("card.img.sim/root/opt/core")).unwrap();
    pi
}

fn update(pi: &Pi, version: &str) -> Ended {
    let file = bundle(pi, version);
    pi.run_on("component update core", &file)
}

fn core(pi: &Pi) -> Value {
    pi.run("component show core --json").must(0, &[]).json()["components"][0].clone()
}

/// What people and programs find where the component is.
fn shown(pi: &Pi) -> Option<String> {
    fs::read_to_string(pi.path("card.img.sim/run/bistable/components/core/run")).ok()
}

#[test]
fn component_is_installed_updated_and_taken_back() {
    let pi = pi();
    let new = core(&pi);
    assert_eq!((&new["lifecycle"], &new["version"]), (&json!("registered"), &Value::Null));
    update(&pi, "1.0.0").must(0, &["self-test: done", "1.0.0 is committed"]);
    assert_eq!(shown(&pi).unwrap(), "#!/bin/sh\necho 1.0.0\n");
    update(&pi, "1.0.0").must(3, &["is what runs already"]);
    update(&pi, "1.0.1").must(0, &["1.0.1 is committed"]);
    let now = core(&pi);
    assert_eq!(
        (&now["lifecycle"], &now["version"], &now["kept"]),
        (&json!("running"), &json!("1.0.1"), &json!(["1.0.0"]))
    );
    pi.run("component revert core").must(0, &["1.0.0 is committed"]);
    assert_eq!(shown(&pi).unwrap(), "#!/bin/sh\necho 1.0.0\n");
    update(&pi, "1.0.1").must(6, &["was rejected by this device"]);
    pi.is_unharmed();
    pi.slot_a_is_untouched();
}

#[test]
fn version_that_is_not_healthy_is_given_up_and_the_old_one_runs() {
    let pi = pi();
    update(&pi, "1.0.0").must(0, &[]);
    update(&pi, "1.1.0").must(8, &["1.1.0 was given up", "it says 1.0.0"]);
    update(&pi, "1.2.0").must(8, &["core.service is failed"]);
    let core = core(&pi);
    assert_eq!((&core["lifecycle"], &core["version"]), (&json!("running"), &json!("1.0.0")));
    assert_eq!(core["rejected"].as_array().unwrap().len(), 2);
    assert_eq!(shown(&pi).unwrap(), "#!/bin/sh\necho 1.0.0\n");
    let left = fs::read_dir(pi.path("card.img.sim/persistent/bistable/components/core")).unwrap();
    assert_eq!(left.count(), 3, "a version, its release, and the link");
}

#[test]
fn links_are_written_at_boot_with_a_record_and_without_one() {
    let pi = pi();
    update(&pi, "1.0.0").must(0, &[]);
    let before = shown(&pi).unwrap();
    for is_lost in [false, true] {
        pi.run("sim power off").must(0, &[]);
        if is_lost {
            use bistable_boot::layout::{COMPONENTS, Partition};
            for at in COMPONENTS {
                pi.scribble(Partition::State, at.0 * 512, &[1; 4096]);
            }
        }
        pi.run("sim power on").must(0, &[]);
        assert_eq!(shown(&pi), None, "/run is empty after a boot");
        pi.run("component links").must(0, &[]);
        assert_eq!(shown(&pi).unwrap(), before);
    }
    pi.run("component show core")
        .must(1, &["the record of the components can't be used", "component repair"]);
    update(&pi, "1.0.1").must(1, &["component repair"]);
    pi.run("component repair").must(0, &[]);
    pi.run("component repair").must(3, &[]);
    assert_eq!(core(&pi)["version"], json!("1.0.0"));
    update(&pi, "1.0.1").must(0, &[]);
}

#[test]
fn services_wait_for_the_links_of_their_components() {
    let pi = pi();
    pi.run("component units @generated").must(0, &[]);
    let drop_in = fs::read_to_string(pi.path("generated/core.service.d/50-bistable-component.conf")).unwrap();
    assert!(drop_in.contains("Requires=bistable-components.service\nAfter=bistable-components.service\n"));
}

#[test]
fn what_is_not_a_component_is_refused_by_its_name() {
    let pi = pi();
    let good = pi.good();
    pi.run_on("component update core", &good).must(6, &["not of component core"]);
    fs::remove_file(pi.path("card.img.sim/root/opt/core")).unwrap();
    update(&pi, "1.0.0").must(1, &["/opt/core of component core does not lead to", "ln -s"]);
    symlink("/run/bistable/components/core", pi.path("card.img.sim/root/opt/core")).unwrap();
    pi.run_on("component update lamp", &good).must(2, &["no component lamp is configured"]);
    let core = bundle(&pi, "1.0.0");
    pi.run_on("install", &core).must(6, &["component core"]);
    let mut damaged = fs::read(&core).unwrap();
    let at = damaged.len() - 1200;
    damaged[at] ^= 1;
    let damaged = pi.file("damaged.bundle", &damaged);
    pi.run_on("component update core", &damaged).must(5, &[]);
    pi.run("component revert core").must(0, &["state: idle"]);
    pi.run("component revert core").must(3, &["no version to return to"]);
    pi.run("component update core missing.bundle").must(1, &["missing.bundle"]);
    pi.run("component update core @core-1.0.0.bundle").must(6, &["--retry-rejected"]);
    pi.run("component update core @core-1.0.0.bundle --retry-rejected").must(0, &["1.0.0 is committed"]);
}
