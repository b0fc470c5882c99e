//! The page in a real Chromium, in front of a simulated Pi. `BISTABLE_SCREENSHOTS=DIR` keeps pictures.
use crate::{
    browser::Browser,
    daemon::follows,
    pi::Pi,
    web_process::{Web, token},
};
use serde_json::json;
use std::io::Write;

#[test]
#[ignore = "needs chromium"]
fn page_is_readable_in_both_themes_narrow_and_wide_with_and_without_javascript() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let token = token(&pi, "kim", "operate");
    let web = Web::start(&pi);
    let mut browser = Browser::start(&token);
    browser.open(&format!("http://{}/", web.host));
    assert_eq!(browser.was_asked(), 1, "for a token, once");
    browser.click("#do-check");
    browser.until_text("Update to 1.1.0");
    browser.click("#do-self-test");
    browser.until_text("relay");
    for scripts in [true, false] {
        browser.scripts(scripts);
        browser.open(&format!("http://{}/", web.host));
        for (width, theme) in [(1100, "light"), (1100, "dark"), (360, "light"), (360, "dark")] {
            browser.look(width, theme);
            browser.looks_right(width);
            let script = if scripts { "js" } else { "plain" };
            assert!(browser.shoot(&format!("idle-{width}-{theme}-{script}")) > 10_000);
            let text = browser.text();
            // Headings are shown in capitals.
            let text = text.to_lowercase();
            for shown in [
                "slot a",
                "slot b",
                "1.0.0",
                "boot flag",
                "update to 1.1.0",
                "for every device",
                "by token kim",
                "history",
            ] {
                assert!(text.contains(shown), "{shown}: {text}");
            }
        }
    }
}

#[test]
#[ignore = "needs chromium"]
fn whole_update_by_button_with_progress_and_then_a_revert() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let token = token(&pi, "kim", "operate");
    let mut web = Web::start(&pi);
    let mut browser = Browser::start(&token);
    browser.look(1100, "light");
    browser.open(&format!("http://{}/", web.host));
    browser.click("#do-check");
    browser.until_text("Update to 1.1.0");
    // What a screen reader announces.
    browser.eval(
        "window.seen = []; new MutationObserver(() => seen.push(document.getElementById('announce').textContent))
            .observe(document.getElementById('announce'), { childList: true }); 0",
    );
    browser.click("#do-update");
    crate::signals::until("the machine goes down", || web.is_down());
    pi.run("resume").must(0, &["slot B is the default now"]);
    web.restart(&pi);
    browser.until("document.querySelectorAll('.slot')[1].classList.contains('booted')");
    browser.until("document.querySelectorAll('.slot')[1].classList.contains('default')");
    browser.until_text("Last update: 1.1.0 in slot B, committed");
    let seen = browser.eval("seen.join('|')");
    assert!(seen.as_str().unwrap().contains("update"), "{seen}");
    browser.shoot("updated-1100-light");
    // A revert is confirmed first.
    browser.eval("document.getElementById('revert').open = true");
    browser.eval("document.getElementById('do-revert').click()");
    assert_eq!(browser.eval("document.querySelector('#sure').validity.valid"), json!(false));
    browser.shoot("revert-1100-light");
    browser.click("#sure");
    browser.click("#do-revert");
    crate::signals::until("the machine goes down", || web.is_down());
    pi.run("resume").must(0, &[]);
    web.restart(&pi);
    browser.until("document.querySelectorAll('.slot')[0].classList.contains('booted')");
    browser.until("document.querySelectorAll('.slot')[0].classList.contains('default')");
}

#[test]
#[ignore = "needs chromium"]
fn progress_is_live_whoever_asked_and_can_be_cancelled() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let token = token(&pi, "kim", "operate");
    let web = Web::start(&pi);
    let mut browser = Browser::start(&token);
    browser.look(1100, "light");
    browser.open(&format!("http://{}/", web.host));
    browser.until_text("Check for updates");
    // Another client sends a bundle, and takes its time.
    let bundle = std::fs::read(pi.good()).unwrap();
    let mut slow = web.connect();
    let head = format!(
        "POST /v1/bundles HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        bundle.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    slow.write_all(&bundle[..bundle.len() * 3 / 4]).unwrap();
    browser.until("document.getElementById('bar')?.value > 0");
    browser.until("document.getElementById('announce').textContent.includes('percent')");
    assert_eq!(browser.eval("document.querySelector('#do-update')"), json!(null), "one thing at a time");
    browser.looks_right(1100);
    browser.shoot("progress-1100-light");
    browser.look(360, "dark");
    browser.looks_right(360);
    browser.shoot("progress-360-dark");
    // Taken back: the agent gives up at the next bytes that it gets.
    browser.click("#do-cancel");
    browser.until_text("Cancel");
    let _ = slow.write_all(&bundle[bundle.len() * 3 / 4..]);
    browser.until("document.getElementById('do-check') !== null");
    assert!(["idle", "staged"].contains(&web.status(&token)["state"].as_str().unwrap()));
}

#[test]
#[ignore = "needs chromium"]
fn upload_and_a_refused_self_test_show_their_reason() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let token = token(&pi, "kim", "operate");
    let web = Web::start(&pi);
    let mut browser = Browser::start(&token);
    browser.look(360, "light");
    browser.open(&format!("http://{}/", web.host));
    // Something else first.
    let wrong = pi.file("holiday.jpg", &[0xff; 4096]);
    browser.eval("document.getElementById('upload').open = true");
    browser.choose("#bundle", &wrong);
    browser.click("#do-upload");
    browser.until_text("this is not a bundle");
    browser.until("!document.getElementById('notice').hidden");
    browser.shoot("refused-upload-360-light");
    browser.eval("document.getElementById('upload').open = true");
    browser.choose("#bundle", &pi.good());
    browser.click("#do-upload");
    browser.until_text("Test and arm");
    // A relay that sticks.
    pi.run_once_free("sim stuck 27 low").must(0, &[]);
    browser.click("#do-arm");
    browser.until_text("self-test failed");
    browser.until_text("relay");
    browser.look(1100, "dark");
    browser.looks_right(1100);
    browser.shoot("refused-self-test-1100-dark");
}

#[test]
#[ignore = "needs chromium"]
fn without_javascript_forms_do_the_same() {
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let token = token(&pi, "kim", "operate");
    let web = Web::start(&pi);
    let mut browser = Browser::start(&token);
    browser.scripts(false);
    browser.look(360, "light");
    let url = format!("http://{}/", web.host);
    browser.open(&url);
    browser.eval("document.getElementById('upload').open = true");
    browser.choose("#bundle", &pi.good());
    browser.click("#do-upload");
    browser.until_text("Test and arm");
    assert_eq!(browser.eval("location.href"), json!(url), "303 leads back to the page");
    browser.looks_right(360);
    browser.shoot("staged-360-light-plain");
    browser.eval("document.getElementById('revert').open = true");
    browser.click("#sure");
    browser.click("#do-revert");
    browser.until_text("abandoned");
}

#[test]
#[ignore = "needs chromium"]
fn wrong_tokens_and_small_scopes_say_what_to_do() {
    let pi = Pi::new();
    pi.run("status").must(0, &[]);
    let read = token(&pi, "screen", "read");
    let web = Web::start(&pi);
    let mut browser = Browser::start("bst_wrong");
    browser.look(360, "dark");
    browser.open(&format!("http://{}/", web.host));
    browser.until_text("this token is not known");
    browser.looks_right(360);
    browser.shoot("wrong-token-360-dark");
    drop(browser);
    let mut browser = Browser::start(&read);
    browser.look(1100, "light");
    browser.open(&format!("http://{}/", web.host));
    browser.click("#do-self-test");
    browser.until_text("token screen has the scope read; this needs operate");
    browser.shoot("small-scope-1100-light");
    // And the policy holds: nothing foreign runs.
    let blocked = browser.eval(
        "new Promise((done) => { document.addEventListener('securitypolicyviolation', (e) => done(e.violatedDirective));
            const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.head.append(s); })",
    );
    assert_eq!(blocked, json!("script-src-elem"));
    assert_eq!(browser.eval("window.hacked === undefined"), json!(true));
}

#[test]
#[ignore = "needs chromium"]
fn conversation_of_the_api_page_works_as_it_is_written_and_from_our_own_page_only() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/api.md");
    let page = std::fs::read_to_string(page).unwrap();
    let example = page.split_once("```js\n").unwrap().1.split_once("```").unwrap().0;
    let pi = Pi::new();
    follows(&pi, "mode = \"check\"\n");
    let token = token(&pi, "kim", "operate");
    let web = Web::start(&pi);
    let mut browser = Browser::start(&token);
    browser.open(&format!("http://{}/", web.host));
    let own = format!(
        "const token = {}; const console = {{ log: (said) => window.said.push(said) }};",
        json!(token)
    );
    browser.eval(&format!("window.said = []; (() => {{ {own} {example} }})(); true"));
    browser.until("window.said.some((said) => said.subject === 'check_result' && said.request_id === 3)");
    browser.until(
        "window.said.some((said) => said.subject === 'event' && said.body.type === 'update.available')",
    );
    let said = browser.eval("window.said");
    let subjects: Vec<_> =
        said.as_array().unwrap().iter().map(|said| said["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects[..2], ["auth_result", "events.subscribed"], "{said:#}");
    let result = said.as_array().unwrap().iter().find(|said| said["subject"] == "check_result").unwrap();
    assert_eq!(
        (&result["body"]["success"], &result["body"]["answer"]["takes"]),
        (&json!(true), &json!("1.1.0"))
    );
    // What another site's page opens ends before it begins.
    let foreign = format!(
        "new Promise((done) => {{ const socket = new WebSocket('ws://{}/v1/ws'); socket.onopen = () => done('open'); \
         socket.onerror = () => done('refused'); }})",
        web.host
    );
    browser.open("about:blank");
    assert_eq!(browser.eval(&foreign), "refused");
    browser.open(&format!("http://{}/", web.host));
    assert_eq!(browser.eval(&foreign), "open");
}
