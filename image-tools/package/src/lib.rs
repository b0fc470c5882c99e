//! The Debian packages: that of the device's program, with all that init and udev read, and that of the host's.
//!
//! | file | noun |
//! |---|---|
//! | `package` | the two packages, and how they differ |
//! | `arch` | the architectures, and what each is built with |
//! | `build` | the program, cross-built |
//! | `elf` | what machine a program is for |
//! | `tools` | what has to be installed here, and what is missing |
//! | `device` | the command line of the device's program, as its package has it |
//! | `docs` | man pages and completions, from the command line's own description |
//! | `man` | what man pages have beyond that, and pages of file formats |
//! | `entry` | a file or folder: path, mode, bytes |
//! | `tree` | what a package installs: path, mode, bytes |
//! | `deb` | the package from the tree |
//! | `debian/` | the packages' own scripts and words |
//!
//! Two builds from the same sources give equal bytes: times are `SOURCE_DATE_EPOCH`, or those of the last commit.
mod arch;
mod build;
mod deb;
mod device;
mod docs;
mod elf;
mod entry;
mod man;
mod package;
mod tools;
mod tree;

pub use arch::Arch;
pub use entry::Entry;
pub use package::Package;
pub use tree::{files, installed};

use anyhow::{Context, Result, bail};
use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// What to package.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Which program's package
    #[arg(long, value_enum, default_value = "bistable")]
    pub package: Package,
    /// For which machines; arm64 for bistable and amd64 for bistable-image if not given
    #[arg(long, value_enum)]
    pub arch: Option<Arch>,
    /// Folder for the package
    #[arg(long, value_name = "DIR", default_value = "target/package")]
    pub out: PathBuf,
    /// Make no package, but a new folder of what it installs, with its units enabled: for `bistable-image build
    /// --from-img --overlay DIR`
    #[arg(long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    /// Take this program instead of building it
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
}

/// Everything that the package states about itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Which one it is.
    pub package: Package,
    /// Architecture.
    pub arch: Arch,
    /// Version in Debian's form.
    pub version: String,
    /// Time of everything in it, in seconds since 1970.
    pub epoch: i64,
}

/// Make the package, and print its path.
///
/// # Errors
/// When a tool is missing (all that are missing are named, with what to install), or the build fails.
pub fn run(options: &Options) -> Result<()> {
    let package = options.package;
    let arch = options.arch.unwrap_or(package.usual());
    if !package.machines().contains(&arch) {
        let names: Vec<&str> = package.machines().iter().map(|arch| arch.name()).collect();
        bail!("{} is packaged for {} only, not for {}", package.name(), names.join(" and "), arch.name());
    }
    let packing = options.tree.is_none().then(tools::packing);
    let building = options.program.is_none().then(|| tools::building(arch));
    tools::check(&packing.into_iter().chain(building).flatten().collect::<Vec<_>>())?;
    let workspace = workspace();
    let about =
        About { package, arch, version: version(env!("CARGO_PKG_VERSION")), epoch: epoch(&workspace)? };
    let (program, third_party) = match &options.program {
        Some(path) => (path.clone(), None),
        None => build::program(&workspace, package, arch)?,
    };
    let bytes = std::fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    elf::check(&bytes, arch).with_context(|| format!("{} can't be packaged", program.display()))?;
    let mut tree = tree::installed(&workspace, &about, bytes)?;
    tree.extend(third_party.map(|list| tree::third_party(package, &list)));
    let path = match &options.tree {
        Some(folder) => deb::unpack(&tree, folder)?,
        None => deb::pack(&tree, &about, &options.out)?,
    };
    writeln!(io::stdout(), "{}", path.display()).context("standard output")
}

/// The project's own folder, with the files that the package takes.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}

/// A semantic version in Debian's form: there `~` sorts before the end, as a pre-release must.
fn version(semver: &str) -> String {
    semver.replacen('-', "~", 1)
}

fn epoch(workspace: &Path) -> Result<i64> {
    if let Ok(text) = env::var("SOURCE_DATE_EPOCH") {
        return text.trim().parse().with_context(|| format!("SOURCE_DATE_EPOCH is not a number: {text}"));
    }
    let git = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(workspace).output();
    match git {
        Ok(out) if out.status.success() => {
            String::from_utf8_lossy(&out.stdout).trim().parse().context("the last commit's time")
        }
        _ => bail!("the time of the sources is not known here: set SOURCE_DATE_EPOCH to seconds since 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pre_release_sorts_before_its_release() {
        assert_eq!(version("1.2.3"), "1.2.3");
        assert_eq!(version("1.2.3-rc.1"), "1.2.3~rc.1");
        assert_eq!(version("1.2.3-rc.1-x"), "1.2.3~rc.1-x");
    }
}
