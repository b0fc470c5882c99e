//! Edits: what an act makes of a channel. Pure functions on data; one write comes after them, and if another writer was
//! faster, they are done again on what that one wrote.
//!
//! | file | noun |
//! |---|---|
//! | `offer` | publish, promote with its gates, and the room for offers |
//! | `selector` | what a person calls a release |
//! | `rollout` | waves, canaries, pause, resume, halt |
//! | `withdraw` | releases that turned out bad, that are kept, that no device may skip |
//! | `retire` | releases that are good and old |
//! | `need` | why an offer has to stay |
mod need;
mod offer;
mod retire;
mod rollout;
mod selector;
#[cfg(test)]
mod tests;
mod withdraw;

pub use need::Need;
pub use offer::{Attested, Promotion, carries, promote, publish, raises_security};
pub use retire::{Brought, Retired, bringing, retire, retire_all_but};
pub use rollout::{Change, change};
pub use selector::Selector;
pub use withdraw::{barrier, pin, stranded, unpin, withdraw};

use bistable_format::channel::Withdrawal;
use bistable_format::name::what;
use bistable_format::{Channel, Digest, Offer, limits};

/// Bytes of a channel's payload that offers and withdrawals may fill. The rest is for what comes in after an edit: a segment of
/// the catalog (42 bytes), what the act was about (200), and numbers that grow.
const ROOM: usize = limits::ENVELOPE_PAYLOAD - 512;

/// Why an act can't be done on a channel. A `release` is a product, or one of its components, with its version, as people name it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The channel offers that version already, with other content.
    #[error("channel {channel} has {release} already, with other content: give the new one another version")]
    OtherContent {
        /// The channel.
        channel: String,
        /// The release.
        release: String,
    },
    /// Already on offer.
    #[error("channel {channel} offers {release} already: nothing to do")]
    AlreadyOffered {
        /// The channel.
        channel: String,
        /// The release.
        release: String,
    },
    /// Withdrawn releases don't come back.
    #[error("{release} was withdrawn from channel {channel} ({reason}): build a new version")]
    Withdrawn {
        /// The channel.
        channel: String,
        /// The release.
        release: String,
        /// Why.
        reason: String,
    },
    /// Not on offer.
    #[error("channel {channel} doesn't offer {what}; it offers: {}", or_nothing(.offered))]
    NotOffered {
        /// The channel.
        channel: String,
        /// What was asked for.
        what: String,
        /// What there is.
        offered: Vec<String>,
    },
    /// More than one thing could be meant.
    #[error(
        "channel {channel} offers more than one {what}: say which, as in `hub 1.2.0` or `hub/core 1.2.0`, or by its identity"
    )]
    Ambiguous {
        /// The channel.
        channel: String,
        /// What was asked for.
        what: String,
    },
    /// Stopped where it comes from.
    #[error(
        "the rollout of {release} is halted in channel {channel}: start it again there (`bistable-image rollout`), or promote another release"
    )]
    Halted {
        /// Where it comes from.
        channel: String,
        /// The release.
        release: String,
    },
    /// Devices have to run another one before.
    #[error(
        "{barrier} in channel {channel} is a barrier, which no device may skip, and channel {into} doesn't offer it: promote it before {release}"
    )]
    Barrier {
        /// Where it comes from.
        channel: String,
        /// Where it goes to.
        into: String,
        /// The release.
        release: String,
        /// The one before it.
        barrier: String,
    },
    /// No place left.
    #[error(
        "channel {channel} is full: each of the {offers} releases that it offers is a barrier, pinned, rolling out, the only way to a newer one, or one of the newest of its board; withdraw or unpin one"
    )]
    Full {
        /// The channel.
        channel: String,
        /// Offers in it.
        offers: usize,
    },
    /// A device could miss it.
    #[error("{release} stays on offer in channel {channel}: {why}")]
    Needed {
        /// The channel.
        channel: String,
        /// The release.
        release: String,
        /// Why.
        why: Need,
    },
    /// Too young to be promoted.
    #[error("{release} has been in channel {channel} for {} of the {} that channel {into} demands; it may come in {}",
        people(*.age), people(*.needed), people(.needed.saturating_sub(*.age)))]
    TooYoung {
        /// The release.
        release: String,
        /// Where it comes from.
        channel: String,
        /// Where it goes to.
        into: String,
        /// Seconds in it.
        age: u64,
        /// Seconds needed.
        needed: u64,
    },
    /// Promoted too soon after the last one.
    #[error("the last promotion into channel {channel} was {} ago, and it demands {} between two; the next may be in {}",
        people(*.ago), people(*.needed), people(.needed.saturating_sub(*.ago)))]
    TooSoon {
        /// The channel.
        channel: String,
        /// Seconds since the last one.
        ago: u64,
        /// Seconds needed.
        needed: u64,
    },
    /// Past the gates.
    #[error(
        "channel {channel} has gates, and `publish` would go past them: publish into another channel and promote from there (`bistable-image promote`), or take the gates away (`bistable-image channel gates {channel} --min-age 0s --min-interval 0s --no-others`)"
    )]
    Gated {
        /// The channel.
        channel: String,
    },
    /// An attestation is missing.
    #[error(
        "channel {channel} demands that \"{kind}\" of {release} is attested by key {key}, and it isn't: `bistable-image attest`"
    )]
    NotAttested {
        /// The channel.
        channel: String,
        /// The release.
        release: String,
        /// What is to be attested.
        kind: String,
        /// By whom.
        key: String,
    },
    /// What a release needs can't be had in the channel.
    #[error("{release} could not be installed by any device of channel {channel}: {problem}")]
    Unsatisfiable {
        /// The channel.
        channel: String,
        /// The release.
        release: String,
        /// What is missing.
        problem: String,
    },
    /// A component that it brings along isn't on offer, so that no device would find it.
    #[error(
        "{release} brings {bound} along, and channel {channel} doesn't offer that: publish or promote {bound} into it first"
    )]
    BoundMissing {
        /// The channel.
        channel: String,
        /// The image.
        release: String,
        /// The component's release.
        bound: String,
    },
    /// Its security version is lower than that of an older release: a way back to what was closed.
    #[error(
        "{release} has security version {found}, and {older}, which is older and on offer in channel {channel}, has {needed}: \
         build it with --security-version {needed} or higher"
    )]
    SecurityVersion {
        /// The channel.
        channel: String,
        /// The release.
        release: String,
        /// Its security version.
        found: u32,
        /// The older release.
        older: String,
        /// That one's security version.
        needed: u32,
    },
    /// It is said to close a hole, and nothing keeps devices from going back to what has it.
    #[error(
        "{release} is to fix security, but its security version {found} is not above {highest}, the highest in channel {channel}: \
         build it with --previous and --fixes-security, or with --security-version {}", .highest.saturating_add(1)
    )]
    NotRaised {
        /// The channel.
        channel: String,
        /// The release.
        release: String,
        /// Its security version.
        found: u32,
        /// The highest of the product that the channel offers.
        highest: u32,
    },
    /// It is so already.
    #[error("{0} already: nothing to do")]
    Already(String),
    /// It would make no sense.
    #[error("{0}")]
    Invalid(String),
}

fn or_nothing(offered: &[String]) -> String {
    if offered.is_empty() { "nothing".into() } else { offered.join(", ") }
}

/// A time for people, rounded up: what they wait for is over then.
pub(crate) fn people(seconds: u64) -> String {
    match seconds {
        172_801.. => format!("{} days", seconds.div_ceil(86_400)),
        7201.. => format!("{} h", seconds.div_ceil(3600)),
        121.. => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{seconds} s"),
    }
}

fn withdrawn(channel: &str, bad: &Withdrawal) -> EditError {
    EditError::Withdrawn {
        channel: channel.into(),
        release: format!("{} {}", what(bad.subject()), bad.version),
        reason: bad.reason.clone(),
    }
}

/// An offer, as people name it.
pub(crate) fn named(offer: &Offer) -> String {
    format!("{} {}", offer.constraints.what(), offer.constraints.version)
}

/// A release that isn't on offer.
fn not_offered(channel: &Channel, identity: &Digest) -> EditError {
    let what = format!("release {identity:.12}");
    EditError::NotOffered { channel: channel.name.clone(), what, offered: names(channel) }
}

/// Do it on a copy, so that the channel is as it was when it can't be done, or would not be one that devices accept.
fn whole(
    channel: &mut Channel,
    edit: impl FnOnce(&mut Channel) -> Result<(), EditError>,
) -> Result<(), EditError> {
    let mut draft = channel.clone();
    edit(&mut draft)?;
    draft.check().map_err(|e| EditError::Invalid(e.to_string()))?;
    *channel = draft;
    Ok(())
}

/// What a channel offers, as people name it, newest first.
fn names(channel: &Channel) -> Vec<String> {
    let mut offers: Vec<&Offer> = channel.offers.iter().collect();
    offers.sort_by(|a, b| {
        let (a, b) = (&a.constraints, &b.constraints);
        a.subject().cmp(&b.subject()).then(b.version.cmp(&a.version))
    });
    offers.into_iter().map(named).collect()
}

fn offer_mut<'a>(channel: &'a mut Channel, identity: &Digest) -> Result<&'a mut Offer, EditError> {
    let missing = not_offered(channel, identity);
    channel.offers.iter_mut().find(|o| o.identity == *identity).ok_or(missing)
}
