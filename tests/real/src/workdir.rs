//! The folder that the suite works in.
use super::debian::Input;
use anyhow::{Context, Result, bail};
use bistable_kit::put;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// Says that a folder is the suite's own, so that it may be cleared.
const MARK: &str = ".bistable-real";
/// The card, and the same as it was made.
pub(super) const CARD: &str = "card.img";
pub(super) const PRISTINE: &str = "pristine.img";

/// Inputs, and a folder for everything else.
#[derive(Clone, Debug)]
pub(super) struct Workdir {
    pub(super) folder: PathBuf,
    inputs: [Input; 2],
}

/// One of the two releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// On the card from the start, in slot A.
    Old,
    /// Installed into slot B.
    New,
}

impl Version {
    /// As in the release.
    pub(super) const fn number(self) -> &'static str {
        match self {
            Version::Old => "1.0.0",
            Version::New => "2.0.0",
        }
    }

    /// File of its bundle.
    pub(super) fn bundle(self) -> String {
        format!("greenhouse-{}.bundle", self.number())
    }
}

impl Workdir {
    /// Make the folder, or clear one that an earlier run made.
    pub(super) fn clear(folder: &Path, inputs: [Input; 2]) -> Result<Workdir> {
        if folder.exists() {
            let empty = fs::read_dir(folder).with_context(|| folder.display().to_string())?.next().is_none();
            if !empty && !folder.join(MARK).exists() {
                bail!(
                    "{} was not made by this suite, so it is not cleared: name another --folder",
                    folder.display()
                );
            }
            fs::remove_dir_all(folder).with_context(|| format!("clearing {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let folder = fs::canonicalize(folder).with_context(|| folder.display().to_string())?;
        put(&folder.join(MARK), b"")?;
        Ok(Workdir { folder, inputs })
    }

    /// What a release is built from.
    pub(super) fn input(&self, version: Version) -> &Input {
        let [old, new] = &self.inputs;
        match version {
            Version::Old => old,
            Version::New => new,
        }
    }

    /// A file in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Put the card as it was made into a Pi that was never on.
    pub(super) fn fresh_card(&self) -> Result<()> {
        // A new file: an old one's blocks would already be there for the next installation.
        for name in [CARD, "card.img.sim/machine.json"] {
            let path = self.path(name);
            if path.exists() {
                fs::remove_file(&path).with_context(|| path.display().to_string())?;
            }
        }
        copy_sparse(&self.path(PRISTINE), &self.path(CARD))
    }

    /// Remove the large files.
    pub(super) fn sweep(&self) -> Result<()> {
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let large = [".img", ".bundle", ".zst", ".raw"];
            if large.iter().any(|end| entry.file_name().to_string_lossy().ends_with(end)) {
                fs::remove_file(entry.path()).with_context(|| entry.path().display().to_string())?;
            }
        }
        Ok(())
    }
}

/// Copy a file; what is zero stays a hole.
fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let file = File::open(from).with_context(|| from.display().to_string())?;
    let bytes = file.metadata().with_context(|| from.display().to_string())?.len();
    super::card::copy_range(&file, 0, bytes, to, &mut |_| {})
        .with_context(|| format!("copying {} to {}", from.display(), to.display()))
}
