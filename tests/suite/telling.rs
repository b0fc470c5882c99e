//! Webhooks, push gateway and hooks of a daemon that runs.
use crate::{
    daemon::follows,
    daemon_process::Daemon,
    pi::Pi,
    receiver::{Receiver, is_alive},
    signals::until,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

const ROOT: &str = "card.img.sim/root";

/// A program of the operator's.
fn hook(pi: &Pi, kind: &str, name: &str, script: &str) -> PathBuf {
    let path = pi.file(&format!("{ROOT}/etc/bistable/hooks.d/{kind}/{name}"), script.as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// All events of a type.
fn events(pi: &Pi, kind: &str) -> Vec<Value> {
    let all = pi.run(&format!("events --json --type {kind}")).must(0, &[]).json();
    all["events"].as_array().unwrap().clone()
}

#[test]
fn webhook_gets_each_event_signed_and_continues_after_a_kill() {
    let pi = Pi::new();
    let receiver = Receiver::start();
    pi.file(&format!("{ROOT}/etc/secret"), b"s3cret\n");
    let hook = format!(
        "mode = \"stage\"\n[webhook.ops]\nurl = \"http://127.0.0.1:{}/in\"\ntypes = [\"update.*\"]\nsecret_files = [\"/etc/secret\"]\n",
        receiver.port
    );
    follows(&pi, &hook);
    let daemon = Daemon::start(&pi);
    until("it knows where it is", || {
        pi.path("card.img.sim/persistent/bistable/notify/webhooks.json").exists()
    });
    daemon.ended(&daemon.post("check"));
    until("it is told", || !receiver.heard().is_empty());
    let first = receiver.heard().remove(0);
    let (head, body) = first.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    for header in
        ["webhook-id: ", "webhook-timestamp: ", "webhook-signature: v1,", "content-type: application/json"]
    {
        assert!(head.contains(&format!("\r\n{header}")), "{first}");
    }
    let event: Value = serde_json::from_str(body).unwrap();
    assert_eq!((event["type"].as_str(), event["device"].as_str()), (Some("update.available"), Some("hub-7")));
    assert!(!first.contains("s3cret"));
    daemon.end(Signal::SIGKILL);
    // The next daemon sends what happens meanwhile.
    pi.run("install").must(0, &[]);
    let _daemon = Daemon::start(&pi);
    until("it is told", || receiver.heard().iter().any(|told| told.contains("\"update.staged\"")));
    let seq = |told: &String| {
        serde_json::from_str::<Value>(told.split_once("\r\n\r\n").unwrap().1).unwrap()["seq"].as_u64()
    };
    let all: Vec<_> = receiver.heard().iter().map(seq).collect();
    let mut sorted = all.clone();
    sorted.sort_unstable();
    assert_eq!(all, sorted);
}

#[test]
fn receiver_that_never_answers_holds_up_nothing() {
    let pi = Pi::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    follows(
        &pi,
        &format!(
            "mode = \"stage\"\n[webhook.ops]\nurl = \"http://127.0.0.1:{port}\"\n[metrics]\npush = \"http://127.0.0.1:{port}\"\n"
        ),
    );
    let daemon = Daemon::start(&pi);
    until("it knows where it is", || {
        pi.path("card.img.sim/persistent/bistable/notify/webhooks.json").exists()
    });
    for what in ["check", "preflight", "install"] {
        assert_eq!(daemon.ended(&daemon.post(what))["outcome"]["exit"], 0, "{what}");
    }
    assert_eq!(daemon.get("/v1/health/live")["alive"], true);
}

#[test]
fn hooks_get_the_event_and_one_that_hangs_forks_floods_or_is_not_trusted_is_reported() {
    let pi = Pi::new();
    follows(&pi, "mode = \"stage\"\n[hooks]\ntimeout = \"1s\"\n");
    let (out, env) = (pi.path("heard.json"), pi.path("env"));
    let word = format!("5{:06}.75", std::process::id());
    hook(
        &pi,
        "update.available",
        "10-note",
        &format!("#!/bin/sh\ncat > {}\nenv > {}\n", out.display(), env.display()),
    );
    hook(&pi, "update.available", "20-hangs", &format!("#!/bin/sh\nsleep {word}\n"));
    hook(&pi, "update.available", "30-forks", &format!("#!/bin/sh\nsetsid sleep {word} &\n"));
    hook(&pi, "update.available", "40-floods", "#!/bin/sh\nyes flood | head -c 100000000\nexit 3\n");
    let loose = hook(&pi, "update.available", "50-loose", "#!/bin/sh\n");
    fs::set_permissions(loose, fs::Permissions::from_mode(0o777)).unwrap();
    hook(&pi, "update.available", "60-last", &format!("#!/bin/sh\ntouch {}\n", pi.path("last").display()));
    let daemon = Daemon::start(&pi);
    daemon.ended(&daemon.post("check"));
    until("the last one ran", || pi.path("last").exists());
    let heard: Value = serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(heard["type"], "update.available");
    let names = fs::read_to_string(&env).unwrap();
    assert!(!names.contains("CARGO") && names.contains("PATH="), "{names}");
    until("all that failed is reported", || events(&pi, "hook.failed").len() >= 3);
    let failed: Vec<String> =
        events(&pi, "hook.failed").iter().map(|e| e["data"]["hook"].as_str().unwrap().into()).collect();
    assert_eq!(
        failed,
        ["update.available/20-hangs", "update.available/40-floods", "update.available/50-loose"]
    );
    until("what it forked is gone", || !is_alive(&word));
    assert_eq!(daemon.get("/v1/health/live")["alive"], true);
}

#[test]
fn push_gateway_gets_what_is_measured() {
    let pi = Pi::new();
    let receiver = Receiver::start();
    follows(&pi, &format!("mode = \"stage\"\n[metrics]\npush = \"http://127.0.0.1:{}\"\n", receiver.port));
    let _daemon = Daemon::start(&pi);
    until("it is pushed", || !receiver.heard().is_empty());
    let pushed = receiver.heard().remove(0);
    assert!(pushed.starts_with("PUT /metrics/job/bistable/instance/hub-7 HTTP/1.1\r\n"), "{pushed}");
    assert!(pushed.contains("\nbistable_process_resident_bytes "), "{pushed}");
}

#[test]
#[ignore = "needs prometheus-pushgateway"]
fn pushgateway_takes_what_is_pushed() {
    let pi = Pi::new();
    let port = crate::monitoring::port();
    let _gateway = crate::monitoring::Running::start(
        crate::monitoring::tool("prometheus-pushgateway", "prometheus-pushgateway")
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    until("it answers", || crate::monitoring::get(port, "/-/ready").is_some());
    follows(&pi, &format!("mode = \"stage\"\n[metrics]\npush = \"http://127.0.0.1:{port}\"\n"));
    let _daemon = Daemon::start(&pi);
    until("it has them", || {
        crate::monitoring::get(port, "/metrics").is_some_and(|text| {
            text.contains("bistable_state{instance=\"hub-7\",job=\"bistable\",state=\"idle\"} 1")
        })
    });
}
