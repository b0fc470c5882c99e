//! Jobs: each act, the same act twice, taking one back.
use super::client::{Api, Reply};
use serde_json::json;

fn id(reply: &Reply) -> String {
    assert_eq!(reply.status, 202, "{reply:?}");
    reply.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn each_act_makes_a_job_of_its_name() {
    let api = Api::new();
    let acts = [
        "check",
        "preflight",
        "self-test",
        "health",
        "install",
        "update",
        "arm",
        "reboot",
        "commit",
        "revert",
    ];
    for act in acts {
        for body in ["", "{}"] {
            let reply = api.post(&format!("/v1/{act}"), body);
            assert_eq!((reply.status, &reply.json()["operation"]), (202, &json!(act)));
        }
    }
    let jobs = api.get("/v1/jobs").json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 2 * acts.len());
}

#[test]
fn key_makes_one_job_however_often_it_is_asked_for() {
    let api = Api::new();
    let key = "idempotency-key: k-1\r\n";
    let first = id(&api.post_with("/v1/update", r#"{"dry_run":true,"from":"channel"}"#, key));
    assert_eq!(id(&api.post_with("/v1/update", r#"{ "from" : "channel", "dry_run" : true }"#, key)), first);
    for (path, body) in [("/v1/update", "{}"), ("/v1/install", r#"{"dry_run":true}"#), ("/v1/arm", "")] {
        let reply = api.post_with(path, body, key);
        assert_eq!(reply.problem(), (422, "key-reused".into()), "{path}");
    }
    let other = id(&api.post_with("/v1/update", "{}", "idempotency-key: k-2\r\n"));
    assert_ne!(other, first);
    assert_ne!(id(&api.post("/v1/update", "{}")), id(&api.post("/v1/update", "{}")), "without a key");
    api.backend.end(&first);
    assert_eq!(
        id(&api.post_with("/v1/update", r#"{"dry_run":true}"#, key)),
        first,
        "it ended, and is remembered"
    );
    for _ in 0..crate::app::JOBS {
        let job = id(&api.post("/v1/arm", ""));
        api.backend.end(&job);
    }
    assert_ne!(id(&api.post_with("/v1/arm", "", key)), first, "the job is forgotten, and its key with it");
}

#[test]
fn key_of_what_was_refused_may_be_used_again() {
    let api = Api::new();
    let key = "idempotency-key: k\r\n";
    api.backend.state().refuses = Some(super::super::NotTaken::Busy);
    assert_eq!(api.post_with("/v1/arm", "", key).status, 503);
    api.backend.state().refuses = None;
    let first = id(&api.post_with("/v1/arm", "", key));
    assert_eq!(id(&api.post_with("/v1/arm", "", key)), first);
}

#[test]
fn odd_keys_are_refused() {
    let api = Api::new();
    let long = format!("idempotency-key: {}\r\n", "k".repeat(256));
    for head in [
        "idempotency-key: \r\n",
        "idempotency-key: a b\r\n",
        "idempotency-key: \u{e9}\r\n",
        "idempotency-key: a\r\nidempotency-key: b\r\n",
        &long,
    ] {
        assert_eq!(api.post_with("/v1/arm", "", head).problem(), (400, "malformed".into()), "{head}");
    }
    assert_eq!(api.backend.state().jobs.all().count(), 0);
}

#[test]
fn of_many_that_come_together_with_one_key_one_makes_the_job() {
    let api = Api::new();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| id(&api.post_with("/v1/update", "{}", "idempotency-key: k\r\n"))))
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|one| *one == ids[0]), "{ids:?}");
    assert_eq!(api.backend.state().jobs.all().count(), 1);
}

#[test]
fn only_a_job_that_waits_is_cancelled() {
    let api = Api::new();
    let job = id(&api.post("/v1/update", ""));
    let cancel = format!("/v1/jobs/{job}/cancel");
    let reply = api.post(&cancel, "");
    assert_eq!((reply.status, &reply.json()["state"]), (200, &json!("cancelled")));
    let reply = api.post(&cancel, "");
    assert_eq!(reply.problem(), (409, "not-cancelled".into()));
    assert!(reply.body.contains("has already ended"), "{reply:?}");
    let running = id(&api.post("/v1/update", ""));
    api.backend.state().jobs.begin(&running);
    assert_eq!(api.post(&format!("/v1/jobs/{running}/cancel"), "").status, 409);
    assert_eq!(api.get(&format!("/v1/jobs/{running}")).json()["state"], "running");
    for path in ["/v1/jobs/x/cancel", "/v1/jobs/%2e%2e/cancel"] {
        assert_eq!(api.post(path, "").problem(), (404, "not-found".into()), "{path}");
    }
}
