//! Waves, canaries, pause, resume, halt.
use super::{EditError, offer_mut};
use bistable_format::{
    Channel, Digest, limits,
    rollout::{Pace, Rollout, WHOLE, Wave},
};

/// A change of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These groups and waves from now on; who was let in by the old ones may wait again.
    Replace(Rollout),
    /// One more wave: who was let in stays in.
    Wave(Wave),
    /// One more group that goes first.
    Canary(String),
    /// Nobody else is let in.
    Pause,
    /// On from where it was.
    Resume,
    /// Nobody gets it any more, until it is resumed.
    Halt,
    /// Everybody gets it now.
    Everyone,
}

/// Change a release's rollout.
///
/// # Errors
/// When the release isn't on offer, or the change makes no sense; the channel is as it was then.
pub fn change(channel: &mut Channel, identity: &Digest, change: &Change, now: u64) -> Result<(), EditError> {
    let offer = offer_mut(channel, identity)?;
    let version = offer.terms.version.clone();
    let mut next = offer.rollout.clone();
    let refuse = |text: &str| Err(EditError::Rollout(format!("the rollout of {version} {text}")));
    match change {
        Change::Replace(rollout) => next = rollout.clone(),
        Change::Wave(_) if next.waves.is_empty() => {
            return refuse(
                "is for everybody already: a wave would take it away from those who have not fetched it yet",
            );
        }
        Change::Wave(wave) => next.waves.push(*wave),
        Change::Canary(_) if next.waves.is_empty() => return refuse("is for everybody already"),
        Change::Canary(group) if next.canaries.contains(group) => {
            return refuse(&format!("lets group {group} go first already"));
        }
        Change::Canary(group) => next.canaries.push(group.clone()),
        Change::Pause => match next.pace {
            Pace::Running if next.waves.is_empty() => {
                return refuse("is for everybody already: `halt` stops it");
            }
            Pace::Running => next.pace = Pace::Paused(now),
            Pace::Paused(_) => return refuse("is paused already"),
            Pace::Halted => return refuse("is halted already"),
        },
        Change::Resume if next.pace == Pace::Running => return refuse("is running already"),
        Change::Resume => next.resume(now),
        Change::Halt if next.pace == Pace::Halted => return refuse("is halted already"),
        Change::Halt => next.pace = Pace::Halted,
        Change::Everyone => next = Rollout::default(),
    }
    check(&next, &version.to_string())?;
    offer.rollout = next;
    Ok(())
}

/// Whether a rollout makes sense.
///
/// # Errors
/// What doesn't.
pub(super) fn check(rollout: &Rollout, version: &str) -> Result<(), EditError> {
    let refuse = |text: String| Err(EditError::Rollout(format!("the rollout of {version} {text}")));
    if rollout.waves.len() > limits::WAVES {
        return refuse(format!(
            "would have {} waves, and {} are allowed",
            rollout.waves.len(),
            limits::WAVES
        ));
    }
    if rollout.canaries.len() > limits::CANARIES {
        return refuse(format!(
            "would let {} groups go first, and {} are allowed",
            rollout.canaries.len(),
            limits::CANARIES
        ));
    }
    if let Some(wave) = rollout.waves.iter().find(|w| w.share == 0 || w.share > WHOLE) {
        return refuse(format!("has a wave of {} parts of {WHOLE}", wave.share));
    }
    Ok(())
}
