//! A whole life of a device on a virtual Pi whose card is a file: everything a person sees is printed by the real
//! programs, each called in a process of its own.
mod life;
mod material;
mod tell;

use anyhow::{Context, Result};
use std::{fs, path::PathBuf};

/// What the demo uses.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Root file system: a directory, a tar or an image. Some hundred MB of this machine if not given
    #[arg(long, value_name = "DIR|TAR|IMG")]
    pub system: Option<PathBuf>,
    /// Boot volume: a directory or a FAT image. A small one is made if not given
    #[arg(long, value_name = "DIR|IMG")]
    pub boot: Option<PathBuf>,
    /// Where everything is made, and left to look at
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    pub folder: PathBuf,
}

/// Show it all.
///
/// # Errors
/// When a step ends in another way than it has to.
pub fn run(options: &Options) -> Result<()> {
    if options.folder.exists() {
        material::own(&options.folder)?;
        fs::remove_dir_all(&options.folder)
            .with_context(|| format!("clearing {}", options.folder.display()))?;
    }
    fs::create_dir_all(&options.folder).with_context(|| format!("making {}", options.folder.display()))?;
    let folder = fs::canonicalize(&options.folder)?;
    material::mark(&folder)?;
    life::live(&folder, options)
}
