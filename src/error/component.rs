use super::Exit;
use crate::config::Mode;
use bistable_boot::{Failure, Reason};
use bistable_format::{archive::ReadError, compose::ComposeError, configuration::ValueError, resolve};
use semver::Version;
use std::{convert::Infallible, path::PathBuf};

/// Why a component can't be updated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// Nothing is configured for it.
    #[error("no component {name} is configured: add [component.{name}] with its kind, unit and path")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Something else updates it.
    #[error(
        "component {name} is not one that this device updates: give it a kind in its table [component.{name}]"
    )]
    NotManaged {
        /// The name.
        name: String,
    },
    /// What it printed can't be had.
    #[error("what component {name} printed can't be had: {problem}")]
    Logs {
        /// The component.
        name: String,
        /// Why not.
        problem: String,
    },
    /// The release is of something else.
    #[error("the release is {found}, not one of component {name} and its kind")]
    OtherRelease {
        /// The component that was asked for.
        name: String,
        /// What it is.
        found: String,
    },
    /// The path of the component leads elsewhere.
    #[error(
        "{path} of component {name} does not lead to {link}, where Bistable shows the version that runs: make it a link to that in \
         the image (`ln -s {link} {path}`)"
    )]
    Path {
        /// The component.
        name: String,
        /// The path.
        path: PathBuf,
        /// The link.
        link: PathBuf,
    },
    /// The service isn't one that can be restarted.
    #[error(
        "service {unit} of component {name} is {state}: it has to be active before an update can be judged"
    )]
    Unit {
        /// The component.
        name: String,
        /// The service.
        unit: String,
        /// Its state.
        state: String,
    },
    /// There is no room for it.
    #[error("component {name} needs {needed} bytes on the partition persistent, and {free} are free")]
    Space {
        /// The component.
        name: String,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The archive that was signed can't be unpacked.
    #[error("the archive of component {name} {version} is not one that can be unpacked")]
    Archive {
        /// The component.
        name: String,
        /// Its version.
        version: Version,
        /// Why.
        source: ReadError<Infallible>,
    },
    /// The tree says another version.
    #[error("{file} in component {name} {version} says {found:?}: it has to say the release's version")]
    VersionFile {
        /// The component.
        name: String,
        /// The release's version.
        version: Version,
        /// The file.
        file: PathBuf,
        /// What it says; empty if it isn't there.
        found: String,
    },
    /// A version can't run with what is set.
    #[error("component {name} {version}: {}", problems_text(.name, .problems, *.is_update))]
    Configuration {
        /// The component.
        name: String,
        /// The version.
        version: Version,
        /// Everything that is wrong, without the values.
        problems: Vec<ValueError>,
        /// Whether the version is to be installed.
        is_update: bool,
    },
    /// A version could not be taken back.
    #[error(
        "component {name} {version} migrates its data, and the version that runs could not use them any more, so that a failed trial could \
         not be taken back: build it with data that both versions read (`--data compatible`)"
    )]
    Migrates {
        /// The component.
        name: String,
        /// The version.
        version: Version,
    },
    /// There is nothing that could be set.
    #[error("component {name}{}", match .version {
        Some(version) => format!(" {version} declares nothing that can be set: `--later` keeps a value for a later version"),
        None => " has no version yet: `--later` keeps a value for its first one".into(),
    })]
    NotConfigurable {
        /// The component.
        name: String,
        /// The version that runs.
        version: Option<Version>,
    },
    /// Values can't be stored or read.
    #[error("what is set of component {name}: {problem}")]
    Values {
        /// The component.
        name: String,
        /// Why.
        problem: String,
    },
    /// The image that was signed can't be installed.
    #[error("component {name} {version} can't be installed: {problem}")]
    Image {
        /// The component.
        name: String,
        /// Its version.
        version: Version,
        /// Why.
        problem: String,
    },
    /// The engine has other files of an image than were signed, and they come back.
    #[error(
        "the container engine has damaged files of component {name} {version}, which another image uses as well: remove that image, \
         or empty the engine's store"
    )]
    ImageDamaged {
        /// The component.
        name: String,
        /// Its version.
        version: Version,
    },
    /// The image of a complete version was removed.
    #[error(
        "the image of component {name} {version} is gone from the container engine's store, where something removed it (`docker system \
         prune`?): install the version again"
    )]
    ImageGone {
        /// The component.
        name: String,
        /// Its version.
        version: Version,
    },
    /// The engine or Compose is one that isn't supported.
    #[error("component {name}: {problem}")]
    Engine {
        /// The component.
        name: String,
        /// What it is, and what it has to be.
        problem: String,
    },
    /// The project has no Compose file.
    #[error("the project of component {name} has no Compose file: put it at {path}")]
    NoComposeFile {
        /// The component.
        name: String,
        /// Where it has to be.
        path: PathBuf,
    },
    /// The Compose file can't be changed.
    #[error("{path}, which component {name} is in: {source}")]
    Compose {
        /// The component.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<ComposeError>,
    },
    /// No engine takes the component's name as that of images.
    #[error(
        "component {name} can't be containers: engines take only names that end with a letter or a digit and have single signs between them"
    )]
    ImageName {
        /// The component.
        name: String,
    },
    /// What is stored of a version's release can't be used.
    #[error("the stored release of component {name} can't be used: {problem}")]
    StoredRelease {
        /// The component.
        name: String,
        /// Why.
        problem: String,
    },
    /// The verb doesn't fit the state.
    #[error("component {name}: {refused}")]
    Refused {
        /// The component.
        name: String,
        /// What doesn't fit.
        refused: bistable_boot::Refused,
    },
    /// The device has too many.
    #[error(
        "component {name}: this device has {} components already, the most that are possible",
        bistable_boot::component::COMPONENTS_LEN
    )]
    TooMany {
        /// The name.
        name: String,
    },
    /// The update was given up, and the version before runs again.
    #[error("component {name} {version} was given up: {failure}")]
    GivenUp {
        /// The component.
        name: String,
        /// The version.
        version: Version,
        /// Why.
        failure: Failure,
        /// Whether the version before is healthy again.
        is_back: bool,
    },
    /// No version of it is healthy.
    #[error(
        "component {name} has failed, and no version that is kept is healthy: {failure}; `bistable component reset {name}` when the reason is gone, or update it"
    )]
    Failed {
        /// The component.
        name: String,
        /// Why.
        failure: Failure,
    },
    /// It would be installed again.
    #[error(
        "component {name} is still wanted: its mode is \"{mode}\", so what the channel offers of it would be installed again; set \
         component.{name}.mode = \"check\", or remove [component.{name}] from the configuration"
    )]
    StillWanted {
        /// The component.
        name: String,
        /// Its mode.
        mode: Mode,
    },
    /// The booted image brings it along.
    #[error("{reason}")]
    Bound {
        /// Which image, and which version.
        reason: resolve::Reason,
    },
    /// What an image brings along can't be had.
    #[error(
        "release {image} brings component {component} {version} along, which is not on this device{}: put its bundle beside that of the \
         image, or publish it in the channel", if .source.is_some() { " and can't be fetched" } else { "" }
    )]
    NotBrought {
        /// The image's version.
        image: Version,
        /// The component.
        component: String,
        /// Its version.
        version: Version,
        /// Why not; nothing if there is no trace of it.
        source: Option<Box<super::Error>>,
    },
    /// What an image brings along doesn't go onto this device.
    #[error("it brings component {component} {version} along: {}", .reasons.join("; "))]
    BoundUnfit {
        /// The component.
        component: String,
        /// Its version.
        version: Version,
        /// Every reason.
        reasons: Vec<String>,
    },
    /// This boot shows something else than its image brings along.
    #[error(
        "this boot does not show component {name} {version}, which its image brings along: see `systemctl status bistable-components`"
    )]
    NotShown {
        /// The component.
        name: String,
        /// Its version.
        version: Version,
    },
    /// Too many of its updates were rolled back.
    #[error("component {name} is not updated: {failure}")]
    Halted {
        /// The component.
        name: String,
        /// How many, and what to do.
        failure: Failure,
    },
    /// The record can't be used.
    #[error(
        "the record of the components can't be used: {problem}; `bistable component repair` recreates it"
    )]
    Record {
        /// Why.
        problem: String,
    },
}

impl ComponentError {
    /// The exit code that says what kind of error this is.
    pub fn exit(&self) -> Exit {
        match self {
            ComponentError::Unknown { .. }
            | ComponentError::Configuration { is_update: false, .. }
            | ComponentError::NotConfigurable { .. } => Exit::Usage,
            ComponentError::NotManaged { .. }
            | ComponentError::OtherRelease { .. }
            | ComponentError::Archive { .. }
            | ComponentError::VersionFile { .. }
            | ComponentError::Image { .. }
            | ComponentError::ImageName { .. }
            | ComponentError::Engine { .. }
            | ComponentError::Compose { .. }
            | ComponentError::Bound { .. }
            | ComponentError::BoundUnfit { .. }
            | ComponentError::Configuration { is_update: true, .. }
            | ComponentError::Migrates { .. }
            | ComponentError::TooMany { .. } => Exit::Incompatible,
            ComponentError::NotBrought { source, .. } => {
                source.as_ref().map_or(Exit::TryLater, |source| source.exit())
            }
            ComponentError::NotShown { .. } | ComponentError::Logs { .. } => Exit::TryLater,
            ComponentError::Path { .. }
            | ComponentError::Unit { .. }
            | ComponentError::Space { .. }
            | ComponentError::ImageDamaged { .. }
            | ComponentError::ImageGone { .. }
            | ComponentError::NoComposeFile { .. }
            | ComponentError::Refused { .. }
            | ComponentError::Values { .. }
            | ComponentError::Halted { .. }
            | ComponentError::StillWanted { .. }
            | ComponentError::Record { .. } => Exit::Failed,
            ComponentError::StoredRelease { .. } => Exit::Untrusted,
            ComponentError::GivenUp { failure, .. } => match failure.reason {
                Reason::SelfTest => Exit::SelfTest,
                Reason::Environment => Exit::TryLater,
                _ => Exit::Health,
            },
            ComponentError::Failed { .. } => Exit::Health,
        }
    }
}

/// What is wrong with values, and what to do about it.
fn problems_text(name: &str, problems: &[ValueError], is_update: bool) -> String {
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let keys: Vec<String> = problems
        .iter()
        .filter_map(|problem| match problem {
            // A command line is seen by others, and kept.
            ValueError::Missing { name, secret: true } | ValueError::Unfit { name, secret: true, .. } => {
                Some(format!("--from {name}=FILE"))
            }
            ValueError::Missing { name, .. } | ValueError::Unfit { name, .. } => {
                Some(format!("{name}=VALUE"))
            }
            ValueError::Unknown { .. } => None,
        })
        .collect();
    let what = match (is_update, keys.is_empty()) {
        (true, _) => format!("set it with `bistable component config {name} --later {}`", keys.join(" ")),
        (false, false) => format!("set it with `bistable component config {name} {}`", keys.join(" ")),
        (false, true) => "`--later` keeps a value for a later version that knows it".into(),
    };
    format!("{}; {what}", text.join("; "))
}
