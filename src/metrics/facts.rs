//! What a scrape is a function of.
use crate::{config::Component, events::Fold, status::Status};
use std::time::Duration;

/// What is known of the device.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What follows from all events.
    pub fold: &'a Fold,
    /// Where the device is; `None` if it can't be read.
    pub status: Option<&'a Status>,
    /// What is declared beside the slots.
    pub components: &'a [Component],
    /// File systems.
    pub storage: Vec<Storage>,
    /// Whether the wall clock is synchronized.
    pub synchronized: bool,
    /// Since when something holds a switch off.
    pub inhibited: Duration,
    /// What only the daemon knows.
    pub live: Live,
}

/// What only the daemon knows, of this run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Its memory, in bytes.
    pub resident: Option<u64>,
    /// Whether the running release is healthy.
    pub healthy: Option<bool>,
    /// How long it took to find that out.
    pub checked_in: Option<Duration>,
}

/// A file system.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// Its word: `root`, `persistent`.
    pub name: &'static str,
    /// The part in use, from 0 to 1.
    pub used: f64,
}
