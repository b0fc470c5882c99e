//! A program of the bench: a relay's tool, a card's writer.
use super::serial::pause;
use crate::run::clock::Clock;
use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{AccessFlags, access};
use std::{
    env, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Between two looks at whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// Run it to its end, without a shell. What it prints goes to standard error, for ours is the report.
///
/// # Errors
/// When it can't be started, fails, or takes longer than `limit`: then it is killed.
pub fn run(words: &[String], limit: Duration) -> Result<()> {
    let (program, args) = words.split_first().context("no program")?;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    let clock = Clock::start();
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("waiting for {program}"))? {
            ensure!(status.success(), "{} ended with {status}", words.join(" "));
            return Ok(());
        }
        if clock.now() >= limit {
            // It may end at this moment.
            let _ = child.kill();
            let _ = child.wait();
            bail!("{} did not end within {} s", words.join(" "), limit.as_secs());
        }
        pause(PAUSE);
    }
}

/// Where a program is.
///
/// # Errors
/// When there is none of that name, or it can't be executed.
pub fn find(program: &str) -> Result<PathBuf> {
    let executable = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    if program.contains('/') {
        let path = Path::new(program);
        ensure!(path.exists(), "{program} does not exist");
        ensure!(executable(path), "{program} can't be executed");
        return Ok(path.into());
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&folders).map(|folder| folder.join(program));
    places.find(|path| executable(path)).with_context(|| format!("no program {program} in PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_exit_code_counts() {
        let limit = Duration::from_secs(60);
        run(&words("true"), limit).unwrap();
        let error = run(&words("false really"), limit).unwrap_err().to_string();
        assert!(error.starts_with("false really ended with exit status: 1"), "{error}");
        assert!(run(&words("no-such-program-here"), limit).is_err());
    }

    #[test]
    fn one_that_hangs_is_killed() {
        let error = run(&words("sleep 1000"), Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("did not end"), "{error}");
    }

    #[test]
    fn programs_are_found_in_path_and_by_path() {
        let path = find("true").unwrap();
        assert_eq!(find(path.to_str().unwrap()).unwrap(), path);
        for (program, why) in
            [("no-such-program-here", "PATH"), ("/no/such", "exist"), ("/etc/passwd", "executed")]
        {
            let error = find(program).unwrap_err().to_string();
            assert!(error.contains(why), "{program}: {error}");
        }
    }
}
