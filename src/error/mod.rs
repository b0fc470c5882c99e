//! What can go wrong on the device, and which exit code says so.
mod bundle;
mod check;
mod component;
mod exit;

pub use bundle::BundleError;
pub use check::{CheckError, DemandError};
pub use component::ComponentError;
pub use exit::Exit;

use crate::{
    board::CardError,
    config::ConfigError,
    ports::{Fault, Stop},
};
use bistable_boot::{JournalError, Refused, Rejected};
use bistable_format::{TrustError, compat::Incompatible};
use semver::Version;
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The card can't be used.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The journal can't be used.
    #[error("{problem}{hint}", problem = .0, hint = journal_hint(.0))]
    Journal(JournalError<Fault>),
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No root of trust: everything is refused.
    #[error("this device has no root of trust, so it can't verify anything: {0}")]
    NoRoot(String),
    /// The root of trust isn't acceptable.
    #[error("the device's root of trust: {0}")]
    Root(#[source] TrustError),
    /// The stored root does not descend from the running system's.
    #[error(
        "the root in partition state (version {stored}) does not descend from the root of the running system (version \
         {system}): {problem}; refusing to trust it; `bistable repair` puts the system's root in its place, and \
         `bistable check` then follows newer ones from the repository"
    )]
    ForeignRoot {
        /// Version of the newest stored root.
        stored: u32,
        /// Version of the system's.
        system: u32,
        /// Why it doesn't descend.
        problem: bistable_format::Stray,
    },
    /// The root in the running system can't be used.
    #[error(
        "the root in the running system ({path}): {0}; refusing to trust anything until a release with a valid one is \
         written with a card reader, or the other slot runs",
        path = bistable_format::Root::SYSTEM_PATH
    )]
    SystemRoot(String),
    /// The file can't be opened.
    #[error("{}: {source}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program that was to be run ended badly.
    #[error("{} ended with {status}", Path::new(.program).display())]
    Program {
        /// The program.
        program: OsString,
        /// How it ended, as a shell shows it.
        status: i32,
    },
    /// The daemon can't begin.
    #[error("the daemon can't begin: {0}")]
    Daemon(#[source] io::Error),
    /// The daemon does not use the configuration on the disk.
    #[error("the daemon keeps the configuration that it has: {0}")]
    NotReloaded(String),
    /// The web page can't be served.
    #[error("the web page can't be served on {address}: {source}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The event log can't be read.
    #[error("the event log can't be read: {0}")]
    Events(#[source] io::Error),
    /// The bundle can't be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// What a repository says isn't believed.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The release may not go onto this device.
    #[error("release {version} can't be installed here:{}", list(.reasons))]
    Incompatible {
        /// Its version.
        version: Version,
        /// Every reason.
        reasons: Vec<Incompatible>,
    },
    /// The release was given up before.
    #[error(
        "release {} was rejected by this device ({}): build a new version, or use --retry-rejected to try it again",
        .0.version, .0.failure
    )]
    Rejected(Rejected),
    /// The channel withdrew the release.
    #[error(
        "release {version} was withdrawn from channel {channel}: install another version, or use --force-withdrawn to install \
         it anyway"
    )]
    Withdrawn {
        /// Its version.
        version: Version,
        /// The channel.
        channel: String,
    },
    /// Whoever asked for an installation took it back.
    #[error("the installation was cancelled: the release is given up, and may be installed again")]
    Cancelled,
    /// A step took too long and was stopped.
    #[error("{step} took longer than {} minutes and was stopped: run the same command again to resume", limit.as_secs() / 60)]
    TimedOut {
        /// The step.
        step: &'static str,
        /// How long it may take.
        limit: std::time::Duration,
    },
    /// Nothing to be done.
    #[error("{0}")]
    NothingToDo(String),
    /// Not now: something else has to happen first.
    #[error("{0}")]
    NotNow(String),
    /// The configuration would fail a trial, whatever the release is like.
    #[error(
        "no reboot into a trial while this device can't test a release: {0}; the release stays where it is: fix this, \
         then `bistable resume`"
    )]
    Environment(String),
    /// The boot loader was asked for a trial and did not begin it.
    #[error(
        "the boot loader did not try slot {slot} in {refused} reboots: release {version} stays armed and is not \
         rejected; when `bistable preflight` finds nothing wrong, `bistable arm` asks for it again; \
         `bistable revert` gives it up"
    )]
    NotTried {
        /// The slot on trial.
        slot: bistable_boot::Slot,
        /// The release in it.
        version: Version,
        /// Reboots in a row that did not lead there.
        refused: u8,
    },
    /// A reboot that the update needs did not take place. Nothing is counted against the release.
    #[error("the reboot did not take place; the update stays where it is: `bistable resume` tries again")]
    NotRebooted(#[source] Fault),
    /// The state machine refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The command line lacks something.
    #[error("{0}")]
    Usage(String),
    /// The real board can't be used.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Pi(Box<crate::board::pi::PiError>),
    /// The simulated Pi can't continue.
    #[cfg(feature = "sim")]
    #[error(transparent)]
    Sim(Box<crate::board::sim::SimError>),
    /// A required self-test failed.
    #[error("self-test failed: {0}")]
    SelfTest(String),
    /// The trial wasn't healthy.
    #[error("health check failed: {0}")]
    Health(String),
    /// A check that must pass must not be run.
    #[error("check {name} is not trusted: {why}")]
    UntrustedCheck {
        /// The check.
        name: String,
        /// The problem, with the command that fixes it.
        why: String,
    },
    /// The preflight found something.
    #[error("preflight failed: {0}")]
    Preflight(String),
    /// The preflight found something that passes: another process uses what is to be written.
    #[error("preflight failed: {0}")]
    PreflightWaits(String),
    /// A component can't be updated.
    #[error(transparent)]
    Component(Box<ComponentError>),
    /// What was stored about a slot's release is missing or damaged.
    #[error("the release stored for slot {slot}: {problem}")]
    StoredRelease {
        /// The slot.
        slot: bistable_boot::Slot,
        /// What is wrong.
        problem: String,
    },
}

impl Error {
    /// Whether the machine is going down.
    pub fn stopping(&self) -> Option<Stop> {
        match self {
            Error::Fault(fault) => fault.stopping(),
            _ => None,
        }
    }
}

impl From<ComponentError> for Error {
    fn from(e: ComponentError) -> Self {
        Error::Component(Box::new(e))
    }
}

impl From<JournalError<Fault>> for Error {
    fn from(e: JournalError<Fault>) -> Self {
        match e {
            // A machine that goes down is no failure of the journal.
            JournalError::Io(fault) if fault.stopping().is_some() => Error::Fault(fault),
            e => Error::Journal(e),
        }
    }
}

fn journal_hint(e: &JournalError<Fault>) -> &'static str {
    const NEWER: &str = ": boot the slot with the newer agent, or write a newer release with a card reader";
    match e {
        JournalError::Newer(_) => NEWER,
        JournalError::Lost { first, second } if first.newer_agents().or(second.newer_agents()).is_some() => {
            NEWER
        }
        JournalError::Lost { .. } => {
            ": the device still boots and slots are untouched; `bistable repair` recreates the journal"
        }
        _ => "",
    }
}

fn list(reasons: &[Incompatible]) -> String {
    reasons.iter().map(|r| format!("\n  - {r}")).collect()
}
