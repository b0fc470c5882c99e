//! What deliveries and hooks need of the world; tests have a twin in memory.
use super::{Answer, Cursors, Now, Target};
use crate::{
    config::Program,
    events::{Entry, Kind},
};
use serde_json::Value;
use std::{io, path::Path, time::Duration};

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Headers beyond those of every request.
    pub headers: Vec<(&'static str, String)>,
    /// The body, which is JSON.
    pub body: String,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The last line that it printed.
    pub said: String,
}

/// The world.
pub trait Outside {
    /// The clocks.
    fn now(&mut self) -> Now;

    /// Seconds since 1970, believed or not: a message says when it was sent.
    fn time(&mut self) -> u64;

    /// What this device is called.
    fn device(&mut self) -> String;

    /// The webhooks that are configured.
    ///
    /// # Errors
    /// Why the configuration can't be used: then all stays as it was.
    fn targets(&mut self) -> io::Result<Vec<Target>>;

    /// The hooks of that type of event, in their order.
    fn hooks(&mut self, kind: &str) -> Vec<Program>;

    /// How long a hook may take.
    fn hook_timeout(&mut self) -> Duration;

    /// Events with higher numbers, at most this many, and the number up to which the log was searched; a caller that wants none learns the
    /// newest number.
    ///
    /// # Errors
    /// When the log can't be read.
    fn events(&mut self, after: u64, most: usize) -> io::Result<(Vec<Entry>, u64)>;

    /// How far each target is; nothing is known of one that isn't there.
    fn cursors(&mut self) -> Cursors;

    /// Keep that, durably.
    ///
    /// # Errors
    /// When it can't be kept: some events are sent again after a restart.
    fn keep(&mut self, cursors: &Cursors) -> io::Result<()>;

    /// Send a message to an address; the whole exchange takes a bounded time, and no redirect is followed.
    fn post(&mut self, url: &str, message: &Message) -> Answer;

    /// The push gateway that is configured, and how often it is served.
    fn push(&mut self) -> Option<(String, Duration)>;

    /// What is measured, as text.
    fn metrics(&mut self) -> Option<String>;

    /// Put a text to an address, as [`post`](Self::post) does.
    fn put(&mut self, url: &str, text: &str) -> Answer;

    /// Run a program with something to read, without a shell; it and all that it started are killed after `timeout`.
    ///
    /// # Errors
    /// Why there is no exit code.
    fn run(&mut self, program: &Path, input: &str, timeout: Duration) -> Result<Ran, String>;

    /// Report something into the event log, some time soon.
    fn report(&mut self, kind: Kind, source: &'static str, data: Value);

    /// The secret in a file.
    ///
    /// # Errors
    /// Why it can't be used.
    fn secret(&mut self, path: &Path) -> Result<String, String>;
}
