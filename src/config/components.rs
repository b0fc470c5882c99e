//! Which components are declared when all files are merged, and whether they can be.
use super::{
    Component, ComponentKind, Problem,
    declared::{Declared, TABLE, key_of},
    fragment::{Fragment, Set},
    key::{Key, Of},
    keys, name,
};
use bistable_format::{health::Profile, limits};
use std::{collections::BTreeMap, path::Path};

/// The components that were declared, sorted by name. `profile` reads a health profile.
pub(super) fn find(
    declared: &BTreeMap<String, Declared>,
    merged: &Fragment,
    mut profile: impl FnMut(&Set, &mut Vec<Problem>) -> Option<Profile>,
    problems: &mut Vec<Problem>,
) -> Vec<Component> {
    let mut found = Check { merged, problems: Vec::new() };
    found.count(declared);
    for (component, declared) in declared {
        found.keys_of_kind(component, declared.kind);
    }
    found.overlaps(declared);
    found.problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    problems.append(&mut found.problems);
    let mut components = Vec::new();
    for (component, declared) in declared {
        let health = merged.all(&key_of(component, "health")).last().and_then(|set| profile(set, problems));
        components.extend(declared.clone().component(component.clone(), health));
    }
    components
}

struct Check<'a> {
    merged: &'a Fragment,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, at: &Set, text: &str) {
        self.problems.push(Problem::new(&at.file, at.line, text));
    }

    /// Every key of a component that was set, by its full name.
    fn keys(&self, component: &str) -> Vec<(&str, &Set)> {
        let of_it = |(key, _): &(&str, _)| name::parts(key).take(2).eq([TABLE, component]);
        self.merged.iter().filter(of_it).filter_map(|(key, sets)| sets.last().map(|set| (key, set))).collect()
    }

    fn count(&mut self, declared: &BTreeMap<String, Declared>) {
        let Some(first) = declared.keys().nth(limits::COMPONENTS) else { return };
        let at = self.keys(first).first().map(|(_, set)| (*set).clone());
        let text =
            format!("{} components are declared; at most {} are allowed", declared.len(), limits::COMPONENTS);
        if let Some(at) = at {
            self.problem(&at, &text);
        }
    }

    /// That a component has the keys that its kind needs, and none of the other kind.
    fn keys_of_kind(&mut self, component: &str, kind: Option<ComponentKind>) {
        let table = name::join(TABLE, component);
        // What is missing may be what could not be read.
        if self.merged.is_incomplete(&table) {
            return;
        }
        let mut found = Vec::new();
        let keys = self.keys(component);
        for (key, set) in &keys {
            let of = keys::find(key).map_or(Of::Any, Key::of);
            match (of, kind) {
                (Of::Managed | Of::Kind(_), None) => {
                    let kinds = "\"directory\" or \"containers\"";
                    found.push(((*set).clone(), format!("{key} needs {table}.kind: set it to {kinds}")));
                    // Once is enough.
                    break;
                }
                (Of::Kind(of), Some(kind)) if of != kind => {
                    let text = format!(
                        "{key} is for components of the kind \"{}\", and {table} is of the kind \"{}\"",
                        of.name(),
                        kind.name()
                    );
                    found.push(((*set).clone(), text));
                }
                _ => {}
            }
        }
        if let Some(kind) = kind {
            let needed = match kind {
                ComponentKind::Directory => ["unit", "path"],
                ComponentKind::Containers => ["project", "service"],
            };
            let missing = needed.map(|key| name::join(&table, key)).into_iter();
            let missing: Vec<String> =
                missing.filter(|key| keys.iter().all(|(known, _)| known != key)).collect();
            let at = keys.iter().find(|(key, _)| *key == key_of(component, "kind"));
            if let (Some((key, at)), false) = (at, missing.is_empty()) {
                let text = format!("{key} = \"{}\" needs {}", kind.name(), missing.join(" and "));
                found.push(((*at).clone(), text));
            }
        }
        for (at, text) in found {
            self.problem(&at, &text);
        }
    }

    /// That no two components would replace the same.
    fn overlaps(&mut self, declared: &BTreeMap<String, Declared>) {
        let mut paths: Vec<(&str, &Path)> = Vec::new();
        let mut services: Vec<(&str, [&str; 2])> = Vec::new();
        for (component, Declared { path, project, service, .. }) in declared {
            if let Some(path) = path {
                let other = paths.iter().find(|(_, p)| p.starts_with(path) || path.starts_with(p));
                if let Some((other, at)) = other {
                    let text = format!("overlaps {} of {}", at.display(), name::join(TABLE, other));
                    self.about(&key_of(component, "path"), &text);
                }
                paths.push((component, path));
            }
            if let (Some(project), Some(service)) = (project, service) {
                let both = [project.as_str(), service.as_str()];
                if let Some((other, _)) = services.iter().find(|(_, s)| *s == both) {
                    let text = format!("and project are those of {} too", name::join(TABLE, other));
                    self.about(&key_of(component, "service"), &text);
                }
                services.push((component, both));
            }
        }
    }

    fn about(&mut self, key: &str, text: &str) {
        if let Some(at) = self.merged.all(key).last() {
            self.problem(&at.clone(), &format!("{key} {text}"));
        }
    }
}
