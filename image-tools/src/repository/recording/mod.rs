//! What channels' files tell the [audit](super::audit), and whether the two agree.
use super::audit::{AuditError, Commit, Entry, Record, add, following, newest, timestamp};
use super::channel::{ChannelError, ChannelFile, ChannelLog};
use super::sequence::Sequence;
use super::store::Store;
use crate::clock::Clock;

mod verify;

pub use verify::{Verified, verify};

/// Why the audit can't be completed, or held against the channels.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The audit can't be read or written, or isn't whole.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A channel can't be read.
    #[error("the audit can't be completed: channel {name} can't be read")]
    Channel {
        /// The channel.
        name: String,
        /// Why.
        source: Box<ChannelError>,
    },
}

/// Record what channel's files tell and no record says yet, in their order: all up to number `up_to`.
///
/// # Errors
/// [`AuditError::Lost`] if a later one is recorded, and isn't there. See [`RecordingError`].
pub fn catch_up(
    store: &Store,
    clock: &dyn Clock,
    log: &ChannelLog<'_>,
    up_to: u64,
) -> Result<u64, RecordingError> {
    let name = log.name();
    let channel = |e| RecordingError::Channel { name: name.into(), source: Box::new(e) };
    let mut added = 0;
    let mut last = newest(store)?;
    let recorded = recorded_in(last.as_ref(), name);
    // More than there was a moment ago is valid, if it was committed since.
    if recorded > up_to
        && store.size(&Sequence::Channel(name.into()).path(recorded)).map_err(AuditError::from)?.is_none()
    {
        return Err(AuditError::Lost { place: store.place().into(), name: name.into(), recorded }.into());
    }
    loop {
        let recorded = recorded_in(last.as_ref(), name);
        let found = (recorded + 1..=up_to).find_map(|next| match log.history(next) {
            Err(ChannelError::LostNumber { .. }) => None,
            file => Some(file.map(|file| (next, file))),
        });
        let Some(found) = found else { return Ok(added) };
        let (next, file) = found.map_err(channel)?;
        let record = of_channel(&file);
        let done = add(store, clock, last, |last| {
            // Another writer may have recorded it meanwhile.
            if recorded_in(last, name) != recorded {
                return None;
            }
            let mut following = following(last);
            following.channels.insert(name.into(), next);
            Some(Record {
                sequence: following.sequence,
                previous: following.previous,
                channels: following.channels,
                ..record.clone()
            })
        })?;
        added += u64::from(done.is_some());
        last = match done {
            Some(done) => Some(done),
            None => newest(store)?,
        };
    }
}

/// Up to which number a channel is recorded.
fn recorded_in(last: Option<&Entry>, name: &str) -> u64 {
    last.and_then(|l| l.record.channels.get(name)).copied().unwrap_or(0)
}

/// What the record of a channel's file says, but for its place in the chain.
fn of_channel(file: &ChannelFile) -> Record {
    let channel = &file.channel;
    Record {
        at: timestamp(channel.issued_at),
        who: channel.act.by.clone(),
        verb: channel.act.verb.clone(),
        about: channel.act.about.clone(),
        channel: Some(Commit {
            name: channel.name.clone(),
            sequence: channel.sequence,
            digest: file.digest.to_string(),
        }),
        ..following(None)
    }
}
