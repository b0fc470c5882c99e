//! The two versions of a real Debian system, built by the scripts in `hil/debian` if they aren't there.
use anyhow::{Context, Result, bail, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The scripts, where this program was built from.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../hil/debian");

/// What a release is built from.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// The root file system.
    pub(super) system: PathBuf,
    /// The boot volume's files.
    pub(super) boot: PathBuf,
}

impl Input {
    fn of(folder: &Path) -> Input {
        Input { system: folder.join("system.tar"), boot: folder.join("boot") }
    }

    fn is_there(&self) -> bool {
        self.system.is_file() && self.boot.is_dir()
    }
}

/// What the proofs and the race need besides what building the systems needs; setup.sh installs them too.
const TOOLS: [&str; 4] = ["e2fsck", "fsck.vfat", "zstd", "dd"];

/// How large the two systems are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// As a small product has it, some 800 MB.
    Product,
    /// systemd and a kernel, some 95 MB: what the emulated Pi runs, and its next version.
    Small,
}

impl Size {
    /// Where the systems are kept if no folder is given.
    pub(super) fn folder(self) -> &'static Path {
        Path::new(match self {
            Size::Product => "target/debian",
            Size::Small => bistable_kit::SMALL_DEBIAN,
        })
    }
}

/// Both versions, built first if need be.
pub(super) fn ready(folder: &Path, size: Size) -> Result<[Input; 2]> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let folder = fs::canonicalize(folder).with_context(|| folder.display().to_string())?;
    let both = ["v1", "v2"].map(|version| Input::of(&folder.join(version)));
    let missing: Vec<_> =
        ["v1", "v2"].into_iter().zip(&both).filter(|(_, input)| !input.is_there()).map(|(v, _)| v).collect();
    if !missing.is_empty() {
        debian_host()?;
    }
    // Before the long part, not after it.
    set_up(&missing)?;
    if missing.is_empty() {
        return Ok(both);
    }
    super::tell(&format!(
        "{} has no {}: built from Debian's packages, which are fetched the first time; takes some minutes",
        folder.display(),
        missing.join(" and no "),
    ));
    match size {
        Size::Product => script("build.sh", &[folder.as_os_str()], &missing)?,
        Size::Small => {
            for version in missing {
                script("small.sh", &[folder.join(version).as_os_str()], &[version])?;
            }
        }
    }
    for input in &both {
        ensure!(input.is_there(), "{} was not built", input.system.display());
    }
    Ok(both)
}

/// The systems come from Debian's packages by Debian's tools.
fn debian_host() -> Result<()> {
    ensure!(
        is_debian(&fs::read_to_string("/etc/os-release").unwrap_or_default()),
        "this machine is no Debian, and the two systems are made with Debian's tools: run hil/debian/build.sh DIR on \
         one, copy DIR here, and name it with --debian DIR"
    );
    Ok(())
}

/// What `/etc/os-release` says, of Debian itself and of what is made from it.
fn is_debian(about: &str) -> bool {
    about.lines().any(|line| {
        let Some((name, value)) = line.split_once('=') else { return false };
        matches!(name, "ID" | "ID_LIKE") && value.trim_matches('"').split(' ').any(|word| word == "debian")
    })
}

/// Install what is missing, if this is root on Debian; say so, if not.
fn set_up(systems_to_build: &[&str]) -> Result<()> {
    if systems_to_build.is_empty() && missing_tools().is_empty() {
        return Ok(());
    }
    if nix::unistd::geteuid().is_root() && debian_host().is_ok() {
        script("setup.sh", &[], &[])?;
    }
    let missing = missing_tools();
    ensure!(
        missing.is_empty(),
        "missing: {}; install them, on Debian with: sudo {SCRIPTS}/setup.sh",
        missing.join(", ")
    );
    Ok(())
}

fn missing_tools() -> Vec<&'static str> {
    let there = |folder: &Path, tool: &str| folder.join(tool).is_file();
    let path = super::tools::path_with_system_folders();
    TOOLS.into_iter().filter(|tool| !env::split_paths(&path).any(|folder| there(&folder, tool))).collect()
}

fn script(name: &str, paths: &[&std::ffi::OsStr], words: &[&str]) -> Result<()> {
    let script = Path::new(SCRIPTS).join(name);
    super::tell(&format!("$ {}", script.display()));
    let status = Command::new(&script)
        .args(paths)
        .args(words)
        // Standard output is for the report.
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("starting {}", script.display()))?;
    if status.success() { Ok(()) } else { bail!("{}: {status}", script.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_what_is_made_from_it_are_known() {
        let table = [
            ("PRETTY_NAME=\"Debian\"\nID=debian\n", true),
            ("ID=raspbian\nID_LIKE=debian\n", true),
            ("ID=pop\nID_LIKE=\"ubuntu debian\"\n", true),
            ("ID=fedora\nNAME=\"not debian\"\n", false),
            ("", false),
        ];
        for (text, want) in table {
            assert_eq!(is_debian(text), want, "{text:?}");
        }
    }
}
