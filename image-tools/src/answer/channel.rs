//! Channels, shown.
use super::Rollout;
use bistable_format::channel::Passage;
use bistable_format::{Key, channel};
use serde::Serialize;

/// Channels.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Channels {
    /// All that were asked for.
    pub channels: Vec<Channel>,
}

/// A channel.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Number of its newest file.
    pub sequence: u64,
    /// When that was signed, in seconds since 1970.
    pub issued_at: u64,
    /// When devices stop believing it, in seconds since 1970.
    pub expires_at: u64,
    /// When a release was last promoted into it, in seconds since 1970; 0 for never.
    pub promoted_at: u64,
    /// What it offers.
    pub offers: Vec<Offer>,
    /// What was withdrawn from it.
    pub withdrawn: Vec<Withdrawal>,
    /// What a release needs to be promoted into it.
    pub gates: Gates,
}

/// A release on offer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Offer {
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// Its version.
    pub version: String,
    /// Its identity.
    pub release: String,
    /// The boards that it runs on.
    pub boards: Vec<String>,
    /// Since when it is on offer, in seconds since 1970.
    pub since: u64,
    /// Whether devices have to run it before they take a newer one.
    pub barrier: bool,
    /// Whether it is kept from being pruned.
    pub pinned: bool,
    /// Who gets it, and when.
    pub rollout: Rollout,
}

/// A release that turned out bad.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Withdrawal {
    /// The product that it is for.
    pub product: String,
    /// The component that it is a version of; null for an image.
    pub component: Option<String>,
    /// Its version.
    pub version: String,
    /// Its identity.
    pub release: String,
    /// Why.
    pub reason: String,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// What a release needs to be promoted into a channel.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Gates {
    /// Seconds that it has been in the channel that it comes from.
    pub min_age: u64,
    /// Seconds since the last promotion.
    pub min_interval: u64,
    /// What has to be attested.
    pub attestations: Vec<Demand>,
}

/// An attestation that a gate demands.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Demand {
    /// Its kind.
    pub kind: String,
    /// Identity of the key that gives it.
    pub key: String,
    /// The key's label.
    pub label: String,
}

impl From<&channel::Channel> for Channel {
    fn from(channel: &channel::Channel) -> Channel {
        let offer = |offer: &channel::Offer| Offer {
            product: offer.constraints.product.clone(),
            component: offer.constraints.component.clone(),
            version: offer.constraints.version.to_string(),
            release: offer.identity.to_string(),
            boards: offer.constraints.boards.clone(),
            since: offer.since,
            barrier: offer.passage == Passage::Barrier,
            pinned: channel.pins.contains(&offer.identity),
            rollout: (&offer.rollout).into(),
        };
        let withdrawal = |bad: &channel::Withdrawal| Withdrawal {
            product: bad.product.clone(),
            component: bad.component.clone(),
            version: bad.version.to_string(),
            release: bad.identity.to_string(),
            reason: bad.reason.clone(),
            at: bad.at,
        };
        let demand = |(kind, key): &(String, Key)| Demand {
            kind: kind.clone(),
            key: key.id().to_string(),
            label: key.label.clone(),
        };
        Channel {
            name: channel.name.clone(),
            sequence: channel.sequence,
            issued_at: channel.issued_at,
            expires_at: channel.expires_at(),
            promoted_at: channel.promoted_at,
            offers: channel.offers.iter().map(offer).collect(),
            withdrawn: channel.withdrawn.iter().map(withdrawal).collect(),
            gates: Gates {
                min_age: channel.gates.min_age,
                min_interval: channel.gates.min_interval,
                attestations: channel.gates.attestations.iter().map(demand).collect(),
            },
        }
    }
}
