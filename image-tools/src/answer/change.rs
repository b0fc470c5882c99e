//! Channels, changed.
use crate::repository::delta_publish::PublishedDelta as Stored;
use crate::repository::publish;
use crate::repository::writer::Committed;
use serde::Serialize;

/// What `channel refresh`, `gates`, `pin`, `unpin` or `barrier` did.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChannelChanged {
    /// The channel.
    pub channel: String,
    /// The verb.
    pub verb: String,
    /// What it was about.
    pub about: String,
    /// Number of the channel's new file; null if nothing changed.
    pub sequence: Option<u64>,
    /// When devices stop believing it, in seconds since 1970.
    pub expires_at: Option<u64>,
}

/// A release that was published.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Published {
    /// The repository.
    pub repository: String,
    /// The channel that offers it.
    pub channel: String,
    /// Number of the channel's new file; null if it offered the release already.
    pub sequence: Option<u64>,
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
    /// Of these, bytes that the repository lacked.
    pub uploaded_bytes: u64,
    /// The deltas that were published with it.
    pub deltas: Vec<PublishedDelta>,
    /// Versions that devices may run and from which it has no delta.
    pub without_delta_from: Vec<String>,
}

/// A delta that was published.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PublishedDelta {
    /// The release that it takes.
    pub base: String,
    /// The version that it takes.
    pub base_version: String,
    /// Bytes that a device fetches with it.
    pub bytes: u64,
    /// Whether it is new; else another one has its place, which stays.
    pub new: bool,
}

impl Published {
    /// In this repository and channel.
    pub(crate) fn new(repository: &str, channel: &str, published: &publish::Published) -> Published {
        let delta = |delta: &Stored| PublishedDelta {
            base: delta.identity.to_string(),
            base_version: delta.base.version.to_string(),
            bytes: delta.bytes,
            new: delta.is_new,
        };
        Published {
            repository: repository.into(),
            channel: channel.into(),
            sequence: sequence(published.committed.as_ref()),
            product: published.release.product().into(),
            component: published.release.component.clone(),
            version: published.release.version.to_string(),
            release: published.identity.to_string(),
            bytes: published.bytes,
            uploaded_bytes: published.uploaded,
            deltas: published.deltas.iter().map(delta).collect(),
            without_delta_from: published.without_delta.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Number of the file that was committed, if any was.
pub(crate) fn sequence(committed: Option<&Committed>) -> Option<u64> {
    committed.map(|committed| committed.file.channel.sequence)
}

/// An attestation.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Attested {
    /// The release's product.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// The release's version.
    pub version: String,
    /// What is attested.
    pub kind: String,
    /// The attestation's file in the repository.
    pub file: String,
    /// Whether it is new.
    pub new: bool,
    /// The channels whose gates demand this of this key.
    pub demanded_by: Vec<String>,
}

/// A release that was promoted.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Promoted {
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// Its version.
    pub version: String,
    /// Its identity.
    pub release: String,
    /// The channel that offered it.
    pub from: String,
    /// The channel that offers it now, too.
    pub into: String,
    /// Number of that channel's new file; null if nothing changed.
    pub sequence: Option<u64>,
}

/// A rollout that was changed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RolloutChanged {
    /// The channel.
    pub channel: String,
    /// What was done to which release.
    pub rollout: String,
    /// Number of the channel's new file; null if nothing changed.
    pub sequence: Option<u64>,
}

/// A release that was withdrawn.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Withdrew {
    /// The channel.
    pub channel: String,
    /// Its product and version.
    pub withdrawn: String,
    /// Why.
    pub reason: String,
    /// Boards for which the channel offers nothing else of the product.
    pub boards_without_offer: Vec<String>,
    /// Images on offer that bring it along, so that no device can install them.
    pub images_without_component: Vec<String>,
    /// Other channels that still offer it.
    pub still_offered_in: Vec<String>,
    /// Number of the channel's new file; null if nothing changed.
    pub sequence: Option<u64>,
}

/// Releases that `retire` took off a channel.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Retired {
    /// The channel.
    pub channel: String,
    /// Whether nothing was done: `--dry-run`.
    pub dry_run: bool,
    /// Product and version of each release that was taken off, oldest first.
    pub retired: Vec<String>,
    /// Those that are older than what is kept, and stay.
    pub needed: Vec<Needed>,
    /// Number of the channel's new file; null if nothing changed.
    pub sequence: Option<u64>,
}

/// A release that stays on offer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Needed {
    /// Its product and version.
    pub release: String,
    /// Why.
    pub why: String,
}
