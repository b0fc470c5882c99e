//! A release that turned out bad, and releases that are kept.
use super::EditError;
use bistable_format::{Channel, Digest, channel::Withdrawal, limits};

/// Take a release off the channel: nobody gets it any more, and who runs it is offered something else.
///
/// # Errors
/// When it isn't on offer; the channel is as it was then.
pub fn withdraw(channel: &mut Channel, identity: &Digest, reason: &str, now: u64) -> Result<(), EditError> {
    let Some(at) = channel.offers.iter().position(|o| o.identity == *identity) else {
        let what = format!("release {identity:.12}");
        return Err(EditError::NotOffered {
            channel: channel.name.clone(),
            what,
            offered: super::names(channel),
        });
    };
    let offer = channel.offers.remove(at);
    channel.pins.retain(|pin| pin != identity);
    if channel.withdrawn.len() >= limits::WITHDRAWN {
        // Whoever still runs that one has been offered something newer for long.
        channel.withdrawn.remove(0);
    }
    channel.withdrawn.push(Withdrawal {
        product: offer.terms.product,
        version: offer.terms.version,
        identity: *identity,
        reason: reason.into(),
        at: now,
    });
    Ok(())
}

/// Keep a release from being pruned, and from making room.
///
/// # Errors
/// When there are too many.
pub fn pin(channel: &mut Channel, identity: &Digest) -> Result<(), EditError> {
    if channel.pins.contains(identity) {
        return Err(EditError::Rollout(format!("release {identity:.12} is pinned already")));
    }
    if channel.pins.len() >= limits::PINS {
        return Err(EditError::Rollout(format!(
            "{} releases are pinned, which is as many as may be",
            limits::PINS
        )));
    }
    channel.pins.push(*identity);
    Ok(())
}

/// The opposite of [`pin`].
///
/// # Errors
/// When it isn't pinned.
pub fn unpin(channel: &mut Channel, identity: &Digest) -> Result<(), EditError> {
    let before = channel.pins.len();
    channel.pins.retain(|pin| pin != identity);
    if channel.pins.len() == before {
        return Err(EditError::Rollout(format!("release {identity:.12} is not pinned")));
    }
    Ok(())
}
