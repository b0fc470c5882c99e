//! What a peer may cost: bytes, time, connections.
use super::{
    super::Limits,
    client::{Api, patient},
};
use nix::sys::resource::{Resource, getrlimit};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn body_without_end_stops_at_the_limit() {
    let api = Api::new();
    let mut connection = api.connect();
    connection.send(b"POST /v1/update HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let taken = (0..1024).take_while(|_| connection.try_send(chunk.as_bytes()).is_ok()).count();
    assert!(taken < 64, "{taken} chunks of 64 KiB were taken");
    assert_eq!(connection.reply().problem(), (413, "body-too-large".into()));
    assert!(connection.ends());
    // A length that is too large is refused before a byte of it came.
    let mut connection = api.connect();
    connection.send(b"POST /v1/update HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n");
    assert_eq!(connection.reply().problem(), (413, "body-too-large".into()));
    let largest = format!("{{{}}}", " ".repeat((1 << 20) - 2));
    assert_eq!(api.post("/v1/update", &largest).status, 202);
}

#[test]
fn head_without_end_stops_at_the_limit() {
    let api = Api::new();
    let mut connection = api.connect();
    connection.send(b"GET /v1/status HTTP/1.1\r\n");
    let line = format!("x: {}\r\n", "x".repeat(4000));
    let taken = (0..10_000).take_while(|_| connection.try_send(line.as_bytes()).is_ok()).count();
    assert!(taken < 1_000, "{taken} lines of 4 KB were taken");
    assert_eq!(connection.head().map(|reply| reply.status), Some(431));
    let many = "x: y\r\n".repeat(1000);
    let reply = api.raw(format!("GET /v1/status HTTP/1.1\r\n{many}\r\n").as_bytes());
    assert_eq!(reply.status, 431);
    let path = format!("/v1/jobs/{}", "x".repeat(40_000));
    assert_eq!(api.get(&path).problem(), (431, "head-too-large".into()));
    let pad = "x".repeat((32 << 10) - 100);
    assert_eq!(api.raw(format!("GET /v1/status HTTP/1.1\r\nx: {pad}\r\n\r\n").as_bytes()).status, 200);
}

#[test]
fn slow_peers_are_given_up() {
    let api = Api::within(Limits { patience: SHORT, ..patient() });
    let mut connection = api.connect();
    connection.send(b"GET /v1/status HTT");
    assert!(connection.ends(), "a head that does not come");
    assert!(api.connect().ends(), "nothing is asked");
    let mut connection = api.connect();
    connection.send(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(connection.reply().status, 200);
    assert!(connection.ends(), "nothing more is asked");
    let mut connection = api.connect();
    connection.send(
        b"POST /v1/arm HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{",
    );
    assert_eq!(connection.reply().problem(), (408, "slow-body".into()));
    assert!(connection.ends());
    assert_eq!(api.backend.state().jobs.all().count(), 0);
}

#[test]
fn peer_that_reads_nothing_is_given_up() {
    let api = Api::within(Limits { patience: SHORT, connections: 1, ..patient() });
    for seq in 1..=1000 {
        api.backend.log(seq, &"x".repeat(4000));
    }
    let mut deaf = api.connect();
    deaf.send(b"GET /v1/events?limit=1000 HTTP/1.1\r\nhost: x\r\n\r\n");
    let head = deaf.head().unwrap();
    assert_eq!(head.status, 200);
    // It has the only place until its time is over.
    while api.get("/v1/status").status != 200 {}
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    assert!(deaf.rest() < length, "it got all of it");
}

#[test]
fn one_connection_too_many_is_turned_away_and_the_others_are_served() {
    let limits = patient();
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // One descriptor each, and some for the tests that run beside this one.
    let all = usize::try_from(soft / 2).unwrap_or(usize::MAX).clamp(128, 10_000);
    let api = Api::within(limits);
    let mut first = api.connect();
    first.send(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(first.reply().status, 200);
    let mut idle: Vec<_> = (1..all).map(|_| api.connect()).collect();
    for connection in idle.iter_mut().skip(limits.connections - 1) {
        let reply = connection.reply();
        assert_eq!(reply.problem(), (503, "busy".into()));
        assert!(reply.header("retry-after").is_some());
    }
    first.send(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(first.reply().status, 200, "a client that was there before is served");
    drop(idle);
    while api.get("/v1/status").status != 200 {}
}

#[test]
fn status_costs_less_than_a_5000th_of_a_second() {
    let mut api = Api::within(Limits::default());
    let mut connection = api.connect();
    let asked = 5_000;
    for _ in 0..asked {
        connection.send(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(connection.reply().status, 200);
    }
    // Of the server's thread alone, so that a busy machine changes little.
    let took = api.stop() / asked;
    eprintln!("{took:?} of processor time for one answer: {:.0} a second", 1.0 / took.as_secs_f64());
    assert!(took < Duration::from_micros(200), "{took:?} for one answer");
}

#[test]
fn desk_that_hangs_costs_its_own_requests_only() {
    let api = Api::within(Limits { answer: SHORT, calls: 2, ..patient() });
    let door = api.backend.door.lock().unwrap();
    for _ in 0..4 {
        assert_eq!(api.get("/v1/status").problem(), (503, "slow".into()));
    }
    assert_eq!(api.get("/v1/health/live").status, 200);
    assert_eq!(api.get("/v1/jobs").status, 200);
    drop(door);
    while api.get("/v1/status").status != 200 {}
}

#[test]
fn desk_that_breaks_costs_its_own_request_only() {
    let api = Api::new();
    api.backend.state().panics = true;
    assert_eq!(api.get("/v1/status").problem(), (500, "internal".into()));
    api.backend.state().panics = false;
    assert_eq!(api.get("/v1/status").status, 200);
}

#[test]
fn server_ends_when_told_whoever_is_connected() {
    let mut api = Api::new();
    let idle = api.connect();
    let mut half = api.connect();
    half.send(b"GET /v1/sta");
    let mut feed = api.connect();
    feed.send(b"GET /v1/events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n");
    assert_eq!(feed.head().unwrap().status, 200);
    api.stop();
    assert!(idle.ends() && half.ends());
    while feed.chunk().is_some() {}
}
