//! What `tests/fuzz` asks of an archive.
use super::{Compression, SystemOptions, VolumeError, tar, tree::Tree};
use std::path::Path;

/// The tree of a plain tar archive, and what a person should know.
///
/// # Errors
/// What is wrong with it.
pub fn tar(path: &Path, options: &SystemOptions) -> Result<(Tree, Vec<String>), VolumeError> {
    let mut warnings = Vec::new();
    Ok((tar::read(path, Compression::None, options, &mut warnings)?, warnings))
}
