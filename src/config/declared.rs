//! What files say about a component, and whether it is one when all files are merged.
use super::{
    Component, Problem,
    component::{Backup, ComponentKind, Managed, Mode, Target},
    fragment::{Fragment, Set},
    key::{Key, Of},
    keys, name,
};
use bistable_format::{health::Profile, limits};
use semver::Version;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// The table whose tables have the components' names.
pub(super) const TABLE: &str = "component";

/// What files say about one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) kind: Option<ComponentKind>,
    pub(super) unit: Option<String>,
    pub(super) path: Option<PathBuf>,
    pub(super) version_file: PathBuf,
    pub(super) project: Option<String>,
    pub(super) service: Option<String>,
    pub(super) health: Option<PathBuf>,
    pub(super) mode: Mode,
    pub(super) start_wait: Option<Duration>,
    pub(super) installed: Option<Version>,
    pub(super) backup: Backup,
}

impl Default for Declared {
    fn default() -> Self {
        Declared {
            kind: None,
            unit: None,
            path: None,
            version_file: "VERSION".into(),
            project: None,
            service: None,
            health: None,
            mode: Mode::Stage,
            start_wait: None,
            installed: None,
            backup: Backup::default(),
        }
    }
}

impl Declared {
    /// One of a kind of which nothing else was said.
    pub(super) fn of_kind(kind: Option<ComponentKind>) -> Declared {
        Declared { kind, ..Declared::default() }.with_defaults_of_kind()
    }

    /// With the defaults that depend on the kind.
    pub(super) fn with_defaults_of_kind(self) -> Declared {
        let start_wait = self.start_wait.or_else(|| self.kind.map(ComponentKind::start_wait));
        Declared { start_wait, ..self }
    }

    /// The component, if all that its kind needs was said.
    fn component(self, name: String, health: Option<Profile>) -> Option<Component> {
        let target = match self.kind {
            None => None,
            Some(ComponentKind::Directory) => Some(Target::Directory {
                unit: self.unit?,
                path: self.path?,
                version_file: self.version_file,
            }),
            Some(ComponentKind::Containers) => {
                Some(Target::Containers { project: self.project?, service: self.service? })
            }
        };
        let (mode, backup, start_wait) = (self.mode, self.backup, self.start_wait.unwrap_or_default());
        let managed = target.map(|target| Managed { target, health, mode, start_wait, backup });
        Some(Component { name, installed: self.installed, managed })
    }
}

/// The components that were declared, sorted by name. `profile` reads a health profile.
pub(super) fn components(
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

/// The full name of a component's key.
pub(super) fn key_of(component: &str, key: &str) -> String {
    name::join(&name::join(TABLE, component), key)
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
