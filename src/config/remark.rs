//! What is legal and yet doubtful.
use super::{Component, Mirror, Mode, Problem, Settings, Target, declared, fragment::Fragment};
use serde::Serialize;
use std::fmt;

/// Keys that mean nothing without `update.windows`.
const OF_WINDOWS: [&str; 4] =
    ["update.time_zone", "update.windows_need_clock", "update.force_after", "update.security_force_after"];

/// How much a remark matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Level {
    /// It may be a mistake.
    Warning,
    /// Good to know.
    Note,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Warning => "warning",
            Level::Note => "note",
        })
    }
}

/// Something legal that the owner may not have meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Remark {
    /// How much it matters.
    pub level: Level,
    /// What it is, and where.
    #[serde(flatten)]
    pub about: Problem,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, line, text } = &self.about;
        let text = format!("{}: {text}", self.level);
        Problem::new(file, *line, &text).fmt(f)
    }
}

/// Everything doubtful, warnings first, then by file and line.
pub(super) fn remarks(merged: &Fragment, settings: &Settings) -> Vec<Remark> {
    let mut found = Vec::new();
    // Each is about a key that was set, where it was set last.
    let mut remark = |level, key: &str, text: &str| {
        if let Some(set) = merged.all(key).last() {
            let about = Problem::new(&set.file, set.line, &format!("{key} {text}"));
            found.push(Remark { level, about });
        }
    };
    if settings.allow_demo_keys {
        let text = "is true: everybody has the demo keys, so this device trusts everybody";
        remark(Level::Warning, "allow_demo_keys", text);
    }
    if settings.source.urls.is_empty() {
        let keys = merged.iter().map(|(name, _)| name);
        // A staged release may also come from a file.
        let is_about_offers = |k: &&str| {
            let of_switches = *k == "update.mode" || *k == "update.windows" || OF_WINDOWS.contains(k);
            !of_switches && (k.starts_with("update.") || k.starts_with("source."))
        };
        for key in keys.filter(is_about_offers) {
            let text =
                if key == "source.urls" { "is empty" } else { "has no effect while source.urls is empty" };
            remark(Level::Warning, key, text);
        }
    }
    if settings.update.mode != Mode::Auto && !settings.update.windows.is_empty() {
        let text = format!(
            "has no effect while update.mode is \"{}\": only \"auto\" waits for windows",
            settings.update.mode
        );
        remark(Level::Warning, "update.windows", &text);
    }
    if settings.update.windows.is_empty() {
        for key in OF_WINDOWS {
            remark(Level::Warning, key, "has no effect without update.windows");
        }
    }
    if settings.update.fleet_lock.is_none() {
        let text = "has no effect without update.fleet_lock";
        remark(Level::Warning, "update.fleet_lock_group", text);
    }
    let plain = |url: &str| url.starts_with("http://");
    if settings.source.urls.iter().any(|m| matches!(m, Mirror::Web(url) if plain(url))) {
        let text =
            "has an http:// address: others may see what is fetched, not change it, as all of it is signed";
        remark(Level::Note, "source.urls", text);
    }
    if settings.update.fleet_lock.as_deref().is_some_and(plain) {
        let text = "is an http:// address: whoever is on the way can hold this device's updates back";
        remark(Level::Note, "update.fleet_lock", text);
    }
    let containers = |c: &&Component| {
        c.managed.as_ref().is_some_and(|managed| matches!(managed.target, Target::Containers { .. }))
    };
    for component in settings.components.iter().filter(containers) {
        let text = format!(
            "has no effect yet: this version of bistable updates no containers; releases that require {} are compared \
             with its key installed",
            component.name
        );
        remark(Level::Note, &declared::key_of(&component.name, "kind"), &text);
    }
    for (name, sets) in merged.iter() {
        for (i, set) in sets.iter().enumerate() {
            let again = sets.iter().skip(i + 1).find(|s| s.file.parent() == set.file.parent());
            if let Some(again) = again.filter(|_| set.line.is_some()) {
                let by = again.file.file_name().unwrap_or_default().display();
                let line = again.line.map_or(String::new(), |line| format!(":{line}"));
                let text = format!("{name} is set again in this folder, by {by}{line}, which wins");
                let about = Problem::new(&set.file, set.line, &text);
                found.push(Remark { level: Level::Warning, about });
            }
        }
    }
    for check in &settings.checks {
        if let Some(why) = &check.refused {
            let about = Problem::new(&check.program, None, &format!("is not run: {why}"));
            found.push(Remark { level: Level::Warning, about });
        }
    }
    found.sort_by(|a, b| {
        let by = |r: &Remark| (r.level == Level::Note, r.about.file.clone(), r.about.line);
        by(a).cmp(&by(b))
    });
    found
}
