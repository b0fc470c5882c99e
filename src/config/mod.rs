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
//! [components]                       # versions of what isn't in the image, for releases that require them
//! modem = "4.1.0"
//! ```
//!
//! Fragments are the files `*.toml` in `/usr/lib/bistable/config.d`, `/etc/bistable/config.d` and
//! `/run/bistable/config.d`. As with systemd, one in a later folder masks its namesakes in earlier ones, and what is left
//! is read in the order of the names, whichever the folder; the last to set a key wins. So an empty file masks, too.
//!
//! If `/etc/bistable/self-test.toml` or `/etc/bistable/health.toml` is there, it replaces the release's, unless a
//! fragment names another file.
//!
//! Everything wrong is reported at once, with file and line. Nothing is guessed: with a problem there are no settings.
mod error;
mod fragment;
mod layers;
#[cfg(test)]
mod tests;

pub use error::{ConfigError, Problem};
pub use fragment::{FLUSH_BYTES_MAX, FLUSH_BYTES_MIN};
pub use layers::FOLDERS;

use bistable_format::{DecodeError, health::Profile, selftest::Plan};
use fragment::{Fragment, Set};
use semver::Version;
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

const SELF_TEST: &str = "etc/bistable/self-test.toml";
const HEALTH: &str = "etc/bistable/health.toml";
const FLUSH_BYTES: u64 = 32 << 20;

/// What the owner said about the board, because the board doesn't say it itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardSettings {
    /// How releases name it.
    pub name: Option<String>,
    /// The disk that the system runs from: a path below `/dev`.
    pub disk: Option<PathBuf>,
}

/// What the owner configured, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether a root with demo keys is trusted. Not unless somebody says so.
    pub allow_demo_keys: bool,
    /// Bytes written between two flushes, from [`FLUSH_BYTES_MIN`] to [`FLUSH_BYTES_MAX`].
    pub flush_bytes: u64,
    /// Threads that decompress, at most 4; `None` for as many as there are cores. With one, all writes come in the
    /// order of the bundle, each time the same. No file sets it.
    pub workers: Option<NonZeroUsize>,
    /// The self-test plan to use instead of the release's.
    pub self_test_plan: Option<Plan>,
    /// The health profile to use instead of the release's.
    pub health_profile: Option<Profile>,
    /// Versions of what isn't in the image, sorted by name.
    pub components: Vec<(String, Version)>,
    /// About the board.
    pub board: BoardSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            allow_demo_keys: false,
            flush_bytes: FLUSH_BYTES,
            workers: None,
            self_test_plan: None,
            health_profile: None,
            components: Vec::new(),
            board: BoardSettings::default(),
        }
    }
}

/// Load the configuration below `root`, which is `/` on a device. Folders that don't exist are fine.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong.
pub fn load(root: &Path) -> Result<Settings, ConfigError> {
    let mut problems = Vec::new();
    let mut merged = merged(root, &mut problems);
    let plan = merged.self_test_plan.take();
    let profile = merged.health_profile.take();
    let self_test_plan = replacement(root, plan, SELF_TEST, Plan::parse, &mut problems);
    let health_profile = replacement(root, profile, HEALTH, Profile::parse, &mut problems);
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    Ok(Settings {
        allow_demo_keys: merged.allow_demo_keys.unwrap_or(false),
        flush_bytes: merged.flush_bytes.unwrap_or(FLUSH_BYTES),
        workers: None,
        self_test_plan,
        health_profile,
        components: merged.components.into_iter().collect(),
        board: merged.board,
    })
}

/// What can be read about the board while [`load`] finds something wrong: a trial that can't be configured is given up
/// by the agent that runs on it, and that one has to find its disk.
pub fn board_settings(root: &Path) -> BoardSettings {
    merged(root, &mut Vec::new()).board
}

fn merged(root: &Path, problems: &mut Vec<Problem>) -> Fragment {
    let mut merged = Fragment::default();
    for file in layers::fragments(root, problems) {
        if let Some(text) = layers::text(&file, problems) {
            merged.merge(Fragment::read(&file, &text, problems));
        }
    }
    merged
}

// A file that a fragment names must be there; the one that counts by its place need not.
fn replacement<T>(
    root: &Path,
    named: Option<Set<PathBuf>>,
    usual: &str,
    parse: fn(&str) -> Result<T, DecodeError>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let path = match named {
        Some(Set { value, file, line }) => {
            let path = root.join(value.strip_prefix("/").unwrap_or(&value));
            if !path.exists() {
                let text = format!("{} does not exist", path.display());
                problems.push(Problem { file, line: Some(line), text });
                return None;
            }
            path
        }
        None => {
            let path = root.join(usual);
            // Even a link that leads nowhere was meant to replace something.
            if path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
                return None;
            }
            path
        }
    };
    let text = layers::text(&path, problems)?;
    match parse(&text) {
        Ok(value) => Some(value),
        Err(e) => {
            problems.push(Problem { file: path, line: None, text: e.to_string() });
            None
        }
    }
}
