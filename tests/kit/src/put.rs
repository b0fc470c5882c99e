//! A throw-away file.
use anyhow::{Context, Result};
use std::{fs::File, io::Write, path::Path};

/// Write a throw-away file.
///
/// # Errors
/// When it can't be written.
pub fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).with_context(|| format!("making {}", path.display()))?;
    file.write_all(bytes).with_context(|| format!("writing {}", path.display()))
}
