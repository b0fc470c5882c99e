//! Waves, canaries, pause, resume, halt.
use super::{EditError, offer_mut, whole};
use bistable_format::{
    Channel, Digest,
    rollout::{Rollout, RolloutState, Wave},
};
use semver::Version;

/// A change of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These groups and waves, at least one of either, from now on; devices that the old ones let in may wait again.
    Replace(Rollout),
    /// One more wave: devices that were let in stay in.
    Wave(Wave),
    /// One more group that goes first.
    Canary(String),
    /// No other device is let in; those that were, canaries among them, stay in.
    Pause,
    /// On from where it was paused. Never after a halt.
    Resume,
    /// No device gets it any more: not even those that were let in.
    Halt,
    /// Everybody gets it now.
    Everyone,
}

/// Change a release's rollout.
///
/// # Errors
/// When the release isn't on offer, or the change makes no sense; the channel is as it was then.
pub fn change(channel: &mut Channel, identity: &Digest, change: &Change, now: u64) -> Result<(), EditError> {
    whole(channel, |draft| {
        let offer = offer_mut(draft, identity)?;
        offer.rollout = changed(&offer.rollout, &offer.constraints.version, change, now)?;
        Ok(())
    })
}

fn changed(rollout: &Rollout, version: &Version, change: &Change, now: u64) -> Result<Rollout, EditError> {
    let mut next = rollout.clone();
    let already = |text: String| Err(EditError::Already(format!("the rollout of {version} {text}")));
    let refuse = |text: &str| Err(EditError::Invalid(format!("the rollout of {version} {text}")));
    let for_all = next.is_for_all();
    match change {
        Change::Replace(rollout) if rollout.is_for_all() => {
            return refuse(
                "would offer it to all devices without waves and groups: name some with `rollout set --waves … --canary …`, or offer it to all with `rollout everyone`",
            );
        }
        Change::Replace(rollout) => next = rollout.clone(),
        Change::Wave(_) if for_all => {
            return refuse(
                "is for all devices: a wave would take it away from those that have not fetched it yet; `rollout set` does that",
            );
        }
        // What lets in no further device: the same command again, for example.
        Change::Wave(wave)
            if next.waves.iter().any(|w| w.share >= wave.share && w.at <= wave.at && w.over <= wave.over) =>
        {
            return already("has a wave that lets as many in, no later,".into());
        }
        Change::Wave(wave) => next.waves.push(*wave),
        Change::Canary(_) if for_all => return already("is for all devices".into()),
        Change::Canary(group) if next.canaries.contains(group) => {
            return already(format!("lets group {group} go first"));
        }
        Change::Canary(group) => next.canaries.push(group.clone()),
        Change::Pause => match next.pace {
            RolloutState::Running if for_all => return refuse("is for all devices: `rollout halt` stops it"),
            RolloutState::Running if next.waves.total() == 0 => {
                return refuse("has no waves: `rollout halt` keeps it from its groups, too");
            }
            RolloutState::Running => next.pace = RolloutState::Paused(now),
            RolloutState::Paused(_) => return already("is paused".into()),
            RolloutState::Halted => return refuse("is halted, which is more than paused"),
        },
        Change::Resume => match next.pace {
            RolloutState::Running => return already("is running".into()),
            // It was bad enough to take it from those who were in; and time continued for its waves, it is unknown since when.
            RolloutState::Halted => {
                return refuse(
                    "was halted: start it again with `rollout set --waves …`, or offer it to all devices with `rollout everyone`",
                );
            }
            RolloutState::Paused(_) => next.resume(now),
        },
        Change::Halt if next.pace == RolloutState::Halted => return already("is halted".into()),
        Change::Halt => next.pace = RolloutState::Halted,
        Change::Everyone => next = Rollout::default(),
    }
    if next == *rollout { already("is so".into()) } else { Ok(next) }
}
