use bistable_boot::{
    Failure,
    component::{Component, Ended},
};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::{fmt, ops::ControlFlow, time::Duration};

/// A step of a component's update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ComponentStep {
    /// Free space, the service's state, the path; or the engine and the Compose file.
    Preflight,
    /// A copy of the Compose file is kept.
    Copy,
    /// The parts of an image are fetched and verified.
    Fetch,
    /// The engine pulls the image from them, and reads it back.
    Pull,
    /// The archive is fetched, verified and unpacked beside the other versions.
    Unpack,
    /// What was unpacked is made durable, and gets its name.
    Sync,
    /// What its service gets of the configuration is written, made durable, and gets its name.
    Configure,
    /// The self-tests.
    SelfTest,
    /// The service is stopped.
    Stop,
    /// This boot leads to the new version.
    Switch,
    /// The service is started; an engine stops the container before it at the same time.
    Start,
    /// The health check, after the wait.
    Health,
    /// The durable name leads to the new version.
    Commit,
    /// Versions that nothing needs any more are removed.
    CleanUp,
    /// An older version runs again, and is healthy.
    Revert,
    /// All versions are removed.
    Remove,
}

impl ComponentStep {
    /// Whether the release's bytes are read in it: then [`ComponentEvent::Read`] says how far it is.
    pub const fn reads(self) -> bool {
        matches!(self, ComponentStep::Unpack | ComponentStep::Fetch)
    }

    /// Whether the update can be taken back while it runs: the version before runs, and nothing depends on the new one.
    pub const fn is_stoppable(self) -> bool {
        matches!(
            self,
            ComponentStep::Copy
                | ComponentStep::Fetch
                | ComponentStep::Pull
                | ComponentStep::Unpack
                | ComponentStep::Sync
                | ComponentStep::Configure
                | ComponentStep::SelfTest
        )
    }
}

impl fmt::Display for ComponentStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ComponentStep::Preflight => "preflight",
            ComponentStep::Copy => "copy",
            ComponentStep::Fetch => "fetch",
            ComponentStep::Pull => "pull",
            ComponentStep::Unpack => "unpack",
            ComponentStep::Sync => "sync",
            ComponentStep::Configure => "configure",
            ComponentStep::SelfTest => "self-test",
            ComponentStep::Stop => "stop",
            ComponentStep::Switch => "switch",
            ComponentStep::Start => "start",
            ComponentStep::Health => "health",
            ComponentStep::Commit => "commit",
            ComponentStep::CleanUp => "clean up",
            ComponentStep::Revert => "revert",
            ComponentStep::Remove => "remove",
        })
    }
}

/// What happens to a component while it is updated.
#[derive(Clone, Copy, Debug)]
pub enum ComponentEvent<'a> {
    /// The component is another one now, and that is saved; the update that ended with it, if one did.
    Saved(&'a Component, Option<&'a Ended>),
    /// A step begins; of the archive, this many bytes are to be read.
    Begun(ComponentStep, u64),
    /// Bytes of the archive that were read since the last such event.
    Read(u64),
    /// A step ended, and nothing was done about it yet; how long it took, and what is wrong if it didn't end well.
    Step(ComponentStep, Duration, Option<&'a str>),
    /// A version is the current one now.
    Committed(&'a Version),
    /// An older version, if there is one, runs again.
    Reverted(&'a Version, &'a Failure),
    /// Something that an operator should know.
    Remark(&'a str),
}

/// Receives what happens to a component.
pub trait ComponentObserver {
    /// Handles one event.
    fn on_event(&mut self, event: ComponentEvent<'_>);

    /// Whether the update continues. On a break it ends with [`Error::Cancelled`](crate::Error::Cancelled), and the release is given
    /// up without being rejected. It is asked while the archive is read, and once more before the trial: not later.
    fn wants_more(&self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(ComponentEvent<'_>)> ComponentObserver for F {
    fn on_event(&mut self, event: ComponentEvent<'_>) {
        self(event);
    }
}
