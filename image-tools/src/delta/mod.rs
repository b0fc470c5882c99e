//! Deltas: a release is made from the one that a device runs, so that it fetches only what is new.
//!
//! ```text
//! OLD.bundle ─► raw images ─► index of blocks and anchors ─┐
//! NEW.bundle ─► raw images ─► chunk by chunk: find in the base ─► zstd with those ranges as prefix ─► smallest wins
//! ```
//! No file system is looked at: the same way serves ext4, EROFS, squashfs and FAT, whoever made them. The same bundles, level
//! and version of zstd give the same delta, with any number of threads. Images are in temporary files; memory is bounded by
//! the index of the base (16 bytes for each of its blocks, and at most 64 MiB of anchors on average) and a few chunks for each
//! thread.
//!
//! | file | noun |
//! |---|---|
//! | `raw` | bytes of images, read at any place |
//! | `index` | where a base has which bytes |
//! | `matching` | how a chunk can be made from a base |
//! | `ranges` | which ranges of the base become a prefix |
//! | `codec` | a zstd frame with a prefix |
//! | `encode` | an artifact's chunk list and data |
//! | `make` | from two bundles to a delta's bundle |
//! | `diff`, `owners` | what an update costs, file by file |
//! | `apply` | what a delta makes |
//! | `verify` | a delta's bundle held against a root, and against its base |
mod apply;
mod codec;
mod diff;
mod encode;
mod index;
mod make;
mod matching;
mod owners;
mod ranges;
mod raw;
#[cfg(test)]
mod tests;
mod verify;

pub use crate::build::Level;
pub use apply::{ApplyError, ApplyProblem};
pub use diff::{Cost, Diff, diff};
pub use make::{DeltaOptions, Made, file_name, make};
pub(crate) use raw::Image;
pub use raw::Raw;
pub use verify::{DeltaVerified, VerifyDeltaError, verify};
pub(crate) use verify::{Opened, Whole};

use crate::output::OutputError;
use crate::verify::VerifyError;
use bistable_format::{ChunkList, DecodeError, Digest, Encoding, TrustError};
use std::io;
use std::path::PathBuf;

/// Why there is no delta.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// One of the two bundles is wrong, or not signed for the root.
    #[error(transparent)]
    Bundle(#[from] VerifyError),
    /// A temporary image can't be written or read.
    #[error("the temporary file of an image can't be used; is there room for two images in {folder}?", folder = folder.display())]
    Temporary {
        /// Where they are.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An image can't be read any more.
    #[error("an image can't be read any more")]
    Raw(#[source] io::Error),
    /// The bundle was changed meanwhile.
    #[error("the bundle of the new release was changed while it was read")]
    Changed,
    /// Both are one.
    #[error("{base} is the very release that the delta is to make: give the bundle of the one before", base = base.display())]
    Same {
        /// The base.
        base: PathBuf,
    },
    /// They are not of the same product and component.
    #[error("{base} is a release of {found}, and the new one of {wanted}: a delta is between two releases of the same image or component", base = base.display())]
    OtherProduct {
        /// The base.
        base: PathBuf,
        /// What it is a release of.
        found: String,
        /// The new release's.
        wanted: String,
    },
    /// Two bases have the same version.
    #[error("both {first} and {second} would be the base of {out}: give them one after the other, with another -o", first = first.display(), second = second.display(), out = out.display())]
    Twice {
        /// One base.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The delta.
        out: PathBuf,
    },
    /// No key signs.
    #[error("no key was given to sign with: give --key NAME.key")]
    NoKey,
    /// It can't be signed like that.
    #[error("the delta can't be signed")]
    Seal(#[source] TrustError),
    /// The root would refuse it.
    #[error("devices with this root would refuse the delta: it needs the keys that sign releases")]
    Untrusted(#[source] TrustError),
    /// The list makes no sense.
    #[error("the delta's chunk list can't be written")]
    List(#[source] DecodeError),
    /// zstd failed.
    #[error("zstd: {0}")]
    Zstd(String),
    /// It would be larger than a bundle's entry can be.
    #[error("the delta has too much data: {0} bytes")]
    TooMuchData(u64),
    /// The file can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// How the chunks of an artifact are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of zeros.
    pub zero: usize,
    /// As a range of the base.
    pub copied: usize,
    /// With ranges of the base as prefix.
    pub patched: usize,
    /// From the release's own frame.
    pub full: usize,
}

impl Counts {
    /// Of this list.
    pub fn of(list: &ChunkList) -> Counts {
        let mut counts = Counts::default();
        for chunk in &list.chunks {
            match chunk.encoding {
                Encoding::Zero { .. } => counts.zero += 1,
                Encoding::Zstd { .. } => counts.full += 1,
                Encoding::Copy(_) => counts.copied += 1,
                Encoding::Patch { .. } => counts.patched += 1,
            }
        }
        counts
    }
}

/// Names a release in messages.
pub(crate) fn named(release: &bistable_format::Release, identity: &Digest) -> String {
    format!("{} {} ({identity:.12})", release.what(), release.version)
}
