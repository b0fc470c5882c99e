//! What the device is and does, as HTML: from the daemon's answers, and readable without JavaScript. Pure.
//!
//! The script adds nothing that isn't here: it sends the same forms without leaving the page, and takes the page's parts again when
//! something happens. So there is one place that draws, and this is it.
mod components;
mod html;
mod inhibitors;
mod jobs;
mod offers;
mod slots;
#[cfg(test)]
mod tests;

use html::{Html, text};
use serde_json::Value;

/// The media type of a page.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// A file that never changes while the program runs.
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) media_type: &'static str,
    pub(super) text: &'static str,
}

/// The files beside the page.
pub(super) const FILES: [File; 3] = [
    File { path: "/page.css", media_type: "text/css; charset=utf-8", text: include_str!("page.css") },
    File { path: "/page.js", media_type: "text/javascript; charset=utf-8", text: include_str!("page.js") },
    File { path: "/icon.svg", media_type: "image/svg+xml", text: include_str!("icon.svg") },
];

/// What the daemon answered. A part that it did not answer is null.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    pub(super) status: Value,
    pub(super) history: Value,
    pub(super) jobs: Value,
    pub(super) live: Value,
    pub(super) inhibitors: Value,
    pub(super) components: Value,
    /// Whether the visitor shows a token.
    pub(super) signed_in: bool,
}

/// The page.
pub(super) fn page(look: &Look) -> String {
    let Look { status, jobs, .. } = look;
    let product = text(status, "/product").filter(|product| !product.is_empty()).unwrap_or("Bistable");
    let work = jobs::current(jobs);
    let mut html = Html::begin(&format!("{product} – Bistable"), work.is_some());
    html.open("header class=\"top\"");
    html.open("div class=\"name\"");
    html.element("h1", product);
    html.element("p class=\"faint\"", &board(look));
    html.close("div");
    html.element(
        &format!("p id=\"state\" class=\"pill {}\"", tone(look, work.is_some())),
        &state(look, work),
    );
    if !look.signed_in {
        html.raw("<a class=\"button\" href=\"/login\">Sign in</a>");
    }
    html.close("header");
    html.raw(
        "<p id=\"notice\" role=\"alert\" hidden></p><p id=\"announce\" class=\"unseen\" role=\"status\"></p>",
    );
    html.open("main");
    slots::section(&mut html, look);
    jobs::work(&mut html, look, work);
    components::section(&mut html, &look.components);
    offers::section(&mut html, jobs);
    inhibitors::section(&mut html, &look.inhibitors);
    jobs::activity(&mut html, jobs);
    slots::history(&mut html, &look.history);
    slots::trust(&mut html, status);
    html.close("main");
    html.end()
}

/// A page that says one thing.
pub(super) fn message(title: &str, detail: &str) -> String {
    let title = if title.is_empty() { "This did not work" } else { title };
    let mut html = Html::begin(title, false);
    html.open("main class=\"message\"");
    html.element("h1", title);
    html.element("p", detail);
    html.raw("<p class=\"row\"><a class=\"button primary\" href=\"/\">Back to the page</a> <a class=\"button\" href=\"/login\">Sign in with a token</a></p>");
    html.close("main");
    html.end()
}

fn board(look: &Look) -> String {
    let board = text(&look.status, "/board").unwrap_or("unknown board");
    match text(&look.live, "/at") {
        Some(at) => format!("{board} · looks again at {}", html::moment(at)),
        None => board.to_owned(),
    }
}

fn state(look: &Look, work: Option<&Value>) -> String {
    match work.and_then(|job| text(job, "/operation")) {
        Some(operation) => jobs::doing(operation).to_owned(),
        None => text(&look.status, "/state").unwrap_or("unknown").to_owned(),
    }
}

/// How the state is colored; its words say the same.
fn tone(look: &Look, works: bool) -> &'static str {
    match text(&look.status, "/state") {
        _ if works => "busy",
        Some("idle") => "good",
        Some("reverting") | None => "bad",
        Some(_) => "busy",
    }
}
