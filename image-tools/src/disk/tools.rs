//! The programs of e2fsprogs.
use super::DiskError;
use crate::keys;
use std::path::Path;
use std::process::Output;

/// Where Debian and others keep them, out of an ordinary user's PATH; and Homebrew.
const FOLDERS: [&str; 4] =
    ["/usr/sbin", "/sbin", "/opt/homebrew/opt/e2fsprogs/sbin", "/usr/local/opt/e2fsprogs/sbin"];

/// Run a program in a folder, with the clock set to `epoch`.
///
/// # Errors
/// It can't be run; how it ends is the caller's to judge.
pub(super) fn run(
    program: &'static str,
    folder: &Path,
    epoch: u64,
    args: &[&str],
) -> Result<Output, DiskError> {
    let in_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    let elsewhere = FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file());
    let path = match elsewhere {
        Some(path) if !in_path => path,
        _ => program.into(),
    };
    // 0 is no time to these programs, but none at all.
    let epoch = epoch.max(1).to_string();
    keys::program(path)
        .args(args)
        .current_dir(folder)
        .env("E2FSPROGS_FAKE_TIME", &epoch)
        .env("E2FSCK_TIME", &epoch)
        .env("SOURCE_DATE_EPOCH", &epoch)
        .env("DEBUGFS_PAGER", "cat")
        .env("LC_ALL", "C")
        .output()
        .map_err(|e| DiskError::Tool { program, why: format!("can't be run ({e}); install e2fsprogs") })
}

/// What a program said, without its banner, on one line for each of its lines, and not endless.
pub(super) fn said(output: &Output) -> String {
    const MOST: usize = 20;
    let text = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat();
    let banner = |line: &&str| {
        ["debugfs 1.", "e2fsck 1.", "resize2fs 1.", "tune2fs 1."].iter().any(|b| line.starts_with(b))
    };
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty() && !banner(l)).collect();
    let shown = lines.get(..lines.len().min(MOST)).unwrap_or_default().join("\n");
    if lines.len() > MOST { shown + "\n…" } else { shown }
}
