//! What is measured, read by Prometheus' own tools: each test names the package of Debian that has them.
use crate::{daemon::follows, daemon_process::Daemon, pi::Pi, receiver::Receiver, signals::until};
use serde_json::Value;
use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/monitoring")
}

/// A tool, which must be there.
pub(crate) fn tool(name: &str, package: &str) -> Command {
    let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(found.is_ok(), "{name} is missing: install Debian's package {package}");
    Command::new(name)
}

/// What a tool that must succeed says.
fn says(command: &mut Command, input: &str) -> String {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// A process that ends with the test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free just now.
pub(crate) fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Passes connections on to a Unix socket; its port.
fn bridge(socket: &Path) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, socket) = (listener.local_addr().unwrap().port(), socket.to_owned());
    thread::spawn(move || {
        for tcp in listener.incoming().filter_map(Result::ok) {
            let Ok(unix) = UnixStream::connect(&socket) else { continue };
            let (mut from, mut to) = (tcp.try_clone().unwrap(), unix.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut from, &mut to));
            let (mut from, mut to) = (unix, tcp);
            thread::spawn(move || io::copy(&mut from, &mut to));
        }
    });
    port
}

/// The body of an answer to GET; `None` while no server answers with success.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).filter(|code| *code == "200")?;
    Some(body.into())
}

/// What a query gives: `None` if it isn't answered.
fn query(port: u16, query: &str) -> Option<Vec<Value>> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let answer: Value = serde_json::from_str(&get(port, &format!("/api/v1/query?query={encoded}"))?).ok()?;
    answer["data"]["result"].as_array().filter(|_| answer["status"] == "success").cloned()
}

/// A Prometheus that scrapes these devices, and tells this Alertmanager.
fn prometheus(pi: &Pi, devices: u16, alertmanager: u16, rules: &[PathBuf]) -> (Running, u16) {
    let port = port();
    let rules: String = rules.iter().map(|path| format!("  - {}\n", path.display())).collect();
    let config = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\nrule_files:\n{rules}\
         alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ['127.0.0.1:{alertmanager}'] }}] }}] }}\n\
         scrape_configs:\n  - job_name: bistable\n    metrics_path: /v1/metrics\n    \
         static_configs: [{{ targets: ['127.0.0.1:{devices}'] }}]\n"
    );
    let path = pi.file("prometheus.yml", config.as_bytes());
    let running = Running::start(
        tool("prometheus", "prometheus")
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", pi.path("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    (running, port)
}

#[test]
fn metrics_are_shown_written_into_a_file_and_asked_of_the_daemon() {
    let pi = Pi::new();
    follows(&pi, "mode = \"stage\"\n");
    let text = pi.run("metrics").must(0, &[]).out;
    assert!(
        text.contains("bistable_state{state=\"idle\"} 1\n") && text.contains("bistable_updates_total"),
        "{text}"
    );
    assert!(!text.contains("bistable_process_resident_bytes"), "only a daemon knows: {text}");
    pi.run(&format!("metrics --textfile {}", pi.path("x.prom").display())).must(0, &[]);
    let written = fs::read_to_string(pi.path("x.prom")).unwrap();
    // How full this machine's disk is changes all the time.
    let lines = |text: &str| {
        text.lines().filter(|line| !line.contains("_used_ratio{")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(lines(&written), lines(&text));
    let socket = pi.path("card.img.sim/root/run/bistable/api.sock");
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let _daemon = Daemon::start_at(&pi, socket);
    let told = pi.run("metrics").must(0, &[]).out;
    assert!(told.contains("\nbistable_process_resident_bytes "), "{told}");
}

#[test]
#[ignore = "needs prometheus"]
fn promtool_finds_nothing_wrong_with_metrics_and_rules() {
    let pi = Pi::new();
    follows(&pi, "mode = \"stage\"\n");
    let text = pi.run("metrics").must(0, &[]).out;
    says(tool("promtool", "prometheus").args(["check", "metrics"]), &format!("{}\n", text.trim_end()));
    let folder = monitoring();
    says(
        tool("promtool", "prometheus")
            .args(["check", "rules", "rules.yml", "alerts.yml"])
            .current_dir(&folder),
        "",
    );
    says(tool("promtool", "prometheus").args(["test", "rules", "rules_test.yml"]).current_dir(&folder), "");
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_scrapes_a_daemon_and_answers_each_query_of_the_dashboard() {
    let pi = Pi::new();
    follows(&pi, "mode = \"stage\"\n");
    let socket = pi.path("api.sock");
    let _daemon = Daemon::start_at(&pi, socket.clone());
    let rules = ["rules.yml", "alerts.yml"].map(|name| monitoring().join(name));
    let (_prometheus, port) = prometheus(&pi, bridge(&socket), 9, &rules);
    until("it is scraped", || query(port, "up == 1").is_some_and(|found| !found.is_empty()));
    let states = query(port, "count(bistable_state)").unwrap();
    assert_eq!(states[0]["value"][1], "7", "{states:?}");
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(monitoring().join("dashboard.json")).unwrap()).unwrap();
    let targets =
        dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() > 15);
    for expression in queries {
        assert!(query(port, expression).is_some(), "{expression}");
    }
    // The answer for a metric that doesn't exist is empty, too.
    let families = bistable::metrics::FAMILIES.iter().chain(&bistable_image::repository::metrics::FAMILIES);
    let known: Vec<&str> = families.map(|family| family.name).collect();
    for text in ["dashboard.json", "rules.yml", "alerts.yml"]
        .map(|name| fs::read_to_string(monitoring().join(name)).unwrap())
    {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("bistable_")) {
            let name = ["_sum", "_count"].into_iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            assert!(known.contains(&name), "{word}");
        }
    }
}

#[test]
#[ignore = "needs prometheus and prometheus-alertmanager"]
fn alert_goes_from_a_device_to_a_webhook() {
    let pi = Pi::new();
    follows(&pi, "mode = \"stage\"\n");
    let socket = pi.path("api.sock");
    let daemon = Daemon::start_at(&pi, socket.clone());
    let receiver = Receiver::start();
    let example = fs::read_to_string(monitoring().join("alertmanager.yml")).unwrap();
    let quick = example
        .replace("127.0.0.1:9099", &format!("127.0.0.1:{}", receiver.port))
        .replace("group_wait: 30s", "group_wait: 1s")
        .replace("group_wait: 10s", "group_wait: 1s");
    let config = pi.file("alertmanager.yml", quick.as_bytes());
    let (manager, cluster) = (port(), port());
    let _manager = Running::start(
        tool("prometheus-alertmanager", "prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", pi.path("alertmanager").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{manager}"))
            .arg(format!("--cluster.listen-address=127.0.0.1:{cluster}")),
    );
    let alerts = fs::read_to_string(monitoring().join("alerts.yml")).unwrap().replace("for: 5m", "for: 1s");
    let alerts = pi.file("quick.yml", alerts.as_bytes());
    let (_prometheus, port) = prometheus(&pi, bridge(&socket), manager, &[alerts]);
    until("it is scraped", || query(port, "up == 1").is_some_and(|found| !found.is_empty()));
    drop(daemon);
    until("the alert comes", || receiver.heard().iter().any(|body| body.contains("ServiceDown")));
}
