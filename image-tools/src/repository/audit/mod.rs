//! The audit: who did what, when. Numbered records, each of which names the one before by its digest, so that none can be
//! changed or taken out without all later ones being written again.
//!
//! ```text
//! audit/00000041.json        audit/00000042.json
//! { sequence: 41,      ◄──── { sequence: 42, previous: <SHA-256 of the file 41>,
//!   channels: {                at, who, verb, about,
//!     staging: 6 } }           channel: { name: staging, sequence: 7, digest },
//!                              channels: { staging: 7 } }
//! ```
//! What was done to a channel is in the channel's own signed file; its record repeats it. Each record also says up to which number
//! each channel is recorded (`channels`). So what is missing is known from the newest record alone, and whoever comes next
//! [catches up](super::recording::catch_up): a program that died between the two, or two that catch up at once, leave each act recorded exactly once.
use super::sequence::Sequence;
use super::store::{Claim, Store, StoreError};
use crate::clock::{Clock, back_off};
use bistable_format::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The schema of records. Rises when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;
/// Most bytes of a record.
pub const RECORD_BYTES: usize = 64 << 10;
/// Tries against others who write at once. Each that fails means that another's record was made.
const TRIES: u32 = 200;

/// An act that is in no channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Who.
    pub who: String,
    /// The verb: `init`, `root`, `prune`, `sync`, …
    pub verb: String,
    /// What it was about.
    pub about: String,
}

/// A channel's file, as a record names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Commit {
    /// The channel.
    pub name: String,
    /// The file's number.
    pub sequence: u64,
    /// SHA-256 of the file.
    pub digest: String,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// 1, 2, 3, …: the number in the file's name.
    pub sequence: u64,
    /// SHA-256 of the file before; none for the first.
    pub previous: Option<String>,
    /// When it was done, RFC 3339 in UTC.
    pub at: String,
    /// Who did it.
    pub who: String,
    /// What.
    pub verb: String,
    /// About what.
    pub about: String,
    /// The channel's file that did it, if one did.
    pub channel: Option<Commit>,
    /// Up to which number each channel is recorded, with this record.
    pub channels: BTreeMap<String, u64>,
    /// At random, for what no channel's file tells apart.
    pub nonce: Option<String>,
}

/// Why the audit can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is missing.
    #[error(
        "audit record {sequence} of {place} is missing: it was removed, or the copy is incomplete; restore {} from a mirror or a \
         backup, since what it said is nowhere else", bistable_format::repository::audit(*sequence)
    )]
    Missing {
        /// The repository.
        place: String,
        /// The record's number.
        sequence: u64,
    },
    /// A record isn't one.
    #[error("audit record {sequence} of {place} is damaged: {why}")]
    Damaged {
        /// The repository.
        place: String,
        /// The record's number.
        sequence: u64,
        /// What is wrong.
        why: String,
    },
    /// It tells of files of a channel that aren't there.
    #[error(
        "the audit of {place} tells of number {recorded} of channel {name}, which isn't there: files were lost; bring them back from a copy (`bistable-image sync`, or a backup) before anything else is done, or devices that saw them refuse what comes instead"
    )]
    Lost {
        /// The repository.
        place: String,
        /// The channel.
        name: String,
        /// The number.
        recorded: u64,
    },
    /// Others were always faster.
    #[error("{place} is too busy: another program was faster {TRIES} times; try again")]
    Busy {
        /// The repository.
        place: String,
    },
    /// The system gives no randomness.
    #[error("the system gives no random numbers")]
    Random,
}

/// A record, with the digest of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it says.
    pub record: Record,
    /// SHA-256 of its file.
    pub digest: Digest,
}

/// The newest record; none if there is none.
///
/// # Errors
/// See [`AuditError`].
pub fn newest(store: &Store) -> Result<Option<Entry>, AuditError> {
    match Sequence::Audit.newest(store)? {
        0 => Ok(None),
        n => get(store, n).map(Some),
    }
}

/// Whether the newest record names this channel.
///
/// # Errors
/// When the store fails.
pub(super) fn knows(store: &Store, channel: &str) -> Result<bool, StoreError> {
    match newest(store) {
        Ok(newest) => Ok(newest.is_some_and(|newest| newest.record.channels.contains_key(channel))),
        Err(AuditError::Store(e)) => Err(e),
        // A damaged record is evidence of nothing.
        Err(_) => Ok(false),
    }
}

/// The record of a number.
///
/// # Errors
/// See [`AuditError`].
pub fn get(store: &Store, sequence: u64) -> Result<Entry, AuditError> {
    let bytes = store.get(&Sequence::Audit.path(sequence), RECORD_BYTES)?;
    let bytes = bytes.ok_or_else(|| AuditError::Missing { place: store.place().into(), sequence })?;
    decode(store, sequence, &bytes)
}

/// The newest `last` records, oldest first.
///
/// # Errors
/// See [`AuditError`].
pub fn tail(store: &Store, last: u64) -> Result<Vec<Entry>, AuditError> {
    let newest = Sequence::Audit.newest(store)?;
    (newest.saturating_sub(last) + 1..=newest).map(|n| get(store, n)).collect()
}

/// Record an act that no channel's file tells of.
///
/// # Errors
/// See [`AuditError`].
pub fn append(store: &Store, clock: &dyn Clock, act: &Act) -> Result<Entry, AuditError> {
    let nonce = getrandom::u64().map_err(|_| AuditError::Random)?;
    let at = timestamp(clock.now());
    let added = add(store, clock, newest(store)?, |last| {
        Some(Record {
            at: at.clone(),
            who: act.who.clone(),
            verb: act.verb.clone(),
            about: act.about.clone(),
            nonce: Some(format!("{nonce:016x}")),
            ..following(last)
        })
    })?;
    // It always wants to be added.
    added.ok_or(AuditError::Random)
}

/// Record an act that can be done only once, unless a record tells of it: one of those, from the newest back, for which
/// `may_be` holds.
///
/// # Errors
/// See [`AuditError`].
pub fn append_once(
    store: &Store,
    clock: &dyn Clock,
    act: &Act,
    may_be: impl Fn(&Record) -> bool,
) -> Result<(), AuditError> {
    for sequence in (1..=Sequence::Audit.newest(store)?).rev() {
        let record = get(store, sequence)?.record;
        if record.channel.is_none() && (&record.verb, &record.about) == (&act.verb, &act.about) {
            return Ok(());
        }
        if !may_be(&record) {
            break;
        }
    }
    append(store, clock, act).map(|_| ())
}

/// A record after this one that says nothing yet.
pub(super) fn following(last: Option<&Entry>) -> Record {
    Record {
        schema: SCHEMA,
        sequence: last.map_or(1, |l| l.record.sequence + 1),
        previous: last.map(|l| l.digest.to_string()),
        at: String::new(),
        who: String::new(),
        verb: String::new(),
        about: String::new(),
        channel: None,
        channels: last.map(|l| l.record.channels.clone()).unwrap_or_default(),
        nonce: None,
    }
}

/// Add the record that `next` wants after the last one. It is asked again after each record that another writer added first, and
/// can say that there is nothing to add any more.
pub(super) fn add(
    store: &Store,
    clock: &dyn Clock,
    mut last: Option<Entry>,
    next: impl Fn(Option<&Entry>) -> Option<Record>,
) -> Result<Option<Entry>, AuditError> {
    for tries in 1..=TRIES {
        let Some(record) = next(last.as_ref()) else { return Ok(None) };
        let sequence = record.sequence;
        let bytes = encode(store, &record)?;
        let theirs = match store.claim(&Sequence::Audit.path(sequence), &bytes, RECORD_BYTES)? {
            Claim::Ours => {
                Sequence::Audit.remember(store, sequence);
                return Ok(Some(Entry { record, digest: Digest::of(&bytes) }));
            }
            Claim::Theirs(bytes) => bytes,
        };
        last = Some(decode(store, sequence, &theirs)?);
        if tries > 2 {
            clock.wait(back_off(tries / 2));
            // Many were faster: don't walk after them one by one.
            last = newest(store)?;
        }
    }
    Err(AuditError::Busy { place: store.place().into() })
}

fn encode(store: &Store, record: &Record) -> Result<Vec<u8>, AuditError> {
    let damaged =
        |why: String| AuditError::Damaged { place: store.place().into(), sequence: record.sequence, why };
    let mut bytes = serde_json::to_vec(record).map_err(|e| damaged(e.to_string()))?;
    bytes.push(b'\n');
    if bytes.len() > RECORD_BYTES {
        return Err(damaged(format!("it would have more than {RECORD_BYTES} bytes")));
    }
    Ok(bytes)
}

/// A record of its file.
pub(super) fn decode(store: &Store, sequence: u64, bytes: &[u8]) -> Result<Entry, AuditError> {
    let damaged = |why: String| AuditError::Damaged { place: store.place().into(), sequence, why };
    let record: Record = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
    if record.schema != SCHEMA {
        return Err(damaged(format!("schema {}, and this version reads {SCHEMA}", record.schema)));
    }
    if record.sequence != sequence {
        return Err(damaged(format!("it says that its number is {}", record.sequence)));
    }
    Ok(Entry { record, digest: Digest::of(bytes) })
}

/// RFC 3339 in UTC.
pub(crate) fn timestamp(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    at.unwrap_or(jiff::Timestamp::MAX).to_string()
}
