//! Events: as one object, and as a stream that loses and doubles nothing.
use super::{
    super::Limits,
    client::{Api, Connection, patient},
};
use crate::app::Code;
use serde_json::{Value, json};

/// Begin a stream.
fn listen(api: &Api, query: &str, last: Option<u64>) -> Connection {
    let last = last.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
    let mut connection = api.connect();
    let head =
        format!("GET /v1/events{query} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n{last}\r\n");
    connection.send(head.as_bytes());
    let reply = connection.head().unwrap();
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(connection.chunk().unwrap(), "retry: 2000\n\n");
    connection
}

/// The numbers of the next events, as many as come at once.
fn numbers(connection: &mut Connection) -> Vec<u64> {
    let text = connection.chunk().unwrap();
    let events = text.split_terminator("\n\n").map(|event| {
        let [id, kind, data] = event.split('\n').collect::<Vec<_>>()[..] else { panic!("{event}") };
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        let id: u64 = id.strip_prefix("id: ").unwrap().parse().unwrap();
        assert_eq!(
            (&data["seq"], &data["type"]),
            (&json!(id), &json!(kind.strip_prefix("event: ").unwrap()))
        );
        id
    });
    events.collect()
}

#[test]
fn page_has_what_was_asked_for_and_names_the_next_one() {
    let api = Api::new();
    for seq in 1..=300 {
        api.backend.log(seq, if seq % 3 == 0 { "update.armed" } else { "job.x" });
    }
    let page = |query: &str| {
        let page = api.get(&format!("/v1/events{query}")).json();
        let seqs: Vec<u64> =
            page["events"].as_array().unwrap().iter().map(|e| e["seq"].as_u64().unwrap()).collect();
        (seqs, page["next"].as_u64().unwrap())
    };
    assert_eq!(page(""), ((1..=100).collect(), 100));
    assert_eq!(page("?after=298"), (vec![299, 300], 300));
    assert_eq!(page("?after=300"), (vec![], 300));
    assert_eq!(page("?type=update.*&limit=2"), (vec![3, 6], 6));
    assert_eq!(page("?stream=device&from=297"), (vec![297, 300], 300));
    assert_eq!(page("?type=nothing"), (vec![], 300), "all of it was searched");
}

#[test]
fn stream_has_what_is_there_and_what_comes() {
    let api = Api::new();
    for seq in [3, 5, 8] {
        api.backend.log(seq, "update.armed");
    }
    let mut stream = listen(&api, "", None);
    assert_eq!(numbers(&mut stream), [3, 5, 8]);
    api.backend.log(9, "update.trial");
    assert_eq!(numbers(&mut stream), [9]);
    let mut some = listen(&api, "?type=*.trial&after=5", None);
    assert_eq!(numbers(&mut some), [9]);
}

#[test]
fn stream_that_resumes_loses_and_doubles_nothing() {
    let api = Api::new();
    let (mut got, mut last, mut logged) = (Vec::new(), None, 0);
    // Each connection is lost after one read, while events continue.
    for round in 0..20 {
        let mut stream = listen(&api, "", last);
        for _ in 0..=round % 7 * 40 {
            logged += 1;
            api.backend.log(logged, "update.x");
        }
        let numbers = numbers(&mut stream);
        last = numbers.last().copied();
        got.extend(numbers);
    }
    while got.len() < usize::try_from(logged).unwrap() {
        let numbers = numbers(&mut listen(&api, "?after=1", last));
        last = numbers.last().copied();
        got.extend(numbers);
    }
    assert_eq!(got, (1..=logged).collect::<Vec<_>>());
}

#[test]
fn without_listeners_nothing_is_asked() {
    let api = Api::within(Limits { feeds: 1, ..patient() });
    let mut stream = listen(&api, "", None);
    api.backend.log(1, "x");
    assert_eq!(numbers(&mut stream), [1]);
    let mut second = api.connect();
    second.send(b"GET /v1/events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream, */*;q=0.1\r\n\r\n");
    assert_eq!(second.reply().problem(), (503, "busy".into()));
    drop(stream);
    // The place is free as soon as the server has noticed; then the log is no longer asked.
    let head = b"GET /v1/events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n";
    let stream = loop {
        let mut third = api.connect();
        third.send(head);
        if third.head().unwrap().status == 200 {
            break third;
        }
    };
    drop(stream);
    let searches = || api.backend.state().searches;
    while {
        let before = searches();
        for _ in 0..20 {
            api.get("/v1/jobs");
        }
        searches() > before
    } {}
}

#[test]
fn stream_ends_with_the_reason_when_the_log_cannot_be_read() {
    let api = Api::new();
    let mut stream = listen(&api, "", None);
    api.backend.state().fails = Some(Code::Card);
    let text = stream.chunk().unwrap();
    let data = text.strip_prefix("event: problem\ndata: ").unwrap_or_else(|| panic!("{text}"));
    assert_eq!(serde_json::from_str::<Value>(data.trim_end()).unwrap()["code"], "card");
    assert_eq!(stream.chunk(), None);
}
