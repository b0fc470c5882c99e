use super::{Containers, Directory, Procedure, Subject};
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
    /// One that is not declared any more: it can only be removed.
    pub fn undeclared(name: &str) -> ManagedComponent {
        let folder = Directory { unit: String::new(), path: PathBuf::new(), version_file: PathBuf::new() };
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
