//! Conversations over WebSocket: what is said, who may say it, and what a peer may cost.
use super::{
    super::{Limits, TokenStore, ws::masked},
    client::{Api, Connection, patient},
    tokens::token_store,
};
use crate::app::{JOBS, Outcome};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

const SHORT: Duration = Duration::from_millis(50);

/// A client's side.
pub(in crate::serve) struct Talk<S = UnixStream>(Connection<S>);

impl<S: Read + Write> Talk<S> {
    /// Begin one; the status of the answer if it is refused.
    pub(in crate::serve) fn begin(mut connection: Connection<S>, head: &str) -> Result<Talk<S>, u16> {
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nhost: hub.local\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{head}\r\n"
        );
        let _ = connection.try_send(request.as_bytes());
        let reply = connection.head().unwrap();
        if reply.status != 101 {
            return Err(reply.status);
        }
        assert_eq!(reply.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Ok(Talk(connection))
    }

    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, short] = self.0.bytes(2)?.try_into().unwrap();
        let length = match short {
            126 => u16::from_be_bytes(self.0.bytes(2)?.try_into().unwrap()).into(),
            127 => usize::try_from(u64::from_be_bytes(self.0.bytes(8)?.try_into().unwrap())).unwrap(),
            short => short.into(),
        };
        Some((first, self.0.bytes(length)?))
    }

    /// The next message.
    #[track_caller]
    pub(in crate::serve) fn hears(&mut self) -> Value {
        let (first, payload) = self.frame().expect("the conversation goes on");
        assert_eq!(first, 0x81, "{:?}", String::from_utf8_lossy(&payload));
        serde_json::from_slice(&payload).unwrap()
    }

    /// The code with which it ends, after messages that don't matter.
    #[track_caller]
    pub(in crate::serve) fn ends(mut self) -> u16 {
        loop {
            let (first, payload) = self.frame().expect("a close frame");
            if first == 0x88 {
                return u16::from_be_bytes(payload.try_into().unwrap());
            }
        }
    }

    /// Whether nothing comes any more.
    pub(in crate::serve) fn breaks_off(mut self) -> bool {
        self.frame().is_none()
    }

    pub(in crate::serve) fn says(&mut self, message: &Value) {
        self.0.send(&masked(0x81, message.to_string().as_bytes()));
    }

    #[track_caller]
    pub(in crate::serve) fn asks(&mut self, message: &Value) -> Value {
        self.says(message);
        self.hears()
    }
}

fn talk(api: &Api) -> Talk {
    Talk::begin(api.connect(), "").unwrap()
}

/// At the door where tokens are asked for.
fn talk_web(api: &Api, head: &str) -> Result<Talk, u16> {
    Talk::begin(api.connect_web(), head)
}

fn auth(token: &str) -> Value {
    json!({ "subject": "auth", "id": "in", "body": { "token": token } })
}

#[test]
fn each_message_is_answered_with_its_id() {
    let api = Api::new();
    let mut talk = talk(&api);
    let status = talk.asks(&json!({ "subject": "updater.status", "id": 1 }));
    assert_eq!((&status["subject"], &status["request_id"]), (&json!("status_result"), &json!(1)));
    assert_eq!(status["body"], api.get("/v1/status").json());
    let unknown = talk.asks(&json!({ "subject": "updater.format", "id": "x" }));
    assert_eq!((&unknown["subject"], &unknown["request_id"]), (&json!("error"), &json!("x")));
    assert_eq!((&unknown["body"]["status"], &unknown["body"]["code"]), (&json!(404), &json!("not-found")));
    let wrong = talk.asks(&json!({ "subject": "updater.check", "body": { "source": ["/etc"] } }));
    assert_eq!((&wrong["request_id"], &wrong["body"]["code"]), (&Value::Null, &json!("local-path")));
    // A message in pieces, with a ping between them.
    let text = br#"{"subject":"updater.status","id":2}"#;
    let pieces = [masked(0x01, &text[..9]), masked(0x89, b"live?"), masked(0x80, &text[9..])].concat();
    talk.0.send(&pieces);
    assert_eq!(talk.frame(), Some((0x8a, b"live?".to_vec())));
    assert_eq!(talk.hears()["request_id"], 2);
    talk.0.send(&masked(0x88, &1000_u16.to_be_bytes()));
    assert_eq!(talk.ends(), 1000);
}

#[test]
fn update_is_accepted_and_its_result_comes_when_the_job_ends() {
    let api = Api::new();
    let mut talk = talk(&api);
    let update = json!({ "subject": "updater.perform_update", "id": "u", "idempotency_key": "k", "body": { "component": "image" } });
    let accepted = talk.asks(&update);
    assert_eq!((&accepted["subject"], &accepted["request_id"]), (&json!("update_accepted"), &json!("u")));
    let job = accepted["body"]["job"].as_str().unwrap().to_owned();
    assert_eq!(api.get(&format!("/v1/jobs/{job}")).json()["by"]["via"], "api");
    // The same key gets the same job, here and over HTTP.
    assert_eq!(talk.asks(&update)["body"]["job"], json!(job));
    assert_eq!(api.post_with("/v1/update", "{}", "idempotency-key: k\r\n").json()["id"], json!(job));
    assert_eq!(api.backend.state().jobs.all().count(), 1);
    api.backend.end(&job);
    for _ in 0..2 {
        let result = talk.hears();
        assert_eq!((&result["subject"], &result["request_id"]), (&json!("update_result"), &json!("u")));
        let body = &result["body"];
        assert_eq!(
            (&body["success"], &body["job"], &body["component"]),
            (&json!(true), &json!(job), &json!("image"))
        );
        assert_eq!((&body["rollback_performed"], &body["validation_errors"]), (&json!(false), &json!([])));
        assert_eq!(body["answer"]["verdict"], "ready");
    }
    let accepted = talk.asks(&json!({ "subject": "updater.check", "id": 3 }));
    let job = accepted["body"]["job"].as_str().unwrap();
    let failed = Outcome {
        exit: 4,
        code: Some(crate::app::Code::Untrusted),
        error: Some("no key".into()),
        answer: None,
    };
    api.backend.state().jobs.end(job, failed);
    let result = talk.hears();
    assert_eq!(result["subject"], "check_result");
    let (success, reason) = (&result["body"]["success"], &result["body"]["reason"]);
    assert_eq!(
        (success, reason, &result["body"]["message"]),
        (&json!(false), &json!("untrusted"), &json!("no key"))
    );
}

#[test]
fn job_that_is_cancelled_or_forgotten_ends_the_wait() {
    let api = Api::new();
    let mut talk = talk(&api);
    let check = json!({ "subject": "updater.check", "id": 1 });
    let job = |accepted: Value| accepted["body"]["job"].as_str().unwrap().to_owned();
    let first = job(talk.asks(&check));
    api.backend.state().jobs.take_back(&first).unwrap();
    let result = talk.hears();
    assert_eq!((&result["subject"], &result["body"]["success"]), (&json!("check_result"), &json!(false)));
    let second = job(talk.asks(&check));
    api.backend.state().jobs.forget(&second);
    assert_eq!(talk.hears()["body"]["code"], "not-found");
    // No client can have more of them wait than the queue has places.
    let refused = (0..=JOBS).map(|_| talk.asks(&check)).find(|answer| answer["subject"] == "error").unwrap();
    assert_eq!(refused["body"]["code"], "busy");
}

#[test]
fn events_come_once_each_and_a_client_that_lags_is_told() {
    let api = Api::new();
    for seq in [3, 5, 8] {
        api.backend.log(seq, "update.armed");
    }
    let mut talk = talk(&api);
    let wanted =
        json!({ "subject": "events.subscribe", "id": "e", "body": { "after": 3, "type": ["update.*"] } });
    assert_eq!(talk.asks(&wanted)["subject"], "events.subscribed");
    for seq in [5, 8] {
        let event = talk.hears();
        assert_eq!((&event["subject"], &event["request_id"]), (&json!("event"), &json!("e")));
        assert_eq!((&event["body"]["seq"], &event["body"]["type"]), (&json!(seq), &json!("update.armed")));
    }
    // It has got all there is once the log was searched without more being found.
    let searches = api.backend.state().searches;
    while api.backend.state().searches < searches + 2 {
        std::thread::yield_now();
    }
    {
        let mut state = api.backend.state();
        for seq in 10..210 {
            state.log.push(crate::events::test_entry(seq, "update.x"));
        }
    }
    let behind = talk.hears();
    assert_eq!((&behind["subject"], &behind["body"]["after"]), (&json!("events.lagged"), &json!(8)));
    for seq in 10..210 {
        assert_eq!(talk.hears()["body"]["seq"], json!(seq), "nothing is missing, and the notice comes once");
    }
    api.backend.state().fails = Some(crate::app::Code::Card);
    assert_eq!(talk.hears()["body"]["code"], "card");
}

#[test]
fn streams_of_events_have_one_limit_however_they_are_asked_for() {
    let api = Api::within(Limits { feeds: 1, ..patient() });
    let (mut first, mut second) = (talk(&api), talk(&api));
    let wanted = json!({ "subject": "events.subscribe" });
    assert_eq!(first.asks(&wanted)["subject"], "events.subscribed");
    assert_eq!(second.asks(&wanted)["body"]["code"], "busy");
    assert_eq!(first.asks(&wanted)["subject"], "events.subscribed", "it takes its own place again");
    let mut feed = api.connect();
    feed.send(b"GET /v1/events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n");
    assert_eq!(feed.reply().problem(), (503, "busy".into()));
    drop(first);
    while second.asks(&wanted)["subject"] != "events.subscribed" {}
}

#[test]
fn token_comes_in_the_first_message_or_in_the_head() {
    let api = Api::new();
    api.backend.state().token_store = token_store(false);
    let mut talk = talk_web(&api, "").unwrap();
    let answer = talk.asks(&auth("operate-operate"));
    assert_eq!((&answer["subject"], &answer["request_id"]), (&json!("auth_result"), &json!("in")));
    assert_eq!(answer["body"], json!({ "success": true, "token": "operate", "scope": "operate" }));
    let accepted = talk.asks(&json!({ "subject": "updater.perform_update" }));
    let job = format!("/v1/jobs/{}", accepted["body"]["job"].as_str().unwrap());
    assert_eq!(api.get(&job).json()["by"]["token"], "operate");
    // Another one takes its place.
    assert_eq!(talk.asks(&auth("read-read"))["body"]["scope"], "read");
    assert_eq!(talk.asks(&json!({ "subject": "updater.perform_update" }))["body"]["code"], "scope");
    let mut talk = talk_web(&api, "authorization: Bearer read-read\r\n").unwrap();
    assert_eq!(talk.asks(&json!({ "subject": "updater.status" }))["subject"], "status_result");
    assert_eq!(talk_web(&api, "authorization: Bearer wrong\r\n").err(), Some(401));
    // The other door asks for none, and takes any.
    assert_eq!(self::talk(&api).asks(&auth("x"))["body"]["scope"], "admin");
}

#[test]
fn without_a_token_nothing_is_answered_and_the_conversation_ends() {
    let api = Api::within(Limits { sign_in: SHORT, ..patient() });
    api.backend.state().token_store = token_store(false);
    for (message, code) in [
        (auth("wrong"), 4401),
        (json!({ "subject": "updater.status" }), 4401),
        (json!({ "subject": "events.subscribe" }), 4401),
        (json!([]), 4401),
    ] {
        let mut talk = talk_web(&api, "").unwrap();
        let refused = talk.asks(&message);
        assert_eq!(refused["body"]["code"], "token", "{message}");
        assert!(!refused.to_string().contains("wrong"), "{refused}");
        assert_eq!(talk.ends(), code, "{message}");
    }
    let mut late = talk_web(&api, "").unwrap();
    assert_eq!(late.hears()["body"]["code"], "token");
    assert_eq!(late.ends(), 1008);
    let state = api.backend.state();
    assert_eq!((state.looks, state.searches), (0, 0), "nobody was asked");
}

#[test]
fn scope_decides_by_subject_and_a_removed_token_gets_nothing_more() {
    let api = Api::within(Limits { fresh: Duration::ZERO, ..patient() });
    api.backend.state().token_store = token_store(false);
    let code = |token: &str, message: &Value| {
        let mut talk = talk_web(&api, "").unwrap();
        talk.asks(&auth(token));
        talk.asks(message)["body"]["code"].clone()
    };
    let subject = |subject: &str, body: Value| json!({ "subject": subject, "body": body });
    let forced = subject("updater.perform_update", json!({ "retry_rejected": true }));
    let update = subject("updater.perform_update", json!({}));
    for (message, read, operate) in [
        (subject("updater.status", json!({})), false, false),
        (subject("events.subscribe", json!({})), false, false),
        (subject("updater.check", json!({})), true, false),
        (update.clone(), true, false),
        (forced, true, true),
    ] {
        for (token, is_refused) in [("read-read", read), ("operate-operate", operate), ("admin-admin", false)]
        {
            let expected = if is_refused { json!("scope") } else { Value::Null };
            assert_eq!(code(token, &message), expected, "{token}: {message}");
        }
    }
    let mut asking = talk_web(&api, "authorization: Bearer admin-admin\r\n").unwrap();
    let mut listening = talk_web(&api, "authorization: Bearer read-read\r\n").unwrap();
    listening.asks(&subject("events.subscribe", json!({})));
    api.backend.state().token_store = TokenStore::default();
    assert_eq!(asking.asks(&update)["body"]["code"], "token");
    assert_eq!((asking.ends(), listening.ends()), (4401, 4401), "also one that only listens");
}

#[test]
fn open_reads_need_no_token_and_acts_still_do() {
    let api = Api::new();
    api.backend.state().token_store = token_store(true);
    let mut talk = talk_web(&api, "").unwrap();
    assert_eq!(talk.asks(&json!({ "subject": "updater.status" }))["subject"], "status_result");
    let update = json!({ "subject": "updater.perform_update" });
    assert_eq!(talk.asks(&update)["body"]["code"], "token");
    talk.asks(&auth("operate-operate"));
    assert_eq!(talk.asks(&update)["subject"], "update_accepted");
}

#[test]
fn frames_that_are_too_large_or_broken_end_the_conversation() {
    let api = Api::new();
    let limit = Limits::default().message;
    let large = masked(0x81, &vec![b' '; limit + 1]);
    let pieces = [masked(0x01, &vec![b' '; limit]), masked(0x00, b" ")].concat();
    for (what, bytes, code) in [
        ("a message that is too large, before it came", &large[..8], 1009),
        ("the same in pieces", &pieces[..], 1009),
        ("a length of 2^62", &[0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0], 1009),
        ("binary", &masked(0x82, b"x")[..], 1003),
        ("not masked", b"\x81\x02{}", 1002),
        ("not UTF-8", &masked(0x81, b"\xff")[..], 1007),
    ] {
        let mut talk = talk(&api);
        let _ = talk.0.try_send(bytes);
        assert_eq!(talk.ends(), code, "{what}");
    }
    let mut talk = talk(&api);
    talk.0.send(&masked(0x81, &[&br#"{"subject":"updater.status"}"#[..], &vec![b' '; limit - 28]].concat()));
    assert_eq!(talk.hears()["subject"], "status_result");
}

#[test]
fn silent_and_slow_clients_are_given_up_and_have_a_place_until_then() {
    let api = Api::within(Limits { idle: 2 * SHORT, patience: SHORT, connections: 1, ..patient() });
    let mut silent = talk(&api);
    // It has the only place.
    let mut other = api.connect();
    assert_eq!(other.reply().problem(), (503, "busy".into()));
    assert_eq!(silent.frame(), Some((0x89, Vec::new())), "it is asked whether it lives");
    assert_eq!(silent.ends(), 1008);
    let again = |api: &Api| loop {
        if let Ok(talk) = Talk::begin(api.connect(), "") {
            return talk;
        }
    };
    let mut slow = again(&api);
    slow.0.send(&masked(0x81, b"{}")[..5]);
    assert_eq!(slow.ends(), 1008, "a message that does not come to its end");
    // One that answers lives on.
    let mut alive = again(&api);
    for _ in 0..4 {
        assert_eq!(alive.frame(), Some((0x89, Vec::new())));
        alive.0.send(&masked(0x8a, b""));
    }
}

#[test]
fn client_that_reads_nothing_is_given_up() {
    let api = Api::within(Limits { patience: SHORT, connections: 1, ..patient() });
    for seq in 1..=1000 {
        api.backend.log(seq, &"x".repeat(4000));
    }
    let mut deaf = talk(&api);
    deaf.says(&json!({ "subject": "events.subscribe" }));
    // It has the only place until its time is over.
    while api.get("/v1/status").status != 200 {}
}

#[test]
fn what_is_no_handshake_is_refused() {
    let api = Api::new();
    assert_eq!(api.get("/v1/ws").problem(), (426, "upgrade-required".into()));
    assert_eq!(api.get("/v1/ws").header("upgrade"), Some("websocket"));
    let of = |head: &str| Talk::begin(api.connect(), head).err();
    assert_eq!(of("origin: https://evil.example\r\n"), Some(403));
    assert_eq!(of("origin: null\r\n"), Some(403));
    assert_eq!(of("origin: https://hub.local\r\n"), None);
    assert_eq!(of("content-length: 2\r\n"), Some(400));
    assert_eq!(of(&format!("x: {}\r\n", "x".repeat(40 << 10))), Some(431));
    let query = "GET /v1/ws?token=x HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    assert_eq!(api.raw(query.as_bytes()).problem(), (400, "malformed".into()));
}

#[test]
fn conversation_ends_with_the_server_and_says_what_came_of_a_job_before() {
    let mut api = Api::within(Limits { poll: Duration::from_secs(3600), ..patient() });
    let mut talk = talk(&api);
    let accepted = talk.asks(&json!({ "subject": "updater.perform_update" }));
    // Once it was looked for its end, it is not again for an hour.
    talk.asks(&json!({ "subject": "updater.status" }));
    api.backend.end(accepted["body"]["job"].as_str().unwrap());
    api.stop();
    let result = talk.hears();
    assert_eq!((&result["subject"], &result["body"]["success"]), (&json!("update_result"), &json!(true)));
    assert_eq!(talk.ends(), 1001);
}
