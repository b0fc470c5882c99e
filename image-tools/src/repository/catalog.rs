//! The catalog: all releases that a channel ever had, however many, in blobs that are never changed.
//!
//! ```text
//! publish   1  1  1 … 1        each release is a segment of its own at first
//!           └──16 of──┘
//!              16  16 … 16     sixteen neighbors of a level become one of the next
//!              └───16 of──┘
//!                 256 …
//! ```
//! So a channel with n releases names at most 15·log₁₆ n segments, each release is written log₁₆ n times in all, and who lists
//! 10,000 releases reads some dozens of blobs. The signed channel names the segments by digest: what isn't signed isn't believed.
//!
//! A segment is the magic `BISTCAT1` and a postcard sequence of entries, oldest first.
use super::store::{Store, StoreError};
use super::words;
use bistable_format::channel::Segment;
use bistable_format::name::{self, Subject, check_name};
use bistable_format::text::is_printable;
use bistable_format::{Digest, limits, repository as names};
use semver::Version;
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"BISTCAT1";
/// Segments of a level that become one of the next.
const FAN: usize = 16;
/// Bytes of a description that an entry keeps.
pub const DESCRIPTION: usize = 1 << 10;
/// Most bytes of a segment. Those that would become larger stay as they are.
pub const SEGMENT_BYTES: usize = 32 << 20;

/// A release, as the catalog keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is for.
    pub product: String,
    /// The component that it is a version of; none for an image.
    pub component: Option<String>,
    /// Its version.
    pub version: Version,
    /// SHA-256 of the signed release: its blob.
    pub release: Digest,
    /// Its name: the SHA-256 of what is signed.
    pub identity: Digest,
    /// Its security version.
    pub security_version: u32,
    /// Boards that it runs on.
    pub boards: Vec<String>,
    /// When it came into this channel, in seconds since 1970.
    pub at: u64,
    /// The beginning of its description.
    pub description: String,
    /// Who made it.
    pub author: String,
    /// Bytes of the bundle.
    pub bytes: u64,
}

/// Why a catalog can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A segment is gone.
    #[error("part of the catalog is missing in {place}: {path}; restore it from a copy")]
    Missing {
        /// The repository.
        place: String,
        /// The blob.
        path: String,
    },
    /// A segment isn't what the channel names.
    #[error("part of the catalog is damaged in {place}: {path} ({why})")]
    Damaged {
        /// The repository.
        place: String,
        /// The blob.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A release that the catalog would not read back.
    #[error(
        "release {version} can't go into the catalog: a text in it is too long, or has control characters or invisible ones"
    )]
    Entry {
        /// Its version.
        version: Version,
    },
    /// It has no room left.
    #[error("the channel's catalog is full")]
    Full,
}

impl Entry {
    /// What it is a version of.
    pub fn subject(&self) -> Subject<'_> {
        (&self.product, self.component.as_deref())
    }

    /// What it is a version of, as people name it.
    pub fn what(&self) -> String {
        name::what(self.subject())
    }

    /// The beginning of a description, cut between two characters.
    pub fn shorten(description: &str) -> String {
        words::shorten(description, DESCRIPTION)
    }

    /// Limits as of the release itself: readers of a listing print it.
    fn is_sound(&self) -> bool {
        let printable = |text: &str| is_printable(text, &['\n', '\t']);
        self.product.len() <= limits::NAME
            && self.component.as_ref().is_none_or(|name| check_name("catalog: component", name).is_ok())
            && self.boards.len() <= limits::BOARDS
            && self.boards.iter().all(|b| b.len() <= limits::NAME && printable(b))
            && self.description.len() <= DESCRIPTION
            && self.author.len() <= limits::NAME
            && [&self.product, &self.description, &self.author].into_iter().all(|t| printable(t))
    }
}

/// The catalog with these entries added. Writes the new segments; those that went into them stay, for older files of the
/// channel.
///
/// # Errors
/// See [`CatalogError`].
pub fn add(store: &Store, catalog: &[Segment], entries: &[Entry]) -> Result<Vec<Segment>, CatalogError> {
    let mut catalog = catalog.to_vec();
    for entry in entries {
        if !entry.is_sound() {
            return Err(CatalogError::Entry { version: entry.version.clone() });
        }
        let mut new = vec![entry.clone()];
        let mut bytes = encode(&new)?;
        while let Some(start) = full_level(&catalog, bytes.len(), new.len()) {
            let mut merged = Vec::new();
            for segment in catalog.split_off(start) {
                merged.extend(read_segment(store, &segment)?);
            }
            merged.append(&mut new);
            new = merged;
            bytes = encode(&new)?;
        }
        catalog.push(write_segment(store, &bytes, new.len())?);
    }
    if catalog.len() > limits::SEGMENTS { Err(CatalogError::Full) } else { Ok(catalog) }
}

/// A catalog of these entries, oldest first, in as few segments as [`add`] would come to: of 16ᵏ entries, the large ones first.
///
/// # Errors
/// See [`CatalogError`].
pub fn rebuild(store: &Store, entries: &[Entry]) -> Result<Vec<Segment>, CatalogError> {
    let mut catalog = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut count = FAN.pow(level(rest.len()));
        loop {
            let (run, after) = rest.split_at(count.min(rest.len()));
            let bytes = encode(run)?;
            if bytes.len() <= SEGMENT_BYTES || count == 1 {
                catalog.push(write_segment(store, &bytes, run.len())?);
                rest = after;
                break;
            }
            count /= FAN;
        }
    }
    if catalog.len() > limits::SEGMENTS { Err(CatalogError::Full) } else { Ok(catalog) }
}

/// All entries, newest first, segment by segment.
pub fn newest_first<'a>(
    store: &'a Store,
    catalog: &'a [Segment],
) -> impl Iterator<Item = Result<Entry, CatalogError>> + 'a {
    catalog.iter().rev().flat_map(|segment| match read_segment(store, segment) {
        Ok(entries) => entries.into_iter().rev().map(Ok).collect(),
        Err(e) => vec![Err(e)],
    })
}

/// log₁₆ of the entries: segments of a level have grown by the same number of merges.
fn level(entries: usize) -> u32 {
    entries.max(1).ilog(FAN)
}

/// Where the run begins that becomes one segment with a new one: 15 of its level before it, small enough together.
fn full_level(catalog: &[Segment], new_bytes: usize, new_entries: usize) -> Option<usize> {
    let start = catalog.len().checked_sub(FAN - 1)?;
    let run = catalog.get(start..)?;
    let bytes = run
        .iter()
        .map(|s| usize::try_from(s.bytes).unwrap_or(usize::MAX))
        .fold(new_bytes, usize::saturating_add);
    let same = |s: &Segment| usize::try_from(s.entries).is_ok_and(|n| level(n) == level(new_entries));
    (run.iter().all(same) && bytes <= SEGMENT_BYTES).then_some(start)
}

fn write_segment(store: &Store, bytes: &[u8], entries: usize) -> Result<Segment, CatalogError> {
    let digest = Digest::of(bytes);
    let _ = store.upload(&names::blob(&digest), &mut &*bytes, bytes.len() as u64)?;
    let small = |n: usize| u32::try_from(n).map_err(|_| CatalogError::Full);
    Ok(Segment { digest, bytes: small(bytes.len())?, entries: small(entries)? })
}

fn read_segment(store: &Store, segment: &Segment) -> Result<Vec<Entry>, CatalogError> {
    let path = names::blob(&segment.digest);
    let place = || store.place().to_owned();
    let Some(bytes) = store.get(&path, SEGMENT_BYTES)? else {
        return Err(CatalogError::Missing { place: place(), path });
    };
    let why = if Digest::of(&bytes) != segment.digest {
        "its digest is another"
    } else {
        match decode(&bytes) {
            Some(entries) if u32::try_from(entries.len()) == Ok(segment.entries) => return Ok(entries),
            Some(_) => "it has another number of entries than the channel says",
            None => "it is not a catalog",
        }
    };
    Err(CatalogError::Damaged { place: place(), path, why })
}

fn encode(entries: &[Entry]) -> Result<Vec<u8>, CatalogError> {
    let mut bytes = MAGIC.to_vec();
    for entry in entries {
        let encoded = postcard::to_allocvec(entry);
        bytes.extend(encoded.map_err(|_| CatalogError::Entry { version: entry.version.clone() })?);
    }
    Ok(bytes)
}

/// Total: any bytes give entries or nothing. An entry takes less than ten times its bytes in memory.
fn decode(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, after) = postcard::take_from_bytes::<Entry>(rest).ok()?;
        if !entry.is_sound() {
            return None;
        }
        entries.push(entry);
        rest = after;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::store::Memory;
    use proptest::prelude::*;

    fn entry(n: u64) -> Entry {
        Entry {
            product: "hub".into(),
            component: None,
            version: Version::new(1, n, 0),
            release: Digest::of(&n.to_le_bytes()),
            identity: Digest::of(&n.to_be_bytes()),
            security_version: 1,
            boards: vec!["pi4".into()],
            at: n,
            description: format!("the {n}th"),
            author: "ci".into(),
            bytes: n * 1000,
        }
    }

    fn all(store: &Store, catalog: &[Segment]) -> Vec<u64> {
        newest_first(store, catalog).map(|e| e.unwrap().at).collect()
    }

    #[test]
    fn ten_thousand_releases_are_some_dozens_of_segments() {
        let store = Store::new(Memory::new());
        let mut catalog = Vec::new();
        let mut most = 0;
        for n in 0..10_000 {
            catalog = add(&store, &catalog, &[entry(n)]).unwrap();
            most = most.max(catalog.len());
        }
        assert_eq!(all(&store, &catalog), (0..10_000).rev().collect::<Vec<_>>());
        assert!(most <= 15 * 4, "{most} segments");
        let written = store.list("blobs").unwrap().iter().map(|f| f.bytes).sum::<u64>();
        let kept = catalog.iter().map(|s| u64::from(s.bytes)).sum::<u64>();
        assert!(written <= 5 * kept, "{written} bytes written for {kept}");
    }

    #[test]
    fn what_is_missing_or_damaged_is_named() {
        let store = Store::new(Memory::new());
        let catalog = add(&store, &[], &[entry(1), entry(2)]).unwrap();
        let mut lies = catalog.clone();
        lies[0].entries = 2;
        assert!(matches!(newest_first(&store, &lies).last(), Some(Err(CatalogError::Damaged { .. }))));
        let path = names::blob(&catalog[0].digest);
        store.delete(&path).unwrap();
        assert!(matches!(newest_first(&store, &catalog).last(), Some(Err(CatalogError::Missing { .. }))));
        store.put(&path, b"BISTCAT1").unwrap();
        assert!(matches!(newest_first(&store, &catalog).last(), Some(Err(CatalogError::Damaged { .. }))));
    }

    #[test]
    fn a_description_is_cut_between_characters() {
        assert_eq!(Entry::shorten("short"), "short");
        let long = format!("{}€€", "x".repeat(DESCRIPTION - 1));
        assert_eq!(Entry::shorten(&long).len(), DESCRIPTION - 1);
    }

    proptest! {
        #[test]
        fn rebuilt_catalog_is_small_and_can_be_extended(count in 0_u64..5000, more in 0_u64..40) {
            let store = Store::new(Memory::new());
            let entries: Vec<_> = (0..count).map(entry).collect();
            let mut catalog = rebuild(&store, &entries).unwrap();
            prop_assert!(catalog.len() <= 15 * 4, "{} segments", catalog.len());
            for n in count..count + more {
                catalog = add(&store, &catalog, &[entry(n)]).unwrap();
            }
            prop_assert!(catalog.len() <= 15 * 4, "{} segments", catalog.len());
            prop_assert_eq!(all(&store, &catalog), (0..count + more).rev().collect::<Vec<_>>());
        }

        #[test]
        fn entries_come_back(count in 0_u64..40) {
            let entries: Vec<_> = (0..count).map(entry).collect();
            prop_assert_eq!(decode(&encode(&entries).unwrap()), Some(entries));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let with_magic = [&MAGIC[..], &bytes].concat();
            for bytes in [bytes, with_magic] {
                if let Some(entries) = decode(&bytes) {
                    prop_assert!(encode(&entries).unwrap().len() <= bytes.len());
                }
            }
        }

        #[test]
        fn any_order_of_publishing_keeps_every_release_in_order(batches in prop::collection::vec(0_u64..40, 0..30)) {
            let store = Store::new(Memory::new());
            let mut catalog = Vec::new();
            let mut next = 0;
            for batch in batches {
                let entries: Vec<_> = (next..next + batch).map(entry).collect();
                next += batch;
                catalog = add(&store, &catalog, &entries).unwrap();
            }
            prop_assert_eq!(all(&store, &catalog), (0..next).rev().collect::<Vec<_>>());
            prop_assert!(catalog.len() <= 15 * 3);
        }
    }
}
