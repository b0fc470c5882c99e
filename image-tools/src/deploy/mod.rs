//! Brings a release onto one device over ssh, and follows it to its verdict.
//!
//! ```text
//! status ─► fits? ─► bistable update -  ◄─ bundle      the connection ends with the reboot
//!                         └─► status, status, … ─► Follow::verdict ─► committed | gave up | waits
//! ```
//! The device decides everything: it verifies the bundle, tests it, and keeps it or goes back. The checks on this side only save sending a
//! gigabyte that the device would refuse.
//!
//! | file | noun |
//! |---|---|
//! | `remote` | the port to a device, and what its answers mean |
//! | `ssh` | that port by a program such as ssh |
//! | `device` | what is needed of a device's status |
//! | `follow` | which verdict a device has come to |
mod device;
mod follow;
mod remote;
mod ssh;
#[cfg(test)]
mod tests;

pub use device::{Device, Id, Journal, Slot, Slots, Step, Update};
pub use follow::{Follow, GaveUp, Verdict};
pub use remote::{Ended, Failure, Remote};
pub use ssh::Ssh;

use crate::clock::{Clock, Stopwatch};
use crate::progress::{Progress, Stage};
use bistable_format::progress::ProgressLine;
use bistable_format::{Digest, Release};
use remote::Reply;
use serde::Deserialize;
use std::io::{self, Read};
use std::time::Duration;

/// How often a device is asked.
const POLL: Duration = Duration::from_secs(3);
/// After how many answers in a row a device that doesn't have the release is believed: a broken connection's program may still run there.
const SETTLED: u32 = 10;

/// Why a release did not get onto a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The connection's program can't be started.
    #[error("can't start the program that connects to {host}; --ssh names another one")]
    Start {
        /// The device.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The bundle can't be read to its end.
    #[error("can't read the bundle, or send it to {host}")]
    Send {
        /// The device.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The host can't be reached.
    #[error("{host} can't be reached: {why}")]
    Unreachable {
        /// The device.
        host: String,
        /// What the connection's program said.
        why: String,
    },
    /// It isn't a device.
    #[error(
        "{host} has no program `bistable`: is it the right host? boot/docs/install.md says how a device gets it"
    )]
    NoProgram {
        /// The device.
        host: String,
    },
    /// The user may not.
    #[error("the user on {host} may not update it ({why}): {}", if *.sudo { "allow `sudo -n bistable` there without a password, or log in as root" } else { "add --sudo, or log in as root (root@HOST)" })]
    NotAllowed {
        /// The device.
        host: String,
        /// What was said.
        why: String,
        /// Whether sudo was used.
        sudo: bool,
    },
    /// It answers something else.
    #[error("{host} gives no answer of `bistable`: {why}")]
    Unclear {
        /// The device.
        host: String,
        /// What it said.
        why: String,
    },
    /// Its journal is lost.
    #[error("{host} has lost its journal; run `bistable repair` there first")]
    Lost {
        /// The device.
        host: String,
    },
    /// It is another product's.
    #[error("{host} is a {device}, and the bundle is of {bundle}")]
    OtherProduct {
        /// The device.
        host: String,
        /// Its product.
        device: String,
        /// The bundle's.
        bundle: String,
    },
    /// It is another board.
    #[error("{host} is a {device}, and the release is for {}; build it with --board {device} too if it runs there", .boards.join(", "))]
    OtherBoard {
        /// The device.
        host: String,
        /// Its board.
        device: String,
        /// Those of the release.
        boards: Vec<String>,
    },
    /// It runs this release.
    #[error("{host} runs {version} already")]
    Runs {
        /// The device.
        host: String,
        /// The version.
        version: String,
    },
    /// The device's program refused, or failed.
    #[error("{host}: {}", .failure.error)]
    Refused {
        /// The device.
        host: String,
        /// Why.
        failure: Failure,
    },
    /// The device doesn't keep the release.
    #[error("{host} does not run {version}: {}", .verdict.reason())]
    NotKept {
        /// The device.
        host: String,
        /// The version.
        version: String,
        /// What it came to.
        verdict: Verdict,
    },
    /// There was no verdict in time.
    #[error("no verdict of {host} within {} s: {last}; the same command follows it again", .after.as_secs())]
    TimedOut {
        /// The device.
        host: String,
        /// The time.
        after: Duration,
        /// What was known last.
        last: String,
    },
}

impl Verdict {
    /// What became of the release, in words.
    fn reason(&self) -> String {
        match self {
            Verdict::Committed => "it does".into(),
            Verdict::GaveUp(GaveUp { outcome, step, reason }) => {
                format!("{outcome} at {step}: {reason}; the device runs what it ran before")
            }
            Verdict::Waits(why) => format!("it is installed and waits: {why}"),
            Verdict::NotTaken => {
                "the connection broke before the bundle was installed; the same command continues where it was".into()
            }
        }
    }
}

/// A bundle to be sent.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// What it is.
    pub release: Release,
    /// Its identity.
    pub identity: Digest,
    /// Bytes of the bundle.
    pub bytes: u64,
}

/// Which device, and how it is dealt with.
#[derive(Clone, Debug)]
pub struct DeployOptions {
    /// The device, for messages.
    pub host: String,
    /// Whether sudo is used there, for advice.
    pub sudo: bool,
    /// How long a verdict may take after the sending.
    pub timeout: Duration,
    /// Install it even though the device rejected it before.
    pub retry_rejected: bool,
}

/// What became of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The verdict.
    pub verdict: Verdict,
    /// The version that the device, or the component, runs now, as far as it said.
    pub running: Option<String>,
    /// Trials that it took.
    pub trials: u8,
    /// How long it took in all.
    pub took: Duration,
}

/// Send a bundle to a device, and follow it to the verdict.
///
/// # Errors
/// When the bundle can't be sent, the device refuses it, or the device gives no verdict in time. A device that goes back is a [`Verdict`],
/// not an error.
pub fn deploy(
    remote: &dyn Remote,
    parcel: &Parcel,
    input: &mut dyn Read,
    options: &DeployOptions,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Deployed, DeployError> {
    let watch = Stopwatch::start();
    let session = Session { remote, options, progress };
    let before = session.device()?;
    fits(&parcel.release, &before, options)?;
    let identity = parcel.identity.to_string();
    if before.state == "idle" && before.keeps(&identity) {
        let version = parcel.release.version.to_string();
        return Err(DeployError::Runs { host: options.host.clone(), version });
    }
    let follow = Follow::new(identity.clone(), &before);
    let is_on_its_way = before.update.as_ref().is_some_and(|update| update.release.full == identity)
        && !matches!(before.state.as_str(), "idle" | "installing" | "staged");
    if is_on_its_way {
        progress.note(&format!("{} has it already: {}", options.host, before.state));
    } else if session.send(parcel, input)? == Sent::Done {
        return Ok(Deployed {
            verdict: Verdict::Committed,
            running: Some(parcel.release.version.to_string()),
            trials: 0,
            took: watch.elapsed(),
        });
    }
    let (verdict, device) = session.follow(&follow, clock)?;
    Ok(Deployed {
        verdict,
        running: device.running().and_then(|slot| slot.version.clone()),
        trials: device.update.as_ref().map_or(0, |update| update.attempts),
        took: watch.elapsed(),
    })
}

/// Refuse early what the device would refuse after gigabytes.
fn fits(release: &Release, device: &Device, options: &DeployOptions) -> Result<(), DeployError> {
    let host = options.host.clone();
    match &device.product {
        None => Err(DeployError::Lost { host }),
        _ if device.state == "lost" => Err(DeployError::Lost { host }),
        Some(product) if *product != release.product() => {
            Err(DeployError::OtherProduct { host, device: product.clone(), bundle: release.product().into() })
        }
        _ if !release.boards.contains(&device.board) => Err(DeployError::OtherBoard {
            host,
            device: device.board.clone(),
            boards: release.boards.clone(),
        }),
        Some(_) => Ok(()),
    }
}

/// What the sending came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// The device tries it, or the connection broke: what it says of itself decides.
    UnderWay,
    /// The device is done with it: a component needs no reboot.
    Done,
}

struct Session<'a> {
    remote: &'a dyn Remote,
    options: &'a DeployOptions,
    progress: &'a dyn Progress,
}

impl Session<'_> {
    fn host(&self) -> String {
        self.options.host.clone()
    }

    fn status(&self) -> Result<Reply, DeployError> {
        let started = self.remote.run(&["status", "--json"], None, &mut |_| {});
        let ended = started.map_err(|source| DeployError::Start { host: self.host(), source })?;
        Ok(Reply::of(&ended))
    }

    fn device(&self) -> Result<Device, DeployError> {
        match self.status()? {
            Reply::Answer(answer) => self.read(&answer),
            other => Err(self.error(other)),
        }
    }

    fn read(&self, answer: &serde_json::Value) -> Result<Device, DeployError> {
        if answer.get("state").and_then(|state| state.as_str()) == Some("lost") {
            return Err(DeployError::Lost { host: self.host() });
        }
        Device::deserialize(answer).map_err(|e| DeployError::Unclear {
            host: self.host(),
            why: format!("its status has another form: {e}"),
        })
    }

    fn error(&self, reply: Reply) -> DeployError {
        let host = self.host();
        match reply {
            Reply::Failed(failure) => DeployError::Refused { host, failure },
            Reply::Away(why) => DeployError::Unreachable { host, why },
            Reply::NoProgram => DeployError::NoProgram { host },
            Reply::NotAllowed(why) => DeployError::NotAllowed { host, why, sudo: self.options.sudo },
            Reply::Unclear(why) => DeployError::Unclear { host, why },
            Reply::Answer(_) => DeployError::Unclear { host, why: "it answers something else".into() },
        }
    }

    fn send(&self, parcel: &Parcel, input: &mut dyn Read) -> Result<Sent, DeployError> {
        let component = parcel.release.component.clone();
        let mut words = match &component {
            Some(name) => vec!["component", "update", name.as_str(), "-"],
            None => vec!["update", "-"],
        };
        if self.options.retry_rejected {
            words.push("--retry-rejected");
        }
        words.extend(["--json", "--progress", "json"]);
        self.progress.begin(Stage::Send, parcel.bytes);
        let mut input = Counted { input, done: 0, progress: self.progress };
        let (host, progress) = (self.host(), self.progress);
        let mut on_line = |line: &str| {
            if let Some(text) = readable(line) {
                progress.note(&format!("{host}: {text}"));
            }
        };
        let ended = self.remote.run(&words, Some(&mut input), &mut on_line);
        let ended = ended.map_err(|source| DeployError::Send { host: self.host(), source })?;
        self.progress.end(Stage::Send);
        match Reply::of(&ended) {
            Reply::Answer(_) if component.is_some() => Ok(Sent::Done),
            Reply::Answer(_) => Ok(Sent::UnderWay),
            // A reboot ends the connection. If it was something else, the device says so.
            Reply::Away(_) if component.is_none() => Ok(Sent::UnderWay),
            other => Err(self.error(other)),
        }
    }

    fn follow(&self, follow: &Follow, clock: &dyn Clock) -> Result<(Verdict, Device), DeployError> {
        let begun = clock.now();
        let (mut last, mut missing) = (String::new(), 0);
        loop {
            let seen = match self.status()? {
                Reply::Answer(answer) => {
                    let device = self.read(&answer)?;
                    match follow.verdict(&device) {
                        Some(Verdict::NotTaken) if missing < SETTLED => missing += 1,
                        Some(verdict) => return Ok((verdict, device)),
                        None => missing = 0,
                    }
                    format!("{}, slot {} runs", device.state, device.booted)
                }
                Reply::Away(_) => "no connection: it reboots".into(),
                // While it boots, much is not there yet.
                other => self.error(other).to_string(),
            };
            if seen != last {
                self.progress.note(&format!("{}: {seen}", self.options.host));
                last = seen;
            }
            if clock.now().saturating_sub(begun) >= self.options.timeout.as_secs() {
                return Err(DeployError::TimedOut { host: self.host(), after: self.options.timeout, last });
            }
            clock.wait(POLL);
        }
    }
}

/// What a line of a device's standard error says to a person; `None` if nothing that is worth a line.
fn readable(line: &str) -> Option<String> {
    match serde_json::from_str(line) {
        Ok(ProgressLine::Begin(step)) => Some(step.stage),
        Ok(ProgressLine::Note { text, .. }) => Some(text),
        Ok(ProgressLine::Progress(_) | ProgressLine::End(_)) => None,
        Err(_) if line.starts_with('{') => state(line),
        // A failure is in the answer.
        Err(_) if line.starts_with("error: ") || line.is_empty() => None,
        Err(_) => Some(line.into()),
    }
}

/// The state that an event reports. Other events are for programs.
fn state(line: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_state = event.get("type").and_then(|kind| kind.as_str()) == Some("update.state");
    let state = event.get("data").filter(|_| is_state)?.get("state")?.as_str()?;
    Some(state.into())
}

/// Tells how much was read.
struct Counted<'a> {
    input: &'a mut dyn Read,
    done: u64,
    progress: &'a dyn Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read(into)?;
        self.done += got as u64;
        self.progress.advance(Stage::Send, self.done);
        Ok(got)
    }
}
