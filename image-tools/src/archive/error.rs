//! What of a tree can't be in an archive.
use crate::output::OutputError;
use crate::volume::VolumeError;
use bistable_format::archive::ArchiveError;
use semver::Version;
use std::path::PathBuf;

/// Why there is no archive of a tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// It can't be read.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// An entry against the rules.
    #[error("{tree}", tree = tree.display())]
    Rules {
        /// The directory or archive.
        tree: PathBuf,
        /// What is wrong.
        source: ArchiveError,
    },
    /// An entry that archives don't have.
    #[error("{tree}: {path:?} {why}", tree = tree.display())]
    Refused {
        /// The directory or archive.
        tree: PathBuf,
        /// Its path in it.
        path: String,
        /// Why not.
        why: Refused,
    },
    /// Its version file says another version.
    #[error("{tree}: its file VERSION says {found:?}, and the release is {wanted}: give --version {found}, or correct the file", tree = tree.display())]
    Version {
        /// The directory or archive.
        tree: PathBuf,
        /// What it says.
        found: String,
        /// The release's version.
        wanted: Version,
    },
    /// Its version file isn't a file, or is a long one.
    #[error("{tree}: VERSION is not a file with a version in it: devices read there which version they run; rename it", tree = tree.display())]
    NotAVersion {
        /// The directory or archive.
        tree: PathBuf,
    },
    /// No folder is around the tree.
    #[error(
        "{tree}: --strip leaves out a folder that is alone, and there is {}: give a smaller number",
        if .names.is_empty() { "nothing".into() } else { .names.join(", ") }, tree = tree.display()
    )]
    Strip {
        /// The archive.
        tree: PathBuf,
        /// What there is.
        names: Vec<String>,
    },
    /// The command that prepares a tree failed.
    #[error("the command {command:?} {why}")]
    Command {
        /// The command.
        command: String,
        /// How it ended.
        why: String,
    },
    /// The tree can't be unpacked here.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// What archives don't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A device node.
    #[error(
        "is a device node, which has no effect where devices keep components: leave it out, and let udev or the unit provide it"
    )]
    Device,
    /// A named pipe.
    #[error(
        "is a named pipe: leave it out, and make it when the component starts, for example in its RuntimeDirectory"
    )]
    Pipe,
    /// A file with capabilities.
    #[error(
        "has file capabilities, which have no effect where devices keep components: remove them with `setcap -r`, and give them in the \
         unit with AmbientCapabilities="
    )]
    Capability,
}
