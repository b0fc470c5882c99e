//! What is legal and yet doubtful.
use super::*;

fn remarks(files: &[(&str, &str)]) -> Vec<String> {
    let root = tree(files);
    let prefix = format!("{}/", root.path().display());
    let loaded = read(root.path()).unwrap();
    loaded.remarks().iter().map(|r| r.to_string().replace(&prefix, "")).collect()
}

#[test]
fn each_remark_says_where_and_why() {
    #[rustfmt::skip]
    let table: [(&str, &[&str]); 19] = [
        ("", &[]),
        ("[install]\nflush_bytes = 16777216\n[board]\nname = 'pi4'", &[]),
        ("source.urls = ['https://x', '/y']\nsource.channel = 'a'\n[update]\ngroup = 'b'\nid = 'c'", &[]),
        ("allow_demo_keys = false", &[]),
        ("allow_demo_keys = true", &[":1: warning: allow_demo_keys is true: everybody has the demo keys, so this device trusts everybody"]),
        ("[update]\ngroup = 'a'", &[":2: warning: update.group has no effect while source.urls is empty"]),
        ("[source]\nurls = []", &[":2: warning: source.urls is empty"]),
        ("[source]\nlimits.attempts = 2", &[":2: warning: source.limits.attempts has no effect while source.urls is empty"]),
        ("source.urls = ['http://x', '/y']", &[":1: note: source.urls has an http:// address: others may see what is fetched, not change it, as all of it is signed"]),
        ("source.urls = ['/y']\nupdate.fleet_lock = 'http://x'\nupdate.fleet_lock_group = 'a'", &[":2: note: update.fleet_lock is an http:// address: whoever is on the way can hold this device's updates back"]),
        ("source.urls = ['/y']\nupdate.fleet_lock_group = 'a'", &[":2: warning: update.fleet_lock_group has no effect without update.fleet_lock"]),
        ("[update]\nmode = 'auto'\nwindows = ['02:00-03:00']\ntime_zone = 'Asia/Tokyo'\nforce_after = '2d'\nwindows_need_clock = false", &[]),
        ("[update]\nwindows = ['02:00-03:00']\nforce_after = '2d'", &[":2: warning: update.windows has no effect while update.mode is \"stage\": only \"auto\" waits for windows"]),
        ("[update]\nmode = 'auto'\nforce_after = '2d'", &[":3: warning: update.force_after has no effect without update.windows"]),
        ("[update]\nwindows = []\ntime_zone = 'UTC'\nwindows_need_clock = true", &[
            ":3: warning: update.time_zone has no effect without update.windows",
            ":4: warning: update.windows_need_clock has no effect without update.windows",
        ]),
        ("[update]\ncheck_interval = '1h'", &[":2: warning: update.check_interval has no effect while source.urls is empty"]),
        ("[component.modem]\ninstalled = '1.0.0'", &[]),
        ("[component.web]\nproject = 'hub'\nservice = 'web'\nkind = 'containers'", &[":4: note: component.web.kind has no effect yet: this version of bistable updates no containers; releases that require web are compared with its key installed"]),
        ("source.urls = ['http://y']\nallow_demo_keys = true", &[
            ":2: warning: allow_demo_keys is true: everybody has the demo keys, so this device trusts everybody",
            ":1: note: source.urls has an http:// address: others may see what is fetched, not change it, as all of it is signed",
        ]),
    ];
    for (text, expected) in table {
        let expected: Vec<String> = expected.iter().map(|e| format!("{ETC}{e}")).collect();
        assert_eq!(remarks(&[(ETC, text)]), expected);
    }
}

#[test]
fn twice_in_one_folder_is_doubtful_and_in_two_is_what_folders_are_for() {
    let b = "etc/bistable/config.d/b.toml";
    let c = "etc/bistable/config.d/c.toml";
    let run = "run/bistable/config.d/b2.toml";
    let text = "\n[board]\nname = 'pi4'";
    let again = |file: &str, by: &str| {
        format!("{file}:3: warning: board.name is set again in this folder, by {by}:3, which wins")
    };
    assert_eq!(remarks(&[(ETC, text), (run, text)]), [""; 0]);
    assert_eq!(remarks(&[(ETC, text), (b, text)]), [again(ETC, "b.toml")]);
    let three = remarks(&[(ETC, text), (b, text), (run, text), (c, text)]);
    assert_eq!(three, [again(ETC, "b.toml"), again(b, "c.toml")]);
    let components = |name: &str| format!("[component.{name}]\ninstalled = '1.0.0'");
    assert_eq!(remarks(&[(ETC, &components("x")), (b, &components("y"))]), [""; 0]);
}

#[test]
fn what_a_problem_quotes_is_made_printable() {
    let root = tree(&[(
        ETC,
        "[component.web]\nkind = 'containers'\nproject = \"hu\tb\"\nservice = 'web'\nversion_file = 'V'",
    )]);
    let text =
        read(root.path()).unwrap_err().problems.iter().map(|p| p.text.clone()).collect::<Vec<_>>().join("|");
    assert!(text.contains("not \"hu\u{fffd}b\""), "{text}");
}
