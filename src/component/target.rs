use super::{Containers, Directory, Procedure, Subject};
use bistable_format::archive::VERSION_FILE;
use std::{path::PathBuf, time::Duration};

/// A component that this device updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedComponent {
    /// What it is, whatever its kind.
    pub subject: Subject,
    /// What is replaced, and what runs from it.
    pub target: Target,
}

/// What a component is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A folder that a service runs from.
    Directory(Directory),
    /// A service of a Compose project.
    Containers(Containers),
}

impl ManagedComponent {
    /// One that is not declared: it can only be removed, or staged for an image that declares it.
    pub fn undeclared(name: &str) -> ManagedComponent {
        let version_file = PathBuf::from(VERSION_FILE);
        let folder = Directory { unit: String::new(), path: PathBuf::new(), version_file };
        let subject = Subject { name: name.into(), start_wait: Duration::ZERO, health: None };
        ManagedComponent { subject, target: Target::Directory(folder) }
    }
}

impl Target {
    /// How a component of its kind is updated.
    pub fn procedure(&self) -> &dyn Procedure {
        match self {
            Target::Directory(directory) => directory,
            Target::Containers(containers) => containers,
        }
    }
}
