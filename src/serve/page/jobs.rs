//! What is being done, the buttons, and what was done.
use super::{
    Look,
    html::{Html, list, moment, text},
    offers,
};
use serde_json::Value;

/// Jobs that are shown.
const SHOWN: usize = 6;

/// The job that is being done, else the one that waits longest.
pub(super) fn current(jobs: &Value) -> Option<&Value> {
    let in_state = |state: &str| list(jobs, "/jobs").iter().find(|job| text(job, "/state") == Some(state));
    in_state("running").or_else(|| in_state("queued"))
}

/// An operation in progress, in words.
pub(super) fn doing(operation: &str) -> &str {
    match operation {
        "check" => "checking",
        "preflight" => "checking the device",
        "self-test" => "testing",
        "health" => "checking health",
        "install" => "installing",
        "update" => "updating",
        "arm" => "testing and arming",
        "reboot" => "restarting",
        "commit" => "committing",
        "revert" => "reverting",
        "component-update" | "component-resume" => "updating a component",
        "component-revert" => "reverting a component",
        other => other,
    }
}

/// What is being done, and what can be.
pub(super) fn work(html: &mut Html, look: &Look, current: Option<&Value>) {
    html.section("work", "Update");
    if let Some(job) = current {
        progress(html, job);
        return html.close("section");
    }
    let state = text(&look.status, "/state").unwrap_or_default();
    if let Some(waits) = text(&look.status, "/waits") {
        html.element("p class=\"note\"", waits);
    }
    html.open("div class=\"row\"");
    let takes = offers::takes(&look.jobs);
    match state {
        "staged" => html.button("arm", "primary", "Test and arm"),
        "armed" => html.button("reboot", "primary", "Restart into the trial"),
        "on trial" => html.button("commit", "primary", "Check health and commit"),
        "installing" => html.button("update", "primary", "Resume the update"),
        _ => match takes {
            Some(version) => html.button("update", "primary", &format!("Update to {version}")),
            None => html.button("check", "primary", "Check for updates"),
        },
    }
    if state != "on trial" {
        let staged = matches!(state, "staged" | "armed");
        if staged || takes.is_some() || state == "installing" {
            html.button("check", "", "Check for updates");
        } else {
            html.button("update", "", "Update now");
        }
        html.button("self-test", "", "Run self-tests");
        html.button("preflight", "", "Check the device");
    }
    html.close("div");
    html.open("div class=\"folds\"");
    upload(html);
    revert(html, state);
    html.close("div");
    html.close("section");
}

/// How far a job is.
fn progress(html: &mut Html, job: &Value) {
    let (id, operation) = (text(job, "/id").unwrap_or_default(), text(job, "/operation").unwrap_or("?"));
    let number = |pointer: &str| job.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (done, total) = (number("/progress/done"), number("/progress/total"));
    html.raw("<div class=\"progress\" data-job=\"");
    // The id is made of letters, digits and dashes; it is escaped all the same.
    html.text(id);
    html.raw("\">");
    html.open("p class=\"bar-words\"");
    html.element("span id=\"bar-step\"", &step(job, operation));
    html.element("span id=\"bar-percent\" class=\"faint\"", &percent(done, total));
    html.close("p");
    match total {
        0 => html.raw("<progress id=\"bar\" aria-labelledby=\"bar-step\"></progress>"),
        _ => html.raw(&format!(
            "<progress id=\"bar\" aria-labelledby=\"bar-step\" value=\"{done}\" max=\"{total}\"></progress>"
        )),
    }
    html.open("form method=\"post\" action=\"/do/cancel\" data-act=\"cancel\"");
    html.raw("<input type=\"hidden\" name=\"job\" value=\"");
    html.text(id);
    html.raw("\">");
    html.element("button id=\"do-cancel\"", "Cancel");
    html.close("form");
    html.close("div");
}

fn step(job: &Value, operation: &str) -> String {
    let step = text(job, "/progress/step").filter(|step| !step.is_empty());
    match (text(job, "/state"), step) {
        (Some("queued"), _) => format!("{operation}: waits for its turn"),
        (_, Some(step)) => format!("{operation}: {step}"),
        _ => format!("{operation}: begins"),
    }
}

fn percent(done: u64, total: u64) -> String {
    done.saturating_mul(100).checked_div(total).map(|share| format!("{share} %")).unwrap_or_default()
}

fn upload(html: &mut Html) {
    html.raw("<details id=\"upload\"><summary>Install a bundle from this computer</summary>");
    html.raw(
        "<form method=\"post\" action=\"/do/upload\" enctype=\"multipart/form-data\" data-act=\"upload\">\
         <label for=\"bundle\">Bundle</label><input id=\"bundle\" type=\"file\" name=\"bundle\" required>\
         <p class=\"faint\">The device verifies its signature while it comes, and writes into the slot that does not run.</p>\
         <button id=\"do-upload\" class=\"primary\">Upload and install</button></form></details>",
    );
}

fn revert(html: &mut Html, state: &str) {
    let words = match state {
        "staged" | "armed" | "installing" => "gives up the release that waits in the other slot",
        "on trial" => "ends the trial and restarts into the default slot",
        _ => "restarts into the release of the other slot, as a trial",
    };
    html.raw("<details id=\"revert\"><summary>Revert</summary>");
    html.raw("<form method=\"post\" action=\"/do/revert\" data-act=\"revert\">");
    html.element("p", &format!("This {words}."));
    html.raw(
        "<p><input id=\"sure\" type=\"checkbox\" name=\"sure\" value=\"yes\" required> <label for=\"sure\">Yes, revert</label></p>\
         <button id=\"do-revert\" class=\"danger\">Revert</button></form></details>",
    );
}

/// The newest jobs, the newest first.
pub(super) fn activity(html: &mut Html, jobs: &Value) {
    html.section("activity", "Activity");
    let jobs = list(jobs, "/jobs");
    if jobs.is_empty() {
        html.element("p class=\"faint\"", "Nothing was asked of this device yet.");
        return html.close("section");
    }
    html.raw("<ul class=\"rows\">");
    for job in jobs.iter().rev().take(SHOWN) {
        html.open("li");
        html.open("p");
        html.element("strong", text(job, "/operation").unwrap_or("?"));
        html.element("span class=\"faint\"", &format!(" {}", asker(job)));
        html.close("p");
        let (word, class) = ending(job);
        html.open("p class=\"end\"");
        html.element(&format!("span class=\"mark {class}\""), &word);
        html.close("p");
        if let Some(time) = text(job, "/asked/time") {
            html.element("p class=\"faint\"", &moment(time));
        }
        if let Some(error) = text(job, "/outcome/error") {
            html.element("p class=\"why\"", error);
        }
        findings(html, &job["outcome"]["answer"]);
        html.close("li");
    }
    html.raw("</ul>");
    html.close("section");
}

fn asker(job: &Value) -> String {
    match (text(job, "/by/token"), text(job, "/by/via")) {
        (Some(token), _) => format!("by token {token}"),
        (None, Some("schedule")) => "by schedule".into(),
        _ => match job.pointer("/by/uid").and_then(Value::as_u64) {
            Some(uid) => format!("by user {uid}"),
            None => String::new(),
        },
    }
}

fn ending(job: &Value) -> (String, &'static str) {
    match (text(job, "/state").unwrap_or("?"), job.pointer("/outcome/exit").and_then(Value::as_u64)) {
        ("ended", Some(0 | 4)) => ("done".into(), "run"),
        ("ended", Some(3)) => ("nothing to do".into(), "faint"),
        ("ended", Some(75)) => ("not now".into(), "busy"),
        ("ended", _) => ("failed".into(), "bad"),
        ("running", _) => ("running".into(), "busy"),
        (other, _) => (other.to_owned(), "faint"),
    }
}

/// What self-tests measured, and what a preflight found: only what is wrong, or all if a person asked for just that.
fn findings(html: &mut Html, answer: &Value) {
    let (tests, checks) = (list(answer, "/tests"), list(answer, "/checks"));
    if tests.is_empty() && checks.is_empty() {
        return;
    }
    html.raw("<ul class=\"findings\">");
    for (name, verdict, found) in
        tests.iter().map(|test| (text(test, "/name"), text(test, "/verdict"), text(test, "/measured"))).chain(
            checks.iter().map(|check| (text(check, "/name"), text(check, "/verdict"), text(check, "/found"))),
        )
    {
        let verdict = verdict.unwrap_or("?");
        let class = match verdict {
            "passed" | "pass" => "done",
            "note" | "skipped" => "todo",
            _ => "failed",
        };
        html.open(&format!("li class=\"{class}\""));
        html.raw("<span class=\"dot\" aria-hidden=\"true\"></span>");
        html.element("span class=\"unseen\"", &format!("{verdict}: "));
        html.element("strong", name.unwrap_or("?"));
        html.text(" ");
        html.text(found.unwrap_or_default());
        html.close("li");
    }
    html.raw("</ul>");
}
