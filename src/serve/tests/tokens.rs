//! The door at which each request shows a token.
use super::{
    super::TokenStore,
    client::{Api, Reply, post},
};
use crate::config::tokens::{OF_DEVICE, Scope, Tokens, written};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// A token for each scope, of the scope's name twice.
pub(in crate::serve) fn token_store(reads_are_open: bool) -> TokenStore {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join(OF_DEVICE);
    fs::create_dir_all(&tokens).unwrap();
    for scope in Scope::ALL {
        let path = tokens.join(format!("{}.toml", scope.name()));
        let text = written(&format!("{0}-{0}", scope.name()), scope, "2026-11-29T12:00:00Z");
        #[expect(clippy::disallowed_methods, reason = "a file of a test")]
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    let tokens = Tokens::read(Path::new("/nowhere"), folder.path());
    assert_eq!(tokens.refused(), [] as [String; 0]);
    TokenStore { tokens, reads_are_open }
}

fn api(reads_are_open: bool) -> Api {
    let api = Api::new();
    api.backend.state().token_store = token_store(reads_are_open);
    api
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

fn acts(api: &Api, path: &str, body: &str, token: &str) -> Reply {
    let mut connection = api.connect_web();
    connection.send(post(path, body, &bearer(token)).as_bytes());
    connection.reply()
}

#[test]
fn without_a_token_nothing_is_answered_and_the_reply_says_how_to_show_one() {
    let api = api(false);
    for (method, path) in
        [("GET", "/v1/status"), ("GET", "/v1/events"), ("POST", "/v1/update"), ("POST", "/v1/bundles")]
    {
        let reply = api.web(method, path, "");
        assert_eq!(reply.problem(), (401, "token".into()), "{path}");
        assert!(reply.header("www-authenticate").unwrap().contains("realm=\"bistable\""));
    }
    let wrong = api.web("GET", "/v1/status", &bearer("wr0ng-t0ken"));
    assert_eq!(wrong.problem(), (401, "token".into()));
    assert!(!wrong.body.contains("wr0ng-t0ken"), "{}", wrong.body);
    assert_eq!(api.backend.state().looks, 0, "nothing was asked");
    assert!(api.backend.state().jobs.all().next().is_none());
}

#[test]
fn scope_decides_what_is_asked_for() {
    let api = api(false);
    for (method, path, needed) in [
        ("GET", "/v1/status", Scope::Read),
        ("GET", "/v1/history", Scope::Read),
        ("GET", "/v1/config", Scope::Read),
        ("GET", "/v1/jobs", Scope::Read),
        ("GET", "/v1/health/live", Scope::Read),
        ("POST", "/v1/check", Scope::Operate),
        ("POST", "/v1/revert", Scope::Operate),
        ("POST", "/v1/jobs/x/cancel", Scope::Operate),
        ("POST", "/v1/config/reload", Scope::Operate),
        ("POST", "/v1/bundles", Scope::Operate),
    ] {
        for scope in Scope::ALL {
            if path == "/v1/bundles" && scope >= needed {
                // It would wait for its job: see the tests of uploads.
                continue;
            }
            let name = scope.name();
            let reply = api.web(method, path, &bearer(&format!("{name}-{name}")));
            assert_eq!(reply.status == 403, scope < needed, "{method} {path} with {name}: {reply:?}");
            if scope < needed {
                assert_eq!(reply.problem(), (403, "scope".into()));
                let detail = reply.json()["detail"].as_str().unwrap().to_owned();
                assert!(detail.contains("token read has the scope read; this needs operate"), "{detail}");
            }
        }
    }
}

#[test]
fn what_overrides_the_device_needs_admin() {
    let api = api(false);
    for (path, body) in [
        ("/v1/update", r#"{"retry_rejected":true}"#),
        ("/v1/install", r#"{"force_withdrawn":true}"#),
        ("/v1/check", r#"{"source":["https://other.example"]}"#),
        ("/v1/check", r#"{"channel":"beta"}"#),
    ] {
        assert_eq!(
            acts(&api, path, body, "operate-operate").problem(),
            (403, "scope".into()),
            "{path} {body}"
        );
        assert_eq!(acts(&api, path, body, "admin-admin").status, 202, "{path} {body}");
    }
    assert_eq!(acts(&api, "/v1/update", "{}", "operate-operate").status, 202);
}

#[test]
fn job_says_whose_token_asked_and_keys_of_two_tokens_are_two_keys() {
    let api = api(false);
    let with_key = |token: &str| {
        let mut connection = api.connect_web();
        let head = format!("{}idempotency-key: same\r\n", bearer(token));
        connection.send(post("/v1/arm", "", &head).as_bytes());
        connection.reply().json()
    };
    let (first, again, other) =
        (with_key("operate-operate"), with_key("operate-operate"), with_key("admin-admin"));
    assert_eq!(first["by"]["token"], "operate");
    assert_eq!(first["by"]["via"], "web");
    assert_eq!(first["id"], again["id"]);
    assert_ne!(first["id"], other["id"]);
    // The other door asks for none, and says so.
    assert_eq!(api.post("/v1/arm", "").json()["by"]["token"], serde_json::Value::Null);
}

#[test]
fn open_reads_need_no_token_and_acts_still_do() {
    let api = api(true);
    assert_eq!(api.web("GET", "/v1/status", "").status, 200);
    assert_eq!(api.web("POST", "/v1/update", "").problem(), (401, "token".into()));
    // A token that is wrong is not taken for none.
    assert_eq!(api.web("GET", "/v1/status", &bearer("wrong")).problem(), (401, "token".into()));
}

#[test]
fn password_of_any_user_is_a_token() {
    let api = api(false);
    // `me:read-read`
    let reply = api.web("GET", "/v1/status", "authorization: Basic bWU6cmVhZC1yZWFk\r\n");
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[test]
fn token_in_an_address_is_none() {
    let api = api(false);
    for path in ["/v1/status?token=read-read", "/v1/events?access_token=read-read"] {
        assert_eq!(api.web("GET", path, "").problem(), (401, "token".into()), "{path}");
        let reply = api.web("GET", path, &bearer("read-read"));
        assert_eq!(reply.problem(), (400, "malformed".into()), "{path}");
        assert!(!reply.body.contains("read-read"), "{}", reply.body);
    }
}
