//! What is updated beside the slots, with its buttons.
use super::html::{Html, list, text};
use serde_json::Value;

/// The components; nothing at all on a device without one.
pub(super) fn section(html: &mut Html, components: &Value) {
    let all = list(components, "/components");
    if all.is_empty() {
        return;
    }
    html.section("components", "Components");
    html.raw("<ul class=\"rows\">");
    for component in all {
        one(html, component);
    }
    html.raw("</ul>");
    html.close("section");
}

fn one(html: &mut Html, component: &Value) {
    let name = text(component, "/name").unwrap_or("?");
    let lifecycle = text(component, "/lifecycle").unwrap_or("?");
    html.open("li");
    html.open("p");
    html.element("strong", name);
    html.element(
        "span class=\"faint\"",
        &format!(" {}", text(component, "/version").unwrap_or("no version")),
    );
    html.close("p");
    html.open("p class=\"end\"");
    let class = match lifecycle {
        "running" => "run",
        "failed" => "bad",
        "deploying" | "updating" => "busy",
        _ => "faint",
    };
    html.element(&format!("span class=\"mark {class}\""), lifecycle);
    html.close("p");
    if let Some(image) = text(component, "/bound/image") {
        html.element("p class=\"why\"", &format!("bound by {image}: it changes with the image only"));
        html.close("li");
        return;
    }
    if let Some(target) = text(component, "/target") {
        let state = text(component, "/state").unwrap_or("?");
        html.element("p class=\"why\"", &format!("{target} is {state}"));
    }
    if let (Some(version), Some(reason)) = (text(component, "/last/version"), text(component, "/last/reason"))
    {
        html.element("p class=\"why\"", &format!("{version} was given up: {reason}"));
    }
    for setting in list(component, "/configuration/settings") {
        if let (Some(name), Some(true)) = (text(setting, "/name"), setting["is_set"].as_bool()) {
            let value = text(setting, "/value").unwrap_or("(set, not shown)");
            html.element("p class=\"why\"", &format!("{name} = {value}"));
        }
    }
    html.open("div class=\"row\"");
    for (act, label) in buttons(component, lifecycle) {
        button(html, name, act, &label);
    }
    html.close("div");
    html.close("li");
}

/// What can be done about it as it is.
fn buttons(component: &Value, lifecycle: &str) -> Vec<(&'static str, String)> {
    let update = ("update", "Update".to_owned());
    match lifecycle {
        "running" => {
            let back = list(component, "/kept").first().and_then(Value::as_str);
            let back = back.map(|version| ("revert", format!("Revert to {version}")));
            [Some(update), back, Some(("stop", "Stop".into()))].into_iter().flatten().collect()
        }
        "stopped" => vec![("start", "Start".into())],
        "failed" => vec![("reset", "Reset".into()), update],
        "deploying" | "updating" => {
            let is_staged = text(component, "/state") == Some("staged");
            let label = if is_staged { "Switch to it" } else { "Resume the update" };
            vec![("resume", label.into()), ("revert", "Give the update up".into())]
        }
        _ => vec![update],
    }
}

/// A form of its own. With JavaScript it goes to the API's path, without it to that of the form.
fn button(html: &mut Html, name: &str, act: &str, label: &str) {
    html.raw("<form method=\"post\" action=\"/do/component\" data-act=\"components/");
    html.text(name);
    html.raw(&format!("/{act}\"><input type=\"hidden\" name=\"component\" value=\""));
    html.text(name);
    html.raw(&format!("\"><input type=\"hidden\" name=\"act\" value=\"{act}\">"));
    html.element("button", label);
    html.close("form");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "calls read better")]
    fn page(components: Value) -> String {
        let mut html = Html::begin("x", false);
        section(&mut html, &json!({ "components": components }));
        html.end()
    }

    fn core(lifecycle: &str) -> Value {
        json!({
            "name": "core", "lifecycle": lifecycle, "state": "armed", "version": "1.0.1", "target": null, "kept": ["1.0.0"],
            "last": { "version": "1.1.0", "success": false, "reason": "<b>sick</b>", "attempts": 1 },
        })
    }

    #[test]
    fn each_is_shown_with_what_can_be_done_as_it_is() {
        assert!(!page(json!([])).contains("Components"));
        for (lifecycle, there, not_there) in [
            ("running", vec!["Update", "Revert to 1.0.0", "Stop"], vec!["Start", "Reset"]),
            ("stopped", vec!["Start"], vec!["Update", "Stop", "Reset"]),
            ("failed", vec!["Reset", "Update"], vec!["Stop", "Start"]),
            ("updating", vec!["Resume the update", "Give the update up"], vec!["Stop"]),
            ("registered", vec!["Update"], vec!["Revert", "Stop"]),
        ] {
            let page = page(json!([core(lifecycle)]));
            let has = |label: &&str| page.contains(&format!("<button>{label}</button>"));
            assert!(there.iter().all(&has), "{lifecycle}: {page}");
            assert!(!not_there.iter().any(has), "{lifecycle}: {page}");
        }
        let page = page(json!([core("running")]));
        for shown in ["<strong>core</strong>", " 1.0.1", "1.1.0 was given up: &lt;b&gt;sick&lt;/b&gt;"] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
        assert!(page.contains("data-act=\"components/core/revert\""), "{page}");
    }

    #[test]
    fn what_an_operator_set_is_shown_without_secrets() {
        let mut core = core("running");
        let setting = |name: &str, is_set: bool, value: Option<&str>| json!({ "name": name, "is_set": is_set, "value": value });
        core["configuration"] = json!({ "number": 1, "later": [], "settings": [
            setting("MODE", true, Some("<loud>")), setting("TOKEN", true, None), setting("LISTEN", false, Some("x")),
        ]});
        let page = page(json!([core]));
        assert!(page.contains("MODE = &lt;loud&gt;") && page.contains("TOKEN = (set, not shown)"), "{page}");
        assert!(!page.contains("LISTEN"), "{page}");
    }

    #[test]
    fn target_is_shown_and_foreign_text_stays_text() {
        let mut updating = core("updating");
        updating["target"] = "1.2.0".into();
        updating["name"] = "\"><script>".into();
        let page = page(json!([updating]));
        assert!(page.contains("1.2.0 is armed") && !page.contains("<script>"), "{page}");
    }
}
