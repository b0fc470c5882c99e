//! The upkeep of repositories: `prune`, `fsck`, `metrics`, `audit`.
use crate::repository::audit::Record;
use crate::repository::fsck::{Fault, Repaired, Report};
use crate::repository::usage::{Severity, Usage};
use serde::Serialize;
use std::collections::BTreeMap;

/// What was deleted, or would be.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pruned {
    /// Whether nothing was deleted, as asked for.
    pub dry_run: bool,
    /// Releases that were deleted, or would be.
    pub releases: Vec<GoneRelease>,
    /// Releases that stay.
    pub stay: Vec<StayingRelease>,
    /// Deltas that were deleted, or would be.
    pub deltas: Vec<GoneDelta>,
    /// Bytes of all releases before.
    pub bytes_before: u64,
    /// Bytes of all releases after it.
    pub bytes_after: u64,
    /// How full its place was before.
    pub usage_before: Usage,
    /// How full it is after it.
    pub usage_after: Usage,
    /// How bad that is: critical above 90 %.
    pub severity: Severity,
    /// Whether that is still more than `--max-size`.
    pub too_large: bool,
    /// Deltas that were deleted.
    pub removed_deltas: u64,
    /// Files that were deleted.
    pub removed_files: u64,
    /// Their bytes.
    pub removed_bytes: u64,
}

/// A release that was deleted, or would be.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GoneRelease {
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// Its version.
    pub version: String,
    /// Its identity.
    pub release: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Of these, bytes that nothing else needs.
    pub frees: u64,
    /// age, room, or production-for-room: for room, and production had it.
    pub why: String,
}

/// A release that isn't deleted.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StayingRelease {
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// Its version.
    pub version: String,
    /// Its identity.
    pub release: String,
    /// offered, pinned, rollback, newest, bound, or no-reason: nothing says that it has to go.
    pub why: String,
}

/// A delta that was deleted, or would be.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GoneDelta {
    /// The release that it makes.
    pub release: String,
    /// The release that it takes.
    pub base: String,
    /// Bytes that nothing else needs.
    pub frees: u64,
    /// orphan: one of the two releases is gone; room; or release: it goes with the release.
    pub why: String,
}

/// What was found wrong with a repository.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Fsck {
    /// The repository.
    pub repository: String,
    /// Whether there are no problems.
    pub clean: bool,
    /// All problems, after the repair if there was one.
    pub problems: Vec<Problem>,
    /// How many channels.
    pub channels: usize,
    /// Releases on offer.
    pub offered: usize,
    /// Releases in catalogs.
    pub catalogued: usize,
    /// Of these, ones whose files are not kept here.
    pub not_kept: usize,
    /// Deltas that devices take.
    pub deltas: usize,
    /// Of these, ones that were applied and made every byte of their release.
    pub proven_deltas: usize,
    /// How many blobs.
    pub blobs: usize,
    /// Bytes of orphaned blobs.
    pub orphan_bytes: u64,
    /// Hints that were recreated.
    pub repaired_hints: u64,
    /// Files that keep versions' names and were recreated.
    pub repaired_names: u64,
    /// Damaged blobs that were deleted.
    pub removed_damaged: u64,
    /// Deltas that were deleted.
    pub removed_deltas: u64,
    /// Leftover files that were deleted.
    pub removed_leftovers: u64,
}

/// A problem of a repository.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Problem {
    /// What kind.
    pub fault: Fault,
    /// The file.
    pub path: String,
    /// What about it.
    pub text: String,
}

impl Fsck {
    /// Of this repository.
    pub(crate) fn new(repository: &str, report: &Report, repaired: &Repaired) -> Fsck {
        let problem = |problem: &crate::repository::fsck::Problem| Problem {
            fault: problem.fault,
            path: problem.path.clone(),
            text: problem.text.clone(),
        };
        Fsck {
            repository: repository.into(),
            clean: report.problems.is_empty(),
            problems: report.problems.iter().map(problem).collect(),
            channels: report.channels,
            offered: report.offered,
            catalogued: report.catalogued,
            not_kept: report.not_kept,
            deltas: report.deltas,
            proven_deltas: report.proven,
            blobs: report.blobs,
            orphan_bytes: report.orphan_bytes,
            repaired_hints: repaired.hints,
            repaired_names: repaired.names,
            removed_damaged: repaired.damaged,
            removed_deltas: repaired.deltas,
            removed_leftovers: repaired.leftovers,
        }
    }
}

/// What a repository measures of itself.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Metrics {
    /// In Prometheus' text format; null if it was written into a file.
    pub metrics: Option<String>,
    /// The file that was written.
    pub file: Option<String>,
}

/// Who did what to a repository.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Audit {
    /// The repository.
    pub repository: String,
    /// The records, the oldest first.
    pub records: Vec<Record>,
}

/// An audit that is right.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AuditVerified {
    /// The repository.
    pub repository: String,
    /// How many records.
    pub records: u64,
    /// The highest number of each channel that is recorded.
    pub channels: BTreeMap<String, u64>,
    /// How many numbers of each channel aren't recorded.
    pub missing: BTreeMap<String, u64>,
}

/// An audit to which what was missing was added.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AuditRepaired {
    /// The repository.
    pub repository: String,
    /// How many records were added.
    pub added: u64,
}
