//! Sync: the same repository in another place: a bucket, a USB stick. Only what is missing is copied, and always what is named
//! before what names it: whoever reads the copy meanwhile finds the state of before, or that of after.
//!
//! ```text
//! blobs ─► roots ─► attestations ─► channels' files, in order ─► audit, in order ─► hints
//! ```
use super::catalog::{self, CatalogError};
use super::channel::{self, ChannelError, Log};
use super::contents::{self, ContentsError};
use super::roots::{Roots, RootsError};
use super::store::{Claim, Created, Store, StoreError};
use bistable_format::{Digest, Envelope, bundle, repository as names};
use std::collections::BTreeSet;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files that were missing.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already.
    pub there: u64,
}

/// Copy what is missing. Everything is verified on the way: a copy is never worse than its original.
///
/// # Errors
/// See [`SyncError`]. Doing it again goes on where it was.
pub fn sync(
    from: &Store,
    to: &Store,
    extent: Extent,
    only: &[String],
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Copied, SyncError> {
    if from.place() == to.place() {
        return Err(SyncError::Itself(from.place().into()));
    }
    let roots = Roots::load(from)?;
    let mut work = Work { from, to, copied: Copied::default(), progress };
    let all = channel::names(from)?;
    let wanted: Vec<String> = all.into_iter().filter(|n| only.is_empty() || only.contains(n)).collect();
    let mut newest = Vec::new();
    let mut identities = BTreeSet::new();
    for name in &wanted {
        let file = Log::new(from, &roots, name.as_str()).newest()?;
        // Before anything is copied: what went its own way is left alone.
        work.same_so_far(name, file.channel.sequence)?;
        let mut releases: BTreeSet<Digest> = file.channel.offers.iter().map(|o| o.release).collect();
        identities.extend(file.channel.offers.iter().map(|o| o.identity));
        for entry in catalog::newest_first(from, &file.channel.catalog) {
            let entry = entry?;
            if extent == Extent::Everything {
                releases.insert(entry.release);
                identities.insert(entry.identity);
            }
        }
        for segment in &file.channel.catalog {
            work.blob(&segment.digest, segment.bytes.into())?;
        }
        for release in releases {
            let stored = match contents::read(from, &roots, &release) {
                Err(ContentsError::NoRelease { .. }) if extent == Extent::Everything => continue,
                stored => stored?,
            };
            for part in stored.parts() {
                work.blob(&part.digest, part.bytes)?;
            }
        }
        newest.push((name, file.channel.sequence));
    }
    work.small("oci-layout", bundle::LAYOUT.len())?;
    for version in 1..=roots.newest().root.version {
        work.small(&names::root(version), Envelope::MAX_BYTES)?;
    }
    for file in from.list("versions")? {
        let wanted =
            from.get(&file.path, 128)?.and_then(|text| Digest::parse(String::from_utf8_lossy(&text).trim()));
        if extent == Extent::Everything || wanted.is_some_and(|id| identities.contains(&id)) {
            work.small(&file.path, 128)?;
        }
    }
    for identity in &identities {
        for file in from.list(&names::attestations(identity))? {
            work.small(&file.path, Envelope::MAX_BYTES)?;
        }
    }
    for (name, sequence) in &newest {
        let first = match extent {
            Extent::Everything => 1,
            Extent::Offers => *sequence,
        };
        for number in first..=*sequence {
            work.small(&names::channel(name, number), Envelope::MAX_BYTES)?;
        }
    }
    if extent == Extent::Everything && only.is_empty() {
        let records = from.list("audit")?;
        for file in records.iter().filter(|f| is_record(&f.path)) {
            work.small(&file.path, super::audit::RECORD_BYTES)?;
        }
        work.hint(&names::audit_hint())?;
    }
    for (name, _) in &newest {
        work.hint(&names::channel_hint(name))?;
    }
    if let Some(index) = from.get("index.json", 16 << 20)? {
        to.put("index.json", &index)?;
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
