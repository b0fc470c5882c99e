//! An archive of somewhere else becomes the tree of a component: unpacked, without the folders around it, changed by a command.
use super::{ArchivePlan, TreeError};
use crate::clock::Clock;
use crate::interrupt::Temporary;
use crate::keys::program;
use crate::output::OutputError;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What is done to the tree.
#[derive(Clone, Copy, Debug)]
pub struct Preparation<'a> {
    /// Folders around the tree that are left out.
    pub strip: u32,
    /// A command for the shell, which runs in the tree.
    pub run: Option<&'a str>,
    /// How long it may take.
    pub time: Duration,
    /// What the environment says to it: names and values.
    pub environment: &'a [(&'a str, String)],
}

/// A tree in a temporary folder, which is removed with this value.
#[derive(Debug)]
pub struct Prepared {
    _folder: Temporary<TempDir>,
    tree: PathBuf,
}

impl Prepared {
    /// Where the tree is.
    pub fn tree(&self) -> &Path {
        &self.tree
    }
}

/// Unpack an archive into a folder within `temp_dir`, and prepare it. Nothing is unpacked that a component couldn't have: no entry
/// leads out of the folder.
///
/// # Errors
/// What of the archive can't be in a component, a folder that isn't there, or a command that fails.
pub fn prepare(
    archive: &Path,
    build_time: u64,
    preparation: &Preparation<'_>,
    temp_dir: &Path,
    clock: &dyn Clock,
) -> Result<Prepared, TreeError> {
    let plan = ArchivePlan::read(archive, build_time, Some(temp_dir))?;
    let builder = tempfile::Builder::new().prefix("tree.").tempdir_in(temp_dir);
    let folder = Temporary::folder(builder.map_err(failed("create a folder in", temp_dir))?);
    unpack(&plan, folder.path(), temp_dir)?;
    let mut tree = folder.path().to_owned();
    for _ in 0..preparation.strip {
        tree = the_only_folder(archive, &tree)?;
    }
    if let Some(command) = preparation.run {
        run(command, &tree, preparation, clock)?;
    }
    Ok(Prepared { _folder: folder, tree })
}

/// The plan has refused all that unpacks elsewhere than below the folder.
fn unpack(plan: &ArchivePlan, folder: &Path, temp_dir: &Path) -> Result<(), TreeError> {
    let file = tempfile::tempfile_in(temp_dir).map_err(failed("create a file in", temp_dir))?;
    let mut out = BufWriter::new(&file);
    plan.write_to(&mut out)?;
    out.flush().map_err(failed("write to", temp_dir))?;
    drop(out);
    io::Seek::rewind(&mut &file).map_err(failed("read from", temp_dir))?;
    let mut archive = tar::Archive::new(&file);
    archive.set_preserve_mtime(true);
    archive.set_preserve_permissions(true);
    archive.unpack(folder).map_err(failed("unpack into", folder))
}

/// The folder that is alone in this one.
fn the_only_folder(archive: &Path, folder: &Path) -> Result<PathBuf, TreeError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(failed("read", folder))?;
    match entries.as_slice() {
        [one] if one.file_type().is_ok_and(|kind| kind.is_dir()) => Ok(one.path()),
        _ => {
            let mut names: Vec<String> =
                entries.iter().map(|entry| super::shown(entry.file_name().as_encoded_bytes())).collect();
            names.sort();
            Err(TreeError::Strip { tree: archive.into(), names })
        }
    }
}

fn run(
    command: &str,
    tree: &Path,
    preparation: &Preparation<'_>,
    clock: &dyn Clock,
) -> Result<(), TreeError> {
    let wrong = |why: String| TreeError::Command { command: command.into(), why };
    // The result of the program alone is on standard output.
    let child = program("sh")
        .args(["-c", command])
        .current_dir(tree)
        .envs(preparation.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(io::stderr())
        // It can have children, which are ended with it.
        .process_group(0)
        .spawn();
    let mut child = child.map_err(|e| wrong(format!("can't be started: {e}")))?;
    let (mut left, step) = (preparation.time, LOOK);
    loop {
        match child.try_wait().map_err(|e| wrong(e.to_string()))? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(wrong(format!("ended with {status}"))),
            None if left.is_zero() => {
                end(&mut child);
                return Err(wrong(format!("still ran after {} s", preparation.time.as_secs())));
            }
            None => {
                clock.wait(step);
                left = left.saturating_sub(step);
            }
        }
    }
}

/// End a command with its children, and wait for it.
fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    // These fail only if it has ended by itself.
    let _ = group.map(|group| killpg(group, Signal::SIGKILL));
    let _ = child.wait();
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TreeError {
    move |e| TreeError::Output(OutputError::io(action, path)(e))
}
