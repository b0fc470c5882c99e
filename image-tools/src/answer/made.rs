//! What `build`, `import` and `card` make.
use super::{DeltaMade, SbomInfo, path_text};
use crate::build;
use crate::card::{Card, CardComponent};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// A bundle.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Built {
    /// Its file.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// Its version.
    pub version: String,
    /// The release's identity.
    pub release: String,
    /// Its volumes, or the archive of a component.
    pub volumes: Vec<BuiltVolume>,
    /// Its SBOM, with `--sbom`.
    pub sbom: Option<SbomInfo>,
    /// What was found in a card image, with `--from-img`.
    pub from_img: Option<CardImage>,
    /// What a person should know of it, and what stopped nothing: those of a disk image are among them.
    pub notes: Vec<String>,
    /// Images of a registry, each by its digest.
    pub images: Vec<PulledImage>,
    /// The deltas to it, with `--delta-from`.
    pub deltas: Vec<DeltaMade>,
    /// Seconds to write the file, of its compressed volumes.
    pub assemble_seconds: f64,
    /// Seconds in all.
    pub seconds: f64,
}

/// A bundle that was made from what another server has.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImportedRelease {
    /// Where it is from: a release, or an image by its digest.
    pub source: String,
    /// Its tag there.
    pub tag: Option<String>,
    /// The file of the release; null for an image of a registry.
    pub asset: Option<String>,
    /// SHA-256 of the file, or of the image's manifest.
    pub sha256: String,
    /// Whether the server said the same SHA-256 beforehand.
    pub verified: bool,
    /// The bundle.
    pub bundle: Built,
}

/// An image of a registry.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PulledImage {
    /// The service that runs it; null if the Compose file has only one.
    pub service: Option<String>,
    /// Where it is, by its digest.
    pub source: String,
    /// The tag that named it.
    pub tag: Option<String>,
}

/// An artifact of a bundle.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BuiltVolume {
    /// boot or system; archive of a component.
    pub name: String,
    /// What it was made from.
    pub input: String,
    /// Bytes of its content.
    pub raw_bytes: u64,
    /// SHA-256 of its content.
    pub raw_sha256: String,
    /// Bytes of the compressed chunks.
    pub data_bytes: u64,
    /// Raw bytes of a chunk.
    pub chunk_bytes: u32,
    /// How many chunks.
    pub chunks: usize,
    /// Chunks that are all zero.
    pub zero_chunks: usize,
    /// Seconds to read the input's structure.
    pub read_seconds: f64,
    /// Seconds to make, hash and compress it.
    pub encode_seconds: f64,
}

/// A card image that a bundle was made from.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CardImage {
    /// The kind of its partition table.
    pub table: String,
    /// Number of the boot partition.
    pub boot_partition: u32,
    /// Number of the root file system's partition.
    pub system_partition: u32,
    /// What was changed or left out in it.
    pub notes: Vec<String>,
}

impl Built {
    /// In this file, with these deltas.
    pub(crate) fn new(path: &Path, built: &build::Built, deltas: Vec<DeltaMade>) -> Built {
        Built {
            file: path_text(path),
            bytes: built.bytes,
            product: built.release.product().into(),
            component: built.release.component.clone(),
            version: built.release.version.to_string(),
            release: built.digest.to_string(),
            volumes: built.artifacts.iter().map(BuiltVolume::from).collect(),
            sbom: built.sbom().map(|(file, sbom)| SbomInfo::new(&file, Ok(sbom))),
            from_img: built.dissected.as_ref().map(|found| CardImage {
                table: found.table.name().into(),
                boot_partition: found.boot_partition,
                system_partition: found.system_partition,
                notes: found.notes.clone(),
            }),
            images: Vec::new(),
            notes: built.notes.clone(),
            deltas,
            assemble_seconds: built.assemble_time.as_secs_f64(),
            seconds: built.time.as_secs_f64(),
        }
    }
}

impl From<&build::BuiltArtifact> for BuiltVolume {
    fn from(v: &build::BuiltArtifact) -> BuiltVolume {
        BuiltVolume {
            name: v.id.to_string(),
            input: v.input.clone(),
            raw_bytes: v.artifact.bytes,
            raw_sha256: v.artifact.digest.to_string(),
            data_bytes: v.artifact.data_bytes,
            chunk_bytes: v.chunk_bytes,
            chunks: v.chunks,
            zero_chunks: v.zero_chunks,
            read_seconds: v.plan_time.as_secs_f64(),
            encode_seconds: v.encode_time.as_secs_f64(),
        }
    }
}

/// A card image.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CardMade {
    /// Its file.
    pub file: String,
    /// Bytes of its content.
    pub bytes: u64,
    /// The file of its block map.
    pub bmap: String,
    /// Bytes that have to be written to a card.
    pub mapped_bytes: u64,
    /// Its partitions.
    pub partitions: Vec<CardPartition>,
    /// The product in slot A.
    pub product: String,
    /// The version in slot A.
    pub version: String,
    /// The identity of the release in slot A.
    pub release: String,
    /// Components that the device has from the beginning.
    pub components: Vec<CardedComponent>,
    /// What a person should know, one line each.
    pub notes: Vec<String>,
    /// Seconds in all.
    pub seconds: f64,
}

/// A component on a card.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CardedComponent {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The identity of its release.
    pub release: String,
}

impl From<&CardComponent> for CardedComponent {
    fn from(component: &CardComponent) -> CardedComponent {
        let release = component.release();
        CardedComponent {
            name: release.component.clone().unwrap_or_default(),
            version: release.version.to_string(),
            release: component.identity().to_string(),
        }
    }
}

/// A partition.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CardPartition {
    /// Its number.
    pub number: u8,
    /// Its name.
    pub name: String,
    /// Its first byte.
    pub start: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

impl CardMade {
    /// In this file.
    pub(crate) fn new(path: &Path, made: &Card, components: &[Arc<CardComponent>]) -> CardMade {
        let partitions = made.plan.partitions().iter().map(|(partition, place)| CardPartition {
            number: partition.number(),
            name: partition.name().into(),
            start: place.start,
            bytes: place.bytes,
        });
        CardMade {
            file: path_text(path),
            bytes: made.plan.bytes(),
            bmap: path_text(&made.bmap),
            mapped_bytes: made.mapped,
            partitions: partitions.collect(),
            product: made.release.product().into(),
            version: made.release.version.to_string(),
            release: made.digest.to_string(),
            components: components.iter().map(|component| CardedComponent::from(&**component)).collect(),
            notes: made.notes.clone(),
            seconds: made.time.as_secs_f64(),
        }
    }
}
