use bistable_boot::{Failure, component::State};
use semver::Version;
use serde::Serialize;
use std::{fmt, time::Duration};

/// A step of a component's update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ComponentStep {
    /// Free space, the service's state, the path.
    Preflight,
    /// The archive is fetched, verified and unpacked beside the other versions.
    Unpack,
    /// What was unpacked is made durable, and gets its name.
    Sync,
    /// The self-tests.
    SelfTest,
    /// The service is stopped.
    Stop,
    /// The link of this boot leads to the new version.
    Switch,
    /// The service is started.
    Start,
    /// The health check, after the wait.
    Health,
    /// The durable name leads to the new version.
    Commit,
    /// Versions that nothing needs any more are removed.
    CleanUp,
    /// An older version runs again, and is healthy.
    Revert,
}

impl fmt::Display for ComponentStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ComponentStep::Preflight => "preflight",
            ComponentStep::Unpack => "unpack",
            ComponentStep::Sync => "sync",
            ComponentStep::SelfTest => "self-test",
            ComponentStep::Stop => "stop",
            ComponentStep::Switch => "switch",
            ComponentStep::Start => "start",
            ComponentStep::Health => "health",
            ComponentStep::Commit => "commit",
            ComponentStep::CleanUp => "clean up",
            ComponentStep::Revert => "revert",
        })
    }
}

/// What happens to a component while it is updated.
#[derive(Clone, Copy, Debug)]
pub enum ComponentEvent<'a> {
    /// The state changed, and is saved.
    State(&'a State),
    /// A step ended well; how long it took.
    Step(ComponentStep, Duration),
    /// A version is the current one now.
    Committed(&'a Version),
    /// An older version, if there is one, runs again.
    Reverted(&'a Version, &'a Failure),
    /// Something that an operator should know.
    Remark(&'a str),
}
