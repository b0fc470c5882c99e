//! What is on offer, and why this device takes it or not: as the last check said.
use super::html::{Html, list, moment, text};
use serde_json::Value;

/// The newest check whose report is remembered.
fn report(jobs: &Value) -> Option<(&Value, &Value)> {
    let is_check = |job: &&Value| text(job, "/operation") == Some("check");
    let mut checks = list(jobs, "/jobs").iter().rev().filter(is_check);
    checks.find_map(|job| {
        let report = job.pointer("/outcome/answer").filter(|answer| answer.get("offers").is_some())?;
        Some((job, report))
    })
}

/// The version that the newest check would install.
pub(super) fn takes(jobs: &Value) -> Option<&str> {
    report(jobs).and_then(|(_, report)| text(report, "/takes"))
}

/// The offers, the newest first.
pub(super) fn section(html: &mut Html, jobs: &Value) {
    html.section("offers", "On offer");
    let Some((job, report)) = report(jobs) else {
        html.element(
            "p class=\"faint\"",
            "Not checked since the daemon started. “Check for updates” asks the channel.",
        );
        return html.close("section");
    };
    let channel = text(report, "/channel").unwrap_or("?");
    let number = report.get("sequence").map(ToString::to_string).unwrap_or_default();
    let at = text(job, "/asked/time").map(moment).unwrap_or_default();
    html.element("p class=\"faint\"", &format!("Channel {channel}, number {number}, checked {at}"));
    let offers = list(report, "/offers");
    if offers.is_empty() {
        html.element("p", "The channel offers nothing.");
    }
    rows(html, None, offers);
    if let Some(refused) = text(report, "/refused") {
        html.element("p class=\"warn\"", refused);
    }
    for component in list(report, "/components") {
        rows(html, text(component, "/component"), list(component, "/offers"));
        if let Some(refused) = text(component, "/takes/refused") {
            html.element("p class=\"warn\"", refused);
        }
    }
    html.close("section");
}

/// The offers of the image, or of a component.
fn rows(html: &mut Html, component: Option<&str>, offers: &[Value]) {
    html.raw("<ul class=\"rows\">");
    for offer in offers {
        let verdict = text(offer, "/verdict").unwrap_or("?");
        let taken = verdict == "takes";
        let word = if taken { "chosen" } else { verdict };
        html.open(if taken { "li class=\"taken\"" } else { "li" });
        html.open("p");
        if let Some(component) = component {
            html.element("span class=\"faint\"", &format!("{component} "));
        }
        html.element("strong", text(offer, "/version").unwrap_or("?"));
        html.close("p");
        html.open("p class=\"end\"");
        html.element(if taken { "span class=\"mark run\"" } else { "span class=\"mark faint\"" }, word);
        html.close("p");
        for why in list(offer, "/why").iter().filter_map(Value::as_str) {
            html.element("p class=\"why\"", why);
        }
        html.close("li");
    }
    html.raw("</ul>");
}
