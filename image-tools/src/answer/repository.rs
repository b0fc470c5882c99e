//! Repositories.
use serde::Serialize;
use std::collections::BTreeMap;

/// A repository that was made, or was there already.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Initialized {
    /// The repository.
    pub repository: String,
    /// Whether it is new.
    pub new: bool,
    /// Whether only one program at a time may write to it.
    pub single_writer: bool,
}

/// A repository's next root.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NextRoot {
    /// The repository.
    pub repository: String,
    /// The root's version.
    pub version: u32,
    /// Whether the repository lacked it, and has it now.
    pub new: bool,
    /// What devices that follow it refuse. If there is any, it was published only with `--strand`.
    pub stranded: Vec<Stranded>,
    /// Files of deltas that they pass over: they fetch the whole release instead.
    pub deltas: Vec<String>,
}

/// Something on offer that devices refuse with a root.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stranded {
    /// The channels that offer it, or the channel itself.
    pub channels: Vec<String>,
    /// Product and version of the release; null for a channel itself.
    pub release: Option<String>,
    /// Why devices refuse it.
    pub why: String,
    /// The commands after which they take it, with names of files to adapt.
    pub commands: Vec<String>,
}

/// What this computer no longer remembers of a repository.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Forgotten {
    /// The repository.
    pub repository: String,
    /// The channels, with the highest number that was remembered.
    pub forgotten: BTreeMap<String, u64>,
}

/// What a store does.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Probed {
    /// The repository.
    pub repository: String,
    /// Always true: of two programs that create a file, only one succeeds.
    pub keeps_what_was_created: bool,
}

/// What was copied to another place.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Synced {
    /// The repository.
    pub from: String,
    /// The copy.
    pub to: String,
    /// Files that were copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there.
    pub already_there: u64,
    /// Files that can't be copied.
    pub skipped: Vec<Skipped>,
}

/// A file that can't be copied.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Skipped {
    /// Its path.
    pub path: String,
    /// Why.
    pub text: String,
}

/// A page, and a list for Raspberry Pi Imager.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SiteWritten {
    /// The files that were written.
    pub files: Vec<String>,
    /// How many channels are on the page.
    pub channels: usize,
    /// How many card images are in the list.
    pub cards: usize,
}
