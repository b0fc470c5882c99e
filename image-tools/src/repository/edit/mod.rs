//! Edits: what an act makes of a channel. Pure functions on data; one write comes after them, and if somebody else was
//! faster, they are done again on what that one wrote.
//!
//! | file | noun |
//! |---|---|
//! | `offer` | publish, promote with its gates, and the room for offers |
//! | `rollout` | waves, canaries, pause, resume, halt |
//! | `withdraw` | a release that turned out bad |
mod offer;
mod rollout;
#[cfg(test)]
mod tests;
mod withdraw;

pub use offer::{Attested, Promotion, promote, publish};
pub use rollout::{Change, change};
pub use withdraw::{pin, unpin, withdraw};

use bistable_format::{Channel, Digest, Offer};
use semver::Version;

/// Why an act can't be done on a channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The channel offers that version already, with other content.
    #[error(
        "channel {channel} has {product} {version} already, with other content: give the new one another version"
    )]
    OtherContent {
        /// The channel.
        channel: String,
        /// The product.
        product: String,
        /// The version.
        version: Version,
    },
    /// Already as wanted.
    #[error("channel {channel} offers {product} {version} already: nothing to do")]
    AlreadyOffered {
        /// The channel.
        channel: String,
        /// The product.
        product: String,
        /// The version.
        version: Version,
    },
    /// Withdrawn releases don't come back.
    #[error("{product} {version} was withdrawn from channel {channel} ({reason}): build a new version")]
    Withdrawn {
        /// The channel.
        channel: String,
        /// The product.
        product: String,
        /// The version.
        version: Version,
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
    #[error("channel {channel} offers more than one {what}: name the product, too: PRODUCT {what}")]
    Ambiguous {
        /// The channel.
        channel: String,
        /// What was asked for.
        what: String,
    },
    /// No place left.
    #[error(
        "channel {channel} is full: all {offers} releases that it offers are barriers, pinned, rolling out, or the newest of their board; withdraw or unpin one"
    )]
    Full {
        /// The channel.
        channel: String,
        /// Offers in it.
        offers: usize,
    },
    /// Too young to be promoted.
    #[error("{product} {version} has been in channel {channel} for {} of the {} that channel {into} demands", hours(*.age), hours(*.needed))]
    TooYoung {
        /// The product.
        product: String,
        /// The version.
        version: Version,
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
    #[error("the last promotion into channel {channel} was {} ago; it demands {} between two", hours(*.ago), hours(*.needed))]
    TooSoon {
        /// The channel.
        channel: String,
        /// Seconds since the last one.
        ago: u64,
        /// Seconds needed.
        needed: u64,
    },
    /// An attestation is missing.
    #[error(
        "channel {channel} demands that \"{kind}\" is attested by key {key}, and it isn't: `bistable-image attest`"
    )]
    NotAttested {
        /// The channel.
        channel: String,
        /// What is to be attested.
        kind: String,
        /// By whom.
        key: String,
    },
    /// What a release needs can't be had in the channel.
    #[error("{product} {version} could not be installed by any device of channel {channel}: {problem}")]
    Unsatisfiable {
        /// The channel.
        channel: String,
        /// The product.
        product: String,
        /// The version.
        version: Version,
        /// What is missing.
        problem: String,
    },
    /// A wave that makes no sense.
    #[error("{0}")]
    Rollout(String),
}

fn or_nothing(offered: &[String]) -> String {
    if offered.is_empty() { "nothing".into() } else { offered.join(", ") }
}

/// For people: days, hours or minutes.
fn hours(seconds: u64) -> String {
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7200.. => format!("{} h", seconds / 3600),
        _ => format!("{} min", seconds / 60),
    }
}

/// What a person calls a release: a version, a product with a version, or the beginning of its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Only this product's.
    pub product: Option<String>,
    /// A version, or at least 8 digits of an identity.
    pub what: String,
}

impl Selector {
    /// Find the one offer that is meant.
    ///
    /// # Errors
    /// [`EditError::NotOffered`], [`EditError::Ambiguous`].
    pub fn find<'a>(&self, channel: &'a Channel) -> Result<&'a Offer, EditError> {
        let version = Version::parse(&self.what).ok();
        let is_meant = |o: &&Offer| {
            self.product.as_ref().is_none_or(|p| *p == o.terms.product)
                && match &version {
                    Some(version) => o.terms.version == *version,
                    None => self.what.len() >= 8 && o.identity.to_string().starts_with(&self.what),
                }
        };
        let mut found = channel.offers.iter().filter(is_meant);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => {
                Err(EditError::Ambiguous { channel: channel.name.clone(), what: self.what.clone() })
            }
            (None, _) => Err(EditError::NotOffered {
                channel: channel.name.clone(),
                what: match &self.product {
                    Some(product) => format!("{product} {}", self.what),
                    None => self.what.clone(),
                },
                offered: names(channel),
            }),
        }
    }
}

/// What a channel offers, as people name it, newest first.
fn names(channel: &Channel) -> Vec<String> {
    let mut offers: Vec<_> = channel.offers.iter().map(|o| (&o.terms.product, &o.terms.version)).collect();
    offers.sort_by(|a, b| a.0.cmp(b.0).then(b.1.cmp(a.1)));
    offers.into_iter().map(|(product, version)| format!("{product} {version}")).collect()
}

fn offer_mut<'a>(channel: &'a mut Channel, identity: &Digest) -> Result<&'a mut Offer, EditError> {
    let (name, offered) = (channel.name.clone(), names(channel));
    channel.offers.iter_mut().find(|o| o.identity == *identity).ok_or_else(|| EditError::NotOffered {
        channel: name,
        what: format!("release {identity:.12}"),
        offered,
    })
}
