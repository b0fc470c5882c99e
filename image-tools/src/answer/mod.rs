//! What the program answers: one type for each verb's result, and one for a failure. `cmd` prints them, as text or as JSON;
//! `docs/schemas` is published from these types.
//!
//! | file | noun |
//! |---|---|
//! | `document` | the one JSON object on standard output |
//! | `key`, `root` | of keys and roots |
//! | `made` | of what `build` and `card` make |
//! | `delta` | of deltas |
//! | `deploy` | of a release on one device |
//! | `flash` | of cards that are written |
//! | `inspected`, `verified` | of files that are looked at |
//! | `release` | of releases that are found |
//! | `sbom` | of packages in releases |
//! | `rollout`, `channel` | of channels, shown |
//! | `change` | of channels, changed |
//! | `upkeep`, `repository` | of repositories |
//! | `manual` | of manual pages and completions |
mod change;
mod channel;
mod delta;
mod deploy;
mod document;
mod flash;
mod inspected;
mod key;
mod made;
mod manual;
mod release;
mod repository;
mod rollout;
mod root;
mod sbom;
#[cfg(test)]
mod schemas;
mod upkeep;
mod verified;

pub(crate) use change::sequence;
pub use change::{
    Attested, ChannelChanged, Needed, Promoted, Published, PublishedDelta, Retired, RolloutChanged, Withdrew,
};
pub use channel::{Channel, Channels, Demand, Gates, Offer, Withdrawal};
pub use delta::{
    Base, DeltaMade, DeltasMade, Diff, FileCost, VolumeBytes, VolumeChunks, WantedDelta, WantedDeltas,
};
pub use deploy::Deployed;
pub(crate) use document::failure;
pub use document::{Document, Failure, SCHEMA};
pub use flash::{DiskInfo, Disks, Flashed};
pub use inspected::{
    Chunks, DeltaArtifact, Inspected, InspectedContent, InspectedDelta, InspectedRelease, InspectedVolume,
    List, Requires, Trust,
};
pub use key::{KeyInfo, KeyKind, KeyMade};
pub use made::{
    Built, BuiltVolume, CardImage, CardMade, CardPartition, CardedComponent, ImportedRelease, PulledImage,
};
pub use manual::{CompletionsPrinted, ManualWritten};
pub use release::{Found, InChannel, Listed, ListedRelease, Release, Shown};
pub use repository::{Forgotten, Initialized, NextRoot, Probed, SiteWritten, Skipped, Stranded, Synced};
pub use rollout::{Pace, Rollout, Wave};
pub use root::{Role, RootDemand, RootInfo, RootMade, RootSigned};
pub use sbom::{ChangedPackage, Compared, ComparedRelease, Package, SbomInfo};
pub use upkeep::{
    Audit, AuditRepaired, AuditVerified, Fsck, GoneDelta, GoneRelease, Metrics, Problem, Pruned,
    StayingRelease,
};
pub use verified::{DeltaVerified, Signed, Verified};

use serde::Serialize;
use std::path::Path;

/// What a verb answers.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Answer {
    /// `key new`.
    KeyMade(KeyMade),
    /// `root new`.
    RootMade(RootMade),
    /// `root rotate`, `root sign`.
    RootSigned(RootSigned),
    /// `build`.
    Built(Box<Built>),
    /// `import`.
    Imported(Box<ImportedRelease>),
    /// `delta`.
    DeltasMade(DeltasMade),
    /// `diff`.
    Diff(Diff),
    /// `inspect`.
    Inspected(Box<Inspected>),
    /// `verify` of a bundle.
    Verified(Verified),
    /// `sign`.
    Signed(Box<Signed>),
    /// `verify` of a delta.
    DeltaVerified(Box<DeltaVerified>),
    /// `card`.
    CardMade(CardMade),
    /// `flash --list`.
    Disks(Disks),
    /// `flash`.
    Flashed(Flashed),
    /// `deploy`.
    Deployed(Deployed),
    /// `repo init`.
    Initialized(Initialized),
    /// `repo root`.
    NextRoot(NextRoot),
    /// `repo forget`.
    Forgotten(Forgotten),
    /// `repo probe`.
    Probed(Probed),
    /// `publish`.
    Published(Box<Published>),
    /// `attest`.
    Attested(Attested),
    /// `promote`.
    Promoted(Promoted),
    /// `rollout`.
    RolloutChanged(RolloutChanged),
    /// `withdraw`.
    Withdrew(Withdrew),
    /// `retire`.
    Retired(Retired),
    /// `channel show`.
    Channels(Channels),
    /// `channel refresh`, `gates`, `pin`, `unpin`, `barrier`.
    ChannelChanged(ChannelChanged),
    /// `list`.
    Listed(Listed),
    /// `search`.
    Found(Found),
    /// `show`.
    Shown(Box<Shown>),
    /// `show` of two releases.
    Compared(Box<Compared>),
    /// `deltas`.
    WantedDeltas(WantedDeltas),
    /// `prune`.
    Pruned(Box<Pruned>),
    /// `fsck`.
    Fsck(Box<Fsck>),
    /// `sync`.
    Synced(Synced),
    /// `site`.
    SiteWritten(SiteWritten),
    /// `metrics`.
    Metrics(Metrics),
    /// `audit`.
    Audit(Audit),
    /// `audit verify`.
    AuditVerified(AuditVerified),
    /// `audit repair`.
    AuditRepaired(AuditRepaired),
    /// `manual`.
    ManualWritten(ManualWritten),
    /// `completions`.
    CompletionsPrinted(CompletionsPrinted),
}

/// A path as text: JSON has no other.
pub(crate) fn path_text(path: &Path) -> String {
    path.display().to_string()
}
