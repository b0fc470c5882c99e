//! Releases of a repository.
use super::{Base, Pace, Rollout, SbomInfo};
use crate::repository::audit::timestamp;
use crate::repository::inventory::{HeldRelease, Standing};
use serde::Serialize;
use std::collections::BTreeMap;

/// A release.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Release {
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// Its version.
    pub version: String,
    /// Its identity.
    pub release: String,
    /// SHA-256 of its signed file.
    pub blob: String,
    /// Its security version.
    pub security_version: u32,
    /// The boards that it runs on.
    pub boards: Vec<String>,
    /// When it came into the repository, RFC 3339.
    pub since: String,
    /// What each channel makes of it.
    pub channels: BTreeMap<String, InChannel>,
    /// Whether a channel keeps it from being pruned.
    pub pinned: bool,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Its author.
    pub author: String,
    /// Its release notes; in lists their beginning.
    pub description: String,
}

/// A release in a channel.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InChannel {
    /// What the channel makes of it.
    pub state: Standing,
    /// When it came into the channel, RFC 3339.
    pub since: String,
    /// `show`: who gets it, and when, if it is on offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// `show`: why it was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&HeldRelease> for Release {
    fn from(held: &HeldRelease) -> Release {
        let entry = &held.entry;
        let in_channel = |(name, (state, at)): (&String, &(Standing, u64))| {
            (name.clone(), InChannel { state: *state, since: timestamp(*at), rollout: None, reason: None })
        };
        Release {
            product: entry.product.clone(),
            component: entry.component.clone(),
            version: entry.version.to_string(),
            release: entry.identity.to_string(),
            blob: entry.release.to_string(),
            security_version: entry.security_version,
            boards: entry.boards.clone(),
            since: timestamp(held.since()),
            channels: held.channels.iter().map(in_channel).collect(),
            pinned: held.pinned,
            bytes: entry.bytes,
            author: entry.author.clone(),
            description: entry.description.clone(),
        }
    }
}

/// What `search` found.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Found {
    /// The repository.
    pub repository: String,
    /// The releases, in the order that was asked for.
    pub releases: Vec<Release>,
}

/// The releases of one channel.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Listed {
    /// The repository.
    pub repository: String,
    /// The channel.
    pub channel: String,
    /// Number of its newest file.
    pub sequence: u64,
    /// When devices stop believing it, RFC 3339.
    pub expires_at: String,
    /// The releases, the newest first.
    pub releases: Vec<ListedRelease>,
}

/// A release in the list of a channel.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ListedRelease {
    /// The release.
    #[serde(flatten)]
    pub release: Release,
    /// What the channel makes of it.
    pub state: Standing,
    /// Whether its rollout continues, if it is on offer.
    pub rollout: Option<Pace>,
}

/// All of one release.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Shown {
    /// The release.
    #[serde(flatten)]
    pub release: Release,
    /// What is attested of it, as `KIND.KEY`.
    pub attested: Vec<String>,
    /// The deltas to it.
    pub deltas: Vec<Base>,
    /// Whether all its files are there.
    pub complete: bool,
    /// Its SBOM; null if it has none.
    pub sbom: Option<SbomInfo>,
    /// Its files, by digest.
    pub blobs: Vec<String>,
}
