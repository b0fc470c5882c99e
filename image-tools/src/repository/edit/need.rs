//! Why an offer has to stay.
use super::named;
use bistable_format::{
    Channel, Offer,
    channel::Passage,
    version::{is_newer, meets},
};

/// Why an offer has to stay. A release is named as people do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Need {
    /// No older device may skip it.
    #[error("it is a barrier, which no older device may skip")]
    Barrier,
    /// A person said so.
    #[error("it is pinned: `bistable-image channel unpin` allows it")]
    Pinned,
    /// It isn't offered to everyone yet, or is halted.
    #[error(
        "it is not offered to all devices yet: `bistable-image rollout` changes that, and `withdraw` takes a bad one back"
    )]
    RollingOut,
    /// Too few newer ones are offered to everyone.
    #[error("nothing newer is offered to all devices of {}: `bistable-image withdraw` takes a bad one back", .boards.join(", "))]
    Newest {
        /// The boards.
        boards: Vec<String>,
    },
    /// Devices come to another from this one only.
    #[error("devices come to {to} from no other release")]
    OnlyWay {
        /// The newer release.
        to: String,
    },
    /// Without it another can't be installed.
    #[error("{by} needs it")]
    Required {
        /// The release that could not be installed.
        by: String,
    },
    /// An image brings it along.
    #[error("{by} brings it along")]
    Bound {
        /// The image.
        by: String,
    },
}

/// Why an offer has to stay, if it may go once `newer_ones` newer releases are offered to everyone in its place.
pub(super) fn need(channel: &Channel, offer: &Offer, now: u64, newer_ones: usize) -> Option<Need> {
    let mine = &offer.constraints;
    let serves = |o: &Offer| mine.boards.iter().all(|b| o.constraints.boards.contains(b));
    let others = || {
        channel
            .offers
            .iter()
            .filter(|o| o.identity != offer.identity && o.constraints.subject() == mine.subject())
    };
    let newer = |o: &Offer| is_newer(&o.constraints.version, &mine.version);
    // A newer one that devices come to from this one, but from no other: from one that is as good, they come to that one as
    // they come to this one. A requirement is one interval of versions; so whoever is between the two meets it, too.
    let only_way = |to: &&Offer| {
        let required = to.constraints.requires.running.as_ref().filter(|r| meets(r, &mine.version));
        let is_as_good = |o: &Offer| {
            let running = &o.constraints.requires.running;
            serves(o)
                && o.rollout.is_done(now)
                && is_newer(&to.constraints.version, &o.constraints.version)
                && required.is_some_and(|r| meets(r, &o.constraints.version))
                && (running.is_none() || *running == mine.requires.running)
        };
        required.is_some() && !others().any(is_as_good)
    };
    if offer.passage == Passage::Barrier {
        return Some(Need::Barrier);
    }
    if channel.pins.contains(&offer.identity) {
        return Some(Need::Pinned);
    }
    if !offer.rollout.is_done(now) {
        return Some(Need::RollingOut);
    }
    if others().filter(|o| newer(o) && serves(o) && o.rollout.is_done(now)).count() < newer_ones {
        return Some(Need::Newest { boards: mine.boards.clone() });
    }
    others().filter(|o| newer(o)).find(only_way).map(|to| Need::OnlyWay { to: named(to) })
}
