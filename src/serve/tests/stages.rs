//! Each stage refuses, in its order.
use super::{
    super::{
        Entrance, NotTaken, Stopper,
        context::Context,
        dispatch::dispatch,
        gate::Peer,
        routes::{Act, TABLE, Target},
    },
    backend::FakeDesk,
    client::{Api, patient, post},
};
use crate::app::Code;
use axum::{body::Body, extract::Request};
use serde_json::json;
use std::sync::Arc;

#[test]
fn each_stage_refuses_before_the_ones_behind_it() {
    let api = Api::new();
    {
        let mut state = api.backend.state();
        (state.admits, state.refuses) = (false, Some(NotTaken::Trial));
    }
    let wrong = r#"{"force":true}"#;
    let text =
        "POST /v1/update HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 1\r\n\r\n{";
    let huge = format!("x-pad: {}\r\n", "x".repeat(40 << 10));
    let refused = |reply: super::client::Reply, status: u16, code: &str| {
        assert_eq!(reply.problem(), (status, code.to_owned()), "{reply:?}");
        assert_eq!(api.backend.state().jobs.all().count(), 0);
    };
    refused(api.post_with("/v1/update", wrong, &huge), 431, "head-too-large");
    refused(api.post_with("/v1/nothing", wrong, &huge), 431, "head-too-large");
    refused(api.post("/v1/update", &"x".repeat((1 << 20) + 1)), 413, "body-too-large");
    refused(api.post("/v1/nothing", wrong), 404, "not-found");
    refused(api.post("/v1/status", wrong), 405, "method-not-allowed");
    refused(api.raw(text.as_bytes()), 415, "not-json");
    refused(api.post("/v1/update", wrong), 400, "malformed");
    refused(api.post("/v1/update", "{}"), 403, "not-admitted");
    api.backend.state().admits = true;
    refused(api.post("/v1/update", "{}"), 409, "trial-undecided");
    api.backend.state().refuses = Some(NotTaken::Busy);
    refused(api.post("/v1/update", "{}"), 503, "busy");
    assert!(api.post("/v1/update", "{}").header("retry-after").is_some());
    api.backend.state().refuses = Some(NotTaken::Closed);
    refused(api.post("/v1/update", "{}"), 503, "closing");

    api.backend.state().refuses = None;
    let reply = api.post("/v1/update", "{}");
    let job = reply.json();
    assert_eq!((reply.status, &job["operation"], &job["state"]), (202, &json!("update"), &json!("queued")));
    assert_eq!(
        job["by"],
        json!({ "via": "api", "uid": nix::unistd::getuid().as_raw(), "token": null }),
        "as the kernel says"
    );
    let location = reply.header("location").unwrap();
    assert_eq!(api.get(location).json(), job);
}

#[test]
fn nothing_is_changed_for_an_unknown_user() {
    let backend = Arc::new(FakeDesk::new());
    let (_stopper, stopped) = Stopper::new();
    let context = Arc::new(Context::new(Arc::<FakeDesk>::clone(&backend), patient(), stopped));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for target in [Target::Act(Act::Arm), Target::Cancel] {
        // No connection says who it is, or where it came in.
        let answered = runtime.block_on(dispatch(Arc::clone(&context), target, Request::new(Body::empty())));
        assert_eq!(answered.status(), 401, "{target:?}");
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(Peer { uid: None, entrance: Entrance::Socket });
        let answered = runtime.block_on(dispatch(Arc::clone(&context), target, request));
        assert_eq!(answered.status(), 403, "{target:?}");
    }
    assert_eq!(backend.state().jobs.all().count(), 0);
}

#[test]
fn each_path_has_its_methods_and_says_which() {
    let api = Api::new();
    for route in TABLE {
        let path = route.path.replace("{id}", "x");
        let allow = super::super::routes::allow(route.path);
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
            let mut connection = api.connect();
            connection.send(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes());
            let reply = connection.head().unwrap();
            let allowed = allow.split(", ").any(|one| one == method);
            assert_eq!(reply.status == 405, !allowed, "{method} {path}: {reply:?}");
            if !allowed {
                assert_eq!(reply.header("allow"), Some(&*allow), "{method} {path}");
            }
        }
    }
}

#[test]
fn reads_are_answered() {
    let api = Api::new();
    for path in ["/v1/status", "/v1/history", "/v1/config"] {
        let reply = api.get(path);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{path}");
        assert_eq!(reply.json(), json!({ "schema": 1, "verdict": "ready", "checks": [] }));
    }
    let reloaded = api.post("/v1/config/reload", "");
    assert_eq!((reloaded.status, reloaded.json()["verdict"].as_str()), (200, Some("ready")));
    assert_eq!(api.get("/v1/jobs").json(), json!({ "schema": 1, "jobs": [] }));
    assert_eq!(api.get("/v1/openapi.json").json()["openapi"], "3.1.0");
    let live = api.get("/v1/health/live").json();
    assert_eq!((&live["schema"], &live["alive"], &live["next"]), (&json!(1), &json!(true), &json!("check")));
    api.backend.state().alive = false;
    let reply = api.get("/v1/health/live");
    assert_eq!(reply.problem(), (503, "not-alive".into()));
    assert_eq!(reply.json()["detail"], "no heartbeat for 10 min");
}

#[test]
fn readiness_has_its_report_whatever_its_status() {
    let api = Api::new();
    for (healthy, status) in [(true, 200), (false, 503)] {
        api.backend.state().alive = healthy;
        let ready = api.get("/v1/health/ready");
        assert_eq!((ready.status, ready.header("content-type")), (status, Some("application/json")));
        assert_eq!((&ready.json()["healthy"], &ready.json()["version"]), (&json!(healthy), &json!("1.1.0")));
    }
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let api = Api::new();
    let plain = api.get("/v1/metrics");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!((plain.status, &*plain.body), (200, "# Prometheus\n"));
    let open = "accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n";
    let open = api.raw(format!("GET /v1/metrics HTTP/1.1\r\nhost: x\r\n{open}\r\n").as_bytes());
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert_eq!(open.body, "# OpenMetrics\n");
}

#[test]
fn failure_of_the_device_is_a_problem_with_its_code_and_report() {
    let api = Api::new();
    api.backend.state().fails = Some(Code::Card);
    for path in ["/v1/status", "/v1/history", "/v1/config", "/v1/events", "/v1/metrics"] {
        let reply = api.get(path);
        assert_eq!(reply.problem(), (500, "card".into()), "{path}");
        assert!(reply.body.is_ascii() && !reply.body.contains('\u{1b}'), "it may reach a terminal");
        assert_eq!(reply.json()["report"]["exit"], 1);
    }
    api.backend.state().fails = Some(Code::Config);
    assert_eq!(api.post("/v1/config/reload", "").problem(), (500, "config".into()));
    api.backend.state().fails = Some(Code::Busy);
    let reply = api.get("/v1/status");
    assert_eq!((reply.problem(), reply.header("retry-after").is_some()), ((503, "busy".into()), true));
    api.backend.state().fails = None;
    assert_eq!(api.get("/v1/status").status, 200, "a failure is not kept");
}

#[test]
fn answer_is_used_again_until_something_changes() {
    let api = Api::new();
    let mut connection = api.connect();
    for _ in 0..100 {
        connection.send(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(connection.reply().status, 200);
    }
    assert_eq!(api.backend.state().looks, 1);
    api.backend.state().revision += 1;
    api.get("/v1/status");
    api.get("/v1/status");
    assert_eq!(api.backend.state().looks, 2);

    let old = super::super::Limits { fresh: std::time::Duration::ZERO, ..patient() };
    let api = Api::within(old);
    api.get("/v1/status");
    api.get("/v1/status");
    assert_eq!(api.backend.state().looks, 2, "its time was over");
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let api = Api::new();
    let mut connection = api.connect();
    let both = post("/v1/arm", "", "") + "GET /v1/jobs HTTP/1.1\r\nhost: x\r\n\r\n";
    connection.send(both.as_bytes());
    assert_eq!(connection.reply().status, 202);
    assert_eq!(connection.reply().json()["jobs"][0]["operation"], "arm");
}
