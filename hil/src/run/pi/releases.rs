//! What makes each release of a real Pi's system: files that are put over it, a self-test plan, a health profile. Image
//! and keys are the product's own.
use super::bench::Bench;
use crate::run::{
    qemu::{
        fetch::put,
        machine::Machine,
        overlay::{self, Overlay, Piece},
    },
    release::{self, HEALTH, Release},
};
use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

/// The jig's two pins.
pub const OUT: u8 = 17;
/// See [`OUT`].
pub const IN: u8 = 27;

/// The console of Raspberry Pi OS is the screen; this is the header's serial line, whichever it is called on that board.
const SERIAL: &str = "/dev/serial0";
/// What the emulated Pi's releases have, and a real one's, too. The rest makes the emulated one faster.
const SHARED: [&str; 5] = [
    "etc/rig-version",
    "etc/systemd/system/app.service",
    "etc/systemd/system/fault.service",
    "usr/lib/rig/fault",
    "usr/sbin/init",
];
/// The root shell on the serial line.
const SHELL: &str = "usr/lib/rig/shell";
const SHELL_UNIT: &str = "etc/systemd/system/rig-shell.service";
/// Two on one line would take each other's input.
const GETTY: &str = "etc/systemd/system/serial-getty@.service";
/// A test bench, not production.
const DESK: &str = "allow_demo_keys = true\n";

/// The self-test plan.
pub fn self_tests() -> String {
    format!("[[test]]\nname = \"relay\"\nkind = \"loopback\"\nout = {OUT}\nin = {IN}\n")
}

/// The files of a release.
pub fn overlay(release: Release, bench: &Bench) -> Overlay {
    let shell = bench.device.login.is_none();
    let wanted = |path: &str| {
        let named = path.rsplit('/').next().unwrap_or_default();
        // A unit comes with the link that enables it.
        let is = |known: &str| {
            path == known || (path.contains(".wants/") && known.ends_with(&format!("/{named}")))
        };
        SHARED.into_iter().any(is) || (shell && (is(SHELL) || is(SHELL_UNIT)))
    };
    let pieces = overlay::system(release, Machine::Pi3).into_iter().filter(|(path, _)| wanted(path));
    let mut pieces: Overlay = pieces
        .map(|(path, piece)| match piece {
            Piece::File(text, mode) => {
                let text = text.replace("/dev/console", SERIAL);
                let text = if path == SHELL_UNIT { patient(&text) } else { text };
                (path, Piece::File(text, mode))
            }
            link @ Piece::Link(_) => (path, link),
        })
        .collect();
    pieces.push(("etc/bistable/config.d/50-rig.toml".into(), Piece::File(DESK.into(), 0o644)));
    if shell {
        pieces.push((GETTY.into(), Piece::Link("/dev/null".into())));
    }
    pieces
}

/// The serial line's name is made by udev: until it is there, the unit fails, and must not be given up.
fn patient(unit: &str) -> String {
    unit.replace("[Unit]\n", "[Unit]\nStartLimitIntervalSec=0\n").replace("RestartSec=0\n", "RestartSec=1\n")
}

/// Write it all: a folder for each release, `self-tests.toml` and `health.toml`.
///
/// # Errors
/// When something can't be written, or is there already.
pub fn write(folder: &Path, bench: &Bench) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for release in release::ALL {
        let tree = folder.join(release.version);
        fs::create_dir(&tree).with_context(|| tree.display().to_string())?;
        for (path, piece) in overlay(release, bench) {
            let path = tree.join(path);
            let about = || path.display().to_string();
            fs::create_dir_all(path.parent().unwrap_or(&tree)).with_context(about)?;
            match piece {
                Piece::File(text, mode) => {
                    put(&path, text.as_bytes())?;
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).with_context(about)?;
                }
                Piece::Link(target) => symlink(target, &path).with_context(about)?,
            }
        }
    }
    put(&folder.join("self-tests.toml"), self_tests().as_bytes())?;
    put(&folder.join("health.toml"), HEALTH.as_bytes())
}
