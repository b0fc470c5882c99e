//! Fsck: what is missing, damaged, unsigned or orphaned in a repository; and what of it can be repaired.
//!
//! | file | noun |
//! |---|---|
//! | `deltas` | deltas: signed, in their place, with their blobs, between releases that are there |
//! | `named` | files that have to fit their names: versions, attestations |
//! | `repair` | hints made again; what is worth nothing removed |
mod deltas;
mod named;
mod repair;

pub use repair::{Repaired, repair};

use super::catalog::{self, CatalogError};
use super::channel::{self, ChannelError, ChannelLog, OldRoot};
use super::edit::named;
use super::expiry::{self, Warning};
use super::index;
use super::manifest::{self, ManifestError};
use super::recording;
use super::roots::Roots;
use super::sequence::Sequence;
use super::store::{Oddity, Store, StoreError};
use super::sync::Kind;
use bistable_format::bundle::INDEX_NAME;
use bistable_format::channel::OfferError;
use bistable_format::failure::on_one_line;
use bistable_format::name::check_channel_name;
use bistable_format::{Digest, Offer, repository as names};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds after which what a stopped program left is no longer written.
const LEFTOVER_AGE: u64 = 86_400;

/// How thoroughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Whether each file is there and has its size; small ones are read.
    Names,
    /// Every byte of every blob.
    Bytes,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Fault {
    /// Something that is on offer lacks a file: devices will fail.
    Missing,
    /// A file has other bytes than its name says.
    Damaged,
    /// Something leads out of the repository, or is not an ordinary file: every verb stops at it.
    Irregular,
    /// A file isn't signed as it must be.
    Untrusted,
    /// A channel or the newest root has expired: devices take no updates until it is renewed.
    Expired,
    /// A channel or the newest root expires soon.
    Expiring,
    /// The audit has no record of an act.
    Unrecorded,
    /// A file that no device reads isn't what its name says.
    Foreign,
    /// A version that was published has no file that keeps its name: another release could get it.
    Unnamed,
    /// A delta could not be applied: whether it makes its release is not known.
    Unproven,
    /// A hint is wrong: readers are slower.
    Hint,
    /// This file is unreferenced.
    Orphan,
    /// A program was stopped while it wrote this.
    Leftover,
}

impl Fault {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Missing => "missing",
            Fault::Damaged => "damaged",
            Fault::Irregular => "irregular",
            Fault::Untrusted => "untrusted",
            Fault::Expired => "expired",
            Fault::Expiring => "expiring",
            Fault::Unrecorded => "unrecorded",
            Fault::Foreign => "foreign",
            Fault::Unnamed => "unnamed",
            Fault::Unproven => "unproven",
            Fault::Hint => "hint",
            Fault::Orphan => "orphan",
            Fault::Leftover => "leftover",
        }
    }

    /// Of what expires soon or has expired.
    const fn of(warning: &Warning) -> Fault {
        if warning.is_past { Fault::Expired } else { Fault::Expiring }
    }

    /// Whether devices may suffer from it.
    pub const fn is_serious(self) -> bool {
        matches!(self, Fault::Missing | Fault::Damaged | Fault::Irregular | Fault::Untrusted | Fault::Expired)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub fault: Fault,
    /// The file.
    pub path: String,
    /// What about it.
    pub text: String,
}

impl Problem {
    /// Whether a file of content or a delta is to blame: those can be published again, and `fsck --deep --repair` makes room for them.
    /// A release whose keys were retired is whole: it stays, and is signed again.
    pub fn is_repairable(&self) -> bool {
        match self.fault {
            Fault::Untrusted => self.path.starts_with("deltas/"),
            _ => ["blobs/", "deltas/"].iter().any(|folder| self.path.starts_with(folder)),
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Channels.
    pub channels: usize,
    /// Releases on offer, each counted once.
    pub offered: usize,
    /// Releases in catalogs, each counted once.
    pub catalogued: usize,
    /// Of these, ones whose files are not kept here.
    pub not_kept: usize,
    /// Deltas that devices take.
    pub deltas: usize,
    /// Of these, ones that were applied and made every byte of their release.
    pub proven: usize,
    /// Blobs.
    pub blobs: usize,
    /// Bytes of unreferenced blobs.
    pub orphan_bytes: u64,
    worthless: Vec<deltas::Worthless>,
}

impl Report {
    /// Whether devices may suffer from what is wrong.
    pub fn is_serious(&self) -> bool {
        self.problems.iter().any(|p| p.fault.is_serious())
    }

    /// Look for what programs left that were stopped while they wrote, a day ago or longer: it is never used again.
    ///
    /// # Errors
    /// When the store fails.
    pub fn add_leftovers(&mut self, store: &Store, now: u64) -> Result<(), StoreError> {
        for file in store.leftovers()?.into_iter().filter(|f| now.saturating_sub(f.at) >= LEFTOVER_AGE) {
            let text = format!(
                "{} bytes of a write that was stopped: `bistable-image fsck --repair` removes it",
                file.bytes
            );
            self.add(Fault::Leftover, file.path, text);
        }
        Ok(())
    }

    /// Look for channels that devices stop believing soon or have stopped believing, and whether the newest root expires.
    ///
    /// # Errors
    /// When the store fails.
    pub fn add_expiries(&mut self, store: &Store, roots: &Roots, now: u64) -> Result<(), StoreError> {
        // Where something leads elsewhere, no verb reads anything, and that is reported already.
        if self.problems.iter().any(|problem| problem.fault == Fault::Irregular) {
            return Ok(());
        }
        let elsewhere = match Kind::of(store)? {
            Kind::Original => "",
            Kind::Mirror | Kind::Partial => " at the original; then sync again",
        };
        let root = &roots.newest().root;
        if let Some(warning) = expiry::root_warning(root, now) {
            let text = format!("{}{elsewhere}", warning.text);
            self.add(Fault::of(&warning), names::root(root.version), text);
        }
        for name in channel::names(store)? {
            // What can't be read is reported already.
            let Ok(file) = ChannelLog::new(store, roots, name.as_str()).newest() else { continue };
            if let Some(warning) = expiry::channel_warning(&file.channel, now) {
                let text = format!("{}{elsewhere}", warning.text);
                self.add(Fault::of(&warning), names::channel_folder(&name), text);
            }
        }
        self.problems.sort_by(|a, b| a.fault.cmp(&b.fault).then(a.path.cmp(&b.path)));
        Ok(())
    }

    fn add(&mut self, fault: Fault, path: impl Into<String>, text: impl Into<String>) {
        self.problems.push(Problem { fault, path: path.into(), text: text.into() });
    }
}

/// Look at everything. Changes nothing.
///
/// # Errors
/// When there is no repository, or the store fails.
pub fn fsck(store: &Store, roots: &Roots, depth: Depth) -> Result<Report, StoreError> {
    let mut report = Report::default();
    if foreign(store, &mut report)? {
        // No other verb goes past them, and neither could what follows.
        return Ok(report);
    }
    // A copy without the history has neither older files nor the audit.
    let partial = Kind::of(store)? == Kind::Partial;
    let (mut named, mut old) = (BTreeSet::new(), BTreeSet::new());
    let mut versions = named::Versions::new();
    let mut releases: BTreeMap<Digest, Option<Offer>> = BTreeMap::new();
    let mut identities = deltas::Known::new();
    // Whether all that channels name is known.
    let mut is_known = true;
    for name in channel::names(store)? {
        report.channels += 1;
        let log = ChannelLog::new(store, roots, name.as_str());
        let folder = names::channel_folder(&name);
        let newest = log.newest();
        if let Err(e) = &newest {
            report.add(Fault::Untrusted, &folder, channel_text(e, Place::Newest));
        }
        // What follows is looked at in any case, as far as any root vouches for it.
        let Ok(file) = newest.or_else(|_| log.newest_or_old(OldRoot::Accept)) else {
            is_known = false;
            continue;
        };
        check_hint(store, &mut report, &names::channel_hint(&name), file.channel.sequence)?;
        for before in log.backwards().filter(|_| !partial) {
            match before {
                // Older catalogs are not read, but they are not foreign files.
                Ok(before) => old.extend(before.channel.catalog.iter().map(|s| s.digest)),
                Err(e) => report.add(Fault::Untrusted, &folder, channel_text(&e, Place::Older)),
            }
        }
        for segment in &file.channel.catalog {
            named.insert(segment.digest);
        }
        for entry in catalog::newest_first(store, &file.channel.catalog) {
            match entry {
                Ok(entry) => {
                    identities.entry(entry.identity).or_default().insert(entry.release);
                    releases.entry(entry.release).or_insert(None);
                    versions
                        .entry((entry.product, entry.component, entry.version))
                        .or_default()
                        .insert(entry.identity);
                }
                Err(e @ CatalogError::Damaged { .. }) => report.add(Fault::Damaged, &folder, on_one_line(&e)),
                Err(e) => report.add(Fault::Missing, &folder, on_one_line(&e)),
            }
        }
        for offer in file.channel.offers {
            identities.entry(offer.identity).or_default().insert(offer.release);
            releases.insert(offer.release, Some(offer));
        }
    }
    report.catalogued = releases.len();
    let blobs = manifest::blobs(store)?;
    report.blobs = blobs.len();
    for (digest, offer) in &releases {
        report.offered += usize::from(offer.is_some());
        release(store, roots, &mut report, digest, offer.as_ref(), &blobs, &mut named);
    }
    deltas::check((store, roots), depth, &mut report, &identities, &blobs, &mut named)?;
    if depth == Depth::Bytes {
        // Unreferenced ones, too: `publish` finds them there.
        for digest in blobs.keys() {
            if let Err(wrong) = manifest::read_through(store, digest)? {
                report.add(Fault::Damaged, names::blob(digest), wrong.text);
            }
        }
    }
    for (digest, bytes) in blobs.iter().filter(|(d, _)| is_known && !named.contains(d) && !old.contains(d)) {
        report.orphan_bytes += bytes;
        let text = format!("{bytes} bytes that nothing names: `bistable-image prune` removes it after a day");
        report.add(Fault::Orphan, names::blob(digest), text);
    }
    if !index::is_right(store, roots)? {
        report.add(Fault::Hint, INDEX_NAME, "says something else than what is on offer");
    }
    if !partial {
        let newest = Sequence::Audit.newest(store)?;
        check_hint(store, &mut report, &names::audit_hint(), newest)?;
        match recording::verify(store, roots) {
            Err(e) => report.add(Fault::Damaged, "audit", on_one_line(&e)),
            Ok(verified) => {
                for (name, missing) in verified.missing {
                    let text = format!(
                        "{missing} not recorded yet: `bistable-image audit repair` adds what is missing; a mirror gets it at the \
                         next sync"
                    );
                    report.add(Fault::Unrecorded, names::channel_folder(&name), text);
                }
            }
        }
    }
    let names = named::versions(store, &mut report, &versions)?;
    if !partial {
        names.report_missing(&mut report);
    }
    named::attestations(store, &mut report)?;
    report.problems.sort_by(|a, b| a.fault.cmp(&b.fault).then(a.path.cmp(&b.path)));
    Ok(report)
}

/// Where a channel's file is in its history.
#[derive(Clone, Copy)]
enum Place {
    Newest,
    Older,
}

/// What is wrong with a channel's file, and what to do about it: no signature can be made again without its key.
fn channel_text(e: &ChannelError, place: Place) -> String {
    let text = on_one_line(e);
    let (ChannelError::Untrusted { name, sequence, .. }
    | ChannelError::Misplaced { name, sequence, .. }
    | ChannelError::Broken { name, sequence }) = e
    else {
        return text;
    };
    let path = names::channel(name, *sequence);
    match place {
        Place::Older => format!("{text}; restore {path} from a mirror or a backup"),
        Place::Newest => format!(
            "{text}; restore {path} from a mirror or a backup; if none has it, remove it, and `bistable-image channel refresh {name} \
             --continue-after {sequence}` continues above it"
        ),
    }
}

/// What is wrong with a release on offer that an older root vouches for, and what to do about it.
fn offer_text(offer: &Offer, e: &OfferError) -> String {
    let text = format!("{}: {}", named(offer), on_one_line(e));
    match e {
        OfferError::Untrusted(_) => format!(
            "{text}; sign its bundle with a release key of the newest root (`bistable-image sign`), and publish that in each channel that \
             offers it"
        ),
        _ => text,
    }
}

/// Report what can't be a repository's file. Gives whether some of it leads elsewhere, which stops every verb.
fn foreign(store: &Store, report: &mut Report) -> Result<bool, StoreError> {
    for odd in store.foreign()? {
        if odd.oddity == Oddity::Name {
            report.add(Fault::Foreign, odd.path, format!("is {}: nothing reads it", odd.oddity.name()));
        } else {
            let text =
                format!("is {}: remove it, and check again; every verb stops at it", odd.oddity.name());
            report.add(Fault::Irregular, odd.path, text);
        }
    }
    if report.is_serious() {
        return Ok(true);
    }
    for name in store.folders("channels")? {
        if check_channel_name(&name).is_err() {
            report.add(
                Fault::Foreign,
                format!("channels/{name}"),
                "is called as no channel can be: nothing reads it",
            );
        }
    }
    Ok(false)
}

fn check_hint(store: &Store, report: &mut Report, path: &str, newest: u64) -> Result<(), StoreError> {
    let hint = match store.get(path, 64) {
        Err(StoreError::TooLarge { .. }) => None,
        hint => hint?.and_then(|text| names::parse_hint(&text)),
    };
    if hint != Some(newest) {
        let says = hint.map_or_else(|| "nothing".into(), |n| n.to_string());
        report.add(Fault::Hint, path, format!("says {says}, and the newest is {newest}"));
    }
    Ok(())
}

fn release(
    store: &Store,
    roots: &Roots,
    report: &mut Report,
    digest: &Digest,
    offer: Option<&Offer>,
    blobs: &BTreeMap<Digest, u64>,
    named: &mut BTreeSet<Digest>,
) {
    named.insert(*digest);
    let stored = match manifest::read(store, roots, digest) {
        Ok(stored) => stored,
        Err(ManifestError::NoRelease { path, .. }) => {
            if offer.is_some() {
                report.add(Fault::Missing, path, "the signed release that a channel offers");
            } else {
                report.not_kept += 1;
            }
            return;
        }
        Err(e @ ManifestError::Damaged { .. }) => {
            return report.add(Fault::Damaged, names::blob(digest), on_one_line(&e));
        }
        Err(e) => return report.add(Fault::Untrusted, names::blob(digest), on_one_line(&e)),
    };
    // Devices know the newest root only.
    if let Some(offer) = offer
        && let Err(e) = offer.open(&stored.signed, &roots.newest().root)
    {
        report.add(Fault::Untrusted, names::blob(digest), offer_text(offer, &e));
    }
    for part in stored.parts() {
        named.insert(part.digest);
        let about = format!("of {} {}", stored.release.what(), stored.release.version);
        match blobs.get(&part.digest) {
            Some(bytes) if *bytes == part.bytes => {}
            Some(bytes) => {
                let text = format!("{about}: has {bytes} bytes instead of {}", part.bytes);
                report.add(Fault::Damaged, names::blob(&part.digest), text);
            }
            None => report.add(Fault::Missing, names::blob(&part.digest), about),
        }
    }
}
