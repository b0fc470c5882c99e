//! What a component is, when all files are merged.
use super::*;
use crate::config::{
    Mode,
    component::{Backup, Managed, Target},
};
use proptest::prelude::*;

const APP: &str = "[component.app]\nkind = 'directory'\nunit = 'app.service'\npath = '/opt/app'\n";
const WEB: &str = "[component.web]\nkind = 'containers'\nproject = 'hub'\nservice = 'web'\n";
const RUN: &str = "run/bistable/config.d/b.toml";

fn one(text: &str) -> Component {
    let [component] = <[Component; 1]>::try_from(loaded(&[(ETC, text)]).unwrap().components).unwrap();
    component
}

#[test]
fn each_kind_has_its_defaults() {
    let backup = Backup { path: "/persistent/bistable/backups".into(), keep: 5, days: 90 };
    let managed = |target, wait_s| Managed {
        target,
        health: None,
        mode: Mode::Stage,
        start_wait: Duration::from_secs(wait_s),
        backup: backup.clone(),
    };
    let (unit, path, version_file) = ("app.service".into(), "/opt/app".into(), "VERSION".into());
    let app = managed(Target::Directory { unit, path, version_file }, 10);
    assert_eq!(one(APP), Component { name: "app".into(), installed: None, managed: Some(app) });
    let web = managed(Target::Containers { project: "hub".into(), service: "web".into() }, 5);
    assert_eq!(one(WEB), Component { name: "web".into(), installed: None, managed: Some(web) });
    let modem = Component { name: "modem".into(), installed: Some("4.1.0".parse().unwrap()), managed: None };
    assert_eq!(one("[component.modem]\ninstalled = '4.1.0'"), modem);
}

#[test]
fn only_what_is_installed_is_compared_with_releases() {
    let settings = loaded(&[(ETC, &format!("{APP}{WEB}installed = '2.0.0'"))]).unwrap();
    assert_eq!(settings.components.len(), 2);
    assert_eq!(settings.installed(), [("web".into(), "2.0.0".parse().unwrap())]);
}

#[test]
fn a_component_is_joined_from_all_files() {
    let image = "[component.app]\nkind = 'directory'\nunit = 'app.service'";
    let site = "[component]\napp.path = '/opt/app'\napp.mode = 'auto'\napp.start_wait = '0s'";
    let component = loaded(&[(ETC, image), (RUN, site)]).unwrap().components.remove(0);
    let managed = component.managed.unwrap();
    assert_eq!((managed.mode, managed.start_wait), (Mode::Auto, Duration::ZERO));
    assert!(matches!(managed.target, Target::Directory { path, .. } if path == Path::new("/opt/app")));
    assert_eq!(problems(&[(ETC, image)]).len(), 1, "a part of it is not a component");
}

#[test]
fn each_error_of_a_component_says_where_and_what_is_allowed() {
    let absolute = "an absolute path without .. in quotes, like \"/opt/app/core\"";
    #[rustfmt::skip]
    let table = [
        // The form that people expect.
        ("[components]\nmodem = '4.1.0'", ":1: unknown key \"components\"; write [component.NAME] with installed = \"1.2.3\" for each".into()),
        ("[component]\nmodem = '4.1.0'", ":2: component.modem is a table: [component.modem], not '4.1.0'".into()),
        ("component = 1", ":1: component is a table: [component], not 1".into()),
        // Names.
        ("[component.MODEM]\ninstalled = '4.0.0'", ":1: component: \"MODEM\" is not a name: use 1 to 64 of a-z 0-9 . _ -".into()),
        ("[component.'']\ninstalled = '4.0.0'", ":1: component: \"\" is not a name: use 1 to 64 of a-z 0-9 . _ -".into()),
        ("[component.'../x']", ":1: component: \"../x\" is not a name: use 1 to 64 of a-z 0-9 . _ -".into()),
        ("[component.app]\nversion = '4.0.0'", ":2: [component.app] unknown key \"version\"; known: kind, unit, path, version_file, project, service, health, mode, start_wait, installed, [component.app.backup]".into()),
        ("[component.'a.b'.backup]\nday = 1", ":2: [component.\"a.b\".backup] unknown key \"day\"; known: path, keep, days".into()),
        ("[component.app]\n'backup.keep' = 1", ":2: [component.app] unknown key \"backup.keep\"; known: kind, unit, path, version_file, project, service, health, mode, start_wait, installed, [component.app.backup]".into()),
        // Values.
        ("[component.m]\ninstalled = 4", ":2: component.m.installed is a version in quotes, like \"1.2.3\", not 4".into()),
        ("[component.m]\ninstalled = '4'", ":2: component.m.installed is a version in quotes, like \"1.2.3\", not '4': unexpected end of input while parsing major version number".into()),
        ("[component.m]\nkind = 'folder'", ":2: component.m.kind is \"directory\" or \"containers\", not 'folder'".into()),
        ("[component.m]\nkind = 'folder'\npath = '/opt/x'", ":2: component.m.kind is \"directory\" or \"containers\", not 'folder'".into()),
        ("[component.m]\nmode = 'always'", ":2: component.m.mode is \"check\", \"stage\", \"reboot\" or \"auto\", not 'always'".into()),
        ("[component.m]\nunit = 'app'", ":2: component.m.unit is a service of systemd in quotes, like \"app.service\", not 'app'".into()),
        ("[component.m]\nunit = '../app.service'", ":2: component.m.unit is a service of systemd in quotes, like \"app.service\", not '../app.service'".into()),
        ("[component.m]\nunit = 'app@.service'", ":2: component.m.unit is a service of systemd in quotes, like \"app.service\", not 'app@.service': a template can't be restarted: name one instance".into()),
        ("[component.m]\npath = 'opt/app'", format!(":2: component.m.path is {absolute}, not 'opt/app'")),
        ("[component.m]\npath = '/opt/../etc'", format!(":2: component.m.path is {absolute}, not '/opt/../etc'")),
        ("[component.m]\npath = '/persistent/bistable'", format!(":2: component.m.path is {absolute}, not '/persistent/bistable': /persistent/bistable belongs to Bistable")),
        ("[component.m]\npath = '//persistent/./bistable/x/'", format!(":2: component.m.path is {absolute}, not '//persistent/./bistable/x/': /persistent/bistable belongs to Bistable")),
        ("[component.m]\npath = '/run/bistable/components/m'", format!(":2: component.m.path is {absolute}, not '/run/bistable/components/m': /run/bistable belongs to Bistable")),
        ("[component.m]\npath = '/persistent'", format!(":2: component.m.path is {absolute}, not '/persistent': it would hide /persistent/bistable")),
        ("[component.m]\npath = '/'", format!(":2: component.m.path is {absolute}, not '/': it would hide /persistent/bistable")),
        ("[component.m]\nversion_file = '/etc/VERSION'", ":2: component.m.version_file is a path within the component in quotes, like \"VERSION\", not '/etc/VERSION'".into()),
        ("[component.m]\nversion_file = 'a/../../b'", ":2: component.m.version_file is a path within the component in quotes, like \"VERSION\", not 'a/../../b'".into()),
        ("[component.m]\nproject = 'Hub'", ":2: component.m.project is the name of a Compose project in quotes: 1 to 64 of a-z 0-9 _ -, not 'Hub'".into()),
        ("[component.m]\nproject = '-f'", ":2: component.m.project is the name of a Compose project in quotes: 1 to 64 of a-z 0-9 _ -, not '-f': begin with a letter or a digit".into()),
        ("[component.m]\nservice = '--all'", ":2: component.m.service is the name of a Compose service in quotes: 1 to 64 of A-Z a-z 0-9 . _ -, not '--all': begin with a letter or a digit".into()),
        ("[component.m]\nstart_wait = 5", ":2: component.m.start_wait is a time in quotes from \"0s\" to \"5m\", not 5".into()),
        ("[component.m]\nbackup.path = 'backups'", ":2: component.m.backup.path is an absolute path without .. in quotes, not 'backups'".into()),
        ("[component.m]\nbackup.keep = 0", ":2: component.m.backup.keep is a number of backups from 1 to 100, not 0".into()),
        ("[component.m]\nbackup.days = 3651", ":2: component.m.backup.days is a number of days from 1 to 3650, not 3651".into()),
        // Keys of one another's kind, or of none.
        ("[component.m]\nkind = 'directory'", ":2: component.m.kind = \"directory\" needs component.m.unit and component.m.path".into()),
        ("[component.m]\nproject = 'hub'\nkind = 'containers'", ":3: component.m.kind = \"containers\" needs component.m.service".into()),
        ("[component.m]\nkind = 'containers'\nproject = 'hub'\nservice = 'x'\npath = '/opt/x'", ":5: component.m.path is for components of the kind \"directory\", and component.m is of the kind \"containers\"".into()),
        ("[component.m]\nkind = 'directory'\nunit = 'x.service'\npath = '/opt/x'\nservice = 'x'", ":5: component.m.service is for components of the kind \"containers\", and component.m is of the kind \"directory\"".into()),
        ("[component.m]\ninstalled = '1.0.0'\nmode = 'auto'\nunit = 'x.service'", ":3: component.m.mode needs component.m.kind: set it to \"directory\" or \"containers\"".into()),
    ];
    for (text, expected) in table {
        assert_eq!(problems(&[(ETC, text)]), [format!("{ETC}{expected}")], "{text}");
    }
}

#[test]
fn a_file_that_can_not_be_read_adds_no_errors_about_what_it_may_have_said() {
    let image = "[component.app]\nkind = 'directory'";
    assert_eq!(
        problems(&[(ETC, image), (RUN, "= broken")]),
        [format!("{RUN}:1: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`")]
    );
    let found = problems(&[(ETC, image), (RUN, "typo = 1")]);
    assert_eq!(found.len(), 2, "an unknown key elsewhere hides nothing: {found:?}");
}

#[test]
fn two_components_never_replace_the_same() {
    let app = |name: &str, path: &str| {
        format!("[component.{name}]\nkind = 'directory'\nunit = '{name}.service'\npath = '{path}'\n")
    };
    let web = |name: &str, service: &str| {
        format!("[component.{name}]\nkind = 'containers'\nproject = 'hub'\nservice = '{service}'\n")
    };
    for (second, text) in [
        ("/opt/a", ":8: component.b.path overlaps /opt/a of component.a"),
        ("/opt/a/x", ":8: component.b.path overlaps /opt/a of component.a"),
        ("/opt", ":8: component.b.path overlaps /opt/a of component.a"),
    ] {
        assert_eq!(problems(&[(ETC, &(app("a", "/opt/a") + &app("b", second)))]), [format!("{ETC}{text}")]);
    }
    assert!(loaded(&[(ETC, &(app("a", "/opt/a") + &app("b", "/opt/ab")))]).is_ok());
    let same = problems(&[(ETC, &(web("a", "x") + &web("b", "x")))]);
    assert_eq!(same, [format!("{ETC}:8: component.b.service and project are those of component.a too")]);
    assert!(loaded(&[(ETC, &(web("a", "x") + &web("b", "y")))]).is_ok());
}

#[test]
fn a_device_has_at_most_as_many_components_as_a_release_may_require() {
    let many = |count: usize| -> String {
        (0..count).map(|n| format!("[component.c{n:02}]\ninstalled = '1.0.0'\n")).collect()
    };
    let max = bistable_format::limits::COMPONENTS;
    assert_eq!(loaded(&[(ETC, &many(max))]).unwrap().components.len(), max);
    let text = format!("{ETC}:66: 33 components are declared; at most 32 are allowed");
    assert_eq!(problems(&[(ETC, &many(max + 1))]), [text]);
}

#[test]
fn a_health_profile_of_a_component_is_read_and_checked() {
    let text = format!("{APP}health = '/data/app.toml'");
    let good = loaded(&[(ETC, &text), ("data/app.toml", "deadline_s = 33")]).unwrap();
    assert_eq!(good.components[0].managed.as_ref().unwrap().health.as_ref().unwrap().deadline_s, 33);
    let bad = problems(&[(ETC, &text), ("data/app.toml", "deadline = 33")]);
    assert!(bad.len() == 1 && bad[0].starts_with("data/app.toml: health profile: line 1: unknown field"));
    let missing = problems(&[(ETC, &text)]);
    assert!(missing.len() == 1 && missing[0].starts_with(&format!("{ETC}:5: ")), "{missing:?}");
    assert!(missing[0].ends_with(" data/app.toml does not exist"));
}

/// A component of which any keys were said.
fn any_component() -> impl Strategy<Value = String> {
    let lines = [
        "kind = 'directory'",
        "kind = 'containers'",
        "unit = 'a.service'",
        "path = '/opt/a'",
        "project = 'p'",
        "service = 's'",
        "mode = 'auto'",
        "installed = '1.0.0'",
        "backup.keep = 9",
    ];
    prop::sample::subsequence(lines.to_vec(), 0..=lines.len())
        .prop_map(|chosen| chosen.iter().map(|line| format!("{line}\n")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_component_is_complete_or_refused(text in any_component()) {
        let has = |key: &str| text.contains(key);
        let expected = match (has("'directory'"), has("'containers'")) {
            // One key twice is not TOML.
            (true, true) => false,
            (true, false) => has("unit") && has("path") && !has("project") && !has("service ="),
            (false, true) => has("project") && has("service =") && !has("unit") && !has("path"),
            (false, false) => text.lines().all(|line| line.starts_with("installed")),
        };
        let found = loaded(&[(ETC, &format!("[component.a]\n{text}"))]);
        prop_assert_eq!(found.is_ok(), expected, "{:?}", found);
        if let Ok(settings) = found {
            let managed = settings.components.first().is_some_and(|c| c.managed.is_some());
            prop_assert_eq!(managed, has("kind"));
        }
    }
}
