//! What the demo's releases are made from: a real directory of this machine, with a small application of our own.
use anyhow::{Context, Result, bail};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

/// Directories that most machines have, in the order of liking.
const CANDIDATES: [&str; 6] = [
    "/usr/share",
    "/usr/lib/python3",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/usr/bin",
];
/// What is large enough to be real work.
const LEAST: u64 = 100 << 20;
/// What is small enough for a demo.
const MOST: u64 = 900 << 20;
/// Says that a folder is the demo's own, so that it may be cleared.
const MARK: &str = ".bistable-demo";

/// Mark a folder as the demo's own.
pub(super) fn mark(folder: &Path) -> Result<()> {
    fs::File::create(folder.join(MARK)).with_context(|| format!("writing to {}", folder.display()))?;
    Ok(())
}

/// Refuse to clear a folder that isn't the demo's own.
pub(super) fn own(folder: &Path) -> Result<()> {
    let empty = fs::read_dir(folder).with_context(|| folder.display().to_string())?.next().is_none();
    if empty || folder.join(MARK).exists() {
        return Ok(());
    }
    bail!("{} was not made by the demo, so it is not cleared: name another --folder", folder.display())
}

/// Copy a directory of this machine that is large enough to be real work; give where it came from.
pub(super) fn copy_system(to: &Path) -> Result<PathBuf> {
    let sizes: Vec<_> = CANDIDATES.iter().map(|c| (Path::new(c), size(Path::new(c), MOST))).collect();
    let fit = sizes.iter().find(|(_, bytes)| (LEAST..MOST).contains(bytes));
    let largest =
        || sizes.iter().filter(|(_, bytes)| (1..MOST).contains(bytes)).max_by_key(|(_, bytes)| *bytes);
    let Some((from, _)) = fit.or_else(largest) else {
        bail!("no directory of this machine is fit for a demo: name one with --system DIR");
    };
    let mut left = MOST;
    copy(from, to, &mut left)?;
    Ok(from.into())
}

/// Bytes of the files below a directory, counted no further than `most`.
fn size(path: &Path, most: u64) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    let mut bytes = 0;
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        bytes += if meta.is_dir() { size(&entry.path(), most) } else { meta.len() };
        if bytes >= most {
            break;
        }
    }
    bytes
}

/// Copy what can be read, up to `left` bytes; what belongs to others only is passed over.
fn copy(from: &Path, to: &Path, left: &mut u64) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries.flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            copy(&from, &to, left)?;
        } else if meta.is_symlink() {
            let Ok(target) = fs::read_link(&from) else { continue };
            symlink(target, &to).with_context(|| format!("linking {}", to.display()))?;
        } else if meta.is_file() && meta.len() <= *left && fs::File::open(&from).is_ok() {
            *left -= meta.len();
            fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
    }
    Ok(())
}

/// Put the demo's application of a version into a system directory.
pub(super) fn application(system: &Path, version: &str) -> Result<()> {
    let folder = system.join("hub-application");
    fs::create_dir_all(&folder)?;
    put(&folder.join("hub.sh"), &format!("#!/bin/sh\necho \"hub {version}\"\n"))?;
    put(&folder.join("version"), version)
}

/// The tree of the example's application.
pub(super) fn core(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("bin"))?;
    let program = folder.join("bin/core");
    put(&program, include_str!("../../example/core/bin/core"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// What the example has over the image's root file system.
pub(super) fn overlay(root: &Path) -> Result<()> {
    for (path, text) in [
        (
            "etc/bistable/config.d/50-hub.toml",
            include_str!("../../example/hub/etc/bistable/config.d/50-hub.toml"),
        ),
        (
            "etc/systemd/system/core.service",
            include_str!("../../example/hub/etc/systemd/system/core.service"),
        ),
    ] {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap_or(root))?;
        put(&file, text)?;
    }
    let link = root.join("opt/hub/core");
    fs::create_dir_all(link.parent().unwrap_or(root))?;
    if link.symlink_metadata().is_err() {
        symlink("/run/bistable/components/core", &link)?;
    }
    Ok(())
}

/// A small boot volume: what a Pi's firmware looks for, and some bytes instead of a kernel.
pub(super) fn boot(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("overlays"))?;
    put(&folder.join("config.txt"), "arm_64bit=1\nkernel=kernel8.img\nkernel_watchdog_timeout=15\n")?;
    put(&folder.join("cmdline.txt"), "console=serial0,115200 root=PARTLABEL=system_a rootwait panic=5\n")?;
    put(&folder.join("overlays/README"), "Device tree overlays go here.\n")?;
    // Not a kernel; as large as one, and as hard to compress.
    let mut state: u32 = 0x2545_F491;
    let kernel: Vec<u8> = (0..8 << 20)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1] & 0x3F
        })
        .collect();
    put_bytes(&folder.join("kernel8.img"), &kernel)
}

/// Write a text file of the demo's own.
pub(super) fn put(path: &Path, text: &str) -> Result<()> {
    put_bytes(path, text.as_bytes())
}

fn put_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "throw-away input files of a demo")]
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
