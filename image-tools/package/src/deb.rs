//! The package: a staged tree, packed by `dpkg-deb`.
use super::{
    About, Arch, Package,
    entry::Entry,
    tree::{MAINTAINER, PERSISTENT, enabled},
};
use anyhow::{Context, Result, bail};
use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// The device's: its units are enabled, and an update in flight is left alone.
const SCRIPTS: [(&str, &str); 4] = [
    ("preinst", include_str!("debian/preinst")),
    ("postinst", include_str!("debian/postinst")),
    ("prerm", include_str!("debian/prerm")),
    ("postrm", include_str!("debian/postrm")),
];

/// Pack the tree into `out`, and give the package's path.
///
/// # Errors
/// When the tree can't be staged, or `dpkg-deb` fails.
pub(super) fn pack(tree: &[Entry], about: &About, out: &Path) -> Result<PathBuf> {
    let stage = tempfile::tempdir().context("a folder for the package's tree")?;
    let root = stage.path().join("root");
    folder(&root)?;
    for entry in tree.iter().filter(|entry| entry.path != PERSISTENT) {
        put(&root, entry)?;
    }
    put(&root, &Entry::file("DEBIAN/control", control(tree, about)))?;
    let scripts = if about.package == Package::Device { &SCRIPTS[..] } else { &[] };
    for (name, text) in scripts {
        put(&root, &Entry::program(format!("DEBIAN/{name}"), text.replace("@ARCH@", about.arch.name())))?;
    }
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let package = out.join(format!("{}_{}_{}.deb", about.package.name(), about.version, about.arch.name()));
    let done = Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Zxz", "--build"])
        .args([&root, &package])
        .env("SOURCE_DATE_EPOCH", about.epoch.to_string())
        .output()
        .context("starting dpkg-deb")?;
    if !done.status.success() {
        bail!("dpkg-deb failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(package)
}

/// Write the tree and the links that enable its units into a new folder, and give its path.
///
/// # Errors
/// When the folder is there already, or can't be written.
pub(super) fn unpack(tree: &[Entry], root: &Path) -> Result<PathBuf> {
    if root.exists() {
        bail!("{} is there already: name a new folder", root.display());
    }
    folder(root)?;
    for entry in tree {
        put(root, entry)?;
    }
    for (path, target) in enabled(tree) {
        let path = root.join(path);
        folder(path.parent().unwrap_or(root))?;
        symlink(target, &path).with_context(|| format!("making {}", path.display()))?;
    }
    Ok(root.to_owned())
}

fn control(tree: &[Entry], about: &About) -> String {
    // As dpkg-gencontrol counts: files in whole KiB, 1 KiB for anything else.
    let size: usize = tree.iter().map(|e| e.bytes.as_ref().map_or(1, |b| b.len().div_ceil(1024))).sum();
    let cpu = match about.arch {
        Arch::Arm64 | Arch::Amd64 => "",
        Arch::Armhf => "\n .\n This one is for ARMv7: Pi 2 and later, not Pi 1 and Zero.",
        Arch::Armv6 => "\n .\n This one is for ARMv6: it also runs on Pi 1 and Zero.",
    };
    let package = about.package;
    format!(
        "Package: {}\n\
         Version: {}\n\
         Architecture: {}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {size}\n\
         {}\
         Section: {}\n\
         Priority: optional\n\
         Description: {}{cpu}\n",
        package.name(),
        about.version,
        about.arch.debian(),
        package.relations(),
        package.section(),
        package.description(),
    )
}

fn put(root: &Path, entry: &Entry) -> Result<()> {
    let path = root.join(&entry.path);
    let Some(bytes) = &entry.bytes else { return folder(&path) };
    if let Some(parent) = path.parent() {
        folder(parent)?;
    }
    File::create_new(&path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.set_permissions(Permissions::from_mode(entry.mode))
        })
        .with_context(|| format!("writing {}", path.display()))
}

/// A folder and those above it, whatever the umask says.
fn folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        folder(parent)?;
    }
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .with_context(|| format!("making {}", path.display()))
}
