//! Roots.
use super::{KeyInfo, path_text};
use crate::repository::audit::timestamp;
use bistable_format::Root;
use serde::Serialize;
use std::path::Path;

/// A root: which keys may sign what.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RootInfo {
    /// Its version.
    pub version: u32,
    /// The repository's identity: SHA-256 of its first root.
    pub repository: String,
    /// When it expires, RFC 3339; null for never.
    pub expires_at: Option<String>,
    /// Who may sign what.
    pub roles: Vec<Role>,
    /// What devices demand of releases.
    pub demands: Vec<RootDemand>,
}

/// A role of a root.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Role {
    /// Its name: root, release, channel.
    pub role: String,
    /// The channels that it is for; empty for all.
    pub channels: Vec<String>,
    /// How many of its keys must sign.
    pub threshold: u8,
    /// Its keys.
    pub keys: Vec<KeyInfo>,
}

/// An attestation that devices demand.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RootDemand {
    /// Its kind.
    pub kind: String,
    /// The channels that it is for; empty for all.
    pub channels: Vec<String>,
    /// Identity of the key that gives it.
    pub key: String,
}

impl From<&Root> for RootInfo {
    fn from(root: &Root) -> RootInfo {
        let role = |role: &bistable_format::root::RoleKeys| Role {
            role: role.role.name().into(),
            channels: role.channels.clone(),
            threshold: role.threshold,
            keys: KeyInfo::all(role.keys.iter().filter_map(|id| root.key(id))),
        };
        let demand = |demand: &bistable_format::root::Demand| RootDemand {
            kind: demand.kind.clone(),
            channels: demand.channels.clone(),
            key: demand.key.to_string(),
        };
        RootInfo {
            version: root.version,
            repository: root.repository().to_string(),
            expires_at: root.expires_at.map(timestamp),
            roles: root.roles.iter().map(role).collect(),
            demands: root.demands.iter().map(demand).collect(),
        }
    }
}

/// A new root.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RootMade {
    /// Its file.
    pub file: String,
    /// What it says.
    #[serde(flatten)]
    pub root: RootInfo,
}

/// A next root, which may still lack signatures.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RootSigned {
    /// Its file.
    pub file: String,
    /// Whether it has all signatures that it needs.
    pub complete: bool,
    /// What is missing.
    pub lacks: Option<String>,
    /// What it accepts no longer of what the root before it does.
    pub drops: Vec<String>,
}

impl RootSigned {
    /// In this file, with what it lacks and drops.
    pub(crate) fn new(path: &Path, lacks: Option<String>, drops: Vec<String>) -> RootSigned {
        RootSigned { file: path_text(path), complete: lacks.is_none(), lacks, drops }
    }
}
