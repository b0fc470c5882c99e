//! Files that were looked into.
use super::{KeyInfo, RootInfo, path_text};
use crate::inspect::{self, Content, DeltaFile, ListSummary, ReleaseFile};
use bistable_format::content::kind_name;
use bistable_format::{Artifact, ArtifactId, Key};
use semver::VersionReq;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What a file says.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Inspected {
    /// bundle, delta, release, root, public key or secret key.
    pub kind_of_file: String,
    /// The file.
    pub file: String,
    /// Its size in bytes.
    pub file_bytes: u64,
    /// Who vouches for it; not of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// What is in it.
    #[serde(flatten)]
    pub content: InspectedContent,
}

/// Who vouches for a file.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Trust {
    /// Whether it was verified with the given root.
    pub verified: bool,
    /// The keys that signed it; of a root that was not verified, its own.
    pub signed_by: Vec<KeyInfo>,
}

/// What is in a file.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum InspectedContent {
    /// Of a bundle or a release.
    Release(Box<InspectedRelease>),
    /// Of a delta.
    Delta(InspectedDelta),
    /// Of a root.
    Root(RootInfo),
    /// Of a key: of a secret key its public half.
    Key(KeyInfo),
}

impl Inspected {
    /// Of this file.
    pub(crate) fn new(path: &Path, found: &inspect::Inspected) -> Inspected {
        let trust = |verified, keys: &[Key]| Some(Trust { verified, signed_by: KeyInfo::all(keys) });
        let trust = match (&found.trust, &found.content) {
            (_, Content::PublicKey(_) | Content::SecretKey(_)) => None,
            (inspect::Trust::NotVerified, _) => trust(false, &[]),
            (inspect::Trust::OwnKeys(keys), _) => trust(false, keys),
            (inspect::Trust::Verified(keys), _) => trust(true, keys),
        };
        let content = match &found.content {
            Content::Bundle(file, lists) => {
                InspectedContent::Release(Box::new(InspectedRelease::new(file, lists)))
            }
            Content::Release(file) => InspectedContent::Release(Box::new(InspectedRelease::new(file, &[]))),
            Content::Delta(file) => InspectedContent::Delta(InspectedDelta::from(&**file)),
            Content::Root(root) => InspectedContent::Root(root.into()),
            Content::PublicKey(key) | Content::SecretKey(key) => InspectedContent::Key(key.into()),
        };
        Inspected {
            kind_of_file: found.content.name().into(),
            file: path_text(path),
            file_bytes: found.bytes,
            trust,
            content,
        }
    }
}

/// A release.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InspectedRelease {
    /// Its identity.
    pub release: String,
    /// The repository's identity: SHA-256 of its first root.
    pub repository: String,
    /// What version of the agent can use it.
    pub needs_bistable: String,
    /// The product that it is for.
    pub product: String,
    /// The component; null for the whole system.
    pub component: Option<String>,
    /// Its version.
    pub version: String,
    /// Its security version.
    pub security_version: u32,
    /// The boards that it runs on.
    pub boards: Vec<String>,
    /// What has to be there before it is installed.
    pub requires: Requires,
    /// Versions of other components that it doesn't go with, by name.
    pub conflicts: BTreeMap<String, String>,
    /// normal or security.
    pub urgency: String,
    /// What it does to its data: compatible or migrates.
    pub data: String,
    /// The highest format of durable structures that its agent reads.
    pub durable: u16,
    /// The kind of its content.
    pub content: String,
    /// When it was built, in seconds since 1970.
    pub build_time: u64,
    /// What it was built from.
    pub origin: String,
    /// Its author.
    pub author: String,
    /// Its release notes.
    pub description: String,
    /// SHA-256 of its list of materials.
    pub sbom_sha256: Option<String>,
    /// Bytes of its SBOM, which bundle and repository have; null if it has none, or it is kept elsewhere.
    pub sbom_bytes: Option<u32>,
    /// Components that are switched with it, with their versions.
    pub bound: Vec<String>,
    /// Its volumes.
    pub volumes: Vec<InspectedVolume>,
    /// Its self-test plan, TOML.
    pub self_tests: String,
    /// Its health profile, TOML.
    pub health: String,
    /// What can be set of it on a device, TOML.
    pub configuration: String,
}

/// What has to be there before a release is installed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Requires {
    /// The running version; null for any.
    pub running: Option<String>,
    /// Versions of other components, by name.
    pub components: BTreeMap<String, String>,
}

/// A volume of a release.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InspectedVolume {
    /// Its name.
    pub name: String,
    /// Bytes of the image.
    pub raw_bytes: u64,
    /// SHA-256 of the image.
    pub raw_sha256: String,
    /// Its data and its chunk list.
    #[serde(flatten)]
    pub list: List,
    /// Its chunks, if the list is in the file.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Chunks>,
}

/// A volume's data and the list of its chunks.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct List {
    /// Bytes of the data.
    pub data_bytes: u64,
    /// SHA-256 of the data.
    pub data_sha256: String,
    /// Bytes of the list.
    pub list_bytes: u32,
    /// SHA-256 of the list.
    pub list_sha256: String,
}

/// What a chunk list says.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Chunks {
    /// Raw bytes of a chunk.
    pub chunk_bytes: u32,
    /// How many chunks.
    pub chunks: usize,
    /// Chunks that are all zero.
    pub zero_chunks: usize,
    /// SHA-256 of the image that it is a delta against.
    pub base_sha256: Option<String>,
}

impl InspectedRelease {
    fn new(file: &ReleaseFile, lists: &[ListSummary]) -> InspectedRelease {
        let release = &file.release;
        let requires = &release.requires;
        InspectedRelease {
            release: file.digest.to_string(),
            repository: release.head.repository.to_string(),
            needs_bistable: release.head.agent.clone(),
            product: release.product().into(),
            component: release.component.clone(),
            version: release.version.to_string(),
            security_version: release.security_version,
            boards: release.boards.clone(),
            requires: Requires {
                running: requires.running.as_ref().map(ToString::to_string),
                components: by_name(&requires.components),
            },
            conflicts: by_name(&requires.conflicts),
            urgency: release.urgency.name().into(),
            data: release.data.name().into(),
            durable: release.durable,
            content: kind_name(release.content.kind()),
            build_time: release.build_time,
            origin: release.origin.clone(),
            author: release.author.clone(),
            description: release.description.clone(),
            sbom_sha256: release.sbom.map(|digest| digest.to_string()),
            sbom_bytes: release.sbom_file().map(|file| file.bytes),
            bound: release.bound.iter().map(|b| format!("{} {}", b.component, b.version)).collect(),
            volumes: release.content.artifacts().iter().map(|(id, v)| volume(*id, v, lists)).collect(),
            self_tests: release.self_tests.clone(),
            health: release.health.clone(),
            configuration: release.configuration_text().into(),
        }
    }
}

fn by_name(list: &[(String, VersionReq)]) -> BTreeMap<String, String> {
    list.iter().map(|(name, req)| (name.clone(), req.to_string())).collect()
}

fn volume(id: ArtifactId, v: &Artifact, lists: &[ListSummary]) -> InspectedVolume {
    InspectedVolume {
        name: id.to_string(),
        raw_bytes: v.bytes,
        raw_sha256: v.digest.to_string(),
        list: List {
            data_bytes: v.data_bytes,
            data_sha256: v.data.to_string(),
            list_bytes: v.list_bytes,
            list_sha256: v.list.to_string(),
        },
        chunks: lists.iter().find(|list| list.kind == id).map(|list| Chunks {
            chunk_bytes: list.chunk_bytes,
            chunks: list.chunks,
            zero_chunks: list.zero_chunks,
            base_sha256: list.base.map(|base| base.to_string()),
        }),
    }
}

/// A delta.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InspectedDelta {
    /// The release that it makes.
    pub release: String,
    /// The release that it takes.
    pub base: String,
    /// The repository's identity: SHA-256 of its first root.
    pub repository: String,
    /// What version of the agent can use it.
    pub needs_bistable: String,
    /// The product that it is for.
    pub product: String,
    /// The version that it makes, if the release is in the file.
    pub version: Option<String>,
    /// What it makes.
    pub artifacts: Vec<DeltaArtifact>,
}

/// What a delta makes.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DeltaArtifact {
    /// Its name.
    pub name: String,
    /// Its data and its chunk list.
    #[serde(flatten)]
    pub list: List,
}

impl From<&DeltaFile> for InspectedDelta {
    fn from(file: &DeltaFile) -> InspectedDelta {
        let delta = &file.delta;
        let artifacts = delta.artifacts.iter().map(|a| DeltaArtifact {
            name: a.name.clone(),
            list: List {
                data_bytes: a.data_bytes,
                data_sha256: a.data.to_string(),
                list_bytes: a.list_bytes,
                list_sha256: a.list.to_string(),
            },
        });
        InspectedDelta {
            release: delta.target.to_string(),
            base: delta.base.to_string(),
            repository: delta.head.repository.to_string(),
            needs_bistable: delta.head.agent.clone(),
            product: delta.head.product.clone(),
            version: file.release.as_ref().map(|release| release.version.to_string()),
            artifacts: artifacts.collect(),
        }
    }
}
