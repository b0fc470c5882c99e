//! What `tests/fuzz` asks of the configuration.
use super::{ConfigError, Fragment, Fragments, Loaded, Owners, Settings, checked};
use std::path::Path;

/// Fragments that are in no file, weakest first.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong.
pub fn read(texts: &[&str]) -> Result<Settings, ConfigError> {
    loaded(texts).map(|loaded| loaded.settings)
}

/// What `config show` prints of them, and every remark.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong.
pub fn show(texts: &[&str]) -> Result<(String, Vec<String>), ConfigError> {
    let loaded = loaded(texts)?;
    Ok((loaded.listing().text(), loaded.remarks().iter().map(ToString::to_string).collect()))
}

fn loaded(texts: &[&str]) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let mut merged = Fragment::default();
    for (n, text) in texts.iter().enumerate() {
        let file = format!("/{n}.toml");
        merged.merge(Fragment::read(Path::new(&file), text, &mut problems));
    }
    let nowhere = Path::new("/nonexistent");
    checked(nowhere, Owners::of_process(), Fragments::default(), merged, problems)
}
