//! What the emulated Pi is made of and Bistable doesn't have: QEMU and a few tools from the machine's packages, U-Boot for
//! arm64 from Debian's. Nothing here needs root; what only root can do is said in one line.
use anyhow::{Context, Result, bail, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where a system was built from its packages.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/debian");
const SUITE: &str = "bookworm";

/// A program, and the Debian package that has it.
const TOOLS: [(&str, &str); 7] = [
    (super::process::QEMU, "qemu-system-arm"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("mmdebstrap", "mmdebstrap"),
    ("qemu-aarch64-static", "qemu-user-static"),
    ("arch-test", "arch-test"),
    ("setpriv", "util-linux"),
];

/// What isn't there, as names of packages; empty if all is.
pub fn missing() -> Vec<&'static str> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> =
        env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect::<Vec<PathBuf>>();
    let there = |tool: &str| folders.iter().any(|folder| folder.join(tool).is_file());
    TOOLS.into_iter().filter(|(tool, _)| !there(tool)).map(|(_, package)| package).collect()
}

/// Say what is missing.
///
/// # Errors
/// When something is, with the line that installs it.
pub fn check() -> Result<()> {
    let missing = missing();
    ensure!(
        missing.is_empty(),
        "the emulated Pi needs packages that aren't installed; as root:\n  apt-get install --no-install-recommends {}\n\
         (QEMU 9 or later; on Debian 12 it is in bookworm-backports: add -t bookworm-backports)",
        missing.join(" ")
    );
    Ok(())
}

/// What comes unpacked from packages for arm64.
#[derive(Clone, Debug)]
pub struct Loaders {
    /// For the Pi 3.
    pub pi3: PathBuf,
    /// For QEMU's own board.
    pub virt: PathBuf,
    /// A static busybox, for the initramfs.
    pub busybox: PathBuf,
}

/// Fetch and unpack U-Boot, if it isn't there.
///
/// # Errors
/// When a package can't be had or isn't as expected.
pub fn loaders(folder: &Path) -> Result<Loaders> {
    let loaders = Loaders {
        pi3: folder.join("u-boot-rpi_3.bin"),
        virt: folder.join("u-boot-qemu_arm64.bin"),
        busybox: folder.join("busybox"),
    };
    let wanted = [
        (&loaders.pi3, "u-boot-rpi", "usr/lib/u-boot/rpi_3/u-boot.bin"),
        (&loaders.virt, "u-boot-qemu", "usr/lib/u-boot/qemu_arm64/u-boot.bin"),
        (&loaders.busybox, "busybox-static", "bin/busybox"),
    ];
    if wanted.iter().all(|(path, ..)| path.is_file()) {
        return Ok(loaders);
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let apt = Apt::new(&folder.join("apt"))?;
    for (path, package, inside) in wanted {
        let unpacked = apt.unpack(package, &folder.join(package))?.join(inside);
        // Busybox has no such words.
        let loader = fs::read(&unpacked).with_context(|| unpacked.display().to_string())?;
        put(path, &hastened(&loader))?;
    }
    Ok(loaders)
}

/// U-Boot without the two waits of its built-in environment: for a key, and for USB. Edits of equal length, for tests only.
fn hastened(loader: &[u8]) -> Vec<u8> {
    let mut loader = loader.to_vec();
    for (old, new) in [("bootdelay=2\0", "bootdelay=0\0"), ("preboot=usb start\0", "preboot=true;true\0")] {
        let (old, new) = (old.as_bytes(), new.as_bytes());
        let found = loader.windows(old.len()).position(|w| w == old);
        if let Some(place) = found.and_then(|at| loader.get_mut(at..at + old.len())) {
            place.copy_from_slice(new);
        }
    }
    loader
}

/// The system and its kernel, built by a script if they aren't there.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The root file system.
    pub system: PathBuf,
    /// Kernel, initramfs and device tree.
    pub boot: PathBuf,
}

/// The small Debian system, built first if need be.
///
/// # Errors
/// When the script fails.
pub fn tree(folder: &Path) -> Result<Tree> {
    let tree = Tree { system: folder.join("system.tar"), boot: folder.join("boot") };
    if tree.system.is_file() && tree.boot.is_dir() {
        return Ok(tree);
    }
    let script = Path::new(SCRIPTS).join("small.sh");
    // Standard output is for the report.
    let status = Command::new(&script).arg(folder).stdout(std::io::stderr()).status();
    let status = status.with_context(|| format!("starting {}", script.display()))?;
    ensure!(status.success(), "{}: {status}", script.display());
    Ok(tree)
}

/// An apt of our own, which knows arm64 and changes nothing of the machine's.
struct Apt {
    options: Vec<String>,
    folder: PathBuf,
}

impl Apt {
    fn new(folder: &Path) -> Result<Apt> {
        let folder = {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            fs::canonicalize(folder)?
        };
        for name in ["state/lists/partial", "cache/archives/partial", "etc", "debs"] {
            fs::create_dir_all(folder.join(name))?;
        }
        fs::File::create(folder.join("state/status"))?;
        put(&folder.join("etc/sources.list"), sources()?.as_bytes())?;
        let at = |name: &str| folder.join(name).display().to_string();
        let mut options = Vec::new();
        for (key, value) in [
            ("APT::Architecture", "arm64".to_owned()),
            ("APT::Architectures", "arm64".into()),
            ("Dir::State", at("state")),
            ("Dir::State::status", at("state/status")),
            ("Dir::Cache", at("cache")),
            ("Dir::Etc::SourceList", at("etc/sources.list")),
            ("Dir::Etc::SourceParts", "/dev/null".into()),
            ("Acquire::Languages", "none".into()),
            // As an ordinary user there is no other user to become; as root, that other one may not write here.
            ("APT::Sandbox::User", "".into()),
        ] {
            options.extend(["-o".to_owned(), format!("{key}={value}")]);
        }
        let apt = Apt { options, folder };
        apt.run(&["update"])?;
        Ok(apt)
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let output = Command::new("apt-get")
            .arg("-qq")
            .args(&self.options)
            .args(words)
            .current_dir(self.folder.join("debs"))
            .output()
            .context("starting apt-get")?;
        if !output.status.success() {
            bail!("apt-get {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Download a package and unpack it.
    fn unpack(&self, package: &str, to: &Path) -> Result<PathBuf> {
        self.run(&["download", package])?;
        let debs = self.folder.join("debs");
        let mut found = fs::read_dir(&debs)?.flatten().map(|e| e.path());
        let deb = found.find(|path| {
            path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(&format!("{package}_")))
        });
        let deb = deb.with_context(|| format!("apt-get did not download {package}"))?;
        let status =
            Command::new("dpkg-deb").arg("-x").arg(&deb).arg(to).status().context("starting dpkg-deb")?;
        ensure!(status.success(), "unpacking {}: {status}", deb.display());
        Ok(to.into())
    }
}

/// One line for the suite, from the machine's own sources as apt itself reads them.
fn sources() -> Result<String> {
    let output = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SOURCESENTRY)",
            "Created-By: Packages",
        ])
        .output()
        .context("starting apt-get")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find_map(|line| {
        let mut fields = line.split('|');
        let (uri, release, component, entry) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        if (release, component) != (SUITE, "main") {
            return None;
        }
        let (file, _) = entry.rsplit_once(':')?;
        Some((uri.to_owned(), signed_by(&fs::read_to_string(file).unwrap_or_default())))
    });
    let Some((uri, key)) = line else {
        bail!(
            "this machine's apt sources do not name the suite {SUITE} (main); add it to /etc/apt/sources.list.d"
        );
    };
    let key = key.map(|key| format!(" signed-by={key}")).unwrap_or_default();
    Ok(format!("deb [arch=arm64{key}] {uri} {SUITE} main\n"))
}

/// The first key file that a source file names: apt itself doesn't report it.
fn signed_by(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let at = lower.find("signed-by")? + "signed-by".len();
    let rest = text.get(at..)?.trim_start_matches([':', '=', ' ', '\t']);
    let key = rest.split(|c: char| c.is_whitespace() || c == ']').next()?;
    key.starts_with('/').then(|| key.to_owned())
}

pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "material of a test bench, made again when it is lost")]
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_source_is_found_in_both_forms() {
        let deb822 = "Types: deb\nURIs: http://x\nSigned-By: /usr/share/keyrings/k.gpg\n\nTypes: deb\n";
        assert_eq!(signed_by(deb822).as_deref(), Some("/usr/share/keyrings/k.gpg"));
        let line = "deb [arch=arm64 signed-by=/etc/k.gpg] http://x bookworm main\n";
        assert_eq!(signed_by(line).as_deref(), Some("/etc/k.gpg"));
        assert_eq!(signed_by("deb http://x bookworm main\n"), None);
        assert_eq!(signed_by("Signed-By:\n -----BEGIN PGP"), None);
    }

    #[test]
    fn waits_are_taken_out_of_a_boot_loader_and_nothing_else_moves() {
        let loader = b"aaaabootdelay=2\0bbbbpreboot=usb start\0cccc";
        assert_eq!(hastened(loader), b"aaaabootdelay=0\0bbbbpreboot=true;true\0cccc");
        assert_eq!(hastened(b"else"), b"else");
    }
}
