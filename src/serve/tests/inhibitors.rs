//! Inhibitors over the API: begun, shown and ended, each by whom it may be.
use super::{
    client::{Api, Reply, post},
    tokens::token_store,
};
use serde_json::json;

fn of(api: &Api, method: &str, path: &str, token: &str, body: &str) -> Reply {
    let mut connection = api.connect_web();
    let head = format!("authorization: Bearer {token}\r\n");
    connection.send(post(path, body, &head).replacen("POST", method, 1).as_bytes());
    connection.reply()
}

#[test]
fn one_is_begun_shown_and_ended() {
    let api = Api::new();
    assert_eq!(api.get("/v1/inhibitors").json(), json!({ "schema": 1, "inhibitors": [] }));
    let begun = api.post("/v1/inhibitors", r#"{"why":"the press runs","for_s":7200}"#);
    let held = json!({
        "schema": 1, "id": "api-1", "owner": "", "reason": "the press runs", "age_s": 0, "left_s": 7200, "overdue": false,
    });
    assert_eq!((begun.status, begun.json()), (201, held));
    let path = begun.header("location").unwrap();
    assert_eq!(api.get("/v1/inhibitors").json()["inhibitors"][0]["reason"], "the press runs");
    let delete = |path: &str| api.raw(format!("DELETE {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes());
    assert_eq!((delete(path).status, delete(path).problem()), (200, (404, "not-found".into())));
    assert_eq!(delete("/v1/inhibitors/%2e%2e").problem(), (404, "not-found".into()));
    assert_eq!(delete("/v1/inhibitors").problem(), (405, "method-not-allowed".into()));
}

#[test]
fn one_without_an_end_or_a_reason_is_refused_and_so_is_one_too_many() {
    let api = Api::new();
    for (body, says) in [
        ("", "expected a JSON object"),
        ("[]", "expected a JSON object"),
        ("{}", "missing field `why`"),
        (r#"{"why":""}"#, "1 to 200 characters"),
        (r#"{"why":"x","for_s":86401}"#, "1 s to 24 h"),
        (r#"{"why":"x","for_s":0}"#, "1 s to 24 h"),
        (r#"{"why":"x","for_s":-1}"#, "whole number"),
        (r#"{"why":"x","for_s":"1h"}"#, "invalid type"),
        (r#"{"why":"x","for_s":null}"#, "invalid type"),
        (r#"{"why":"x","owner":"root"}"#, "unknown field `owner`"),
    ] {
        let reply = api.post("/v1/inhibitors", body);
        assert_eq!(reply.problem().0, 400, "{body}: {reply:?}");
        assert!(reply.body.contains(says), "{body}: {says:?} is not in {}", reply.body);
    }
    assert_eq!(api.backend.state().held, []);
    for status in [201, 201, 409] {
        assert_eq!(api.post("/v1/inhibitors", r#"{"why":"x"}"#).status, status);
    }
    assert_eq!(api.post("/v1/inhibitors", r#"{"why":"x"}"#).problem(), (409, "too-many".into()));
}

#[test]
fn key_makes_one_inhibitor_however_often_it_is_asked_for() {
    let api = Api::new();
    let key = "idempotency-key: k\r\n";
    let first = api.post_with("/v1/inhibitors", r#"{"why":"x"}"#, key).json();
    assert_eq!(api.post_with("/v1/inhibitors", r#"{ "for_s": 3600, "why": "x" }"#, key).json(), first);
    assert_eq!(api.post_with("/v1/inhibitors", r#"{"why":"y"}"#, key).problem(), (422, "key-reused".into()));
    assert_eq!(
        api.post_with("/v1/arm", "", key).problem(),
        (422, "key-reused".into()),
        "one key, one request"
    );
    assert_eq!(api.backend.state().held.len(), 1);
    // It ended: the same key makes another one.
    api.backend.state().held.clear();
    assert_eq!(api.post_with("/v1/inhibitors", r#"{"why":"y"}"#, key).status, 201);
}

#[test]
fn scope_and_owner_decide() {
    let api = Api::new();
    api.backend.state().token_store = token_store(false);
    let begin = |token: &str| of(&api, "POST", "/v1/inhibitors", token, r#"{"why":"x"}"#);
    assert_eq!(begin("wrong").problem(), (401, "token".into()));
    assert_eq!(begin("read-read").problem(), (403, "scope".into()));
    let path = begin("admin-admin").header("location").unwrap().to_owned();
    assert_eq!(of(&api, "GET", "/v1/inhibitors", "read-read", "").json()["inhibitors"][0]["owner"], "admin");
    assert_eq!(of(&api, "DELETE", &path, "read-read", "").problem(), (403, "scope".into()));
    let others = of(&api, "DELETE", &path, "operate-operate", "");
    assert_eq!(others.problem(), (403, "scope".into()));
    assert!(others.body.contains("belongs to admin"), "{}", others.body);
    assert_eq!(of(&api, "DELETE", &path, "admin-admin", "").status, 200);
    let path = begin("operate-operate").header("location").unwrap().to_owned();
    assert_eq!(of(&api, "DELETE", &path, "operate-operate", "").status, 200);
}
