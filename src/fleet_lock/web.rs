//! Over a real connection.
use super::{Granted, Held, Lock, Phase, Post, ask};
use crate::{
    http_client,
    ports::{Answer, HostError, Request},
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

/// The network.
struct Web;

impl Post for Web {
    fn post(&mut self, request: &Request, timeout: Duration) -> Result<Answer, HostError> {
        http_client::post(request, timeout)
    }
}

const LONG: Duration = Duration::from_secs(60);

fn lock(listener: &TcpListener) -> Lock {
    let base = format!("http://{}/base", listener.local_addr().unwrap());
    Lock { base, id: "hub-7".into(), group: "default".into() }
}

/// Take one request: its lines, and its body as long as it says.
fn take(stream: &TcpStream) -> (Vec<String>, String) {
    let mut reader = BufReader::new(stream);
    let lines: Vec<String> =
        reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    let length =
        lines.iter().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    (lines, String::from_utf8(body).unwrap())
}

/// A server that answers one request with these bytes; it gives that request.
fn server(answer: &'static [u8]) -> (Lock, JoinHandle<(Vec<String>, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let lock = lock(&listener);
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = take(&stream);
        stream.write_all(answer).unwrap();
        request
    });
    (lock, server)
}

#[test]
fn granted() {
    for (phase, first) in [
        (Phase::PreReboot, "POST /base/v1/pre-reboot HTTP/1.1"),
        (Phase::SteadyState, "POST /base/v1/steady-state HTTP/1.1"),
    ] {
        let (lock, server) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(ask(&mut Web, &lock, phase, LONG), Ok(Granted));
        let (lines, body) = server.join().unwrap();
        assert_eq!(lines[0], first);
        for header in ["fleet-lock-protocol: true", "content-type: application/json"] {
            assert_eq!(lines.iter().filter(|l| l.eq_ignore_ascii_case(header)).count(), 1, "{lines:?}");
        }
        assert_eq!(body, r#"{"client_params":{"group":"default","id":"hub-7"}}"#);
    }
}

#[test]
fn refused() {
    let answer = b"HTTP/1.1 409 Conflict\r\nContent-Length: 30\r\n\r\n{\"kind\":\"full\",\"value\":\"wait\"}";
    let (lock, server) = server(answer);
    let held = ask(&mut Web, &lock, Phase::PreReboot, LONG);
    drop(server.join().unwrap());
    assert_eq!(held, Err(Held::Refused { kind: "full".into(), value: "wait".into() }));
}

#[test]
fn a_redirect_is_not_followed() {
    let (lock, server) =
        server(b"HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(ask(&mut Web, &lock, Phase::PreReboot, LONG), Err(Held::Status(307)));
    drop(server.join().unwrap());
}

#[test]
fn unreachable() {
    let lock = lock(&TcpListener::bind("127.0.0.1:0").unwrap());
    let held = ask(&mut Web, &lock, Phase::PreReboot, LONG);
    assert!(matches!(held, Err(Held::Unreachable(HostError::Failed(_)))), "{held:?}");
}

#[test]
fn garbage() {
    for answer in [b"SSH-2.0-x\r\n".as_slice(), b"", b"\0\xff\r\n\r\n"] {
        let (lock, server) = server(answer);
        let held = ask(&mut Web, &lock, Phase::PreReboot, LONG);
        assert!(matches!(held, Err(Held::Unreachable(HostError::Failed(_)))), "{held:?}");
        drop(server.join().unwrap());
    }
}

#[test]
fn silence() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for timeout in [Duration::ZERO, Duration::from_millis(50)] {
        let held = ask(&mut Web, &lock(&listener), Phase::PreReboot, timeout);
        assert_eq!(held, Err(Held::Unreachable(HostError::Timeout(timeout))));
    }
}
