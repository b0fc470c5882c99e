//! The real program, each call in a process of its own, on a disk that logs.
use super::export::Export;
use anyhow::{Context, Result, ensure};
use bistable_kit::{disk_log::Count, program::Program};
use semver::Version;
use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What every system sees, but for the sick one's.
const WORLD: &str = r#"
[gpio]
wires = [[17, 27]]
[units]
"app.service" = "active"
[[system]]
version = "3.0.0"
units."app.service" = "failed"
"#;

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code; none if it was killed.
    pub code: Option<i32>,
    /// What it said on standard output.
    pub out: String,
    /// What it said on standard error.
    pub err: String,
    /// The release that it said is the default now, and how many entries the log had then, or a little later.
    pub promised: Option<(u64, Version)>,
}

/// The program on one card.
#[derive(Debug)]
pub struct Device<'a> {
    program: PathBuf,
    export: &'a Export,
}

impl<'a> Device<'a> {
    /// A Pi that was never on, with the disk as its card. The program is `bistable`, or this program by that name.
    ///
    /// # Errors
    /// When the folder beside the card can't be made.
    pub fn new(export: &'a Export, program: Option<&Path>) -> Result<Device<'a>> {
        let mut folder = export.card().into_os_string();
        folder.push(".sim");
        fs::create_dir_all(&folder)?;
        File::create(Path::new(&folder).join("world.toml"))?.write_all(WORLD.as_bytes())?;
        let program = match program {
            Some(path) => fs::canonicalize(path).with_context(|| format!("finding {}", path.display()))?,
            None => env::current_exe().context("finding this program")?,
        };
        Ok(Device { program, export })
    }

    fn command(&self, args: &[&OsStr]) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command
            .arg0(Program::Device.name())
            .args([OsString::from("--board"), "sim".into(), "--card".into(), self.export.card().into()])
            // What happens comes as events, which this program reads.
            .args(["--progress", "json"])
            .args(args)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(File::create(self.out())?);
        Ok(command)
    }

    fn out(&self) -> PathBuf {
        self.export.folder().join("out")
    }

    /// Call it and wait for its end.
    ///
    /// # Errors
    /// When it can't be started, or was ended by a signal.
    pub fn call(&self, args: &[&OsStr]) -> Result<Ended> {
        let mut child = self.command(args)?.stderr(Stdio::piped()).spawn().context("starting bistable")?;
        let (mut err, mut promised) = (String::new(), None);
        if let Some(pipe) = child.stderr.take() {
            for line in BufReader::new(pipe).lines() {
                let line = line?;
                // Counted after it was said, so never too early.
                if let Some(version) = committed(&line) {
                    promised = Some((self.export.counted()?.entries, version));
                }
                err.push_str(&line);
                err.push('\n');
            }
        }
        let status = child.wait()?;
        ensure!(status.code().is_some(), "bistable was ended: {status}: {err}");
        Ok(Ended { code: status.code(), out: fs::read_to_string(self.out())?, err, promised })
    }

    /// Call it and kill it as soon as the log has this many entries. Gives whether it was killed; else it had ended.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn call_until(&self, args: &[&OsStr], entries: u64, from: Count) -> Result<bool> {
        let err = File::create(self.export.folder().join("err"))?;
        let mut child = self.command(args)?.stderr(err).spawn().context("starting bistable")?;
        let mut count = from;
        loop {
            count = self.export.count(count)?;
            if count.entries >= entries {
                // It may have ended by now, which is what the status tells.
                let _ = child.kill();
                return Ok(child.wait()?.signal().is_some());
            }
            if child.try_wait()?.is_some() {
                return Ok(false);
            }
            std::thread::yield_now();
        }
    }

    /// `status --json`.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub fn status(&self) -> Result<serde_json::Value> {
        let ended = self.call(&["status".as_ref(), "--json".as_ref()])?;
        ensure!(ended.code == Some(0), "`status` ended with {:?}: {}", ended.code, ended.err);
        Ok(serde_json::from_str(&ended.out)?)
    }
}

/// The version in the event that a release is the default now.
fn committed(line: &str) -> Option<Version> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_commit = event.get("type")?.as_str() == Some("update.committed");
    is_commit.then(|| event.get("data")?.get("version")?.as_str()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bistable::event::{Counter, Event};
    use bistable_boot::Slot;

    #[test]
    fn hears_a_commit() {
        let at = bistable::event::At { version: "2.0.0".into(), release: "00".into(), slot: Slot::B };
        let said = |event| serde_json::to_string(&Counter::default().number(event)).unwrap();
        assert_eq!(committed(&said(Event::Committed(at))), Some(Version::new(2, 0, 0)));
        assert_eq!(committed(&said(Event::FlagRepaired { slot: Slot::A })), None);
        assert_eq!(committed("error: release 2.0.0 is the default now"), None);
    }
}
