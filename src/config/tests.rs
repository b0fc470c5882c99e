#![allow(clippy::disallowed_methods, reason = "files of a test need not outlive a power cut")]
mod components;
mod listing;
mod properties;
mod remarks;

use super::*;
use std::{fs, time::Duration};
use tempfile::TempDir;

fn tree(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn loaded(files: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    load(tree(files).path())
}

/// Each problem without the root's path.
fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let root = tree(files);
    let prefix = format!("{}/", root.path().display());
    load(root.path()).unwrap_err().problems.iter().map(|p| p.to_string().replace(&prefix, "")).collect()
}

const ETC: &str = "etc/bistable/config.d/a.toml";

#[test]
fn nothing_is_the_default_and_fails_closed() {
    let settings = loaded(&[]).unwrap();
    assert_eq!(settings, Settings::default());
    assert!(!settings.allow_demo_keys);
    assert_eq!(load(Path::new("/nonexistent")).unwrap(), Settings::default());
}

#[test]
fn everything_can_be_set() {
    let text = "allow_demo_keys = true\n[install]\nflush_bytes = 0x1000000\n[component]\nz.installed = '1.0.0'\nmodem.installed = '4.1.0-rc.1'\n
        [component.app]\nkind = 'directory'\nunit = 'app.service'\npath = '/opt/app/'\nversion_file = 'meta/VERSION'\n
        health = '/data/health.toml'\nmode = 'auto'\nstart_wait = '30s'\n[component.app.backup]\npath = '/data/backups'\nkeep = 3\ndays = 7\n
        [component.web]\nkind = 'containers'\nproject = 'hub'\nservice = 'web'\n
        [self_test]\nplan = '/data/plan.toml'\n[health]\nprofile = '/data/health.toml'\ninterval = '1m'\nrevert_after = '10m'\n
        [hooks]\ntimeout = '5s'\n[timeout]\ninstall = '10m'\nexpected.install = '3m'\nexpected.self_test = '20s'\nexpected.health = '30s'\n[metrics]\npush = 'http://gw'\npush_interval = '5m'\n
        [webhook.ops]\nurl = 'https://ops.example/x'\ntypes = ['update.*']\nsecret_files = ['/etc/a', '/etc/b']\ntemplate = 'slack'\nretry_max = '5m'\ngive_up_after = '1d'\n
        [webhook.chat]\nurl_file = '/etc/chat'\n        [board]\nname = 'pi4'\ndisk = '/dev/mmcblk0'\n
        [source]\nurls = ['https://Example.org/repo/', '/media/usb']\nchannel = 'staging'\nproxy = 'http://proxy.example:3128'\n
        [source.limits]\nminimum_rate_bytes = 1\nrate_window = '1m30s'\nconnect_timeout = '1s'\nanswer_timeout = '10m'\n
        attempts = 100\nretry_wait = '1h'\n
        [update]\nmode = 'auto'\ncheck_interval = '6h'\nwindows = ['Mon-Fri 02:00-05:00', 'Sat-Mon 22:00-02:00']\ntime_zone = 'Europe/Berlin'\nwindows_need_clock = false\nforce_after = '14d'\nsecurity_force_after = '6h'\nmax_rollbacks = 2\nmetered = true\ngroup = 'canary'\nid = 'Hub:7'\nmax_download = 20000000\ndeltas_only = true\nfleet_lock = 'HTTP://lock.example/'\nfleet_lock_group = 'Hall.2'\n\
        [web]\nlisten = '[::]:8443'\nnames = ['Hub.local']\nread = 'open'\ncertificate = '/data/c.pem'\nkey = '/data/k.pem'\n";
    let plan = "[[test]]\nname = 'a'\nkind = 'command'\nrun = ['/x']\n";
    let settings =
        loaded(&[(ETC, text), ("data/plan.toml", plan), ("data/health.toml", "deadline_s = 77")]).unwrap();
    assert!(settings.allow_demo_keys);
    assert_eq!(settings.flush_bytes, 16 << 20);
    let installed = [("modem", "4.1.0-rc.1"), ("z", "1.0.0")].map(|(n, v)| (n.into(), v.parse().unwrap()));
    assert_eq!(settings.installed(), installed);
    let names: Vec<&str> = settings.components.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["app", "modem", "web", "z"]);
    let health_s = |c: &Component| Some(c.managed.as_ref()?.health.as_ref()?.deadline_s);
    assert_eq!(settings.components.iter().map(health_s).collect::<Vec<_>>(), [Some(77), None, None, None]);
    assert_eq!(settings.self_test_plan.unwrap().tests[0].name, "a");
    assert_eq!(settings.health_profile.unwrap().deadline_s, 77);
    assert_eq!(settings.board, BoardSettings { name: Some("pi4".into()), disk: Some("/dev/mmcblk0".into()) });
    assert_eq!(
        settings.source,
        SourceSettings {
            urls: vec![Mirror::Web("https://example.org/repo".into()), Mirror::Folder("/media/usb".into())],
            channel: "staging".into(),
            proxy: Some("http://proxy.example:3128".into()),
            limits: SourceLimits {
                minimum_rate_bytes: 1,
                rate_window: Duration::from_secs(90),
                connect_timeout: Duration::from_secs(1),
                answer_timeout: Duration::from_secs(600),
                attempts: 100,
                retry_wait: Duration::from_secs(3600),
            },
        }
    );
    assert_eq!(
        settings.update,
        UpdateSettings {
            mode: Mode::Auto,
            group: Some("canary".into()),
            id: Some("Hub:7".into()),
            check_interval: Duration::from_secs(6 * 3600),
            windows: ["Mon-Fri 02:00-05:00", "Mon,Sat,Sun 22:00-02:00"]
                .map(|w| Window::parse(w).unwrap())
                .into(),
            time_zone: "Europe/Berlin".into(),
            windows_need_clock: false,
            force_after: Some(Duration::from_secs(14 * 86_400)),
            security_force_after: Some(Duration::from_secs(6 * 3600)),
            max_rollbacks: 2,
            metered: true,
            max_download: Some(20_000_000),
            deltas_only: true,
            fleet_lock: Some("http://lock.example".into()),
            fleet_lock_group: "Hall.2".into(),
        }
    );
    let [chat, ops] = settings.webhooks.as_slice() else { panic!("{:?}", settings.webhooks) };
    assert_eq!((chat.name.as_str(), &chat.url, &chat.url_file), ("chat", &None, &Some("/etc/chat".into())));
    let day = Duration::from_secs(86_400);
    assert_eq!(
        *ops,
        Webhook {
            name: "ops".into(),
            url: Some("https://ops.example/x".into()),
            url_file: None,
            types: vec!["update.*".into()],
            secret_files: vec!["/etc/a".into(), "/etc/b".into()],
            template: Template::Slack,
            retry_max: Duration::from_secs(300),
            give_up_after: day,
        }
    );
    let health =
        HealthSettings { interval: Duration::from_secs(60), revert_after: Some(Duration::from_secs(600)) };
    assert_eq!(settings.health, health);
    assert_eq!(settings.hooks.timeout, Duration::from_secs(5));
    let timeouts = TimeoutSettings {
        install: Duration::from_secs(600),
        expected_install: Duration::from_secs(180),
        expected_self_test: Duration::from_secs(20),
        expected_health: Duration::from_secs(30),
    };
    assert_eq!(settings.timeouts, timeouts);
    assert_eq!(
        settings.metrics,
        MetricsSettings { push: Some("http://gw".into()), push_interval: Duration::from_secs(300) }
    );
    assert_eq!(settings.web.listen, "[::]:8443".parse().unwrap());
    assert_eq!(settings.web.names.iter().map(HostName::as_str).collect::<Vec<_>>(), ["hub.local"]);
    assert_eq!(settings.web.read, WebRead::Open);
    assert_eq!(
        (settings.web.certificate, settings.web.key),
        (Some("/data/c.pem".into()), Some("/data/k.pem".into()))
    );
    for key in keys::KEYS {
        let last = key.name().rsplit('.').next().unwrap();
        assert!(text.contains(last), "{} has no line above", key.name());
    }
}

#[test]
fn every_default_is_allowed_and_every_key_says_what_it_is_for() {
    let kinds = [None, Some(ComponentKind::Directory), Some(ComponentKind::Containers)];
    let components =
        kinds.map(|kind| (format!("{kind:?}").to_lowercase(), declared::Declared::of_kind(kind)));
    let webhooks = [("ops".to_owned(), Webhook::named("ops"))].into();
    let mut inputs = Inputs { components: components.into(), webhooks, ..Inputs::default() };
    for key in keys::KEYS {
        let shown = key.show(&mut inputs);
        assert!(!shown.is_empty(), "{}", key.name());
        for key::Shown { name, value, default } in shown {
            let read = key.read(&name, &value, &mut Inputs::default());
            assert!(value.is_null() || read.is_ok(), "{name}: {value}");
            assert!(key.is(&name) && (value == default || name.ends_with(".kind")), "{name}: {value}");
        }
        assert!(!key.help().is_empty() && !key.help().ends_with('.') && !key.help().contains('|'));
        assert!(key.name().starts_with(key.table()), "{}", key.name());
    }
}

#[test]
fn webhook_needs_one_address_and_a_name() {
    for (text, found) in [
        ("[webhook.a]\ntypes = ['x']", ":2: webhook.a needs url or url_file"),
        (
            "[webhook.a]\nurl = 'http://x'\nurl_file = '/x'",
            ":3: webhook.a has url and url_file: one of them is enough",
        ),
        ("[webhook.A]\nurl = 'http://x'", ":1: webhook: \"A\" is not a name: use 1 to 64 of a-z 0-9 . _ -"),
        (
            "[webhook.a]\nurl = 'http://x?token=1'",
            ":2: webhook.a.url is an http:// or https:// address in quotes, not 'http://x?token=1': paths are added at its end, so it has no ? and #",
        ),
        (
            "[webhook.a]\nurl = 'http://x'\nsecret_files = ['/a', '/b', '/c']",
            ":3: webhook.a.secret_files is a list of at most two absolute paths, not ['/a', '/b', '/c']: there are more than 2",
        ),
        // What can't be read is one problem, not two.
        ("[webhook.a]\nurl = 5", ":2: webhook.a.url is an http:// or https:// address in quotes, not 5"),
    ] {
        assert_eq!(problems(&[(ETC, text)]), [format!("{ETC}{found}")], "{text}");
    }
    let many: String = (0..17).map(|n| format!("[webhook.w{n:02}]\nurl = 'http://x'\n")).collect();
    assert_eq!(
        problems(&[(ETC, &many)]),
        [format!("{ETC}:34: 17 webhooks are declared; at most 16 are allowed")]
    );
}

#[test]
fn the_board_is_joined_and_outlives_other_problems() {
    let name = "[board]\nname = 'pi4'";
    let disk = "[board]\ndisk = '/dev/disk/by-id/x'";
    let run = "run/bistable/config.d/b.toml";
    let both = BoardSettings { name: Some("pi4".into()), disk: Some("/dev/disk/by-id/x".into()) };
    assert_eq!(loaded(&[(ETC, name), (run, disk)]).unwrap().board, both);
    let root = tree(&[(ETC, name), (run, &format!("typo = 1\n{disk}\nname = 5"))]);
    assert_eq!(load(root.path()).unwrap_err().problems.len(), 2);
    assert_eq!(board_settings(root.path()), both, "what is wrong isn't read, what is right is");
    assert_eq!(board_settings(Path::new("/nonexistent")), BoardSettings::default());
}

#[test]
fn layers_mask_by_name_and_names_decide_the_order() {
    let on = "allow_demo_keys = true\n[component]\na.installed = '1.0.0'";
    let off = "allow_demo_keys = false\n[component]\nb.installed = '1.0.0'";
    let usr = |n: &str| format!("usr/lib/bistable/config.d/{n}.toml");
    let etc = |n: &str| format!("etc/bistable/config.d/{n}.toml");
    let run = |n: &str| format!("run/bistable/config.d/{n}.toml");
    type Case<'a> = (&'a str, &'a [(String, &'a str)], bool, usize);
    #[rustfmt::skip]
    let table: &[Case<'_>] = &[
        ("same name: etc masks usr", &[(usr("a"), on), (etc("a"), off)], false, 1),
        ("same name: run masks etc", &[(etc("a"), off), (run("a"), on)], true, 1),
        ("an empty file masks", &[(usr("a"), on), (etc("a"), "")], false, 0),
        ("the later name wins", &[(usr("b"), on), (etc("a"), off)], true, 2),
        ("tables are joined", &[(usr("a"), on), (etc("b"), off)], false, 2),
    ];
    for (case, files, demo, components) in table {
        let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), *t)).collect();
        let settings = loaded(&files).unwrap();
        assert_eq!((settings.allow_demo_keys, settings.components.len()), (*demo, *components), "{case}");
    }
}

#[test]
fn what_is_no_fragment_is_left_alone() {
    let noise = "no [ toml";
    let dir = "etc/bistable/config.d";
    let files = [".hidden.toml", "a.toml.bak", "a.toml~", "README"].map(|n| format!("{dir}/{n}"));
    let files: Vec<(&str, &str)> = files.iter().map(|n| (n.as_str(), noise)).collect();
    assert_eq!(loaded(&files).unwrap(), Settings::default());
}

#[test]
fn each_error_says_where_and_what_is_allowed() {
    #[rustfmt::skip]
    let table = [
        ("\nallow_demo_key = true", ":2: unknown key \"allow_demo_key\"; known: allow_demo_keys, [board], [component], [health], [hooks], [install], [metrics], [self_test], [source], [timeout], [update], [webhook], [web]"),
        ("allow_demo_keys = 'yes'", ":1: allow_demo_keys is true or false, not 'yes'"),
        ("[install]\nflush = 1", ":2: [install] unknown key \"flush\"; known: flush_bytes"),
        ("'install.flush_bytes' = 16777216", ":1: unknown key \"install.flush_bytes\"; known: allow_demo_keys, [board], [component], [health], [hooks], [install], [metrics], [self_test], [source], [timeout], [update], [webhook], [web]"),
        ("['source.limits']\nattempts = 1", ":1: unknown key \"source.limits\"; known: allow_demo_keys, [board], [component], [health], [hooks], [install], [metrics], [self_test], [source], [timeout], [update], [webhook], [web]"),
        ("[source.limit]", ":1: [source] unknown key \"limit\"; known: urls, channel, proxy, [source.limits]"),
        ("[source.limits]\nretries = 3", ":2: [source.limits] unknown key \"retries\"; known: minimum_rate_bytes, rate_window, connect_timeout, answer_timeout, attempts, retry_wait"),
        ("[install]\nflush_bytes = 16777215", ":2: install.flush_bytes is a number of bytes from 16777216 to 67108864, not 16777215"),
        ("[install]\nflush_bytes = 67108865", ":2: install.flush_bytes is a number of bytes from 16777216 to 67108864, not 67108865"),
        ("[install]\nflush_bytes = -1", ":2: install.flush_bytes is a number of bytes from 16777216 to 67108864, not -1"),
        ("[install]\nflush_bytes = 3e7", ":2: install.flush_bytes is a number of bytes from 16777216 to 67108864, not 3e7"),
        ("[install]\nflush_bytes = 99999999999999999999", ":2: install.flush_bytes is a number of bytes from 16777216 to 67108864, not 99999999999999999999"),
        ("[install]\nflush_bytes = '32M'", ":2: install.flush_bytes is a number of bytes from 16777216 to 67108864, not '32M'"),
        ("install = 3", ":1: install is a table: [install], not 3"),
        ("[source]\nlimits = 3", ":2: source.limits is a table: [source.limits], not 3"),
        ("[self_test]\nplan = 'x.toml'", ":2: self_test.plan is an absolute path in quotes, not 'x.toml'"),
        ("[self_test]\nplan = 7", ":2: self_test.plan is an absolute path in quotes, not 7"),
        ("[self_test]\nplan = \"/a\\nb\"", ":2: self_test.plan is an absolute path in quotes, not \"/a\\nb\""),
        ("[health]\npath = '/x'", ":2: [health] unknown key \"path\"; known: profile, interval, revert_after"),
        ("[board]\nnam = 'pi4'", ":2: [board] unknown key \"nam\"; known: name, disk"),
        ("board = 'pi4'", ":1: board is a table: [board], not 'pi4'"),
        ("[board]\nname = 4", ":2: board.name is a board's name in quotes, like \"pi4\", not 4"),
        ("[board]\nname = 'Pi 4'", ":2: board.name is a board's name in quotes, like \"pi4\", not 'Pi 4': use 1 to 64 of a-z 0-9 . _ -"),
        ("[board]\ndisk = 'mmcblk0'", ":2: board.disk is a disk in quotes, like \"/dev/mmcblk0\", not 'mmcblk0'"),
        ("[board]\ndisk = '/dev/../etc/x'", ":2: board.disk is a disk in quotes, like \"/dev/mmcblk0\", not '/dev/../etc/x'"),
        ("[board]\ndisk = '/dev/'", ":2: board.disk is a disk in quotes, like \"/dev/mmcblk0\", not '/dev/'"),
        ("[board]\ndisk = '/home/card'", ":2: board.disk is a disk in quotes, like \"/dev/mmcblk0\", not '/home/card'"),
        ("[board]\ndisk = 0", ":2: board.disk is a disk in quotes, like \"/dev/mmcblk0\", not 0"),
        ("[source]\nurls = 'https://x'", ":2: source.urls is a list of repositories, like [\"https://example.org/repo\", \"/media/usb/repo\"], not 'https://x'"),
        ("[source]\nurls = [\n'/a',\n7]", ":4: source.urls is a list of repositories, like [\"https://example.org/repo\", \"/media/usb/repo\"], not 7"),
        ("[source]\nurls = [['/a']]", ":2: source.urls is a list of repositories, like [\"https://example.org/repo\", \"/media/usb/repo\"], not ['/a']"),
        ("[source]\nurls = ['s3://x']", ":2: source.urls is a list of repositories, like [\"https://example.org/repo\", \"/media/usb/repo\"], not 's3://x': \"s3\" is none of http, https, file"),
        ("[source]\nurls = ['media/usb']", ":2: source.urls is a list of repositories, like [\"https://example.org/repo\", \"/media/usb/repo\"], not 'media/usb': neither an address nor an absolute path"),
        ("[source]\nurls = ['/a', '/b', 'file:///a/']", ":2: source.urls is a list of repositories, like [\"https://example.org/repo\", \"/media/usb/repo\"], not 'file:///a/': it is there twice"),
        ("[source]\nurls = [\n'http://x/y',\n'HTTP://X:80/y/',\n]", ":4: source.urls is a list of repositories, like [\"https://example.org/repo\", \"/media/usb/repo\"], not 'HTTP://X:80/y/': it is there twice"),
        ("[source]\nurls = ['https://me@x']", ":2: source.urls is a list of repositories, like [\"https://example.org/repo\", \"/media/usb/repo\"], not 'https://me@x': a name or password in it would be shown to everybody"),
        ("[source]\nurls = [1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7]", ":2: source.urls is a list of repositories, like [\"https://example.org/repo\", \"/media/usb/repo\"], not [1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7]: there are more than 16"),
        ("[source]\nchannel = 'Production'", ":2: source.channel is 1 to 32 of a-z 0-9 _ - in quotes, not 'Production'"),
        ("[source]\nchannel = ''", ":2: source.channel is 1 to 32 of a-z 0-9 _ - in quotes, not ''"),
        ("[source]\nchannel = 'aaaaaaaaaabbbbbbbbbbccccccccccddd'", ":2: source.channel is 1 to 32 of a-z 0-9 _ - in quotes, not 'aaaaaaaaaabbbbbbbbbbccccccccccddd'"),
        ("[source.limits]\nminimum_rate_bytes = 0", ":2: source.limits.minimum_rate_bytes is a number of bytes per second from 1 to 16777216, not 0"),
        ("[source.limits]\nattempts = 101", ":2: source.limits.attempts is a number from 1 to 100, not 101"),
        ("[source.limits]\nattempts = 4294967297", ":2: source.limits.attempts is a number from 1 to 100, not 4294967297"),
        ("[source.limits]\nconnect_timeout = 10", ":2: source.limits.connect_timeout is a time in quotes from \"1s\" to \"5m\", not 10"),
        ("[source.limits]\nconnect_timeout = '301s'", ":2: source.limits.connect_timeout is a time in quotes from \"1s\" to \"5m\", not '301s'"),
        ("[source.limits]\nanswer_timeout = '999ms'", ":2: source.limits.answer_timeout is a time in quotes from \"1s\" to \"10m\", not '999ms'"),
        ("[source.limits]\nretry_wait = '1h1s'", ":2: source.limits.retry_wait is a time in quotes from \"1s\" to \"1h\", not '1h1s'"),
        ("[source.limits]\nrate_window = 07:32:00", ":2: source.limits.rate_window is a time in quotes from \"1s\" to \"1h\", not 07:32:00"),
        ("[update]\ngroup = 'a b'", ":2: update.group is 1 to 64 of a-z 0-9 . _ - in quotes, not 'a b'"),
        ("[update]\nid = 'ü'", ":2: update.id is 1 to 64 of A-Z a-z 0-9 . _ : - in quotes, not 'ü'"),
        ("[update]\ncheck_interval = '4m59s'", ":2: update.check_interval is a time in quotes from \"5m\" to \"30d\", not '4m59s'"),
        ("[update]\ncheck_interval = '31d'", ":2: update.check_interval is a time in quotes from \"5m\" to \"30d\", not '31d'"),
        ("[update]\ncheck_interval = 86400", ":2: update.check_interval is a time in quotes from \"5m\" to \"30d\", not 86400"),
        ("[update]\nforce_after = '59m'", ":2: update.force_after is a time in quotes from \"1h\" to \"365d\", not '59m'"),
        ("[update]\nforce_after = '366d'", ":2: update.force_after is a time in quotes from \"1h\" to \"365d\", not '366d'"),
        ("[update]\nforce_after = false", ":2: update.force_after is a time in quotes from \"1h\" to \"365d\", not false"),
        ("[update]\nwindows_need_clock = 'no'", ":2: update.windows_need_clock is true or false, not 'no'"),
        ("[update]\nwindows = '02:00-05:00'", ":2: update.windows is a list of windows, like [\"Mon-Fri 02:00-05:00\", \"Sat,Sun 22:00-02:00\"], not '02:00-05:00'"),
        ("[update]\nwindows = [\n'02:00-05:00',\n7]", ":4: update.windows is a list of windows, like [\"Mon-Fri 02:00-05:00\", \"Sat,Sun 22:00-02:00\"], not 7"),
        ("[update]\nwindows = ['Mon 02:00']", ":2: update.windows is a list of windows, like [\"Mon-Fri 02:00-05:00\", \"Sat,Sun 22:00-02:00\"], not 'Mon 02:00'"),
        ("[update]\nwindows = ['24:00-02:00']", ":2: update.windows is a list of windows, like [\"Mon-Fri 02:00-05:00\", \"Sat,Sun 22:00-02:00\"], not '24:00-02:00': a window can't open at 24:00: write 00:00 of the next day"),
        ("[update]\nwindows = ['Mon 02:00-02:00']", ":2: update.windows is a list of windows, like [\"Mon-Fri 02:00-05:00\", \"Sat,Sun 22:00-02:00\"], not 'Mon 02:00-02:00': it opens and closes at the same time: write 00:00-24:00 for a whole day"),
        ("[update]\nwindows = ['Mo 02:00-03:00']", ":2: update.windows is a list of windows, like [\"Mon-Fri 02:00-05:00\", \"Sat,Sun 22:00-02:00\"], not 'Mo 02:00-03:00': \"Mo\" is not one of Mon Tue Wed Thu Fri Sat Sun"),
        ("[update]\nwindows = ['Sat,Sun 02:00-03:00',\n'Sun,Sat 02:00-03:00']", ":3: update.windows is a list of windows, like [\"Mon-Fri 02:00-05:00\", \"Sat,Sun 22:00-02:00\"], not 'Sun,Sat 02:00-03:00': it is there twice"),
        ("[update]\ntime_zone = ''", ":2: update.time_zone is a time zone's IANA name in quotes, like \"Europe/Berlin\", not ''"),
        ("[update]\ntime_zone = '/etc/localtime'", ":2: update.time_zone is a time zone's IANA name in quotes, like \"Europe/Berlin\", not '/etc/localtime'"),
        ("[update]\ntime_zone = '../UTC'", ":2: update.time_zone is a time zone's IANA name in quotes, like \"Europe/Berlin\", not '../UTC'"),
        ("[update]\ntime_zone = 'Europe/'", ":2: update.time_zone is a time zone's IANA name in quotes, like \"Europe/Berlin\", not 'Europe/'"),
        ("[update]\ntime_zone = 'Europe/.x'", ":2: update.time_zone is a time zone's IANA name in quotes, like \"Europe/Berlin\", not 'Europe/.x'"),
        ("[update]\ntime_zone = 'Central European'", ":2: update.time_zone is a time zone's IANA name in quotes, like \"Europe/Berlin\", not 'Central European'"),
        ("[update]\ntime_zone = 1", ":2: update.time_zone is a time zone's IANA name in quotes, like \"Europe/Berlin\", not 1"),
        ("[update]\nfleet_lock = '/x'", ":2: update.fleet_lock is an http:// or https:// address in quotes, not '/x': it doesn't begin with http:// or https://"),
        ("[update]\nfleet_lock_group = 'a_b'", ":2: update.fleet_lock_group is 1 to 64 of A-Z a-z 0-9 . - in quotes, not 'a_b'"),
        ("a = 1\na = 2", ":2: duplicate key"),
        ("\n\nx = = 1", ":3: extra `=`, expected nothing"),
    ];
    for (text, expected) in table {
        assert_eq!(problems(&[(ETC, text)]), [format!("{ETC}{expected}")]);
    }
}

#[test]
fn windows_are_limited_in_number_and_may_overlap() {
    let windows = |n: usize| {
        let items: Vec<String> =
            (0..n).map(|i| format!("'{:02}:00-{:02}:30'", i % 24, 23 - i / 24)).collect();
        format!("update.windows = [{}]", items.join(", "))
    };
    assert_eq!(loaded(&[(ETC, &windows(32))]).unwrap().update.windows.len(), 32);
    let found = problems(&[(ETC, &windows(33))]);
    assert!(found.len() == 1 && found[0].ends_with(": there are more than 32"), "{found:?}");
    let longest = format!("update.time_zone = '{}'", "a".repeat(64));
    assert_eq!(loaded(&[(ETC, &longest)]).unwrap().update.time_zone.len(), 64);
    assert_eq!(problems(&[(ETC, &longest.replace("'a", "'aa"))]).len(), 1);
}

#[test]
fn empty_list_overrides_the_windows_of_an_earlier_layer() {
    let usr = "usr/lib/bistable/config.d/a.toml";
    let settings = loaded(&[
        (usr, "update.windows = ['02:00-03:00']"),
        ("etc/bistable/config.d/b.toml", "update.windows = []"),
    ]);
    assert_eq!(settings.unwrap().update.windows, []);
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems(&[
        (
            ETC,
            "typo = 1\nallow_demo_keys = 3\n[install]\nflush_bytes = 1\n[source]\nurls = ['a', '/b', '/b']\n",
        ),
        ("run/bistable/config.d/b.toml", "= broken"),
        ("etc/bistable/self-test.toml", "[[test]]\nname = 'a'\nkind = 'level'\npin = 99\nexpect = 'low'\n"),
        ("etc/bistable/health.toml", "deadline = 3"),
    ]);
    assert_eq!(found.len(), 8, "{found:#?}");
    let lines: Vec<&str> = found[..5].iter().map(|p| p.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["1", "2", "4", "6", "6"], "in the order of the lines");
    assert_eq!(found[6], "etc/bistable/self-test.toml: self-test plan: test \"a\": there is no GPIO99");
    assert!(found[7].starts_with("etc/bistable/health.toml: health profile: line 1: unknown field"));
}

#[test]
fn replacements_by_place_and_by_name() {
    let health = |s: u32| format!("deadline_s = {s}");
    let by_place = loaded(&[("etc/bistable/health.toml", &health(50))]).unwrap();
    assert_eq!(by_place.health_profile.unwrap().deadline_s, 50);
    let named = "[health]\nprofile = '/other.toml'";
    let by_name =
        loaded(&[(ETC, named), ("etc/bistable/health.toml", &health(50)), ("other.toml", &health(60))])
            .unwrap();
    assert_eq!(by_name.health_profile.unwrap().deadline_s, 60);
    let missing = problems(&[(ETC, named), ("etc/bistable/health.toml", &health(50))]);
    assert!(
        missing[0].starts_with(&format!("{ETC}:2: ")) && missing[0].ends_with("other.toml does not exist")
    );
    let twice = "[[test]]\nname='a'\nkind='loopback'\nout=4\nin=5\n[[test]]\nname='b'\nkind='loopback'\nout=5\nin=6\n";
    let twice = problems(&[("etc/bistable/self-test.toml", twice)]);
    assert!(twice[0].contains("etc/bistable/self-test.toml: ") && twice[0].contains("GPIO5 is named twice"));
}

#[test]
fn unreadable_files_are_errors() {
    let root = tree(&[(ETC, "")]);
    fs::write(root.path().join(ETC), [0xff, 0xfe]).unwrap();
    assert!(load(root.path()).unwrap_err().to_string().ends_with("a.toml: is not UTF-8"));
    fs::write(root.path().join(ETC), "#".repeat(64 * 1024 + 1)).unwrap();
    assert!(load(root.path()).unwrap_err().to_string().ends_with("a.toml: larger than 64 KiB"));
    fs::remove_file(root.path().join(ETC)).unwrap();
    fs::create_dir(root.path().join(ETC)).unwrap();
    assert!(load(root.path()).unwrap_err().to_string().contains("a.toml: "));
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_an_error_and_one_to_null_masks() {
    let root = tree(&[("usr/lib/bistable/config.d/a.toml", "allow_demo_keys = true"), (ETC, "")]);
    fs::remove_file(root.path().join(ETC)).unwrap();
    std::os::unix::fs::symlink("/dev/null", root.path().join(ETC)).unwrap();
    assert!(!load(root.path()).unwrap().allow_demo_keys);
    std::os::unix::fs::symlink("/nowhere", root.path().join("etc/bistable/self-test.toml")).unwrap();
    assert_eq!(load(root.path()).unwrap_err().problems.len(), 1);
}

#[test]
fn the_configuration_is_read_again_before_a_trial() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/bistable/config.d");
    fs::create_dir_all(&folder).unwrap();
    let settings = load(root.path()).unwrap().read_below(root.path());
    assert_eq!(settings.problem_now(), None);
    fs::write(folder.join("a.toml"), "unknown = 1\n").unwrap();
    assert!(settings.problem_now().unwrap().contains("unknown key \"unknown\""));
    assert_eq!(Settings::default().problem_now(), None, "settings of no file can't change");
}

#[test]
#[cfg(feature = "daemon")]
fn web_page_needs_only_its_own_table_to_be_right() {
    let settings = |text: &str| {
        let root = tree(&[(ETC, text)]);
        web_settings(root.path()).map_err(|e| e.to_string())
    };
    assert_eq!(settings("nonsense = 1\n[web]\nread = 'open'").unwrap().read, WebRead::Open);
    assert_eq!(settings("").unwrap(), WebSettings::default());
    for wrong in
        ["[web]\nlisten = '8080'", "[web]\nreads = 'open'", "[web]\nread = 'all'", "[web]\nnames = ['*']"]
    {
        assert!(settings(wrong).is_err(), "{wrong}");
    }
}
