//! The API as its own document has it, asked by schemathesis (PyPI) through the page's process, with what the document allows and what it
//! forbids. The device is within an undecided trial: all reads are answered, and each act passes every stage up to the last.
use crate::{
    daemon::follows,
    pi::Pi,
    signals::until,
    web_process::{Web, token},
};
use std::process::Stdio;

/// Cases for each operation. Twenty of them find what a thousand did.
const CASES: &str = "20";

/// What the document can't say.
const SETTINGS: &str = r#"
# After the tenth wrong token, an address has to wait: other tests show wrong ones.
[checks.ignored_auth]
enabled = false
# A key that was used for another request.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429", "5xx"]
# `from` needs `stream`: no document can say that of parameters.
[[operations]]
include-operation-id = "get_events"
checks.positive_data_acceptance.enabled = false
# Within a trial, the device is not known to be healthy: 503, as documented.
[[operations]]
include-operation-id = "get_health_ready"
checks.not_a_server_error.enabled = false
"#;

#[test]
#[ignore = "needs schemathesis"]
fn document_and_daemon_agree() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let token = token(&pi, "kim", "admin");
    let mut web = Web::start(&pi);
    // Jobs with answers are there to be read.
    for act in ["check", "preflight", "update"] {
        let (code, body) = web.ask("POST", &format!("/v1/{act}"), &token, b"{}");
        assert_eq!(code, 202, "{body}");
    }
    until("it goes down into its trial", || web.is_down());
    web.restart(&pi);
    let (code, body) = web.ask("POST", "/v1/inhibitors", &token, br#"{"why":"the press runs"}"#);
    assert_eq!(code, 201, "{body}");
    let (host, settings) = (&web.host, pi.file("schemathesis.toml", SETTINGS.as_bytes()));
    let mut command = crate::monitoring::tool("schemathesis", "no package, but the wheel schemathesis");
    command.arg("--config-file").arg(settings);
    command.args(["run", &format!("http://{host}/v1/openapi.json"), "--url", &format!("http://{host}")]);
    command.args([
        "-H",
        &format!("Authorization: Bearer {token}"),
        "--seed",
        "1",
        "-n",
        CASES,
        "--no-shrink",
    ]);
    command.args(["--phases", "examples,coverage,fuzzing"]);
    // It speaks no WebSocket.
    command.args([
        "--exclude-path",
        "/v1/ws",
        "--request-timeout",
        "20",
        "--generation-database",
        "none",
        "--continue-on-failure",
    ]);
    let ended = command.current_dir(pi.path("")).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    // The device is as it was: nothing that was asked for was begun.
    assert_eq!(web.status(&token)["state"], "on trial");
}
