//! An event on a line, for people.
use super::{Entry, Kind, Priority, Transition};
use crate::text::{printable, shorten};
use serde_json::Value;

const DETAILS_MAX: usize = 300;

/// When, how much it matters, what, and about what. A time that is not trusted has a question mark.
pub fn line(entry: &Entry) -> String {
    let time = entry.timestamp.replace('T', " ");
    let doubt = if entry.synchronized { ' ' } else { '?' };
    let priority = match entry.priority {
        Priority::Info => "info",
        Priority::Warning => "warning",
        Priority::Error => "error",
        Priority::Critical => "critical",
    };
    let times = if entry.repeats > 0 { format!(" ({} times more)", entry.repeats) } else { String::new() };
    let details = printable(&shorten(&details(entry), DETAILS_MAX));
    let text = format!(
        "{time}{doubt} {:>6} {priority:<8} {:<20} {details}{times}",
        entry.seq,
        printable(&entry.kind)
    );
    text.trim_end().to_owned()
}

fn details(entry: &Entry) -> String {
    let is_state = Kind::named(&entry.kind).is_some_and(|kind| kind.traits().state);
    match serde_json::from_value::<Transition>(entry.data.clone()) {
        Ok(Transition { update, ended, reason, .. }) if is_state => {
            let release = ended.as_ref().map(|ended| &ended.release).or(update.release.as_ref());
            let mut parts = Vec::new();
            if let Some(release) = release {
                parts.push(format!("release {} in slot {}", release.version, release.slot));
            }
            if entry.kind == Kind::Reconciled.traits().name {
                parts.push(format!("the journal says {}", update.state));
            }
            parts.extend(update.attempts.map(|attempts| format!("attempts {attempts}")));
            parts.extend(reason);
            parts.join(", ")
        }
        _ => fields(&entry.data),
    }
}

/// `key=value`, without what is nested.
fn fields(data: &Value) -> String {
    let Value::Object(fields) = data else { return String::new() };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let fields = fields.iter().filter_map(|(key, value)| Some(format!("{key}={}", text(value)?)));
    fields.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::entry;
    use super::*;

    #[test]
    fn lines() {
        let data = serde_json::json!({ "a": 1, "text": "x\u{1b}[2J", "deep": { "b": 2 }, "none": null });
        let doubtful = Entry { data, synchronized: false, repeats: 2, ..entry(7, "storage.dropped") };
        assert_eq!(
            line(&doubtful),
            "2026-11-29 12:00:00Z?      7 info     storage.dropped      a=1 text=x [2J (2 times more)"
        );
        let data = serde_json::json!({
            "update": { "state": "reverting", "release": { "version": "1.2.0", "identity": "ab", "slot": "B" } },
            "reason": "health check failed",
        });
        let state = Entry { data, ..entry(8, "rollback.started") };
        assert!(line(&state).ends_with("rollback.started     release 1.2.0 in slot B, health check failed"));
    }
}
