//! The two programs, `bistable` and `bistable-image`, each in a process of its own.
use anyhow::{Context, Result, bail};
use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::Path,
    process::{Command, ExitCode},
};

/// One of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The device's.
    Device,
    /// The host's.
    Host,
}

impl Program {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Program::Device => "bistable",
            Program::Host => "bistable-image",
        }
    }
}

/// Be the program by whose name this one was called, if it is one of them.
pub fn answer_to_name() -> Option<ExitCode> {
    let name = env::args_os().next()?;
    let name = Path::new(&name).file_name()?.to_owned();
    let args = || env::args_os();
    if name == Program::Device.name() {
        let _ = bistable::teardown::signals::handle();
        let _at_end = bistable::teardown::AtEnd;
        bistable::logging::init();
        return Some(ExitCode::from(bistable::program(args()).code()));
    }
    (name == Program::Host.name()).then(|| bistable_image::cli::run(args()))
}

/// How a program of the tests ends: whether everything held, or why it could not be seen.
pub fn ended(result: Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            let _ = writeln!(io::stderr(), "error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// A call of one of the programs.
#[derive(Clone, Debug)]
pub struct Call {
    program: Program,
    args: Vec<OsString>,
}

impl Call {
    /// Of a program, with arguments.
    pub fn new(program: Program, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Call {
        Call { program, args: args.into_iter().map(|a| a.as_ref().to_owned()).collect() }
    }

    /// As a person would type it in `folder`.
    pub fn typed(&self, folder: &Path) -> String {
        let mut line = self.program.name().to_owned();
        for arg in &self.args {
            let path = Path::new(arg);
            let shown = path.strip_prefix(folder).unwrap_or(path).display().to_string();
            line.push(' ');
            if shown.contains(|c: char| c.is_whitespace() || "<>'\"|&;*".contains(c)) {
                line.push_str(&format!("'{shown}'"));
            } else {
                line.push_str(&shown);
            }
        }
        line
    }

    /// Run it in `folder` and give its exit code.
    ///
    /// # Errors
    /// When it can't be started, or a signal ended it.
    pub fn run(&self, folder: &Path) -> Result<i32> {
        let me = env::current_exe().context("finding this program")?;
        let mut command = Command::new(me);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut command, self.program.name());
        let status = command
            .args(&self.args)
            .current_dir(folder)
            .status()
            .with_context(|| format!("starting {}", self.program.name()))?;
        match status.code() {
            Some(code) => Ok(code),
            None => bail!("{} was ended: {status}", self.program.name()),
        }
    }
}
