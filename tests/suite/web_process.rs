//! The web page as processes: the daemon, the page's process in front of it, and raw bytes over TCP.
use crate::{daemon::follows, pi::Pi, signals::until};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

/// The daemon and the page's process.
pub(crate) struct Web {
    daemon: Child,
    page: Child,
    /// Host and port.
    pub(crate) host: String,
}

impl Web {
    pub(crate) fn start(pi: &Pi) -> Web {
        let daemon = daemon(pi);
        let mut page = pi.command();
        page.args(["web", "--announce", "--listen", "127.0.0.1:0", "--socket"]).arg(pi.path("web.sock"));
        page.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut page = page.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(page.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let host = line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Web { daemon, page, host }
    }

    /// The daemon once more, after the machine went down.
    pub(crate) fn restart(&mut self, pi: &Pi) {
        let _ = self.daemon.wait();
        self.daemon = daemon(pi);
    }

    /// Whether the daemon has ended, as it does when the machine goes down.
    pub(crate) fn is_down(&mut self) -> bool {
        self.daemon.try_wait().unwrap().is_some()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.host).unwrap()
    }

    /// Status and body.
    fn raw(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(head.as_bytes()).unwrap();
        // A connection that is refused early may be closed early.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub(crate) fn ask(&self, method: &str, path: &str, token: &str, body: &[u8]) -> (u16, String) {
        let kind = if path == "/v1/bundles" { "application/octet-stream" } else { "application/json" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.raw(&head, body)
    }

    pub(crate) fn status(&self, token: &str) -> Value {
        let (code, body) = self.ask("GET", "/v1/status", token, b"");
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Kilobytes that the page's process has in memory.
    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.page.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

fn daemon(pi: &Pi) -> Child {
    let mut command = pi.command();
    command.arg("daemon").arg("--socket").arg(pi.path("api.sock"));
    command.arg("--web-socket").arg(pi.path("web.sock"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = command.spawn().unwrap();
    let web = pi.path("web.sock");
    until("it answers", || std::os::unix::net::UnixStream::connect(&web).is_ok());
    daemon
}

impl Drop for Web {
    fn drop(&mut self) {
        for process in [&mut self.page, &mut self.daemon] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A new token.
pub(crate) fn token(pi: &Pi, name: &str, scope: &str) -> String {
    pi.run(&format!("token add {name} --scope {scope}")).must(0, &[]).out.trim().to_owned()
}

#[test]
fn token_is_printed_once_and_stored_as_a_hash_that_only_root_reads() {
    let pi = Pi::new();
    let token = token(&pi, "kim", "operate");
    assert!(token.starts_with("bst_") && token.len() > 40, "{token}");
    let file = pi.path("card.img.sim/persistent/bistable/tokens.d/kim.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&token) && text.contains("scope = \"operate\""), "{text}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let listed = pi.run("token list --json").must(0, &[]).json();
    assert_eq!(listed["tokens"][0]["name"], "kim");
    assert!(!pi.run("token list").must(0, &[]).out.contains(&token));
    pi.run("token add kim --scope read").must(2, &["there is a token kim already"]);
    pi.run("token add ../kim --scope read").must(2, &[]);
    pi.run("token remove jo").must(3, &["there is no token jo"]);
    pi.run("token remove kim").must(0, &[]);
    assert!(!file.exists());
}

#[test]
fn page_does_what_its_token_allows_and_the_audit_says_whose_it_was() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let (read, operate) = (token(&pi, "screen", "read"), token(&pi, "kim", "operate"));
    let web = Web::start(&pi);
    assert_eq!(web.status(&read)["state"], "idle");
    let (code, page) = web.ask("GET", "/", &read, b"");
    assert_eq!(code, 200);
    assert!(page.contains("Slot A") && page.contains("Check for updates"), "{page}");
    let (code, body) = web.ask("POST", "/v1/install", &read, b"{}");
    assert_eq!(code, 403, "{body}");
    assert_eq!(web.ask("GET", "/v1/status", "bst_wrong", b"").0, 401);
    let (code, body) = web.ask("POST", "/v1/install", &operate, b"{}");
    assert_eq!(code, 202, "{body}");
    until("it is staged", || web.status(&read)["state"] == "staged");
    // Over the page's socket, a restarted daemon knows it, too.
    let (_, events) = web.ask("GET", "/v1/events?type=audit.*", &read, b"");
    let events: Value = serde_json::from_str(&events).unwrap();
    let tokens: Vec<&Value> =
        events["events"].as_array().unwrap().iter().map(|event| &event["data"]["token"]).collect();
    assert!(tokens.contains(&&Value::from("kim")), "{events:#}");
    // Whoever has a token that is removed is refused from then on.
    pi.run("token remove screen").must(0, &[]);
    until("it is refused", || web.ask("GET", "/v1/status", &read, b"").0 == 401);
    assert_eq!(web.ask("GET", "/v1/status", &operate, b"").0, 200);
}

#[test]
fn uploaded_bundle_is_installed_and_one_that_breaks_off_is_resumed() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let operate = token(&pi, "kim", "operate");
    let web = Web::start(&pi);
    let bundle = fs::read(pi.good()).unwrap();
    let (code, body) = web.ask("POST", "/v1/bundles", &operate, b"this is no bundle");
    assert_eq!(code, 422, "{body}");
    assert_eq!(web.status(&operate)["state"], "idle", "nothing was written");
    // The connection is cut in the middle.
    let mut stream = web.connect();
    let head = format!(
        "POST /v1/bundles HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {operate}\r\nContent-Length: {}\r\n\r\n",
        bundle.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&bundle[..bundle.len() / 2]).unwrap();
    until("it began", || {
        let (_, jobs) = web.ask("GET", "/v1/jobs", &operate, b"");
        jobs.contains("\"running\"") || jobs.contains("installing")
    });
    drop(stream);
    until("the job has ended", || !web.ask("GET", "/v1/jobs", &operate, b"").1.contains("\"running\""));
    let state = web.status(&operate)["state"].clone();
    assert!(["installing", "idle"].contains(&state.as_str().unwrap()), "{state}");
    let (code, body) = web.ask("POST", "/v1/bundles", &operate, &bundle);
    assert_eq!(code, 200, "{body}");
    assert_eq!(web.status(&operate)["state"], "staged");
    pi.slot_a_is_untouched();
    let job: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&job["by"]["token"], &job["outcome"]["exit"]), (&"kim".into(), &0.into()));
}

#[test]
fn ten_thousand_connections_cost_little_and_end() {
    let pi = Pi::new();
    pi.run("status").must(0, &[]);
    let read = token(&pi, "screen", "read");
    let web = Web::start(&pi);
    assert_eq!(web.status(&read)["state"], "idle");
    let idle: Vec<TcpStream> = (0..64).map(|_| web.connect()).collect();
    let before = web.resident_kib();
    let mut refused = 0;
    for _ in 0..10_000 {
        let mut one_more = web.connect();
        one_more.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut answer = [0; 12];
        if one_more.read_exact(&mut answer).is_ok() && &answer == b"HTTP/1.1 503" {
            refused += 1;
        }
    }
    // Those that were accepted first end within ten seconds: a few of the others may have got a place.
    assert!(refused > 5000, "{refused}");
    let after = web.resident_kib();
    assert!(after < before + 8192, "{before} KiB, then {after} KiB");
    println!("resident: {before} KiB with 64 idle connections, {after} KiB after 10,000 more");
    drop(idle);
    until("there is room again", || {
        let mut stream = web.connect();
        let _ = stream.write_all(b"GET /page.css HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.starts_with("HTTP/1.1 200")
    });
}

#[test]
fn page_is_not_served_to_a_network_in_clear() {
    let pi = Pi::new();
    pi.run("web --listen 0.0.0.0:0")
        .must(2, &["tokens would cross the network in clear", "/etc/bistable/web"]);
    pi.config("[web]\nlisten = \"192.0.2.1:8443\"\n");
    pi.run("web").must(2, &["192.0.2.1:8443 is reached by other machines"]);
    pi.config("[web]\nlisten = \"[::]:443\"\ncertificate = \"/none\"\n");
    pi.run("web").must(2, &["web.certificate and web.key belong together"]);
    pi.config("[web]\nlisten = \"[::]:443\"\ncertificate = \"/none\"\nkey = \"/none\"\n");
    pi.run("web").must(2, &["/none: No such file"]);
}

#[test]
#[ignore = "needs openssl and curl"]
fn page_over_tls_is_what_other_programs_expect() {
    let pi = Pi::new();
    pi.run("status").must(0, &[]);
    let read = token(&pi, "screen", "read");
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "30",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ])
        .current_dir(pi.path(""))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let at = |name: &str| pi.path(name).display().to_string();
    pi.config(&format!("[web]\ncertificate = {:?}\nkey = {:?}\n", at("cert.pem"), at("key.pem")));
    let daemon = daemon(&pi);
    let mut page = pi.command();
    page.args(["web", "--announce", "--listen", "127.0.0.1:0", "--socket"]).arg(pi.path("web.sock"));
    let mut page = page.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(page.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("https://127.0.0.1:").unwrap();
    let curl = |args: &[&str], path: &str| {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sS", "--cacert"]).arg(pi.path("cert.pem")).args(args);
        let out = curl.arg(format!("https://localhost:{port}{path}")).output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let bearer = format!("Authorization: Bearer {read}");
    let (fine, status) = curl(&["-H", &bearer], "/v1/status");
    assert!(fine && status.contains("\"state\":\"idle\""), "{status}");
    let (fine, page_text) = curl(&["-u", &format!(":{read}")], "/");
    assert!(fine && page_text.contains("Slot A"), "{page_text}");
    // The port answers nothing to plain HTTP.
    let clear = std::process::Command::new("curl")
        .args(["-sS", &format!("http://localhost:{port}/")])
        .output()
        .unwrap();
    assert!(!clear.status.success(), "{clear:?}");
    for mut process in [page, daemon] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(Path::new(&at("cert.pem")).exists());
}
