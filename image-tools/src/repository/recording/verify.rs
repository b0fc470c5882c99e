//! The whole audit, walked through and held against the channels' files.
use super::{RecordingError, of_channel};
use crate::repository::audit::{AuditError, Entry, get};
use crate::repository::channel::{ChannelError, ChannelLog, names};
use crate::repository::roots::Roots;
use crate::repository::sequence::Sequence;
use crate::repository::store::Store;
use std::collections::BTreeMap;

/// What was found to be whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Records.
    pub records: u64,
    /// Up to which number each channel is recorded.
    pub channels: BTreeMap<String, u64>,
    /// Channels with files that no record tells of yet, with how many: `audit repair` adds them.
    pub missing: BTreeMap<String, u64>,
}

/// Walk through all records: numbers without a gap, each naming the one before, each act of a channel once, in order and as the
/// channel's signed file says it.
///
/// # Errors
/// The first record that isn't right.
pub fn verify(store: &Store, roots: &Roots) -> Result<Verified, RecordingError> {
    let newest = Sequence::Audit.newest(store).map_err(AuditError::from)?;
    let mut last: Option<Entry> = None;
    for sequence in 1..=newest {
        let entry = get(store, sequence)?;
        follows(store, roots, last.as_ref(), &entry)?;
        last = Some(entry);
    }
    let channels = last.map(|l| l.record.channels).unwrap_or_default();
    let mut missing = BTreeMap::new();
    for name in names(store).map_err(AuditError::from)? {
        let there = Sequence::Channel(name.clone()).newest(store).map_err(AuditError::from)?;
        let recorded = channels.get(&name).copied().unwrap_or(0);
        if there > recorded {
            missing.insert(name, there - recorded);
        }
    }
    Ok(Verified { records: newest, channels, missing })
}

fn follows(store: &Store, roots: &Roots, last: Option<&Entry>, entry: &Entry) -> Result<(), RecordingError> {
    let record = &entry.record;
    let damaged = |why: String| {
        Err(AuditError::Damaged { place: store.place().into(), sequence: record.sequence, why }.into())
    };
    if record.previous != last.map(|l| l.digest.to_string()) {
        return damaged("it doesn't name the record before it: one of the two was changed".into());
    }
    let mut channels = last.map(|l| l.record.channels.clone()).unwrap_or_default();
    if let Some(commit) = &record.channel {
        let recorded = channels.insert(commit.name.clone(), commit.sequence).unwrap_or(0);
        let log = ChannelLog::new(store, roots, &commit.name);
        let channel = |e| RecordingError::Channel { name: commit.name.clone(), source: Box::new(e) };
        let mut next = recorded + 1;
        while next < commit.sequence && log.is_lost(next).map_err(channel)? {
            next += 1;
        }
        if next != commit.sequence {
            return damaged(format!(
                "it tells of number {} of channel {}, after number {recorded}",
                commit.sequence, commit.name
            ));
        }
        let same = match log.history(commit.sequence) {
            // It was lost since, and its number given up: the record is all that is left of it.
            Err(ChannelError::LostNumber { .. }) => true,
            file => {
                let told = of_channel(&file.map_err(channel)?);
                (&told.channel, &told.at, &told.who, &told.verb, &told.about)
                    == (&record.channel, &record.at, &record.who, &record.verb, &record.about)
            }
        };
        if !same {
            return damaged(format!(
                "the file {} of channel {} says something else",
                commit.sequence, commit.name
            ));
        }
    }
    if channels != record.channels {
        return damaged("it doesn't say rightly how far the channels are recorded".into());
    }
    Ok(())
}
