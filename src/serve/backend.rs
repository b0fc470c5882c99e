//! The port behind the server: what answers it. The daemon implements it; tests have a twin in memory.
//!
//! The server calls what may block (`look`, `ask`, `cancel`, `events`, `inhibitors`, `inhibit`, `release`, `config`, `metrics`, `token_store`) on threads of its own, several at once,
//! and gives an answer up after a while. The others answer from memory.
use super::token_store::TokenStore;
use crate::{
    app::{Asker, BundleStream, Document, Holding, Inhibit, Job, NotCancelled, NotInhibited, Request},
    events::{Entry, Filter},
    metrics::Format,
    steps::{health::CheckReport, selftest::millis},
};
use serde::Serialize;
use std::time::Duration;

/// Answers the server's requests.
pub trait Backend: Send + Sync + 'static {
    /// The answer to `status` or `history`, without waiting for what is being done.
    ///
    /// # Errors
    /// The failure, as the command line prints it.
    fn look(&self, request: &Request) -> Result<Document, Box<Document>>;

    /// A number that changes whenever [`look`](Backend::look) would answer something else, as soon as that is known: an answer
    /// is used again for a second at most, and only while this number is the same. It may be a count of steps and jobs.
    fn revision(&self) -> u64;

    /// Whether this asker may ask for this. Whoever could open the socket may, unless the backend knows better.
    fn admits(&self, _by: &Asker, _request: &Request) -> bool {
        true
    }

    /// Put a request into the queue, with the bundle if whoever asks sends one.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing of it is done then.
    fn ask(&self, request: Request, by: Asker, bundle: Option<BundleStream>) -> Result<Job, NotTaken>;

    /// The jobs that are remembered, the oldest first.
    fn jobs(&self) -> Vec<Job>;

    /// The job of that name.
    fn job(&self, id: &str) -> Option<Job>;

    /// Take back a job that has not begun, or stop one that is being done before its switch.
    ///
    /// # Errors
    /// Why it continues.
    fn cancel(&self, id: &str) -> Result<Job, NotCancelled>;

    /// The first events that a filter wants, by number, at most `limit`: from the log on the disk.
    ///
    /// # Errors
    /// The failure, as the command line prints it.
    fn events(&self, filter: &Filter, limit: usize) -> Result<Found, Box<Document>>;

    /// What holds a switch off.
    fn inhibitors(&self) -> Vec<Holding>;

    /// Hold a switch off.
    ///
    /// # Errors
    /// When that can't be, or there is no room for one more.
    fn inhibit(&self, asked: &Inhibit, by: &Asker) -> Result<Holding, NotInhibited>;

    /// End an inhibitor: one of the asker's, or `any`.
    ///
    /// # Errors
    /// When there is none of that name, or it is another's.
    fn release(&self, id: &str, by: &Asker, any: bool) -> Result<Holding, NotInhibited>;

    /// What `config show` answers.
    ///
    /// # Errors
    /// The failure, as the command line prints it.
    fn config(&self) -> Result<Document, Box<Document>>;

    /// Have the configuration read again now, for whoever asks: what `config check` answers. One with a problem changes nothing.
    ///
    /// # Errors
    /// The failure, as the command line prints it: the configuration of before still counts.
    fn reload(&self, by: Asker) -> Result<Document, Box<Document>>;

    /// What the device measures of itself.
    ///
    /// # Errors
    /// The failure, as the command line prints it.
    fn metrics(&self, format: Format) -> Result<String, Box<Document>>;

    /// How the running release is, as of the last round of its checks.
    fn readiness(&self) -> HealthNow;

    /// Whose tokens are taken on the web page's socket.
    fn token_store(&self) -> TokenStore;

    /// Whether the daemon's loop lives, and what it does next.
    fn outlook(&self) -> Outlook;
}

/// Events that were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Those that the filter wants, by number.
    pub events: Vec<Entry>,
    /// The log was searched up to this number: whoever wants what comes next asks for events after it. At least the number of
    /// the last event found, at least the filter's `after`; the newest event's if the limit didn't end the search.
    pub searched: u64,
}

/// Whether the daemon's loop lives, and what it does next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Outlook {
    /// Whether the loop answers, or is within a step that still reports progress.
    pub alive: bool,
    /// What it does now: an operation, if it does anything.
    pub doing: Option<String>,
    /// What it does next by itself, if anything.
    pub next: Option<String>,
    /// When (RFC 3339), if that is known.
    pub at: Option<String>,
    /// Why not sooner, or why nothing: human-readable.
    pub why: Option<String>,
}

/// How the running release is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HealthNow {
    /// Whether all required health checks are good; `None` if that is not known.
    pub healthy: Option<bool>,
    /// Why not, or why that is not known, or that there is nothing to check: human-readable.
    pub reason: Option<String>,
    /// The version that runs.
    pub version: Option<String>,
    /// How long the last round of checks took.
    #[serde(rename = "took_ms", serialize_with = "millis")]
    #[cfg_attr(test, schemars(with = "u64"))]
    pub took: Duration,
    /// Each check, as it was asked last.
    pub checks: Vec<CheckReport>,
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// As many requests wait as may wait.
    #[error("too many requests wait already: try again later")]
    Busy,
    /// The agent has ended: the machine or the daemon goes down.
    #[error("the agent has ended: the machine or the daemon is going down")]
    Closed,
    /// A trial is undecided.
    #[error("the release on trial is not decided yet: only reads are served until then")]
    Trial,
}
