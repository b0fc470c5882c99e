//! When past updates ended: what the journal has of them, with what the event log has.
use crate::{
    Device,
    events::{self, End},
    status::Date,
};

/// When each past update ended, as far as the log knows. The newest ones are held against each other first: the same release
/// may have ended in the same way before.
pub(super) fn dates(device: &Device, ends: &[End]) -> Vec<Option<Date>> {
    let mut ends = ends.iter().rev().peekable();
    let mut dates: Vec<Option<Date>> = device
        .record
        .history
        .iter()
        .rev()
        .map(|entry| {
            let ended = events::ended(entry)?;
            // What the log doesn't have is passed over; what the journal doesn't have, too.
            let mut rest = ends.clone();
            let end = rest.find(|end| end.release == ended.release && end.kind == ended.kind)?;
            ends = rest;
            Some(Date { time: end.timestamp.clone(), synchronized: end.synchronized })
        })
        .collect();
    dates.reverse();
    dates
}
