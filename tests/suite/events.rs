//! The event log of a simulated Pi.
use crate::{fixture::WORLD, pi::Pi};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Command};

fn events(pi: &Pi, words: &str) -> Vec<Value> {
    let answer = pi.run(&format!("events --json {words}")).must(0, &[]).json();
    answer["events"].as_array().unwrap().clone()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn updated(pi: &Pi) {
    pi.run_on("install", &pi.good()).must(0, &[]);
    pi.run("arm").must(0, &[]);
    pi.run("reboot").must(0, &[]);
    pi.run("resume").must(0, &["slot B is the default now"]);
}

#[test]
fn an_update_is_told_from_the_request_to_the_commit() {
    let pi = Pi::new();
    assert_eq!(events(&pi, "").len(), 0);
    updated(&pi);
    let all = events(&pi, "");
    let device: Vec<_> = all.iter().filter(|event| event["stream"] == "device").cloned().collect();
    assert_eq!(
        kinds(&device),
        [
            "audit.request",
            "reconciled",
            "update.installing",
            "update.staged",
            "audit.request",
            "update.self_test",
            "update.armed",
            "audit.request",
            "update.armed",
            "update.rebooting",
            "update.trial",
            "update.health",
            "update.committing",
            "update.committed",
        ]
    );
    let numbers: Vec<u64> = all.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    let of_stream: Vec<u64> = device.iter().map(|event| event["stream_seq"].as_u64().unwrap()).collect();
    assert_eq!(of_stream, (1..=14).collect::<Vec<_>>());
    let first = &device[0];
    assert_eq!((&first["data"]["operation"], &first["source"]), (&"install".into(), &"cli".into()));
    let installing = &device[2];
    assert_eq!(installing["data"]["update"]["release"]["version"], "1.1.0");
    assert_eq!(installing["correlation_id"], first["correlation_id"]);
    assert_ne!(device[4]["correlation_id"], first["correlation_id"]);
    let boots: std::collections::BTreeSet<_> = all.iter().map(|event| event["boot_id"].to_string()).collect();
    assert_eq!(boots.len(), 2);

    // What is asked for, and as what.
    let after = numbers[numbers.len() - 3];
    assert_eq!(events(&pi, &format!("--after {after}")).len(), 2);
    assert_eq!(events(&pi, "--stream device --from 13").len(), 2);
    assert_eq!(
        kinds(&events(&pi, "--type update.comm* --type x")),
        ["update.committing", "update.committed"]
    );
    let text = pi.run("events --type update.committed").must(0, &[]).out;
    assert!(text.contains("update.committed     release 1.1.0 in slot B"), "{text}");
    let lines = pi.run("events --format json").must(0, &[]).out;
    assert_eq!(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>(), all);

    let history = pi.run("history --json").must(0, &[]).json();
    assert_eq!(history["updates"][0]["ended"], Value::Null, "made at the factory");
    assert_eq!(history["updates"][1]["ended"]["time"], device[13]["timestamp"]);
    assert_eq!(history["updates"][1]["ended"]["synchronized"], true);
}

#[test]
fn request_is_recorded_before_it_is_done_and_names_only_a_version() {
    let pi = Pi::new();
    for words in [
        "check",
        "health",
        "resume",
        "update --retry-rejected 1.2.0",
        "update",
        "install --force-withdrawn missing.bundle",
        "commit",
        "repair",
    ] {
        // Some of them fail, which changes nothing about what was asked for.
        pi.run(words);
    }
    let asked: Vec<_> = events(&pi, "--type audit.request")
        .iter()
        .map(|event| event["data"].clone())
        .map(|data| (data["operation"].clone(), data["what"].clone(), data["forced"].clone()))
        .collect();
    let expected = [
        ("update", Some("1.2.0"), true),
        ("update", None, false),
        ("install", Some("bundle"), true),
        ("commit", None, false),
        ("repair", None, false),
    ];
    assert_eq!(
        asked,
        expected.map(|(operation, what, forced)| (operation.into(), what.into(), forced.into()))
    );
}

#[test]
fn what_only_looks_writes_nothing() {
    let pi = Pi::new();
    for verb in ["status", "history", "events", "config check"] {
        pi.run(verb).must(0, &[]);
    }
    pi.run_on("install -n", &pi.good()).must(0, &[]);
    assert_eq!(events(&pi, "").len(), 0);
}

#[test]
fn a_release_that_fails_is_told_with_its_reason() {
    let pi = Pi::new();
    pi.run_on("install", &pi.good()).must(0, &[]);
    pi.run("revert").must(0, &[]);
    let failed = events(&pi, "--type update.failed");
    let data = &failed[0]["data"];
    assert_eq!(
        (&data["update"]["state"], &data["ended"]["release"]["version"]),
        (&"idle".into(), &"1.1.0".into())
    );
    assert!(data["reason"].as_str().is_some_and(|why| why.contains("operator")), "{data}");
    assert_eq!(failed[0]["priority"], "error");
}

#[test]
fn a_change_of_the_configuration_is_told_with_its_keys_and_without_values() {
    let pi = Pi::new();
    let changes = || events(&pi, "--type config.*");
    let keys = |event: &Value| event["data"]["keys"].to_string();
    pi.run("resume").must(0, &[]);
    assert_eq!(changes().len(), 0, "nothing was set");
    pi.config("[update]\nid = \"a-secret-name\"\n");
    for _ in 0..2 {
        pi.run("resume").must(0, &[]);
    }
    pi.config("[update]\nid = \"another\"\n");
    pi.run("resume").must(0, &[]);
    pi.config("");
    pi.run("resume").must(0, &[]);
    let all = changes();
    assert_eq!(all.iter().map(keys).collect::<Vec<_>>(), [r#"["update.id"]"#; 3]);
    assert!(
        all[0]["data"]["files"][0].as_str().is_some_and(|file| file.ends_with("50-test.toml")),
        "{}",
        all[0]
    );
    assert!(!all[0].to_string().contains("secret"));
    let uid = nix::unistd::getuid().as_raw();
    assert_eq!((&all[0]["data"]["by"]["source"], &all[0]["data"]["by"]["uid"]), (&"cli".into(), &uid.into()));
}

/// No update waits for its log (I19).
#[test]
fn a_full_or_missing_partition_holds_up_nothing() {
    for (free_mib, place) in [(0, None), (-1, Some("in memory only"))] {
        let pi = Pi::new();
        pi.world(&format!("free_mib = {free_mib}\n{WORLD}"));
        updated(&pi);
        pi.rests("B", "1.1.0");
        let ended = pi.run("events").must(0, &[]);
        match place {
            None => assert_eq!(ended.out, ""),
            Some(words) => {
                assert!(ended.out.contains(words) && ended.out.contains("storage.fallback"), "{ended:#?}");
                // Only this boot's.
                assert!(
                    !ended.out.contains("update.staged") && ended.out.contains("update.committed"),
                    "{ended:#?}"
                );
            }
        }
        // With room again, the log continues from what the journal has; what was in memory moves there.
        pi.world(WORLD);
        pi.run("resume").must(0, &[]);
        let all = events(&pi, "");
        let kinds = kinds(&all);
        match place {
            None => {
                assert_eq!((kinds, &all[0]["data"]["update"]["state"]), (vec!["reconciled"], &"idle".into()));
            }
            Some(words) => {
                assert_eq!(
                    (kinds[0], kinds.last()),
                    ("storage.fallback", Some(&"storage.restored")),
                    "{kinds:?}"
                );
                assert!(kinds.contains(&"update.committed"), "{kinds:?}");
                let seqs: Vec<u64> = all.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
                assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
                assert!(!pi.run("events").must(0, &[]).out.contains(words));
            }
        }
    }
}

/// What a kernel makes of a card that reports errors. In a mount namespace, since root may write into any folder.
#[test]
fn a_read_only_partition_loses_nothing_and_holds_up_nothing() {
    const READ_ONLY: &str = r#"mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift; "$@" arm; "$@" reboot; "$@" resume; "$@" events --json"#;
    let pi = Pi::new();
    pi.run_on("install", &pi.good()).must(0, &[]);
    let before = events(&pi, "");
    let command = pi.command();
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-ec", READ_ONLY, "sh"])
        .arg(pi.path("card.img.sim/persistent"))
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(pi.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:#?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let seen: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    assert_eq!(seen["events"].as_array().unwrap(), &before);
    let in_memory = seen["volatile"].as_array().unwrap();
    let numbers: Vec<u64> = in_memory.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    let first = before.len() as u64 + 1;
    assert_eq!(numbers, (first..first + numbers.len() as u64).collect::<Vec<_>>(), "they continue the log's");
    pi.rests("B", "1.1.0");
    // Writable again: what was there stays as it is, and what was in memory follows.
    pi.run("resume").must(0, &[]);
    let all = events(&pi, "");
    assert_eq!(all[..before.len()], before);
    let kinds = kinds(&all[before.len()..]);
    assert_eq!((kinds[0], kinds.last()), ("storage.fallback", Some(&"storage.restored")), "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "storage.fallback").count(), 1, "{kinds:?}");
    assert!(kinds.contains(&"update.committed"), "{kinds:?}");
    assert!(all[before.len()]["data"]["reason"].as_str().unwrap().contains("Read-only"), "{all:?}");
}

fn segment(pi: &Pi) -> PathBuf {
    pi.path("card.img.sim/persistent/bistable/events/events-00000000000000000002.jsonl")
}

#[test]
fn damage_is_passed_over_and_reported() {
    let pi = Pi::new();
    updated(&pi);
    let all = events(&pi, "").len();
    let mut bytes = fs::read(segment(&pi)).unwrap();
    bytes[4096 + 20] ^= 1;
    fs::write(segment(&pi), bytes).unwrap();
    let ended = pi.run("events --json").must(0, &["1 damaged lines"]);
    assert_eq!((ended.json()["damaged"].as_u64(), events(&pi, "").len()), (Some(1), all - 1));
    pi.run("resume").must(0, &[]);
    pi.run("resume").must(0, &[]);
    assert_eq!(events(&pi, "--type storage.*").len(), 1);
}

/// Wherever the power goes, the log continues with higher numbers, and ends where the journal is.
#[test]
fn after_a_power_cut_in_the_middle_of_an_update_the_log_agrees_with_the_journal() {
    for write in [1, 4, 9, 14, 19, 24] {
        let pi = Pi::new();
        pi.run(&format!("sim cut --at-write {write}")).must(0, &[]);
        let cut = pi.run_on("update", &pi.good());
        if cut.code == 0 {
            continue;
        }
        let before = events(&pi, "");
        pi.run("sim power on").must(0, &[]);
        pi.run("resume");
        pi.run_on("update", &pi.good());
        pi.run("resume");
        pi.rests("B", "1.1.0");
        let all = events(&pi, "");
        assert_eq!(&all[..before.len()], &before[..], "write {write}");
        let numbers: Vec<u64> = all.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] > pair[0]), "{numbers:?}");
        let states: Vec<_> = all.iter().filter(|event| !event["data"]["update"].is_null()).collect();
        assert_eq!(states.last().unwrap()["data"]["update"]["state"], "idle", "write {write}");
    }
}

/// A follower sleeps until the system reports that there is something to read.
#[cfg(target_os = "linux")]
#[test]
fn who_follows_sleeps_until_something_is_written() {
    use std::io::BufRead;
    let pi = Pi::new();
    updated(&pi);
    let last = events(&pi, "").last().unwrap()["seq"].to_string();
    let mut command = pi.command();
    command.args(["events", "--follow", "--format", "json", "--after", &last]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let watches = || {
        let folder = fs::read_dir(format!("/proc/{}/fdinfo", child.id())).unwrap();
        folder
            .flatten()
            .any(|file| fs::read_to_string(file.path()).is_ok_and(|text| text.contains("inotify wd:")))
    };
    crate::signals::until("it watches", watches);
    pi.config("[update]\nid = \"another\"\n");
    pi.run("resume").must(0, &[]);
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["type"], "config.changed", "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}
