//! The daemon as a process: asked over its socket, killed in the middle of what it does, and started again.
use crate::{daemon::follows, pi::Pi, signals::until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream, process::ExitStatusExt},
    path::PathBuf,
    process::{Child, Stdio},
};

pub(crate) struct Daemon {
    process: Child,
    socket: PathBuf,
}

impl Daemon {
    pub(crate) fn start(pi: &Pi) -> Daemon {
        Daemon::start_at(pi, pi.path("api.sock"))
    }

    pub(crate) fn start_at(pi: &Pi, socket: PathBuf) -> Daemon {
        let mut command = pi.command();
        command.arg("daemon").arg("--socket").arg(&socket);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = Daemon { process: command.spawn().unwrap(), socket };
        // A socket that an earlier one left is there, and no process answers.
        until("it answers", || UnixStream::connect(&daemon.socket).is_ok());
        daemon
    }

    /// Status code and body.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        let head = match body {
            "" => format!("{head}\r\n"),
            _ => format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"),
        };
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, serde_json::from_str(body).unwrap())
    }

    /// The body of an answer that is no JSON.
    pub(crate) fn text(&self, path: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The same, if the daemon answers at all.
    pub(crate) fn try_get(&self, path: &str) -> Option<Value> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Whatever it does, or has done: it may have ended with the machine.
    pub(crate) fn kill(mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (code, body) = self.ask("GET", path, "");
        assert_eq!(code, 200, "{path}: {body:#}");
        body
    }

    /// Ask for something; the path of its job.
    pub(crate) fn post(&self, what: &str) -> String {
        let (code, body) = self.ask("POST", &format!("/v1/{what}"), "{}");
        assert_eq!(code, 202, "{what}: {body:#}");
        format!("/v1/jobs/{}", body["id"].as_str().unwrap())
    }

    pub(crate) fn ended(&self, job: &str) -> Value {
        let mut found = Value::Null;
        until("the job ends", || {
            found = self.get(job);
            found["state"] == "ended"
        });
        found
    }

    pub(crate) fn end(mut self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(self.process.wait().unwrap().signal(), Some(signal as i32));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn what_the_command_line_answers_is_what_the_socket_answers() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    pi.run("status").must(0, &[]);
    let daemon = Daemon::start(&pi);
    let mode = std::fs::metadata(&daemon.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660, "root and its group may ask, and no other user");
    for (path, verb) in [("/v1/status", "status"), ("/v1/history", "history"), ("/v1/config", "config show")]
    {
        let told = pi.run(&format!("{verb} --json")).must(0, &[]).json();
        assert_eq!(daemon.get(path), told, "{verb}");
    }
    let live = daemon.get("/v1/health/live");
    assert_eq!(live["alive"], true);
    assert!(live["why"].as_str().is_some_and(|why| !why.is_empty()), "{live:#}");
    // The same request, the same answer and exit code.
    for (path, verb, exit) in
        [("check", "check", 0), ("preflight", "preflight", 0), ("self-test", "self-test", 0)]
    {
        let job = daemon.ended(&daemon.post(path));
        assert_eq!(job["outcome"]["exit"], exit, "{job:#}");
        let ended = pi.run_once_free(&format!("{verb} --json")).must(exit, &[]);
        let (ours, theirs) = (&job["outcome"]["answer"], ended.json());
        for (key, value) in theirs.as_object().unwrap() {
            // What was measured differs from time to time.
            if !["took_ms", "tests", "download"].contains(&key.as_str()) {
                assert_eq!(&ours[key], value, "{verb}: {key}");
            }
        }
    }
    daemon.end(Signal::SIGTERM);
}

#[test]
fn daemon_that_is_killed_leaves_what_a_power_cut_leaves() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let daemon = Daemon::start(&pi);
    let job = daemon.post("install");
    // Killed as soon as it has begun to write, if it isn't done by then.
    until("it writes", || {
        let found = daemon.get(&job);
        found["progress"]["done"].as_u64() > Some(0) || found["state"] == "ended"
    });
    daemon.end(Signal::SIGKILL);
    let state = pi.run_once_free("status --json").must(0, &[]).json()["state"].clone();
    assert!(["installing", "staged"].contains(&state.as_str().unwrap()), "{state}");
    pi.slot_a_is_untouched();
    // The next one has its socket, knows its job, and continues with what is half written.
    let daemon = Daemon::start(&pi);
    let before = daemon.get(&job);
    let known = before["state"].as_str().unwrap();
    assert!(["lost", "ended"].contains(&known), "{before:#}");
    let again = daemon.ended(&daemon.post("install"));
    assert_eq!(again["outcome"]["exit"], 0, "{again:#}");
    assert_eq!(daemon.get("/v1/status")["state"], "staged");
    let started = daemon.get("/v1/events?type=job.started");
    assert_eq!(started["events"].as_array().unwrap().len(), 2, "{started:#}");
    daemon.end(Signal::SIGTERM);
    pi.run_once_free("arm").must(0, &[]);
}

fn kinds(daemon: &Daemon, pattern: &str) -> Vec<String> {
    let page = daemon.get(&format!("/v1/events?type={pattern}&limit=1000"));
    page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn inhibitor_is_an_event_when_it_begins_and_ends_however_it_was_made_and_once() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let daemon = Daemon::start(&pi);
    let (code, held) = daemon.ask("POST", "/v1/inhibitors", r#"{"why":"the press runs","for_s":7200}"#);
    assert_eq!((code, &held["reason"]), (201, &Value::from("the press runs")), "{held:#}");
    let owner = format!("user {}", nix::unistd::getuid());
    assert_eq!(held["owner"], owner.as_str());
    until("it is in the log", || kinds(&daemon, "inhibitor.*") == ["inhibitor.started"]);
    // The next run of the daemon has it, too, and tells it once.
    daemon.end(Signal::SIGKILL);
    let daemon = Daemon::start(&pi);
    assert_eq!(daemon.get("/v1/inhibitors")["inhibitors"][0]["id"], held["id"]);
    pi.run("inhibit --why backup --for 1h").must(0, &[]);
    until("both are in the log", || kinds(&daemon, "inhibitor.*") == ["inhibitor.started"; 2]);
    let path = format!("/v1/inhibitors/{}", held["id"].as_str().unwrap());
    assert_eq!(daemon.ask("DELETE", &path, "").0, 200);
    until("its end is in the log", || kinds(&daemon, "inhibitor.*").ends_with(&["inhibitor.ended".into()]));
    assert_eq!(daemon.ask("DELETE", &path, "").0, 404);
    let ended = daemon.get("/v1/events?type=inhibitor.ended")["events"][0].clone();
    assert_eq!(
        (&ended["data"]["id"], &ended["data"]["why"]),
        (&held["id"], &Value::from("removed")),
        "{ended:#}"
    );
    // What is refused over the API is refused on the command line.
    pi.run("inhibit --why x --for 25h").must(2, &["holds for 1 s to 24 h, not for 90000 s"]);
    assert!(daemon.text("/v1/metrics").contains("bistable_inhibited_seconds"));
}

/// A message of a client over WebSocket, masked with zeros.
fn message(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// The agent's thread never waits for a client: whatever clients do or leave undone, a job comes to its end.
#[test]
fn job_is_done_while_clients_neither_read_nor_write() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let daemon = Daemon::start(&pi);
    let shake = "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let talk = [shake.as_bytes(), &message(r#"{"subject":"events.subscribe"}"#)].concat();
    let many = [talk.clone(), message(r#"{"subject":"updater.status"}"#).repeat(2000)].concat();
    let feed = b"GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".to_vec();
    let half = b"POST /v1/update HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{".to_vec();
    let asks = b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let mut held = Vec::new();
    for bytes in [talk, many, feed, half, asks, b"GET /v1/sta".to_vec(), Vec::new()] {
        for _ in 0..6 {
            let mut stream = UnixStream::connect(&daemon.socket).unwrap();
            // What it doesn't take, it doesn't take.
            stream.set_nonblocking(true).unwrap();
            let _ = stream.write_all(&bytes);
            held.push(stream);
        }
    }
    let job = daemon.ended(&daemon.post("install"));
    assert_eq!(job["outcome"]["exit"], 0, "{job:#}");
    assert_eq!(daemon.get("/v1/status")["state"], "staged");
    drop(held);
}

/// Seconds of processor time that a process took so far.
fn processor_time(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    // USER_HZ, which is 100 on every Linux that the project runs on.
    ticks / 100.0
}

#[test]
#[ignore = "a measurement"]
fn real_daemon_answers_5000_requests_for_its_status_in_a_second_of_one_core() {
    const ASKED: u32 = 50_000;
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let daemon = Daemon::start(&pi);
    daemon.ended(&daemon.post("check"));
    let mut stream = UnixStream::connect(&daemon.socket).unwrap();
    let mut ask = || {
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let (mut answer, mut piece) = (Vec::new(), [0; 16 << 10]);
        loop {
            let bytes = stream.read(&mut piece).unwrap();
            answer.extend_from_slice(&piece[..bytes]);
            let text = String::from_utf8_lossy(&answer);
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return;
            }
        }
    };
    ask();
    let before = processor_time(daemon.process.id());
    (0..ASKED).for_each(|_| ask());
    let took = processor_time(daemon.process.id()) - before;
    let rate = f64::from(ASKED) / took;
    println!("{rate:.0} a second of processor time, of all threads of the daemon");
    assert!(rate >= 5000.0, "{rate:.0} a second");
}
