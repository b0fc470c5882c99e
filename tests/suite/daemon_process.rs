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
