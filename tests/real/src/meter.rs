//! A call of a program with its time and peak memory.
//!
//! The kernel tells a process the peak of the largest of *all* its children, and counts what a child was before it became
//! the program. So each call gets a small process of its own in between, which has no other child: the verb `meter`.
use anyhow::{Context, Result, bail, ensure};
use bistable_kit::program::Program;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// The process in between; nothing for people.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where the figures go
    #[arg(long)]
    report: PathBuf,
    /// The program's name, then its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    call: Vec<OsString>,
}

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// From its start to its end, in seconds.
    pub seconds: f64,
    /// The most memory that it had at a time, in bytes.
    pub peak_bytes: u64,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) cost: Cost,
    pub(super) stdout: String,
}

/// Be the process in between.
///
/// # Errors
/// When the program can't be started, or a signal ended it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (name, rest) = args.call.split_first().context("a program's name is missing")?;
    let start = super::now();
    let status = Command::new(env::current_exe().context("finding this program")?)
        .arg0(name)
        .args(rest)
        .status()
        .with_context(|| format!("starting {}", name.display()))?;
    let seconds = start.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("asking for the memory used")?;
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "linux") { 1024 } else { 1 };
    let peak_bytes = u64::try_from(usage.max_rss()).unwrap_or_default().saturating_mul(unit);
    let text = serde_json::to_vec(&Cost { seconds, peak_bytes })?;
    bistable_kit::put(&args.report, &text)?;
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code) => Ok(ExitCode::from(code)),
        None => bail!("{} was ended: {status}", name.display()),
    }
}

/// A call of one of the two programs, in a folder.
#[derive(Clone, Debug)]
pub(super) struct Metered {
    program: Program,
    args: Vec<OsString>,
    variables: Vec<(&'static str, String)>,
}

impl Metered {
    /// `line` is split at blanks: none of the suite's names has any.
    pub(super) fn new(program: Program, line: &str) -> Metered {
        let args = line.split_whitespace().map(OsString::from).collect();
        Metered { program, args, variables: Vec::new() }
    }

    /// With one more argument, which may hold blanks.
    pub(super) fn arg(mut self, arg: impl Into<OsString>) -> Metered {
        self.args.push(arg.into());
        self
    }

    /// With an environment variable.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Metered {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn typed(&self) -> String {
        let args: Vec<_> = self.args.iter().map(|a| a.to_string_lossy()).collect();
        format!("{} {}", self.program.name(), args.join(" "))
    }

    /// Run it, insist on its exit code, and give what it said.
    pub(super) fn run(&self, folder: &Path, want: i32) -> Result<Ended> {
        super::tell(&format!("$ {}", self.typed()));
        let report = folder.join("cost.json");
        let out = Command::new(env::current_exe().context("finding this program")?)
            .arg("meter")
            .arg("--report")
            .arg(&report)
            .arg("--")
            .arg(self.program.name())
            .args(&self.args)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {}", self.program.name()))?;
        let said = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (stdout, stderr) = (said(out.stdout), said(out.stderr));
        let code = out.status.code().with_context(|| format!("the meter was ended: {}", out.status))?;
        ensure!(code == want, "`{}` ended with {code} instead of {want}:\n{stdout}{stderr}", self.typed());
        let text = fs::read(&report).with_context(|| report.display().to_string())?;
        let cost: Cost = serde_json::from_slice(&text).context("reading what the call cost")?;
        super::tell(&format!(
            "  {:.1} s, at most {:.0} MiB",
            cost.seconds,
            super::tools::mib(cost.peak_bytes)
        ));
        Ok(Ended { cost, stdout })
    }

    /// The same call without a meter, for those who want to handle the process themselves.
    pub(super) fn command(&self, folder: &Path) -> Result<Command> {
        super::tell(&format!("$ {}", self.typed()));
        let mut command = Command::new(env::current_exe().context("finding this program")?);
        command
            .arg0(self.program.name())
            .args(&self.args)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null());
        Ok(command)
    }
}
