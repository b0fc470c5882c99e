//! An event as a target gets it.
use crate::{
    config::Template,
    events::{Entry, text_line},
};
use bistable_format::{text::printable_json, webhook::slack_text};
use serde_json::{Value, json};

/// The body of a message about an event of this device.
pub(super) fn body(entry: &Entry, device: &str, template: Template) -> String {
    match template {
        Template::Json => {
            // Only a map whose keys aren't strings fails, and there is none.
            let mut event = serde_json::to_value(entry).unwrap_or_default();
            if let Value::Object(fields) = &mut event {
                fields.insert("device".into(), device.into());
            }
            printable_json(&event.to_string())
        }
        Template::Slack => {
            json!({ "text": format!("{device}: {}", slack_text(&text_line(entry))) }).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::test_entry;

    #[test]
    fn json_is_the_event_as_it_is_and_whose_it_is() {
        let entry = test_entry(7, "update.committed");
        let mut body: Value = serde_json::from_str(&body(&entry, "hub-7", Template::Json)).unwrap();
        assert_eq!(body.as_object_mut().unwrap().remove("device"), Some("hub-7".into()));
        assert_eq!(serde_json::from_value::<Entry>(body).unwrap(), entry);
    }

    #[test]
    fn slack_gets_one_line_in_which_nothing_is_a_mention() {
        let entry = Entry { data: json!({ "why": "<!channel> & more" }), ..test_entry(7, "update.failed") };
        let body: Value = serde_json::from_str(&body(&entry, "hub-7", Template::Slack)).unwrap();
        let text = body["text"].as_str().unwrap();
        assert!(text.starts_with("hub-7: 2026-11-29 12:00:00Z"), "{text}");
        assert!(text.contains("why=&lt;!channel&gt; &amp; more") && !text.contains('\n'), "{text}");
    }
}
