//! Bad input: each is refused with its reason, and the server answers the next request.
use super::client::Api;

#[track_caller]
fn refused(api: &Api, path: &str, body: &str, status: u16, says: &str) {
    let reply = api.post(path, body);
    assert_eq!(reply.problem().0, status, "{path} {body}: {reply:?}");
    assert!(reply.body.contains(says), "{path} {body}: {says:?} is not in {}", reply.body);
}

#[test]
fn bodies_that_are_not_the_schema_are_refused() {
    let api = Api::new();
    let deep = format!(r#"{{"offers":{}"#, "[".repeat(100_000));
    for (path, body, says) in [
        ("/v1/update", "{", "EOF"),
        ("/v1/update", "[]", "expected a JSON object"),
        ("/v1/update", "null", "expected a JSON object"),
        ("/v1/update", "7", "expected a JSON object"),
        ("/v1/update", "\u{0}", "expected a JSON object"),
        ("/v1/update", "[{},{},true]", "expected a JSON object"),
        ("/v1/update", &deep, "the body: "),
        ("/v1/update", "{}{}", "trailing"),
        ("/v1/update", r#"{"force":true}"#, "unknown field `force`"),
        ("/v1/update", r#"{"dry_run":"yes"}"#, "expected a boolean"),
        ("/v1/update", r#"{"dry_run":true,"dry_run":false}"#, "duplicate field"),
        ("/v1/update", r#"{"offers":{"sources":[]}}"#, "unknown field `sources`"),
        ("/v1/install", r#"{"from":{"version":"1"}}"#, "unexpected end of input"),
        ("/v1/install", r#"{"from":{"url":"https://x"}}"#, "unknown variant `url`"),
        ("/v1/check", r#"{"from":"channel"}"#, "unknown field `from`"),
        ("/v1/arm", r#"{"slot":"B"}"#, "unknown field `slot`"),
        ("/v1/reboot", "[1]", "expected a JSON object"),
    ] {
        refused(&api, path, body, 400, says);
    }
    assert_eq!(api.backend.state().jobs.all().count(), 0);
}

#[test]
fn nothing_on_this_machine_is_named() {
    let api = Api::new();
    for (path, body, says) in [
        ("/v1/install", r#"{"from":{"bundle":"/etc/shadow"}}"#, "names a file"),
        ("/v1/update", r#"{"from":{"bundle":"-"},"dry_run":true}"#, "names a file"),
        ("/v1/check", r#"{"source":["/etc"]}"#, "is a folder"),
        ("/v1/check", r#"{"source":["https://x/y","/etc"]}"#, "is a folder"),
        ("/v1/update", r#"{"offers":{"source":["file:///etc"]}}"#, "is a folder"),
        ("/v1/update", r#"{"offers":{"source":["FILE://localhost/etc"]}}"#, "is a folder"),
        ("/v1/update", r#"{"offers":{"source":["../etc"]}}"#, "is not an https:// or http:// address"),
        ("/v1/update", r#"{"offers":{"source":[""]}}"#, "is not an https:// or http:// address"),
        ("/v1/update", r#"{"offers":{"source":["s3://x"]}}"#, "is not an https:// or http:// address"),
    ] {
        refused(&api, path, body, 400, says);
    }
    assert_eq!(api.post("/v1/check", r#"{"source":["https://x/y"],"channel":"beta"}"#).status, 202);
    assert_eq!(api.post("/v1/install", r#"{"from":{"version":"1.2.0"}}"#).status, 202);
}

#[test]
fn paths_lead_nowhere_but_to_routes() {
    let api = Api::new();
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/status",
        "/v1/status/",
        "//v1/status",
        "/v1/../v1/status",
        "/v1/%73tatus",
        "/v1/jobs/",
        "/v1/jobs/../status",
        "/v1/jobs/%2e%2e%2fstatus",
        "/v1/jobs/a/b",
        "/v1/jobs/\u{7f}x",
        "/v1/resume",
        "/etc/passwd",
    ] {
        let reply = api.get(path);
        assert!(matches!(reply.status, 404 | 400), "{path}: {reply:?}");
    }
    assert_eq!(api.post("/v1/resume", "").problem().0, 404, "what a boot does is not for the socket");
    for path in ["/v1/status?x=1", "/v1/jobs?limit=3"] {
        assert_eq!(api.get(path).problem(), (400, "malformed".into()), "{path}");
    }
    assert_eq!(api.post("/v1/arm?force=1", "").problem().0, 400);
    assert_eq!(api.get("/v1/events?limit=0").problem(), (400, "malformed".into()));
}

#[test]
fn only_json_is_read() {
    let api = Api::new();
    for (head, status) in [
        ("", 415),
        ("content-type: text/plain\r\n", 415),
        ("content-type: application/x-www-form-urlencoded\r\n", 415),
        ("content-type: application/json5\r\n", 415),
        ("content-type: application/json\r\ncontent-encoding: gzip\r\n", 415),
        ("content-type: application/json\r\n", 202),
        ("content-type: Application/JSON; charset=utf-8\r\n", 202),
    ] {
        let request = format!("POST /v1/arm HTTP/1.1\r\nhost: x\r\n{head}content-length: 2\r\n\r\n{{}}");
        assert_eq!(api.raw(request.as_bytes()).status, status, "{head}");
    }
    let with_body = "GET /v1/status HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx";
    assert_eq!(api.raw(with_body.as_bytes()).problem().0, 400);
}

#[test]
fn what_is_not_http_ends_the_connection() {
    let api = Api::new();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"GET /v1/status\r\n\r\n",
        b"GET /v1/status HTTP/9.9\r\n\r\n",
        b"GET /v1/st\x00atus HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /v1/arm HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/arm HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /v1/arm HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut connection = api.connect();
        connection.send(bytes);
        if let Some(reply) = connection.head() {
            assert!((400..600).contains(&reply.status), "{bytes:?}: {reply:?}");
        }
    }
    assert_eq!(api.backend.state().jobs.all().count(), 0);
    assert_eq!(api.get("/v1/status").status, 200);
}
