use super::*;
use serde_json::json;

const STATUS: &str = include_str!("../../../tests/golden/status-on-trial.json");
const HISTORY: &str = include_str!("../../../tests/golden/history.json");
const CHECK: &str = include_str!("../../../tests/golden/check.json");

#[expect(clippy::needless_pass_by_value, reason = "calls read better")]
fn job(operation: &str, state: &str, outcome: Value) -> Value {
    json!({
        "id": "4f1c-00-1", "operation": operation, "state": state,
        "asked": { "time": "2026-11-29T12:00:00Z", "synchronized": true },
        "by": { "via": "web", "uid": 1, "token": "kim" }, "progress": null, "outcome": outcome,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "calls read better")]
fn look(state: &str, jobs: Vec<Value>) -> Look {
    let mut status: Value = serde_json::from_str(STATUS).unwrap();
    status["state"] = state.into();
    Look {
        status,
        history: serde_json::from_str(HISTORY).unwrap(),
        jobs: json!({ "jobs": jobs }),
        live: json!({ "at": "2026-11-30T02:00:00Z", "why": "the next check is due then" }),
        inhibitors: Value::Null,
        components: Value::Null,
        signed_in: true,
    }
}

fn checked() -> Value {
    job(
        "check",
        "ended",
        json!({ "exit": 0, "error": null, "answer": serde_json::from_str::<Value>(CHECK).unwrap() }),
    )
}

#[test]
fn page_shows_slots_offers_with_their_reasons_history_and_buttons() {
    let page = page(&look("idle", vec![checked()]));
    for shown in [
        "<h1>greenhouse</h1>",
        "Slot A",
        "1.3.0",
        "Boot flag",
        "Update to 1.1.0",
        "the rollout is halted",
        "only after 1.3.0, which every device has to run",
        "by token kim",
        "action=\"/do/revert\"",
        "enctype=\"multipart/form-data\"",
        "2026-11-29 12:00 UTC",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(!page.contains("http-equiv=\"refresh\""), "nothing goes on");
}

#[test]
fn button_that_fits_the_state_comes_first() {
    for (state, first) in [
        ("idle", "check"),
        ("staged", "arm"),
        ("armed", "reboot"),
        ("installing", "update"),
        ("on trial", "commit"),
    ] {
        let page = page(&look(state, Vec::new()));
        let (_, after) = page.split_once("data-act=\"").unwrap();
        assert!(after.starts_with(first), "{state}: {after}");
    }
}

#[test]
fn work_in_progress_is_shown_with_a_way_to_stop_it_and_nothing_else_to_begin() {
    let mut running = job("update", "running", Value::Null);
    running["progress"] = json!({ "step": "write", "done": 25, "total": 100 });
    let page = page(&look("installing", vec![running]));
    assert!(page.contains("data-job=\"4f1c-00-1\">"), "{page}");
    assert!(page.contains("value=\"25\" max=\"100\"") && page.contains("25 %"), "{page}");
    assert!(page.contains("action=\"/do/cancel\"") && !page.contains("action=\"/do/update\""));
    assert!(
        page.contains("<noscript><meta http-equiv=\"refresh\""),
        "browsers without JavaScript see it move"
    );
}

#[test]
fn refused_self_test_shows_what_was_measured() {
    let answer = json!({ "verdict": "failed", "tests": [
        { "name": "relay", "kind": "loopback", "verdict": "failed", "measured": "pin 17 stays low" },
        { "name": "rtc", "kind": "i2c", "verdict": "passed", "measured": "answers" },
    ] });
    let failed =
        job("self-test", "ended", json!({ "exit": 7, "error": "self-test failed: relay", "answer": answer }));
    let page = page(&look("idle", vec![failed]));
    for shown in [
        "self-test failed: relay",
        "pin 17 stays low",
        "class=\"failed\"",
        "<span class=\"mark bad\">failed</span>",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
}

#[test]
fn foreign_text_is_text() {
    let evil = "<script>alert(1)</script>\" onload='x' & \u{1b}[2J\u{202e}";
    let mut look =
        look("idle", vec![job(evil, "ended", json!({ "exit": 1, "error": evil, "answer": null }))]);
    for pointer in ["/product", "/board", "/state", "/advice", "/slots/a/version", "/slots/b/note", "/waits"]
    {
        *look.status.pointer_mut(pointer).unwrap() = evil.into();
    }
    for page in [page(&look), message(evil, evil)] {
        assert!(
            !page.contains("<script>alert") && !page.contains('\u{1b}') && !page.contains('\u{202e}'),
            "{page}"
        );
        assert!(!page.contains("\" onload"), "{page}");
    }
}

#[test]
fn parts_that_were_not_answered_leave_the_page_whole() {
    let page = page(&Look::default());
    assert!(page.contains("Not checked since the daemon started") && page.ends_with("</html>\n"));
}

#[test]
fn files_need_no_exception_from_the_policy() {
    for file in &FILES {
        assert!(file.path.starts_with('/') && !file.text.is_empty());
        for never in ["innerHTML", "eval(", "document.write", "http://", "https://"] {
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(never), "{}: {never}", file.path);
        }
    }
}
