//! How the owner of a device configures the agent: TOML fragments, merged and checked.
//!
//! ```toml
//! allow_demo_keys = false            # trust a root with the public demo keys: never on a product
//!
//! [self_test]
//! plan = "/data/self-test.toml"      # instead of the release's plan
//!
//! [health]
//! profile = "/data/health.toml"      # instead of the release's profile
//!
//! [install]
//! flush_bytes = 33554432             # written to the card between two flushes: 16 to 64 MiB
//!
//! [board]
//! name = "pi4"                       # how releases name this board, if the device tree doesn't say it
//! disk = "/dev/mmcblk0"              # the disk that the system runs from, if / is on none that can be seen
//!
//! [component.modem]                  # something that isn't in the image, for releases that require it
//! installed = "4.1.0"
//!
//! [component.app]                    # an application beside the slots
//! kind = "directory"                 # or "containers", with project and service
//! unit = "app.service"
//! path = "/opt/app"
//!
//! [source]
//! urls = ["https://example.org/repo", "/media/usb/repo"]   # the same repository in several places
//! channel = "production"             # which of its channels to follow
//!
//! [source.limits]
//! connect_timeout = "10s"            # and others: when to give up
//!
//! [update]
//! group = "canary"                   # this device's label in rollouts that name groups
//! mode = "stage"                     # what happens to a release without being asked
//! check_interval = "24h"             # how often the channel is checked
//! windows = ["Mon-Fri 02:00-05:00"]  # when mode "auto" may switch, in the zone of time_zone
//!
//! [webhook.ops]                      # who is told of events
//! url = "https://ops.example.org/x"
//!
//! [web]
//! listen = "127.0.0.1:8080"          # where the web page is, if its service runs
//! ```
//! The table of all keys is in `src/docs/configuration.md`; a test writes it from `keys.rs`.
//!
//! Fragments are the files `*.toml` in `/usr/lib/bistable/config.d`, `/etc/bistable/config.d` and
//! `/run/bistable/config.d`. As with systemd, one in a later folder masks its namesakes in earlier ones, and what is left
//! is read in the order of the names, whichever the folder; the last to set a key wins. So an empty file masks, too.
//!
//! Credentials that systemd gave the process are the strongest folder, and variables of its environment count more than any file
//! (`environment`).
//!
//! If `/etc/bistable/self-test.toml` or `/etc/bistable/health.toml` is there, it replaces the release's, unless a
//! fragment names another file.
//!
//! Files that users other than root can write are refused (`trust`), and so are the operator's checks in
//! `/etc/bistable/check/required.d` and `wanted.d` (`checks`).
//!
//! Everything wrong is reported at once, with file and line. Nothing is guessed: with a problem there are no settings.
mod checks;
mod component;
mod components;
mod declared;
mod environment;
mod error;
mod fragment;
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "daemon")]
mod kept;
mod key;
mod keys;
mod kind;
mod layers;
mod mirror;
mod mode;
mod name;
mod programs;
mod remark;
mod secret;
mod settings;
mod show;
#[cfg(test)]
mod tests;
mod texts;
mod time;
#[cfg(feature = "daemon")]
pub mod tokens;
mod trust;
mod web;
mod webhook;
mod webhooks;
mod window;

pub use checks::OperatorCheck;
pub use component::{Backup, Component, ComponentKind, Managed, Target};
pub use error::{ConfigError, Problem};
#[cfg(feature = "daemon")]
pub use kept::Kept;
pub use keys::{FLUSH_BYTES_MAX, FLUSH_BYTES_MIN};
pub use layers::FOLDERS;
pub use mirror::Mirror;
pub use mode::Mode;
pub use programs::Program;
pub use remark::{Level, Remark};
pub use secret::secret;
pub use settings::{
    BoardSettings, HealthSettings, HookSettings, MetricsSettings, Settings, SourceLimits, SourceSettings,
    TimeoutSettings, UpdateSettings,
};
pub use show::Listing;
#[cfg(feature = "daemon")]
pub use time::time;
pub use web::{HostName, WebRead, WebSettings};
pub use webhook::{Template, Webhook};
pub use window::Window;

use bistable_format::{DecodeError, health::Profile, selftest::Plan};
use environment::Environment;
use fragment::{Fragment, Set};
use key::Inputs;
use layers::Fragments;
use std::path::{Path, PathBuf};
use trust::Owners;

const SELF_TEST: (&str, &str) = ("self_test.plan", "/etc/bistable/self-test.toml");
const HEALTH: (&str, &str) = ("health.profile", "/etc/bistable/health.toml");

/// A configuration with all that is known about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What it comes to.
    pub(crate) settings: Settings,
    inputs: Inputs,
    merged: Fragment,
    found: Fragments,
}

/// Load the configuration below `root`, which is `/` on a device. Folders that don't exist are fine.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong.
pub fn load(root: &Path) -> Result<Settings, ConfigError> {
    read(root).map(|loaded| loaded.settings)
}

/// [`load`], with where everything comes from.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong.
pub(crate) fn read(root: &Path) -> Result<Loaded, ConfigError> {
    read_as(root, &Environment::of_process(), Owners::of_process())
}

fn read_as(root: &Path, environment: &Environment, owners: Owners) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let (found, merged) = merged(root, environment, owners, &mut problems);
    checked(root, owners, found, merged, problems)
}

fn checked(
    root: &Path,
    owners: Owners,
    found: Fragments,
    mut merged: Fragment,
    mut problems: Vec<Problem>,
) -> Result<Loaded, ConfigError> {
    let self_test_plan = replacement(root, owners, SELF_TEST, &mut merged, Plan::parse_known, &mut problems);
    let health_profile = replacement(root, owners, HEALTH, &mut merged, Profile::parse_known, &mut problems);
    let inputs = merged.inputs();
    let profile =
        |set: &Set, problems: &mut Vec<Problem>| named(root, owners, set, Profile::parse_known, problems);
    let components = components::find(&inputs.components, &merged, profile, &mut problems);
    let webhooks = webhooks::find(&inputs.webhooks, &merged, &mut problems);
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let checks = checks::find(root, owners);
    let settings =
        Settings { self_test_plan, health_profile, checks, components, webhooks, ..inputs.settings.clone() };
    Ok(Loaded { settings, inputs, merged, found })
}

/// Folders in which a change may be one of the configuration.
pub fn folders(root: &Path) -> Vec<PathBuf> {
    let folders = FOLDERS.into_iter().map(|folder| root.join(folder));
    folders.chain(Environment::of_process().credentials).collect()
}

/// The operator's programs in a folder below `root`, in the order of their names.
pub fn programs(root: &Path, folder: &Path) -> Vec<Program> {
    programs::find(root, folder, Owners::of_process())
}

/// What the web page needs to know, whatever is wrong with the rest: a broken configuration is to be seen on it.
///
/// # Errors
/// [`ConfigError`] with what is wrong in the table `web`, or everything if a file can't be read at all.
#[cfg(feature = "daemon")]
pub fn web_settings(root: &Path) -> Result<WebSettings, ConfigError> {
    let mut problems = Vec::new();
    let (_, merged) = merged(root, &Environment::of_process(), Owners::of_process(), &mut problems);
    problems.retain(|problem| problem.text.starts_with("web.") || problem.text.starts_with("[web]"));
    match problems.is_empty() {
        true => Ok(merged.inputs().settings.web),
        false => Err(ConfigError { problems }),
    }
}

/// What can be read about the board while [`load`] finds something wrong: a trial that can't be configured is given up
/// by the agent that runs on it, and that one has to find its disk.
pub fn board_settings(root: &Path) -> BoardSettings {
    let environment = Environment::of_process();
    merged(root, &environment, Owners::of_process(), &mut Vec::new()).1.inputs().settings.board
}

impl Loaded {
    /// What is legal and yet doubtful.
    pub(crate) fn remarks(&self) -> Vec<Remark> {
        remark::remarks(&self.merged, &self.settings)
    }

    /// The files that count because of where they are.
    pub(crate) fn files(&self) -> Vec<&Path> {
        let named = [SELF_TEST, HEALTH].into_iter().filter_map(|(key, _)| self.merged.all(key).last());
        let is_placed = |set: &&Set| set.line.is_none() && !environment::is_variable(&set.file);
        let placed = named.filter(is_placed).map(|set| set.file.as_path());
        self.found.files.iter().map(PathBuf::as_path).chain(placed).collect()
    }

    /// Every setting, with where it comes from.
    pub(crate) fn listing(&self) -> Listing {
        Listing::of(self)
    }
}

fn merged(
    root: &Path,
    environment: &Environment,
    owners: Owners,
    problems: &mut Vec<Problem>,
) -> (Fragments, Fragment) {
    let mut merged = Fragment::default();
    let found = layers::fragments(root, environment, owners, problems);
    for file in &found.files {
        match layers::text(root, file, owners, problems) {
            Some(text) => merged.merge(Fragment::read(file, &text, problems)),
            None => merged.lose_file(),
        }
    }
    merged.merge(environment.read(problems));
    (found, merged)
}

// A file that a fragment names must be there; the one that counts by its place need not, and gives way.
fn replacement<T>(
    root: &Path,
    owners: Owners,
    (key, usual): (&str, &str),
    merged: &mut Fragment,
    parse: fn(&str) -> Result<T, DecodeError>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    match merged.all(key).last() {
        Some(set) => named(root, owners, set, parse, problems),
        None => {
            let path = below(root, usual);
            // Even a link that leads nowhere was meant to replace something.
            if path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
                return None;
            }
            merged.set(key, Set { value: usual.into(), file: path.clone(), line: None });
            parsed(root, owners, path, parse, problems)
        }
    }
}

// A file that a key names.
fn named<T>(
    root: &Path,
    owners: Owners,
    Set { value, file, line }: &Set,
    parse: fn(&str) -> Result<T, DecodeError>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let path = below(root, value.as_str()?);
    if !path.exists() {
        let text = format!("{} does not exist", path.display());
        problems.push(Problem::new(file, *line, &text));
        return None;
    }
    parsed(root, owners, path, parse, problems)
}

fn parsed<T>(
    root: &Path,
    owners: Owners,
    path: PathBuf,
    parse: fn(&str) -> Result<T, DecodeError>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let text = layers::text(root, &path, owners, problems)?;
    match parse(&text) {
        Ok(value) => Some(value),
        Err(e) => {
            problems.push(Problem::new(path, None, &e.to_string()));
            None
        }
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}
