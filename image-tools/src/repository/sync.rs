//! Sync: the same repository in another place: a bucket, a USB stick. Only what is missing is copied, and always what is named
//! before what names it: whoever reads the copy meanwhile finds the state of before, or that of after.
//!
//! ```text
//! blobs ─► roots ─► versions ─► attestations ─► channels' newest files ─► older ones, backwards ─► audit, in order ─► hints
//! ```
//! A copy that has not all of the history says so in a file, [`PARTIAL`]: it can be read like any other, but nobody may act on it.
use super::audit::{self, Act, AuditError};
use super::catalog::{self, CatalogError};
use super::channel::{self, ChannelError, Log};
use super::contents::{self, ContentsError, Part};
use super::hold::{Hold, HoldError};
use super::index;
use super::roots::{Roots, RootsError};
use super::store::{Claim, Created, Store, StoreError};
use crate::clock::Clock;
use bistable_format::{Digest, Envelope, bundle, repository as names};
use std::collections::BTreeSet;

/// Says that a copy has not all of its original's history.
pub const PARTIAL: &str = "partial-copy";
/// For whoever finds the file.
const PARTIAL_TEXT: &[u8] = b"This is a copy of what is on offer elsewhere, without the history: act on the original, and copy again.\n";
/// Most bytes of the file of a version's name.
const VERSION_BYTES: usize = 128;

/// What is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is on offer: enough for devices.
    Offers,
    /// Everything that the channels ever had, as far as it is there: a mirror.
    Everything,
}

/// Why it can't be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The roots of one of the two.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// Of a channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Of a catalogue.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Of a release.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// A prune of the copy is at it.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// There is no such channel.
    #[error("{place} has no channel {name}; it has: {there}")]
    NoChannel {
        /// The original.
        place: String,
        /// What was asked for.
        name: String,
        /// What there is.
        there: String,
    },
    /// The copy went its own way.
    #[error(
        "{path} is not the same in {from} and in {to}: somebody published in both. Only one of them can be the original"
    )]
    Diverged {
        /// The file.
        path: String,
        /// The original.
        from: String,
        /// The copy.
        to: String,
    },
    /// Both are one.
    #[error("{0} can't be copied onto itself")]
    Itself(String),
}

/// What was copied.
#[derive(Debug, Default)]
pub struct Copied {
    /// Files that were missing.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already.
    pub there: u64,
    /// Why the original has no record of it, if it lacks it: it can be copied from where nobody may write.
    pub unrecorded: Option<AuditError>,
}

/// What is copied, and who does it.
#[derive(Clone, Copy, Debug)]
pub struct Copying<'a> {
    /// How much.
    pub extent: Extent,
    /// Only these channels; all, if it is empty.
    pub only: &'a [String],
    /// Who, for the audit.
    pub who: &'a str,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// Whether this is a copy that nobody may act on.
///
/// # Errors
/// Whatever keeps that from being known.
pub fn is_partial(store: &Store) -> Result<bool, StoreError> {
    Ok(store.size(PARTIAL)?.is_some())
}

/// Copy what is missing. What is signed is verified on the way, and each blob against its name: a copy is never worse than its
/// original.
///
/// # Errors
/// See [`SyncError`]. Doing it again goes on where it was.
pub fn sync(
    from: &Store,
    to: &Store,
    how: Copying<'_>,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Copied, SyncError> {
    if from.place() == to.place() {
        return Err(SyncError::Itself(from.place().into()));
    }
    let roots = Roots::load(from)?;
    let all = channel::names(from)?;
    if let Some(name) = how.only.iter().find(|name| !all.contains(name)) {
        let (place, name) = (from.place().into(), name.clone());
        return Err(SyncError::NoChannel { place, name, there: all.join(", ") });
    }
    let wanted: Vec<&String> = all.iter().filter(|n| how.only.is_empty() || how.only.contains(n)).collect();
    let everything = how.extent == Extent::Everything;
    if let Some(theirs) = to.get(&names::root(1), Envelope::MAX_BYTES)?
        && theirs != roots.first().bytes
    {
        return Err(RootsError::Other { place: to.place().into() }.into());
    }
    let mut work = Work { from, to, copied: Copied::default(), progress };
    let mut newest = Vec::new();
    let (mut identities, mut blobs) = (BTreeSet::new(), BTreeSet::new());
    for name in &wanted {
        let file = Log::new(from, &roots, name.as_str()).newest()?;
        // Before anything is copied: what went its own way is left alone.
        work.same_so_far(name, file.channel.sequence)?;
        let mut releases: BTreeSet<Digest> = file.channel.offers.iter().map(|o| o.release).collect();
        let offered = releases.clone();
        identities.extend(file.channel.offers.iter().map(|o| o.identity));
        for entry in catalog::newest_first(from, &file.channel.catalog) {
            let entry = entry?;
            if everything {
                releases.insert(entry.release);
                identities.insert(entry.identity);
            }
        }
        let segments = file.channel.catalog.iter();
        blobs.extend(segments.map(|s| Part { digest: s.digest, bytes: s.bytes.into() }));
        for release in releases {
            match contents::read(from, &roots, &release) {
                // A copy of what was on offer has no others.
                Err(ContentsError::NoRelease { .. }) if !offered.contains(&release) => {}
                stored => blobs.extend(stored?.parts()),
            }
        }
        newest.push((*name, file.channel.sequence));
    }
    // A copy that has all of the history keeps it.
    let whole = work.begin(everything && how.only.is_empty())?;
    let _hold = Hold::take(to, how.clock, blobs.iter().map(|part| part.digest))?;
    for part in &blobs {
        work.blob(&part.digest, part.bytes)?;
    }
    work.small("oci-layout", bundle::LAYOUT.len())?;
    for version in 1..=roots.newest().root.version {
        work.small(&names::root(version), Envelope::MAX_BYTES)?;
    }
    for file in from.list("versions")? {
        let named = from.get(&file.path, VERSION_BYTES)?;
        let named = named.and_then(|text| Digest::parse(String::from_utf8_lossy(&text).trim()));
        if whole || named.is_some_and(|id| identities.contains(&id)) {
            work.small(&file.path, VERSION_BYTES)?;
        }
    }
    for identity in &identities {
        for file in from.list(&names::attestations(identity))? {
            work.small(&file.path, Envelope::MAX_BYTES)?;
        }
    }
    for (name, sequence) in &newest {
        // The newest first, then back: with a gap, a reader finds the one before the gap by its hint, or the newest.
        let first = if whole { 1 } else { *sequence };
        for number in (first..=*sequence).rev() {
            work.small(&names::channel(name, number), Envelope::MAX_BYTES)?;
        }
    }
    // Now that it is true, and before the audit, which a mirror has, too.
    work.copied.unrecorded = work.record(&how, &newest).err();
    if whole {
        let records = from.list("audit")?;
        for file in records.iter().filter(|f| is_record(&f.path)) {
            work.small(&file.path, audit::RECORD_BYTES)?;
        }
        work.hint(&names::audit_hint())?;
    }
    for (name, _) in &newest {
        work.hint(&names::channel_hint(name))?;
    }
    index::refresh(to, &Roots::load(to)?)?;
    if whole {
        to.delete(PARTIAL)?;
    }
    Ok(work.copied)
}

fn is_record(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|file| names::audit_sequence(file).is_some())
}

struct Work<'a> {
    from: &'a Store,
    to: &'a Store,
    copied: Copied,
    progress: &'a mut dyn FnMut(&str, u64),
}

impl Work<'_> {
    fn diverged(&self, path: &str) -> SyncError {
        SyncError::Diverged { path: path.into(), from: self.from.place().into(), to: self.to.place().into() }
    }

    /// Whether the copy has, or comes to have, all of the history. Marks it as a part until it has.
    fn begin(&self, everything: bool) -> Result<bool, StoreError> {
        let new = channel::names(self.to)?.is_empty();
        if new {
            self.to.put(PARTIAL, PARTIAL_TEXT)?;
        }
        Ok(everything || !is_partial(self.to)?)
    }

    /// Record what was copied where, once for each state of the channels.
    fn record(&self, how: &Copying<'_>, newest: &[(&String, u64)]) -> Result<(), AuditError> {
        let state: Vec<_> = newest.iter().map(|(name, sequence)| format!("{name} {sequence}")).collect();
        let about = format!("{} to {}", state.join(", "), self.to.place());
        let act = Act { who: how.who.into(), verb: "sync".into(), about };
        // An earlier record can't tell of this state.
        let may_be = |record: &audit::Record| {
            newest.iter().all(|(name, sequence)| record.channels.get(*name).is_some_and(|n| n >= sequence))
        };
        audit::append_once(self.from, how.clock, &act, may_be)
    }

    /// Whether the copy has no file of a channel that the original doesn't have.
    fn same_so_far(&self, name: &str, newest: u64) -> Result<(), SyncError> {
        let there = self.to.list(&names::channel_folder(name))?;
        let numbers = there.iter().filter_map(|f| names::channel_sequence(f.path.rsplit('/').next()?));
        let Some(last) = numbers.max() else { return Ok(()) };
        let path = names::channel(name, last);
        let both = [self.from, self.to].map(|s| s.get(&path, Envelope::MAX_BYTES));
        let [ours, theirs] = both;
        if last > newest || ours? != theirs? { Err(self.diverged(&path)) } else { Ok(()) }
    }

    fn blob(&mut self, digest: &Digest, bytes: u64) -> Result<(), SyncError> {
        let path = names::blob(digest);
        if self.to.size(&path)? == Some(bytes) {
            self.copied.there += 1;
            return Ok(());
        }
        let gone = || ContentsError::NoRelease { place: self.from.place().into(), path: path.clone() };
        let reader = self.from.read(&path)?.ok_or_else(gone)?;
        let mut checked = Checked { reader, hasher: bistable_format::Hasher::new() };
        let created = self.to.upload(&path, &mut checked, bytes)?;
        if created == Created::Created && checked.hasher.finish() != *digest {
            // Never a wrong byte under a right name.
            self.to.delete(&path)?;
            return Err(ContentsError::Damaged { place: self.from.place().into(), path }.into());
        }
        self.count(&path, bytes);
        Ok(())
    }

    /// A small file that is created once and never changes.
    fn small(&mut self, path: &str, limit: usize) -> Result<(), SyncError> {
        let Some(bytes) = self.from.get(path, limit)? else { return Ok(()) };
        if self.to.get(path, limit)?.is_some_and(|there| there == bytes) {
            self.copied.there += 1;
            return Ok(());
        }
        match self.to.claim(path, &bytes, limit)? {
            Claim::Ours => {
                self.count(path, bytes.len() as u64);
                Ok(())
            }
            Claim::Theirs(_) => Err(self.diverged(path)),
        }
    }

    fn hint(&mut self, path: &str) -> Result<(), SyncError> {
        if let Some(bytes) = self.from.get(path, 64)? {
            self.to.put(path, &bytes)?;
        }
        Ok(())
    }

    fn count(&mut self, path: &str, bytes: u64) {
        self.copied.files += 1;
        self.copied.bytes += bytes;
        (self.progress)(path, bytes);
    }
}

/// Hashes what is read.
struct Checked<R> {
    reader: R,
    hasher: bistable_format::Hasher,
}

impl<R: std::io::Read> std::io::Read for Checked<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.reader.read(into)?;
        self.hasher.update(into.get(..n).unwrap_or_default());
        Ok(n)
    }
}
