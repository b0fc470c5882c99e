//! How the engine's programs are run: no shell, an environment of ours, bounded output and time.
use super::super::{
    PiClock,
    process::{self, Output},
};
use crate::ports::HostError;
use std::time::Duration;

/// How long a question may take.
pub(super) const ASK: Duration = Duration::from_secs(30);
/// How long a container may take to stop and another one to start.
pub(super) const ACT: Duration = Duration::from_secs(90);
/// How long the engine may unpack an image, and read one back. Less than the daemon's watchdog, which sees nothing of it.
pub(super) const LONG: Duration = Duration::from_secs(600);
/// Bytes of an answer that are kept: a project's settings as JSON.
const ANSWER: usize = 1 << 20;

/// The programs, and the engine that they talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    docker: Vec<String>,
    /// The ways to call Compose, in the order in which they are tried.
    compose: Vec<Vec<String>>,
}

impl Default for Programs {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Programs {
            docker: words(&["docker"]),
            compose: vec![words(&["docker", "compose"]), words(&["docker-compose"])],
        }
    }
}

impl Programs {
    /// Those that talk to the engine on this socket, with Compose from this file.
    pub fn at(socket: &std::path::Path, compose: &std::path::Path) -> Programs {
        let host = format!("DOCKER_HOST=unix://{}", socket.display());
        let words =
            |program: &str| vec!["env".to_owned(), host.clone(), "HOME=/root".into(), program.to_owned()];
        Programs { docker: words("docker"), compose: vec![words(&compose.to_string_lossy())] }
    }

    /// Run Docker's program.
    pub(super) fn docker(&self, words: &[&str], timeout: Duration) -> Result<Output, HostError> {
        run(&self.docker, words, timeout)
    }

    /// The words before those of Compose.
    pub(super) fn compose(&self) -> &[Vec<String>] {
        &self.compose
    }

    /// The words before Docker's own.
    pub(super) fn docker_words(&self) -> &[String] {
        &self.docker
    }
}

/// Run a program.
pub(super) fn run(program: &[String], words: &[&str], timeout: Duration) -> Result<Output, HostError> {
    let mut command = program.to_vec();
    command.extend(words.iter().map(|word| (*word).to_owned()));
    process::run_keeping(&command, ANSWER, timeout, &PiClock)
}

/// What a program printed, if it ended well.
pub(super) fn done(output: Output, what: &str) -> Result<String, HostError> {
    match output.code {
        Some(0) => Ok(output.tail),
        _ => Err(HostError::Failed(format!("{what}: {}", problem(&output)))),
    }
}

/// The line that says what is wrong.
fn problem(output: &Output) -> String {
    let lines = output.tail.lines().map(str::trim).filter(|line| !line.is_empty());
    let told = lines.clone().find(|line| line.to_ascii_lowercase().contains("error"));
    let text = told.unwrap_or_else(|| output.last_line());
    crate::text::shorten(&crate::text::printable(text), 300)
}
