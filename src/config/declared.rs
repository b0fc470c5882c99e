//! What files say about a component.
use super::{
    Component, Mode,
    component::{Backup, ComponentKind, Managed, Target},
    name,
};
use bistable_format::health::Profile;
use semver::Version;
use std::{path::PathBuf, time::Duration};

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
    pub(super) fn component(self, name: String, health: Option<Profile>) -> Option<Component> {
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

/// The full name of a component's key.
pub(super) fn key_of(component: &str, key: &str) -> String {
    name::join(&name::join(TABLE, component), key)
}
