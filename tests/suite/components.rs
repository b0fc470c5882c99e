//! `bistable component`: an application's folder is updated beside the slots.
use crate::{
    fixture::product,
    pi::{Ended, Pi},
};
use bistable_image::{
    BuildOptions, Silent,
    build::{self, Input},
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::symlink, path::PathBuf};

pub(crate) const CONFIG: &str = r#"
[component.core]
kind = "directory"
unit = "core.service"
path = "/opt/core"
"#;

/// Version 1.1.0 answers with the version before, and the service of 1.2.0 ends at once.
pub(crate) const WORLD: &str = r#"
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

pub(crate) const HEALTH: &str = r#"
deadline_s = 30
settle_s = 2
[[check]]
name = "web"
kind = "http"
url = "http://127.0.0.1:80/health"
expect_version = true
"#;

/// The bundle of a version of `core`, as the host builds it.
pub(crate) fn bundle(pi: &Pi, version: &str) -> PathBuf {
    bundle_with(pi, version, |_| {})
}

/// The same, with other options.
pub(crate) fn bundle_with(pi: &Pi, version: &str, change: impl FnOnce(&mut BuildOptions)) -> PathBuf {
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
    change(&mut options);
    build::build(&options, &Silent).unwrap();
    out
}

pub(crate) fn pi() -> Pi {
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

pub(crate) fn core(pi: &Pi) -> Value {
    pi.run("component show core --json").must(0, &[]).json()["components"][0].clone()
}

/// What people and programs find where the component is.
pub(crate) fn shown(pi: &Pi) -> Option<String> {
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
    assert_eq!(pi.run("component logs core").must(0, &[]).out, "core.service: active\n");
    let logs = pi.run("component logs core --lines 1 --json").must(0, &[]).json();
    assert_eq!((&logs["component"], &logs["lines"]), (&json!("core"), &json!(["core.service: active"])));
    pi.run("component logs core --lines 0").must(2, &[]);
    pi.run("component logs lamp").must(2, &["no component lamp is configured"]);
    update(&pi, "1.0.1").must(0, &["1.0.1 is committed"]);
    let now = core(&pi);
    assert_eq!(
        (&now["lifecycle"], &now["version"], &now["kept"]),
        (&json!("running"), &json!("1.0.1"), &json!(["1.0.0"]))
    );
    let status = pi.run("status --ascii").must(0, &[]).out;
    assert!(status.contains("core 1.0.1") && status.contains("running"), "{status}");
    let status = pi.run("status --json").must(0, &[]).json();
    assert_eq!(status["components"][0]["version"], json!("1.0.1"));
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

/// The events of `core`, each with its type and data.
fn events(pi: &Pi) -> Vec<(String, Value)> {
    let all = pi.run("events --component core --json").must(0, &[]).json();
    let one = |event: &Value| (event["type"].as_str().unwrap().to_owned(), event["data"].clone());
    all["events"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn each_step_is_an_event_with_time_and_result_and_metrics_follow() {
    let pi = pi();
    update(&pi, "1.0.0").must(0, &[]);
    let good = events(&pi);
    let steps = |events: &[(String, Value)]| -> Vec<String> {
        let steps = events.iter().filter(|(kind, _)| kind == "component.step");
        steps.map(|(_, data)| data["step"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        steps(&good),
        [
            "preflight",
            "unpack",
            "sync",
            "self-test",
            "stop",
            "switch",
            "start",
            "health",
            "commit",
            "clean-up"
        ]
    );
    let health = good.iter().find(|(_, data)| data["step"] == "health").unwrap();
    assert!(health.1["took_ms"].as_u64().unwrap() >= 10_000, "start_wait is a part of it: {health:?}");
    let (kind, data) = good.iter().rfind(|(kind, _)| kind != "component.step").unwrap();
    assert_eq!((kind.as_str(), &data["lifecycle"]), ("component.committed", &json!("running")));
    assert_eq!((&data["version"], &data["ended"]["result"]), (&json!("1.0.0"), &json!("committed")));

    let failed = pi.run_on("component update core --json", &bundle(&pi, "1.1.0")).must(8, &[]).json();
    assert_eq!(
        (&failed["success"], &failed["component"], &failed["version"], &failed["rollback_performed"]),
        (&json!(false), &json!("core"), &json!("1.0.0"), &json!(true)),
    );
    assert_eq!((&failed["reason"], &failed["job"]), (&json!("health"), &Value::Null));
    let bad = events(&pi).split_off(good.len());
    let problem = bad.iter().position(|(_, data)| data["step"] == "health").unwrap();
    assert!(bad[problem].1["problem"].as_str().unwrap().contains("it says 1.0.0"), "{bad:?}");
    // The verdict is in the log before anything is done about it.
    assert_eq!(bad[problem + 1].1["state"], json!("reverting"), "{bad:?}");
    let revert = bad.iter().find(|(_, data)| data["step"] == "revert").unwrap();
    assert!(revert.1["took_ms"].as_u64().unwrap() >= 10_000, "it is checked, too: {revert:?}");
    assert!(bad.iter().any(|(kind, _)| kind == "component.rolled_back"), "{bad:?}");

    let metrics = pi.run("metrics").must(0, &[]).out;
    for line in [
        "bistable_component_info{component=\"core\",version=\"1.0.0\",lifecycle=\"running\"} 1",
        "bistable_component_up{component=\"core\"} 1",
        "bistable_updates_total{result=\"committed\",component=\"core\"} 1",
        "bistable_updates_total{result=\"rolled_back\",component=\"core\"} 1",
        "bistable_updates_total{result=\"committed\",component=\"image\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    pi.run("component stop core").must(0, &[]);
    assert!(pi.run("metrics").must(0, &[]).out.contains("bistable_component_up{component=\"core\"} 0"));
    let audit = pi.run("events --type audit.request --json").must(0, &[]).json();
    let what: Vec<&Value> = audit["events"].as_array().unwrap().iter().map(|e| &e["data"]["what"]).collect();
    assert_eq!(what, [&json!("core bundle"), &json!("core bundle"), &json!("core")]);
}

/// Where a component is follows from the log as from the record, whichever of the two a power cut came before.
#[test]
fn log_agrees_with_the_record_after_each_power_cut() {
    for write in 1.. {
        let pi = pi();
        update(&pi, "1.0.0").must(0, &[]);
        let file = bundle(&pi, "1.0.1");
        pi.run(&format!("sim cut --at-write {write}")).must(0, &[]);
        if pi.run_on("component update core", &file).code == 0 {
            break;
        }
        pi.run("sim power on").must(0, &[]);
        pi.run("component links").must(0, &[]);
        pi.run("component resume core").must(0, &[]);
        let (shown, events) = (core(&pi), events(&pi));
        let said = events.iter().rfind(|(_, data)| data["lifecycle"].is_string()).unwrap();
        for field in ["lifecycle", "state", "version", "target"] {
            assert_eq!(said.1[field], shown[field], "{field} after a cut at write {write}: {events:?}");
        }
        assert!(write < 200, "the update ends");
    }
}

/// The log ends before the record does: the next request tells what is missing, once.
#[test]
fn log_that_lacks_an_update_gets_it_from_the_record() {
    let pi = pi();
    update(&pi, "1.0.0").must(0, &[]);
    let folder = pi.path("card.img.sim/persistent/bistable/events");
    let read = |file: fs::DirEntry| (file.path(), fs::read(file.path()).unwrap());
    let before: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| read(file.unwrap())).collect();
    update(&pi, "1.0.1").must(0, &[]);
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    for (path, bytes) in before {
        fs::write(path, bytes).unwrap();
    }
    for _ in 0..2 {
        pi.run("component resume core").must(0, &[]);
        let all = events(&pi);
        let told: Vec<_> = all.iter().filter(|(kind, _)| kind == "component.reconciled").collect();
        assert_eq!(told.len(), 1, "{all:?}");
        assert_eq!(
            (&told[0].1["version"], &told[0].1["ended"]["result"]),
            (&json!("1.0.1"), &json!("committed"))
        );
        let committed = "bistable_updates_total{result=\"committed\",component=\"core\"} 2";
        assert!(pi.run("metrics").must(0, &[]).out.contains(committed));
    }
}

#[test]
fn dry_run_verifies_and_writes_nothing() {
    let pi = pi();
    let file = bundle(&pi, "1.0.0");
    let told = pi.run_on("component update core --dry-run", &file).must(0, &[]);
    assert!(told.out.contains("nothing was written"), "{told:?}");
    assert_eq!((&core(&pi)["lifecycle"], shown(&pi)), (&json!("registered"), None));
    pi.run_on("component update core -n", &pi.good()).must(6, &["not of component core"]);
}

#[test]
fn component_is_removed_once_it_is_stopped_and_no_longer_wanted() {
    let pi = pi();
    update(&pi, "1.0.0").must(0, &[]);
    update(&pi, "1.0.1").must(0, &[]);
    pi.run("component remove core").must(1, &["its mode is \"stage\"", "component.core.mode = \"check\""]);
    pi.config(&format!("{CONFIG}mode = \"check\"\n"));
    pi.run("component remove core").must(1, &["a removal"]);
    pi.run("component stop core").must(0, &[]);
    let done = pi.run("component remove core").must(0, &["remove: done"]);
    assert!(done.out.contains("component core is removed"), "{done:?}");
    let folder = pi.path("card.img.sim/persistent/bistable/components/core");
    assert_eq!(fs::read_dir(&folder).map_or(0, Iterator::count), 0, "nothing is left");
    assert_eq!((shown(&pi), &core(&pi)["lifecycle"]), (None, &json!("registered")));
    pi.run("component remove core").must(3, &["nothing of component core"]);
    update(&pi, "1.0.0").must(0, &["1.0.0 is committed"]);
    // One that is no longer declared goes as well.
    pi.run("component stop core").must(0, &[]);
    pi.config("");
    pi.run("component remove core").must(0, &[]);
    assert_eq!(fs::read_dir(&folder).map_or(0, Iterator::count), 0);
}

/// The bundle of a version of which these can be set.
fn configurable(pi: &Pi, version: &str, text: &str) -> PathBuf {
    let out = pi.path(&format!("configurable-{version}.bundle"));
    let tree = pi.path(&format!("configurable-{version}"));
    fs::create_dir_all(&tree).unwrap();
    let mut options = product().options(version, [tree.clone(), tree.clone(), out.clone()]);
    options.input = Input::Tree { component: "core".into(), tree };
    options.configuration = text.into();
    build::build(&options, &Silent).unwrap();
    out
}

fn configured(pi: &Pi, file: &str) -> String {
    fs::read_to_string(pi.path(&format!("card.img.sim/run/bistable/configurations/core/{file}")))
        .unwrap_or_default()
}

#[test]
fn settings_are_declared_by_a_release_set_on_the_device_and_go_back_with_their_version() {
    let pi = pi();
    let text = "[environment.MODE]\ndescription = \"How it talks\"\ndefault = \"quiet\"\n[file.\"core.toml\"]\ndefault = \"a = 1\\n\"\n";
    let first = configurable(&pi, "1.0.0", text);
    pi.run_on("component update core", &first).must(0, &["configure: done", "1.0.0 is committed"]);
    assert_eq!(configured(&pi, "environment"), "MODE=\"quiet\"\n");
    assert_eq!(configured(&pi, "core.toml"), "a = 1\n");
    let said = pi.run("component config core").must(0, &[]).out;
    for part in ["MODE = quiet (default)", "How it talks", "core.toml = 6 bytes (default)"] {
        assert!(said.contains(part), "{said}");
    }
    pi.run("component config core MODE=loud").must(0, &["configure: done", "1.0.0 is committed"]);
    assert_eq!(configured(&pi, "environment"), "MODE=\"loud\"\n");
    pi.run("component config core MODE=loud").must(3, &["has these values already"]);
    pi.run("component config core OTHER=x").must(2, &["OTHER is not a setting", "core.toml"]);
    pi.run("component config core MODE").must(2, &["give SETTING=VALUE"]);
    pi.run("component config lamp A=1").must(2, &["no component lamp"]);

    let text = format!("{text}[environment.TOKEN]\nrequired = true\nsecret = true\n");
    let second = configurable(&pi, "1.0.1", &text);
    for verb in ["component update core --dry-run", "component update core"] {
        let needs = "TOKEN has no value, and the version needs one; set it with `bistable component config core --later --from TOKEN=FILE`";
        pi.run_on(verb, &second).must(6, &[needs]);
    }
    let secret = pi.path("token");
    fs::write(&secret, "s3cret\n").unwrap();
    pi.run(&format!("component config core --later --from TOKEN={}", secret.display())).must(0, &[]);
    let said = pi.run("component config core").must(0, &[]).out;
    assert!(said.contains("set for later versions: TOKEN"), "{said}");
    pi.run_on("component update core", &second).must(0, &["1.0.1 is committed"]);
    assert_eq!(configured(&pi, "environment"), "MODE=\"loud\"\nTOKEN=\"s3cret\"\n");
    let shown = core(&pi);
    assert_eq!(shown["configuration"]["number"], json!(3));
    let token = &shown["configuration"]["settings"][1];
    assert_eq!(
        (&token["name"], &token["is_set"], &token["value"]),
        (&json!("TOKEN"), &json!(true), &Value::Null)
    );
    for words in
        ["component show core", "component show core --json", "status --json", "events --json", "events"]
    {
        let said = pi.run(words).must(0, &[]);
        assert!(!said.out.contains("s3cret"), "{words}: {}", said.out);
    }
    pi.run("component config core MODE=soft").must(0, &[]);
    pi.run("component revert core").must(0, &["1.0.0 is committed"]);
    assert_eq!(configured(&pi, "environment"), "MODE=\"loud\"\n", "what 1.0.0 ran with");

    // A boot shows both, with a record and without one; and what is left of it says which one it was.
    use bistable_boot::layout::{COMPONENTS, Partition};
    for is_lost in [false, true] {
        pi.run("sim power off").must(0, &[]);
        if is_lost {
            COMPONENTS.iter().for_each(|at| pi.scribble(Partition::State, at.0 * 512, &[1; 4096]));
        }
        pi.run("sim power on").must(0, &[]);
        assert_eq!(configured(&pi, "environment"), "");
        pi.run("component links").must(0, &[]);
        assert_eq!(configured(&pi, "environment"), "MODE=\"loud\"\n");
    }
    let said = pi.run("component repair").must(0, &[]).out;
    assert!(said.contains("MODE = loud"), "{said}");
    pi.run("component units @generated").must(0, &[]);
    let drop_in = fs::read_to_string(pi.path("generated/core.service.d/50-bistable-component.conf")).unwrap();
    assert!(
        drop_in.ends_with("[Service]\nEnvironmentFile=-/run/bistable/configurations/core/environment\n"),
        "{drop_in}"
    );
    pi.is_unharmed();
}
