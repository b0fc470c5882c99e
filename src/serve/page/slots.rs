//! The two slots as a picture, what the device remembers, and what it trusts.
use super::{
    Look,
    html::{Html, is, list, moment, text},
};
use serde_json::Value;

/// Steps of an update, as people call them.
fn step_name(step: &str) -> &str {
    match step {
        "self-test" => "self-test",
        "trial-boot" => "trial boot",
        step => step,
    }
}

/// The picture, and the update in flight.
pub(super) fn section(html: &mut Html, look: &Look) {
    let status = &look.status;
    html.section("slots", "Slots");
    html.open("ul class=\"slots\"");
    for (letter, key) in [("A", "a"), ("B", "b")] {
        slot(html, status, letter, &status["slots"][key]);
    }
    html.close("ul");
    if let Some(problem) = text(status, "/default_problem") {
        html.element("p class=\"warn\"", &format!("The boot flag: {problem}"));
    }
    if let Some(once) = text(status, "/once") {
        html.element("p class=\"note\"", &format!("The next reboot tries slot {once}, once."));
    }
    steps(html, &status["update"]);
    // What to do when nothing is to be done is on the buttons, and why it waits is above them.
    let said =
        |advice: &&str| text(status, "/state") == Some("idle") || text(status, "/waits") == Some(*advice);
    if let Some(advice) = text(status, "/advice").filter(|advice| !said(advice)) {
        html.element("p class=\"advice\"", &format!("On the command line: {advice}"));
    }
    html.close("section");
}

fn slot(html: &mut Html, status: &Value, letter: &str, slot: &Value) {
    let booted = is(slot, "/booted");
    let class = match (booted, is(slot, "/default")) {
        (true, true) => "slot booted default",
        (true, false) => "slot booted",
        (false, true) => "slot default",
        (false, false) => "slot",
    };
    html.open(&format!("li class=\"{class}\""));
    let flag = if is(slot, "/default") { "Boot flag" } else { "" };
    html.element("p class=\"flag\"", flag);
    html.open("div class=\"card\"");
    html.element("p class=\"letter\"", &format!("Slot {letter}"));
    html.element("p class=\"version\"", text(slot, "/version").unwrap_or("empty"));
    html.open("p class=\"marks\"");
    let tried = text(status, "/once").is_some_and(|once| once == letter);
    let state =
        text(slot, "/state").filter(|state| !["default", "on trial", "running", "empty"].contains(state));
    for (mark, class, there) in [
        ("running", "mark run", booted),
        ("default", "mark", is(slot, "/default")),
        ("on trial", "mark busy", is(slot, "/on_trial")),
        ("tried next", "mark busy", tried),
        (state.unwrap_or_default(), "mark faint", state.is_some()),
    ] {
        if there {
            html.element(&format!("span class=\"{class}\""), mark);
            html.raw(" ");
        }
    }
    html.close("p");
    html.element("p class=\"digest\"", text(slot, "/release/short").unwrap_or_default());
    if let Some(note) = text(slot, "/note") {
        html.element("p class=\"warn\"", note);
    }
    html.close("div");
    html.close("li");
}

/// How far the newest update is.
fn steps(html: &mut Html, update: &Value) {
    let Some(version) = text(update, "/version") else { return };
    let slot = text(update, "/slot").unwrap_or("?");
    let (heading, in_flight) = match text(update, "/outcome") {
        None => (format!("Update to {version} in slot {slot}: in flight"), true),
        Some(outcome) => (format!("Last update: {version} in slot {slot}, {outcome}"), false),
    };
    html.element("h3", &heading);
    html.open("ol class=\"steps\"");
    for step in list(update, "/steps") {
        let mark = text(step, "/mark").unwrap_or_default();
        let word = match mark {
            "done" => "done",
            "running" if in_flight => "now",
            "failed" => "failed",
            "not-reached" => "to do",
            other => other,
        };
        html.open(&format!("li class=\"{}\"", class_of(mark)));
        html.element("span class=\"dot\" aria-hidden=\"true\"", "");
        html.text(step_name(text(step, "/step").unwrap_or_default()));
        html.element("span class=\"unseen\"", &format!(" ({word})"));
        html.close("li");
    }
    html.close("ol");
    for step in list(update, "/steps") {
        if let Some(reason) = text(step, "/reason") {
            let name = step_name(text(step, "/step").unwrap_or_default());
            html.element("p class=\"warn\"", &format!("{name}: {reason}"));
        }
    }
}

fn class_of(mark: &str) -> &'static str {
    match mark {
        "done" => "done",
        "running" => "now",
        "failed" => "failed",
        _ => "todo",
    }
}

/// How past updates ended, the newest first.
pub(super) fn history(html: &mut Html, history: &Value) {
    let past = list(history, "/updates");
    html.section("history", "History");
    if past.is_empty() {
        html.element("p class=\"faint\"", "No update has ended yet.");
        return html.close("section");
    }
    html.raw("<ol class=\"rows\" reversed>");
    for update in past.iter().rev() {
        let outcome = text(update, "/outcome").unwrap_or("unknown");
        html.open("li");
        html.open("p");
        html.element("strong", text(update, "/version").unwrap_or("?"));
        html.element("span class=\"faint\"", &format!(" slot {}", text(update, "/slot").unwrap_or("?")));
        html.close("p");
        html.open("p class=\"end\"");
        html.element(&format!("span class=\"mark {}\"", ending_class(outcome)), outcome);
        html.close("p");
        let ended = update.pointer("/ended").filter(|ended| !ended.is_null());
        if let Some(time) = ended.and_then(|ended| text(ended, "/time")) {
            let set = ended.is_some_and(|ended| is(ended, "/synchronized"));
            let doubt = if set { "" } else { " (the clock was not set)" };
            html.element("p class=\"faint\"", &format!("{}{doubt}", moment(time)));
        }
        if let Some(reason) = text(update, "/reason") {
            html.element("p class=\"why\"", reason);
        }
        html.close("li");
    }
    html.raw("</ol>");
    html.close("section");
}

fn ending_class(outcome: &str) -> &'static str {
    match outcome {
        "committed" | "provisioned" => "run",
        "reverted" => "bad",
        _ => "faint",
    }
}

/// What the device goes by.
pub(super) fn trust(html: &mut Html, status: &Value) {
    html.section("trust", "Trust");
    html.open("dl");
    let number = |pointer: &str| status.pointer(pointer).map(ToString::to_string).unwrap_or_default();
    for (term, words) in [
        (
            "Root",
            match text(status, "/root/problem") {
                Some(problem) => problem.to_owned(),
                None if is(status, "/root/demo") => format!("version {}, demo keys", number("/root/version")),
                None => format!("version {}", number("/root/version")),
            },
        ),
        ("Security floor", number("/floors/security_version")),
        ("Channel number", number("/floors/channel_sequence")),
    ] {
        html.element("dt", term);
        html.element("dd", &words);
    }
    html.close("dl");
    if let Some(seq) = status.pointer("/equivocation/sequence") {
        html.element(
            "p class=\"warn\"",
            &format!("Two different channel files were signed as number {seq}; the second one was refused."),
        );
    }
    for rejected in list(status, "/rejected") {
        let (version, reason) =
            (text(rejected, "/version").unwrap_or("?"), text(rejected, "/reason").unwrap_or("?"));
        html.element("p class=\"faint\"", &format!("Rejected: {version} ({reason})"));
    }
    html.close("section");
}
