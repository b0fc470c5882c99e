//! What holds the switch off, if anything does.
use super::html::{Html, is, list, text};
use serde_json::Value;

/// The inhibitors; nothing at all without one.
pub(super) fn section(html: &mut Html, inhibitors: &Value) {
    let all = list(inhibitors, "/inhibitors");
    if all.is_empty() {
        return;
    }
    html.section("inhibitors", "Held off");
    html.element(
        "p class=\"faint\"",
        "A switch into a trial waits until these end. What you start here does not.",
    );
    html.raw("<ul class=\"rows\">");
    for held in all {
        html.open("li");
        html.open("p");
        html.element("strong", text(held, "/reason").unwrap_or("?"));
        html.close("p");
        html.open("p class=\"end\"");
        let class =
            if is(held, "/overdue") { "span class=\"mark bad\"" } else { "span class=\"mark faint\"" };
        html.element(class, &format!("{} left", span(held, "/left_s")));
        html.close("p");
        let (owner, age) = (text(held, "/owner").unwrap_or("?"), span(held, "/age_s"));
        html.element("p class=\"why\"", &format!("by {owner}, for {age}"));
        html.close("li");
    }
    html.raw("</ul>");
    html.close("section");
}

/// Seconds at a place of an answer, as people say them.
fn span(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default() {
        seconds @ 0..=59 => format!("{seconds} s"),
        seconds @ 60..=3599 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_is_shown_with_its_owner_and_what_is_left_and_foreign_text_stays_text() {
        let page = |inhibitors: Value| {
            let mut html = Html::begin("x", false);
            section(&mut html, &json!({ "inhibitors": inhibitors }));
            html.end()
        };
        assert!(!page(json!([])).contains("Held off"));
        let held = json!({ "reason": "<b>press</b>", "owner": "token kim", "age_s": 61, "left_s": 7260, "overdue": false });
        let page = page(json!([held]));
        for shown in ["&lt;b&gt;press&lt;/b&gt;", "by token kim, for 1 min", "2 h 1 min left"] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
    }
}
