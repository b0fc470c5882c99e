//! What the owner declares about components: what is updated beside the slots, and what releases may require.
use super::Mode;
use bistable_format::health::Profile;
use semver::Version;
use std::{path::PathBuf, time::Duration};

/// One component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its name: as in releases.
    pub name: String,
    /// The version that a release's `requires` and `conflicts` are compared with; `None` if none is known.
    pub installed: Option<Version>,
    /// How it is updated; `None` if something else does it, as with a modem's firmware.
    pub managed: Option<Managed>,
}

/// How a component is updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// What is replaced, and what is restarted.
    pub target: Target,
    /// The health profile to use instead of its release's.
    pub health: Option<Profile>,
    /// How far an offer is followed without being asked.
    pub mode: Mode,
    /// From its start to the first health check.
    pub start_wait: Duration,
    /// What is saved before it is replaced.
    pub backup: Backup,
}

/// What a component is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A folder that a service of systemd runs from.
    Directory {
        /// The service.
        unit: String,
        /// Where people and programs find the folder: absolute, without `..`.
        path: PathBuf,
        /// The file in it that says its version.
        version_file: PathBuf,
    },
    /// A service of a Compose project.
    Containers {
        /// The project.
        project: String,
        /// Its service.
        service: String,
    },
}

/// The two kinds of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentKind {
    /// A folder that a service of systemd runs from.
    Directory,
    /// A service of a Compose project.
    Containers,
}

impl ComponentKind {
    /// Each with its name in files.
    pub(super) const ALL: &[(&str, ComponentKind)] =
        &[("directory", ComponentKind::Directory), ("containers", ComponentKind::Containers)];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            ComponentKind::Directory => "directory",
            ComponentKind::Containers => "containers",
        }
    }

    /// From its start to the first health check, unless the owner says otherwise.
    pub(super) fn start_wait(self) -> Duration {
        Duration::from_secs(match self {
            ComponentKind::Directory => 10,
            ComponentKind::Containers => 5,
        })
    }
}

/// What is saved before a component is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The folder of backups.
    pub path: PathBuf,
    /// How many are kept.
    pub keep: u32,
    /// For how many days.
    pub days: u32,
}

impl Default for Backup {
    fn default() -> Self {
        Backup { path: "/persistent/bistable/backups".into(), keep: 5, days: 90 }
    }
}
