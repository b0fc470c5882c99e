//! Which webhooks are declared when all files are merged, and whether they can be.
use super::{Problem, Webhook, fragment::Fragment, name, webhook::TABLE};
use std::collections::BTreeMap;

/// Webhooks of one device.
const WEBHOOKS_MAX: usize = 16;

/// The webhooks that were declared, if they can be, sorted by name.
pub(super) fn find(
    declared: &BTreeMap<String, Webhook>,
    merged: &Fragment,
    problems: &mut Vec<Problem>,
) -> Vec<Webhook> {
    let about = |webhook: &str, key: &str| merged.all(&key_of(webhook, key)).last().cloned();
    for (at, webhook) in declared.values().enumerate() {
        let all = merged.iter().filter(|(key, _)| name::parts(key).take(2).eq([TABLE, &webhook.name]));
        let first = all.filter_map(|(_, sets)| sets.last()).next().cloned();
        let table = name::join(TABLE, &webhook.name);
        let (at_set, text) = match (&webhook.url, &webhook.url_file) {
            // What is missing may be what could not be read.
            (None, None) if merged.is_incomplete(&table) => continue,
            (None, None) => (first, format!("{table} needs url or url_file")),
            (Some(_), Some(_)) => (
                about(&webhook.name, "url_file"),
                format!("{table} has url and url_file: one of them is enough"),
            ),
            _ if at == WEBHOOKS_MAX => (
                first,
                format!("{} webhooks are declared; at most {WEBHOOKS_MAX} are allowed", declared.len()),
            ),
            _ => continue,
        };
        if let Some(set) = at_set {
            problems.push(Problem::new(&set.file, set.line, &text));
        }
    }
    declared.values().cloned().collect()
}

fn key_of(webhook: &str, key: &str) -> String {
    name::join(&name::join(TABLE, webhook), key)
}
