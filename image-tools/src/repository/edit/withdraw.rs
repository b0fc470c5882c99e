//! Releases that turned out bad, releases that are kept, and releases that no device may skip.
use super::{EditError, ROOM, named, not_offered, offer_mut, whole};
use bistable_format::{
    Channel, Digest, Extensions,
    channel::{Passage, Withdrawal},
    limits,
    name::Subject,
    rollout::RolloutState,
};

/// Take a release off the channel: no device gets it any more, and devices that run it are offered something else.
///
/// # Errors
/// When it isn't on offer, or without a reason; the channel is as it was then.
pub fn withdraw(channel: &mut Channel, identity: &Digest, reason: &str, now: u64) -> Result<(), EditError> {
    if reason.trim().is_empty() {
        let why =
            "a withdrawal is for good, and devices tell its reason to their users: say why with --reason";
        return Err(EditError::Invalid(why.into()));
    }
    whole(channel, |draft| {
        let at = draft.offers.iter().position(|o| o.identity == *identity);
        let at = at.ok_or_else(|| not_offered(draft, identity))?;
        let offer = draft.offers.remove(at);
        draft.pins.retain(|pin| pin != identity);
        draft.withdrawn.push(Withdrawal {
            product: offer.constraints.product,
            component: offer.constraints.component,
            version: offer.constraints.version,
            identity: *identity,
            reason: reason.into(),
            at: now,
            extensions: Extensions::default(),
        });
        // Whoever still runs the oldest of them has been offered something newer for long.
        while draft.withdrawn.total() > limits::WITHDRAWN
            || (draft.withdrawn.len() > 1 && draft.payload_bytes() > ROOM)
        {
            draft.withdrawn.remove(0);
        }
        Ok(())
    })
}

/// The boards for which a channel has nothing of the same on offer: devices that run what was withdrawn stay on it.
pub fn stranded(channel: &Channel, of: Subject<'_>, boards: &[String]) -> Vec<String> {
    let serves = |board: &String| {
        channel.offers.iter().any(|o| {
            o.constraints.subject() == of
                && o.constraints.boards.contains(board)
                && o.rollout.pace != RolloutState::Halted
        })
    };
    boards.iter().filter(|board| !serves(board)).cloned().collect()
}

/// Keep a release that is on offer from being pruned, and from making room.
///
/// # Errors
/// When it isn't on offer, is pinned, or too many are.
pub fn pin(channel: &mut Channel, identity: &Digest) -> Result<(), EditError> {
    whole(channel, |draft| {
        let release = named(offer_mut(draft, identity)?);
        if draft.pins.contains(identity) {
            return Err(EditError::Already(format!("{release} is pinned")));
        }
        draft.pins.push(*identity);
        Ok(())
    })
}

/// The opposite of [`pin`].
///
/// # Errors
/// When it isn't pinned.
pub fn unpin(channel: &mut Channel, identity: &Digest) -> Result<(), EditError> {
    let before = channel.pins.len();
    channel.pins.retain(|pin| pin != identity);
    match channel.pins.len() < before {
        true => Ok(()),
        false => Err(EditError::Already(format!("release {identity:.12} is not pinned"))),
    }
}

/// Say that every older device has to run a release before it takes a newer one.
///
/// # Errors
/// When it isn't on offer, or is one.
pub fn barrier(channel: &mut Channel, identity: &Digest) -> Result<(), EditError> {
    let offer = offer_mut(channel, identity)?;
    match std::mem::replace(&mut offer.passage, Passage::Barrier) {
        Passage::Free => Ok(()),
        Passage::Barrier => Err(EditError::Already(format!("{} is a barrier", named(offer)))),
    }
}
