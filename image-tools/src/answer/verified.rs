//! Files that were verified.
use super::{KeyInfo, VolumeChunks};
use crate::{delta, verify};
use serde::Serialize;

/// A bundle, every byte of which is right.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Verified {
    /// Always true.
    pub verified: bool,
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// Its version.
    pub version: String,
    /// The release's identity.
    pub release: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The keys that signed it.
    pub signed_by: Vec<KeyInfo>,
    /// Seconds that it took.
    pub seconds: f64,
}

impl From<&verify::Verified> for Verified {
    fn from(verified: &verify::Verified) -> Verified {
        Verified {
            verified: true,
            product: verified.release.product().into(),
            component: verified.release.component.clone(),
            version: verified.release.version.to_string(),
            release: verified.digest.to_string(),
            bytes: verified.bytes,
            signed_by: KeyInfo::all(&verified.signers),
            seconds: verified.time.as_secs_f64(),
        }
    }
}

/// A bundle or delta that got more signatures.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Signed {
    /// The new file.
    pub file: String,
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// Its version; a delta's is the one that it makes.
    pub version: String,
    /// Whether it is a delta.
    pub delta: bool,
    /// The keys of the root that signed it.
    pub signed_by: Vec<KeyInfo>,
    /// What it lacks to be accepted with the root; null if nothing.
    pub lacks: Option<String>,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A delta, every byte of which is right.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DeltaVerified {
    /// Always true.
    pub verified: bool,
    /// Whether it was applied to its base, and made every byte of its release.
    pub applied: bool,
    /// How its volumes are made, if it was applied.
    pub volumes: Option<Vec<VolumeChunks>>,
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// The version that it makes.
    pub version: String,
    /// The release that it makes.
    pub release: String,
    /// The release that it takes.
    pub base: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The keys that signed it.
    pub signed_by: Vec<KeyInfo>,
    /// Seconds that it took.
    pub seconds: f64,
}

impl From<&delta::DeltaVerified> for DeltaVerified {
    fn from(verified: &delta::DeltaVerified) -> DeltaVerified {
        DeltaVerified {
            verified: true,
            applied: verified.applied.is_some(),
            volumes: verified.applied.as_ref().map(|volumes| VolumeChunks::all(volumes)),
            product: verified.release.product().into(),
            component: verified.release.component.clone(),
            version: verified.release.version.to_string(),
            release: verified.identity.to_string(),
            base: verified.delta.base.to_string(),
            bytes: verified.bytes,
            signed_by: KeyInfo::all(&verified.signers),
            seconds: verified.time.as_secs_f64(),
        }
    }
}
