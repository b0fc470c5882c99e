//! Deltas.
use super::path_text;

use crate::delta::{self, Counts, Made};
use bistable_format::ArtifactId;
use serde::Serialize;

/// The deltas to one release.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DeltasMade {
    /// One from each base.
    pub deltas: Vec<DeltaMade>,
}

/// A delta.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DeltaMade {
    /// Its file.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes that a device fetches without it.
    pub full_bytes: u64,
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// The version that it makes.
    pub version: String,
    /// The release that it makes.
    pub release: String,
    /// The version that it takes.
    pub base_version: String,
    /// The release that it takes.
    pub base: String,
    /// How its volumes are made.
    pub volumes: Vec<VolumeChunks>,
    /// Seconds to make it.
    pub seconds: f64,
}

/// How the chunks of a volume are made.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VolumeChunks {
    /// boot or system.
    pub name: String,
    /// Chunks made from the base and a patch.
    pub patched: usize,
    /// Chunks that are fetched whole.
    pub new: usize,
    /// Chunks that the base has.
    pub copied: usize,
    /// Chunks that are all zero.
    pub zero: usize,
}

impl VolumeChunks {
    /// Of these volumes.
    pub(crate) fn all(volumes: &[(ArtifactId, Counts)]) -> Vec<VolumeChunks> {
        let one = |(kind, counts): &(ArtifactId, Counts)| {
            let Counts { zero, copied, patched, full } = *counts;
            VolumeChunks { name: kind.to_string(), patched, new: full, copied, zero }
        };
        volumes.iter().map(one).collect()
    }
}

impl From<&Made> for DeltaMade {
    fn from(made: &Made) -> DeltaMade {
        DeltaMade {
            file: path_text(&made.path),
            bytes: made.bytes,
            full_bytes: made.full_bytes,
            product: made.target.product().into(),
            component: made.target.component.clone(),
            version: made.target.version.to_string(),
            release: made.delta.target.to_string(),
            base_version: made.base.version.to_string(),
            base: made.delta.base.to_string(),
            volumes: VolumeChunks::all(&made.volumes),
            seconds: made.time.as_secs_f64(),
        }
    }
}

/// A delta to a release in a repository.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Base {
    /// The release that it takes.
    pub base: String,
    /// Its version, or the beginning of its identity if no channel has it.
    pub base_version: String,
    /// Bytes that a device fetches with it.
    pub bytes: u64,
}

/// What costs most in a delta.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Diff {
    /// The product.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// The new version.
    pub version: String,
    /// The version before.
    pub base_version: String,
    /// What each volume costs.
    pub volumes: Vec<VolumeBytes>,
    /// What each file costs, the most first.
    pub files: Vec<FileCost>,
}

/// What a volume costs in a delta.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VolumeBytes {
    /// boot or system.
    pub name: String,
    /// Bytes to fetch.
    pub bytes: u64,
}

/// What a file costs in a delta.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FileCost {
    /// boot or system.
    pub volume: String,
    /// Its path; null for what belongs to no file.
    pub path: Option<String>,
    /// Bytes to fetch.
    pub bytes: u64,
    /// Bytes that changed.
    pub changed_bytes: u64,
}

impl From<&delta::Diff> for Diff {
    fn from(found: &delta::Diff) -> Diff {
        let volume =
            |(kind, bytes): &(ArtifactId, u64)| VolumeBytes { name: kind.to_string(), bytes: *bytes };
        Diff {
            product: found.target.product().into(),
            component: found.target.component.clone(),
            version: found.target.version.to_string(),
            base_version: found.base.version.to_string(),
            volumes: found.volumes.iter().map(volume).collect(),
            files: found
                .files
                .iter()
                .map(|cost| FileCost {
                    volume: cost.kind.to_string(),
                    path: cost.path.clone(),
                    bytes: cost.bytes,
                    changed_bytes: cost.changed,
                })
                .collect(),
        }
    }
}

/// The deltas that a channel's devices could use.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WantedDeltas {
    /// The repository.
    pub repository: String,
    /// The channel.
    pub channel: String,
    /// How many aren't there.
    pub missing: usize,
    /// All of them.
    pub deltas: Vec<WantedDelta>,
}

/// A delta that devices could use.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WantedDelta {
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// The version that it makes.
    pub version: String,
    /// The release that it makes.
    pub release: String,
    /// The version that it takes.
    pub base_version: String,
    /// The release that it takes.
    pub base: String,
    /// Its file in the repository.
    pub file: String,
    /// Bytes that a device fetches with it; null if it is missing.
    pub bytes: Option<u64>,
    /// Bytes that a device fetches without it.
    pub full_bytes: u64,
    /// The command that makes it, if it is missing.
    pub command: Option<String>,
}
